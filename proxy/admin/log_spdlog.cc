#include "proxy/admin/log_spdlog.h"

#include <chrono>
#include <cstdlib>
#include <string>
#include <unistd.h>
#include <utility>

#include "proxy/admin/log_line.h"
#include "proxy/admin/log_sink.h"

namespace holdfast::admin {

namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
    switch (level) {
        case LogLevel::debug: return spdlog::level::debug;
        case LogLevel::info: return spdlog::level::info;
        case LogLevel::warn: return spdlog::level::warn;
        case LogLevel::error: return spdlog::level::err;
    }
    std::abort();
}

template <config::LogFormat format>
std::string describe_lost(uint64_t lost_lines) {
    std::string line;
    format_log_line(format, std::chrono::system_clock::now(), LogLevel::warn, "log_lines_lost",
                    {{"lines", lost_lines}}, line);
    return line;
}

spdlog::sink_ptr stderr_sink(config::LogFormat format) {
    return std::make_shared<DescriptorSink>(STDERR_FILENO, format == config::LogFormat::json
                                                               ? describe_lost<config::LogFormat::json>
                                                               : describe_lost<config::LogFormat::logfmt>);
}

}  // namespace

LogLevel to_level(config::LogThreshold threshold) {
    switch (threshold) {
        case config::LogThreshold::debug: return LogLevel::debug;
        case config::LogThreshold::info: return LogLevel::info;
        case config::LogThreshold::warn: return LogLevel::warn;
        case config::LogThreshold::error: return LogLevel::error;
    }
    std::abort();
}

SpdLog::SpdLog(config::LogFormat format, LogLevel threshold)
    : SpdLog(format, threshold, stderr_sink(format)) {}

SpdLog::SpdLog(config::LogFormat format, LogLevel threshold, spdlog::sink_ptr sink)
    : format_(format), logger_("holdfast", std::move(sink)) {
    logger_.set_level(to_spdlog(threshold));
}

bool SpdLog::enabled(LogLevel level) const {
    return logger_.should_log(to_spdlog(level));
}

void SpdLog::write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
    if (!enabled(level)) return;
    written_[static_cast<size_t>(level)].fetch_add(1, std::memory_order_relaxed);
    thread_local std::string line;  // kept for its memory
    format_log_line(format_, std::chrono::system_clock::now(), level, event, fields, line);
    // The overload that takes a view: the line is text, not a format.
    logger_.log(to_spdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

std::array<uint64_t, SpdLog::level_count> SpdLog::written() const {
    std::array<uint64_t, level_count> counts{};
    for (size_t i = 0; i < counts.size(); ++i) counts[i] = written_[i].load(std::memory_order_relaxed);
    return counts;
}

void SpdLog::set_threshold(LogLevel threshold) {
    logger_.set_level(to_spdlog(threshold));
}

}  // namespace holdfast::admin
