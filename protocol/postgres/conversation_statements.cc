// Prepared statements and portals: what requests make of their names, and what a connection lacks of them.
#include <utility>

#include "protocol/postgres/conversation.h"

namespace holdfast::postgres {

/// Notes the answers that the requests in the scratch will get, and what their names mean from now on.
void Conversation::expect_requests(Slot slot, bool rerun) {
    for (auto& request : scratch_.requests) {
        if (units_.back().server_skips && !rerun && request.type != frontend::sync) continue;
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
            case frontend::query: forget_unnamed(slot); break;
            case frontend::flush: continue;
            default: break;
        }
        expected_.push(std::move(expected));
    }
}

/// Notes that a request of the proxy's own will be answered.
Conversation::Expected& Conversation::expect_ours(char type) {
    Expected& expected = expected_.push({});
    expected.type = type;
    expected.swallowed = true;
    return expected;
}

/// A simple query destroys the unnamed statement.
void Conversation::forget_unnamed(Slot slot) {
    auto& unnamed = names_.at({});
    unnamed.meant = {};
    names_.set_present(unnamed, slot, {});
}

/// A statement by SQL has changed what names mean; requests behind it that have been sent on already change
/// it after that, although they were noted before.
void Conversation::note_names_behind() {
    for (size_t i = 1; i < expected_.size(); ++i) {
        Expected& expected = expected_.at(i);
        if (expected.type == frontend::query) forget_unnamed(active_);
        if (!expected.names_statement) continue;
        auto& entry = names_.at(expected.name);
        expected.previous = entry.meant;
        expected.was_present = names_.present(entry, active_);
        if (!expected.swallowed) entry.meant = expected.statement;  // of a Close: none
        names_.set_present(entry, active_, expected.statement);
    }
}

/// Takes back what a request did to the meaning of a name: the server has not carried it out.
void Conversation::undo(Expected& expected) {
    if (!expected.names_statement) return;
    auto& entry = names_.at(expected.name);
    if (!expected.swallowed) entry.meant = expected.previous;
    names_.set_present(entry, active_, expected.was_present);
    names_.forget_if_unused(expected.name);
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
            expect_ours(frontend::sync);
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
    Expected& expected = expect_ours(frontend::parse);
    expected.names_statement = true;
    expected.statement = entry.meant;
    expected.name = name;
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
    Expected& expected = expect_ours(frontend::close);
    expected.names_statement = true;
    expected.name = name;
    expected.was_present = std::move(present);
}

}  // namespace holdfast::postgres
