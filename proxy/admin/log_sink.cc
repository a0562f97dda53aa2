#include "proxy/admin/log_sink.h"

#include <cerrno>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::admin {

namespace {

bool is_socket(int descriptor) {
    struct stat status {};
    return ::fstat(descriptor, &status) == 0 && S_ISSOCK(status.st_mode);
}

/// A pipe reports writable when PIPE_BUF bytes fit, and no line is longer than that.
bool is_writable_now(int descriptor) {
    pollfd entry{descriptor, POLLOUT, 0};
    return ::poll(&entry, 1, 0) == 1 && (entry.revents & POLLOUT) != 0;
}

}  // namespace

DescriptorSink::DescriptorSink(int descriptor, DescribeLost describe_lost)
    : descriptor_(descriptor), is_socket_(is_socket(descriptor)), describe_lost_(describe_lost) {}

void DescriptorSink::sink_it_(const spdlog::details::log_msg& message) {
    if (lost_lines_ > 0) {
        if (!write_line(describe_lost_(lost_lines_))) {
            ++lost_lines_;
            return;
        }
        lost_lines_ = 0;
    }
    if (!write_line({message.payload.data(), message.payload.size()})) ++lost_lines_;
}

bool DescriptorSink::write_line(std::string_view line) {
    line_.assign(line);
    line_ += '\n';
    // A socket's readiness promises no number of bytes, but a socket can be asked not to wait.
    if (!is_socket_ && !is_writable_now(descriptor_)) return false;
    ssize_t written = 0;
    do {
        written = is_socket_ ? ::send(descriptor_, line_.data(), line_.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                             : ::write(descriptor_, line_.data(), line_.size());
    } while (written < 0 && errno == EINTR);
    return written > 0;  // a line cut by a full disk or socket is out as far as it went: not again
}

}  // namespace holdfast::admin
