#include "proxy/app/remote.h"

#include <cstdlib>
#include <curl/curl.h>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "config/address.h"

namespace holdfast::app {

namespace {

constexpr const char* default_config = "/etc/holdfast/holdfast.toml";
constexpr const char* default_socket = "/run/holdfast/admin.sock";
constexpr const char* default_url = "http://127.0.0.1:9600";
constexpr long connect_timeout_ms = 3'000;
constexpr long answer_timeout_ms = 30'000;  // a reload reads files and makes keys
constexpr size_t answer_bytes_max = 256 * 1024 * 1024;

struct CloseHandle {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct FreeHeaders {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

size_t take(char* bytes, size_t, size_t count, void* into) noexcept try {
    auto& text = *static_cast<std::string*>(into);
    if (text.size() + count > answer_bytes_max) return 0;
    text.append(bytes, count);
    return count;
} catch (...) {
    return 0;
}

Result<Secret> token_of_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string text;
    if (!file || !std::getline(file, text)) {
        return Error{ErrorCode::not_found, path + ": the token can't be read"};
    }
    while (text.ends_with('\r')) text.pop_back();
    return Secret(std::move(text));
}

/// An address to listen on as one to connect to.
std::string url_of(config::Endpoint endpoint) {
    if (endpoint.host == "0.0.0.0" || endpoint.host == "*") endpoint.host = "127.0.0.1";
    if (endpoint.host == "::") endpoint.host = "::1";
    return "http://" + config::to_text(endpoint);
}

}  // namespace

Result<Remote> Remote::find(const RemoteOptions& options) {
    Remote remote;
    remote.socket_ = options.socket;
    remote.url_ = options.url;
    const bool is_told = !options.socket.empty() || !options.url.empty();
    std::string file = options.config_file;
    std::error_code ignored;
    if (file.empty() && !is_told && std::filesystem::exists(default_config, ignored)) file = default_config;
    if (!file.empty()) {
        auto address = config::read_admin_address(file);
        if (!address) return address.error();
        remote.token_ = std::move(address->token);
        if (!is_told) {
            remote.socket_ = address->socket;
            if (remote.socket_.empty() && !address->listen) {
                return Error{
                    ErrorCode::not_found,
                    file + ": neither admin.socket nor admin.listen is set: the proxy can't be asked"};
            }
            if (address->listen) remote.url_ = url_of(*address->listen);
        }
    } else if (!is_told) {
        if (std::filesystem::exists(default_socket, ignored)) remote.socket_ = default_socket;
        remote.url_ = default_url;
    }
    if (!options.token_file.empty()) {
        auto token = token_of_file(options.token_file);
        if (!token) return token.error();
        remote.token_ = *std::move(token);
    } else if (const char* variable = std::getenv("HOLDFAST_TOKEN")) {
        remote.token_ = Secret(variable);
    }
    if (remote.socket_.empty()) {
        remote.where_ = remote.url_;
    } else {
        remote.where_ = remote.socket_;
        remote.url_ = "http://holdfast";
    }
    return remote;
}

Result<Remote::Answer> Remote::ask(const std::string& path, const nlohmann::json* body) const {
    const std::unique_ptr<CURL, CloseHandle> handle(curl_easy_init());
    if (!handle) return Error{ErrorCode::internal, "libcurl does not start"};
    CURL* const curl = handle.get();
    std::string received;
    const std::string url = url_ + path;
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");  // the environment's proxy is not for this
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, connect_timeout_ms);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, answer_timeout_ms);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &received);
    if (!socket_.empty()) curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_.c_str());
    std::unique_ptr<curl_slist, FreeHeaders> headers;
    const auto add_header = [&](const std::string& line) {
        headers.reset(curl_slist_append(headers.release(), line.c_str()));
    };
    std::string text;
    if (body != nullptr) {
        text = body->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
        add_header("Content-Type: application/json");
        if (!token_.empty()) add_header("Authorization: Bearer " + std::string(token_.reveal()));
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(text.size()));
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text.c_str());
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
    }
    const CURLcode done = curl_easy_perform(curl);
    if (done != CURLE_OK) {
        return Error{ErrorCode::unreachable,
                     "no Holdfast answers at " + where_ + ": " + curl_easy_strerror(done)};
    }
    Answer answer;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
    answer.body = nlohmann::json::parse(received, nullptr, false);
    if (!answer.body.is_object()) {
        return Error{ErrorCode::bad_value, "what answers at " + where_ + " is no Holdfast (HTTP status " +
                                               std::to_string(answer.status) + ")"};
    }
    return answer;
}

}  // namespace holdfast::app
