#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "protocol/base/bytes.h"
#include "protocol/base/ref.h"
#include "protocol/dialect/dialect.h"
#include "protocol/postgres/query_cache.h"
#include "protocol/sql/classify.h"

namespace holdfast::postgres {

/// A statement as a Parse message carries it, with what the classifier says of it. Shared by all sessions
/// that prepare the same text; immutable once made, but for a new classification when the function catalog
/// has changed.
struct Statement : Counted {
    std::string body;  // the Parse message's body behind the name: text, NUL, parameter types
    size_t text_bytes = 0;
    sql::Classification classes;
    uint64_t functions_version = 0;
    bool sql_level = false;  // made by PREPARE: replayed with the session's log, not by a Parse message
    bool too_long = false;   // only the beginning of the text was kept; can't be prepared again elsewhere

    std::string_view text() const { return std::string_view(body).substr(0, text_bytes); }
};
using StatementRef = Ref<Statement>;

/// Statements by text and parameter types, so that each is classified once. Unused ones stay for a while, up
/// to a bound.
class StatementCache {
public:
    explicit StatementCache(const dialect::ClassifierSources& sources) : sources_(sources) {}

    /// body    of a Parse message behind the name; it holds at least the text's NUL
    /// context how text is read; anything but the default bypasses the cache
    StatementRef intern(std::string_view body, const sql::Context& context);
    /// The same for the text of a simple query, which may hold several statements; where they begin and end
    /// is not told.
    void classify_query(std::string_view text, const sql::Context& context, sql::Classification& out) {
        queries_.classify(text, context, sources_.functions_version, out);
    }
    const dialect::ClassifierSources& sources() const { return sources_; }

private:
    void sweep();
    void classify(Statement& statement, const sql::Context& context) const;

    const dialect::ClassifierSources& sources_;
    std::unordered_map<std::string_view, StatementRef> by_body_;  // keys are views into the statements
    size_t bytes_ = 0;
    QueryCache queries_;
};

}  // namespace holdfast::postgres
