#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include <spdlog/sinks/base_sink.h>

namespace holdfast::admin {

/// A spdlog sink that writes each message and a newline to a descriptor, and never waits for its reader: a
/// log reader that has stopped must not stop the proxy. Lines that do not fit are dropped and counted; the
/// next line that does fit is preceded by one that tells how many are missing. The descriptor's own flags are
/// left alone, because stderr is usually shared with other processes. Usable from every thread. Does not own
/// the descriptor. A reader that is gone raises SIGPIPE, which the process must ignore.
class DescriptorSink final : public spdlog::sinks::base_sink<std::mutex> {
public:
    /// Makes the line that reports lost lines, without a newline.
    using DescribeLost = std::string (*)(uint64_t lost_lines);

    DescriptorSink(int descriptor, DescribeLost describe_lost);

protected:
    void sink_it_(const spdlog::details::log_msg& message) override;
    void flush_() override {}

private:
    bool write_line(std::string_view line);

    int descriptor_;
    bool is_socket_;
    DescribeLost describe_lost_;
    uint64_t lost_lines_ = 0;
    std::string line_;  // kept for its memory
};

}  // namespace holdfast::admin
