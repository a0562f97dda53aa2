// What servers' errors and notices mean: a request that failed, a standby's refusal, a connection that ends.
#include <utility>

#include "protocol/postgres/conversation.h"

namespace holdfast::postgres {
namespace {

using dialect::Scan;
using dialect::ScanEvent;

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

}  // namespace

Conversation::Verdict Conversation::handle_error(Slot slot, Bytes body, Scan& scan) {
    SlotState& state = slots_[index(slot)];
    const std::string_view code = field(body, 'C');
    const std::string_view message = field(body, 'M');
    std::string_view severity = field(body, 'V');
    if (severity.empty()) severity = field(body, 'S');
    if (severity == "FATAL" || severity == "PANIC") {
        detail_ = message;
        last_error_code_.set(code);
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
    last_error_code_.set(code);
    return Verdict::forward;
}

Conversation::Verdict Conversation::handle_notice(Bytes body, Scan& scan) {
    // Another backend crashed, or the server shuts down at once: the end of this connection follows.
    if (const std::string_view code = field(body, 'C');
        code == "57P01" || code == "57P02" || code == "57P03") {
        detail_ = std::string(field(body, 'M'));
        last_error_code_.set(code);
        scan.event = ScanEvent::dying;
        return Verdict::drop;
    }
    const bool ours = !expected_.empty() && expected_.front().swallowed;
    return ours ? Verdict::drop : Verdict::forward;
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

}  // namespace holdfast::postgres
