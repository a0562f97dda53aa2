// Prepared statements: the ids that the client knows them by, and those of each server connection.

#include "protocol/mysql/conversation.h"

namespace holdfast::mysql {

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
    const bool is_there = prepared && is_present(*prepared, slot);
    if (is_there && unit.command == command::stmt_execute)
        return append_execute(request, *prepared, slot, out);
    const size_t at = out.size();
    append(out, request);
    // Servers number statements from 1: of 0 they say that they don't know it. The client's own number might
    // be that of another statement there.
    store_le32(out.data() + at + packet_header_bytes + 1, is_there ? prepared->server_id[index(slot)] : 0);
}

/// COM_STMT_EXECUTE tells the parameters' types only when they have changed: another connection has to be
/// told all the same.
/// spec    MySQL Internals, "COM_STMT_EXECUTE"
void Conversation::append_execute(Bytes request, Prepared& prepared, Slot slot, ByteBuffer& out) {
    const size_t at = out.size();
    append(out, request);
    store_le32(out.data() + at + packet_header_bytes + 1, prepared.server_id[index(slot)]);
    if (prepared.parameters == 0 || client_has(capability::query_attributes)) return;
    const size_t flag_at = packet_header_bytes + execute_head_bytes + (size_t{prepared.parameters} + 7) / 8;
    if (request.size() <= flag_at) return;
    bool& has_types = prepared.has_types[index(slot)];
    const size_t types_bytes = size_t{prepared.parameters} * 2;
    if (request[flag_at] == std::byte{1}) {
        if (request.size() < flag_at + 1 + types_bytes) return;
        prepared.types = as_text(request.subspan(flag_at + 1, types_bytes));
        prepared.has_types = {};
        has_types = true;
        return;
    }
    if (has_types || prepared.types.size() != types_bytes || stream_under_way()) return;
    const size_t payload = request.size() - packet_header_bytes + types_bytes;
    if (payload >= packet_payload_bytes_max) return;
    out.resize(at + flag_at);
    out.push_back(std::byte{1});
    append(out, prepared.types);
    append(out, request.subspan(flag_at + 1));
    store_packet_header(out.data() + at, static_cast<uint32_t>(payload), 0);
    has_types = true;
}

}  // namespace holdfast::mysql
