#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/sql/classify.h"

namespace holdfast::postgres {

/// What the classifier said of simple queries, so that an application's few queries, sent over and over with
/// other numbers in them, are read once: classifying costs more than all else that a small query asks of the
/// proxy. Kept are single SELECT, INSERT, UPDATE, DELETE and WITH statements that leave nothing behind in
/// their session. One for all sessions of a database; owned by its StatementCache.
///
/// The key is the text with each number before its first quote, dollar or backslash replaced by one digit: in
/// these statements the classifier looks at no number's value, and no such number is part of anything else.
/// The table is small and a newcomer takes the place of what was there: nothing has to be swept.
class QueryCache {
public:
    /// Like sql::classify(), but for the places of statements (begin, end), which `out` may not tell.
    /// context            only what reads plain text in the default way is kept: standard_conforming_strings
    ///                    and a safe encoding
    /// functions_version  of context.functions: an answer from another version is no answer
    void classify(std::string_view text, const sql::Context& context, uint64_t functions_version,
                  sql::Classification& out);

    /// The text with its numbers made alike; for tests. Empty: it is not looked for.
    std::string_view key_of(std::string_view text);

private:
    struct Entry {
        std::string key;
        uint64_t functions_version = 0;
        sql::Destination destination = sql::Destination::primary;  // of the message …
        sql::Reason reason = sql::Reason::unparsed;
        sql::Statement statement;  // … and its only statement
    };

    std::vector<char> key_;  // where key_of() writes
    std::vector<std::unique_ptr<Entry>> entries_;
};

}  // namespace holdfast::postgres
