#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include <spdlog/logger.h>

#include "config/settings.h"
#include "protocol/base/log.h"

namespace holdfast::admin {

LogLevel to_level(config::LogThreshold threshold);

/// The program's log: one event, one line, in logfmt or JSON, to stderr by way of spdlog. Writing never waits
/// for the reader of stderr (DescriptorSink). Usable from every thread, and for as long as it lives.
class SpdLog final : public Log {
public:
    SpdLog(config::LogFormat format, LogLevel threshold);
    /// The same to a sink of the caller's.
    SpdLog(config::LogFormat format, LogLevel threshold, spdlog::sink_ptr sink);

    bool enabled(LogLevel level) const override;
    void write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) override;

    static constexpr size_t level_count = 4;
    /// Lines written at each level since the start.
    std::array<uint64_t, level_count> written() const;

    /// From now on, lines below `threshold` are dropped.
    void set_threshold(LogLevel threshold);
    void set_format(config::LogFormat format) { format_ = format; }

private:
    std::atomic<config::LogFormat> format_;
    spdlog::logger logger_;
    std::array<std::atomic<uint64_t>, level_count> written_{};
};

}  // namespace holdfast::admin
