#include "protocol/sql/classify.h"

#include <algorithm>

#include "protocol/base/limits.h"
#include "protocol/sql/classifier_base.h"
#include "protocol/sql/classify_mysql.h"
#include "protocol/sql/classify_postgres.h"

namespace holdfast::sql {
namespace {

/// One statement that is not looked into, for the primary.
void unread(std::string_view message, Reason reason, Classification& out) {
    if (out.statements.empty()) out.statements.emplace_back();
    out.statement_count = 1;
    Statement& statement = out.statements[0];
    reset(statement);
    statement.reason = reason;
    statement.may_commit = true;
    statement.begin = 0;
    statement.end = static_cast<uint32_t>(message.size());
    out.destination = Destination::primary;
    out.reason = reason;
    out.has_effects = false;
    out.has_control = false;
    out.same_connection = false;
}

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; });
}

}  // namespace

void classify(Dialect dialect, std::string_view message, const Context& context, Classification& out) {
    const bool is_too_long = message.size() > limits::statement_classified_bytes_max;
    const bool is_truncated = context.truncated || is_too_long;
    message = message.substr(0, limits::statement_classified_bytes_max);
    out.statement_count = 0;
    out.truncated = is_truncated;
    const bool is_readable = context.encoding_is_safe || is_ascii(message);
    if (!is_readable) return unread(message, is_truncated ? Reason::too_long : Reason::unparsed, out);
    Context actual = context;
    actual.truncated = is_truncated;
    switch (dialect) {
        case Dialect::postgres: return postgres::Classifier(message, actual, out).run();
        case Dialect::mysql: return mysql::Classifier(message, actual, out).run();
    }
}

}  // namespace holdfast::sql
