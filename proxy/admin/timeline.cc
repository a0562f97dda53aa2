#include "proxy/admin/timeline.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "proxy/admin/log_line.h"

namespace holdfast::admin {

namespace {

/// What belongs on it; clients can't cause any of these at will.
constexpr std::array kept = {
    std::string_view("server_state_changed"),
    std::string_view("primary_lost"),
    std::string_view("primary_changed"),
    std::string_view("primary_returned"),
    std::string_view("split_brain"),
    std::string_view("split_brain_over"),
    std::string_view("writes_resumed"),
    std::string_view("server_state_set"),
    std::string_view("server_state_forgotten"),
    std::string_view("cluster_paused"),
    std::string_view("cluster_resumed"),
    std::string_view("cluster_removed"),
    std::string_view("reload_applied"),
    std::string_view("reload_rejected"),
    std::string_view("session_killed"),
    std::string_view("ready"),
    std::string_view("stopping"),
};

}  // namespace

void Timeline::write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
    if (log_.enabled(level)) log_.write(level, event, fields);
    if (std::find(kept.begin(), kept.end(), event) == kept.end()) return;
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    nlohmann::json line;
    line["time_ms"] = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
    line["level"] = to_string(level);
    line["event"] = event;
    for (const LogField& field : fields) {
        std::visit([&](const auto& value) { line["fields"][std::string(field.name)] = value; }, field.value);
    }
    const std::lock_guard lock(mutex_);
    line["number"] = ++last_;
    events_.push_back(std::move(line));
    if (events_.size() > events_max) events_.pop_front();
}

nlohmann::json Timeline::since(uint64_t after) const {
    const std::lock_guard lock(mutex_);
    nlohmann::json found = nlohmann::json::array();
    for (const auto& event : events_) {
        if (event["number"].get<uint64_t>() > after) found.push_back(event);
    }
    return found;
}

}  // namespace holdfast::admin
