// What a command asks of routing, summed up from what the classifier says of its statements.
#include "protocol/dialect/rerun.h"
#include "protocol/mysql/conversation.h"

namespace holdfast::mysql {
namespace {

using sql::Destination;

bool ends_transaction(sql::Control control) {
    switch (control) {
        case sql::Control::begin:  // another one was open
        case sql::Control::begin_read_only:
        case sql::Control::commit:
        case sql::Control::commit_and_chain:
        case sql::Control::rollback:
        case sql::Control::rollback_and_chain: return true;
        default: return false;
    }
}

}  // namespace

void Conversation::demand_primary(sql::Reason reason) {
    scratch_.facts.destination = Destination::primary;
    scratch_.facts.reason = reason;
    scratch_.facts.rerunnable = false;
    scratch_.facts.may_write = true;
}

/// What SQL's EXECUTE runs; nullptr: nobody knows.
const sql::Classification* Conversation::executed_text(const sql::Statement& statement) const {
    if (!texts_) return nullptr;
    const auto found = texts_->find(statement.name);
    if (found == texts_->end()) return nullptr;
    statements_.refresh(*found->second);
    return &found->second->classes;
}

/// What a statement runs: itself or, of an EXECUTE, what was prepared, where that is known.
const sql::Statement& Conversation::run_by(const sql::Statement& statement) const {
    const sql::Classification* inner = statement.executes_prepared ? executed_text(statement) : nullptr;
    return inner && inner->statement_count == 1 ? inner->statements[0] : statement;
}

/// Whether it commits the transaction under way, or may.
bool Conversation::commits(const sql::Statement& statement) const {
    const bool is_idle = transaction_ == Transaction::idle && units_.empty();
    return dialect::may_commit(statement) || statement.may_commit ||
           (dialect::is_begin(statement.control) && !is_idle);
}

/// Sums up what the classifier says of the statements of a command.
void Conversation::take_classes(const sql::Classification& classes) {
    dialect::UnitFacts& facts = scratch_.facts;
    facts.destination = classes.destination;
    facts.reason = classes.reason;
    facts.same_connection = classes.same_connection;
    bool prepares = false;  // … anew, so that what an EXECUTE behind it runs is not known yet
    bool executes = false;
    Destination needed = Destination::replica;
    using Unlocks = sql::Statement::Unlocks;
    for (uint32_t i = 0; i < classes.statement_count; ++i) {
        const sql::Statement& each = classes.statements[i];
        bool harmless = dialect::is_harmless(each) && !each.same_connection;
        Destination destination = each.destination;
        sql::Reason reason = each.reason;
        if (each.executes_prepared) {
            const sql::Classification* inner = prepares ? nullptr : executed_text(each);
            // Its arguments may need the primary as well.
            if (destination != Destination::primary) {
                destination = inner ? inner->destination : Destination::primary;
                reason = inner ? inner->reason : sql::Reason::cursor;
            }
            harmless = harmless && inner && inner->statement_count == 1 &&
                       dialect::is_harmless(inner->statements[0]);
            executes = true;
            facts.commits |= !inner;
            for (uint32_t k = 0; inner && k < inner->statement_count; ++k) {
                facts.commits |= commits(inner->statements[k]);
                scratch_.unlocks |= inner->statements[k].unlocks == Unlocks::now;
                scratch_.prepares_xa |= inner->statements[k].prepares_xa;
                scratch_.ends_transaction |= ends_transaction(inner->statements[k].control);
            }
        }
        for (const auto& effect : each.effects) {
            prepares = prepares || effect.kind == sql::EffectKind::prepare ||
                       effect.kind == sql::EffectKind::deallocate;
        }
        if (i == 0 || destination > needed) {
            needed = destination;
            if (executes) facts.reason = reason;
        }
        scratch_.ends_transaction |= ends_transaction(each.control);
        const bool is_last = i + 1 == classes.statement_count;
        scratch_.unlocks |= each.unlocks == Unlocks::now || (each.unlocks == Unlocks::later && !is_last);
        scratch_.prepares_xa |= each.prepares_xa;
        facts.commits |= commits(each);
        if (!harmless) {
            facts.rerunnable = false;
            facts.may_write |= !each.same_connection;
        }
    }
    if (executes) facts.destination = needed;
    // What writes goes to the primary, even when the statement before it ran on a replica.
    if (facts.destination == Destination::primary && slots_[index(active_)].is_replica)
        facts.same_connection = false;
    if (classes.truncated) {
        scratch_.unlocks |= wants_multi_statements_;  // who knows what is in the rest
        facts.rerunnable = false;
        facts.may_write = true;
        facts.destination = Destination::primary;
        facts.commits |= wants_multi_statements_;
    }
}

}  // namespace holdfast::mysql
