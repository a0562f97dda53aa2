#include "config/admin_address.h"

#include <filesystem>
#include <utility>
#include <variant>

#include "config/address.h"
#include "config/document.h"
#include "config/environment.h"
#include "config/text.h"

namespace holdfast::config {

namespace {

constexpr std::string_view default_listen = "127.0.0.1:9600";
constexpr size_t secret_bytes_max = 65'536;

/// Empty when it can't be had: the proxy then says that a token is needed.
Secret read_token(const Node& value, const std::string& config_file, Environment& environment) {
    if (value.kind == Node::Kind::text) return Secret(value.text);
    if (value.kind != Node::Kind::table) return {};
    if (const Entry* variable = value.find("env")) {
        return Secret(environment.variable(variable->value.text).value_or(""));
    }
    const Entry* file = value.find("file");
    if (file == nullptr) return {};
    const auto path = std::filesystem::path(config_file).parent_path() / file->value.text;
    auto text = environment.read_file(path.string(), secret_bytes_max);
    if (!text) return {};
    while (text->ends_with('\n') || text->ends_with('\r')) text->pop_back();
    return Secret(*std::move(text));
}

}  // namespace

Result<AdminAddress> read_admin_address(const std::string& path) {
    SystemEnvironment environment;
    const auto text = environment.read_file(path, file_bytes_max);
    if (!text) return Error{ErrorCode::not_found, path + ": " + text.error().message};
    const auto parsed = parse(*text);
    if (const auto* error = std::get_if<SyntaxError>(&parsed)) {
        return Error{ErrorCode::bad_value,
                     path + ":" + std::to_string(error->at.line) + ": " + error->message};
    }
    AdminAddress address;
    std::string listen(default_listen);
    if (const Entry* admin = std::get<Node>(parsed).find("admin")) {
        if (const Entry* each = admin->value.find("socket")) address.socket = each->value.text;
        if (const Entry* each = admin->value.find("listen")) listen = each->value.text;
        if (const Entry* each = admin->value.find("token")) {
            address.token = read_token(each->value, path, environment);
        }
    }
    if (listen.empty()) return address;
    auto endpoint = parse_listen_address(listen);
    if (!endpoint) return Error{ErrorCode::bad_value, path + ": admin.listen: " + endpoint.error().message};
    address.listen = *std::move(endpoint);
    return address;
}

}  // namespace holdfast::config
