#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "protocol/base/log.h"
#include "tests/simulation/events.h"

namespace holdfast::simulation {

/// What happens in a run, line by line with the virtual time, when somebody wants to read it.
class Trace {
public:
    Trace(const Events& events, bool enabled) : events_(events), enabled_(enabled) {}
    bool enabled() const { return enabled_; }
    void line(std::string_view who, std::string_view what) {
        if (!enabled_) return;
        const auto us =
            std::chrono::duration_cast<std::chrono::microseconds>(events_.now().time_since_epoch()).count() -
            3'600'000'000;
        std::printf("%10.6f %-10.*s %.*s\n", static_cast<double>(us) / 1e6, static_cast<int>(who.size()),
                    who.data(), static_cast<int>(what.size()), what.data());
    }

private:
    const Events& events_;
    bool enabled_;
};

/// The engine's log, as lines of the trace.
class TraceLog final : public Log {
public:
    explicit TraceLog(Trace& trace) : trace_(trace) {}
    bool enabled(LogLevel) const override { return trace_.enabled(); }
    void write(LogLevel, std::string_view event, std::initializer_list<LogField> fields) override {
        std::string text(event);
        for (const LogField& field : fields) {
            text += ' ';
            text += field.name;
            text += '=';
            std::visit(
                [&](const auto& value) {
                    using T = std::decay_t<decltype(value)>;
                    if constexpr (std::is_same_v<T, std::string_view>) {
                        text += value;
                    } else if constexpr (std::is_same_v<T, bool>) {
                        text += value ? "true" : "false";
                    } else {
                        text += std::to_string(value);
                    }
                },
                field.value);
        }
        trace_.line("proxy", text);
    }

private:
    Trace& trace_;
};

}  // namespace holdfast::simulation
