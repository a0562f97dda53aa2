#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "protocol/base/ref.h"
#include "protocol/dialect/dialect.h"
#include "protocol/sql/classify.h"

namespace holdfast::dialect {

/// A statement as clients prepare it, with what the classifier says of it. Shared by all sessions that
/// prepare the same one; immutable once made, but for a new classification when the function catalog has
/// changed.
struct Statement : Counted {
    std::string body;  // the text and, behind it, what else tells it apart (PostgreSQL: parameter types)
    size_t text_bytes = 0;
    sql::Classification classes;
    uint64_t functions_version = 0;
    sql::Context context;    // by which the text is read; without the functions
    bool sql_level = false;  // made by PREPARE: replayed with the session's log, not by a message
    bool too_long = false;   // only the beginning of the text was kept; can't be prepared again elsewhere

    std::string_view text() const { return std::string_view(body).substr(0, text_bytes); }
};
using StatementRef = Ref<Statement>;

/// Statements by what tells them apart, so that each is classified once. Unused ones stay for a while, up to
/// a bound.
class StatementCache {
public:
    StatementCache(sql::Dialect dialect, const ClassifierSources& sources)
        : dialect_(dialect), sources_(sources) {}

    /// text_bytes  how much of `body` is the text
    /// context     how the text is read
    /// is_usual    the context is the one that most sessions read texts in; any other bypasses the cache
    StatementRef intern(std::string_view body, size_t text_bytes, const sql::Context& context, bool is_usual);
    /// Classifies it anew if the function catalog has changed since. To be called before its classes are
    /// looked at.
    void refresh(Statement& statement) const {
        if (statement.functions_version != sources_.functions_version) classify(statement);
    }
    const ClassifierSources& sources() const { return sources_; }

private:
    void sweep();
    void classify(Statement& statement) const;

    sql::Dialect dialect_;
    const ClassifierSources& sources_;
    std::unordered_map<std::string_view, StatementRef> by_body_;  // keys are views into the statements
    size_t bytes_ = 0;
};

}  // namespace holdfast::dialect
