#include "proxy/admin/api.h"

#include <optional>
#include <string>

#include <doctest/doctest.h>

#include "proxy/admin/timeline.h"

using namespace holdfast;
using namespace holdfast::admin;
using nlohmann::json;

namespace {

/// Notes what it is asked for.
class FakeControl final : public Control {
public:
    json status() const override { return {{"clusters", json::array()}}; }
    json sessions(const SessionQuery& query) const override {
        return {{"of", query.cluster},
                {"filter", query.filter},
                {"order", to_string(query.order)},
                {"offset", query.offset},
                {"limit", query.limit}};
    }
    json events(uint64_t after) const override { return {{"after", after}}; }
    json config() const override { return json::object(); }
    void diff(OnOutcome on_done) override { later = std::move(on_done); }
    void reload(const Actor& actor, OnOutcome on_done) override {
        asked = "reload by " + actor.who + ": " + actor.reason;
        on_done({});
    }
    void set_duty(const std::string& cluster, const std::string& server, health::Duty duty, bool force,
                  const Actor& actor, OnOutcome on_done) override {
        asked = cluster + "/" + server + " " + std::string(to_string(duty)) + (force ? " by force" : "") +
                ": " + actor.reason;
        on_done({});
    }
    Outcome pause(const std::string& cluster, std::chrono::milliseconds limit, const Actor&) override {
        asked = "pause " + cluster + " " + std::to_string(limit.count());
        return {};
    }
    Outcome resume(const std::string& cluster, const Actor&) override {
        asked = "resume " + cluster;
        return {};
    }
    Outcome end_session(uint64_t session, const Actor&) override {
        asked = "kill " + std::to_string(session);
        return {};
    }
    std::string asked;
    OnOutcome later;
};

struct Api {
    FakeControl control;
    Secret token;
    Request request;
    std::optional<Page> page;

    unsigned ask(const std::string& method, const std::string& path, const std::string& body = "") {
        request.method = method;
        request.path = path;
        request.body = body;
        page.reset();
        control.asked.clear();
        answer_api(request, token, control, [this](Page answer) {
            CHECK_FALSE(page);
            page = std::move(answer);
        });
        return page ? page->status : 0;
    }
    json answer() const { return json::parse(page->body); }
};

}  // namespace

TEST_CASE("api: what changes something over TCP needs the token") {
    Api api;
    const std::string body = R"({"cluster":"shop"})";
    CHECK(api.ask("POST", "/api/v1/pause", body) == 403);  // none is configured
    api.token = Secret("s3cret");
    for (const char* header : {"", "Bearer ", "Bearer s3cre", "Bearer s3cretx", "bearer s3cret", "s3cret"}) {
        api.request.authorization = header;
        CHECK(api.ask("POST", "/api/v1/pause", body) == 401);
        CHECK(api.control.asked.empty());
    }
    api.request.authorization = "Bearer s3cret";
    CHECK(api.ask("POST", "/api/v1/pause", body) == 200);
    CHECK(api.control.asked == "pause shop 60000");
    api.request.host = "proxy:9600";
    for (const char* origin : {"http://evil.example", "null", "http://proxy:9601"}) {
        api.request.origin = origin;
        CHECK(api.ask("POST", "/api/v1/pause", body) == 403);
    }
    api.request.origin = "http://proxy:9600";
    CHECK(api.ask("POST", "/api/v1/pause", body) == 200);
}

TEST_CASE("api: every order needs the token, and a wrong one does nothing") {
    Api api;
    api.token = Secret("s3cret");
    const json described = json::parse(openapi_text());
    int orders = 0;
    for (const auto& [path, methods] : described["paths"].items()) {
        if (!methods.contains("post")) continue;
        CAPTURE(path);
        ++orders;
        const std::string body = R"({"cluster":"a","server":"b","state":"drain","session":7})";
        for (const char* header : {"", "Bearer s3creT"}) {
            api.request.authorization = header;
            CHECK(api.ask("POST", path, body) == 401);
            CHECK(api.control.asked.empty());
        }
        api.request.authorization = "Bearer s3cret";
        CHECK(api.ask("POST", path, body) == 200);
        CHECK_FALSE(api.control.asked.empty());
    }
    CHECK(orders == 5);
}

