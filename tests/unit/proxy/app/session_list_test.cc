#include "proxy/app/session_list.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace holdfast;
using namespace holdfast::app;
using namespace std::chrono_literals;
using admin::SessionOrder;
using admin::SessionQuery;

namespace {

ListedSession session(uint64_t id) {
    ListedSession made;
    made.info.id = SessionId{id};
    made.info.user = "app";
    made.info.database = "shop";
    made.info.peer = "10.0.0.7:40112";
    made.info.state = engine::ClientState::idle;
    made.cluster = "shop";
    return made;
}

/// The numbers of those that are listed.
std::vector<uint64_t> ids(const nlohmann::json& answer) {
    std::vector<uint64_t> out;
    for (const auto& each : answer["sessions"]) out.push_back(each["id"].get<uint64_t>());
    return out;
}

using Ids = std::vector<uint64_t>;

}  // namespace

TEST_CASE("session list: those that wait longest come first, and every other order") {
    std::vector<ListedSession> all;
    for (uint64_t id = 1; id <= 4; ++id) all.push_back(session(id));
    all[1].info.held = 1s;
    all[2].info.held = 3s;
    all[3].info.running = 9s;
    all[0].info.lived = 5s;
    all[3].info.lived = 7s;
    all[1].info.statements = 10;
    all[2].info.bytes_in = 4;
    all[3].info.bytes_out = 5;
    std::reverse(all.begin(), all.end());
    const auto in = [&](SessionOrder order) { return ids(list_sessions(all, {.order = order})); };
    CHECK(in(SessionOrder::waiting) == Ids{3, 2, 4, 1});
    CHECK(in(SessionOrder::id) == Ids{1, 2, 3, 4});
    CHECK(in(SessionOrder::age) == Ids{4, 1, 2, 3});
    CHECK(in(SessionOrder::statements) == Ids{2, 1, 3, 4});
    CHECK(in(SessionOrder::bytes) == Ids{4, 3, 1, 2});
}

TEST_CASE("session list: a part of them, and how many there are") {
    std::vector<ListedSession> all;
    for (uint64_t id = 1; id <= 5; ++id) all.push_back(session(id));
    const auto part = list_sessions(all, {.offset = 1, .limit = 2});
    CHECK(ids(part) == Ids{2, 3});
    CHECK(part["total"] == 5);
    CHECK(part["matching"] == 5);
    CHECK(part["complete"] == false);
    CHECK(ids(list_sessions(all, {.offset = 4, .limit = 1'000})) == Ids{5});
    CHECK(ids(list_sessions(all, {.offset = ~size_t{0}, .limit = ~size_t{0}})).empty());
    CHECK(list_sessions(all, {})["complete"] == true);
    CHECK(list_sessions({}, {})["total"] == 0);
}

TEST_CASE("session list: a filter's words may be anywhere in what is shown") {
    std::vector<ListedSession> all = {session(1), session(2), session(3)};
    all[1].info.application_name = "Nightly report";
    all[1].server = "pg2";
    all[2].info.state = engine::ClientState::in_transaction;
    all[2].info.pinned_by = "temporary tables";
    const auto found = [&](const char* filter) { return ids(list_sessions(all, {.filter = filter})); };
    CHECK(found("NIGHTLY") == Ids{2});
    CHECK(found("  report   pg2 ") == Ids{2});
    CHECK(found("report pg3").empty());
    CHECK(found("in_transaction") == Ids{3});
    CHECK(found("temporary") == Ids{3});
    CHECK(found("appshop").empty());  // not across fields
    CHECK(found(" ") == Ids{1, 2, 3});
    const auto answer = list_sessions(all, {.filter = "nightly"});
    CHECK(answer["matching"] == 1);
    CHECK(answer["total"] == 3);
    CHECK(answer["complete"] == true);
}

TEST_CASE("session list: what is shown of one") {
    ListedSession one = session(7);
    one.info.state = engine::ClientState::held;
    one.info.waits_for = "there is no primary";
    one.info.held = 1500ms;
    one.reads_from = "pg2";
    CHECK(list_sessions({one}, {})["sessions"][0] ==
          nlohmann::json::parse(R"({"id":7,"cluster":"shop","user":"app","database":"shop","application":"",
              "client":"10.0.0.7:40112","listener":"auto","state":"held","waits_for":"there is no primary",
              "server":null,"reads_from":"pg2","pinned_by":"","age_s":0.0,"running_s":null,"held_s":1.5,
              "statements":0,"bytes_in":0,"bytes_out":0})"));
}

TEST_CASE("session list: ten thousand sessions stop the event loop for milliseconds") {
    std::vector<ListedSession> all;
    for (uint64_t id = 1; id <= 10'000; ++id) {
        all.push_back(session(id));
        if (id % 3 == 0) all.back().info.held = std::chrono::microseconds(id * 7919 % 10'007);
    }
    const auto measure = [&](const SessionQuery& query) {
        double best = 1;  // a machine that is busy with other things tells nothing
        for (int i = 0; i < 10; ++i) {
            auto copy = all;
            const auto began = std::chrono::steady_clock::now();
            const std::string text = list_sessions(std::move(copy), query).dump();
            const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
            best = std::min(best, took.count());
        }
        return best;
    };
    const double usual = measure({});
    const double filtered = measure({.filter = "app 10.0.0.9"});
    const double most = measure({.limit = SessionQuery::limit_max});
    MESSAGE("usual " << usual * 1000 << " ms, filtered " << filtered * 1000 << " ms, the most " << most * 1000
                     << " ms");
    CHECK(usual < 0.005);
    CHECK(filtered < 0.010);
    CHECK(most < 0.015);
}
