#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

namespace holdfast::dialect {

/// The SQLSTATE of a server's last error, without allocating. What is longer than one is cut.
class ErrorCode {
public:
    void set(std::string_view code) {
        const size_t size = std::min(code.size(), bytes_.size() - 1);
        std::copy_n(code.begin(), size, bytes_.begin());
        bytes_[size] = 0;
    }
    void clear() { bytes_[0] = 0; }
    /// Empty: no error.
    std::string_view view() const { return bytes_.data(); }

private:
    std::array<char, 6> bytes_{};
};

}  // namespace holdfast::dialect
