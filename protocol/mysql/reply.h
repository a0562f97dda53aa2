#pragma once

#include <cstdint>

#include "protocol/mysql/packets.h"

namespace holdfast::mysql {

/// What a command's answer looks like.
enum class ReplyKind : uint8_t {
    result,   // OK, ERR, rows, or a request for a local file; perhaps several in a row
    prepare,  // COM_STMT_PREPARE: a head, and definitions of parameters and columns
    rows,     // COM_STMT_FETCH: rows and their end
    fields,   // COM_FIELD_LIST: column definitions and their end
    text,     // COM_STATISTICS: one packet of text
    single,   // one OK, EOF or ERR
    stream,   // COM_BINLOG_DUMP: events until an error or for ever
};

/// What a packet of an answer is.
enum class PacketRole : uint8_t {
    column_count,
    column,
    last_column,
    row,
    end_of_rows,  // `ok` says how
    ok,           // `ok`
    error,
    progress,      // a MariaDB progress report: ends nothing
    local_infile,  // the server wants a file from the client
    prepared,      // the head of a COM_STMT_PREPARE's answer
    definition,    // of a parameter or column of a prepared statement
    last_parameter,
    last_prepared_column,
    text,
    event,
    lying,  // it fits nowhere
};

/// Follows one command's answer packet by packet, as a server with DEPRECATE_EOF sends it. A payload that
/// goes on in further packets is shown by its first one only. spec    MySQL Internals, "Text Protocol",
/// "Prepared Statements"; MariaDB Knowledge Base, "Result Set Packets"
class Reply {
public:
    Reply() = default;
    /// `capabilities`: as negotiated with the server.
    Reply(ReplyKind kind, uint64_t capabilities);

    /// Whether advance() has to see the whole payload of a packet that begins like this.
    bool needs_whole(uint8_t first_byte, uint32_t payload_bytes) const;
    /// Takes in the next packet. `payload` may be only its beginning where needs_whole() says so, and holds
    /// at least its first byte unless the packet is empty.
    PacketRole advance(Bytes payload, uint32_t payload_bytes);
    /// Plain rows are under way: a packet that begins with neither 0xfe nor 0xff is one, and changes nothing.
    bool in_rows() const { return stage_ == Stage::rows; }
    bool done() const { return stage_ == Stage::done; }
    /// The client's file was sent: the server's verdict comes next.
    void file_sent();
    bool wants_file() const { return stage_ == Stage::infile; }

    /// After column_count, prepared: what the head said. After ok, end_of_rows: the packet; its views live as
    /// long as the payload.
    const OkPacket& ok() const { return ok_; }
    uint32_t statement_id() const { return statement_id_; }
    uint16_t parameters() const { return parameters_; }
    uint64_t columns() const { return columns_; }
    /// A definition that just came is a column's, not a parameter's.
    bool defines_columns() const { return stage_ == Stage::definitions; }

private:
    enum class Stage : uint8_t { first, columns, rows, parameters, definitions, infile, events, done };
    PacketRole first(Bytes payload, uint32_t payload_bytes);
    PacketRole first_of_result(Bytes payload);
    PacketRole first_of_prepare(Bytes payload);
    PacketRole take_ok(Bytes payload, PacketRole role);

    OkPacket ok_;
    uint64_t columns_ = 0;
    uint64_t columns_left_ = 0;
    uint32_t statement_id_ = 0;
    uint16_t parameters_ = 0;
    uint16_t parameters_left_ = 0;
    ReplyKind kind_ = ReplyKind::single;
    Stage stage_ = Stage::first;
    bool has_metadata_byte_ = false;     // behind the number of columns
    bool has_prepare_metadata_ = false;  // … and at the end of a prepare's head
};

}  // namespace holdfast::mysql
