#include "proxy/admin/api.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <utility>

#include <openssl/crypto.h>

#include "config/units.h"

namespace holdfast::admin {

Outcome refusal(unsigned status, std::string message, std::string advice) {
    Outcome outcome{status, {}};
    outcome.body["error"]["message"] = std::move(message);
    if (!advice.empty()) outcome.body["error"]["advice"] = std::move(advice);
    return outcome;
}

std::string_view to_string(SessionOrder order) {
    switch (order) {
        case SessionOrder::waiting: return "waiting";
        case SessionOrder::id: return "id";
        case SessionOrder::age: return "age";
        case SessionOrder::statements: return "statements";
        case SessionOrder::bytes: return "bytes";
    }
    std::abort();
}

namespace {

using nlohmann::json;

constexpr std::string_view json_type = "application/json";
/// How long a pause lasts when nobody says: a forgotten one must not last for ever.
constexpr std::chrono::milliseconds pause_limit_default{60'000};

Page page_of(const Outcome& outcome) {
    return {.status = outcome.status,
            .content_type = json_type,
            .body = outcome.body.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"};
}

/// The fields of a request's body, each taken with its type checked; the first mistake is kept.
class Fields {
public:
    explicit Fields(const std::string& body) {
        body_ = body.empty() ? json::object() : json::parse(body, nullptr, false);
        if (!body_.is_object()) fail("the body must be a JSON object");
    }
    std::string text(const char* name, bool is_required) {
        const auto found = find(name);
        if (!found) {
            if (is_required) fail(std::string("\"") + name + "\" is missing");
            return {};
        }
        if (found->is_string()) return found->get<std::string>();
        fail(std::string("\"") + name + "\" must be a text");
        return {};
    }
    bool flag(const char* name) {
        const auto found = find(name);
        if (!found) return false;
        if (found->is_boolean()) return found->get<bool>();
        fail(std::string("\"") + name + "\" must be true or false");
        return false;
    }
    uint64_t number(const char* name) {
        const auto found = find(name);
        if (found && found->is_number_unsigned()) return found->get<uint64_t>();
        fail(std::string("\"") + name + "\" must be a number");
        return 0;
    }
    std::chrono::milliseconds duration(const char* name, std::chrono::milliseconds fallback) {
        if (!find(name)) return fallback;
        const auto parsed = config::parse_duration(text(name, true));
        if (parsed) return *parsed;
        fail(std::string("\"") + name + "\": " + parsed.error().message);
        return fallback;
    }
    /// What is wrong with the body; call it when every field was taken.
    std::optional<Outcome> mistake() const {
        if (problem_.empty()) return std::nullopt;
        return refusal(400, problem_, "GET /api/v1/openapi.json describes what is expected");
    }

private:
    const json* find(const char* name) const {
        if (!body_.is_object()) return nullptr;
        const auto found = body_.find(name);
        return found == body_.end() || found->is_null() ? nullptr : &*found;
    }
    void fail(std::string what) {
        if (problem_.empty()) problem_ = std::move(what);
    }
    json body_;
    std::string problem_;
};

struct Call {
    const Request& request;
    Control& control;
    OnOutcome on_done;

    Actor actor(std::string reason) const { return {request.peer, std::move(reason)}; }
    std::string argument(const char* name) const {
        const auto found = request.query.find(name);
        return found == request.query.end() ? std::string() : found->second;
    }
    /// nullopt: it is no number.
    std::optional<uint64_t> number(const char* name, uint64_t fallback) const {
        const std::string text = argument(name);
        if (text.empty()) return fallback;
        uint64_t number = 0;
        const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
        if (read.ec != std::errc{} || read.ptr != text.data() + text.size()) return std::nullopt;
        return number;
    }
};

void get_status(const Call& call) {
    call.on_done({200, call.control.status()});
}

void get_sessions(const Call& call) {
    SessionQuery query;
    query.cluster = call.argument("cluster");
    query.filter = call.argument("filter");
    const auto limit = call.number("limit", query.limit);
    if (!limit || *limit == 0 || *limit > SessionQuery::limit_max) {
        return call.on_done(
            refusal(400, "\"limit\" must be a number from 1 to " + std::to_string(SessionQuery::limit_max),
                    "\"offset\" leads to the sessions behind them, \"filter\" and \"cluster\" to fewer"));
    }
    const auto offset = call.number("offset", 0);
    if (!offset) return call.on_done(refusal(400, "\"offset\" must be a number"));
    query.limit = *limit;
    query.offset = *offset;
    if (const std::string order = call.argument("order"); !order.empty()) {
        const auto found = std::find_if(std::begin(session_orders), std::end(session_orders),
                                        [&](SessionOrder each) { return order == to_string(each); });
        if (found == std::end(session_orders)) {
            return call.on_done(refusal(400, "\"order\" must be waiting, id, age, statements or bytes"));
        }
        query.order = *found;
    }
    call.on_done({200, call.control.sessions(query)});
}

void get_events(const Call& call) {
    const auto after = call.number("after", 0);
    if (!after) return call.on_done(refusal(400, "\"after\" must be the number of an event"));
    call.on_done({200, call.control.events(*after)});
}

void get_config(const Call& call) {
    call.on_done({200, call.control.config()});
}

void get_diff(const Call& call) {
    call.control.diff(call.on_done);
}

/// Asked for by who wants to know whether its token is right: a wrong one was refused before this.
void get_token(const Call& call) {
    Outcome outcome;
    outcome.body["valid"] = true;
    call.on_done(std::move(outcome));
}

void post_reload(const Call& call) {
    Fields fields(call.request.body);
    const std::string reason = fields.text("reason", false);
    if (auto mistake = fields.mistake()) return call.on_done(*std::move(mistake));
    call.control.reload(call.actor(reason), call.on_done);
}

void post_server_state(const Call& call) {
    Fields fields(call.request.body);
    const std::string cluster = fields.text("cluster", true);
    const std::string server = fields.text("server", true);
    const std::string state = fields.text("state", true);
    const std::string reason = fields.text("reason", false);
    const bool force = fields.flag("force");
    if (auto mistake = fields.mistake()) return call.on_done(*std::move(mistake));
    for (const auto duty : {health::Duty::serves, health::Duty::draining, health::Duty::maintenance}) {
        if (state != to_string(duty)) continue;
        return call.control.set_duty(cluster, server, duty, force, call.actor(reason), call.on_done);
    }
    call.on_done(refusal(400, "\"state\" must be ready, drain or maintenance"));
}

void post_pause(const Call& call) {
    Fields fields(call.request.body);
    const std::string cluster = fields.text("cluster", true);
    const std::string reason = fields.text("reason", false);
    const auto limit = fields.duration("timeout", pause_limit_default);
    if (auto mistake = fields.mistake()) return call.on_done(*std::move(mistake));
    call.on_done(call.control.pause(cluster, limit, call.actor(reason)));
}

void post_resume(const Call& call) {
    Fields fields(call.request.body);
    const std::string cluster = fields.text("cluster", true);
    if (auto mistake = fields.mistake()) return call.on_done(*std::move(mistake));
    call.on_done(call.control.resume(cluster, call.actor({})));
}

void post_kill(const Call& call) {
    Fields fields(call.request.body);
    const uint64_t session = fields.number("session");
    const std::string reason = fields.text("reason", false);
    if (auto mistake = fields.mistake()) return call.on_done(*std::move(mistake));
    call.on_done(call.control.end_session(session, call.actor(reason)));
}

struct Route {
    std::string_view path;
    bool is_change;    // by POST
    bool needs_token;  // over TCP
    void (*serve)(const Call&);
};

constexpr std::array routes = {
    Route{"/api/v1/status", false, false, get_status},
    Route{"/api/v1/sessions", false, false, get_sessions},
    Route{"/api/v1/events", false, false, get_events},
    Route{"/api/v1/config", false, false, get_config},
    Route{"/api/v1/diff", false, false, get_diff},
    Route{"/api/v1/token", false, true, get_token},
    Route{"/api/v1/reload", true, true, post_reload},
    Route{"/api/v1/server-state", true, true, post_server_state},
    Route{"/api/v1/pause", true, true, post_pause},
    Route{"/api/v1/resume", true, true, post_resume},
    Route{"/api/v1/kill", true, true, post_kill},
};

/// Why the request may not do what needs the token; nullopt: it may.
std::optional<Outcome> denial(const Request& request, const Secret& token) {
    if (request.is_local) return std::nullopt;
    // A browser names the page that a request comes from: another site's is not the operator's wish.
    if (!request.origin.empty() && request.origin != "http://" + request.host &&
        request.origin != "https://" + request.host) {
        return refusal(403, "the request comes from a page of another origin");
    }
    if (token.empty()) {
        return refusal(403, "changes over TCP need a token, and none is configured",
                       "set admin.token, or use the Unix socket of admin.socket");
    }
    constexpr std::string_view scheme = "Bearer ";
    const std::string_view given = request.authorization;
    const std::string_view wanted = token.reveal();
    if (given.starts_with(scheme)) {
        const std::string_view shown = given.substr(scheme.size());
        if (shown.size() == wanted.size() && CRYPTO_memcmp(shown.data(), wanted.data(), wanted.size()) == 0)
            return std::nullopt;
        return refusal(401, "the token is wrong", "it is the one that admin.token names");
    }
    return refusal(401, "a token is needed", "send the header Authorization: Bearer TOKEN (admin.token)");
}

}  // namespace

void answer_api(const Request& request, const Secret& token, Control& control, const Reply& reply) {
    const bool is_read = request.method == "GET" || request.method == "HEAD";
    if (request.path == "/api/v1/openapi.json" && is_read) {
        return reply({.content_type = json_type, .body = std::string(openapi_text())});
    }
    for (const Route& route : routes) {
        if (request.path != route.path) continue;
        const bool is_fitting = route.is_change ? request.method == "POST" : is_read;
        if (!is_fitting) {
            Page page =
                page_of(refusal(405, std::string("only ") + (route.is_change ? "POST" : "GET and HEAD")));
            page.allow = route.is_change ? "POST" : "GET, HEAD";
            return reply(std::move(page));
        }
        if (route.needs_token) {
            if (auto denied = denial(request, token)) return reply(page_of(*denied));
        }
        return route.serve({request, control, [reply](const Outcome& outcome) { reply(page_of(outcome)); }});
    }
    reply(page_of(refusal(404, "there is no " + request.path, "see /api/v1/openapi.json")));
}

}  // namespace holdfast::admin
