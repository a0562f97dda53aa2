#include "tests/simulation/mysql_client.h"

#include <utility>

#include "protocol/mysql/packets.h"
#include "protocol/mysql/server_login.h"

namespace holdfast::simulation {

using namespace std::chrono_literals;
namespace capability = mysql::capability;
namespace command = mysql::command;
namespace reply = mysql::reply;
using mysql::PacketWriter;

namespace {

constexpr size_t packet_bytes_max = 10'000'000;
constexpr uint8_t string_type = 0xfe;

/// The same as PostgreSQL's clients would see it.
std::string code_of(const mysql::ErrPacket& error) {
    switch (error.number) {
        case 1213: return "40001";
        case 1317: return "57014";
        case 9701: return "08007";
        case 9703:
        case 9704: return "57P03";
        case 9705: return "40001";  // rows were delivered, and the rest can't be
        default: return std::to_string(error.number);
    }
}

}  // namespace

MysqlClient::MysqlClient(Neighbourhood& around, size_t number, Role role)
    : Client(around, number, role), is_classic_(around.network.random().chance(50)) {}

MysqlClient::~MysqlClient() = default;

std::string MysqlClient::begin_text(bool only_reads) const {
    return only_reads ? "START TRANSACTION READ ONLY" : "START TRANSACTION";
}

std::unique_ptr<dialect::ServerHandshake> MysqlClient::make_login() const {
    dialect::Identity identity;
    identity.user = "app";
    identity.database = "shop";
    identity.parameters = {{"collation", "45"},
                           {"capabilities", std::to_string(capability::multi_statements)}};
    return std::make_unique<mysql::ServerLogin>(identity, dialect::ServerHandshakeOptions{});
}

/// The answer to a greeting.
void MysqlClient::append_login(dialect::ServerHandshake& login, Bytes greeting, ByteBuffer& out) const {
    const size_t begin = out.size();
    login.on_bytes(greeting, out);
    if (!is_classic_ || out.size() < begin + 8) return;
    std::byte* const capabilities = out.data() + begin + mysql::packet_header_bytes;
    mysql::store_le32(capabilities,
                      mysql::load_le32(capabilities) & ~static_cast<uint32_t>(capability::deprecate_eof));
}

void MysqlClient::say_hello() {
    ids_.clear();
    login_ = make_login();
}

void MysqlClient::append_goodbye(ByteBuffer& out) {
    PacketWriter(out, 0).u8(command::quit).finish();
}

/// A packet that can't come here.
void MysqlClient::misbehave() {
    PacketWriter(out_, 7).u8(command::query).bare_text("SELECT 1").finish();
}

void MysqlClient::read_messages() {
    const auto endpoint = endpoint_;
    endpoint->take(endpoint->available(), in_);
    size_t used = 0;
    while (endpoint == endpoint_) {
        const auto packet = mysql::take_packet(Bytes(in_).subspan(used), packet_bytes_max);
        if (!packet) return problem("received a packet with an impossible length");
        if (!*packet) break;
        const Bytes whole = Bytes(in_).subspan(used, (**packet).total_bytes());
        used += whole.size();
        if (phase_ == Phase::logging_in) {
            handle_login((**packet).sequence, whole);
        } else {
            handle((**packet).sequence, (**packet).payload);
        }
    }
    if (endpoint != endpoint_) return;
    in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(used));
    if (endpoint_ && (endpoint_->at_end() || endpoint_->is_reset()))
        lost(endpoint_->is_reset() ? "reset" : "closed");
}

void MysqlClient::handle_login(uint8_t sequence, Bytes packet) {
    const Bytes payload = packet.subspan(mysql::packet_header_bytes);
    if (payload.empty()) return problem("an empty packet at its login");
    const auto first = std::to_integer<uint8_t>(payload[0]);
    if (first == reply::error) return on_error(payload);
    if (sequence == 0) {
        mysql::PacketReader reader(payload);
        reader.u8();
        reader.text();
        thread_id_ = reader.u32();
        append_login(*login_, packet, out_);
    } else if (first == reply::ok) {
        say("is in");
        phase_ = Phase::ready;
        return think();
    } else {
        login_->on_bytes(packet, out_);
    }
    flush();
}

