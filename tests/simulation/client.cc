#include "tests/simulation/client.h"

#include <algorithm>
#include <utility>

#include "tests/simulation/mysql_client.h"
#include "tests/simulation/postgres_client.h"

namespace holdfast::simulation {

using namespace std::chrono_literals;

const char* to_string(Role role) {
    switch (role) {
        case Role::inserter: return "insert";
        case Role::raiser: return "raise";
        case Role::bumper: return "bump";
        case Role::reader: return "read";
        case Role::idler: return "idle";
        case Role::listener: return "listen";
        case Role::ticketer: return "ticket";
        case Role::slow_reader: return "slow";
        case Role::troubled: return "trouble";
    }
    return "?";
}

bool Unit::writes() const {
    return std::any_of(items.begin(), items.end(),
                       [](const Item& item) { return item.writes || item.commits; });
}

Client::Client(Neighbourhood& around, size_t number, Role role)
    : around_(around),
      name_(std::string(to_string(role)) + std::to_string(number)),
      number_(number),
      role_(role) {}

Client::~Client() {
    if (endpoint_) endpoint_->on_change = {};
    if (next_) next_->run = {};
}

void Client::say(std::string_view what) {
    around_.trace.line(name_, what);
}
void Client::problem(const std::string& what) {
    around_.books.problem(name_ + ": " + what);
}

void Client::begin(Duration delay) {
    next_ = around_.network.events().after(delay, [this] { connect(); });
}

bool Client::is_idle() const {
    return phase_ == Phase::away ||
           (phase_ == Phase::ready && units_.empty() && status_ == 'I' && transaction_step_ == 0);
}

std::string Client::describe() const {
    std::string text = name_ + " in phase " + std::to_string(static_cast<int>(phase_)) + ", status " +
                       status_ + ", " + std::to_string(units_.size()) + " units in flight";
    if (!units_.empty() && !units_.front().items.empty()) text += ", first: " + units_.front().items[0].sql;
    return text;
}

void Client::connect() {
    if (stopping_) return;
    phase_ = Phase::logging_in;
    login_began_ = around_.network.events().now();
    Connection made = around_.network.connect(nullptr);
    endpoint_ = made.near;
    endpoint_->on_change = [this] { on_change(); };
    around_.network.events().after(around_.network.latency(),
                                   [this, far = made.far] { around_.arrive(far); });
    in_.clear();
    out_.clear();
    units_.clear();
    status_ = 'I';
    tenant_.clear();
    tenant_set_ = prepared_ = listening_ = false;
    may_be_closed_ = false;
    floor_ = 0;  // a session reads its own writes, not those of an earlier one
    cancelled_once_ = false;
    transaction_step_ = 0;
    forget_transaction();
    say_hello();
    flush();
}

void Client::flush() {
    if (!endpoint_ || out_.empty()) return;
    const size_t sent = endpoint_->send(out_);
    out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(sent));
}

void Client::on_change() {
    flush();
    if (role_ == Role::slow_reader && endpoint_->available() > 0) {
        if (read_later_) return;
        read_later_ = true;
        const Duration delay = around_.network.random().between(Duration(0ms), Duration(30ms));
        around_.network.events().after(delay, [this, endpoint = std::weak_ptr<Endpoint>(endpoint_)] {
            read_later_ = false;
            if (endpoint.lock() == endpoint_ && endpoint_) read_messages();
        });
        return;
    }
    read_messages();
}

void Client::send(std::vector<Unit> units) {
    if (phase_ != Phase::ready) return;
    ByteBuffer bytes;
    for (Unit& unit : units) {
        unit.sent_at = around_.network.events().now();
        unit.tenant = tenant_in_transaction_.value_or(tenant_);
        unit.alone = units.size() == 1;
        encode(unit, bytes);
        for (const Item& item : unit.items) {
            ++around_.books.statements;
            if (item.writes) around_.books.settle(item.tag, Books::Fate::open);
            say("sends " + item.sql);
        }
        units_.push_back(std::move(unit));
    }
    expect(units_.front());
    if (bytes.size() > 10 && chance(8)) {
        // The rest comes late.
        const size_t cut = around_.network.random().between(1, bytes.size() - 1);
        append(out_, Bytes(bytes).first(cut));
        flush();
        const Duration delay = around_.network.random().between(Duration(1ms), Duration(40ms));
        around_.network.events().after(
            delay, [this, rest = ByteBuffer(bytes.begin() + static_cast<std::ptrdiff_t>(cut), bytes.end()),
                    endpoint = std::weak_ptr<Endpoint>(endpoint_)] {
                if (!endpoint_ || endpoint.lock() != endpoint_) return;
                append(out_, rest);
                flush();
            });
        return;
    }
    append(out_, bytes);
    flush();
}

/// The connection has ended without the client's doing.
void Client::lost(std::string_view how) {
    const bool expected = may_be_closed_ || phase_ == Phase::leaving;
    if (!expected) problem("its connection was " + std::string(how) + " by the proxy");
    disconnect(false);
    if (!stopping_) begin(around_.network.random().between(Duration(50ms), Duration(2s)));
}

void Client::disconnect(bool politely) {
    if (!endpoint_) return;
    for (Unit& unit : units_) {
        for (const Item& item : unit.items) {
            if (item.writes) around_.books.settle(item.tag, Books::Fate::unknown);
        }
    }
    // A COMMIT may have been among them.
    for (const uint64_t tag : transaction_tags_) around_.books.settle(tag, Books::Fate::unknown);
    forget_transaction();
    units_.clear();
    transaction_step_ = 0;
    status_ = 'I';
    if (next_) next_->run = {};
    const auto endpoint = std::exchange(endpoint_, nullptr);
    endpoint->on_change = {};
    if (politely) {
        ByteBuffer goodbye;
        append_goodbye(goodbye);
        (void)endpoint->send(goodbye);
        endpoint->shut();
    } else {
        endpoint->abort();
    }
    phase_ = Phase::away;
}

void Client::leave() {
    stopping_ = true;
    say("leaves");
    disconnect(true);
}

std::unique_ptr<Client> make_client(Neighbourhood& around, size_t number, Role role) {
    if (around.speaks_mysql) return std::make_unique<MysqlClient>(around, number, role);
    return std::make_unique<PostgresClient>(around, number, role);
}

}  // namespace holdfast::simulation
