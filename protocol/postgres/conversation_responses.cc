// The server's side: matching its answers to what was asked, and learning what they say of the session.
#include <algorithm>
#include <charconv>
#include <cstring>

#include "protocol/base/limits.h"
#include "protocol/postgres/conversation.h"
#include "protocol/sql/prepare.h"

namespace holdfast::postgres {
namespace {

using dialect::Scan;
using dialect::ScanEvent;
using sql::Control;
using sql::EffectKind;

/// A field of an ErrorResponse or NoticeResponse without parsing the others; empty: not there.
std::string_view field(Bytes body, char wanted) {
    Reader reader(body);
    while (!reader.failed() && !reader.at_end()) {
        const char type = static_cast<char>(reader.u8());
        if (type == 0) break;
        const std::string_view value = reader.text();
        if (type == wanted && !reader.failed()) return value;
    }
    return {};
}

/// Whether an error says that a standby can't do this, and nothing has happened.
/// See the table of refusals in the routing notes: 25006 always; others by their text.
bool is_standby_refusal(std::string_view code, std::string_view message) {
    const auto says = [&](std::string_view part) { return message.find(part) != std::string_view::npos; };
    if (code == "25006") return true;
    if (code == "0A000") {
        return says("during recovery") || says("hot standby") || says("temporary or unlogged");
    }
    if (code == "55000") return says("recovery is in progress");
    if (code == "XX000") return says("during recovery");
    return false;
}

bool is_recovery_conflict(std::string_view code, std::string_view message) {
    return (code == "40001" || code == "40P01") &&
           message.find("conflict with recovery") != std::string_view::npos;
}

/// Encodings whose second bytes can look like quotes or backslashes.
bool is_safe_encoding(std::string_view name) {
    for (const std::string_view unsafe :
         {"SJIS", "SHIFT_JIS_2004", "BIG5", "GBK", "GB18030", "JOHAB", "UHC", "MSKANJI", "SHIFTJIS", "WIN932",
          "WINDOWS932", "WIN936", "WINDOWS936", "WIN949", "WINDOWS949", "WIN950", "WINDOWS950"}) {
        if (name.size() == unsafe.size() &&
            std::equal(name.begin(), name.end(), unsafe.begin(), [](char a, char b) {
                return (a >= 'a' && a <= 'z' ? static_cast<char>(a - 'a' + 'A') : a) == b;
            })) {
            return false;
        }
    }
    return true;
}

/// The row count at the end of a command tag ("SELECT 3"); 1 when there is none.
uint32_t rows_of(std::string_view tag) {
    const size_t space = tag.rfind(' ');
    uint32_t rows = 1;
    if (space != std::string_view::npos)
        std::from_chars(tag.data() + space + 1, tag.data() + tag.size(), rows);
    return rows;
}

bool is_head(char type) {
    switch (type) {
        case backend::parse_complete:
        case backend::bind_complete:
        case backend::close_complete:
        case backend::parameter_description:
        case backend::row_description:
        case backend::no_data: return true;
        default: return false;
    }
}

/// Whether the proxy has to see the whole message; others are forwarded by their heads.
bool is_understood(char type) {
    switch (type) {
        case backend::command_complete:
        case backend::error_response:
        case backend::notice_response:
        case backend::parameter_status:
        case backend::ready_for_query: return true;
        default: return false;
    }
}

}  // namespace

bool Conversation::inside_message() const {
    const SlotState& slot = slots_[index(active_)];
    return slot.body_left > 0 && !slot.body_is_dropped;
}

Scan Conversation::scan(Slot slot, Bytes in) {
    SlotState& state = slots_[index(slot)];
    Scan scan;
    size_t at = 0;
    if (state.body_left > 0) {
        at = std::min(state.body_left, in.size());
        state.body_left -= at;
        scan.consumed = at;
        if (state.body_is_dropped) return scan;
        scan.forward = at;
    }
    // Another slot's answer is in the middle of a message: what comes here has to wait.
    const bool must_wait = slot != active_ && inside_message();
    while (!must_wait && in.size() - at >= message_header_bytes) {
        const char type = std::to_integer<char>(in[at]);
        const uint32_t length = load_u32(in.data() + at + 1);
        if (length < 4 || length > limits::postgres_message_bytes_max) {
            lying(scan, "a message with an impossible length");
            return scan;
        }
        const size_t total = size_t{length} + 1;
        const size_t there = in.size() - at;

        const bool is_row = type == backend::data_row || type == backend::copy_data;
        const bool plain =
            is_row && slot == active_ && !expected_.empty() && !expected_.front().swallowed &&
            state.swallow_ready == 0 &&
            (expected_.front().type == frontend::query || expected_.front().type == frontend::execute);
        if (plain) {
            // Rows: hop from head to head.
            size_t end = at;
            while (in.size() - end >= message_header_bytes) {
                if (in[end] != in[at]) break;
                const uint32_t row_length = load_u32(in.data() + end + 1);
                if (row_length < 4 || row_length > limits::postgres_message_bytes_max) break;
                if (in.size() - end < size_t{row_length} + 1) break;
                end += size_t{row_length} + 1;
            }
            if (end > at) {
                units_.front().rows_delivered = true;
                at = end;
                scan.forward = scan.consumed = at;
                continue;
            }
        }
        const bool whole = there >= total;
        if (!whole) {
            const bool stream = is_understood(type)
                                    ? type == backend::error_response &&
                                          there >= limits::postgres_server_message_collected_bytes_max
                                    : total > limits::result_message_whole_bytes_max;
            if (is_understood(type) && type != backend::error_response && type != backend::notice_response &&
                total > limits::postgres_server_message_collected_bytes_max) {
                lying(scan, "a message far too long for its kind");
                return scan;
            }
            if (!stream && !(type == backend::notice_response &&
                             there >= limits::postgres_server_message_collected_bytes_max)) {
                scan.wanted = total;
                break;
            }
        }
        const size_t size = std::min(there, total);
        const Bytes body = in.subspan(at + message_header_bytes, size - message_header_bytes);
        const Verdict verdict = handle(slot, type, body, scan);
        if (scan.event == ScanEvent::lying) return scan;
        at += size;
        state.body_left = total - size;
        // A long message that belongs to no answer could be interrupted by one: it is not begun.
        const bool is_news = slot != active_ || units_.empty();
        const bool forwards = verdict == Verdict::forward && (state.body_left == 0 || !is_news);
        if (forwards && state.body_left > 0) units_.front().rows_delivered = true;
        state.body_is_dropped = !forwards;
        scan.consumed = at;
        if (forwards) scan.forward = at;
        // A dropped message ends the run that can be forwarded in one piece.
        if (!forwards || scan.event != ScanEvent::none) return scan;
    }
    return scan;
}

Conversation::Verdict Conversation::lying(Scan& scan, std::string_view what) {
    scan.event = ScanEvent::lying;
    detail_ = what;
    return Verdict::stop;
}

Conversation::Verdict Conversation::handle(Slot slot, char type, Bytes body, Scan& scan) {
    SlotState& state = slots_[index(slot)];
    switch (type) {
        case backend::notice_response: return handle_notice(body, scan);
        case backend::parameter_status: return handle_parameter(slot, body, scan);
        case backend::notification_response:
            return state.swallow_ready > 0 || state.is_replica ? Verdict::drop : Verdict::forward;
        case backend::error_response: return handle_error(slot, body, scan);
        default: break;
    }
    if (state.swallow_ready > 0) {
        if (type == backend::ready_for_query) --state.swallow_ready;
        return Verdict::drop;
    }
    while (slot == active_ && !expected_.empty() && expected_.front().type == Expected::copy_marker)
        expected_.pop();
    if (slot != active_ || expected_.empty()) return lying(scan, "an answer that nobody asked for");

    const Expected& expected = expected_.front();
    const bool runs = expected.type == frontend::execute || expected.type == frontend::query ||
                      expected.type == Expected::sync_query;
    const bool swallowed = expected.swallowed;
    switch (type) {
        case backend::parse_complete: return head(frontend::parse, scan);
        case backend::bind_complete: return head(frontend::bind, scan);
        case backend::close_complete: return head(frontend::close, scan);
        case backend::no_data: return head(frontend::describe, scan);
        case backend::parameter_description:
            if (expected.type != frontend::describe) return lying(scan, "an unasked ParameterDescription");
            expected_.front().describes_portal = true;  // what is left of its answer is that of a portal
            break;
        case backend::row_description:
            if (expected.type == frontend::describe) return head(frontend::describe, scan);
            if (!runs) return lying(scan, "an unasked RowDescription");
            break;
        case backend::data_row:
        case backend::copy_data:
        case backend::copy_done:
        case backend::copy_out_response:
        case backend::copy_both_response:
            if (!runs) return lying(scan, "rows that nobody asked for");
            if (type == backend::copy_both_response) copy_both_ = true;
            break;
        case backend::copy_in_response:
            if (!runs || swallowed) return lying(scan, "an unasked CopyInResponse");
            return handle_copy_in(scan);
        case backend::command_complete: {
            if (!runs) return lying(scan, "an unasked CommandComplete");
            if (swallowed) return Verdict::drop;
            const std::string_view text = as_text(body);
            command_complete(text.substr(0, text.find('\0')));
            if (expected_.front().type == frontend::execute) expected_.pop();
            break;
        }
        case backend::empty_query_response:
        case backend::portal_suspended:
            if (!runs) return lying(scan, "an unasked end of a portal");
            if (expected.type == frontend::execute) expected_.pop();
            break;
        case backend::function_call_response:
            if (expected.type != frontend::function_call)
                return lying(scan, "an unasked FunctionCallResponse");
            break;
        case backend::ready_for_query: return handle_ready(slot, body, scan);
        default: return lying(scan, "a message of an unknown kind");
    }
    if (swallowed) return Verdict::drop;
    Unit& unit = units_.front();
    if (is_head(type)) {
        if (unit.heads_to_swallow > 0) {
            --unit.heads_to_swallow;
            return Verdict::drop;
        }
        ++unit.heads_delivered;
    } else {
        unit.rows_delivered = true;
    }
    return Verdict::forward;
}

/// A short answer that completes one request: ParseComplete and its like.
Conversation::Verdict Conversation::head(char answered, Scan& scan) {
    Expected& expected = expected_.front();
    if (expected.type != answered) {
        // A Query's answer may hold none of these; a Describe's are handled by the caller.
        return lying(scan, "an answer out of order");
    }
    const bool swallowed = expected.swallowed;
    if (answered == frontend::close && !swallowed) names_.forget_if_unused(expected.name);
    expected_.pop();
    if (swallowed) return Verdict::drop;
    Unit& unit = units_.front();
    if (unit.heads_to_swallow > 0) {
        --unit.heads_to_swallow;
        return Verdict::drop;
    }
    ++unit.heads_delivered;
    return Verdict::forward;
}

Conversation::Verdict Conversation::handle_copy_in(Scan&) {
    Unit& unit = units_.front();
    unit.rows_delivered = true;
    unit.rerunnable = false;
    // The server takes copy data now, and ignores the Syncs that were sent before their end.
    copy_in_ = true;
    while (expected_.size() > 1) {
        const char type = expected_.at(1).type;
        if (type == Expected::copy_marker) {
            expected_.erase(1);
            copy_in_ = false;
            break;
        }
        // Any other request ends the copying with an error, and the Syncs behind it count again.
        if (type != frontend::sync) break;
        expected_.erase(1);
        // The batch goes on behind it: the next unit's requests, if any were sent, belong to it.
        if (units_.size() > 1) {
            const Unit& next = units_.at(1);
            unit.ended = next.ended;
            unit.may_write = unit.may_write || next.may_write;
            unit.commits = unit.commits || next.commits;
            unit.is_rollback = false;
            units_.erase(1);
        } else {
            unit.ended = false;
        }
    }
    return Verdict::forward;
}

Conversation::Verdict Conversation::handle_notice(Bytes body, Scan& scan) {
    // Another backend crashed, or the server shuts down at once: the end of this connection follows.
    if (const std::string_view code = field(body, 'C');
        code == "57P01" || code == "57P02" || code == "57P03") {
        detail_ = std::string(field(body, 'M'));
        note_error_code(code);
        scan.event = ScanEvent::dying;
        return Verdict::drop;
    }
    const bool ours = !expected_.empty() && expected_.front().swallowed;
    return ours ? Verdict::drop : Verdict::forward;
}

Conversation::Verdict Conversation::handle_parameter(Slot slot, Bytes body, Scan& scan) {
    SlotState& state = slots_[index(slot)];
    Reader reader(body);
    const std::string_view name = reader.text();
    const std::string_view value = reader.text();
    if (reader.failed()) return lying(scan, "a ParameterStatus without an end");
    if (name == "in_hot_standby") {
        const bool is_standby = value == "on";
        if (state.says_replica != is_standby) {
            state.says_replica = is_standby;
            state.is_replica = is_standby;
            scan.event = ScanEvent::role_changed;
        }
        return Verdict::drop;  // clients see one server that never changes its role
    }
    const bool swallowed = state.swallow_ready > 0 ||
                           (slot == active_ && !expected_.empty() && expected_.front().swallowed) ||
                           (state.is_replica && (slot != active_ || expected_.empty()));
    if (swallowed) return Verdict::drop;
    if (name == "standard_conforming_strings") standard_strings_ = value == "on";
    if (name == "client_encoding") encoding_is_safe_ = is_safe_encoding(value);
    if (name == "default_transaction_read_only") wants_read_only_ = value == "on";
    return Verdict::forward;
}

Conversation::Verdict Conversation::handle_error(Slot slot, Bytes body, Scan& scan) {
    SlotState& state = slots_[index(slot)];
    const std::string_view code = field(body, 'C');
    const std::string_view message = field(body, 'M');
    std::string_view severity = field(body, 'V');
    if (severity.empty()) severity = field(body, 'S');
    if (severity == "FATAL" || severity == "PANIC") {
        detail_ = message;
        note_error_code(code);
        scan.event = ScanEvent::dying;
        return Verdict::drop;
    }
    if (state.swallow_ready > 0) return Verdict::drop;
    while (slot == active_ && !expected_.empty() && expected_.front().type == Expected::copy_marker)
        expected_.pop();
    if (slot != active_ || expected_.empty()) return lying(scan, "an error that belongs to no request");
    Expected& expected = expected_.front();
    if (expected.type == Expected::sync_query) {
        detail_ = message;
        if (state.sync_failed_at == 0 && sync_versions_.size() >= state.syncs_pending) {
            state.sync_failed_at = sync_versions_[sync_versions_.size() - state.syncs_pending];
        }
        return Verdict::drop;
    }
    const bool is_refusal = is_standby_refusal(code, message);
    if ((is_refusal || is_recovery_conflict(code, message)) && state.is_replica && corrects_ &&
        transaction_ == Transaction::idle && !wants_read_only_ && rerunnable()) {
        scan.event = is_refusal ? ScanEvent::refused : ScanEvent::conflict;
        return Verdict::drop;
    }
    if (expected.type == frontend::query || expected.type == frontend::function_call) {
        units_.front().had_error = true;
    } else {
        const bool ours = expected.swallowed;
        drop_to_sync();
        // A group that the proxy put in front by itself: the request behind it will say what is missing.
        if (ours && !expected_.empty() && expected_.front().swallowed &&
            expected_.front().type == frontend::sync) {
            return Verdict::drop;
        }
        units_.front().had_error = true;
    }
    copy_in_ = false;
    units_.front().rows_delivered = true;
    note_error_code(code);
    return Verdict::forward;
}

void Conversation::note_error_code(std::string_view code) {
    const size_t size = std::min(code.size(), last_error_code_.size() - 1);
    std::memcpy(last_error_code_.data(), code.data(), size);
    last_error_code_[size] = 0;
}

/// After an error in the extended protocol the server ignores everything up to the next Sync.
void Conversation::drop_to_sync() {
    Ring<Expected> dropped;
    while (!expected_.empty() && expected_.front().type != frontend::sync) {
        dropped.push(std::move(expected_.front()));
        expected_.pop();
    }
    // Undone backwards, so that a name gets the meaning it had first.
    for (size_t i = dropped.size(); i-- > 0;) undo(dropped.at(i));
    if (!dropped.empty() && dropped.front().type == frontend::parse && dropped.front().name.empty()) {
        // The server forgets the unnamed statement before it looks at the new one.
        auto& unnamed = names_.at({});
        if (!dropped.front().swallowed) unnamed.meant = {};
        names_.set_present(unnamed, active_, {});
    }
    // Queries that were dropped ended units of their own: all of them are one batch now, up to the Sync.
    for (size_t i = 0; i < dropped.size() && units_.size() > 1; ++i) {
        const Expected& each = dropped.at(i);
        if (each.swallowed || (each.type != frontend::query && each.type != frontend::function_call))
            continue;
        units_.front().ended = units_.at(1).ended;
        units_.front().rerunnable = false;
        units_.erase(1);
    }
    if (expected_.empty() && !units_.empty()) {
        units_.front().server_skips = true;
        units_.front().ended = false;
    }
}

void Conversation::command_complete(std::string_view tag) {
    Unit& unit = units_.front();
    Expected& expected = expected_.front();
    if (expected.type == frontend::execute) {
        if (expected.statement) {
            for (uint32_t i = 0; i < expected.statement->classes.statement_count; ++i) {
                statement_done(expected.statement->classes.statements[i], tag);
            }
        }
        return;
    }
    if (unit.query && unit.next_statement < unit.query->size()) {
        statement_done((*unit.query)[unit.next_statement++], tag);
    }
}

void Conversation::statement_done(const sql::Statement& statement, std::string_view tag) {
    if (statement.control != Control::none) {
        const bool rolled_back = tag == "ROLLBACK";
        switch (statement.control) {
            case Control::commit:
            case Control::commit_and_chain:
            case Control::rollback:
            case Control::rollback_and_chain:
            case Control::prepare_transaction:
                if (rolled_back || statement.control == Control::prepare_transaction) {
                    if (log_) log_->rollback();
                    pending_pins_.clear();
                } else {
                    if (log_) log_->commit();
                    for (const auto& effect : std::exchange(pending_pins_, {})) apply_effect(effect, {});
                }
                break;
            case Control::savepoint:
                if (!log_) log_ = std::make_unique<dialect::SessionLog>();
                log_->savepoint(statement.name);
                break;
            case Control::release:
                if (log_) log_->release(statement.name);
                break;
            case Control::rollback_to:
                if (log_) log_->rollback_to(statement.name);
                break;
            case Control::none:
            case Control::begin:
            case Control::begin_read_only:
            case Control::commit_prepared:
            case Control::set_transaction_read_only:
            case Control::set_transaction_other: break;
        }
    }
    for (const auto& effect : statement.effects) {
        switch (effect.kind) {
            case EffectKind::set:
            case EffectKind::reset:
            case EffectKind::reset_all:
            case EffectKind::listen:
            case EffectKind::unlisten:
            case EffectKind::unlisten_all:
                if (!log_) log_ = std::make_unique<dialect::SessionLog>();
                log_->record(effect);
                break;
            case EffectKind::temporary:
            case EffectKind::cursor:
                if (pending_pins_.size() < limits::session_state_entries_max) pending_pins_.push_back(effect);
                break;
            default: apply_effect(effect, tag); break;
        }
    }
}

/// An effect that no rollback undoes, or whose transaction has committed.
void Conversation::apply_effect(const sql::Effect& effect, std::string_view tag) {
    switch (effect.kind) {
        case EffectKind::temporary: pins_.temporary = true; break;
        case EffectKind::discard_temp: pins_.temporary = false; break;
        case EffectKind::set_opaque: pins_.settings = true; break;
        case EffectKind::cursor: ++pins_.held_cursors; break;
        case EffectKind::cursor_close:
            if (pins_.held_cursors > 0) --pins_.held_cursors;
            break;
        case EffectKind::cursor_close_all: pins_.held_cursors = 0; break;
        case EffectKind::advisory_lock: pins_.advisory_locks += rows_of(tag); break;
        case EffectKind::advisory_unlock:
            pins_.advisory_locks -= std::min(pins_.advisory_locks, rows_of(tag));
            break;
        case EffectKind::advisory_unlock_all: pins_.advisory_locks = 0; break;
        case EffectKind::prepare: {
            if (!log_) log_ = std::make_unique<dialect::SessionLog>();
            log_->record_now(effect);
            std::string body(sql::prepared_body(effect.replay));
            body.push_back('\0');
            const StatementRef interned = statements_.intern(body, context(false));
            StatementRef made(new Statement(*interned));
            made->sql_level = true;
            auto& entry = names_.at(effect.key);
            entry.meant = made;
            names_.set_present(entry, active_, made);
            break;
        }
        case EffectKind::deallocate: {
            if (log_) log_->record_now(effect);
            if (auto* entry = names_.find(effect.key)) {
                entry->meant = {};
                names_.set_present(*entry, active_, {});
                names_.forget_if_unused(effect.key);
            }
            break;
        }
        case EffectKind::deallocate_all:
            if (!log_) log_ = std::make_unique<dialect::SessionLog>();
            log_->record_now(effect);
            names_.deallocate_all(active_);
            break;
        case EffectKind::discard_all:
            if (!log_) log_ = std::make_unique<dialect::SessionLog>();
            log_->record_now(effect);
            names_.deallocate_all(active_);
            pins_ = {};
            break;
        case EffectKind::set:
        case EffectKind::reset:
        case EffectKind::reset_all:
        case EffectKind::listen:
        case EffectKind::unlisten:
        case EffectKind::unlisten_all:
        case EffectKind::user_variable:
        case EffectKind::user_variables:
        case EffectKind::table_lock:
        case EffectKind::table_unlock:
        case EffectKind::handler:
        case EffectKind::handler_close:
        case EffectKind::next_transaction:
        case EffectKind::tracking: return;  // MySQL's
        case EffectKind::sequence: break;
    }
}

Conversation::Verdict Conversation::handle_ready(Slot slot, Bytes body, Scan& scan) {
    SlotState& state = slots_[index(slot)];
    if (body.size() != 1) return lying(scan, "a ReadyForQuery of the wrong length");
    const char status = std::to_integer<char>(body[0]);
    if (status != 'I' && status != 'T' && status != 'E') return lying(scan, "an unknown transaction status");
    const Expected& expected = expected_.front();
    switch (expected.type) {
        case Expected::sync_query:
            expected_.pop();
            if (--state.syncs_pending > 0) return Verdict::drop;
            if (state.sync_failed_at != 0) {
                scan.event = ScanEvent::sync_failed;
                return Verdict::drop;
            }
            state.synced = state.sync_target;
            if (!state.is_replica) state.subscribed = state.sync_target;
            state.sync_target = 0;
            sync_versions_.clear();
            scan.event = ScanEvent::sync_done;
            return Verdict::drop;
        case frontend::sync:
        case frontend::query:
        case frontend::function_call: break;
        default: return lying(scan, "a ReadyForQuery before the answer was complete");
    }
    const bool swallowed = expected.swallowed;
    expected_.pop();
    if (swallowed) return Verdict::drop;
    finish_unit(status);
    scan.event = ScanEvent::unit_done;
    return Verdict::forward;
}

void Conversation::finish_unit(char status) {
    Unit& unit = units_.front();
    transaction_ = status == 'I'   ? Transaction::idle
                   : status == 'T' ? Transaction::active
                                   : Transaction::failed;
    copy_in_ = false;
    if (!unit.had_error) last_error_code_[0] = 0;
    if (transaction_ == Transaction::idle) {
        if (unit.had_error) {
            if (log_) log_->rollback();
            pending_pins_.clear();
        } else {
            if (log_) log_->commit();
            if (!pending_pins_.empty()) {
                for (const auto& effect : std::exchange(pending_pins_, {})) apply_effect(effect, {});
            }
        }
        names_.forget_portals();
    }
    if (log_) {
        SlotState& state = slots_[index(active_)];
        // Subscriptions are the connection's only if it had all earlier ones: it was synchronised before.
        const bool changed = state.synced != log_->version();
        if (!state.is_replica && state.subscribed == state.synced) state.subscribed = log_->version();
        state.synced = log_->version();
        if (changed) log_->forget_deallocated({slots_[0].synced, slots_[1].synced});
        if (log_->take_loss()) pins_.settings = true;
    }
    units_.pop();
    if (units_.empty()) {
        expected_.clear();  // ends of copy data that the server had refused
        expected_.trim();
    }
}

bool Conversation::rerunnable() const {
    for (size_t i = 0; i < units_.size(); ++i) {
        const Unit& unit = units_.at(i);
        if (!unit.rerunnable || unit.rows_delivered) return false;
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
    for (size_t i = 0; i < units_.size(); ++i) units_.at(i).rerunnable = false;
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

}  // namespace holdfast::postgres
