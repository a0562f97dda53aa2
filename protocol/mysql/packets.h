#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

/// The packets of the MySQL protocol that the proxy makes or must understand itself, as bytes.
/// spec    MySQL Internals, "Client/Server Protocol"; MariaDB Knowledge Base, "Client/Server Protocol"
namespace holdfast::mysql {

/// What both sides can do: the lower half as MySQL numbers it, the upper half MariaDB's extensions, which
/// travel in a field of their own.
namespace capability {
inline constexpr uint64_t client_mysql = 1u << 0;  // "long password"; a MariaDB server leaves it out
inline constexpr uint64_t found_rows = 1u << 1;
inline constexpr uint64_t long_flag = 1u << 2;
inline constexpr uint64_t connect_with_db = 1u << 3;
inline constexpr uint64_t no_schema = 1u << 4;
inline constexpr uint64_t compress = 1u << 5;
inline constexpr uint64_t odbc = 1u << 6;
inline constexpr uint64_t local_files = 1u << 7;
inline constexpr uint64_t ignore_space = 1u << 8;
inline constexpr uint64_t protocol_41 = 1u << 9;
inline constexpr uint64_t interactive = 1u << 10;
inline constexpr uint64_t ssl = 1u << 11;
inline constexpr uint64_t ignore_sigpipe = 1u << 12;
inline constexpr uint64_t transactions = 1u << 13;
inline constexpr uint64_t secure_connection = 1u << 15;
inline constexpr uint64_t multi_statements = 1u << 16;
inline constexpr uint64_t multi_results = 1u << 17;
inline constexpr uint64_t ps_multi_results = 1u << 18;
inline constexpr uint64_t plugin_auth = 1u << 19;
inline constexpr uint64_t connect_attrs = 1u << 20;
inline constexpr uint64_t plugin_auth_lenenc = 1u << 21;
inline constexpr uint64_t can_handle_expired_passwords = 1u << 22;
inline constexpr uint64_t session_track = 1u << 23;
inline constexpr uint64_t deprecate_eof = 1u << 24;
inline constexpr uint64_t optional_resultset_metadata = 1u << 25;
inline constexpr uint64_t zstd_compression = 1u << 26;
inline constexpr uint64_t query_attributes = 1u << 27;
inline constexpr uint64_t multi_factor = 1u << 28;
inline constexpr uint64_t ssl_verify_server_cert = 1u << 30;
inline constexpr uint64_t remember_options = 1u << 31;
// MariaDB
inline constexpr uint64_t progress = 1ull << 32;
inline constexpr uint64_t com_multi = 1ull << 33;
inline constexpr uint64_t stmt_bulk_operations = 1ull << 34;
inline constexpr uint64_t extended_metadata = 1ull << 35;
inline constexpr uint64_t cache_metadata = 1ull << 36;
inline constexpr uint64_t bulk_unit_results = 1ull << 37;
}  // namespace capability

/// First bytes of a client's commands.
namespace command {
inline constexpr uint8_t sleep = 0x00;
inline constexpr uint8_t quit = 0x01;
inline constexpr uint8_t init_db = 0x02;
inline constexpr uint8_t query = 0x03;
inline constexpr uint8_t field_list = 0x04;
inline constexpr uint8_t create_db = 0x05;
inline constexpr uint8_t drop_db = 0x06;
inline constexpr uint8_t refresh = 0x07;
inline constexpr uint8_t shutdown = 0x08;
inline constexpr uint8_t statistics = 0x09;
inline constexpr uint8_t process_info = 0x0a;
inline constexpr uint8_t connect = 0x0b;
inline constexpr uint8_t process_kill = 0x0c;
inline constexpr uint8_t debug = 0x0d;
inline constexpr uint8_t ping = 0x0e;
inline constexpr uint8_t time = 0x0f;
inline constexpr uint8_t delayed_insert = 0x10;
inline constexpr uint8_t change_user = 0x11;
inline constexpr uint8_t binlog_dump = 0x12;
inline constexpr uint8_t table_dump = 0x13;
inline constexpr uint8_t connect_out = 0x14;
inline constexpr uint8_t register_slave = 0x15;
inline constexpr uint8_t stmt_prepare = 0x16;
inline constexpr uint8_t stmt_execute = 0x17;
inline constexpr uint8_t stmt_send_long_data = 0x18;
inline constexpr uint8_t stmt_close = 0x19;
inline constexpr uint8_t stmt_reset = 0x1a;
inline constexpr uint8_t set_option = 0x1b;
inline constexpr uint8_t stmt_fetch = 0x1c;
inline constexpr uint8_t daemon = 0x1d;
inline constexpr uint8_t binlog_dump_gtid = 0x1e;
inline constexpr uint8_t reset_connection = 0x1f;
inline constexpr uint8_t clone = 0x20;
inline constexpr uint8_t subscribe_group_replication_stream = 0x21;
// MariaDB
inline constexpr uint8_t stmt_bulk_execute = 0xfa;
inline constexpr uint8_t multi = 0xfe;
}  // namespace command

/// Status flags of OK and EOF packets.
namespace status {
inline constexpr uint16_t in_transaction = 0x0001;
inline constexpr uint16_t autocommit = 0x0002;
inline constexpr uint16_t more_results = 0x0008;
inline constexpr uint16_t no_good_index_used = 0x0010;
inline constexpr uint16_t no_index_used = 0x0020;
inline constexpr uint16_t cursor_exists = 0x0040;
inline constexpr uint16_t last_row_sent = 0x0080;
inline constexpr uint16_t database_dropped = 0x0100;
inline constexpr uint16_t no_backslash_escapes = 0x0200;
inline constexpr uint16_t metadata_changed = 0x0400;
inline constexpr uint16_t query_was_slow = 0x0800;
inline constexpr uint16_t ps_out_params = 0x1000;
inline constexpr uint16_t in_transaction_read_only = 0x2000;
inline constexpr uint16_t session_state_changed = 0x4000;
inline constexpr uint16_t ansi_quotes = 0x8000;  // MariaDB only, and stale after routines that set sql_mode
}  // namespace status

/// First bytes of a server's answers.
namespace reply {
inline constexpr uint8_t ok = 0x00;
inline constexpr uint8_t auth_more_data = 0x01;
inline constexpr uint8_t local_infile = 0xfb;
inline constexpr uint8_t eof = 0xfe;  // also OK behind rows (DEPRECATE_EOF), and an auth switch at login
inline constexpr uint8_t error = 0xff;
}  // namespace reply

inline constexpr size_t packet_header_bytes = 4;
/// A payload of this many bytes or more goes on in a further packet, which is empty when it fits exactly.
inline constexpr uint32_t packet_payload_bytes_max = 0xffffff;
/// What begins a command that names a prepared statement: the command and the statement's id.
inline constexpr size_t statement_head_bytes = 5;
/// COM_STMT_EXECUTE: what stands before its NULL bitmap.
inline constexpr size_t execute_head_bytes = 10;

// ---- Little-endian values; the caller has checked that the bytes are there -------------------------------

inline uint16_t load_le16(const std::byte* at) {
    uint16_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
}
inline uint32_t load_le24(const std::byte* at) {
    return std::to_integer<uint32_t>(at[0]) | std::to_integer<uint32_t>(at[1]) << 8 |
           std::to_integer<uint32_t>(at[2]) << 16;
}
inline uint32_t load_le32(const std::byte* at) {
    uint32_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
}
inline uint64_t load_le64(const std::byte* at) {
    uint64_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
}
inline void store_le16(std::byte* at, uint16_t value) {
    std::memcpy(at, &value, sizeof value);
}
inline void store_le24(std::byte* at, uint32_t value) {
    at[0] = std::byte{static_cast<uint8_t>(value)};
    at[1] = std::byte{static_cast<uint8_t>(value >> 8)};
    at[2] = std::byte{static_cast<uint8_t>(value >> 16)};
}
inline void store_le32(std::byte* at, uint32_t value) {
    std::memcpy(at, &value, sizeof value);
}
inline void store_le64(std::byte* at, uint64_t value) {
    std::memcpy(at, &value, sizeof value);
}
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the loads and stores above copy bytes as they are");

// ---- Packets ---------------------------------------------------------------------------------------------

struct PacketHeader {
    uint32_t payload_bytes = 0;
    uint8_t sequence = 0;
    bool continues() const { return payload_bytes == packet_payload_bytes_max; }
    size_t total_bytes() const { return packet_header_bytes + payload_bytes; }
};
/// nullopt: fewer than 4 bytes.
std::optional<PacketHeader> peek_packet_header(Bytes in);
void store_packet_header(std::byte* at, uint32_t payload_bytes, uint8_t sequence);

/// One packet at the front of some bytes; `payload` is a view into them.
struct Packet {
    uint8_t sequence = 0;
    Bytes payload;
    bool continues() const { return payload.size() == packet_payload_bytes_max; }
    size_t total_bytes() const { return packet_header_bytes + payload.size(); }
    /// The first byte; 0x100 when there is none.
    unsigned type() const { return payload.empty() ? 0x100u : std::to_integer<unsigned>(payload[0]); }
};
/// One whole packet; nullopt: more bytes please.
/// errors  limit_exceeded: it is longer than `payload_bytes_max`, told as soon as the header is there
Result<std::optional<Packet>> take_packet(Bytes in, size_t payload_bytes_max);

/// Appends `payload` as one or more packets; returns the sequence id behind them.
uint8_t append_packet(ByteBuffer& out, uint8_t sequence, Bytes payload);

/// Reads a payload from front to back. After a read that would pass the end, or a length that makes no sense,
/// `failed()` is true, the value read is empty or zero, and every later read fails too: check once, at the
/// end.
class PacketReader {
public:
    explicit PacketReader(Bytes payload) : rest_(payload) {}

