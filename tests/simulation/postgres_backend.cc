#include "tests/simulation/postgres_backend.h"

#include <utility>

#include "protocol/postgres/messages.h"

namespace holdfast::simulation {

namespace backend = postgres::backend;
namespace frontend = postgres::frontend;
using postgres::MessageWriter;

void PostgresBackend::on_change() {
    if (!is_alive_ || server_.process() == Server::Process::stopped) return;
    flush();
    // A server that can't send does not read either.
    if (out_.size() < 65'536) endpoint_->take(endpoint_->available(), in_);
    process();
}

void PostgresBackend::process() {
    const auto self = shared_from_this();
    while (is_alive_ && !is_busy_) {
        if (!logged_in_) {
            if (!take_startup()) break;
            continue;
        }
        const auto message = postgres::take_message(in_, 1'000'000);
        if (!message || !*message) break;
        const ByteBuffer body((**message).body.begin(), (**message).body.end());
        const char type = (**message).type;
        in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>((**message).total_bytes()));
        handle(type, body);
    }
    if (is_alive_ && !is_busy_ && (endpoint_->at_end() || endpoint_->is_reset())) server_.remove(*this);
}

/// True: something was understood, look again.
bool PostgresBackend::take_startup() {
    if (in_.size() < 8) return false;
    const uint32_t length = load_u32(in_.data());
    if (in_.size() < length) return false;
    const uint32_t code = load_u32(in_.data() + 4);
    if (code == postgres::cancel_request_code && length >= 16) {
        answer_cancel_request(in_);
        in_.clear();
        server_.remove(*this);
        return false;
    }
    if (server_.site().trace.enabled()) {
        const std::string_view text = as_text(Bytes(in_).first(length));
        const size_t at = text.find("application_name");
        const size_t value = at == std::string_view::npos ? 0 : at + 17;
        server_.site().trace.line(server_.name(),
                                  "session " + std::to_string(process_id_) + " begins for " +
                                      std::string(text.substr(value, text.find('\0', value) - value)));
    }
    in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(length));
    if (code == postgres::ssl_request_code || code == postgres::gssenc_request_code) {
        append(out_, "N");
        flushed_ = out_.size();
        flush();
        return true;
    }
    log_in();
    return is_alive_;
}

void PostgresBackend::log_in() {
    if (server_.process() != Server::Process::running) {
        end_with("FATAL", "57P03", "the database system is starting up");
        server_.remove(*this);
        return;
    }
    logged_in_ = true;
    secret_ = static_cast<uint32_t>(server_.site().network.random().next());
    postgres::append_authentication_ok(out_);
    const char* const standby = server_.is_standby() ? "on" : "off";
    const std::pair<const char*, const char*> parameters[] = {
        {"server_version", "15.4"},  {"server_encoding", "UTF8"},
        {"client_encoding", "UTF8"}, {"standard_conforming_strings", "on"},
        {"in_hot_standby", standby}, {"default_transaction_read_only", "off"},
        {"TimeZone", "UTC"},         {"integer_datetimes", "on"}};
    for (const auto& [name, value] : parameters) postgres::append_parameter_status(out_, name, value);
    ByteBuffer key;
    Writer(key).u32(process_id_).u32(secret_);
    postgres::append_backend_key_data(out_, key);
    ready();
}

void PostgresBackend::handle(char type, Bytes body) {
    if (type == frontend::terminate) {
        server_.remove(*this);
        return;
    }
    if (type == frontend::sync) return on_sync();
    if (skipping_) return;
    switch (type) {
        case frontend::query: {
            Reader reader(body);
            return run_query(split_sql(reader.text()), 0);
        }
        case frontend::parse: return on_parse(body);
        case frontend::bind: return on_bind(body);
        case frontend::describe: return on_describe(body);
        case frontend::execute: return on_execute(body);
        case frontend::close: {
            Reader reader(body);
            const bool statement = reader.u8() == 'S';
            (statement ? prepared_ : portals_).erase(std::string(reader.text()));
            postgres::append_message(out_, backend::close_complete);
            return;
        }
        case frontend::flush: flushed_ = out_.size(); return flush();
        default: fail({"08P01", "invalid frontend message type", {}}); return;
    }
}

void PostgresBackend::on_parse(Bytes body) {
    Reader reader(body);
    const std::string name(reader.text());
    const std::string text(reader.text());
    const Sql sql = parse_sql(text);
    if (sql.verb == Verb::unknown) return fail({"42601", "syntax error", {}});
    if (transaction_ == Transaction::failed && !ends_failure(sql.verb)) {
        return fail({"25P02", "current transaction is aborted", {}});
    }
    if (!name.empty() && prepared_.contains(name))
        return fail({"42P05", "prepared statement already exists", {}});
    prepared_[name] = text;
    postgres::append_message(out_, backend::parse_complete);
}

void PostgresBackend::on_bind(Bytes body) {
    Reader reader(body);
    const std::string portal(reader.text());
    const std::string name(reader.text());
    for (uint16_t formats = reader.u16(); formats > 0; --formats) reader.u16();
    std::vector<std::string> values;
    for (uint16_t count = reader.u16(); count > 0; --count)
        values.emplace_back(as_text(reader.take(reader.u32())));
    const auto found = prepared_.find(name);
    if (found == prepared_.end())
        return fail({"26000", "prepared statement \"" + name + "\" does not exist", {}});
    const Sql sql = parse_sql(found->second);
    if (transaction_ == Transaction::failed && !ends_failure(sql.verb)) {
        return fail({"25P02", "current transaction is aborted", {}});
    }
    portals_[portal] = values.empty() ? found->second : with_parameters(found->second, values);
    postgres::append_message(out_, backend::bind_complete);
}

