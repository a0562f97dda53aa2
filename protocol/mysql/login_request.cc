#include "protocol/mysql/login_request.h"

#include "protocol/base/limits.h"
#include "protocol/mysql/packets.h"

namespace holdfast::mysql {
namespace {

constexpr size_t request_head_bytes = 32;

/// A block of names and values, all length-encoded.
Status read_attributes(PacketReader& reader, dialect::Parameters& attributes) {
    const Bytes block = reader.lenenc_bytes();
    if (reader.failed()) return Error{ErrorCode::bad_length, "connection attributes are cut off"};
    if (block.size() > limits::mysql_connect_attributes_bytes_max) {
        return Error{ErrorCode::limit_exceeded, "more than 64 KiB of connection attributes"};
    }
    PacketReader inner(block);
    while (!inner.at_end()) {
        const std::string_view name = inner.lenenc_text();
        const std::string_view value = inner.lenenc_text();
        if (inner.failed()) return Error{ErrorCode::bad_length, "connection attributes make no sense"};
        attributes.emplace_back(name, value);
    }
    return {};
}

}  // namespace

bool is_ssl_request(Bytes payload) {
    return payload.size() == request_head_bytes &&
           (load_le32(payload.data()) & (capability::ssl | capability::protocol_41)) ==
               (capability::ssl | capability::protocol_41);
}

Result<LoginRequest> parse_login_request(Bytes payload, uint64_t offered) {
    LoginRequest request;
    if (payload.size() < 2) return Error{ErrorCode::bad_length, "the login request is cut off"};
    if ((load_le16(payload.data()) & capability::protocol_41) == 0) {
        return Error{ErrorCode::unsupported, "the client speaks the protocol from before MySQL 4.1"};
    }
    PacketReader reader(payload);
    uint64_t capabilities = reader.u32();
    reader.u32();  // the largest packet that the client takes: servers don't look at it either
    request.collation = reader.u8();
    reader.take(19);
    const uint64_t extended = reader.u32();
    if ((capabilities & capability::client_mysql) == 0) capabilities |= extended << 32;
    request.user = reader.text();
    if ((capabilities & capability::plugin_auth_lenenc) != 0) {
        request.proof = Secret(std::string(reader.lenenc_text()));
    } else if ((capabilities & capability::secure_connection) != 0) {
        request.proof = Secret(std::string(as_text(reader.take(reader.u8()))));
    } else {
        request.proof = Secret(std::string(reader.text()));
    }
    if ((capabilities & capability::connect_with_db) != 0) {
        // Some clients set the flag and send nothing.
        if (!reader.at_end()) request.database = reader.text();
    }
    if ((capabilities & capability::plugin_auth) != 0 && !reader.at_end()) request.plugin = reader.text();
    if (reader.failed()) return Error{ErrorCode::bad_length, "the login request is cut off"};
    if ((capabilities & capability::connect_attrs) != 0 && !reader.at_end()) {
        const Status read = read_attributes(reader, request.attributes);
        if (!read) return read.error();
    }
    if ((capabilities & capability::zstd_compression) != 0 && !reader.at_end()) {
        request.compression_level = reader.u8();
    }
    if (reader.failed()) return Error{ErrorCode::bad_length, "the login request is cut off"};
    request.capabilities = capabilities & offered;
    return request;
}

Result<LoginRequest> parse_change_user(Bytes payload, uint64_t capabilities, uint8_t collation) {
    LoginRequest request;
    request.capabilities = capabilities;
    request.collation = collation;
    PacketReader reader(payload);
    if (reader.u8() != command::change_user) return Error{ErrorCode::bad_value, "not a COM_CHANGE_USER"};
    request.user = reader.text();
    if ((capabilities & capability::secure_connection) != 0) {
        request.proof = Secret(std::string(as_text(reader.take(reader.u8()))));
    } else {
        request.proof = Secret(std::string(reader.text()));
    }
    request.database = reader.text();
    if (!reader.at_end()) request.collation = static_cast<uint8_t>(reader.u16());
    if ((capabilities & capability::plugin_auth) != 0 && !reader.at_end()) request.plugin = reader.text();
    if (reader.failed()) return Error{ErrorCode::bad_length, "a COM_CHANGE_USER is cut off"};
    if ((capabilities & capability::connect_attrs) != 0 && !reader.at_end()) {
        const Status read = read_attributes(reader, request.attributes);
        if (!read) return read.error();
    }
    return request;
}

}  // namespace holdfast::mysql
