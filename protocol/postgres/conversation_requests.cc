// The client's side: cutting its bytes into units, and keeping account of what the server will answer.
#include <algorithm>
#include <utility>

#include "protocol/base/limits.h"
#include "protocol/dialect/rerun.h"
#include "protocol/postgres/conversation.h"

namespace holdfast::postgres {
namespace {

using dialect::Cut;
using dialect::CutKind;
using dialect::is_commit;
using dialect::is_harmless;
using sql::Control;
using sql::Destination;

constexpr char copy_marker = 'c';
/// Statement and portal names behind which the rest of a Bind may be streamed.
constexpr size_t bind_names_bytes_max = 8'192;

bool is_frontend_type(char type) {
    switch (type) {
        case frontend::bind:
        case frontend::close:
        case frontend::copy_data:
        case frontend::copy_done:
        case frontend::copy_fail:
        case frontend::describe:
        case frontend::execute:
        case frontend::flush:
        case frontend::function_call:
        case frontend::parse:
        case frontend::query:
        case frontend::sync:
        case frontend::terminate: return true;
        default: return false;
    }
}

}  // namespace

void CutScratch::clear() {
    requests.clear();
    facts = {};
    facts.destination = Destination::transaction;
    facts.reason = sql::Reason::empty;
    facts.rerunnable = true;
    facts.may_write = false;
    size = 0;
    stream_left = 0;
    ends_unit = false;
    flushes = false;
    has_execute = false;
}

sql::Context Conversation::context(bool truncated) const {
    sql::Context context;
    context.standard_conforming_strings = standard_strings_;
    context.encoding_is_safe = encoding_is_safe_;
    context.functions = statements_.sources().functions;
    context.truncated = truncated;
    return context;
}

Cut Conversation::cut(Bytes in, bool insist, ByteBuffer& out) {
    scratch_.clear();
    if (in.empty()) return {};
    if (stream_left_ > 0) {
        const size_t size = std::min(stream_left_, in.size());
        stream_left_ -= size;
        return {stream_dropped_ ? CutKind::drop : CutKind::stream, size};
    }
    const char type = std::to_integer<char>(in[0]);
    if (!is_frontend_type(type)) {
        detail_ = "invalid frontend message type " + std::to_string(static_cast<unsigned char>(type));
        return {CutKind::malformed};
    }
    if (in.size() < message_header_bytes) return {};
    const uint32_t length = load_u32(in.data() + 1);
    if (length < 4 || length > limits::postgres_message_bytes_max) {
        detail_ = "invalid message length " + std::to_string(length);
        return {CutKind::malformed};
    }
    if (type == frontend::terminate) return {CutKind::terminate, in.size()};
    if (skipping_) return skip_to_sync(in, out);
    if (lost_) return answer_lost(in, out);

    const size_t total = size_t{length} + 1;
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
                expected_.push({copy_marker, true, false, false, {}, {}, {}, {}});
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

/// Takes the request at `offset` into the scratch, if it is there as far as it has to be.
Conversation::Look Conversation::look_at(Bytes in, size_t offset) {
    const Bytes rest = in.subspan(offset);
    const char type = std::to_integer<char>(rest[0]);
    if (!is_frontend_type(type)) {
        detail_ = "invalid frontend message type " + std::to_string(static_cast<unsigned char>(type));
        return Look::malformed;
    }
    if (rest.size() < message_header_bytes) return Look::partial;
    const uint32_t length = load_u32(rest.data() + 1);
    if (length < 4 || length > limits::postgres_message_bytes_max) {
        detail_ = "invalid message length " + std::to_string(length);
        return Look::malformed;
    }
    const size_t total = size_t{length} + 1;
    const size_t there = std::min(total, rest.size());
    const bool whole = there == total;
    const Bytes body = rest.subspan(message_header_bytes, there - message_header_bytes);

    CutScratch::Request request;
    request.type = type;
    request.offset = offset;
    request.size = there;
    switch (type) {
        case frontend::query: {
            if (!whole && there < limits::statement_classified_bytes_max) return Look::partial;
            const bool too_long = total > limits::statement_classified_bytes_max;
            std::string_view text = as_text(body);
            text = text.substr(0, text.find('\0'));
            statements_.classify_query(text.substr(0, limits::statement_classified_bytes_max),
                                       context(too_long), scratch_.query);
            merge_facts(scratch_.query, nullptr);
            scratch_.facts.text = text.substr(0, limits::statement_classified_bytes_max);
            if (too_long) scratch_.facts.too_long = true;
            scratch_.ends_unit = true;
            break;
        }
        case frontend::function_call:
            if (!whole && there < limits::batch_collected_bytes_max) return Look::partial;
            scratch_.facts.destination = Destination::primary;
            scratch_.facts.reason = sql::Reason::opaque;
            scratch_.facts.rerunnable = false;
            scratch_.facts.may_write = true;
            scratch_.ends_unit = true;
            break;
        case frontend::parse:
            if (!whole && there < limits::statement_classified_bytes_max) return Look::partial;
            break;
        case frontend::bind:
            if (!whole && (total <= limits::batch_collected_bytes_max || there < bind_names_bytes_max)) {
                return Look::partial;
            }
            break;
        case frontend::describe:
        case frontend::close:
        case frontend::execute:
            if (total > limits::batch_collected_bytes_max) {
                detail_ = "a Describe, Close or Execute of " + std::to_string(total) + " bytes";
                return Look::malformed;
            }
            if (!whole) return Look::partial;
            break;
        case frontend::sync:
        case frontend::flush:
            if (total != message_header_bytes) {
                detail_ = "a Sync or Flush with a body";
                return Look::malformed;
            }
            if (type == frontend::sync) scratch_.ends_unit = true;
            if (type == frontend::flush) scratch_.flushes = true;
            break;
        default:
            // Copy data behind an Execute: the batch is sent as far as it goes, the data follow it.
            scratch_.flushes = true;
            return Look::stop;
    }
    if (!read_names(request, body, whole)) return Look::malformed;
    scratch_.stream_left = total - there;
    scratch_.size = offset + there;
    scratch_.requests.push_back(std::move(request));
    return Look::whole;
}

/// Reads the names in a request of the extended protocol, and what they mean.
bool Conversation::read_names(CutScratch::Request& request, Bytes body, bool whole) {
    Reader reader(body);
    switch (request.type) {
        case frontend::parse: {
            request.name = reader.text();
            std::string_view rest = as_text(reader.rest());
            const size_t text_bytes = rest.find('\0');
            if (reader.failed() || (whole && text_bytes == std::string_view::npos)) {
                detail_ = "a Parse message without an end of its texts";
                return false;
            }
            const bool too_long = rest.size() > limits::statement_classified_bytes_max || !whole;
            if (too_long) rest = rest.substr(0, limits::statement_classified_bytes_max);
            request.statement = statements_.intern(rest, context(too_long));
            if (too_long) scratch_.facts.too_long = true;
            merge_facts(request.statement->classes, request.statement.get());
            break;
        }
        case frontend::bind:
            request.portal = reader.text();
            request.name = reader.text();
            if (reader.failed()) {
                detail_ = "a Bind message without an end of its names";
                return false;
            }
            // A Parse before it in these bytes has not been accepted yet: look there first.
            for (size_t i = scratch_.requests.size(); i-- > 0 && !request.statement;) {
                const auto& earlier = scratch_.requests[i];
                if (earlier.type == frontend::parse && earlier.name == request.name) {
                    request.statement = earlier.statement;
                }
            }
            if (!request.statement) request.statement = names_.meaning(request.name);
            if (request.statement) merge_facts(request.statement->classes, request.statement.get());
            break;
        case frontend::describe:
        case frontend::close: {
            const char kind = static_cast<char>(reader.u8());
            const std::string_view name = reader.text();
            if (reader.failed() || (kind != 'S' && kind != 'P')) {
                detail_ = "a Describe or Close message that names neither a statement nor a portal";
                return false;
            }
            request.names_portal = kind == 'P';
            (request.names_portal ? request.portal : request.name) = name;
            if (request.type == frontend::describe && !request.names_portal) {
                if ((request.statement = names_.meaning(name))) {
                    merge_facts(request.statement->classes, request.statement.get());
                }
            }
            break;
        }
        case frontend::execute:
            request.portal = reader.text();
            if (reader.failed()) {
                detail_ = "an Execute message without an end of its portal's name";
                return false;
            }
            scratch_.has_execute = true;
            for (size_t i = scratch_.requests.size(); i-- > 0 && !request.statement;) {
                const auto& earlier = scratch_.requests[i];
                if (earlier.type == frontend::bind && earlier.portal == request.portal) {
                    request.statement = earlier.statement;
                }
            }
            if (!request.statement) request.statement = names_.portal(request.portal);
            if (request.statement) {
                merge_facts(request.statement->classes, request.statement.get());
                for (uint32_t i = 0; i < request.statement->classes.statement_count; ++i) {
                    scratch_.facts.commits |= is_commit(request.statement->classes.statements[i].control);
                }
            }
            break;
        default: break;
    }
    return true;
}

/// Adds what one statement (or the statements of one simple query) asks of routing to the unit's facts.
void Conversation::merge_facts(const sql::Classification& classes, const Statement* statement) {
    dialect::UnitFacts& facts = scratch_.facts;
    Destination destination = classes.destination;
    sql::Reason reason = classes.reason;
    for (uint32_t i = 0; i < classes.statement_count; ++i) {
        const sql::Statement& each = classes.statements[i];
        bool harmless = is_harmless(each);
        if (each.executes_prepared) {
            const StatementRef prepared = names_.meaning(each.name);
            const Destination inner = prepared ? prepared->classes.destination : Destination::primary;
            harmless = prepared && prepared->classes.statement_count == 1 &&
                       is_harmless(prepared->classes.statements[0]);
            if (inner == Destination::primary || destination == Destination::transaction) {
                destination = inner;
                reason = prepared ? prepared->classes.reason : sql::Reason::cursor;
            }
        }
        if (each.control == Control::begin_read_only) facts.begins_read_only = true;
        if (!statement) facts.commits |= is_commit(each.control);
        if (!harmless) {
            facts.rerunnable = false;
            facts.may_write = true;
        }
    }
    if (classes.truncated) {
        facts.rerunnable = false;
        facts.may_write = true;
    }
    const bool decides =
        destination == Destination::primary
            ? facts.destination != Destination::primary
            : destination == Destination::replica && facts.destination == Destination::transaction;
    if (decides || (facts.reason == sql::Reason::empty && facts.destination == destination)) {
        facts.destination = destination;
        facts.reason = reason;
    }
    if (statement && (decides || facts.text.empty())) facts.text = statement->text();
}

/// Completes the facts of the unit once all that is there of it has been looked at.
void Conversation::summarise(bool whole) {
    dialect::UnitFacts& facts = scratch_.facts;
    if (facts.too_long || scratch_.stream_left > 0) {
        facts.rerunnable = false;
        if (facts.too_long) {
            facts.destination = Destination::primary;
            facts.reason = sql::Reason::too_long;
        }
    }
    // What follows an Execute before the Sync is not known yet and may write: the primary takes everything.
    if (!whole && scratch_.has_execute && facts.destination != Destination::primary) {
        facts.destination = Destination::primary;
        facts.too_long = true;
    }
    if (is_replication_) {
        facts.destination = Destination::primary;
        facts.rerunnable = false;
    }
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
    unit.begins = unit.begins ||
                  (only && (only->control == Control::begin || only->control == Control::begin_read_only));
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
    if (scratch_.requests.back().type == frontend::query && (query.has_effects || query.has_control)) {
        unit.query = std::make_unique<std::vector<sql::Statement>>(
            query.statements.begin(),
            query.statements.begin() + static_cast<std::ptrdiff_t>(query.statement_count));
    }
    // Settings changed somewhere in a text that was not read can't be replayed.
    const auto& last = scratch_.requests.back();
    const sql::Classification* unread = last.type == frontend::query && query.truncated ? &query : nullptr;
    if (last.type == frontend::parse && last.statement->too_long) unread = &last.statement->classes;
    if (unread && (unread->statement_count != 1 || unread->statements[0].reason != sql::Reason::write)) {
        pins_.settings = true;
    }
    return true;
}

/// Puts the prepared statements that the unit uses and the connection lacks in front of it.
void Conversation::insert_missing(Slot slot, bool rerun, ByteBuffer& prefix) {
    const auto named_before = [&](size_t end, std::string_view name) {
        for (size_t i = 0; i < end; ++i) {
            const auto& r = scratch_.requests[i];
            const bool names = r.type == frontend::parse || (r.type == frontend::close && !r.names_portal);
            if (names && r.name == name) return true;
        }
        return false;
    };
    for (size_t i = 0; i < scratch_.requests.size(); ++i) {
        const auto& request = scratch_.requests[i];
        const bool uses =
            request.type == frontend::bind || (request.type == frontend::describe && !request.names_portal);
        if (uses || request.type == frontend::parse) {
            auto* entry = names_.find(request.name);
            if (!entry) continue;
            const StatementRef& present = names_.present(*entry, slot);
            if (uses && present && present == entry->meant) continue;
            if (named_before(i, request.name)) continue;
            if (request.type == frontend::parse) {
                if (request.name.empty()) continue;  // replaces what is there by itself
                if (present && (!entry->meant || rerun)) {
                    insert_close(slot, request.name, *entry, prefix);
                } else if (!present && entry->meant && !rerun) {
                    // So that the second one fails here too.
                    insert_parse(slot, request.name, *entry, prefix);
                }
                continue;
            }
            if (present) insert_close(slot, request.name, *entry, prefix);
            if (entry->meant) insert_parse(slot, request.name, *entry, prefix);
        } else if (request.type == frontend::query) {
            // EXECUTE or DEALLOCATE of a statement that was prepared by the protocol, perhaps on another
            // server: prepared here by a batch of its own.
            const size_t before = prefix.size();
            for (uint32_t s = 0; s < scratch_.query.statement_count; ++s) {
                insert_named_by(scratch_.query.statements[s], slot, prefix);
            }
            if (prefix.size() == before) continue;
            append_message(prefix, frontend::sync);
            expected_.push({frontend::sync, true, false, false, {}, {}, {}, {}});
        }
        if (request.type == frontend::execute && request.statement) {
            for (uint32_t s = 0; s < request.statement->classes.statement_count; ++s) {
                insert_named_by(request.statement->classes.statements[s], slot, prefix);
            }
        }
    }
}

/// Prepares what a SQL statement names and the connection lacks.
void Conversation::insert_named_by(const sql::Statement& statement, Slot slot, ByteBuffer& prefix) {
    const auto insert = [&](std::string_view name) {
        auto* entry = names_.find(name);
        if (!name.empty() && entry && entry->meant && !names_.present(*entry, slot))
            insert_parse(slot, name, *entry, prefix);
    };
    if (statement.executes_prepared) insert(statement.name);
    for (const auto& effect : statement.effects) {
        if (effect.kind == sql::EffectKind::deallocate) insert(effect.key);
    }
}

void Conversation::insert_parse(Slot slot, std::string_view name, NamedStatements::Entry& entry,
                                ByteBuffer& prefix) {
    if (entry.meant->sql_level || entry.meant->too_long) return;
    {
        MessageWriter message(prefix, frontend::parse);
        message.text(name);
        message.bytes(as_bytes(entry.meant->body));
    }
    names_.set_present(entry, slot, entry.meant);
    expected_.push({frontend::parse, true, false, true, entry.meant, {}, std::string(name), {}});
}

void Conversation::insert_close(Slot slot, std::string_view name, NamedStatements::Entry& entry,
                                ByteBuffer& prefix) {
    StatementRef present = names_.present(entry, slot);
    names_.set_present(entry, slot, {});
    if (name.empty() && entry.meant) return;  // the Parse behind it replaces it by itself
    {
        MessageWriter message(prefix, frontend::close);
        message.u8('S');
        message.text(name);
    }
    expected_.push({frontend::close, true, false, true, {}, {}, std::string(name), std::move(present)});
}

/// Notes the answers that the requests in the scratch will get, and what their names mean from now on.
void Conversation::expect_requests(Slot slot, bool rerun) {
    for (auto& request : scratch_.requests) {
        Unit& unit = units_.back();
        if (unit.server_skips && !rerun) {
            if (request.type == frontend::sync)
                expected_.push({frontend::sync, false, false, false, {}, {}, {}, {}});
            continue;
        }
        Expected expected;
        expected.type = request.type;
        switch (request.type) {
            case frontend::parse: {
                auto& entry = names_.at(request.name);
                expected.statement = request.statement;
                expected.previous = rerun ? StatementRef{} : entry.meant;
                expected.name = request.name;
                expected.names_statement = true;
                expected.was_present = names_.present(entry, slot);
                entry.meant = request.statement;
                names_.set_present(entry, slot, request.statement);
                // Prepared anew, perhaps because "cached plan must not change result type": the copy on the
                // other connection has had its day too, although its text may be the same.
                names_.outdate(entry, dialect::other(slot));
                break;
            }
            case frontend::bind: names_.set_portal(request.portal, request.statement); break;
            case frontend::describe: expected.describes_portal = request.names_portal; break;
            case frontend::close:
                if (request.names_portal) {
                    names_.close_portal(request.portal);
                } else if (auto* entry = names_.find(request.name)) {
                    expected.previous = entry->meant;
                    expected.name = request.name;
                    expected.names_statement = true;
                    expected.was_present = names_.present(*entry, slot);
                    entry->meant = {};
                    names_.set_present(*entry, slot, {});
                }
                break;
            case frontend::execute: expected.statement = request.statement; break;
            case frontend::query: {
                auto& unnamed = names_.at({});
                unnamed.meant = {};
                names_.set_present(unnamed, slot, {});
                break;
            }
            case frontend::flush: continue;
            default: break;
        }
        expected_.push(std::move(expected));
    }
}

bool Conversation::rerun_unit(Slot slot, Bytes requests, ByteBuffer& prefix) {
    expected_.clear();
    active_ = slot;
    copy_in_ = false;
    for (size_t i = 0; i < units_.size(); ++i) {
        Unit& unit = units_.at(i);
        unit.heads_to_swallow = unit.heads_delivered;
        unit.had_error = false;
        unit.server_skips = false;
        unit.next_statement = 0;
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
