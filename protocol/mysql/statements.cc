#include "protocol/mysql/statements.h"

#include "protocol/base/limits.h"

namespace holdfast::mysql {

StatementRef StatementCache::intern(std::string_view text, const sql::Context& context, bool is_usual) {
    if (is_usual) {
        if (const auto found = by_text_.find(text); found != by_text_.end()) {
            Statement& statement = *found->second;
            if (statement.functions_version != sources_.functions_version) classify(statement, context);
            return found->second;
        }
    }
    StatementRef made(new Statement);
    made->text.assign(text);
    made->too_long = context.truncated;
    classify(*made, context);
    if (is_usual) {
        if (by_text_.size() >= limits::statement_cache_entries_max ||
            bytes_ > limits::statement_cache_bytes_max) {
            sweep();
            // All of them in use: this one is not shared, which costs a session its own copy and no more.
            if (by_text_.size() >= limits::statement_cache_entries_max / 2) return made;
        }
        bytes_ += text.size();
        by_text_.emplace(made->text, made);
    }
    return made;
}

void StatementCache::classify(Statement& statement, const sql::Context& context) const {
    sql::Context with_functions = context;
    with_functions.functions = sources_.functions;
    sql::classify(sql::Dialect::mysql, statement.text, with_functions, statement.classes);
    statement.functions_version = sources_.functions_version;
}

void StatementCache::sweep() {
    for (auto it = by_text_.begin(); it != by_text_.end();) {
        if (it->second->use_count() == 1) {
            bytes_ -= it->second->text.size();
            it = by_text_.erase(it);
        } else {
            ++it;
        }
    }
}

}  // namespace holdfast::mysql
