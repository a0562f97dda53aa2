#include "proxy/app/local_checks.h"

#include <array>
#include <cerrno>
#include <ctime>
#include <optional>
#include <poll.h>
#include <string_view>
#include <sys/socket.h>

#include "config/address.h"
#include "proxy/app/descriptors.h"
#include "proxy/loop/address.h"
#include "proxy/loop/certificate_end.h"
#include "proxy/loop/listener.h"
#include "proxy/loop/socket_options.h"

namespace holdfast::app {

namespace {

using Severity = Finding::Severity;

constexpr int64_t day_seconds = 86'400;
/// Long enough to renew by hand, short enough not to be normal with certificates of 90 days.
constexpr int64_t certificate_warning_seconds = 14 * day_seconds;
/// A running proxy on this machine answers at once.
constexpr int answer_timeout_ms = 1'000;

/// Sends a request to an address and returns the beginning of the answer; empty: there is none in time.
std::string ask_http(const config::Endpoint& endpoint) {
    const auto address = endpoint.is_unix() ? loop::unix_address(endpoint.unix_path)
                                            : loop::numeric_address(endpoint.host, endpoint.port);
    if (!address) return "";
    const loop::Descriptor socket = loop::open_stream_socket(address->family());
    const auto wait_for = [&](short events) {
        pollfd waiting{socket.get(), events, 0};
        return ::poll(&waiting, 1, answer_timeout_ms) == 1;
    };
    const bool is_connected =
        ::connect(socket.get(), address->get(), address->size) == 0 ||
        (errno == EINPROGRESS && wait_for(POLLOUT) && loop::take_socket_error(socket.get()) == 0);
    constexpr std::string_view request = "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n";
    if (!is_connected || ::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return "";
    constexpr size_t answer_bytes_max = 4'096;
    std::string answer;
    while (answer.size() < answer_bytes_max && wait_for(POLLIN)) {
        std::array<char, answer_bytes_max> chunk{};
        const ssize_t got = ::recv(socket.get(), chunk.data(), chunk.size(), 0);
        if (got <= 0) break;
        answer.append(chunk.data(), static_cast<size_t>(got));
    }
    return answer;
}

/// Whether a Holdfast answers at the admin address of this configuration.
bool is_holdfast_running(const config::Admin& admin) {
    std::vector<config::Endpoint> endpoints;
    if (admin.listen) endpoints.push_back(*admin.listen);
    if (!admin.socket.empty()) endpoints.push_back({.host = {}, .port = 0, .unix_path = admin.socket});
    for (config::Endpoint& endpoint : endpoints) {
        if (endpoint.host == "localhost" || endpoint.host == "0.0.0.0") endpoint.host = "127.0.0.1";
        if (endpoint.host == "::") endpoint.host = "::1";
        if (ask_http(endpoint).find("Holdfast") != std::string::npos) return true;
    }
    return false;
}

}  // namespace

std::string date_text(int64_t unix_seconds) {
    const auto time = static_cast<std::time_t>(unix_seconds);
    std::tm parts{};
    ::gmtime_r(&time, &parts);
    std::array<char, 32> text{};
    const size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%d", &parts);
    return {text.data(), size};
}

void add_certificate_finding(std::vector<Finding>& out, const std::string& where, const std::string& subject,
                             int64_t certificate_end, int64_t unix_seconds_now) {
    const int64_t left = certificate_end - unix_seconds_now;
    if (left < 0) {
        out.push_back(
            {Severity::error, where, subject + " has run out, on " + date_text(certificate_end), "", ""});
    } else if (left < certificate_warning_seconds) {
        out.push_back({Severity::warning, where,
                       subject + " runs out in " + std::to_string(left / day_seconds) + " days, on " +
                           date_text(certificate_end),
                       "", ""});
    }
}

void check_certificates(const config::Settings& settings, int64_t unix_seconds_now,
                        std::vector<Finding>& out) {
    for (const config::Cluster& cluster : settings.clusters) {
        for (const config::Listener& listener : cluster.listeners) {
            if (listener.tls.cert_file.empty()) continue;
            const std::string where = "cluster." + cluster.name + ".listener[" +
                                      config::to_text(listener.listen.front()) + "].tls.cert";
            const auto end = loop::certificate_end_of_file(listener.tls.cert_file);
            if (end) {
                add_certificate_finding(out, where, listener.tls.cert_file, *end, unix_seconds_now);
            } else {
                out.push_back({Severity::error, where, end.error().message, "", ""});
            }
        }
    }
}

void check_addresses(const config::Settings& settings, loop::Loop& loop, std::vector<Finding>& out) {
    NullLog log;
    std::optional<bool> is_running;
    const auto try_address = [&](const std::string& where, const config::Endpoint& endpoint) {
        const auto opened = loop::Listener::open(
            loop, log, endpoint, {}, nullptr,
            [](std::unique_ptr<engine::Link>, const loop::PeerAddress&) { return nullptr; });
        if (opened) return;
        if (!is_running) is_running = is_holdfast_running(settings.admin);
        if (*is_running) {
            out.push_back({Severity::note, where,
                           loop::to_text(endpoint) + " is taken, and a Holdfast is running here", "", ""});
        } else {
            out.push_back({Severity::error, where, opened.error().message, "", ""});
        }
    };
    if (settings.admin.listen) try_address("admin.listen", *settings.admin.listen);
    if (!settings.admin.socket.empty()) {
        try_address("admin.socket", {.host = {}, .port = 0, .unix_path = settings.admin.socket});
    }
    for (const config::Cluster& cluster : settings.clusters) {
        for (const config::Listener& listener : cluster.listeners) {
            for (const config::Endpoint& endpoint : listener.listen) {
                try_address("cluster." + cluster.name + ".listener[" +
                                config::to_text(listener.listen.front()) + "].listen",
                            endpoint);
            }
        }
    }
}

void check_descriptors(const config::Settings& settings, std::vector<Finding>& out) {
    if (const auto advice = descriptor_advice(raise_descriptor_limit(), settings)) {
        out.push_back({Severity::warning, "proxy.max_clients", *advice + " (seen from this shell)", "", ""});
    }
}

}  // namespace holdfast::app
