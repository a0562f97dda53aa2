// The server's side: following its answers, and learning what they say of the session.
#include <algorithm>
#include <cstring>
#include <utility>

#include "protocol/base/limits.h"
#include "protocol/mysql/conversation_packet.h"
#include "protocol/mysql/errors.h"

namespace holdfast::mysql {
namespace {

using dialect::Scan;
using dialect::ScanEvent;

/// Errors by which a server announces that the connection, or the server itself, ends.
bool announces_end(uint16_t number) {
    switch (number) {
        case 1053:  // ER_SERVER_SHUTDOWN
        case 1077:  // ER_NORMAL_SHUTDOWN
        case 1079:  // ER_SHUTDOWN_COMPLETE
        case 1927:  // ER_CONNECTION_KILLED (MariaDB)
        case 3169:  // ER_SESSION_WAS_KILLED (MySQL)
        case 4031:  // ER_CLIENT_INTERACTION_TIMEOUT (MySQL)
            return true;
        default: return false;
    }
}

bool is_shutdown(uint16_t number) {
    return number == 1053 || number == 1077 || number == 1079;
}

/// Whether an error says that the server takes no writes, and that nothing has happened. 1290 is used for
/// other options too: its text names them.
bool is_read_only_refusal(const ErrPacket& err) {
    const auto says = [&](std::string_view part) { return err.message.find(part) != std::string_view::npos; };
    switch (err.number) {
        case 1290: return says("read-only") || says("read_only");
        case 1792:  // ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
        case 1836:  // ER_READ_ONLY_MODE
            return true;
        case 1047: return says("WSREP");  // a Galera node that is not part of the cluster now
        default: return false;
    }
}

}  // namespace

bool Conversation::inside_message() const {
    const SlotState& slot = slots_[index(active_)];
    return (slot.body_left > 0 || slot.continues) && !slot.body_is_dropped;
}

void Conversation::lying(Scan& scan, std::string_view what) {
    scan.event = ScanEvent::lying;
    detail_ = what;
}

Scan Conversation::scan(Slot slot, Bytes in) {
    SlotState& state = slots_[index(slot)];
    ByteBuffer& made = scratch_.answer;
    made.clear();
    Scan scan;
    size_t at = 0;
    if (state.body_left > 0) {
        at = std::min(state.body_left, in.size());
        state.body_left -= at;
        if (!state.body_is_dropped) scan.forward = at;
    }
    // Another slot's answer is in the middle of a packet: what comes here has to wait.
    const bool must_wait = slot != active_ && inside_message();
    while (!must_wait && scan.event == ScanEvent::none && state.body_left == 0 &&
           in.size() - at >= packet_header_bytes) {
        const uint32_t length = load_le24(in.data() + at);
        const size_t there = std::min<size_t>(in.size() - at - packet_header_bytes, length);
        const size_t size = packet_header_bytes + there;
        const bool whole = there == length;
        const bool is_sync = !state.syncs.empty();
        const bool is_unit = !is_sync && slot == active_ && !units_.empty();
        if (state.continues) {
            state.continues = length == packet_payload_bytes_max;
            state.body_left = length - there;
            if (!state.body_is_dropped) forward_packet({slot, in.subspan(at, size), length}, made, scan, at);
            at += size;
            continue;
        }
        if (length > 0 && there == 0) break;
        Reply* reply = is_sync ? &state.syncs.front().reply : is_unit ? &units_.front().reply : nullptr;
        const uint8_t first = there > 0 ? std::to_integer<uint8_t>(in[at + packet_header_bytes]) : uint8_t{0};

        if (is_unit && reply->in_rows() && made.empty() && units_.front().shift == 0 &&
            !units_.front().owes_eof) {
            // Rows: hop from head to head.
            size_t end = at;
            uint8_t sequence = 0;
            while (in.size() - end > packet_header_bytes) {
                const uint32_t row = load_le24(in.data() + end);
                const auto byte = std::to_integer<uint8_t>(in[end + packet_header_bytes]);
                if (row == 0 || row == packet_payload_bytes_max || byte == reply::eof || byte == reply::error)
                    break;
                if (in.size() - end < packet_header_bytes + row) break;
                sequence = std::to_integer<uint8_t>(in[end + 3]);
                end += packet_header_bytes + row;
            }
            if (end > at && scan.forward == at) {
                units_.front().rows_delivered = true;
                units_.front().next_sequence = static_cast<uint8_t>(sequence + 1);
                at = scan.forward = end;
                continue;
            }
        }
        if (!whole) {
            const bool needs_whole = !reply || reply->needs_whole(first, length);
            if (needs_whole && length > limits::mysql_server_packet_collected_bytes_max) {
                lying(scan, "a packet far too long for its kind");
                break;
            }
            if (needs_whole || packet_header_bytes + length <= limits::result_message_whole_bytes_max) {
                scan.wanted = packet_header_bytes + length;
                break;
            }
        }
        const Packet packet{slot, in.subspan(at, size), length};
        if (!reply) {
            take_unasked(packet.payload(), scan);
            at += size;
            continue;
        }
        const PacketRole role = reply->advance(packet.payload(), length);
        if (role == PacketRole::lying) {
            lying(scan, "an answer that makes no sense");
            break;
        }
        state.continues = length == packet_payload_bytes_max;
        state.body_left = length - there;
        state.body_is_dropped = true;
        if (is_sync) {
            take_sync(slot, role, packet.payload(), whole, scan);
        } else if (take_unit(slot, role, packet, scan, made, at) == Verdict::forward) {
            state.body_is_dropped = false;
        }
        at += size;
    }
    scan.consumed = at;
    if (!made.empty()) scan.instead = made;
    return scan;
}

/// What comes while nobody has asked: an announced end, or nonsense.
void Conversation::take_unasked(Bytes payload, Scan& scan) {
    const auto err = parse_err(payload);
    if (!err) return lying(scan, "an answer that nobody asked for");
    detail_ = err->message;
    note_error_code(is_shutdown(err->number) ? "57P01" : std::string_view());
    scan.event = ScanEvent::dying;
}

void Conversation::note_error_code(std::string_view code) {
    const size_t size = std::min(code.size(), last_error_code_.size() - 1);
    std::memcpy(last_error_code_.data(), code.data(), size);
    last_error_code_[size] = 0;
}

/// The answer to a command of the proxy's own.
void Conversation::take_sync(Slot slot, PacketRole role, Bytes payload, bool is_whole, Scan& scan) {
    SlotState& state = slots_[index(slot)];
    Sync& sync = state.syncs.front();
    Prepared* prepared = sync.kind == Sync::Kind::prepare ? find_prepared(sync.statement_id) : nullptr;
    if (role == PacketRole::error) {
        const auto err = parse_err(payload);
        const uint16_t number = err ? err->number : uint16_t{0};
        if (announces_end(number)) {
            detail_ = err->message;
            note_error_code(is_shutdown(number) ? "57P01" : std::string_view());
            scan.event = ScanEvent::dying;
            return;
        }
        if (sync.kind == Sync::Kind::variables) {
            can_read_variables_ = false;  // the plugin is not there: the pin stays
        } else if (prepared && !state.is_replica) {
            prepared->error = as_text(payload);  // the client's to see, when it runs the statement
        } else {
            detail_ = err ? err->message : std::string_view("an error that can't be read");
            state.sync_failed = true;
            if (sync.kind == Sync::Kind::entry && state.sync_failed_at == 0)
                state.sync_failed_at = sync.version;
        }
    } else if (role == PacketRole::prepared && prepared) {
        prepared->server_id[index(slot)] = sync.reply.statement_id();
        prepared->generation[index(slot)] = state.generation;
        prepared->has_types[index(slot)] = false;
    } else if (role == PacketRole::prepared) {
        state.closes.push_back(sync.reply.statement_id());  // the client has closed it meanwhile
    }
    if (sync.kind == Sync::Kind::variables) take_variables(role, payload, is_whole);
    if (!sync.reply.done()) return;
    // What was read from this connection is on it already.
    if (sync.kind == Sync::Kind::variables && log_) state.sync_target = log_->version();
    state.syncs.pop();
    if (!state.syncs.empty()) return;
    state.syncs.trim();
    if (state.sync_failed) {
        scan.event = ScanEvent::sync_failed;
        return;
    }
    state.synced = state.sync_target;
    scan.event = ScanEvent::sync_done;
}

Conversation::Verdict Conversation::take_unit(Slot slot, PacketRole role, const Packet& packet, Scan& scan,
                                              ByteBuffer& made, size_t at) {
    Unit& unit = units_.front();
    switch (role) {
        case PacketRole::error: return take_error(slot, packet, scan, made, at);
        case PacketRole::progress:
            if (client_has(capability::progress)) break;
            --unit.shift;
            return Verdict::drop;
        case PacketRole::last_column: unit.owes_eof = !client_has(capability::deprecate_eof); [[fallthrough]];
        case PacketRole::column_count:
            // Columns that the client knows from the prepare are left out; the EOF behind them is not.
            if (unit.reply.in_rows()) unit.owes_eof = !client_has(capability::deprecate_eof);
            [[fallthrough]];
        case PacketRole::column:
            if (unit.heads_to_swallow > 0) {
                --unit.heads_to_swallow;
                return Verdict::drop;
            }
            ++unit.heads_delivered;
            // The columns of a COM_FIELD_LIST, and of a second result, can't be taken back.
            if (unit.command == command::field_list || unit.next_statement > 0) unit.rows_delivered = true;
            break;
        case PacketRole::row:
            if (unit.owes_eof) append_eof_for_client(unit, packet.sequence(), made);
            unit.rows_delivered = true;
            break;
        case PacketRole::prepared: {
            note_prepared(slot, unit);
            if (unit.heads_to_swallow > 0) {
                --unit.heads_to_swallow;
                return Verdict::drop;
            }
            ++unit.heads_delivered;
            // The client gets an id of ours.
            const size_t begin = made.size();
            forward_as_copy(packet, made, unit);
            store_le32(made.data() + begin + packet_header_bytes + 1, unit.statement_id);
            if (unit.reply.done()) {
                finish_unit(slot);
                scan.event = ScanEvent::unit_done;
            }
            return Verdict::forward;
        }
        case PacketRole::definition:
        case PacketRole::last_parameter:
        case PacketRole::last_prepared_column: {
            const bool swallowed = unit.heads_to_swallow > 0;
            const bool is_last = role != PacketRole::definition;
            if (swallowed) {
                --unit.heads_to_swallow;
            } else {
                ++unit.heads_delivered;
                forward_packet(packet, made, scan, at);
            }
            if (is_last && !client_has(capability::deprecate_eof)) {
                unit.owes_eof = true;
                ++unit.shift;
                if (!swallowed) {
                    unit.next_sequence = append_eof(
                        made, static_cast<uint8_t>(packet.sequence() + unit.shift), {0, last_status_});
                }
                unit.owes_eof = false;
            }
            if (unit.reply.done()) {
                finish_unit(slot);
                scan.event = ScanEvent::unit_done;
            }
            return swallowed ? Verdict::drop : Verdict::forward;
        }
        case PacketRole::ok:
        case PacketRole::end_of_rows: {
            const OkPacket ok = unit.reply.ok();
            const bool is_done = unit.reply.done();
            take_ok(slot, unit, ok);
            append_ok_for_client(packet, ok, role, unit, made, scan, at);
            if (is_done) {
                finish_unit(slot);
                scan.event = ScanEvent::unit_done;
            } else {
                unit.rows_delivered = true;
            }
            return Verdict::forward;
        }
        case PacketRole::local_infile:
            unit.rows_delivered = true;
            unit.rerunnable = unit.resendable = false;
            file_under_way_ = true;
            file_dropped_ = false;
            break;
        case PacketRole::text:
            forward_packet(packet, made, scan, at);
            unit.rows_delivered = true;
            finish_unit(slot);
            scan.event = ScanEvent::unit_done;
            return Verdict::forward;
        case PacketRole::event:
            unit.rows_delivered = true;
            forward_packet(packet, made, scan, at);
            if (unit.reply.done()) {
                finish_unit(slot);
                scan.event = ScanEvent::unit_done;
            }
            return Verdict::forward;
        case PacketRole::lying: return Verdict::stop;
    }
    forward_packet(packet, made, scan, at);
    return Verdict::forward;
}

/// The id that the server gave a statement, and the one that the client is given.
Prepared& Conversation::note_prepared(Slot slot, Unit& unit) {
    if (!prepared_) prepared_ = std::make_unique<std::unordered_map<uint32_t, Prepared>>();
    Prepared& prepared = (*prepared_)[unit.statement_id];
    prepared.statement = unit.statement;
    prepared.parameters = unit.reply.parameters();
    prepared.server_id[index(slot)] = unit.reply.statement_id();
    prepared.generation[index(slot)] = slots_[index(slot)].generation;
    last_prepared_ = unit.statement_id;
    return prepared;
}

Conversation::Verdict Conversation::take_error(Slot slot, const Packet& packet, Scan& scan, ByteBuffer& made,
                                               size_t at) {
    const SlotState& state = slots_[index(slot)];
    Unit& unit = units_.front();
    const auto err = parse_err(packet.payload());
    if (!err) {
        lying(scan, "an error that can't be read");
        return Verdict::stop;
    }
    if (announces_end(err->number)) {
        detail_ = err->message;
        note_error_code(is_shutdown(err->number) ? "57P01" : std::string_view());
        scan.event = ScanEvent::dying;
        return Verdict::drop;
    }
    if (is_read_only_refusal(*err) && corrects_ && !wants_read_only_) {
        if (state.is_replica) {
            if (transaction_ != Transaction::idle && err->number == 1290) {
                // A read-only transaction that lives on a replica: the error that it gives anywhere.
                unit.had_error = unit.rows_delivered = true;
                note_error_code("25006");
                unit.next_sequence =
                    append_err(made, static_cast<uint8_t>(packet.sequence() + unit.shift), 1792, "25006",
                               "Cannot execute statement in a READ ONLY transaction");
                finish_unit(slot);
                scan.event = ScanEvent::unit_done;
                return Verdict::forward;
            }
            if (transaction_ == Transaction::idle && rerunnable()) {
                answer_is_complete_ = true;
                scan.event = ScanEvent::refused;
                return Verdict::drop;
            }
        } else if (transaction_ == Transaction::idle) {
            if (units_.size() == 1 && retainable() && unit.refusals < refusals_max) {
                ++unit.refusals;
                answer_is_complete_ = true;
                scan.event = ScanEvent::refused;
                return Verdict::drop;
            }
        } else if (err->number != 1792) {
            // A transaction whose server has become read-only: certainly not committed, and it never will be.
            unit.commits = false;
            detail_ = err->message;
            note_error_code("25006");
            scan.event = ScanEvent::dying;
            return Verdict::drop;
        }
    }
    unit.had_error = true;
    unit.rows_delivered = true;
    note_error_code(err->sqlstate.empty() ? std::string_view("HY000") : err->sqlstate);
    // A deadlock has rolled the transaction back; an error tells no status by itself.
    if (err->number == 1213) forget_transaction();
    forward_packet(packet, made, scan, at);
    finish_unit(slot);
    scan.event = ScanEvent::unit_done;
    return Verdict::forward;
}

void Conversation::take_ok(Slot slot, Unit& unit, const OkPacket& ok) {
    last_status_ = ok.status & static_cast<uint16_t>(~(status::session_state_changed | status::more_results |
                                                       status::cursor_exists | status::last_row_sent |
                                                       status::ps_out_params));
    transaction_ = (ok.status & status::in_transaction) != 0 ? Transaction::active : Transaction::idle;
    is_autocommit_ = (ok.status & status::autocommit) != 0;
    no_backslash_escapes_ = (ok.status & status::no_backslash_escapes) != 0;
    if (transaction_ == Transaction::active) next_transaction_.clear();
    SlotState& state = slots_[index(slot)];
    if (ok.insert_id != 0 && !state.is_replica) state.insert_id = last_insert_id_ = ok.insert_id;
    Prepared* prepared = unit.statement_id != 0 ? find_prepared(unit.statement_id) : nullptr;
    if (prepared && (unit.command == command::stmt_execute || unit.command == command::stmt_bulk_execute ||
                     unit.command == command::stmt_reset)) {
        if (std::exchange(prepared->has_long_data, false) && pins_.long_data > 0) --pins_.long_data;
        if (std::exchange(prepared->has_cursor, false) && pins_.held_cursors > 0) --pins_.held_cursors;
        if ((ok.status & status::cursor_exists) != 0) {
            prepared->has_cursor = true;
            ++pins_.held_cursors;
        }
    }
    if (!unit.is_call) statement_done(slot, unit);
    if (!ok.session_state.empty()) take_session_state(slot, unit, ok);
    if (!opaque_.empty()) {
        pins_.settings = true;
        opaque_.clear();
    }
}

void Conversation::finish_unit(Slot slot) {
    Unit& unit = units_.front();
    SlotState& state = slots_[index(slot)];
    if (!unit.had_error) {
        last_error_code_[0] = 0;
        while (unit.statements && unit.next_statement < unit.statements->size()) statement_done(slot, unit);
        if (!opaque_.empty()) pins_.settings = true;
        opaque_.clear();
        switch (unit.command) {
            case command::reset_connection: session_was_reset(slot); break;
            case command::set_option:
                wants_multi_statements_ = state.multi_statements = option_wanted_;
                break;
            default: break;
        }
    } else if (unit.is_call && unit.statements &&
               std::any_of(unit.statements->begin(), unit.statements->end(),
                           [](const sql::Statement& each) { return !each.effects.empty(); })) {
        pins_.settings = true;  // how far it came can't be told
    }
    if (transaction_ == Transaction::idle) state.has_next_transaction = false;
    if (log_) {
        state.synced = log_->version();
        if (log_->bytes() > limits::session_state_bytes_max) pins_.settings = true;
    }
    units_.pop();
    answer_is_complete_ = false;
    if (units_.empty()) units_.trim();
}

bool Conversation::rerunnable() const {
    for (size_t i = 0; i < units_.size(); ++i) {
        const Unit& unit = units_.at(i);
        if (!unit.rerunnable || unit.rows_delivered) return false;
    }
    return true;
}

bool Conversation::retainable() const {
    for (size_t i = 0; i < units_.size(); ++i) {
        const Unit& unit = units_.at(i);
        if (!(unit.rerunnable || unit.resendable) || unit.rows_delivered) return false;
    }
    return true;
}

bool Conversation::needs_primary() const {
    for (size_t i = 0; i < units_.size(); ++i) {
        if (units_.at(i).needs_primary) return true;
    }
    return false;
}

void Conversation::forbid_rerun() {
    for (size_t i = 0; i < units_.size(); ++i) units_.at(i).rerunnable = units_.at(i).resendable = false;
}

bool Conversation::may_have_committed() const {
    if (units_.empty()) return false;
    const Unit& oldest = units_.at(0);
    if (oldest.commits || (transaction_ == Transaction::idle && oldest.may_write)) return true;
    // Part of a transaction whose COMMIT is on the wire behind it: who runs it again may run it twice.
    if (transaction_ == Transaction::idle && !oldest.begins) return false;
    for (size_t i = 1; i < units_.size(); ++i) {
        if (units_.at(i).commits) return true;
    }
    return false;
}

}  // namespace holdfast::mysql
