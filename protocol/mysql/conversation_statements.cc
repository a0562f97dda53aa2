// Prepared statements: the ids that the client knows them by, and those of each server connection.
#include <string>
#include <utility>

#include "protocol/base/limits.h"
#include "protocol/mysql/attributes.h"
#include "protocol/mysql/conversation.h"

namespace holdfast::mysql {
namespace {

using dialect::Cut;
using dialect::CutKind;
using sql::Destination;

/// A flag of COM_STMT_BULK_EXECUTE.
constexpr std::byte bulk_tells_types{0x80};

/// A parameter's type, and a name as long as MySQL's get, with its length.
constexpr size_t named_type_bytes_max = 2 + 1 + 64;

}  // namespace

Cut Conversation::cut_prepare(Bytes payload, bool whole, ByteBuffer& out) {
    dialect::UnitFacts& facts = scratch_.facts;
    if (!whole && payload.size() < limits::statement_classified_bytes_max && scratch_.stream_left > 0)
        return {};
    const bool too_long = !whole || payload.size() > limits::statement_classified_bytes_max;
    const std::string_view text =
        as_text(payload.subspan(1)).substr(0, limits::statement_classified_bytes_max);
    if (prepared_bytes_ + text.size() + limits::prepared_overhead_bytes > limits::prepared_bytes_max) {
        if (!units_.empty()) return {CutKind::wait};
        last_prepared_ = 0;
        return answer_here(out, 1461, "42000",
                           "Can't create more than max_prepared_stmt_count statements: this client's take " +
                               std::to_string(prepared_bytes_) + " bytes, and the proxy keeps " +
                               std::to_string(limits::prepared_bytes_max) + "; close some");
    }
    scratch_.statement = statements_.intern(text, context(too_long));
    take_classes(scratch_.statement->classes);
    facts.text = scratch_.statement->text();
    // Preparing runs nothing.
    scratch_.ends_transaction = scratch_.unlocks = scratch_.prepares_xa = false;
    facts.rerunnable = !too_long;
    facts.may_write = false;
    facts.commits = false;
    facts.same_connection = false;
    if (too_long) {
        facts.too_long = true;
        facts.destination = Destination::primary;
    }
    return begin_or_wait(out);
}

/// COM_STMT_CLOSE: nobody answers it. Connections that have the statement are told with their next command.
Cut Conversation::cut_close(Bytes payload, bool whole) {
    if (payload.size() < statement_head_bytes) return whole ? drop_request() : Cut{};
    const uint32_t id = load_le32(payload.data() + 1);
    Prepared* prepared = find_prepared(id);
    if (!prepared) return drop_request();
    // An answer that is still to come may be the statement's own.
    for (size_t i = 0; i < units_.size(); ++i) {
        if (units_.at(i).statement_id == id) return {CutKind::wait};
    }
    for (const Slot slot : {Slot::a, Slot::b}) {
        if (is_present(*prepared, slot))
            slots_[index(slot)].closes.push_back(prepared->server_id[index(slot)]);
    }
    forget_long_data(*prepared);
    if (prepared->has_cursor && pins_.held_cursors > 0) --pins_.held_cursors;
    prepared_bytes_ -= prepared->statement->text().size() + limits::prepared_overhead_bytes;
    prepared_->erase(id);
    return drop_request();
}

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
    if (!prepared.statement)
        prepared_bytes_ += unit.statement->text().size() + limits::prepared_overhead_bytes;
    prepared.statement = unit.statement;
    prepared.schema = schema_;
    prepared.parameters = unit.reply.parameters();
    prepared.server_columns[index(slot)] = prepared.client_columns = {};
    prepared.server_id[index(slot)] = unit.reply.statement_id();
    prepared.generation[index(slot)] = slots_[index(slot)].generation;
    last_prepared_ = unit.statement_id;
    if (units_.size() > 1 && units_.at(1).names_last) {
        Unit& execution = units_.at(1);
        const auto request = std::move(execution.names_last);
        execution.statement_id = unit.statement_id;
        const Bytes payload = as_bytes(*request).subspan(packet_header_bytes);
        const TypesExtent extent = types_extent(payload, prepared);
        if (extent.is_told) note_types(payload, extent, prepared, slot);
    }
}

void Conversation::forget_statements() {
    prepared_.reset();
    prepared_bytes_ = 0;
    texts_.reset();
    last_prepared_ = 0;
    for (auto& slot : slots_) slot.closes.clear();
    pins_.long_data = pins_.held_cursors = 0;
}

/// Parameters that came in pieces are no more: executed, reset or lost.
void Conversation::forget_long_data(Prepared& prepared) {
    if (std::exchange(prepared.has_long_data, false) && pins_.long_data > 0) --pins_.long_data;
    prepared.lost_long_data = false;
}

