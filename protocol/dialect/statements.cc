#include "protocol/dialect/statements.h"

#include "protocol/base/limits.h"

namespace holdfast::dialect {

StatementRef StatementCache::intern(std::string_view body, size_t text_bytes, const sql::Context& context,
                                    bool is_usual) {
    if (is_usual) {
        if (const auto found = by_body_.find(body); found != by_body_.end()) {
            refresh(*found->second);
            return found->second;
        }
    }
    StatementRef made(new Statement);
    made->body.assign(body);
    made->text_bytes = text_bytes;
    made->too_long = context.truncated;
    made->context = context;
    made->context.functions = nullptr;
    classify(*made);
    if (is_usual) {
        if (by_body_.size() >= limits::statement_cache_entries_max ||
            bytes_ > limits::statement_cache_bytes_max) {
            sweep();
            // All of them in use: this one is not shared, which costs a session its own copy and no more.
            if (by_body_.size() >= limits::statement_cache_entries_max / 2) return made;
        }
        bytes_ += body.size();
        by_body_.emplace(made->body, made);
    }
    return made;
}

void StatementCache::classify(Statement& statement) const {
    sql::Context with_functions = statement.context;
    with_functions.functions = sources_.functions;
    sql::classify(dialect_, statement.text(), with_functions, statement.classes);
    statement.functions_version = sources_.functions_version;
}

void StatementCache::sweep() {
    for (auto it = by_body_.begin(); it != by_body_.end();) {
        if (it->second->use_count() == 1) {
            bytes_ -= it->second->body.size();
            it = by_body_.erase(it);
        } else {
            ++it;
        }
    }
}

}  // namespace holdfast::dialect
