#include "tests/simulation/client.h"

#include <algorithm>
#include <utility>

#include "protocol/postgres/messages.h"

namespace holdfast::simulation {

using namespace std::chrono_literals;
namespace backend = postgres::backend;
namespace frontend = postgres::frontend;
using postgres::MessageWriter;

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
    steps_.clear();
    status_ = 'I';
    tenant_.clear();
    tenant_set_ = prepared_ = listening_ = false;
    named_.clear();
    may_be_closed_ = false;
    floor_ = 0;  // a session reads its own writes, not those of an earlier one
    cancelled_once_ = false;
    transaction_step_ = 0;
    forget_transaction();
    if (chance(10)) {
        // Asks for TLS first; the answer is a single N.
        postgres::append_ssl_request(out_);
        flush();
        return;
    }
    postgres::append_startup(out_, 0, "app", "shop", {{"application_name", name_}});
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

void Client::read_messages() {
    const auto endpoint = endpoint_;
    endpoint->take(endpoint->available(), in_);
    if (phase_ == Phase::logging_in && !in_.empty() && std::to_integer<char>(in_[0]) == 'N') {
        in_.erase(in_.begin());
        postgres::append_startup(out_, 0, "app", "shop", {{"application_name", name_}});
        flush();
    }
    size_t used = 0;
    while (endpoint == endpoint_) {
        const auto message = postgres::take_message(Bytes(in_).subspan(used), 10'000'000);
        if (!message) return problem("received a message with an impossible length");
        if (!*message) break;
        used += (**message).total_bytes();
        handle((**message).type, (**message).body);
    }
    if (endpoint != endpoint_) return;
    in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(used));
    if (endpoint_ && (endpoint_->at_end() || endpoint_->is_reset()))
        lost(endpoint_->is_reset() ? "reset" : "closed");
}

void Client::handle(char type, Bytes body) {
    if (around_.trace.enabled()) say(std::string("receives ") + type);
    switch (type) {
        case backend::parameter_status:
        case backend::notice_response: return;
        case backend::notification_response: {
            Reader reader(body);
            reader.u32();
            const std::string channel(reader.text());
            if (channel != "news" || !listening_) problem("a notification that it did not listen for");
            heard_.emplace_back(reader.text());
            return;
        }
        case backend::error_response: return on_error(body);
        case backend::authentication: return;
        case backend::backend_key_data: cancel_key_.assign(body.begin(), body.end()); return;
        default: break;
    }
    if (phase_ == Phase::logging_in && type == backend::ready_for_query) {
        say("is in");
        phase_ = Phase::ready;
        return think();
    }
    if (units_.empty()) return problem(std::string("an answer that it did not ask for: ") + type);
    Unit& unit = units_.front();
    if (type == backend::row_description && !steps_.empty() && steps_.front().type == backend::no_data) {
        return problem("rows announced for a statement without rows");
    }
    if (type == backend::data_row) return on_row(body);
    if (steps_.empty() || steps_.front().type != type) {
        return problem(std::string("expected ") + (steps_.empty() ? '-' : steps_.front().type) +
                       " and received " + type);
    }
    const Step step = steps_.front();
    steps_.pop_front();
    if (type == backend::command_complete) {
        Item& item = unit.items[step.item];
        Reader reader(body);
        item.done_tag = reader.text();
        item.done = true;
        const bool rolled_back = item.commits && item.done_tag == "ROLLBACK";
        if (!item.done_tag.starts_with(item.complete) && !rolled_back) {
            problem("expected " + item.complete + " and received " + item.done_tag + " for " + item.sql);
        }
        if (item.rows && unit.error.empty() && !item.first_column) problem("no row for " + item.sql);
        return;
    }
    if (type != backend::ready_for_query) return;
    unit.status = body.empty() ? '?' : std::to_integer<char>(body[0]);
    Unit finished = std::move(unit);
    units_.pop_front();
    unit_done(finished);
    if (!units_.empty()) {
        expect(units_.front());
    } else if (phase_ == Phase::ready) {
        all_done();
    }
}

void Client::on_error(Bytes body) {
    const auto fields = postgres::parse_error_fields(body);
    if (!fields) return problem("an error that can't be read");
    say("receives " + fields->severity + " " + fields->sqlstate + " " + fields->message);
    if (fields->severity == "FATAL") {
        const Duration waited = around_.network.events().now() - login_began_;
        if (phase_ == Phase::logging_in && fields->sqlstate == "57P03" && waited >= around_.wait) {
            may_be_closed_ = true;
            return;
        }
        if (!may_be_closed_) problem("a fatal error: " + fields->sqlstate + " " + fields->message);
        return;
    }
    if (units_.empty())
        return problem("an error that it did not ask for: " + fields->sqlstate + " " + fields->message);
    Unit& unit = units_.front();
    if (!unit.error.empty()) problem("a second error: " + fields->sqlstate + " " + fields->message);
    unit.error = fields->sqlstate;
    unit.error_text = fields->message;
    while (!steps_.empty() && steps_.front().type != backend::ready_for_query) steps_.pop_front();
}