/// Those that a connection has already must not be executed there later: it gets the statement anew.
void Conversation::drop_long_data(Prepared& prepared) {
    const Slot slot = prepared.long_data_slot;
    if (prepared.has_long_data && is_present(prepared, slot))
        slots_[index(slot)].closes.push_back(std::exchange(prepared.server_id[index(slot)], 0));
    forget_long_data(prepared);
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
    const bool executes = unit.command == command::stmt_execute || unit.command == command::stmt_bulk_execute;
    if (is_there && executes) return append_execute(request, *prepared, slot, out);
    const size_t at = out.size();
    append(out, request);
    // Servers number statements from 1: of 0 they say that they don't know it. The client's own number might
    // be that of another statement there.
    store_le32(out.data() + at + packet_header_bytes + 1, is_there ? prepared->server_id[index(slot)] : 0);
}

/// Where an execution says whether it tells its parameters' types, and where they are.
/// payload    the execution, or its beginning
Conversation::TypesExtent Conversation::types_extent(Bytes payload, const Prepared& prepared) const {
    TypesExtent extent;
    size_t count = prepared.parameters;
    if (count == 0) {
        extent.is_there = true;
        return extent;
    }
    bool is_named = false;
    extent.size = count * 2;
    extent.flag = std::byte{1};
    if (std::to_integer<uint8_t>(payload[0]) == command::stmt_bulk_execute) {
        extent.flag_at = statement_head_bytes;
        extent.begin = extent.flag_at + 2;
        extent.flag = bulk_tells_types;
    } else {
        size_t bitmap_at = execute_head_bytes;
        // With query attributes agreed on, parameters have names and are counted whether the flag says so or
        // not: it is for statements without any (and for servers since 8.0.26).
        is_named = client_has(capability::query_attributes);
        if (is_named) {
            if (payload.size() < bitmap_at) return extent;
            PacketReader reader(payload.subspan(bitmap_at));
            count = reader.lenenc();
            if (reader.failed() || count < prepared.parameters || count > UINT16_MAX) return extent;
            bitmap_at = payload.size() - reader.rest().size();
        }
        extent.is_tellable = count == prepared.parameters;  // attributes have types, too
        extent.flag_at = bitmap_at + (count + 7) / 8;
        extent.begin = extent.flag_at + 1;
    }
    if (payload.size() < extent.begin) return extent;
    extent.is_told = (payload[extent.flag_at] & extent.flag) != std::byte{0};
    if (!extent.is_told) {
        extent.is_there = true;
    } else if (is_named) {
        const auto size = named_types_bytes(payload.subspan(extent.begin), prepared.parameters);
        extent.is_there = size.has_value();
        extent.size = size.value_or(0);
    } else {
        extent.is_there = payload.size() >= extent.begin + extent.size;
    }
    return extent;
}

/// Notes the types that an execution on `slot` tells.
void Conversation::note_types(Bytes payload, const TypesExtent& extent, Prepared& prepared, Slot slot) {
    std::string_view told;
    // What is not there is the server's to refuse, and what can't be told elsewhere is not kept.
    if (extent.is_there && extent.size <= prepared.parameters * named_type_bytes_max)
        told = as_text(payload.subspan(extent.begin, extent.size));
    if (told != prepared.types) {
        // An execution in flight may count on those before: run again, it would be told these.
        const uint32_t id = units_.back().statement_id;
        for (size_t i = units_.size() - 1; i-- > 0;) {
            if (units_.at(i).statement_id != id) continue;
            forbid_rerun();
            break;
        }
        prepared.types = told;
    }
    prepared.has_types = {};
    prepared.has_types[index(slot)] = extent.is_there;
}

/// Executions tell the parameters' types only when they have changed: another connection has to be told all
/// the same. A server that was never told takes the values for NULLs.
/// spec    MySQL Internals, "COM_STMT_EXECUTE"; MariaDB Knowledge Base, "COM_STMT_BULK_EXECUTE"
void Conversation::append_execute(Bytes request, Prepared& prepared, Slot slot, ByteBuffer& out) {
    const size_t at = out.size();
    append(out, request);
    store_le32(out.data() + at + packet_header_bytes + 1, prepared.server_id[index(slot)]);
    if (prepared.parameters == 0) return;
    const Bytes payload = request.subspan(packet_header_bytes);
    const TypesExtent extent = types_extent(payload, prepared);
    if (extent.is_told) return note_types(payload, extent, prepared, slot);
    bool& has_types = prepared.has_types[index(slot)];
    if (!extent.is_there || has_types) return;
    // The rest of a long one is yet to come: its header tells its length.
    const size_t longer = load_le24(request.data()) + prepared.types.size();
    if (prepared.types.empty() || !extent.is_tellable || longer >= packet_payload_bytes_max) {
        store_le32(out.data() + at + packet_header_bytes + 1, 0);  // refused, rather than run with NULLs
        return;
    }
    out.resize(at + packet_header_bytes + extent.begin);
    out[at + packet_header_bytes + extent.flag_at] |= extent.flag;
    append(out, prepared.types);
    append(out, payload.subspan(extent.begin));
    store_packet_header(out.data() + at, static_cast<uint32_t>(longer), 0);
    has_types = true;
}

}  // namespace holdfast::mysql
