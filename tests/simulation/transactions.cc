// What simulated clients do in transactions.
#include <utility>

#include "tests/simulation/client.h"

namespace holdfast::simulation {

namespace {

/// Steps of a transaction; those in between are told apart by plan_transaction().
constexpr int at_savepoint = 5;
constexpr int behind_savepoint = 6;
constexpr int ending = 9;

}  // namespace

/// The next statement of a transaction: BEGIN, a read, two changes, perhaps a savepoint, and the end.
void Client::plan_transaction() {
    const auto own = static_cast<int64_t>(number_);
    if (status_ == 'E') {
        // A savepoint may save it; a transaction that is lost it must not.
        if (savepoint_ && !savepoint_->was_tried && chance(70)) {
            savepoint_->was_tried = true;
            transaction_step_ = at_savepoint;
            return send({one(rollback_to_savepoint())});
        }
        transaction_step_ = ending;
        return send({one(plain("ROLLBACK", "ROLLBACK"))});
    }
    const bool only_reads = role_ == Role::reader;
    switch (transaction_step_) {
        case 0: {
            transaction_step_ = 1;
            transaction_began_ = around_.network.events().now();
            Unit unit = one(plain(begin_text(only_reads), "BEGIN"));
            std::vector<Unit> units;
            units.push_back(std::move(unit));
            if (chance(20)) units.push_back(one(read_of(own)));
            return send(std::move(units));
        }
        case 1: {
            transaction_step_ = only_reads && chance(50) ? 1 : 2;
            Item item = read_of(own);
            if (!only_reads && chance(60)) {
                item.sql += " FOR UPDATE";
                item.writes = false;
            }
            return send({one(std::move(item))});
        }
        case 2: transaction_step_ = 3; return send({one(only_reads ? read_of(own) : bump())});
        case 3:
            if (chance(35)) {
                transaction_step_ = at_savepoint;
                Item item = plain("SAVEPOINT s" + std::to_string(++attempts_), "SAVEPOINT");
                item.savepoint = Item::Savepoint::set;
                return send({one(std::move(item))});
            }
            transaction_step_ = 4;
            if (is_postgres() && !only_reads && chance(10)) return send({one(set_in_transaction())});
            return end_transaction();
        case at_savepoint: {
            transaction_step_ = chance(40) ? at_savepoint : behind_savepoint;
            if (is_postgres() && chance(20)) return send({one(set_in_transaction())});
            return send({one(only_reads || chance(30) ? read_of(own) : bump())});
        }
        case behind_savepoint: {
            if (!savepoint_) return end_transaction();
            if (is_postgres() && chance(20)) {
                Item item;
                item.sql = "SELECT 1/0";
                item.rows = true;
                item.fails_with = "22012";
                return send({one(std::move(item))});
            }
            transaction_step_ = chance(30) ? at_savepoint : 4;
            if (chance(60)) return send({one(rollback_to_savepoint())});
            Item item = plain("RELEASE SAVEPOINT " + savepoint_->name, "RELEASE");
            item.savepoint = Item::Savepoint::release;
            return send({one(std::move(item))});
        }
        default: return end_transaction();
    }
}

void Client::end_transaction() {
    transaction_step_ = ending;
    if (chance(15)) return send({one(plain("ROLLBACK", "ROLLBACK"))});
    Unit unit = one(plain("COMMIT", "COMMIT"));
    unit.items[0].commits = true;
    return send({std::move(unit)});
}

/// A setting that a rollback takes back.
Item Client::set_in_transaction() {
    Item item = plain({}, "SET");
    item.tenant = name_ + "-t" + std::to_string(++attempts_);
    item.sql = set_text(item.tenant);
    return item;
}

Item Client::rollback_to_savepoint() {
    Item item = plain("ROLLBACK TO SAVEPOINT " + savepoint_->name, "ROLLBACK");
    item.savepoint = Item::Savepoint::rollback;
    return item;
}

}  // namespace holdfast::simulation
