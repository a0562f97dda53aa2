#pragma once

#include <cstdint>
#include <string_view>

namespace holdfast::sql::postgres {

/// What calling a built-in function means for where its statement may run.
enum class FunctionClass : uint8_t {
    not_built_in,
    harmless,         // reads, or computes
    harmless_recent,  // harmless and built in since PostgreSQL 16 or later: in an older server somebody
                      // else's
    writing,
    sequence,       // nextval, setval: write, and currval of this session changes
    sequence_read,  // currval, lastval: answered by the session that called nextval
    advisory_lock,
    advisory_lock_transaction,  // released at the end of the transaction
    advisory_unlock,
    advisory_unlock_all,
    set_config,
    current_setting,
    set_seed,
    runs_sql,  // runs the SQL text of its argument
    stays,     // works on something that belongs to the transaction: descriptors of large objects, cursors
    server_local,    // administration of one server, or a look at it that makes sense on the primary only
    server_role,     // what only the primary answers rightly
    outside_effect,  // dblink and the like
};

/// The class of a function of pg_catalog (and of the well-known dblink); `name` as the server folds it.
/// Function names with their own syntax (coalesce, extract, …) are keywords, not built-in functions.
FunctionClass find_function(std::string_view name);

/// Whether `name` is in the list of harmless functions that every supported server has.
bool is_harmless_builtin(std::string_view name);
/// Whether `name` is in the list of harmless functions that came with PostgreSQL 16, 17 or 18.
bool is_recent_builtin(std::string_view name);

}  // namespace holdfast::sql::postgres
