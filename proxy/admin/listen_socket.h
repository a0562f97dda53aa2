#pragma once

#include <cstdint>
#include <string>

#include "config/settings.h"
#include "protocol/base/result.h"

namespace holdfast::admin {

/// A descriptor that is closed when this object dies.
class Descriptor {
public:
    explicit Descriptor(int value) : value_(value) {}
    Descriptor(Descriptor&& other) noexcept : value_(other.release()) {}
    Descriptor& operator=(Descriptor&& other) noexcept;
    ~Descriptor();

    int get() const { return value_; }
    int release() {
        const int value = value_;
        value_ = -1;
        return value;
    }

private:
    int value_;
};

/// A non-blocking socket that listens at `endpoint`; names are resolved here, blocking, so call it at start
/// only. A Unix socket is made for the owner and group (0660). A leftover of a process that is gone is
/// replaced; a socket that somebody answers, or any other file, is not. errors  unreachable: the name or
/// address is not this host's; denied; bad_value: the path is too long;
///         bad_state: the address is in use; each message names the address.
Result<Descriptor> listen_at(const config::Endpoint& endpoint);

/// The port that a listening TCP socket got; 0 for others.
uint16_t port_of(int descriptor);

/// "127.0.0.1:9600", "[::1]:9600" or the path.
std::string to_text(const config::Endpoint& endpoint);

}  // namespace holdfast::admin
