#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

/// The messages of the PostgreSQL protocol that the proxy makes or must understand itself, as bytes.
/// Builders append one whole message to a buffer that the caller owns; texts given to them end at the first
/// NUL, because the wire has no way to carry one.
/// spec    PostgreSQL documentation, "Message Formats", "Error and Notice Message Fields"
namespace holdfast::postgres {

/// First bytes of messages from a client.
namespace frontend {
inline constexpr char bind = 'B';
inline constexpr char close = 'C';
inline constexpr char copy_data = 'd';
inline constexpr char copy_done = 'c';
inline constexpr char copy_fail = 'f';
inline constexpr char describe = 'D';
inline constexpr char execute = 'E';
inline constexpr char flush = 'H';
inline constexpr char function_call = 'F';
inline constexpr char parse = 'P';
inline constexpr char password = 'p';  // PasswordMessage, SASLInitialResponse, SASLResponse, GSSResponse
inline constexpr char query = 'Q';
inline constexpr char sync = 'S';
inline constexpr char terminate = 'X';
}  // namespace frontend

/// First bytes of messages from a server.
namespace backend {
inline constexpr char authentication = 'R';
inline constexpr char backend_key_data = 'K';
inline constexpr char bind_complete = '2';
inline constexpr char close_complete = '3';
inline constexpr char command_complete = 'C';
inline constexpr char copy_both_response = 'W';
inline constexpr char copy_data = 'd';
inline constexpr char copy_done = 'c';
inline constexpr char copy_in_response = 'G';
inline constexpr char copy_out_response = 'H';
inline constexpr char data_row = 'D';
inline constexpr char empty_query_response = 'I';
inline constexpr char error_response = 'E';
inline constexpr char function_call_response = 'V';
inline constexpr char negotiate_protocol_version = 'v';
inline constexpr char no_data = 'n';
inline constexpr char notice_response = 'N';
inline constexpr char notification_response = 'A';
inline constexpr char parameter_description = 't';
inline constexpr char parameter_status = 'S';
inline constexpr char parse_complete = '1';
inline constexpr char portal_suspended = 's';
inline constexpr char ready_for_query = 'Z';
inline constexpr char row_description = 'T';
}  // namespace backend

/// What an Authentication message ('R') asks for: the first word of its body.
namespace authentication {
inline constexpr uint32_t ok = 0;
inline constexpr uint32_t cleartext_password = 3;
inline constexpr uint32_t md5_password = 5;
inline constexpr uint32_t sasl = 10;
inline constexpr uint32_t sasl_continue = 11;
inline constexpr uint32_t sasl_final = 12;
}  // namespace authentication

/// The word after the length of a message that has no type byte.
inline constexpr uint32_t protocol_version_3 = 3u << 16;  // the minor version is the lower half
inline constexpr uint32_t cancel_request_code = 80877102;
inline constexpr uint32_t ssl_request_code = 80877103;
inline constexpr uint32_t gssenc_request_code = 80877104;

/// The newest minor version of protocol 3 that the proxy speaks. 3.1 was never used and counts as 3.0.
inline constexpr uint32_t newest_protocol_minor = 2;

/// A cancel key on the wire: the process id and a secret. The secret has 4 bytes in protocol 3.0, up to 256
/// in 3.2.
inline constexpr size_t cancel_key_bytes_min = 4 + 4;
inline constexpr size_t cancel_key_bytes_max = 4 + 256;

/// Type byte and length word.
inline constexpr size_t message_header_bytes = 5;

/// Names and values, as in a startup message, in their order.
using Parameters = std::vector<std::pair<std::string, std::string>>;

/// A whole message at the front of some bytes. `body` is a view into them.
struct Message {
    char type;
    Bytes body;
    size_t total_bytes() const { return message_header_bytes + body.size(); }
};

/// Finds the message at the front of `in`; nullopt: more bytes please.
/// in      type byte, length (itself included, the type not), body
/// errors  bad_length: a length below 4; limit_exceeded: a body longer than `body_bytes_max`. Both are told
///         as soon as the header is there, before anybody waits for the body.
Result<std::optional<Message>> take_message(Bytes in, uint32_t body_bytes_max);

/// What the proxy uses of an ErrorResponse or NoticeResponse. A field that was not sent is empty.
struct ErrorFields {
    std::string severity;  // V (never translated); S when the server sent no V
    std::string sqlstate;
    std::string message;
    std::string detail;
    std::string hint;
};

/// Reads the body of an ErrorResponse or a NoticeResponse. Fields of other kinds are skipped; of a repeated
/// field the last one counts.
/// in      field type byte and NUL-terminated text, repeated; then one NUL
/// errors  bad_length: a text or the list has no terminator, or bytes follow it
Result<ErrorFields> parse_error_fields(Bytes body);

/// Reads the body of a ParameterStatus: name and value.
/// errors  bad_length: not exactly two NUL-terminated texts
Result<std::pair<std::string, std::string>> parse_parameter_status(Bytes body);

/// Reads what follows the version in a startup message: names and values, as sent, duplicates included.
/// errors  bad_length: no terminator as the last byte (PostgreSQL answers 08P01 to that)
Result<Parameters> parse_startup_parameters(Bytes body);

// ---- From a server -------------------------------------------------------------------------------------

/// `severity` is ERROR, FATAL or PANIC (it is sent as S and as V).
void append_error(ByteBuffer& out, std::string_view severity, std::string_view sqlstate,
                  std::string_view message, std::string_view detail = {}, std::string_view hint = {});
/// `severity` is WARNING, NOTICE, DEBUG, INFO or LOG.
void append_notice(ByteBuffer& out, std::string_view severity, std::string_view sqlstate,
                   std::string_view message, std::string_view detail = {}, std::string_view hint = {});
/// `status` is I, T or E.
void append_ready_for_query(ByteBuffer& out, char status);
void append_parameter_status(ByteBuffer& out, std::string_view name, std::string_view value);
/// An Authentication message that asks for `code`, with what belongs to it.
void append_authentication(ByteBuffer& out, uint32_t code, Bytes data = {});
void append_authentication_ok(ByteBuffer& out);
/// `key` is process id and secret: cancel_key_bytes_min to cancel_key_bytes_max bytes.
void append_backend_key_data(ByteBuffer& out, Bytes key);
void append_command_complete(ByteBuffer& out, std::string_view tag);
/// `minor` is what the connection goes on with; `unrecognized` are the names of unknown protocol options.
void append_negotiate_protocol_version(ByteBuffer& out, uint32_t minor,
                                       const std::vector<std::string>& unrecognized);

// ---- From a client -------------------------------------------------------------------------------------

void append_query(ByteBuffer& out, std::string_view sql);
/// An empty user or database is left out.
void append_startup(ByteBuffer& out, uint32_t protocol_minor, std::string_view user,
                    std::string_view database, const Parameters& parameters);
/// `key` as in append_backend_key_data.
void append_cancel_request(ByteBuffer& out, Bytes key);
void append_ssl_request(ByteBuffer& out);
void append_password(ByteBuffer& out, std::string_view password);
void append_sasl_initial_response(ByteBuffer& out, std::string_view mechanism, std::string_view data);
void append_sasl_response(ByteBuffer& out, std::string_view data);

// ---- From either ---------------------------------------------------------------------------------------

/// A whole message around `body`, which must be shorter than limits::postgres_message_bytes_max.
void append_message(ByteBuffer& out, char type, Bytes body = {});

/// Appends one message whose body is written piece by piece: the length is set when this dies.
/// The buffer must outlive it.
class MessageWriter : public Writer {
public:
    MessageWriter(ByteBuffer& out, char type);
    ~MessageWriter();
    MessageWriter(const MessageWriter&) = delete;
    MessageWriter& operator=(const MessageWriter&) = delete;

private:
    ByteBuffer& out_;
    size_t length_at_;
};

}  // namespace holdfast::postgres
