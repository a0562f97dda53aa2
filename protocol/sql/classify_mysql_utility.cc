#include <algorithm>
#include <iterator>

#include "protocol/base/numbers.h"
#include "protocol/sql/classify_mysql.h"

// SHOW, EXPLAIN, KILL, and the kinds of CREATE, ALTER, DROP and LOAD that are more than DDL or a write.
namespace holdfast::sql::mysql {
namespace {

// SHOW … of what all servers have alike, by its first word; in byte order.
constexpr std::string_view shown_alike[] = {
    "character", "charset",    "collation", "columns", "create", "databases",
    "engines",   "events",     "fields",    "grants",  "index",  "indexes",
    "keys",      "privileges", "schemas",   "storage", "tables", "triggers",
};
static_assert(std::is_sorted(std::begin(shown_alike), std::end(shown_alike)));

bool is_shown_alike(std::string_view word) {
    return std::binary_search(std::begin(shown_alike), std::end(shown_alike), word);
}

}  // namespace

void Classifier::show() {
    advance();
    if (is_text("full") || is_text("extended")) advance();
    if (is_text("full")) advance();
    const bool is_global = is_word(Keyword::global);
    if (is_global || is_word(Keyword::session) || is_word(Keyword::local)) advance();
    const std::string what = lower(text_of(current_));
    const bool is_warnings =
        what == "warnings" || what == "errors" || what == "profiles" || what == "profile";
    const bool is_count = what == "count" && next_.kind == TokenKind::left_paren;
    const bool is_table_status = what == "table" && has_text(next_, "status");
    const bool is_routine_status =
        (what == "function" || what == "procedure" || what == "package") && !has_text(next_, "code");
    if (is_count) {
        advance();  // COUNT(*) is no call here
        stay_on_connection();
    } else if (is_warnings || (what == "status" && !is_global)) {
        stay_on_connection();
    } else if (what == "variables") {
        demand(Reason::server_role);
    } else if (what == "master" || what == "slave" || what == "replica" || what == "binary" ||
               what == "replicas" || what == "binlog" || what == "all" || what == "relaylog") {
        demand(Reason::server_role);
    } else if (!is_shown_alike(what) && !is_table_status && !is_routine_status) {
        demand(Reason::server_local);
    }
    query_begin_ = current_.begin;
    query();
}

/// EXPLAIN, DESCRIBE and DESC: of a statement, a table or a connection.
void Classifier::explain() {
    advance();
    bool is_run = false;
    for (;;) {
        if (is_word(Keyword::analyze)) {
            is_run = true;
            advance();
        } else if (is_text("format") && next_.kind == TokenKind::equals) {
            advance();
            advance();
            advance();
        } else if ((is_text("extended") || is_text("partitions")) && next_.kind != TokenKind::end) {
            advance();
        } else if (is_word(Keyword::into) && next_.kind == TokenKind::user_variable) {
            assign_variables();
            advance();
            advance();
        } else {
            break;
        }
    }
    if (is_word(Keyword::for_)) return administration();
    explained(is_run);
}

/// ANALYZE of a statement runs it (MariaDB); ANALYZE TABLE writes statistics.
void Classifier::analyze() {
    advance();
    while (is_text("format") || is_text("extended") || is_text("partitions")) {
        const bool has_value = is_text("format");
        advance();
        if (!has_value || current_.kind != TokenKind::equals) continue;
        advance();
        advance();
    }
    switch (current_.keyword) {
        case Keyword::select:
        case Keyword::with:
        case Keyword::values:
        case Keyword::insert:
        case Keyword::replace:
        case Keyword::update:
        case Keyword::delete_: explained(/*is_run=*/true); break;
        default:
            if (current_.kind == TokenKind::left_paren) {
                explained(/*is_run=*/true);
            } else {
                ddl();
            }
    }
}

/// What EXPLAIN is about. It may call functions even when the statement is only planned.
void Classifier::explained(bool is_run) {
    is_planned_ = !is_run;
    switch (current_.keyword) {
        case Keyword::insert:
        case Keyword::replace:
        case Keyword::update:
        case Keyword::delete_: writing_query(Reason::explain_write); break;
        default: query(); break;
    }
    if (is_run && is_demanding_ && statement_->reason == Reason::write) {
        statement_->reason = Reason::explain_write;
    }
}

void Classifier::create() {
    advance();
    bool is_temporary = false;
    for (; !at_end(); advance()) {
        is_temporary = is_temporary || is_word(Keyword::temporary);
        const bool is_program = is_word(Keyword::procedure) || is_word(Keyword::function) ||
                                is_word(Keyword::trigger) || is_word(Keyword::event) ||
                                is_word(Keyword::package);
        if (is_program) {
            ddl();
            return body();
        }
        // Up to here there are only options such as OR REPLACE and DEFINER = user.
        const bool is_other = is_word(Keyword::table) || is_word(Keyword::role) || is_word(Keyword::schema) ||
                              is_text("view") || is_text("index") || is_text("database") ||
                              is_text("sequence") || is_text("server") || is_text("tablespace");
        const bool is_user = is_text("user") && next_.kind != TokenKind::user_variable;
        if (is_other || is_user) break;
    }
    if (is_temporary) {
        demand(Reason::temporary);
        effect_once(EffectKind::temporary);
    }
    ddl();
    statement_->may_commit = !is_temporary;
    // A query may be part of it.
    scan();
}

void Classifier::alter() {
    ddl();
    for (advance(); !at_end(); advance()) {
        if (is_word(Keyword::event)) return body();
        if (is_word(Keyword::table)) break;
    }
}

void Classifier::drop() {
    if (next_is_word(Keyword::prepare)) return deallocate();
    const bool is_temporary = next_is_word(Keyword::temporary);
    ddl();
    statement_->may_commit = !is_temporary;
}

/// LOAD DATA and LOAD XML, of a file of the client or of the server; LOAD INDEX INTO CACHE.
void Classifier::load() {
    advance();
    if (!is_text("data") && !is_text("xml")) return administration();
    demand(Reason::write);
    for (; !at_end() && !is_word(Keyword::into); advance()) {
        if (is_word(Keyword::local)) statement_->reason = Reason::copy_in;
    }
    assigns_read_variables_ = true;
    scan();
}

/// KILL [HARD | SOFT] [CONNECTION | QUERY] number. Other forms mean something to one server only.
void Classifier::kill() {
    administration();
    advance();
    if (is_text("hard") || is_text("soft")) advance();
    // Users and queries are numbered by nobody here.
    if (is_text("user") || (is_text("query") && has_text(next_, "id"))) return;
    statement_->kill = Statement::Kill::other;
    Statement::Kill kind = Statement::Kill::connection;
    if (is_text("query")) kind = Statement::Kill::query;
    if (is_text("connection") || is_text("query")) advance();
    const auto id = parse_number<uint64_t>(text_of(current_));
    if (current_.kind != TokenKind::number || !id) return;
    advance();
    if (!at_end()) return;
    statement_->kill = kind;
    statement_->kill_id = *id;
}

/// GET [CURRENT | STACKED] DIAGNOSTICS …: of the statement before, into variables.
void Classifier::get_diagnostics() {
    advance();
    if (is_text("current") || is_text("stacked")) advance();
    if (!is_text("diagnostics")) return unparsed();
    stay_on_connection();
    assigns_read_variables_ = true;
    scan();
    if (!is_demanding_) decide(Destination::transaction, Reason::session_state);
}

}  // namespace holdfast::sql::mysql
