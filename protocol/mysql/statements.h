#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/dialect/statements.h"
#include "protocol/mysql/columns.h"

namespace holdfast::mysql {

using dialect::StatementRef;

/// Statements by text, so that each is classified once.
class StatementCache {
public:
    explicit StatementCache(const dialect::ClassifierSources& sources)
        : statements_(sql::Dialect::mysql, sources) {}

    /// context   how the text is read; one with other strings or an unsafe encoding bypasses the cache
    StatementRef intern(std::string_view text, const sql::Context& context) {
        const bool is_usual = context.encoding_is_safe && !context.ansi_quotes &&
                              !context.no_backslash_escapes && !context.truncated && !context.is_other_schema;
        return statements_.intern(text, text.size(), context, is_usual);
    }
    void refresh(dialect::Statement& statement) { statements_.refresh(statement); }
    const dialect::ClassifierSources& sources() const { return statements_.sources(); }

private:
    dialect::StatementCache statements_;
};

/// A prepared statement as one client knows it, and what each of its server connections has of it.
struct Prepared {
    StatementRef statement;
    std::array<uint32_t, dialect::slot_count> server_id{};
    std::array<uint32_t, dialect::slot_count> generation{};  // of the slot, when `server_id` was true
    std::array<bool, dialect::slot_count> has_types{};       // the connection was told the parameters' types
    ColumnsDigest client_columns;  // the last definitions of its columns that the client has got …
    std::array<ColumnsDigest, dialect::slot_count> server_columns;  // … and that a connection has sent
    uint16_t parameters = 0;
    std::string schema;  // it was prepared in, where its unqualified names are looked for; empty: none
    std::string types;   // of the parameters, as the client last sent them; perhaps with names
    std::string error;   // the ERR payload that preparing it again ended with; empty: none
    bool has_long_data = false;   // on the connection of `long_data_slot`
    bool lost_long_data = false;  // the next execution is refused: it would run without
    bool has_cursor = false;      // on the primary's connection
    dialect::Slot long_data_slot = dialect::Slot::a;
};

}  // namespace holdfast::mysql
