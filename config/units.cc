#include "config/units.h"

#include <array>
#include <limits>
#include <span>

#include "config/text.h"

namespace holdfast::config {
namespace {

struct Unit {
    std::string_view name;
    uint64_t factor;
};

constexpr std::array<Unit, 4> duration_units{{{"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}}};
constexpr std::array<Unit, 9> size_units{{{"B", 1},
                                          {"kB", 1'000},
                                          {"MB", 1'000'000},
                                          {"GB", 1'000'000'000},
                                          {"TB", 1'000'000'000'000},
                                          {"KiB", 1ULL << 10U},
                                          {"MiB", 1ULL << 20U},
                                          {"GiB", 1ULL << 30U},
                                          {"TiB", 1ULL << 40U}}};

/// Shared by both: what differs are the units and how the expectation is worded.
Result<uint64_t> parse_quantity(std::string_view text, std::span<const Unit> units,
                                std::string_view expected) {
    const auto misread = [&] {
        return Error{ErrorCode::bad_value, "expected " + std::string(expected) + ", found " + quote(text)};
    };
    const size_t digits = text.find_first_not_of("0123456789");
    if (digits == 0 || digits == std::string_view::npos) return misread();
    const Result<uint64_t> number = parse_number(text.substr(0, digits));
    if (!number) return number.error();
    for (const Unit& unit : units) {
        if (text.substr(digits) != unit.name) continue;
        if (*number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) / unit.factor) {
            return Error{ErrorCode::limit_exceeded, quote(text) + " is too large"};
        }
        return *number * unit.factor;
    }
    return misread();
}

}  // namespace

Result<uint64_t> parse_number(std::string_view text) {
    if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) {
        return Error{ErrorCode::bad_value, "expected a whole number, found " + quote(text)};
    }
    uint64_t value = 0;
    for (const char c : text) {
        const auto digit = static_cast<uint64_t>(c - '0');
        if (value > (std::numeric_limits<uint64_t>::max() - digit) / 10) {
            return Error{ErrorCode::limit_exceeded, quote(text) + " is too large"};
        }
        value = value * 10 + digit;
    }
    return value;
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
    const auto value =
        parse_quantity(text, duration_units, R"(a duration such as "500ms", "5s", "2m" or "1h")");
    if (!value) return value.error();
    return std::chrono::milliseconds{static_cast<int64_t>(*value)};
}

Result<uint64_t> parse_size(std::string_view text) {
    return parse_quantity(text, size_units, R"(a size such as "64kB", "64MiB" or "1GiB")");
}

std::string to_text(std::chrono::milliseconds duration) {
    const int64_t value = duration.count();
    if (value == 0) return "0s";
    if (value % 3'600'000 == 0) return std::to_string(value / 3'600'000) + "h";
    if (value % 60'000 == 0) return std::to_string(value / 60'000) + "m";
    if (value % 1'000 == 0) return std::to_string(value / 1'000) + "s";
    return std::to_string(value) + "ms";
}

std::string size_text(uint64_t bytes) {
    std::string shortest = std::to_string(bytes) + "B";
    if (bytes == 0) return shortest;
    for (const Unit& unit : size_units) {
        if (bytes % unit.factor != 0) continue;
        std::string text = std::to_string(bytes / unit.factor) + std::string(unit.name);
        if (text.size() < shortest.size()) shortest = std::move(text);
    }
    return shortest;
}

}  // namespace holdfast::config
