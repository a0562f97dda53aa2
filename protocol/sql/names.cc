#include <cstdlib>

#include "protocol/sql/classify.h"

namespace holdfast::sql {

std::string_view to_string(Reason reason) {
    switch (reason) {
        case Reason::read: return "read";
        case Reason::empty: return "empty";
        case Reason::session_state: return "session_state";
        case Reason::transaction_control: return "transaction_control";
        case Reason::cursor: return "cursor";
        case Reason::read_only_transaction: return "read_only_transaction";
        case Reason::write: return "write";
        case Reason::ddl: return "ddl";
        case Reason::row_lock: return "row_lock";
        case Reason::writing_function: return "writing_function";
        case Reason::unknown_function: return "unknown_function";
        case Reason::advisory_lock: return "advisory_lock";
        case Reason::server_role: return "server_role";
        case Reason::server_local: return "server_local";
        case Reason::outside_effect: return "outside_effect";
        case Reason::explain_write: return "explain_write";
        case Reason::begin: return "begin";
        case Reason::serializable: return "serializable";
        case Reason::notification: return "notification";
        case Reason::temporary: return "temporary";
        case Reason::opaque: return "opaque";
        case Reason::copy_in: return "copy_in";
        case Reason::hint: return "hint";
        case Reason::unparsed: return "unparsed";
        case Reason::too_long: return "too_long";
    }
    std::abort();
}

std::string_view to_string(Destination destination) {
    switch (destination) {
        case Destination::replica: return "replica";
        case Destination::transaction: return "transaction";
        case Destination::primary: return "primary";
    }
    std::abort();
}

std::string_view to_string(EffectKind kind) {
    switch (kind) {
        case EffectKind::set: return "set";
        case EffectKind::reset: return "reset";
        case EffectKind::reset_all: return "reset_all";
        case EffectKind::discard_all: return "discard_all";
        case EffectKind::discard_temp: return "discard_temp";
        case EffectKind::set_opaque: return "set_opaque";
        case EffectKind::prepare: return "prepare";
        case EffectKind::deallocate: return "deallocate";
        case EffectKind::deallocate_all: return "deallocate_all";
        case EffectKind::listen: return "listen";
        case EffectKind::unlisten: return "unlisten";
        case EffectKind::unlisten_all: return "unlisten_all";
        case EffectKind::temporary: return "temporary";
        case EffectKind::advisory_lock: return "advisory_lock";
        case EffectKind::advisory_unlock: return "advisory_unlock";
        case EffectKind::advisory_unlock_all: return "advisory_unlock_all";
        case EffectKind::cursor: return "cursor";
        case EffectKind::cursor_close: return "cursor_close";
        case EffectKind::cursor_close_all: return "cursor_close_all";
        case EffectKind::sequence: return "sequence";
        case EffectKind::user_variable: return "user_variable";
        case EffectKind::user_variables: return "user_variables";
        case EffectKind::table_lock: return "table_lock";
        case EffectKind::table_unlock: return "table_unlock";
        case EffectKind::handler: return "handler";
        case EffectKind::handler_close: return "handler_close";
        case EffectKind::next_transaction: return "next_transaction";
        case EffectKind::routine: return "routine";
        case EffectKind::tracking: return "tracking";
    }
    std::abort();
}

}  // namespace holdfast::sql
