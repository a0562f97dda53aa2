// What clients know of a result's columns: from the answer that was broken off, or from an earlier one.

#include "protocol/mysql/conversation_packet.h"

namespace holdfast::mysql {

using dialect::Scan;
using dialect::ScanEvent;

/// Takes in what stands in front of an answer's rows. False: the client would read the rows by what it has
/// got before, and that is not what they are.
bool Conversation::take_head(Slot slot, PacketRole role, const Packet& packet, Unit& unit) {
    if (unit.rows_delivered && !unit.in_final_head) return true;  // a further result: nothing of it is known
    const bool is_known = unit.heads_to_swallow > 0;
    bool is_last = false;
    switch (role) {
        case PacketRole::column_count:
        case PacketRole::prepared: {
            const uint64_t number = unit.reply.columns() << 16 | unit.reply.parameters();
            unit.columns = {};
            if (is_known && number != unit.numbers_delivered) return false;
            unit.numbers_delivered = number;
            return role == PacketRole::prepared || !unit.reply.in_rows() || are_columns_known(slot, unit);
        }
        case PacketRole::definition:
            if (!unit.reply.defines_columns()) return true;
            break;
        case PacketRole::column: break;
        case PacketRole::last_column:
        case PacketRole::last_prepared_column: is_last = true; break;
        default: return true;
    }
    unit.columns.add(packet.payload());
    const bool is_last_known = unit.heads_to_swallow == 1;
    if (is_last_known && unit.columns != unit.columns_delivered) return false;
    if (!is_known) unit.columns_delivered = unit.columns;
    Prepared* prepared = is_last && unit.statement_id != 0 ? find_prepared(unit.statement_id) : nullptr;
    if (prepared) prepared->server_columns[index(slot)] = prepared->client_columns = unit.columns;
    return true;
}

/// No definitions follow: the server has sent them before, and takes it that its client goes by those.
bool Conversation::are_columns_known(Slot slot, const Unit& unit) {
    const Prepared* prepared = unit.statement_id != 0 ? find_prepared(unit.statement_id) : nullptr;
    if (!prepared || !client_has(capability::cache_metadata)) return true;
    return prepared->client_columns == prepared->server_columns[index(slot)];
}

/// The answer is given up, and its connection with it.
Conversation::Verdict Conversation::other_columns(Unit& unit, Scan& scan) {
    unit.rerunnable = unit.resendable = false;
    last_error_code_.clear();
    detail_ = "its result has other columns than the client was told before; prepare the statement again";
    scan.event = ScanEvent::dying;
    return Verdict::drop;
}

}  // namespace holdfast::mysql
