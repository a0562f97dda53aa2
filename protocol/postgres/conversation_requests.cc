// The client's side: cutting its bytes into units, and taking those that go to a server.
#include <algorithm>

#include "protocol/base/limits.h"
#include "protocol/dialect/rerun.h"
#include "protocol/postgres/conversation.h"

namespace holdfast::postgres {

using dialect::Cut;
using dialect::CutKind;
using sql::Control;
using sql::Destination;

namespace {

/// Whether one of the requests runs what takes or releases locks.
/// query   the statements of a simple query, if any is to be remembered
bool asks_for_locks(const std::vector<CutScratch::Request>& requests,
                    const std::vector<sql::Statement>* query) {
    if (query && dialect::ask_for_locks(*query)) return true;
    return std::any_of(requests.begin(), requests.end(), [](const CutScratch::Request& each) {
        return each.type == frontend::execute && each.statement && each.statement->classes.has_effects &&
               dialect::ask_for_locks(each.statement->classes.statements);
    });
}

}  // namespace

void CutScratch::clear() {
    requests.clear();
    facts = dialect::UnitFacts::of_nothing();
    size = 0;
    stream_left = 0;
    ends_unit = false;
    flushes = false;
    has_execute = false;
}

Cut Conversation::cut(Bytes in, bool insist, ByteBuffer& out) {
    scratch_.clear();
    if (in.empty()) return {};
    if (stream_left_ > 0) {
        const size_t size = std::min(stream_left_, in.size());
        stream_left_ -= size;
        return {stream_dropped_ ? CutKind::drop : CutKind::stream, size};
    }
    const Look head = look_at_head(in);
    if (head == Look::malformed) return {CutKind::malformed};
    if (head == Look::partial) return {};
    const char type = std::to_integer<char>(in[0]);
    if (type == frontend::terminate) return {CutKind::terminate, in.size()};
    if (skipping_) return skip_to_sync(in, out);
    if (lost_) return answer_lost(in, out);

    const size_t total = size_t{load_u32(in.data() + 1)} + 1;
    const bool is_copy =
        type == frontend::copy_data || type == frontend::copy_done || type == frontend::copy_fail;
    if (is_copy || (copy_in_ && (type == frontend::sync || type == frontend::flush))) {
        return cut_copy_data(in, type, total);
    }

    bool whole = true;
    while (scratch_.size < in.size() && !scratch_.ends_unit && scratch_.stream_left == 0) {
        const Look look = look_at(in, scratch_.size);
        if (look == Look::malformed) {
            if (scratch_.requests.empty()) return {CutKind::malformed};
            break;  // what stands before it is served first
        }
        if (look == Look::partial) {
            whole = false;
            break;
        }
        if (look == Look::stop) break;
    }
    if (scratch_.requests.empty()) return {};
    summarise(scratch_.ends_unit);

    if (unit_open()) {
        const bool escalates = !skipping_ && slots_[index(active_)].is_replica &&
                               transaction_ == Transaction::idle &&
                               scratch_.facts.destination == Destination::primary;
        return {CutKind::go_on, scratch_.size, escalates};
    }
    // A Sync alone asks for nothing but a ReadyForQuery, which needs no server.
    if (scratch_.requests.size() == 1 && scratch_.requests[0].type == frontend::sync && units_.empty()) {
        append_ready_for_query(out, status_byte());
        return {CutKind::answer, scratch_.size};
    }
    const bool complete = scratch_.ends_unit || scratch_.flushes || scratch_.stream_left > 0;
    if (!complete && !insist && scratch_.size < limits::batch_collected_bytes_max) {
        return {whole && scratch_.size < in.size() ? CutKind::begin : CutKind::patience, scratch_.size};
    }
    return {CutKind::begin, scratch_.size};
}

Cut Conversation::cut_copy_data(Bytes in, char type, size_t total) {
    const bool wanted = !units_.empty();
    if (type != frontend::copy_data) {
        // Small messages: CopyDone, Sync and Flush are five bytes, CopyFail has a text that may be streamed.
        if (type != frontend::copy_fail && in.size() < total) return {};
        if (wanted && (type == frontend::copy_done || type == frontend::copy_fail)) {
            if (copy_in_) {
                copy_in_ = false;
            } else {
                expect_ours(Expected::copy_marker);
            }
        }
        const size_t size = std::min(total, in.size());
        stream_left_ = total - size;
        stream_dropped_ = !wanted;
        return {wanted ? CutKind::stream : CutKind::drop, size};
    }
    size_t size = 0;
    while (in.size() - size >= message_header_bytes &&
           std::to_integer<char>(in[size]) == frontend::copy_data) {
        const uint32_t length = load_u32(in.data() + size + 1);
        if (length < 4 || length > limits::postgres_message_bytes_max)
            break;  // the next cut says what is wrong
        const size_t message = size_t{length} + 1;
        if (in.size() - size < message) {
            stream_left_ = message - (in.size() - size);
            stream_dropped_ = !wanted;
            size = in.size();
            break;
        }
        size += message;
    }
    return {wanted ? CutKind::stream : CutKind::drop, size};
}

bool Conversation::accept(Bytes, Slot slot, ByteBuffer& prefix) {
    if (units_.empty()) active_ = slot;
    if (!unit_open()) {
        Unit& begun = units_.push({});
        begun.rerunnable = true;
        begun.may_write = false;
    }
    Unit& unit = units_.back();
    const dialect::UnitFacts& facts = scratch_.facts;
    unit.rerunnable = unit.rerunnable && facts.rerunnable;
    unit.may_write = unit.may_write || facts.may_write;
    unit.commits = unit.commits || facts.commits;
    unit.needs_primary = unit.needs_primary || facts.destination == Destination::primary;

    uint32_t executes = 0;
    const sql::Statement* only = nullptr;
    for (const auto& request : scratch_.requests) {
        if (request.type == frontend::query) {
            executes += scratch_.query.statement_count;
            if (scratch_.query.statement_count == 1) only = &scratch_.query.statements[0];
        } else if (request.type == frontend::execute) {
            ++executes;
            if (request.statement && request.statement->classes.statement_count == 1) {
                only = &request.statement->classes.statements[0];
            }
        }
    }
    unit.begins = unit.begins || (only && dialect::is_begin(only->control));
    unit.is_rollback = executes == 1 && only && only->control == Control::rollback;

    // What the server ignores needs nothing in front of it, and would never be answered.
    if (!unit.server_skips) insert_missing(slot, false, prefix);
    expect_requests(slot, false);
    // While the server ignores everything up to the Sync, a Query does not end the unit.
    if (scratch_.ends_unit)
        unit.ended = !unit.server_skips || scratch_.requests.back().type == frontend::sync;
    if (unit.ended) unit.server_skips = false;
    stream_left_ = scratch_.stream_left;
    stream_dropped_ = false;

    const sql::Classification& query = scratch_.query;
    if (scratch_.requests.back().type == frontend::query) unit.keep_statements(query);
    unit.asks_for_locks = unit.asks_for_locks || asks_for_locks(scratch_.requests, unit.statements.get());
    // Settings changed somewhere in a text that was not read can't be replayed.
    const auto& last = scratch_.requests.back();
    const sql::Classification* unread = last.type == frontend::query && query.truncated ? &query : nullptr;
    if (last.type == frontend::parse && last.statement->too_long) unread = &last.statement->classes;
    if (unread && dialect::may_hide_settings(*unread)) pins_.settings = true;
    return true;
}

bool Conversation::rerun_unit(Slot slot, Bytes requests, ByteBuffer& prefix) {
    expected_.clear();
    active_ = slot;
    copy_in_ = false;
    for (size_t i = 0; i < units_.size(); ++i) {
        Unit& unit = units_.at(i);
        unit.run_again();
        unit.server_skips = false;
    }
    scratch_.clear();
    while (scratch_.size < requests.size()) {
        if (look_at(requests, scratch_.size) != Look::whole) break;
    }
    insert_missing(slot, true, prefix);
    expect_requests(slot, true);
    return true;
}

}  // namespace holdfast::postgres
