// The server's side: matching its answers to what was asked, and telling what reaches the client.
#include <algorithm>

#include "protocol/base/limits.h"
#include "protocol/postgres/conversation.h"

namespace holdfast::postgres {
namespace {

using dialect::Scan;
using dialect::ScanEvent;

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
            (expected_.front().type == frontend::query || expected_.front().type == frontend::execute) &&
            !units_.front().asks_for_locks;
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
            if (type == backend::data_row && !swallowed) units_.front().take_row(as_text(body));
            break;
        case backend::copy_in_response:
            if (!runs || swallowed) return lying(scan, "an unasked CopyInResponse");
            return handle_copy_in();
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
            // Of a portal that is never run to its end, this is all that comes.
            if (type == backend::portal_suspended && units_.front().asks_for_locks && !swallowed)
                locks_asked_for();
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
    if (is_head(type)) return unit.deliver_head() ? Verdict::forward : Verdict::drop;
    unit.rows_delivered = true;
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
    return units_.front().deliver_head() ? Verdict::forward : Verdict::drop;
}

Conversation::Verdict Conversation::handle_copy_in() {
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

void Conversation::forbid_rerun() {
    for (size_t i = 0; i < units_.size(); ++i) units_.at(i).rerunnable = false;
}

}  // namespace holdfast::postgres
