#pragma once

#include <deque>
#include <mutex>
#include <string>

#include <nlohmann/json.hpp>

#include "protocol/base/log.h"

namespace holdfast::admin {

/// The latest events that an operator asks about (roles, states, reloads, orders), besides going to the log:
/// it stands before the program's log and passes every line on. Usable from every thread; the log must
/// outlive it.
class Timeline final : public Log {
public:
    static constexpr size_t events_max = 500;

    explicit Timeline(Log& log) : log_(log) {}

    bool enabled(LogLevel level) const override { return level >= LogLevel::info || log_.enabled(level); }
    void write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) override;

    /// Those with a number above `after`, oldest first: objects with "number", "time_ms" (Unix), "level",
    /// "event" and the line's fields.
    nlohmann::json since(uint64_t after) const;

private:
    Log& log_;
    mutable std::mutex mutex_;
    std::deque<nlohmann::json> events_;
    uint64_t last_ = 0;
};

}  // namespace holdfast::admin