TEST_CASE("api: whether a token is right can be asked, and changes nothing") {
    Api api;
    CHECK(api.ask("GET", "/api/v1/token") == 403);  // none is configured
    api.token = Secret("s3cret");
    for (const char* header : {"", "Bearer ", "Bearer s3cre", "Bearer s3creT", "Bearer s3cretx", "s3cret"}) {
        api.request.authorization = header;
        CHECK(api.ask("GET", "/api/v1/token") == 401);
    }
    api.request.authorization = "Bearer s3cret";
    CHECK(api.ask("GET", "/api/v1/token") == 200);
    CHECK(api.answer() == json::parse(R"({"valid":true})"));
    CHECK(api.ask("POST", "/api/v1/token") == 405);
    CHECK(api.control.asked.empty());
    api.request.host = "proxy:9600";
    api.request.origin = "http://evil.example";
    CHECK(api.ask("GET", "/api/v1/token") == 403);
    api.request = {};
    api.request.is_local = true;
    CHECK(api.ask("GET", "/api/v1/token") == 200);
}

TEST_CASE("api: over the Unix socket the file's mode has decided") {
    Api api;
    api.request.is_local = true;
    api.request.peer = "unix socket, user 7";
    CHECK(api.ask("POST", "/api/v1/reload", R"({"reason":"why"})") == 200);
    CHECK(api.control.asked == "reload by unix socket, user 7: why");
    CHECK(api.ask("POST", "/api/v1/reload") == 200);
    CHECK(api.ask("POST", "/api/v1/kill", R"({"session":77})") == 200);
    CHECK(api.control.asked == "kill 77");
    CHECK(api.ask("POST", "/api/v1/pause", R"({"cluster":"shop","timeout":"0s"})") == 200);
    CHECK(api.control.asked == "pause shop 0");
    CHECK(api.ask("POST", "/api/v1/resume", R"({"cluster":"shop"})") == 200);
    CHECK(api.control.asked == "resume shop");
    const char* ready = R"({"cluster":"a","server":"b","state":"ready","force":true,"reason":"r"})";
    CHECK(api.ask("POST", "/api/v1/server-state", ready) == 200);
    CHECK(api.control.asked == "a/b ready by force: r");
}