void MysqlClient::expect(const Unit&) {
    item_ = 0;
    sequence_ = 1;
    part_ = Part::head;
}

bool MysqlClient::is_end_of_rows(Bytes payload) const {
    return is_classic_ ? mysql::is_eof(payload)
                       : mysql::is_ok_of_rows(std::to_integer<uint8_t>(payload[0]),
                                              static_cast<uint32_t>(payload.size()));
}

void MysqlClient::handle(uint8_t sequence, Bytes payload) {
    if (around_.trace.enabled()) {
        say("receives " + std::to_string(payload.size()) + " bytes, first " +
            std::to_string(payload.empty() ? 0 : std::to_integer<int>(payload[0])));
    }
    if (payload.empty()) return problem("an empty packet");
    const auto first = std::to_integer<uint8_t>(payload[0]);
    if (units_.empty()) {
        if (first == reply::error) return on_error(payload);
        return problem("an answer that it did not ask for");
    }
    if (sequence != sequence_++) {
        return problem("a packet with number " + std::to_string(sequence) + " instead of " +
                       std::to_string(static_cast<uint8_t>(sequence_ - 1)));
    }
    if (first == reply::error && part_ != Part::columns && part_ != Part::parameters)
        return on_error(payload);
    switch (part_) {
        case Part::head: return units_.front().prepares ? on_prepared(payload) : on_head(payload);
        case Part::parameters:
        case Part::columns:
            if (--left_ > 0) return;
            if (part_ == Part::parameters && !is_classic_ && columns_left_ > 0) {
                left_ = std::exchange(columns_left_, 0);
                part_ = Part::columns;
            } else if (is_classic_) {
                part_ = part_ == Part::parameters ? Part::parameters_end : Part::columns_end;
            } else if (units_.front().prepares) {
                item_is_over(mysql::status::autocommit);
            } else {
                part_ = Part::rows;
            }
            return;
        case Part::parameters_end:
        case Part::columns_end:
            if (!mysql::is_eof(payload)) return problem("no EOF behind definitions");
            if (!units_.front().prepares) {
                part_ = Part::rows;
            } else if (columns_left_ > 0) {
                left_ = std::exchange(columns_left_, 0);
                part_ = Part::columns;
            } else {
                const auto eof = mysql::parse_eof(payload);
                item_is_over(eof ? eof->status : uint16_t{0});
            }
            return;
        case Part::rows:
            if (!is_end_of_rows(payload)) return on_row(payload);
            if (is_classic_) {
                const auto eof = mysql::parse_eof(payload);
                if (!eof) return problem("an EOF that can't be read");
                return item_is_over(eof->status);
            }
            const auto ok = mysql::parse_ok(payload, capability::protocol_41 | capability::session_track);
            if (!ok) return problem("an end of rows that can't be read");
            return item_is_over(ok->status);
    }
}

void MysqlClient::on_head(Bytes payload) {
    const Item& item = units_.front().items[item_];
    if (std::to_integer<uint8_t>(payload[0]) == reply::ok) {
        if (item.rows) return problem("no rows for " + item.sql);
        const auto ok = mysql::parse_ok(payload, capability::protocol_41 | capability::session_track);
        if (!ok) return problem("an OK that can't be read");
        if (item.writes && ok->affected_rows != 1)
            problem(std::to_string(ok->affected_rows) + " rows were affected by " + item.sql);
        return item_is_over(ok->status);
    }
    if (!item.rows) return problem("rows for " + item.sql);
    mysql::PacketReader reader(payload);
    left_ = reader.lenenc();
    if (reader.failed() || left_ == 0) return problem("a head of rows that can't be read");
    part_ = Part::columns;
}

