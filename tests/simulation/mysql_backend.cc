#include "tests/simulation/mysql_backend.h"

#include <algorithm>
#include <utility>

#include "protocol/mysql/errors.h"
#include "protocol/mysql/packets.h"

namespace holdfast::simulation {

using namespace std::chrono_literals;
namespace command = mysql::command;
namespace reply = mysql::reply;
using mysql::PacketWriter;

namespace {

constexpr std::string_view version = "10.11.6-MariaDB";
constexpr uint64_t capabilities = mysql::capability::protocol_41 | mysql::capability::session_track;
constexpr size_t packet_bytes_max = 1'000'000;
constexpr uint16_t unknown_command = 1047;
constexpr uint16_t unknown_statement = 1243;
constexpr uint16_t killed = 1927;
constexpr uint8_t varchar = 0xfd;

void append_column(ByteBuffer& out, uint8_t sequence) {
    PacketWriter writer(out, sequence);
    for (const char* text : {"def", "shop", "t", "t", "column", "column"}) writer.lenenc_text(text);
    writer.lenenc(0x0c).u16(45).u32(200).u8(varchar).u16(0).u8(0).u16(0).finish();
}

}  // namespace

void MysqlBackend::begin() {
    Backend::begin();
    server_.later(0ns, mine([this] { on_change(); }));
}

void MysqlBackend::on_change() {
    if (!is_alive_ || server_.process() == Server::Process::stopped) return;
    flush();
    // A server that can't send does not read either.
    if (out_.size() < 65'536) endpoint_->take(endpoint_->available(), in_);
    process();
}

void MysqlBackend::process() {
    const auto self = shared_from_this();
    while (is_alive_ && !is_busy_) {
        if (!logged_in_) {
            if (!take_login()) break;
            continue;
        }
        const auto packet = mysql::take_packet(in_, packet_bytes_max);
        if (!packet || !*packet) break;
        const ByteBuffer payload((**packet).payload.begin(), (**packet).payload.end());
        sequence_ = static_cast<uint8_t>((**packet).sequence + 1);
        in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>((**packet).total_bytes()));
        handle(payload);
    }
    if (is_alive_ && !is_busy_ && (is_leaving_ || endpoint_->at_end() || endpoint_->is_reset()))
        server_.remove(*this);
}

/// True: something was understood, look again.
bool MysqlBackend::take_login() {
    if (!login_) {
        dialect::ClientHandshakeOptions options;
        options.process_id = process_id_;
        options.server_version = version;
        options.tls_offered = false;
        options.auth = static_cast<int>(config::ClientAuth::trust);
        login_ = std::make_unique<mysql::ClientLogin>(mysql::ClientLoginOptions{
            options,
            [this](std::byte* out, size_t size) {
                std::generate_n(out, size, [this] {
                    return std::byte{static_cast<uint8_t>(server_.site().network.random().between(1, 127))};
                });
            },
            nullptr, nullptr, false});
        login_->start(out_);
        ready_ = out_.size();
        flush();
    }
    if (in_.empty()) return false;
    const dialect::Progress progress = login_->on_bytes(in_, out_);
    in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(progress.consumed));
    if (progress.step == dialect::Step::done) {
        logged_in_ = true;
        server_.site().trace.line(server_.name(), "session " + std::to_string(process_id_) + " begins");
        login_->welcome({}, process_id_, {}, out_);
    } else if (progress.step == dialect::Step::failed) {
        is_leaving_ = true;
    }
    ready_ = out_.size();
    flush();
    return logged_in_;
}

void MysqlBackend::handle(Bytes payload) {
    if (payload.empty()) return answer_error(unknown_command, "Unknown command");
    const auto code = std::to_integer<uint8_t>(payload[0]);
    const Bytes body = payload.subspan(1);
    switch (code) {
        case command::quit: is_leaving_ = true; return;
        case command::ping:
        case command::init_db: answer_ok(); break;
        case command::reset_connection:
            reset();
            answer_ok();
            break;
        case command::query: return run_texts(split_sql(as_text(body)), 0);
        case command::stmt_prepare: prepare(std::string(as_text(body))); break;
        case command::stmt_execute: return run_prepared(body);
        case command::stmt_close:
            if (body.size() >= 4) prepared_.erase(mysql::load_le32(body.data()));
            return;
        case command::stmt_reset: answer_ok(); break;
        default: answer_error(unknown_command, "Unknown command"); break;
    }
    ready_ = out_.size();
    flush();
}

