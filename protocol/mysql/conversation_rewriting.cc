// Servers always speak with DEPRECATE_EOF and SESSION_TRACK. What a client without them, or with other
// wishes, gets to see is made here.
#include <algorithm>

#include "protocol/mysql/conversation_packet.h"

namespace holdfast::mysql {

bool Conversation::TrackingWishes::wants(const SessionStateEntry& entry) const {
    switch (static_cast<SessionState>(entry.type)) {
        case SessionState::schema: return schema;
        case SessionState::state_change: return state_change;
        case SessionState::gtids: return gtids;
        case SessionState::transaction_characteristics: return transaction_characteristics;
        case SessionState::transaction_state: return transaction_state;
        case SessionState::system_variable: break;
    }
    if (!entry.is(SessionState::system_variable) || entry.name == "redirect_url") return false;
    if (variables == "*") return true;
    for (size_t at = 0; at <= variables.size();) {
        const size_t comma = std::min(variables.find(',', at), variables.size());
        if (std::string_view(variables).substr(at, comma - at) == entry.name) return true;
        at = comma + 1;
    }
    return false;
}

/// Forwards a packet as it came where that is possible, else as a copy with its new number.
void Conversation::forward_packet(const Packet& packet, ByteBuffer& made, dialect::Scan& scan, size_t at) {
    Unit& unit = units_.front();
    if (unit.shift == 0 && made.empty() && scan.forward == at) {
        scan.forward = at + packet.bytes.size();
        unit.next_sequence = static_cast<uint8_t>(packet.sequence() + 1);
        return;
    }
    forward_as_copy(packet, made, unit);
}

void Conversation::forward_as_copy(const Packet& packet, ByteBuffer& made, Unit& unit) {
    const size_t begin = made.size();
    append(made, packet.bytes);
    const auto sequence = static_cast<uint8_t>(packet.sequence() + unit.shift);
    made[begin + 3] = std::byte{sequence};
    unit.next_sequence = static_cast<uint8_t>(sequence + 1);
}

/// The EOF behind the column definitions, which was held back: a cursor's answer has only one.
void Conversation::append_eof_for_client(Unit& unit, uint8_t sequence, ByteBuffer& made) {
    unit.next_sequence = append_eof(made, static_cast<uint8_t>(sequence + unit.shift), {0, last_status_});
    ++unit.shift;
    unit.owes_eof = false;
}

ByteBuffer Conversation::wanted_session_state(const OkPacket& ok) const {
    ByteBuffer wanted;
    SessionStateReader reader(ok.session_state);
    static const TrackingWishes by_default;
    const TrackingWishes& wishes = wishes_ ? *wishes_ : by_default;
    while (const auto entry = reader.next()) {
        if (!wishes.wants(*entry)) continue;
        if (entry->is(SessionState::system_variable)) {
            append_system_variable(wanted, entry->name, entry->value);
        } else {
            append_session_state(wanted, static_cast<SessionState>(entry->type), entry->value);
        }
    }
    return wanted;
}

void Conversation::append_ok_for_client(const Packet& packet, const OkPacket& ok, PacketRole role, Unit& unit,
                                        ByteBuffer& made, dialect::Scan& scan, size_t at) {
    // COM_SET_OPTION and COM_DEBUG end like rows do.
    const bool ends_rows = role == PacketRole::end_of_rows || packet.payload()[0] == std::byte{reply::eof};
    const bool tells_state = (ok.status & status::session_state_changed) != 0;
    if (ends_rows && !client_has(capability::deprecate_eof)) {
        if (unit.owes_eof && (ok.status & status::cursor_exists) == 0)
            append_eof_for_client(unit, packet.sequence(), made);
        unit.owes_eof = false;
        const auto flags = static_cast<uint16_t>(ok.status & ~status::session_state_changed);
        unit.next_sequence =
            append_eof(made, static_cast<uint8_t>(packet.sequence() + unit.shift), {ok.warnings, flags});
        return;
    }
    if (!tells_state) return forward_packet(packet, made, scan, at);
    OkPacket told = ok;
    ByteBuffer wanted;
    if (client_has(capability::session_track)) wanted = wanted_session_state(ok);
    told.session_state = wanted;
    const auto sequence = static_cast<uint8_t>(packet.sequence() + unit.shift);
    unit.next_sequence = append_ok(made, sequence, told, around_.client_capabilities,
                                   ends_rows ? reply::eof : std::to_integer<uint8_t>(packet.payload()[0]));
}

}  // namespace holdfast::mysql
