#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "protocol/base/ids.h"

namespace holdfast {

enum class LogLevel { debug, info, warn, error };

/// One name and its value of a log line. The views live until the call returns.
struct LogField {
    std::string_view name;
    std::variant<std::string_view, int64_t, uint64_t, double, bool> value;

    LogField(std::string_view n, std::string_view v) : name(n), value(v) {}
    LogField(std::string_view n, const std::string& v) : name(n), value(std::string_view(v)) {}
    LogField(std::string_view n, const char* v) : name(n), value(std::string_view(v)) {}
    LogField(std::string_view n, bool v) : name(n), value(v) {}
    LogField(std::string_view n, double v) : name(n), value(v) {}
    template <typename T>
    requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) LogField(std::string_view n, T v)
        : name(n), value(int64_t{0}) {
        if constexpr (std::is_signed_v<T>) {
            value = static_cast<int64_t>(v);
        } else {
            value = static_cast<uint64_t>(v);
        }
    }
    template <typename Tag>
    LogField(std::string_view n, Id<Tag> v) : name(n), value(v.value) {}
};

/// Where log lines go. One event, one line; never SQL text, passwords or keys.
class Log {
public:
    virtual ~Log() = default;
    virtual bool enabled(LogLevel level) const = 0;
    virtual void write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) = 0;

    void debug(std::string_view event, std::initializer_list<LogField> fields) {
        if (enabled(LogLevel::debug)) write(LogLevel::debug, event, fields);
    }
    void info(std::string_view event, std::initializer_list<LogField> fields) {
        if (enabled(LogLevel::info)) write(LogLevel::info, event, fields);
    }
    void warn(std::string_view event, std::initializer_list<LogField> fields) {
        if (enabled(LogLevel::warn)) write(LogLevel::warn, event, fields);
    }
    void error(std::string_view event, std::initializer_list<LogField> fields) {
        if (enabled(LogLevel::error)) write(LogLevel::error, event, fields);
    }
};

/// Drops every line: for tests.
class NullLog final : public Log {
public:
    bool enabled(LogLevel) const override { return false; }
    void write(LogLevel, std::string_view, std::initializer_list<LogField>) override {}
};

}  // namespace holdfast
