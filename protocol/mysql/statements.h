#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "protocol/base/bytes.h"
#include "protocol/base/ref.h"
#include "protocol/dialect/dialect.h"
#include "protocol/sql/classify.h"

namespace holdfast::mysql {

/// A statement's text with what the classifier says of it. Shared by all sessions that prepare the same text;
/// immutable once made, but for a new classification when the function catalog has changed.
struct Statement : Counted {
    std::string text;
    sql::Classification classes;
    uint64_t functions_version = 0;
    bool too_long = false;  // only the beginning of the text was kept; can't be prepared again elsewhere
};
using StatementRef = Ref<Statement>;

/// Statements by text, so that each is classified once. Unused ones stay for a while, up to a bound.
class StatementCache {
public:
    explicit StatementCache(const dialect::ClassifierSources& sources) : sources_(sources) {}

    /// `context` is how the text is read; one whose `is_usual` is false bypasses the cache.
    StatementRef intern(std::string_view text, const sql::Context& context, bool is_usual);
    const dialect::ClassifierSources& sources() const { return sources_; }

private:
    void sweep();
    void classify(Statement& statement, const sql::Context& context) const;

    const dialect::ClassifierSources& sources_;
    std::unordered_map<std::string_view, StatementRef> by_text_;  // keys are views into the statements
    size_t bytes_ = 0;
};

/// A prepared statement as one client knows it, and what each of its server connections has of it.
struct Prepared {
    StatementRef statement;
    std::array<uint32_t, dialect::slot_count> server_id{};
    std::array<uint32_t, dialect::slot_count> generation{};  // of the slot, when `server_id` was true
    std::array<bool, dialect::slot_count> has_types{};       // the connection was told the parameters' types
    uint16_t parameters = 0;
    std::string types;           // of the parameters, as the client last sent them; two bytes each
    std::string error;           // the ERR payload that preparing it again ended with; empty: none
    bool has_long_data = false;  // on the primary's connection
    bool has_cursor = false;     // likewise
};

}  // namespace holdfast::mysql
