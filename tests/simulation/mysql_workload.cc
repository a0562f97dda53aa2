// What only MySQL's clients do: statements prepared by the protocol, KILL QUERY, and books in which each
// statement stands for itself.
#include <algorithm>
#include <memory>
#include <utility>

#include "protocol/mysql/packets.h"
#include "tests/simulation/mysql_client.h"

namespace holdfast::simulation {

using namespace std::chrono_literals;
using Fate = Books::Fate;
namespace command = mysql::command;

namespace {

const std::string insert_name = "insert";
const std::string read_name = "read";

}  // namespace

/// Prepares a statement that it lacks, or closes one.
bool MysqlClient::plan_own_way() {
    if (!chance(8) || role_ == Role::listener) return false;
    const bool writes = role_ == Role::inserter || (role_ == Role::idler && chance(50));
    const std::string& name = writes ? insert_name : read_name;
    if (const auto known = ids_.find(name); known != ids_.end()) {
        if (chance(70)) return false;
        // It has no answer.
        mysql::PacketWriter(out_, 0).u8(command::stmt_close).u32(known->second).finish();
        ids_.erase(known);
        flush();
        return false;
    }
    Unit unit;
    unit.prepares = true;
    unit.items.push_back(
        plain(writes ? "INSERT INTO log VALUES (?)" : "SELECT v, ?, @tenant FROM t WHERE k = ?", "PREPARE"));
    unit.items[0].prepared_name = name;
    send({std::move(unit)});
    return true;
}

Item MysqlClient::prepared_read_of(int64_t key) {
    Item item = read_of(key);
    if (!ids_.contains(read_name)) return item;
    item.values = {std::to_string(item.tag), std::to_string(key)};
    item.prepared_name = read_name;
    return item;
}

Unit MysqlClient::one(Item item) {
    if (item.writes && !item.rows && !item.bumps && item.raises_to == 0 && ids_.contains(insert_name)) {
        item.values = {std::to_string(item.tag)};
        item.prepared_name = insert_name;
    }
    return Client::one(std::move(item));
}

void MysqlClient::settle(Unit& unit) {
    const auto acknowledge = [this](const std::vector<uint64_t>& tags, int bumps, int64_t raised) {
        for (const uint64_t tag : tags) around_.books.settle(tag, Fate::acknowledged);
        floor_ = std::max(floor_ + bumps, raised);
        if (bumps > 0 || raised > 0)
            own_acknowledged_.insert(own_acknowledged_.end(), tags.begin(), tags.end());
    };
    const auto end_transaction = [this](Fate fate) {
        for (const uint64_t tag : transaction_tags_) around_.books.settle(tag, fate);
        forget_transaction();
    };
    const Fate of_error = unit.error == "08007" ? Fate::unknown : Fate::failed;
    bool has_failed = false;
    for (const Item& item : unit.items) {
        if (!item.done) {
            if (item.writes) around_.books.settle(item.tag, of_error);
            if (!has_failed && unit.status == 'I') end_transaction(of_error);
            has_failed = true;
        } else if (item.done_tag == "ROLLBACK" && !item.is_open) {
            end_transaction(Fate::failed);
        } else if (item.is_open) {
            if (item.writes) transaction_tags_.push_back(item.tag);
            if (item.bumps) ++transaction_bumps_;
        } else if (item.commits) {
            acknowledge(transaction_tags_, transaction_bumps_, 0);
            forget_transaction();
        } else if (item.writes) {
            acknowledge({item.tag}, item.bumps ? 1 : 0, item.raises_to);
        }
    }
}

/// By a connection of its own that logs in, kills, and leaves.
void MysqlClient::send_cancel() {
    struct Killer {
        std::shared_ptr<Endpoint> endpoint;
        std::unique_ptr<dialect::ServerHandshake> login;
        ByteBuffer in;
        bool has_asked = false;
    };
    cancelled_once_ = true;
    Connection made = around_.network.connect(nullptr);
    around_.network.events().after(around_.network.latency(),
                                   [this, far = made.far] { around_.arrive(far); });
    auto killer = std::make_shared<Killer>();
    killer->endpoint = made.near;
    killer->login = make_login();
    const std::weak_ptr<Killer> weak = killer;
    made.near->on_change = [this, weak, id = thread_id_] {
        const auto self = weak.lock();
        if (!self) return;
        self->endpoint->take(self->endpoint->available(), self->in);
        const auto packet = mysql::take_packet(self->in, 10'000);
        if (!packet || !*packet) return;
        const Bytes whole = Bytes(self->in).first((**packet).total_bytes());
        ByteBuffer out;
        if ((**packet).sequence == 0) {
            append_login(*self->login, whole, out);
        } else if (!std::exchange(self->has_asked, true)) {
            mysql::PacketWriter(out, 0)
                .u8(command::query)
                .bare_text("KILL QUERY " + std::to_string(id))
                .finish();
        }
        self->in.erase(self->in.begin(), self->in.begin() + static_cast<std::ptrdiff_t>(whole.size()));
        (void)self->endpoint->send(out);
    };
    around_.network.events().after(2s, [killer] {
        killer->endpoint->on_change = {};
        killer->endpoint->shut();
    });
}

}  // namespace holdfast::simulation
