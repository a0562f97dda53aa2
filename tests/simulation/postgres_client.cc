#include "tests/simulation/postgres_client.h"

#include <algorithm>
#include <utility>

#include "protocol/postgres/messages.h"

namespace holdfast::simulation {

using namespace std::chrono_literals;
namespace backend = postgres::backend;
namespace frontend = postgres::frontend;
using postgres::MessageWriter;

void PostgresClient::say_hello() {
    steps_.clear();
    named_.clear();
    if (chance(10)) {
        // Asks for TLS first; the answer is a single N.
        postgres::append_ssl_request(out_);
        return;
    }
    postgres::append_startup(out_, 0, "app", "shop", {{"application_name", name_}});
}

void PostgresClient::append_goodbye(ByteBuffer& out) {
    postgres::append_message(out, frontend::terminate);
}

void PostgresClient::misbehave() {
    append(out_, std::string_view("\x07\xff\xff\xff\xff garbage"));
}

std::string PostgresClient::begin_text(bool only_reads) const {
    return only_reads ? "BEGIN READ ONLY" : "BEGIN";
}

/// The same by a statement that the protocol prepared under a name.
Item PostgresClient::prepared_read_of(int64_t key) {
    Item item = read_of(key);
    item.values = {std::to_string(key), std::to_string(item.tag)};
    item.sql = "SELECT v, $2, " + setting() + " FROM t WHERE k = $1";
    item.prepared_name = "named" + std::to_string(attempts_);
    return item;
}

void PostgresClient::note_prepared(const Item& item) {
    if (!item.prepared_name.empty() && !item.prepared_name.ends_with('!'))
        named_.push_back(item.prepared_name);
}

void PostgresClient::read_messages() {
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

void PostgresClient::handle(char type, Bytes body) {
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
    unit_is_over();
}

void PostgresClient::on_error(Bytes body) {
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

void PostgresClient::on_row(Bytes body) {
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
    take_row(item, columns);
}

/// Notes the answers that a unit will get.
void PostgresClient::expect(const Unit& unit) {
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

void PostgresClient::encode(Unit& unit, ByteBuffer& out) {
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

/// Asks, on a connection of its own, for the end of what runs.
void PostgresClient::send_cancel() {
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
