#include "protocol/postgres/messages.h"

#include <cassert>

#include "protocol/base/limits.h"

namespace holdfast::postgres {

namespace {

/// What of a text the wire can carry.
std::string_view up_to_nul(std::string_view text) {
    return text.substr(0, text.find('\0'));
}

/// Sets the length word at `at` so that it covers everything from itself to the end of the buffer.
void set_length(ByteBuffer& out, size_t at) {
    const size_t length = out.size() - at;
    assert(length <= limits::postgres_message_bytes_max);
    store_u32(out.data() + at, static_cast<uint32_t>(length));
}

void append_report(ByteBuffer& out, char type, const ErrorFields& fields) {
    MessageWriter body(out, type);
    const auto field = [&body](char kind, std::string_view text) {
        body.u8(static_cast<uint8_t>(kind)).text(up_to_nul(text));
    };
    field('S', fields.severity);
    field('V', fields.severity);
    field('C', fields.sqlstate);
    field('M', fields.message);
    if (!fields.detail.empty()) field('D', fields.detail);
    if (!fields.hint.empty()) field('H', fields.hint);
    body.u8(0);
}

ErrorFields report(std::string_view severity, std::string_view sqlstate, std::string_view message,
                   std::string_view detail, std::string_view hint) {
    return {std::string(severity), std::string(sqlstate), std::string(message), std::string(detail),
            std::string(hint)};
}

}  // namespace

Result<std::optional<Message>> take_message(Bytes in, uint32_t body_bytes_max) {
    if (in.size() < message_header_bytes) return std::optional<Message>{};
    const uint32_t length = load_u32(in.data() + 1);
    if (length < 4) return Error{ErrorCode::bad_length, "message length is below 4"};
    const uint32_t body_bytes = length - 4;
    if (body_bytes > body_bytes_max) {
        return Error{ErrorCode::limit_exceeded,
                     "message of " + std::to_string(length) + " bytes is too long"};
    }
    if (in.size() - message_header_bytes < body_bytes) return std::optional<Message>{};
    return std::optional<Message>{
        Message{std::to_integer<char>(in[0]), in.subspan(message_header_bytes, body_bytes)}};
}

Result<ErrorFields> parse_error_fields(Bytes body) {
    ErrorFields fields;
    std::string translated_severity;
    Reader reader(body);
    while (const uint8_t kind = reader.u8()) {
        const std::string_view text = reader.text();
        switch (static_cast<char>(kind)) {
            case 'S': translated_severity = text; break;
            case 'V': fields.severity = text; break;
            case 'C': fields.sqlstate = text; break;
            case 'M': fields.message = text; break;
            case 'D': fields.detail = text; break;
            case 'H': fields.hint = text; break;
            default: break;  // positions, file and line, and whatever later versions add
        }
    }
    if (reader.failed()) return Error{ErrorCode::bad_length, "error fields have no terminator"};
    if (!reader.at_end()) return Error{ErrorCode::bad_length, "bytes after the error fields' terminator"};
    if (fields.severity.empty()) fields.severity = std::move(translated_severity);
    return fields;
}

Result<std::pair<std::string, std::string>> parse_parameter_status(Bytes body) {
    Reader reader(body);
    const std::string_view name = reader.text();
    const std::string_view value = reader.text();
    if (reader.failed() || !reader.at_end()) {
        return Error{ErrorCode::bad_length, "ParameterStatus is not two terminated texts"};
    }
    return std::pair{std::string(name), std::string(value)};
}

Result<Parameters> parse_startup_parameters(Bytes body) {
    Parameters parameters;
    Reader reader(body);
    for (std::string_view name = reader.text(); !name.empty(); name = reader.text()) {
        const std::string_view value = reader.text();
        if (reader.failed()) break;
        parameters.emplace_back(name, value);
    }
    if (reader.failed() || !reader.at_end()) {
        return Error{ErrorCode::bad_length,
                     "invalid startup packet layout: expected terminator as last byte"};
    }
    return parameters;
}

void append_error(ByteBuffer& out, std::string_view severity, std::string_view sqlstate,
                  std::string_view message, std::string_view detail, std::string_view hint) {
    append_report(out, backend::error_response, report(severity, sqlstate, message, detail, hint));
}

void append_notice(ByteBuffer& out, std::string_view severity, std::string_view sqlstate,
                   std::string_view message, std::string_view detail, std::string_view hint) {
    append_report(out, backend::notice_response, report(severity, sqlstate, message, detail, hint));
}

void append_ready_for_query(ByteBuffer& out, char status) {
    MessageWriter(out, backend::ready_for_query).u8(static_cast<uint8_t>(status));
}

void append_parameter_status(ByteBuffer& out, std::string_view name, std::string_view value) {
    MessageWriter(out, backend::parameter_status).text(up_to_nul(name)).text(up_to_nul(value));
}

void append_authentication(ByteBuffer& out, uint32_t code, Bytes data) {
    MessageWriter(out, backend::authentication).u32(code).bytes(data);
}

void append_authentication_ok(ByteBuffer& out) {
    append_authentication(out, authentication::ok);
}

void append_backend_key_data(ByteBuffer& out, Bytes key) {
    assert(key.size() >= cancel_key_bytes_min && key.size() <= cancel_key_bytes_max);
    append_message(out, backend::backend_key_data, key);
}

void append_command_complete(ByteBuffer& out, std::string_view tag) {
    MessageWriter(out, backend::command_complete).text(up_to_nul(tag));
}

void append_negotiate_protocol_version(ByteBuffer& out, uint32_t minor,
                                       const std::vector<std::string>& unrecognized) {
    // The documentation speaks of the minor version; servers send, and clients expect, both halves.
    MessageWriter body(out, backend::negotiate_protocol_version);
    body.u32(protocol_version_3 | minor).u32(static_cast<uint32_t>(unrecognized.size()));
    for (const std::string& name : unrecognized) body.text(up_to_nul(name));
}

void append_query(ByteBuffer& out, std::string_view sql) {
    MessageWriter(out, frontend::query).text(up_to_nul(sql));
}

void append_startup(ByteBuffer& out, uint32_t protocol_minor, std::string_view user,
                    std::string_view database, const Parameters& parameters) {
    const size_t at = out.size();
    Writer writer(out);
    writer.u32(0).u32(protocol_version_3 | protocol_minor);
    const auto parameter = [&writer](std::string_view name, std::string_view value) {
        writer.text(up_to_nul(name)).text(up_to_nul(value));
    };
    if (!user.empty()) parameter("user", user);
    if (!database.empty()) parameter("database", database);
    for (const auto& [name, value] : parameters) {
        if (!up_to_nul(name).empty()) parameter(name, value);  // an empty name would end the list
    }
    writer.u8(0);
    set_length(out, at);
}

void append_cancel_request(ByteBuffer& out, Bytes key) {
    assert(key.size() >= cancel_key_bytes_min && key.size() <= cancel_key_bytes_max);
    Writer(out).u32(static_cast<uint32_t>(8 + key.size())).u32(cancel_request_code).bytes(key);
}

void append_ssl_request(ByteBuffer& out) {
    Writer(out).u32(8).u32(ssl_request_code);
}

void append_password(ByteBuffer& out, std::string_view password) {
    MessageWriter(out, frontend::password).text(up_to_nul(password));
}

void append_sasl_initial_response(ByteBuffer& out, std::string_view mechanism, std::string_view data) {
    MessageWriter(out, frontend::password)
        .text(up_to_nul(mechanism))
        .u32(static_cast<uint32_t>(data.size()))
        .bytes(as_bytes(data));
}

void append_sasl_response(ByteBuffer& out, std::string_view data) {
    append_message(out, frontend::password, as_bytes(data));
}

void append_message(ByteBuffer& out, char type, Bytes body) {
    MessageWriter(out, type).bytes(body);
}

MessageWriter::MessageWriter(ByteBuffer& out, char type)
    : Writer(out), out_(out), length_at_(out.size() + 1) {
    u8(static_cast<uint8_t>(type)).u32(0);
}

MessageWriter::~MessageWriter() {
    set_length(out_, length_at_);
}

}  // namespace holdfast::postgres