void MysqlBackend::run_texts(const std::vector<std::string>& statements, size_t next) {
    is_busy_ = true;
    const bool more = next + 1 < statements.size();
    if (statements.empty()) {
        answer_error(1065, "Query was empty");
        return finish_command();
    }
    run(statements[next], Rows::text, more, [this, statements, next, more](const Outcome& outcome) {
        if (outcome.number != 0) {
            answer_error(outcome.number, outcome.text);
        } else if (more) {
            return run_texts(statements, next + 1);
        }
        finish_command();
    });
}

void MysqlBackend::prepare(std::string text) {
    const Sql sql = parse_sql(text);
    if (sql.verb == Verb::unknown) return answer_error(mysql::error::syntax, "syntax error");
    const auto parameters = static_cast<uint16_t>(std::count(text.begin(), text.end(), '?'));
    const uint16_t columns = returns_rows(sql.verb) || sql.returning ? 3 : 0;
    const uint32_t id = ++last_prepared_;
    prepared_[id] = {std::move(text), false};
    sequence_ = PacketWriter(out_, sequence_)
                    .u8(reply::ok)
                    .u32(id)
                    .u16(columns)
                    .u16(parameters)
                    .u8(0)
                    .u16(0)
                    .finish();
    for (int i = 0; i < parameters + columns; ++i) append_column(out_, sequence_++);
}

void MysqlBackend::run_prepared(Bytes body) {
    mysql::PacketReader reader(body);
    const uint32_t id = reader.u32();
    reader.take(5);  // the cursor's type, and how often
    const auto found = prepared_.find(id);
    is_busy_ = true;
    if (reader.failed() || found == prepared_.end()) {
        answer_error(unknown_statement, "Unknown prepared statement handler");
        return finish_command();
    }
    Prepared& prepared = found->second;
    const auto count = static_cast<size_t>(std::count(prepared.text.begin(), prepared.text.end(), '?'));
    std::vector<std::string> values;
    if (count > 0) {
        reader.take((count + 7) / 8);
        if (reader.u8() == 1) {
            reader.take(2 * count);
            prepared.has_types = true;
        }
        for (size_t i = 0; i < count; ++i) values.emplace_back(reader.lenenc_text());
    }
    if (reader.failed() || (count > 0 && !prepared.has_types)) {
        answer_error(1210, "Incorrect arguments to mysqld_stmt_execute");
        return finish_command();
    }
    run(with_parameters(prepared.text, values), Rows::binary, false, [this](const Outcome& outcome) {
        if (outcome.number != 0) answer_error(outcome.number, outcome.text);
        finish_command();
    });
}

uint16_t MysqlBackend::status(bool more) const {
    unsigned flags = mysql::status::autocommit;
    if (in_transaction_) flags |= mysql::status::in_transaction;
    if (more) flags |= mysql::status::more_results;
    return static_cast<uint16_t>(flags);
}

void MysqlBackend::answer_ok(uint64_t affected_rows, bool more, Bytes session_state) {
    mysql::OkPacket ok;
    ok.affected_rows = affected_rows;
    ok.status = status(more);
    ok.session_state = session_state;
    sequence_ = mysql::append_ok(out_, sequence_, ok, capabilities);
}

void MysqlBackend::answer_error(uint16_t number, std::string_view text) {
    sequence_ = mysql::append_err(out_, sequence_, number, "HY000", text);
}

void MysqlBackend::begin_rows(size_t columns) {
    sequence_ = PacketWriter(out_, sequence_).lenenc(columns).finish();
    for (size_t i = 0; i < columns; ++i) append_column(out_, sequence_++);
}

void MysqlBackend::send_row(Rows rows, const std::vector<std::string>& values) {
    PacketWriter writer(out_, sequence_);
    if (rows == Rows::binary) writer.u8(0).zeros((values.size() + 7 + 2) / 8);
    for (const std::string& value : values) writer.lenenc_text(value);
    sequence_ = writer.finish();
}

void MysqlBackend::end_rows(bool more) {
    mysql::OkPacket ok;
    ok.status = status(more);
    sequence_ = mysql::append_ok(out_, sequence_, ok, capabilities, reply::eof);
}

void MysqlBackend::finish_command() {
    is_busy_ = false;
    ready_ = out_.size();
    if (is_alive_) on_change();
}

/// MariaDB tells some sessions why, and others nothing.
void MysqlBackend::say_goodbye(Farewell why) {
    if (!is_alive_) return;
    if (logged_in_ && why != Farewell::crash && server_.site().network.random().chance(50)) {
        if (!is_busy_) sequence_ = 0;
        const bool is_shutdown = why == Farewell::shutdown;
        answer_error(is_shutdown ? mysql::error::server_shutdown : killed,
                     is_shutdown ? "Server shutdown in progress" : "Connection was killed");
        ready_ = out_.size();
        flush();
    }
    endpoint_->shut();
}

}  // namespace holdfast::simulation