void MysqlClient::on_prepared(Bytes payload) {
    mysql::PacketReader reader(payload);
    if (reader.u8() != reply::ok) return problem("no answer to a prepare");
    ids_[units_.front().items[item_].prepared_name] = reader.u32();
    columns_left_ = reader.u16();
    left_ = reader.u16();
    if (reader.failed() || left_ == 0) return problem("an answer to a prepare that can't be read");
    part_ = Part::parameters;
}

void MysqlClient::on_error(Bytes payload) {
    const auto error = mysql::parse_err(payload);
    if (!error) return problem("an error that can't be read");
    std::string code = code_of(*error);
    // What has begun to answer can't be asked of another server, and surely failed.
    constexpr uint16_t read_only = 1290;
    const bool has_begun = !units_.empty() && (units_.front().rows > 0 || item_ > 0);
    if (error->number == read_only && has_begun) code = "40001";
    say("receives " + std::to_string(error->number) + " " + std::string(error->message));
    if (phase_ == Phase::logging_in) {
        const Duration waited = around_.network.events().now() - login_began_;
        constexpr uint16_t shutdown = 1053;
        if ((code == "57P03" || error->number == shutdown) && waited >= around_.wait) {
            may_be_closed_ = true;
        } else if (!may_be_closed_) {
            problem("refused at its login: " + code + " " + std::string(error->message));
        }
        return;
    }
    if (units_.empty()) {
        if (!may_be_closed_) problem("an error that it did not ask for: " + std::string(error->message));
        return;
    }
    Unit& unit = units_.front();
    unit.error = code;
    unit.error_text = error->message;
    unit.status = code == "40001" || code == "08007" || unit.items[item_].commits ? 'I' : status_;
    unit_is_over();
}

void MysqlClient::on_row(Bytes payload) {
    Unit& unit = units_.front();
    Item& item = unit.items[item_];
    ++unit.rows;
    mysql::PacketReader reader(payload);
    const bool is_binary = unit.items.size() == 1 && !item.prepared_name.empty();
    constexpr size_t columns_max = 3;
    if (is_binary) reader.take(1 + (columns_max + 7 + 2) / 8);
    std::vector<std::string> columns;
    while (!reader.at_end() && !reader.failed()) columns.emplace_back(reader.lenenc_text());
    if (reader.failed() || columns.empty()) return problem("a row that can't be read");
    take_row(item, columns);
}

void MysqlClient::item_is_over(uint16_t status) {
    Unit& unit = units_.front();
    Item& item = unit.items[item_];
    item.done = true;
    item.done_tag = item.sql == "ROLLBACK" ? "ROLLBACK" : item.complete;
    if (item.rows && !item.first_column) problem("no row for " + item.sql);
    unit.status = (status & mysql::status::in_transaction) != 0 ? 'T' : 'I';
    item.is_open = unit.status == 'T';
    ++item_;
    part_ = Part::head;
    const bool goes_on = (status & mysql::status::more_results) != 0;
    if (goes_on != (item_ < unit.items.size())) return problem("a wrong number of results for " + item.sql);
    if (!goes_on) unit_is_over();
}

void MysqlClient::encode(Unit& unit, ByteBuffer& out) {
    if (unit.prepares) {
        PacketWriter(out, 0).u8(command::stmt_prepare).bare_text(unit.items[0].sql).finish();
        return;
    }
    if (unit.items.size() == 1 && !unit.items[0].prepared_name.empty()) {
        const Item& item = unit.items[0];
        PacketWriter writer(out, 0);
        writer.u8(command::stmt_execute).u32(ids_[item.prepared_name]).u8(0).u32(1);
        writer.zeros((item.values.size() + 7) / 8).u8(1);
        for (size_t i = 0; i < item.values.size(); ++i) writer.u8(string_type).u8(0);
        for (const std::string& value : item.values) writer.lenenc_text(value);
        writer.finish();
        return;
    }
    std::string text;
    for (const Item& item : unit.items) text += (text.empty() ? "" : "; ") + item.sql;
    PacketWriter(out, 0).u8(command::query).bare_text(text).finish();
}

}  // namespace holdfast::simulation
