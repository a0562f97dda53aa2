// What simulated clients make of the answers.
#include <algorithm>
#include <charconv>
#include <utility>

#include "tests/simulation/client.h"

namespace holdfast::simulation {

using Fate = Books::Fate;

namespace {

int64_t as_number(const std::string& text) {
    int64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

}  // namespace

/// A row of an answer: whether it belongs to its question.
void Client::take_row(Item& item, const std::vector<std::string>& columns) {
    const Unit& unit = units_.front();
    item.first_column = columns[0];
    if (columns.size() < 3) {
        if (columns[0] != unit.tenant)
            problem("its setting is said to be " + columns[0] + " and should be " + unit.tenant);
        return;
    }
    if (columns[1] != std::to_string(item.tag))
        problem("the answer to statement " + columns[1] + " came for " + item.sql);
    if (columns[2] != unit.tenant) {
        problem("its setting is '" + columns[2] + "' and should be '" + unit.tenant + "' in " + item.sql);
    }
}

/// The first unit in flight is answered.
void Client::unit_is_over() {
    Unit finished = std::move(units_.front());
    units_.pop_front();
    unit_done(finished);
    if (!units_.empty()) {
        expect(units_.front());
    } else if (phase_ == Phase::ready) {
        all_done();
    }
}

void Client::unit_done(Unit& unit) {
    status_ = unit.status;
    if (unit.error.empty()) {
        for (Item& item : unit.items) {
            if (!item.done) problem("no answer to " + item.sql);
            note_prepared(item);
            if (item.reads_own && item.first_column) {
                const int64_t value = as_number(*item.first_column);
                const bool is_stale = value < floor_ && around_.consistent;
                const bool is_excused =
                    !around_.lossless &&
                    std::any_of(own_acknowledged_.begin(), own_acknowledged_.end(),
                                [&](uint64_t tag) { return !around_.books.survives(tag); });
                if (is_stale && !is_excused) {
                    problem("a stale read: " + std::to_string(value) + " after its own " +
                            std::to_string(floor_));
                }
                if (value > ceiling_) problem("a value that it never wrote: " + std::to_string(value));
            }
            item_done(item);
        }
    } else {
        ++attempts_;
        if (status_ == 'E' && failed_by_.empty()) failed_by_ = unit.error;
        ++around_.books.errors;
        if (unit.error == "08007") ++around_.books.unknown_outcomes;
        judge_error(unit);
        for (const Item& item : unit.items) {
            if (item.sql.starts_with("LISTEN")) listening_ = false;
        }
    }
    settle(unit);
}

/// What a statement that succeeded has changed in the session.
void Client::item_done(Item& item) {
    if (item.sql.starts_with("SET ") && status_ == 'I') {
        tenant_ = tenant_asked_;
        tenant_set_ = true;
    }
    if (!item.tenant.empty() && status_ == 'T') tenant_in_transaction_ = item.tenant;
    if (item.sql.starts_with("PREPARE ")) prepared_ = true;
    switch (item.savepoint) {
        case Item::Savepoint::none: break;
        case Item::Savepoint::set:
            savepoint_ = {item.sql.substr(item.sql.rfind(' ') + 1), transaction_tags_.size(),
                          transaction_bumps_, tenant_in_transaction_};
            break;
        case Item::Savepoint::release: savepoint_.reset(); break;
        case Item::Savepoint::rollback: undo_to_savepoint(); break;
    }
}

/// ROLLBACK TO was answered: what came behind the savepoint has never been, and the transaction goes on.
void Client::undo_to_savepoint() {
    if (failed_by_ == "40001") problem("a transaction that was lost goes on from a savepoint");
    if (status_ != 'T') problem("no transaction is open behind ROLLBACK TO");
    failed_by_.clear();
    savepoint_->was_tried = false;
    while (transaction_tags_.size() > savepoint_->tags) {
        around_.books.settle(transaction_tags_.back(), Fate::failed);
        transaction_tags_.pop_back();
    }
    transaction_bumps_ = savepoint_->bumps;
    tenant_in_transaction_ = savepoint_->tenant;
}

/// Books what became of the unit's writes, and of its transaction's.
void Client::settle(Unit& unit) {
    std::vector<uint64_t> tags;
    int bumps = 0;
    int64_t raised = 0;
    bool rolled_back = false;
    for (const Item& item : unit.items) {
        if (item.writes) tags.push_back(item.tag);
        if (item.bumps) ++bumps;
        raised = std::max(raised, item.raises_to);
        if (item.done_tag == "ROLLBACK") rolled_back = true;
    }
    const bool failed = !unit.error.empty();
    if (failed && status_ == 'E' && unit.error != "08007") {
        // A savepoint may save what came before it; not this.
        for (const uint64_t tag : tags) around_.books.settle(tag, Fate::failed);
        return;
    }
    if (!failed && status_ != 'I') {
        transaction_tags_.insert(transaction_tags_.end(), tags.begin(), tags.end());
        transaction_bumps_ += bumps;
        return;
    }
    Fate fate = Fate::acknowledged;
    if (unit.error == "08007") {
        fate = Fate::unknown;
    } else if (failed || rolled_back) {
        fate = Fate::failed;
    }
    // A unit that failed before a transaction began has none to take along.
    tags.insert(tags.end(), transaction_tags_.begin(), transaction_tags_.end());
    for (const uint64_t tag : tags) around_.books.settle(tag, fate);
    if (fate == Fate::acknowledged) {
        floor_ = std::max(floor_ + bumps + transaction_bumps_, raised);
        if (bumps + transaction_bumps_ > 0 || raised > 0)
            own_acknowledged_.insert(own_acknowledged_.end(), tags.begin(), tags.end());
        if (tenant_in_transaction_) tenant_ = *tenant_in_transaction_;
    }
    forget_transaction();
}

void Client::forget_transaction() {
    transaction_tags_.clear();
    transaction_bumps_ = 0;
    savepoint_.reset();
    tenant_in_transaction_.reset();
    failed_by_.clear();
}

/// Whether an error may be there.
void Client::judge_error(const Unit& unit) {
    const TimePoint now = around_.network.events().now();
    const std::string& code = unit.error;
    const bool in_transaction = transaction_step_ > 0;
    const TimePoint since = in_transaction ? std::min(transaction_began_, unit.sent_at) : unit.sent_at;
    const std::string what = code + " (" + unit.error_text + ") for " + unit.items[0].sql;
    if (code == unit.items[0].fails_with) return;
    if (code == "25P02" && in_transaction && !failed_by_.empty()) {
        const bool is_saved = unit.items[0].savepoint == Item::Savepoint::rollback && failed_by_ != "40001";
        if (is_saved && !around_.books.is_disturbed(since, now)) problem("a savepoint was refused: " + what);
        return;
    }
    if (code == "57014" && cancelled_once_) return;
    if (code == "57P03" || code == "25006") {
        // What was sent behind a BEGIN that was refused stands alone.
        const bool is_inside = in_transaction && (status_ != 'I' || unit.items[0].sql == begin_text(false));
        const bool is_read = !unit.writes() && !is_inside;
        if (around_.rejects && is_read) return;  // the outage was longer than that already
        if (now - unit.sent_at < around_.wait) problem("refused before failover.wait was over: " + what);
        return;
    }
    if (code != "40001" && code != "08007") return problem("an error that must not be: " + what);
    if (!around_.books.is_disturbed(since, now)) problem("an error without a fault: " + what);
    const bool touches = unit.writes() || in_transaction || unit.items[0].sql.starts_with("SET") ||
                         unit.items[0].sql.starts_with("LISTEN") || unit.items[0].sql.starts_with("PREPARE");
    if (!touches && unit.alone && unit.rows == 0)
        problem("a read failed that could have been run again: " + what);
    if (!touches && code == "08007") problem("an unknown outcome of a read: " + what);
}

void Client::all_done() {
    if (status_ == 'I') {
        transaction_step_ = 0;
        forget_transaction();
    }
    think();
}

}  // namespace holdfast::simulation
