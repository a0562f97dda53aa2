#include "proxy/app/session_list.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <utility>

#include "proxy/app/report.h"

namespace holdfast::app {

namespace {

using admin::SessionOrder;
using nlohmann::json;

double seconds(Duration duration) {
    return std::chrono::duration<double>(duration).count();
}

json or_null(const std::optional<Duration>& duration) {
    return duration ? json(seconds(*duration)) : json();
}

json or_null(std::string_view text) {
    return text.empty() ? json() : json(text);
}

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::vector<std::string> words_of(std::string_view filter) {
    std::vector<std::string> words(1);
    for (const char c : filter) {
        if (c != ' ') {
            words.back() += lower(c);
        } else if (!words.back().empty()) {
            words.emplace_back();
        }
    }
    if (words.back().empty()) words.pop_back();
    return words;
}

/// Whether each word is a part of something that is shown of the session. `text` is for its use alone: its
/// memory serves all sessions.
bool fits(const ListedSession& session, const std::vector<std::string>& words, std::string& text) {
    const engine::SessionInfo& info = session.info;
    text = std::to_string(info.id.value);
    for (const std::string_view part :
         {session.cluster, info.user, info.database, info.application_name, info.peer, to_string(info.state),
          info.waits_for, session.server, std::string_view(info.pinned_by)}) {
        text += '\n';
        text += part;
    }
    std::transform(text.begin(), text.end(), text.begin(), lower);
    return std::all_of(words.begin(), words.end(),
                       [&](const std::string& word) { return text.find(word) != std::string::npos; });
}

/// Whether `a` comes before `b`; of equal ones the older connection does.
bool is_before(const engine::SessionInfo& a, const engine::SessionInfo& b, SessionOrder order) {
    const auto decide = [&](const auto& of_a, const auto& of_b) {
        return of_a != of_b ? of_a > of_b : a.id.value < b.id.value;
    };
    switch (order) {
        case SessionOrder::id: return a.id.value < b.id.value;
        case SessionOrder::waiting:
            return a.held != b.held ? a.held > b.held : decide(a.running, b.running);  // nullopt is the least
        case SessionOrder::age: return decide(a.lived, b.lived);
        case SessionOrder::statements: return decide(a.statements, b.statements);
        case SessionOrder::bytes: return decide(a.bytes_in + a.bytes_out, b.bytes_in + b.bytes_out);
    }
    std::abort();
}

json describe(const ListedSession& session) {
    const engine::SessionInfo& info = session.info;
    json out;
    out["id"] = info.id.value;
    out["cluster"] = session.cluster;
    out["user"] = info.user;
    out["database"] = info.database;
    out["application"] = info.application_name;
    out["client"] = info.peer;
    out["listener"] = word(info.listener);
    out["state"] = to_string(info.state);
    out["waits_for"] = info.waits_for;
    out["server"] = or_null(session.server);
    out["reads_from"] = or_null(session.reads_from);
    out["pinned_by"] = info.pinned_by;
    out["age_s"] = seconds(info.lived);
    out["running_s"] = or_null(info.running);
    out["held_s"] = or_null(info.held);
    out["statements"] = info.statements;
    out["bytes_in"] = info.bytes_in;
    out["bytes_out"] = info.bytes_out;
    return out;
}

}  // namespace

json list_sessions(std::vector<ListedSession> all, const admin::SessionQuery& query) {
    std::vector<const ListedSession*> chosen;
    chosen.reserve(all.size());
    const std::vector<std::string> words = words_of(query.filter);
    std::string text;
    for (const ListedSession& each : all) {
        if (words.empty() || fits(each, words, text)) chosen.push_back(&each);
    }
    const size_t begin = std::min(query.offset, chosen.size());
    const size_t end = begin + std::min(query.limit, chosen.size() - begin);
    std::partial_sort(chosen.begin(), chosen.begin() + static_cast<std::ptrdiff_t>(end), chosen.end(),
                      [&](const ListedSession* a, const ListedSession* b) {
                          return is_before(a->info, b->info, query.order);
                      });
    json list = json::array();
    for (size_t i = begin; i < end; ++i) list.push_back(describe(*chosen[i]));
    return {{"sessions", std::move(list)},
            {"total", all.size()},
            {"matching", chosen.size()},
            {"complete", begin == 0 && end == chosen.size()}};
}

}  // namespace holdfast::app