    bool failed() const { return failed_; }
    bool at_end() const { return rest_.empty(); }
    Bytes rest() const { return rest_; }
    /// The rest, consumed.
    Bytes take_rest();

    uint8_t u8();
    uint16_t u16();
    uint32_t u24();
    uint32_t u32();
    uint64_t u64();
    /// A length-encoded integer. NULL (0xfb) and 0xff fail.
    uint64_t lenenc();
    /// A length-encoded string; a view into the payload.
    Bytes lenenc_bytes();
    std::string_view lenenc_text() { return as_text(lenenc_bytes()); }
    /// Consumes a NULL (0xfb) where a length-encoded value may be one.
    bool take_null();
    Bytes take(size_t size);
    /// The text up to the next NUL, which is consumed.
    std::string_view text();

private:
    Bytes fail();
    Bytes rest_;
    bool failed_ = false;
};

/// Appends one payload to a buffer that the caller owns, as one packet or more. finish() has to be called;
/// nothing else may be appended to the buffer meanwhile.
class PacketWriter {
public:
    PacketWriter(ByteBuffer& out, uint8_t sequence);

    PacketWriter& u8(uint8_t value);
    PacketWriter& u16(uint16_t value);
    PacketWriter& u24(uint32_t value);
    PacketWriter& u32(uint32_t value);
    PacketWriter& u64(uint64_t value);
    PacketWriter& lenenc(uint64_t value);
    PacketWriter& lenenc_bytes(Bytes value);
    PacketWriter& lenenc_text(std::string_view value) { return lenenc_bytes(as_bytes(value)); }
    PacketWriter& bytes(Bytes value);
    PacketWriter& zeros(size_t count);
    /// The text up to its first NUL, and a NUL.
    PacketWriter& text(std::string_view value);
    /// The text with nothing behind it.
    PacketWriter& bare_text(std::string_view value) { return bytes(as_bytes(value)); }
    /// Returns the sequence id behind the payload's packets.
    uint8_t finish();

private:
    ByteBuffer& out_;
    size_t header_at_;
    uint8_t sequence_;
};

/// How many bytes a length-encoded integer takes.
size_t lenenc_bytes_of(uint64_t value);
void append_lenenc(ByteBuffer& out, uint64_t value);

// ---- OK, ERR, EOF ----------------------------------------------------------------------------------------

/// The views live as long as the payload.
struct OkPacket {
    uint64_t affected_rows = 0;
    uint64_t insert_id = 0;
    uint16_t status = 0;
    uint16_t warnings = 0;
    std::string_view info;
    Bytes session_state;  // for SessionStateReader; empty when nothing changed
};
/// in      exactly the payload, header 0x00 or 0xfe included
/// errors  bad_value: another header; bad_length: a field is cut off, or bytes are left over
Result<OkPacket> parse_ok(Bytes payload, uint64_t capabilities);
/// `header`: reply::ok or reply::eof. The session state is left out for clients without SESSION_TRACK, and
/// the status flag that announces it follows what is written. Returns the next sequence id.
uint8_t append_ok(ByteBuffer& out, uint8_t sequence, const OkPacket& ok, uint64_t capabilities,
                  uint8_t header = reply::ok);

struct ErrPacket {
    uint16_t number = 0;
    std::string_view sqlstate;  // empty: not told (before the server knows the client's capabilities)
    std::string_view message;
};
/// MariaDB's progress reports come as errors with this number; they end nothing.
inline constexpr uint16_t progress_report_number = 0xffff;
/// in      exactly the payload, 0xff included
/// errors  bad_value: not an ERR packet; bad_length: cut off
Result<ErrPacket> parse_err(Bytes payload);
inline bool is_progress_report(Bytes payload) {
    return payload.size() >= 3 && payload[0] == std::byte{reply::error} && payload[1] == std::byte{0xff} &&
           payload[2] == std::byte{0xff};
}
uint8_t append_err(ByteBuffer& out, uint8_t sequence, uint16_t number, std::string_view sqlstate,
                   std::string_view message);

struct EofPacket {
    uint16_t warnings = 0;
    uint16_t status = 0;
};
/// A classic EOF: 0xfe and fewer than 9 bytes. A row can begin with 0xfe too, but is longer then.
inline bool is_eof(Bytes payload) {
    return !payload.empty() && payload[0] == std::byte{reply::eof} && payload.size() < 9;
}
/// The end of rows under DEPRECATE_EOF: 0xfe and less than a full packet. A row that begins with 0xfe has a
/// column of 16 MiB or more, so that its first packet is full.
inline bool is_ok_of_rows(uint8_t first_byte, uint32_t payload_bytes) {
    return first_byte == reply::eof && payload_bytes < packet_payload_bytes_max;
}
Result<EofPacket> parse_eof(Bytes payload);
uint8_t append_eof(ByteBuffer& out, uint8_t sequence, const EofPacket& eof);

// ---- Session state ---------------------------------------------------------------------------------------

enum class SessionState : uint8_t {
    system_variable = 0,
    schema = 1,
    state_change = 2,
    gtids = 3,
    transaction_characteristics = 4,
    transaction_state = 5,
};
/// One change. The views live as long as the payload.
struct SessionStateEntry {
    uint8_t type = 0;       // SessionState, or one that we don't know
    std::string_view name;  // of a system variable
    /// A variable's value, the schema, "1" of a state change, the GTID set, SQL that restarts the
    /// transaction, the eight letters of its state; of an unknown type all bytes.
    std::string_view value;
    bool is_null = false;  // of a system variable
    /// The bytes of the whole entry, so that it can be copied; empty when the entry before it, which held
    /// several variables, has told them.
    Bytes whole;
    bool is(SessionState kind) const { return type == static_cast<uint8_t>(kind); }
};
/// Goes through OkPacket::session_state.
class SessionStateReader {
public:
    explicit SessionStateReader(Bytes state) : reader_(state) {}
    /// nullopt: the end, or what is left makes no sense (failed()).
    std::optional<SessionStateEntry> next();
    bool failed() const { return failed_; }

private:
    std::optional<SessionStateEntry> fail();
    std::optional<SessionStateEntry> next_variable(Bytes whole);
    PacketReader reader_;
    PacketReader variables_{Bytes{}};  // what is left of an entry with several
    bool failed_ = false;
};
/// Appends one entry to a session state block.
void append_session_state(ByteBuffer& block, SessionState type, std::string_view value);
void append_system_variable(ByteBuffer& block, std::string_view name, std::string_view value);

}  // namespace holdfast::mysql
