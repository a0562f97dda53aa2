// Prepared statements: the ids that the client knows them by, and those of each server connection.

#include "protocol/mysql/conversation.h"

namespace holdfast::mysql {
namespace {

constexpr uint8_t parameters_are_counted = 8;  // of the flags of COM_STMT_EXECUTE
constexpr uint8_t bulk_tells_types = 128;      // of the flags of COM_STMT_BULK_EXECUTE
// As many as a statement can have, with two bytes each; names are a luxury.
constexpr size_t types_kept_bytes_max = 2 * 65'535;

}  // namespace

Prepared* Conversation::find_prepared(uint32_t id) {
    if (!prepared_) return nullptr;
    const auto found = prepared_->find(id);
    return found == prepared_->end() ? nullptr : &found->second;
}

bool Conversation::is_present(const Prepared& prepared, Slot slot) const {
    const size_t i = index(slot);
    return prepared.server_id[i] != 0 && prepared.generation[i] == slots_[i].generation;
}

/// The id that the server gave a statement, and the one that the client is given.
void Conversation::note_prepared(Slot slot, const Unit& unit) {
    if (!prepared_) prepared_ = std::make_unique<std::unordered_map<uint32_t, Prepared>>();
    Prepared& prepared = (*prepared_)[unit.statement_id];
    prepared.statement = unit.statement;
    prepared.parameters = unit.reply.parameters();
    prepared.server_id[index(slot)] = unit.reply.statement_id();
    prepared.generation[index(slot)] = slots_[index(slot)].generation;
    last_prepared_ = unit.statement_id;
}

void Conversation::forget_statements() {
    prepared_.reset();
    texts_.reset();
    last_prepared_ = 0;
    for (auto& slot : slots_) slot.closes.clear();
    pins_.long_data = pins_.held_cursors = 0;
}

/// Closes on the server what the client has closed since.
void Conversation::append_closes(Slot slot, ByteBuffer& prefix) {
    auto& closes = slots_[index(slot)].closes;
    for (const uint32_t id : closes) PacketWriter(prefix, 0).u8(command::stmt_close).u32(id).finish();
    closes.clear();
}

/// Appends a request that names a prepared statement, with the connection's own id of it.
void Conversation::append_request(Bytes request, const Unit& unit, Slot slot, ByteBuffer& out) {
    Prepared* prepared = find_prepared(unit.statement_id);
    if (!prepared || !is_present(*prepared, slot)) {
        // The server says that it does not know it; the client's own id may be that of another one there.
        const size_t at = out.size();
        append(out, request);
        store_le32(out.data() + at + packet_header_bytes + 1, 0);
        return;
    }
    if (unit.command == command::stmt_execute || unit.command == command::stmt_bulk_execute)
        return append_execute(request, unit.command, *prepared, slot, out);
    const size_t at = out.size();
    append(out, request);
    store_le32(out.data() + at + packet_header_bytes + 1, prepared->server_id[index(slot)]);
}

/// Where a request tells the types of its parameters, or would.
struct Conversation::TypesPlace {
    size_t flag_at;   // of the byte that says whether they are told
    size_t begin;     // of the types, which stand behind it
    uint8_t flag;     // the bit of it
    size_t count;     // of parameters
    bool have_names;  // behind each type
};

/// nullopt: no parameters, or they are counted otherwise than the statement has them (attributes among them).
std::optional<Conversation::TypesPlace> Conversation::types_place(Bytes request, uint8_t command,
                                                                  const Prepared& prepared) const {
    TypesPlace place{0, 0, 1, prepared.parameters, false};
    if (command == command::stmt_bulk_execute) {
        // The id, and two bytes of flags.
        place.flag_at = packet_header_bytes + statement_head_bytes;
        place.begin = place.flag_at + 2;
        place.flag = bulk_tells_types;
    } else {
        size_t at = packet_header_bytes + execute_head_bytes;
        if (request.size() < at) return std::nullopt;
        if (client_has(capability::query_attributes)) {
            place.have_names = true;
            if ((std::to_integer<uint8_t>(request[packet_header_bytes + 5]) & parameters_are_counted) != 0) {
                PacketReader reader(request.subspan(at));
                const size_t before = request.size() - at;
                if (reader.lenenc() != prepared.parameters || reader.failed()) return std::nullopt;
                at += before - reader.rest().size();
            }
        }
        place.flag_at = at + (place.count + 7) / 8;
        place.begin = place.flag_at + 1;
    }
    if (place.count == 0 || request.size() < place.begin) return std::nullopt;
    return place;
}

/// Executions tell the parameters' types only when they have changed: another connection has to be told all
/// the same.
/// spec    MySQL Internals, "COM_STMT_EXECUTE"; MariaDB Knowledge Base, "COM_STMT_BULK_EXECUTE"
void Conversation::append_execute(Bytes request, uint8_t command, Prepared& prepared, Slot slot,
                                  ByteBuffer& out) {
    const size_t at = out.size();
    append(out, request);
    store_le32(out.data() + at + packet_header_bytes + 1, prepared.server_id[index(slot)]);
    const auto place = types_place(request, command, prepared);
    if (!place) return;
    bool& has_types = prepared.has_types[index(slot)];
    if ((std::to_integer<uint8_t>(request[place->flag_at]) & place->flag) != 0) {
        PacketReader reader(request.subspan(place->begin));
        const size_t before = request.size() - place->begin;
        for (size_t i = 0; i < place->count && !reader.failed(); ++i) {
            reader.u16();
            if (place->have_names) reader.lenenc_text();
        }
        if (reader.failed()) return;
        const size_t size = before - reader.rest().size();
        prepared.types.clear();
        if (size <= types_kept_bytes_max) prepared.types = as_text(request.subspan(place->begin, size));
        prepared.has_types = {};
        has_types = true;
        return;
    }
    if (has_types || prepared.types.empty() || stream_under_way()) return;
    const size_t payload = request.size() - packet_header_bytes + prepared.types.size();
    if (payload >= packet_payload_bytes_max) return;
    out.resize(at + place->begin);
    out[at + place->flag_at] |= std::byte{place->flag};
    append(out, prepared.types);
    append(out, request.subspan(place->begin));
    store_packet_header(out.data() + at, static_cast<uint32_t>(payload), 0);
    has_types = true;
}

}  // namespace holdfast::mysql
