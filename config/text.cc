#include "config/text.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace holdfast::config {
namespace {

constexpr size_t quoted_bytes_max = 80;
/// Longer words are no misspelt setting; the bound keeps the distance table small.
constexpr size_t word_bytes_max = 40;

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// Letters to change, add, leave out or swap with a neighbour (optimal string alignment).
size_t distance(std::string_view a, std::string_view b) {
    using Row = std::array<size_t, word_bytes_max + 1>;
    Row before_previous{};
    Row previous{};
    Row current{};
    for (size_t j = 0; j <= b.size(); ++j) previous[j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        current[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t change = lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1;
            current[j] = std::min({previous[j] + 1, current[j - 1] + 1, previous[j - 1] + change});
            const bool is_swapped =
                i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]);
            if (is_swapped) current[j] = std::min(current[j], before_previous[j - 2] + 1);
        }
        before_previous = previous;
        previous = current;
    }
    return previous[b.size()];
}

}  // namespace

std::string without_controls(std::string_view text) {
    std::string out{text};
    for (char& c : out) {
        const bool is_control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
        if (is_control) c = '?';
    }
    return out;
}

std::string printable(std::string_view text) {
    std::string out = without_controls(text.substr(0, quoted_bytes_max));
    if (text.size() > quoted_bytes_max) {
        // The cut must not split a character.
        while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0x80U) != 0) out.pop_back();
        out += "...";
    }
    return out;
}

std::string quote(std::string_view text) {
    return "'" + printable(text) + "'";
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
    if (word.empty() || word.size() > word_bytes_max) return {};
    std::string_view best;
    size_t best_distance = std::clamp(word.size() / 3, size_t{1}, size_t{3}) + 1;
    for (const std::string_view candidate : candidates) {
        if (candidate.empty() || candidate.size() > word_bytes_max) continue;
        const size_t d = distance(word, candidate);
        if (d < best_distance) {
            best = candidate;
            best_distance = d;
        }
    }
    return best;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    size_t begin = 0;
    for (size_t end = text.find(separator); end != std::string_view::npos;
         end = text.find(separator, begin)) {
        parts.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    parts.push_back(text.substr(begin));
    return parts;
}

std::string_view trim(std::string_view text) {
    constexpr std::string_view blanks = " \t\r\n";
    const size_t begin = text.find_first_not_of(blanks);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

}  // namespace holdfast::config
