// The client's messages, one by one: how much of each has to be there, what it names, and what it asks of
// routing.
#include <algorithm>
#include <utility>

#include "protocol/base/limits.h"
#include "protocol/dialect/rerun.h"
#include "protocol/postgres/conversation.h"

namespace holdfast::postgres {
namespace {

using dialect::is_harmless;
using dialect::may_commit;
using sql::Destination;

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

sql::Context Conversation::context(bool truncated) const {
    sql::Context context;
    context.standard_conforming_strings = standard_strings_;
    context.encoding_is_safe = encoding_is_safe_;
    context.functions = statements_.sources().functions;
    context.truncated = truncated;
    return context;
}

/// Whether `in` begins with the head of a message that a client may send.
Conversation::Look Conversation::look_at_head(Bytes in) {
    const char type = std::to_integer<char>(in[0]);
    if (!is_frontend_type(type)) {
        detail_ = "invalid frontend message type " + std::to_string(static_cast<unsigned char>(type));
        return Look::malformed;
    }
    if (in.size() < message_header_bytes) return Look::partial;
    const uint32_t length = load_u32(in.data() + 1);
    if (length < 4 || length > limits::postgres_message_bytes_max) {
        detail_ = "invalid message length " + std::to_string(length);
        return Look::malformed;
    }
    return Look::whole;
}

/// Takes the request at `offset` into the scratch, if it is there as far as it has to be.
Conversation::Look Conversation::look_at(Bytes in, size_t offset) {
    const Bytes rest = in.subspan(offset);
    if (const Look head = look_at_head(rest); head != Look::whole) return head;
    const char type = std::to_integer<char>(rest[0]);
    const size_t total = size_t{load_u32(rest.data() + 1)} + 1;
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

/// What a statement's name means, classified by what is known of functions now; null: nothing.
StatementRef Conversation::meaning(std::string_view name) {
    StatementRef statement = names_.meaning(name);
    if (statement) statements_.refresh(*statement);
    return statement;
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
            if (!request.name.empty() && !names_.find(request.name) &&
                !names_.has_room(request.name.size() + rest.size())) {
                detail_ = "more prepared statements than the proxy keeps for one client (" +
                          std::to_string(limits::prepared_bytes_max) + " bytes); close some";
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
            if (!request.statement) request.statement = meaning(request.name);
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
                if ((request.statement = meaning(name))) {
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
                    scratch_.facts.commits |= may_commit(request.statement->classes.statements[i]);
                }
            } else {
                // A cursor made by SQL, or what nobody knows: it may do anything.
                scratch_.facts.destination = Destination::primary;
                scratch_.facts.reason = sql::Reason::cursor;
                scratch_.facts.rerunnable = false;
                scratch_.facts.may_write = true;
                scratch_.facts.commits = true;
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
            const StatementRef prepared = meaning(each.name);
            const Destination inner = prepared ? prepared->classes.destination : Destination::primary;
            harmless = prepared && prepared->classes.statement_count == 1 &&
                       is_harmless(prepared->classes.statements[0]);
            if (inner == Destination::primary || destination == Destination::transaction) {
                destination = inner;
                reason = prepared ? prepared->classes.reason : sql::Reason::cursor;
            }
        }
        if (!statement) facts.commits |= may_commit(each);
        if (!harmless) {
            facts.rerunnable = false;
            facts.may_write = true;
        }
    }
    if (classes.truncated) {
        facts.rerunnable = false;
        facts.may_write = true;
        if (!statement) facts.commits = true;  // a COMMIT may be in what was not read
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

}  // namespace holdfast::postgres
