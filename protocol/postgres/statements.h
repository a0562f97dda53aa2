#pragma once

#include <algorithm>
#include <string_view>

#include "protocol/dialect/statements.h"
#include "protocol/postgres/query_cache.h"

namespace holdfast::postgres {

using dialect::Statement;
using dialect::StatementRef;

/// Statements as Parse messages carry them, and simple queries, so that each is classified once.
class StatementCache {
public:
    explicit StatementCache(const dialect::ClassifierSources& sources)
        : statements_(sql::Dialect::postgres, sources) {}

    /// body    of a Parse message behind the name: text, NUL, parameter types; it holds at least the NUL
    /// context how text is read; anything but the default bypasses the cache
    StatementRef intern(std::string_view body, const sql::Context& context) {
        const bool is_usual =
            context.standard_conforming_strings && context.encoding_is_safe && !context.truncated;
        return statements_.intern(body, std::min(body.find('\0'), body.size()), context, is_usual);
    }
    /// The same for the text of a simple query, which may hold several statements; where they begin and end
    /// is not told.
    void classify_query(std::string_view text, const sql::Context& context, sql::Classification& out) {
        queries_.classify(text, context, sources().functions_version, out);
    }
    void refresh(Statement& statement) { statements_.refresh(statement); }
    const dialect::ClassifierSources& sources() const { return statements_.sources(); }

private:
    dialect::StatementCache statements_;
    QueryCache queries_;
};

}  // namespace holdfast::postgres
