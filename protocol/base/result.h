#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace holdfast {

/// What kind of thing went wrong; the text beside it says what, to what, and what to do.
enum class ErrorCode {
    bad_length,      // a length that its container or the protocol does not allow
    bad_value,       // a value outside what the protocol, the type or the setting allows
    bad_state,       // right bytes at the wrong moment
    limit_exceeded,  // larger than a bound of limits.h or of the configuration
    unsupported,     // understood, and not served
    refused,         // the other side said no
    unreachable,     // the other side can't be reached
    timed_out,
    not_found,
    denied,    // authentication or authorisation failed
    internal,  // a library or the system failed in a way that nobody outside caused
};

struct Error {
    ErrorCode code;
    std::string message;
};

/// A value or an Error: the part of std::expected that C++20 lacks.
template <typename T>
class [[nodiscard]] Result {
public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

    explicit operator bool() const { return state_.index() == 0; }
    bool ok() const { return state_.index() == 0; }

    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(value()); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

    T& value() {
        assert(ok());
        return *std::get_if<0>(&state_);
    }
    const T& value() const {
        assert(ok());
        return *std::get_if<0>(&state_);
    }
    const Error& error() const {
        assert(!ok());
        return *std::get_if<1>(&state_);
    }

private:
    std::variant<T, Error> state_;
};

/// The Result of something that yields no value.
template <>
class [[nodiscard]] Result<void> {
public:
    Result() = default;
    Result(Error error) : error_(std::move(error)) {}

    explicit operator bool() const { return !error_; }
    bool ok() const { return !error_; }
    const Error& error() const {
        assert(error_);
        return *error_;
    }

private:
    std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace holdfast
