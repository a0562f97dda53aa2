#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocol/sql/characters.h"
#include "protocol/sql/keywords.h"

namespace holdfast::sql {

struct KeywordEntry {
    std::string_view word;
    Keyword keyword;
};

/// Words by a hash that ignores the case of letters, made at compile time.
template <size_t count>
class KeywordTable {
public:
    explicit constexpr KeywordTable(const KeywordEntry (&entries)[count]) : entries_(entries) {
        for (size_t i = 0; i < count; ++i) {
            // A word whose slot is taken has the next free one.
            size_t slot = slot_of(entries[i].word);
            while (slots_[slot] != 0) slot = (slot + 1) % slots_count;
            slots_[slot] = static_cast<uint8_t>(i + 1);
        }
    }

    Keyword find(std::string_view word) const {
        for (size_t slot = slot_of(word); slots_[slot] != 0; slot = (slot + 1) % slots_count) {
            const KeywordEntry& entry = entries_[slots_[slot] - 1];
            if (word.size() == entry.word.size() && characters::equals_folded(word, entry.word)) {
                return entry.keyword;
            }
        }
        return Keyword::none;
    }

private:
    static constexpr size_t slots_count = 1024;  // four times the words: most are found at the first look
    static_assert(count * 4 <= slots_count);
    static_assert(count < 255, "0 marks a free slot");

    static constexpr size_t slot_of(std::string_view word) {
        // 0x20 folds the case of letters, and does no harm to what can't be a keyword.
        const auto at = [&](size_t i) {
            return static_cast<size_t>(static_cast<unsigned char>(word[i]) | 0x20U);
        };
        const size_t size = word.size();
        return (size * 83 + at(0) * 7 + at(size / 2) * 37 + at(size - 1) * 151) % slots_count;
    }

    const KeywordEntry (&entries_)[count];
    std::array<uint8_t, slots_count> slots_{};
};

template <size_t count>
constexpr size_t longest_keyword(const KeywordEntry (&entries)[count]) {
    size_t longest = 0;
    for (const KeywordEntry& entry : entries) longest = std::max(longest, entry.word.size());
    return longest;
}

}  // namespace holdfast::sql
