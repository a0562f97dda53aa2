#pragma once

#include <utility>

#include "config/settings.h"

namespace holdfast::loop {

/// A descriptor that is closed with its owner.
class Descriptor {
public:
    Descriptor() = default;
    explicit Descriptor(int number) : number_(number) {}
    Descriptor(Descriptor&& other) noexcept : number_(other.release()) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        if (this != &other) {
            reset();
            number_ = other.release();
        }
        return *this;
    }
    ~Descriptor() { reset(); }

    int get() const { return number_; }
    explicit operator bool() const { return number_ >= 0; }
    int release() { return std::exchange(number_, -1); }
    void reset();

private:
    int number_ = -1;
};

/// A non-blocking stream socket, closed on exec; without one (errno tells) the result is empty.
Descriptor open_stream_socket(int family);

/// No delay of small writes, and probes of a silent peer. On a listening socket: what it accepts inherits
/// them.
void set_tcp_options(int descriptor, const config::Keepalive& keepalive);

/// Takes the pending error of a socket; 0: none.
int take_socket_error(int descriptor);

}  // namespace holdfast::loop
