#include "config/environment.h"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace holdfast::config {
namespace {

class Descriptor {
public:
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    int get() const { return fd_; }

private:
    int fd_;
};

Error system_error(int number) {
    const std::string reason = std::generic_category().message(number);
    switch (number) {
        case ENOENT:
        case ENOTDIR: return {ErrorCode::not_found, reason};
        case EACCES:
        case EPERM: return {ErrorCode::denied, reason};
        default: return {ErrorCode::internal, reason};
    }
}

}  // namespace

Result<std::string> SystemEnvironment::read_file(const std::string& path, size_t bytes_max) {
    // Without O_NONBLOCK the open of a named pipe waits for its writer, perhaps forever.
    const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    if (file.get() < 0) return system_error(errno);
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return system_error(errno);
    if (!S_ISREG(status.st_mode)) return Error{ErrorCode::bad_value, "it is not a regular file"};

    std::string content;
    char chunk[16'384];
    while (true) {
        const ssize_t got = ::read(file.get(), chunk, sizeof chunk);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return system_error(errno);
        if (got == 0) return content;
        if (static_cast<size_t>(got) > bytes_max - content.size()) {
            return Error{ErrorCode::limit_exceeded,
                         "it is larger than " + std::to_string(bytes_max) + " bytes"};
        }
        content.append(chunk, static_cast<size_t>(got));
    }
}

std::optional<std::string> SystemEnvironment::variable(const std::string& name) {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
}

std::optional<unsigned> SystemEnvironment::permissions(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return std::nullopt;
    return static_cast<unsigned>(status.st_mode) & 0777U;
}

}  // namespace holdfast::config
