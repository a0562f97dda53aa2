// What simulated clients do.
#include <algorithm>
#include <utility>

#include "tests/simulation/client.h"

namespace holdfast::simulation {

using namespace std::chrono_literals;

Item Client::plain(std::string sql, std::string complete) {
    Item item;
    item.sql = std::move(sql);
    item.complete = std::move(complete);
    return item;
}

Item Client::read_of(int64_t key) {
    Item item;
    item.tag = around_.books.next_tag();
    item.rows = true;
    item.complete = "SELECT 1";
    item.reads_own = key == static_cast<int64_t>(number_);
    item.sql = "SELECT v, " + std::to_string(item.tag) + ", " + setting() +
               " FROM t WHERE k = " + std::to_string(key);
    return item;
}

Item Client::insert() {
    Item item;
    item.tag = around_.books.next_tag();
    item.writes = true;
    item.complete = "INSERT 0 1";
    item.sql = "INSERT INTO log VALUES (" + std::to_string(item.tag) + ")";
    if (chance(40)) {
        item.rows = true;
        item.sql += " RETURNING id, " + std::to_string(item.tag) + ", " + setting();
    }
    return item;
}

Item Client::raise() {
    Item item;
    item.tag = around_.books.next_tag();
    item.writes = true;
    item.complete = "UPDATE 1";
    item.raises_to = ++ceiling_;
    item.sql = "UPDATE t SET v = greatest(v, " + std::to_string(item.raises_to) +
               "), tag = " + std::to_string(item.tag) + " WHERE k = " + std::to_string(number_);
    return item;
}

Item Client::bump() {
    Item item;
    item.tag = around_.books.next_tag();
    item.writes = true;
    item.bumps = true;
    item.complete = "UPDATE 1";
    ++ceiling_;
    item.sql =
        "UPDATE t SET v = v + 1, tag = " + std::to_string(item.tag) + " WHERE k = " + std::to_string(number_);
    return item;
}

Unit Client::one(Item item) {
    Unit unit;
    unit.extended = !item.prepared_name.empty() || chance(50);
    unit.flushes = chance(10);
    unit.items.push_back(std::move(item));
    return unit;
}

/// Waits a little, then does the next thing.
void Client::think() {
    if (phase_ != Phase::ready) return;
    Random& random = around_.network.random();
    Duration pause{};
    switch (role_) {
        case Role::idler: pause = random.between(Duration(2s), Duration(9s)); break;
        case Role::slow_reader: pause = random.between(Duration(500ms), Duration(4s)); break;
        default:
            pause = random.between(Duration(1ms), random.chance(10) ? Duration(600ms) : Duration(120ms));
            break;
    }
    if (transaction_step_ == 0) pause = pause * 100 / around_.busy_percent;
    if (next_) next_->run = {};
    next_ = around_.network.events().after(pause, [this] {
        if (phase_ == Phase::ready && units_.empty()) plan();
    });
}

void Client::plan() {
    // A transaction that has begun is ended, also when the run comes to its end.
    if (transaction_step_ > 0 || status_ != 'I') return plan_transaction();
    if (stopping_) return;
    if (!tenant_set_ || (role_ != Role::listener && chance(2))) {
        tenant_asked_ = name_ + "-" + std::to_string(++attempts_);
        tenant_set_ = false;
        return send({one(plain(set_text(tenant_asked_), "SET"))});
    }
    if (plan_own_way()) return;
    Random& random = around_.network.random();
    const auto own = static_cast<int64_t>(number_);
    const auto any_key = static_cast<int64_t>(random.between(1, static_cast<uint64_t>(around_.keys)));
    if (chance(1) && role_ != Role::listener && role_ != Role::idler) {
        leave();
        stopping_ = false;
        return begin(random.between(Duration(1ms), Duration(500ms)));
    }
    switch (role_) {
        case Role::inserter: {
            if (chance(60)) return send({one(insert())});
            if (chance(20)) return send({one(read_of(any_key)), one(insert()), one(read_of(any_key))});
            std::vector<Unit> units;
            if (chance(50)) {
                // A pipeline of units …
                for (uint64_t n = random.between(2, 5); n > 0; --n) units.push_back(one(insert()));
            } else {
                // … or one unit of several statements.
                units.push_back(one(insert()));
                for (uint64_t n = random.between(1, 3); n > 0; --n) units[0].items.push_back(insert());
            }
            return send(std::move(units));
        }
        case Role::raiser:
            if (chance(40)) return send({one(raise())});
            if (chance(15)) return send({one(raise()), one(read_of(own))});
            return send({one(read_of(own))});
        case Role::bumper: return plan_transaction();
        case Role::listener:
            if (!listening_) {
                listening_ = true;  // it may come true without our hearing of it
                return send({one(plain("LISTEN news", "LISTEN"))});
            }
            if (prepare_name_.empty()) {
                prepare_name_ = "-";
                return think();
            }
            if (chance(5)) return send({one(read_of(any_key))});
            return think();
        case Role::ticketer: {
            Item item;
            // To the proxy it reads. It is not entered in the books: a number drawn twice is a number left
            // out.
            item.tag = around_.books.next_tag();
            item.rows = true;
            item.complete = "SELECT 1";
            item.sql = "SELECT ticket, " + std::to_string(item.tag) + ", " + setting() + " FROM next_ticket";
            if (chance(50)) return send({one(std::move(item))});
            return send({one(read_of(any_key))});
        }
        case Role::slow_reader: {
            Item item = read_of(0);
            item.reads_own = false;
            item.complete = "SELECT 9000";
            item.sql = "SELECT n, " + std::to_string(item.tag) + ", " + setting() + " FROM series";
            return send({one(std::move(item))});
        }
        case Role::reader: {
            if (is_postgres() && !prepared_ && chance(30)) {
                prepare_name_ = "p" + std::to_string(++attempts_);
                return send({one(plain(
                    "PREPARE " + prepare_name_ + " AS SELECT v, $2, " + setting() + " FROM t WHERE k = $1",
                    "PREPARE"))});
            }
            std::vector<Unit> units;
            if (prepared_ && chance(30)) {
                Item item = read_of(any_key);
                item.sql = "EXECUTE " + prepare_name_ + "(" + std::to_string(any_key) + ", " +
                           std::to_string(item.tag) + ")";
                units.push_back(one(std::move(item)));
                units[0].extended = false;
            } else if (chance(40)) {
                units.push_back(one(prepared_read_of(any_key)));
            } else if (chance(5)) {
                units.push_back(one(plain(show_text(), "SHOW")));
                units[0].items[0].rows = true;
            } else if (chance(10)) {
                return plan_transaction();
            } else {
                units.push_back(one(read_of(any_key)));
                if (chance(20)) units[0].items.push_back(read_of(any_key));
                if (chance(20)) units.push_back(one(read_of(any_key)));
            }
            send(std::move(units));
            if (chance(3)) send_cancel();
            return;
        }
        case Role::idler: return send({one(chance(50) ? read_of(any_key) : insert())});
        case Role::troubled: {
            const uint64_t dice = random.below(10);
            if (dice == 0) {
                may_be_closed_ = true;
                misbehave();
                return flush();
            }
            send({one(dice < 5 ? insert() : read_of(any_key))});
            if (dice == 1) {
                disconnect(false);
                return begin(random.between(Duration(10ms), Duration(1s)));
            }
            return;
        }
    }
}

void Client::make_last_check() {
    if (phase_ != Phase::ready || !units_.empty()) return;
    if (next_) next_->run = {};
    send({one(read_of(static_cast<int64_t>(number_))), one(role_ == Role::bumper ? bump() : raise()),
          one(read_of(static_cast<int64_t>(number_)))});
}

bool Client::send_notification(const std::string& payload) {
    if (phase_ != Phase::ready || !units_.empty()) return false;
    if (next_) next_->run = {};
    send({one(plain("NOTIFY news, '" + payload + "'", "NOTIFY"))});
    return true;
}

bool Client::has_heard(const std::string& payload) const {
    return std::find(heard_.begin(), heard_.end(), payload) != heard_.end();
}

}  // namespace holdfast::simulation
