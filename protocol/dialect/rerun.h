#pragma once

#include "protocol/sql/classify.h"

namespace holdfast::dialect {

/// Whether running the statement again somewhere else can't do anything twice.
inline bool is_harmless(const sql::Statement& statement) {
    switch (statement.control) {
        case sql::Control::none:
        case sql::Control::begin:
        case sql::Control::begin_read_only: break;
        default: return false;
    }
    if (statement.destination != sql::Destination::primary || statement.is_hinted_read) return true;
    switch (statement.reason) {
        case sql::Reason::begin:
        case sql::Reason::serializable:
        case sql::Reason::server_role: return true;
        default: return false;
    }
}

inline bool is_begin(sql::Control control) {
    return control == sql::Control::begin || control == sql::Control::begin_read_only;
}

inline bool is_commit(sql::Control control) {
    return control == sql::Control::commit || control == sql::Control::commit_and_chain ||
           control == sql::Control::prepare_transaction || control == sql::Control::commit_prepared;
}

/// Whether a statement may commit the transaction that it is part of; what was not understood may do
/// anything.
inline bool may_commit(const sql::Statement& statement) {
    return is_commit(statement.control) || statement.reason == sql::Reason::unparsed;
}

/// Whether a text of which only the beginning was read may change settings further on.
inline bool may_hide_settings(const sql::Classification& classes) {
    return classes.statement_count != 1 || classes.statements[0].reason != sql::Reason::write;
}

}  // namespace holdfast::dialect
