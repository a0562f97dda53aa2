#include "proxy/app/operate.h"

#include <charconv>
#include <memory>
#include <optional>
#include <ostream>
#include <string_view>
#include <thread>
#include <utility>

#include "config/units.h"
#include "proxy/admin/json_fields.h"
#include "proxy/app/tables.h"

namespace holdfast::app {

namespace {

using admin::list_of;
using nlohmann::json;
using std::chrono::steady_clock;

constexpr std::chrono::milliseconds poll_interval{200};
constexpr std::chrono::milliseconds wait_limit_default{60'000};

/// One conversation with the proxy; the exit code is set when something goes wrong.
class Talk {
public:
    Talk(const Operation& operation, Streams to) : operation_(operation), to_(to) {
        auto found = Remote::find(operation.remote);
        if (!found) {
            to.err << "holdfast: " << found.error().message << '\n';
            exit_code = exit_usage;
            return;
        }
        remote_ = std::make_unique<Remote>(*std::move(found));
    }
    std::optional<json> get(const std::string& path) {
        return remote_ ? take(remote_->get(path)) : std::nullopt;
    }
    std::optional<json> post(const std::string& path, const json& body) {
        return remote_ ? take(remote_->post(path, body)) : std::nullopt;
    }
    int exit_code = exit_done;

private:
    std::optional<json> take(Result<Remote::Answer> answer) {
        if (!answer) {
            to_.err << "holdfast: " << answer.error().message << '\n';
            exit_code = answer.error().code == ErrorCode::unreachable ? exit_unreachable : exit_failed;
            return std::nullopt;
        }
        if (answer->status / 100 == 2) return std::move(answer->body);
        exit_code = exit_failed;
        print_diagnostics(answer->body);
        const json reason = answer->body.value("error", json::object());
        to_.err << "holdfast: " << reason.value("message", "the proxy refused") << '\n';
        if (const auto advice = reason.value("advice", std::string()); !advice.empty()) {
            to_.err << "  " << advice << '\n';
        }
        if (operation_.json) to_.out << answer->body.dump(2) << '\n';
        return std::nullopt;
    }

public:
    void print_diagnostics(const json& body) {
        for (const auto& each : list_of(body, "diagnostics")) {
            to_.err << each.value("file", "") << ':' << each.value("line", 0) << ':'
                    << each.value("column", 0) << ": " << each.value("severity", "") << ": "
                    << each.value("message", "") << '\n';
        }
    }

private:
    const Operation& operation_;
    Streams to_;
    std::unique_ptr<Remote> remote_;
};

/// Shows the answer of a GET: as it is, or by `print`.
template <typename Print>
int show(const Operation& operation, Streams to, const std::string& path, Print print) {
    Talk talk(operation, to);
    const auto answer = talk.get(path);
    if (!answer) return talk.exit_code;
    if (operation.json) {
        to.out << answer->dump(2) << '\n';
    } else {
        print(*answer);
    }
    return exit_done;
}

std::string escaped(const std::string& text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        out += '%';
        out += digits[byte >> 4];
        out += digits[byte & 15];
    }
    return out;
}

const json* find_named(const json& list, const std::string& name) {
    for (const auto& each : list) {
        if (each.value("name", "") == name) return &each;
    }
    return nullptr;
}

const json* find_cluster(const json& status, const std::string& cluster) {
    const auto clusters = status.find("clusters");
    return clusters == status.end() ? nullptr : find_named(*clusters, cluster);
}

/// Asks for the status until `is_over` says so. `left` says in words what it still waits for.
template <typename IsOver, typename Left>
int wait_until(Talk& talk, const Operation& operation, Streams to, IsOver is_over, Left left) {
    const auto limit = operation.has_timeout ? operation.timeout : wait_limit_default;
    const auto end = steady_clock::now() + limit;
    for (;;) {
        const auto status = talk.get("/api/v1/status");
        if (!status) return talk.exit_code;
        if (is_over(*status)) return exit_done;
        if (steady_clock::now() >= end) {
            to.err << "holdfast: after " << config::to_text(limit) << " " << left(*status) << '\n';
            return exit_time_over;
        }
        std::this_thread::sleep_for(poll_interval);
    }
}

bool split(const std::string& subject, std::string& cluster, std::string& server) {
    const size_t slash = subject.find('/');  // a server's default name may have more of them
    if (slash == std::string::npos || slash == 0 || slash + 1 == subject.size()) return false;
    cluster = subject.substr(0, slash);
    server = subject.substr(slash + 1);
    return true;
}

}  // namespace

int show_status(const Operation& operation, Streams to) {
    return show(operation, to, "/api/v1/status",
                [&](const json& status) { print_status(status, operation.subject, to.out); });
}

int show_servers(const Operation& operation, Streams to) {
    return show(operation, to, "/api/v1/status",
                [&](const json& status) { print_servers(status, operation.subject, to.out); });
}

int show_sessions(const Operation& operation, Streams to) {
    std::string path = "/api/v1/sessions?cluster=" + escaped(operation.subject);
    path += "&order=" + escaped(operation.sort) + "&filter=" + escaped(operation.filter);
    if (operation.limit > 0) path += "&limit=" + std::to_string(operation.limit);
    return show(operation, to, path, [&](const json& sessions) { print_sessions(sessions, to.out); });
}

int show_events(const Operation& operation, Streams to) {
    return show(operation, to, "/api/v1/events?after=" + std::to_string(operation.after),
                [&](const json& events) { print_events(events, to.out); });
}

int set_server_state(const Operation& operation, const std::string& state, Streams to) {
    std::string cluster;
    std::string server;
    if (!split(operation.subject, cluster, server)) {
        to.err << "holdfast: expected CLUSTER/SERVER, found \"" << operation.subject << "\"\n";
        return exit_usage;
    }
    Talk talk(operation, to);
    const auto answer = talk.post("/api/v1/server-state", {{"cluster", cluster},
                                                           {"server", server},
                                                           {"state", state},
                                                           {"reason", operation.reason},
                                                           {"force", operation.force}});
    if (!answer) return talk.exit_code;
    if (operation.json) {
        to.out << answer->dump(2) << '\n';
    } else {
        to.out << operation.subject << ": " << state << '\n';
    }
    if (const auto warning = answer->value("warning", std::string()); !warning.empty()) {
        to.err << "holdfast: warning: " << warning << '\n';
    }
    if (!operation.wait) return exit_done;
    const auto connections = [&](const json& status) -> uint64_t {
        const json* in = find_cluster(status, cluster);
        const json* at = in == nullptr ? nullptr : find_named(list_of(*in, "servers"), server);
        return at == nullptr ? 0 : at->value("connections", uint64_t{0});
    };
    return wait_until(
        talk, operation, to, [&](const json& status) { return connections(status) == 0; },
        [&](const json& status) {
            return std::to_string(connections(status)) + " connections to " + operation.subject +
                   " are still open; `holdfast sessions " + cluster + "` shows whose";
        });
}

int pause_cluster(const Operation& operation, Streams to) {
    Talk talk(operation, to);
    json body = {{"cluster", operation.subject}, {"reason", operation.reason}};
    if (operation.has_timeout) body["timeout"] = config::to_text(operation.timeout);
    const auto answer = talk.post("/api/v1/pause", body);
    if (!answer) return talk.exit_code;
    if (operation.json) {
        to.out << answer->dump(2) << '\n';
    } else {
        to.out << operation.subject << ": paused\n";
        if (const auto relayed = answer->value("relayed", uint64_t{0}); relayed > 0) {
            to.out << relayed << " connections through listeners with role = \"tcp\" go on: their bytes are "
                   << "passed on unread\n";
        }
    }
    if (!operation.wait) return exit_done;
    const auto working = [&](const json& status) -> uint64_t {
        const json* in = find_cluster(status, operation.subject);
        return in == nullptr ? 0 : in->value("sessions", json::object()).value("working", uint64_t{0});
    };
    return wait_until(
        talk, operation, to, [&](const json& status) { return working(status) == 0; },
        [&](const json& status) {
            return std::to_string(working(status)) +
                   " sessions are still in a transaction; `holdfast sessions " + operation.subject +
                   "` shows whose";
        });
}

int resume_cluster(const Operation& operation, Streams to) {
    Talk talk(operation, to);
    const auto answer = talk.post("/api/v1/resume", {{"cluster", operation.subject}});
    if (!answer) return talk.exit_code;
    if (operation.json) {
        to.out << answer->dump(2) << '\n';
    } else {
        to.out << operation.subject
               << (answer->value("was_paused", true) ? ": resumed\n" : ": was not paused\n");
    }
    return exit_done;
}

int kill_session(const Operation& operation, Streams to) {
    uint64_t session = 0;
    const std::string& text = operation.subject;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), session);
    if (read.ec != std::errc{} || read.ptr != text.data() + text.size()) {
        to.err << "holdfast: expected the number of a session, found \"" << text << "\"\n";
        return exit_usage;
    }
    Talk talk(operation, to);
    const auto answer = talk.post("/api/v1/kill", {{"session", session}, {"reason", operation.reason}});
    if (!answer) return talk.exit_code;
    if (operation.json) {
        to.out << answer->dump(2) << '\n';
    } else {
        to.out << "session " << session << ": ended\n";
    }
    return exit_done;
}

int diff_running(const Operation& operation, Streams to) {
    Talk talk(operation, to);
    const auto answer = talk.get("/api/v1/diff");
    if (!answer) return talk.exit_code == exit_failed ? exit_usage : talk.exit_code;
    if (operation.json) {
        to.out << json{{"changes", list_of(*answer, "changes")}}.dump() << '\n';
    } else {
        to.out << answer->value("table", "");
    }
    return list_of(*answer, "changes").empty() ? exit_done : exit_failed;
}

int reload_config(const Operation& operation, Streams to) {
    Talk talk(operation, to);
    const auto answer = operation.dry_run ? talk.get("/api/v1/diff")
                                          : talk.post("/api/v1/reload", {{"reason", operation.reason}});
    if (!answer) return talk.exit_code;
    talk.print_diagnostics(*answer);
    if (operation.json) {
        to.out << answer->dump(2) << '\n';
        return exit_done;
    }
    to.out << answer->value("table", "");
    if (list_of(*answer, "changes").empty()) to.out << "nothing differs from the configuration in use\n";
    return exit_done;
}

}  // namespace holdfast::app
