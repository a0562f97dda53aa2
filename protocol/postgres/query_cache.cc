#include "protocol/postgres/query_cache.h"

#include <array>
#include <cstring>
#include <functional>

#include "protocol/base/limits.h"

namespace holdfast::postgres {
namespace {

enum class CharKind : uint8_t {
    plain,
    digit,
    word,  // next to a digit it makes the digit part of a name, of 1e5 or of 0x1f
    stop,  // from here on digits may stand in a literal or a quoted name
};

constexpr auto kinds = [] {
    std::array<CharKind, 256> made{};
    for (unsigned c = '0'; c <= '9'; ++c) made[c] = CharKind::digit;
    for (unsigned c = 'a'; c <= 'z'; ++c) made[c] = made[c - 'a' + 'A'] = CharKind::word;
    for (unsigned c = 0x80; c <= 0xff; ++c) made[c] = CharKind::word;
    made['_'] = CharKind::word;
    for (const char c : std::string_view("'\"$\\`\0", 6)) made[static_cast<uint8_t>(c)] = CharKind::stop;
    return made;
}();

CharKind kind(char c) {
    return kinds[static_cast<uint8_t>(c)];
}

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

/// A quick look at the first letter: most of what is never kept is not looked for either.
bool may_be_kept(std::string_view text) {
    if (text.empty() || text.size() > limits::query_cache_text_bytes_max) return false;
    switch (text[0] | 0x20) {
        case 's':
        case 'i':
        case 'u':
        case 'd':
        case 'w': return true;
        default: return false;
    }
}

/// Other statements have numbers that mean something: EXPLAIN (ANALYZE 0), SET transaction_read_only = 1.
bool is_query(std::string_view text) {
    for (const std::string_view verb : {"select", "insert", "update", "delete", "with"}) {
        if (text.size() <= verb.size() || kind(text[verb.size()]) != CharKind::plain) continue;
        size_t same = 0;
        while (same < verb.size() && lower(text[same]) == verb[same]) ++same;
        if (same == verb.size()) return true;
    }
    return false;
}

bool leaves_nothing(const sql::Classification& classes) {
    if (classes.statement_count != 1 || classes.truncated || classes.same_connection) return false;
    const sql::Statement& only = classes.statements[0];
    return only.control == sql::Control::none && only.effects.empty() && only.name.empty() &&
           !only.executes_prepared && only.kill == sql::Statement::Kill::none;
}

}  // namespace

std::string_view QueryCache::key_of(std::string_view text) {
    if (!may_be_kept(text)) return {};
    if (key_.size() < text.size()) key_.resize(limits::query_cache_text_bytes_max);  // never longer than text
    char* to = key_.data();
    const char* at = text.data();
    const char* const end = at + text.size();
    bool after_word = false;
    while (at != end) {
        const CharKind each = kind(*at);
        if (each == CharKind::stop) {
            std::memcpy(to, at, static_cast<size_t>(end - at));
            to += end - at;
            break;
        }
        if (each != CharKind::digit) {
            after_word = each == CharKind::word;
            *to++ = *at++;
            continue;
        }
        const char* after = at;
        while (after != end && kind(*after) == CharKind::digit) ++after;
        const bool is_alone = !after_word && (after == end || kind(*after) == CharKind::plain);
        if (is_alone) {
            *to++ = '0';
            at = after;
        } else {
            while (at != after) *to++ = *at++;
        }
        after_word = true;
    }
    return {key_.data(), static_cast<size_t>(to - key_.data())};
}

void QueryCache::classify(std::string_view text, const sql::Context& context, uint64_t functions_version,
                          sql::Classification& out) {
    const bool is_plain =
        context.standard_conforming_strings && context.encoding_is_safe && !context.truncated;
    const std::string_view key = is_plain ? key_of(text) : std::string_view{};
    if (key.empty()) return sql::classify(sql::Dialect::postgres, text, context, out);

    if (entries_.empty()) entries_.resize(limits::query_cache_entries);
    auto& entry = entries_[std::hash<std::string_view>{}(key) % limits::query_cache_entries];
    if (entry && entry->functions_version == functions_version && entry->key == key) {
        if (out.statements.empty()) out.statements.emplace_back();
        out.statements[0] = entry->statement;
        out.statement_count = 1;
        out.destination = entry->destination;
        out.reason = entry->reason;
        out.has_effects = out.has_control = out.same_connection = out.truncated = false;
        return;
    }
    sql::classify(sql::Dialect::postgres, text, context, out);
    if (!is_query(text) || !leaves_nothing(out)) return;
    if (!entry) entry = std::make_unique<Entry>();
    entry->key = key;
    entry->functions_version = functions_version;
    entry->destination = out.destination;
    entry->reason = out.reason;
    entry->statement = out.statements[0];
}

}  // namespace holdfast::postgres
