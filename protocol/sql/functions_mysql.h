#pragma once

#include <cstdint>
#include <string_view>

namespace holdfast::sql::mysql {

/// What calling a built-in function means for where its statement may run.
enum class FunctionClass : uint8_t {
    not_built_in,
    harmless,         // reads, or computes
    harmless_recent,  // harmless where it is built in; some servers don't have it, and there it is somebody's
    harmless_adjacent,  // harmless when the parenthesis follows at once; with a space the name may be a
                        // stored function's
    sequence,           // NEXTVAL, SETVAL: write, and LASTVAL of this session changes
    sequence_read,      // LASTVAL: answered by the session that called NEXTVAL
    advisory_lock,
    advisory_unlock,
    advisory_unlock_all,
    advisory_look,    // who holds a lock
    last_insert_id,   // with an argument it sets the session's value
    same_connection,  // FOUND_ROWS, ROW_COUNT: about the statement before
    server_local,     // of one server, which is the primary
    server_role,      // what only the primary answers rightly
};

/// The class of a built-in function; `name` in lower case.
FunctionClass find_function(std::string_view name);

}  // namespace holdfast::sql::mysql