void Client::on_row(Bytes body) {
    Unit& unit = units_.front();
    if (steps_.empty() || steps_.front().type != backend::command_complete) {
        return problem("a row in the wrong place");
    }
    Item& item = unit.items[steps_.front().item];
    if (!item.rows) return problem("a row for " + item.sql);
    ++unit.rows;
    Reader reader(body);
    std::vector<std::string> columns;
    for (uint16_t count = reader.u16(); count > 0 && !reader.failed(); --count) {
        columns.emplace_back(as_text(reader.take(reader.u32())));
    }
    if (reader.failed() || columns.empty()) return problem("a row that can't be read");
    item.first_column = columns[0];
    if (columns.size() < 3) {
        if (columns[0] != unit.tenant) problem("SHOW says " + columns[0] + " and should say " + unit.tenant);
        return;
    }
    if (columns[1] != std::to_string(item.tag))
        problem("the answer to statement " + columns[1] + " came for " + item.sql);
    if (columns[2] != unit.tenant) {
        problem("its setting is '" + columns[2] + "' and should be '" + unit.tenant + "' in " + item.sql);
    }
}

/// Notes the answers that a unit will get.
void Client::expect(const Unit& unit) {
    steps_.clear();
    for (size_t i = 0; i < unit.items.size(); ++i) {
        const Item& item = unit.items[i];
        if (unit.extended) {
            const bool is_prepared = item.prepared_name.ends_with('!');
            if (!is_prepared) steps_.push_back({backend::parse_complete, i});
            steps_.push_back({backend::bind_complete, i});
            steps_.push_back({item.rows ? backend::row_description : backend::no_data, i});
        } else if (item.rows) {
            steps_.push_back({backend::row_description, i});
        }
        steps_.push_back({backend::command_complete, i});
    }
    steps_.push_back({backend::ready_for_query, 0});
}

void Client::encode(Unit& unit, ByteBuffer& out) {
    if (!unit.extended) {
        std::string text;
        for (const Item& item : unit.items) text += (text.empty() ? "" : "; ") + item.sql;
        return postgres::append_query(out, text);
    }
    for (size_t i = 0; i < unit.items.size(); ++i) {
        Item& item = unit.items[i];
        if (std::find(named_.begin(), named_.end(), item.prepared_name) == named_.end() ||
            item.prepared_name.empty()) {
            MessageWriter(out, frontend::parse).text(item.prepared_name).text(item.sql).u16(0);
        }
        const std::string name = item.prepared_name;
        const bool known = !name.empty() && std::find(named_.begin(), named_.end(), name) != named_.end();
        {
            MessageWriter bind(out, frontend::bind);
            bind.text("").text(name).u16(0).u16(static_cast<uint16_t>(item.values.size()));
            for (const std::string& value : item.values) {
                bind.u32(static_cast<uint32_t>(value.size())).bytes(as_bytes(value));
            }
            bind.u16(0);
        }
        if (known) item.prepared_name += '!';  // as the mark that nothing was parsed
        MessageWriter(out, frontend::describe).u8('P').text("");
        MessageWriter(out, frontend::execute).text("").u32(0);
        if (unit.flushes && i == 0) postgres::append_message(out, frontend::flush);
    }
    postgres::append_message(out, frontend::sync);
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
    steps_.clear();
    transaction_step_ = 0;
    status_ = 'I';
    if (next_) next_->run = {};
    const auto endpoint = std::exchange(endpoint_, nullptr);
    endpoint->on_change = {};
    if (politely) {
        ByteBuffer terminate;
        postgres::append_message(terminate, frontend::terminate);
        (void)endpoint->send(terminate);
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

/// Asks, on a connection of its own, for the end of what runs.
void Client::send_cancel() {
    cancelled_once_ = true;
    Connection made = around_.network.connect(nullptr);
    around_.network.events().after(around_.network.latency(),
                                   [this, far = made.far] { around_.arrive(far); });
    ByteBuffer request;
    postgres::append_cancel_request(request, cancel_key_);
    (void)made.near->send(request);
    around_.network.events().after(2s, [near = made.near] { near->shut(); });
}

}  // namespace holdfast::simulation
