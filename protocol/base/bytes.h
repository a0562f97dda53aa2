#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

/// Bytes that somebody else owns. A function that returns one says how long it lives.
using Bytes = std::span<const std::byte>;
using ByteBuffer = std::vector<std::byte>;

inline Bytes as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(Bytes bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline void append(ByteBuffer& buffer, Bytes bytes) {
    buffer.insert(buffer.end(), bytes.begin(), bytes.end());
}
inline void append(ByteBuffer& buffer, std::string_view text) {
    append(buffer, as_bytes(text));
}

/// Network byte order reads; the caller has checked that the bytes are there.
inline uint16_t load_u16(const std::byte* at) {
    uint16_t value;
    std::memcpy(&value, at, sizeof value);
    return __builtin_bswap16(value);
}
inline uint32_t load_u32(const std::byte* at) {
    uint32_t value;
    std::memcpy(&value, at, sizeof value);
    return __builtin_bswap32(value);
}
inline void store_u32(std::byte* at, uint32_t value) {
    value = __builtin_bswap32(value);
    std::memcpy(at, &value, sizeof value);
}

/// Reads a bounded run of bytes from front to back. After a read that would pass the end, `failed()` is
/// true, the value read is empty or zero, and every later read fails too: check once, at the end.
class Reader {
public:
    explicit Reader(Bytes bytes) : rest_(bytes) {}

    bool failed() const { return failed_; }
    bool at_end() const { return rest_.empty(); }
    Bytes rest() const { return rest_; }

    uint8_t u8() {
        const Bytes at = take(1);
        return at.empty() ? uint8_t{0} : std::to_integer<uint8_t>(at[0]);
    }
    uint16_t u16() {
        const Bytes at = take(2);
        return at.empty() ? uint16_t{0} : load_u16(at.data());
    }
    uint32_t u32() {
        const Bytes at = take(4);
        return at.empty() ? uint32_t{0} : load_u32(at.data());
    }
    /// Exactly `size` bytes, a view into the input.
    Bytes take(size_t size) {
        if (failed_ || size > rest_.size()) {
            failed_ = true;
            rest_ = {};
            return {};
        }
        const Bytes taken = rest_.first(size);
        rest_ = rest_.subspan(size);
        return taken;
    }
    /// The text up to the next NUL, which is consumed; a view into the input.
    std::string_view text() {
        if (!failed_ && !rest_.empty()) {
            if (const void* end = std::memchr(rest_.data(), 0, rest_.size())) {
                const auto size = static_cast<size_t>(static_cast<const std::byte*>(end) - rest_.data());
                const std::string_view found = as_text(rest_.first(size));
                rest_ = rest_.subspan(size + 1);
                return found;
            }
        }
        failed_ = true;
        rest_ = {};
        return {};
    }

private:
    Bytes rest_;
    bool failed_ = false;
};

/// Appends network-order values to a buffer that the caller owns.
class Writer {
public:
    explicit Writer(ByteBuffer& out) : out_(out) {}

    Writer& u8(uint8_t value) {
        out_.push_back(std::byte{value});
        return *this;
    }
    Writer& u16(uint16_t value) {
        return u8(static_cast<uint8_t>(value >> 8)).u8(static_cast<uint8_t>(value));
    }
    Writer& u32(uint32_t value) {
        return u16(static_cast<uint16_t>(value >> 16)).u16(static_cast<uint16_t>(value));
    }
    Writer& bytes(Bytes value) {
        append(out_, value);
        return *this;
    }
    /// The text and a NUL after it; the text must not contain one.
    Writer& text(std::string_view value) {
        append(out_, value);
        return u8(0);
    }

private:
    ByteBuffer& out_;
};

}  // namespace holdfast
