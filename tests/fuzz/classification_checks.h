#pragma once

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "protocol/sql/classify.h"
#include "protocol/sql/normalise.h"

/// What holds for every classification, whatever the dialect.
namespace holdfast::sql {

inline void require(bool holds) {
    if (!holds) std::abort();
}

inline void check(std::string_view message, const Classification& out) {
    require(out.statement_count <= out.statements.size());
    bool has_effects = false;
    bool has_control = false;
    bool is_any_primary = false;
    bool is_any_replica = false;
    bool same_connection = false;
    uint32_t last_end = 0;
    for (uint32_t i = 0; i < out.statement_count; ++i) {
        const Statement& statement = out.statements[i];
        require(last_end <= statement.begin && statement.begin <= statement.end &&
                statement.end <= message.size());
        last_end = statement.end;
        has_effects = has_effects || !statement.effects.empty();
        has_control = has_control || statement.control != Control::none;
        is_any_primary = is_any_primary || statement.destination == Destination::primary;
        is_any_replica = is_any_replica || statement.destination == Destination::replica;
        same_connection = same_connection || statement.same_connection;
        require(!to_string(statement.reason).empty());
    }
    require(out.same_connection == same_connection);
    require(out.has_effects == has_effects && out.has_control == has_control);
    if (is_any_primary) require(out.destination == Destination::primary);
    if (out.destination == Destination::replica) require(is_any_replica);
    if (out.destination == Destination::transaction) require(!is_any_replica);
}

inline void check_texts(Dialect dialect, std::string_view message) {
    require(fingerprint(dialect, message) == fingerprint_of_normalised(normalise(dialect, message)));
    require(comments(dialect, message).size() <= message.size());
}

}  // namespace holdfast::sql
