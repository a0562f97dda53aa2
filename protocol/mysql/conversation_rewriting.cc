// Servers always speak with DEPRECATE_EOF and SESSION_TRACK. What a client without them, or with other
// wishes, gets to see is made here.
#include "protocol/base/limits.h"
#include "protocol/mysql/conversation_packet.h"

namespace holdfast::mysql {
namespace {

/// What servers report to a client that asked for SESSION_TRACK and set nothing: everything else is the
/// proxy's own wish.
bool is_reported_by_default(const SessionStateEntry& entry) {
    if (entry.is(SessionState::schema)) return true;
    if (!entry.is(SessionState::system_variable)) return false;
    for (const std::string_view name : {"autocommit", "character_set_client", "character_set_connection",
                                        "character_set_results", "time_zone"}) {
        if (entry.name == name) return true;
    }
    return false;
}

}  // namespace

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
    while (const auto entry = reader.next()) {
        if (!is_reported_by_default(*entry)) continue;
        if (entry->is(SessionState::schema)) {
            append_session_state(wanted, SessionState::schema, entry->value);
        } else {
            append_system_variable(wanted, entry->name, entry->value);
        }
    }
    return wanted;
}

void Conversation::append_ok_for_client(const Packet& packet, const OkPacket& ok, PacketRole role, Unit& unit,
                                        ByteBuffer& made, dialect::Scan& scan, size_t at) {
    const bool ends_rows = role == PacketRole::end_of_rows;
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