void PostgresBackend::on_describe(Bytes body) {
    Reader reader(body);
    const bool statement = reader.u8() == 'S';
    const std::string name(reader.text());
    const auto& where = statement ? prepared_ : portals_;
    const auto found = where.find(name);
    if (found == where.end()) return fail({statement ? "26000" : "34000", "does not exist", {}});
    if (statement) MessageWriter(out_, backend::parameter_description).u16(0);
    describe_rows(parse_sql(found->second));
}

void PostgresBackend::on_execute(Bytes body) {
    Reader reader(body);
    const auto found = portals_.find(std::string(reader.text()));
    if (found == portals_.end()) return fail({"34000", "portal does not exist", {}});
    is_busy_ = true;
    run(found->second, false, [this](const Outcome& outcome) {
        is_busy_ = false;
        if (!outcome.code.empty()) {
            fail(outcome);
        } else {
            postgres::append_command_complete(out_, outcome.tag);
        }
        finish_work();
    });
}

void PostgresBackend::on_sync() {
    skipping_ = false;
    if (transaction_ != Transaction::implicit) return ready();
    is_busy_ = true;
    commit_work({}, [this](const Outcome&) {
        is_busy_ = false;
        ready();
        finish_work();
    });
}

/// The statements of a simple query, one after the other, in one transaction unless they say otherwise.
void PostgresBackend::run_query(std::vector<std::string> statements, size_t next) {
    if (statements.empty()) {
        postgres::append_message(out_, backend::empty_query_response);
        return ready();
    }
    is_busy_ = true;
    prepared_.erase("");
    const bool is_last = next + 1 == statements.size();
    run(statements[next], true, [this, statements, next, is_last](const Outcome& outcome) {
        const auto end = [this] {
            is_busy_ = false;
            ready();
            finish_work();
        };
        if (!outcome.code.empty()) {
            postgres::append_error(out_, "ERROR", outcome.code, outcome.text);
            return end();
        }
        if (!is_last) {
            postgres::append_command_complete(out_, outcome.tag);
            return run_query(statements, next + 1);
        }
        const auto complete = [this, end, tag = outcome.tag](const Outcome&) {
            postgres::append_command_complete(out_, tag);
            end();
        };
        // The transaction ends before the client is told that the last statement is done.
        if (transaction_ == Transaction::implicit) return commit_work({}, complete);
        complete({});
    });
}

/// An error in the extended protocol.
void PostgresBackend::fail(const Outcome& outcome) {
    postgres::append_error(out_, "ERROR", outcome.code, outcome.text);
    skipping_ = true;
    flushed_ = out_.size();
    if (transaction_ == Transaction::open) transaction_ = Transaction::failed;
    if (transaction_ == Transaction::implicit) end_transaction(false);
}

void PostgresBackend::ready() {
    if (std::exchange(role_changed_, false)) {
        postgres::append_parameter_status(out_, "in_hot_standby", server_.is_standby() ? "on" : "off");
    }
    for (const Notification& each : std::exchange(undelivered_, {})) notify(each);
    const char status = transaction_ == Transaction::open     ? 'T'
                        : transaction_ == Transaction::failed ? 'E'
                                                              : 'I';
    postgres::append_ready_for_query(out_, status);
    flushed_ = out_.size();
    flush();
}

void PostgresBackend::finish_work() {
    if (!is_alive_) return;
    if (out_.size() > 8'192) flushed_ = out_.size();
    on_change();
}

void PostgresBackend::notify(const Notification& notification) {
    if (!channels_.contains(notification.channel)) return;
    if (is_busy_ || transaction_ != Transaction::idle) {
        undelivered_.push_back(notification);
        return;
    }
    server_.site().trace.line(server_.name(), "session " + std::to_string(process_id_) + " is notified");
    MessageWriter(out_, backend::notification_response)
        .u32(1)
        .text(notification.channel)
        .text(notification.payload);
    flushed_ = out_.size();
    flush();
}

void PostgresBackend::say_goodbye(Farewell why) {
    if (why == Farewell::crash) {
        return end_with("WARNING", "57P02",
                        "terminating connection because of crash of another server process");
    }
    end_with("FATAL", "57P01", "terminating connection due to administrator command");
}

void PostgresBackend::end_with(std::string_view severity, std::string_view code, std::string_view message) {
    if (!is_alive_) return;
    if (severity == "WARNING") {
        postgres::append_notice(out_, severity, code, message);
    } else {
        postgres::append_error(out_, severity, code, message);
    }
    flushed_ = out_.size();
    flush();
    endpoint_->shut();
}

void PostgresBackend::answer_cancel_request(Bytes request) {
    auto* target = dynamic_cast<PostgresBackend*>(server_.find_backend(load_u32(request.data() + 8)));
    if (target && target->secret_ == load_u32(request.data() + 12)) target->cancel();
}

}  // namespace holdfast::simulation
