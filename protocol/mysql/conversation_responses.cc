// The server's side: following its answers, and telling what reaches the client.
#include <algorithm>
#include <utility>

#include "protocol/base/limits.h"
#include "protocol/mysql/conversation_packet.h"

namespace holdfast::mysql {
using dialect::Scan;
using dialect::ScanEvent;

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
            !units_.front().owes_eof && !units_.front().asks_for_locks) {
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

Conversation::Verdict Conversation::take_unit(Slot slot, PacketRole role, const Packet& packet, Scan& scan,
                                              ByteBuffer& made, size_t at) {
    Unit& unit = units_.front();
    if (!take_head(slot, role, packet, unit)) return other_columns(unit, scan);
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
            if (!unit.deliver_head()) return Verdict::drop;
            // The columns of a COM_FIELD_LIST, and of a second result, can't be taken back.
            if (unit.command == command::field_list || unit.next_statement > 0) unit.rows_delivered = true;
            // Nor can a head that tells whether definitions follow: another connection may say otherwise.
            if (role == PacketRole::column_count &&
                (unit.reply.in_rows() ||
                 (unit.command == command::stmt_execute && client_has(capability::cache_metadata)))) {
                unit.in_final_head = !unit.rows_delivered;
                unit.rows_delivered = true;
            }
            break;
        case PacketRole::row:
            unit.in_final_head = false;
            if (unit.owes_eof) append_eof_for_client(unit, packet.sequence(), made);
            unit.rows_delivered = true;
            unit.take_row(as_text(packet.payload()));
            break;
        case PacketRole::prepared: {
            note_prepared(slot, unit);
            if (!unit.deliver_head()) return Verdict::drop;
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
            const bool swallowed = !unit.deliver_head();
            const bool is_last = role != PacketRole::definition;
            if (!swallowed) forward_packet(packet, made, scan, at);
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
            unit.in_final_head = false;
            if (is_done) {
                finish_unit(slot);
                scan.event = ScanEvent::unit_done;
            } else {
                unit.rows_delivered = true;
            }
            return Verdict::forward;
        }
        case PacketRole::local_infile:
            // A server that asks for files of a client that offered none is after something else.
            if (!client_has(capability::local_files) || unit.rerunnable) {
                lying(scan, "a wish for a file that was not offered");
                return Verdict::stop;
            }
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

void Conversation::take_ok(Slot slot, Unit& unit, const OkPacket& ok) {
    last_status_ = ok.status & static_cast<uint16_t>(~(status::session_state_changed | status::more_results |
                                                       status::cursor_exists | status::last_row_sent |
                                                       status::ps_out_params));
    transaction_ = (ok.status & status::in_transaction) != 0 ? Transaction::active : Transaction::idle;
    is_doubtful_ = false;  // the server tells
    if (transaction_ == Transaction::idle) is_xa_prepared_ = false;
    is_autocommit_ = (ok.status & status::autocommit) != 0;
    // A routine's own sql_mode stays in the flag when it has ended: what is reported counts, once it is.
    if (!sql_mode_is_reported_) no_backslash_escapes_ = (ok.status & status::no_backslash_escapes) != 0;
    has_warnings_ = ok.warnings > 0;
    SlotState& state = slots_[index(slot)];
    if (transaction_ == Transaction::active) {
        next_transaction_.clear();
        state.has_next_transaction = false;
    }
    if (ok.insert_id != 0 && !state.is_replica) state.insert_id = last_insert_id_ = ok.insert_id;
    Prepared* prepared = unit.statement_id != 0 ? find_prepared(unit.statement_id) : nullptr;
    if (prepared && (unit.command == command::stmt_execute || unit.command == command::stmt_bulk_execute ||
                     unit.command == command::stmt_reset)) {
        if (std::exchange(prepared->has_cursor, false) && pins_.held_cursors > 0) --pins_.held_cursors;
        if ((ok.status & status::cursor_exists) != 0) {
            prepared->has_cursor = true;
            ++pins_.held_cursors;
        }
    }
    // At its end the server closes it.
    if (prepared && unit.command == command::stmt_fetch && (ok.status & status::last_row_sent) != 0 &&
        std::exchange(prepared->has_cursor, false) && pins_.held_cursors > 0) {
        --pins_.held_cursors;
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
        if (unit.prepares_xa) is_xa_prepared_ = true;
        last_error_code_.clear();
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
    } else if (!unit.is_call && unit.statements && unit.next_statement < unit.statements->size()) {
        // A PREPARE that fails leaves nothing of what the name stood for.
        for (const auto& effect : (*unit.statements)[unit.next_statement].effects) {
            if (effect.kind == sql::EffectKind::prepare) forget_text(effect.key);
        }
    } else if (unit.is_call && unit.statements) {
        broke_off(*unit.statements);
    }
    if (unit.had_error && unit.command == command::stmt_prepare) last_prepared_ = 0;
    if (log_) {
        const bool changed = state.synced != log_->version();
        state.synced = log_->version();
        if (changed) log_->forget_deallocated({slots_[0].synced, slots_[1].synced});
        if (log_->take_loss()) pins_.settings = true;
    }
    pop_unit();
    answer_is_complete_ = false;
    if (units_.empty()) units_.trim();
}

void Conversation::pop_unit() {
    if (units_.front().ends_transaction) --transaction_ends_;
    units_.pop();
}

bool Conversation::retainable() const {
    for (size_t i = 0; i < units_.size(); ++i) {
        const Unit& unit = units_.at(i);
        if (!(unit.rerunnable || unit.resendable) || unit.rows_delivered) return false;
    }
    return true;
}

void Conversation::forbid_rerun() {
    for (size_t i = 0; i < units_.size(); ++i) units_.at(i).rerunnable = units_.at(i).resendable = false;
}

}  // namespace holdfast::mysql