TEST_CASE("api: bodies that are not what is expected are refused with words") {
    Api api;
    api.request.is_local = true;
    struct Case {
        const char* path;
        const char* body;
        const char* words;
    };
    for (const Case& c :
         {Case{"pause", "", "\"cluster\" is missing"}, Case{"pause", "{", "JSON object"},
          Case{"pause", "[]", "JSON object"}, Case{"pause", R"({"cluster":1})", "must be a text"},
          Case{"pause", R"({"cluster":null})", "is missing"},
          Case{"pause", R"({"cluster":"a","timeout":"5 s"})", "timeout"},
          Case{"pause", R"({"cluster":"a","timeout":5})", "must be a text"},
          Case{"kill", "{}", "must be a number"}, Case{"kill", R"({"session":-1})", "must be a number"},
          Case{"kill", R"({"session":1.5})", "must be a number"},
          Case{"server-state", R"({"cluster":"a","server":"b","state":"removed"})", "ready, drain"},
          Case{"server-state", R"({"cluster":"a","server":"b","state":"drain","force":1})",
               "true or false"}}) {
        CAPTURE(c.body);
        CHECK(api.ask("POST", std::string("/api/v1/") + c.path, c.body) == 400);
        CHECK(api.answer()["error"]["message"].get<std::string>().find(c.words) != std::string::npos);
        CHECK(api.control.asked.empty());
    }
    const std::string deep(60'000, '[');
    CHECK(api.ask("POST", "/api/v1/pause", deep) == 400);
}

TEST_CASE("api: methods and paths") {
    Api api;
    CHECK(api.ask("GET", "/api/v1/pause") == 405);
    CHECK(api.page->allow == "POST");
    CHECK(api.ask("POST", "/api/v1/status") == 405);
    CHECK(api.page->allow == "GET, HEAD");
    CHECK(api.ask("GET", "/api/v2/status") == 404);
    CHECK(api.ask("GET", "/api/v1/openapi.json") == 200);
    CHECK(api.answer()["openapi"] == "3.1.0");
    CHECK(api.ask("HEAD", "/api/v1/status") == 200);
    api.request.query = {{"cluster", "blog"}, {"after", "12"}};
    CHECK(api.ask("GET", "/api/v1/sessions") == 200);
    CHECK(api.answer()["of"] == "blog");
    CHECK(api.ask("GET", "/api/v1/events") == 200);
    CHECK(api.answer()["after"] == 12);
    for (const char* bad : {"-1", "1x", "99999999999999999999"}) {
        api.request.query["after"] = bad;
        CHECK(api.ask("GET", "/api/v1/events") == 400);
    }
}

TEST_CASE("api: how many sessions are listed is bounded, and which is the caller's to say") {
    Api api;
    CHECK(api.ask("GET", "/api/v1/sessions") == 200);
    CHECK(api.answer() == json::parse(R"({"of":"","filter":"","order":"waiting","offset":0,"limit":100})"));
    api.request.query = {
        {"cluster", "a"}, {"filter", "x y"}, {"order", "bytes"}, {"offset", "2000"}, {"limit", "500"}};
    CHECK(api.ask("GET", "/api/v1/sessions") == 200);
    CHECK(api.answer() ==
          json::parse(R"({"of":"a","filter":"x y","order":"bytes","offset":2000,"limit":500})"));
    for (const auto& [name, value] :
         std::initializer_list<std::pair<const char*, const char*>>{{"limit", "0"},
                                                                    {"limit", "501"},
                                                                    {"limit", "-1"},
                                                                    {"limit", "all"},
                                                                    {"offset", "x"},
                                                                    {"order", "size"}}) {
        CAPTURE(value);
        api.request.query = {{name, value}};
        CHECK(api.ask("GET", "/api/v1/sessions") == 400);
    }
}

TEST_CASE("api: an answer may come later") {
    Api api;
    CHECK(api.ask("GET", "/api/v1/diff") == 0);
    api.control.later(refusal(422, "no good", "mend it"));
    CHECK(api.page->status == 422);
    CHECK(api.answer() == json::parse(R"({"error":{"message":"no good","advice":"mend it"}})"));
}

TEST_CASE("timeline: keeps what operators ask about, and passes everything on") {
    class Kept final : public Log {
    public:
        bool enabled(LogLevel level) const override { return level >= LogLevel::warn; }
        void write(LogLevel, std::string_view event, std::initializer_list<LogField>) override {
            lines += std::string(event) + " ";
        }
        std::string lines;
    } log;
    Timeline timeline(log);
    timeline.debug("primary_changed", {});
    timeline.info("primary_changed", {{"to", "pg2"}, {"epoch", 3}});
    timeline.warn("primary_lost", {{"reason", "gone"}});
    timeline.warn("session_closed", {});
    CHECK(log.lines == "primary_lost session_closed ");
    const json all = timeline.since(0);
    REQUIRE(all.size() == 2);
    CHECK(all[0]["event"] == "primary_changed");
    CHECK(all[0]["fields"] == json::parse(R"({"to":"pg2","epoch":3})"));
    CHECK(all[0]["time_ms"].get<int64_t>() > 1'700'000'000'000);
    CHECK(timeline.since(1).size() == 1);
    CHECK(timeline.since(2).empty());
    for (size_t i = 0; i < 2 * Timeline::events_max; ++i) timeline.info("ready", {});
    CHECK(timeline.since(0).size() == Timeline::events_max);
    CHECK(timeline.since(0).back()["number"] == 2 + 2 * Timeline::events_max);
}
