#include "protocol/mysql/packets.h"

#include <algorithm>
#include <cassert>

namespace holdfast::mysql {

// ---- Packets ---------------------------------------------------------------------------------------------

std::optional<PacketHeader> peek_packet_header(Bytes in) {
    if (in.size() < packet_header_bytes) return std::nullopt;
    return PacketHeader{load_le24(in.data()), std::to_integer<uint8_t>(in[3])};
}

void store_packet_header(std::byte* at, uint32_t payload_bytes, uint8_t sequence) {
    assert(payload_bytes <= packet_payload_bytes_max);
    store_le24(at, payload_bytes);
    at[3] = std::byte{sequence};
}

Result<std::optional<Packet>> take_packet(Bytes in, size_t payload_bytes_max) {
    const auto header = peek_packet_header(in);
    if (!header) return std::optional<Packet>();
    if (header->payload_bytes > payload_bytes_max) {
        return Error{ErrorCode::limit_exceeded, "a packet of " + std::to_string(header->payload_bytes) +
                                                    " bytes, where " + std::to_string(payload_bytes_max) +
                                                    " are allowed"};
    }
    if (in.size() < header->total_bytes()) return std::optional<Packet>();
    return std::optional<Packet>(
        Packet{header->sequence, in.subspan(packet_header_bytes, header->payload_bytes)});
}

uint8_t append_packet(ByteBuffer& out, uint8_t sequence, Bytes payload) {
    for (;;) {
        const size_t size = std::min<size_t>(payload.size(), packet_payload_bytes_max);
        std::byte header[packet_header_bytes];
        store_packet_header(header, static_cast<uint32_t>(size), sequence++);
        append(out, Bytes(header));
        append(out, payload.first(size));
        payload = payload.subspan(size);
        if (size < packet_payload_bytes_max) return sequence;
    }
}

// ---- PacketReader ----------------------------------------------------------------------------------------

Bytes PacketReader::fail() {
    failed_ = true;
    rest_ = {};
    return {};
}

Bytes PacketReader::take(size_t size) {
    if (failed_ || size > rest_.size()) return fail();
    const Bytes taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
}
Bytes PacketReader::take_rest() {
    return take(rest_.size());
}
uint8_t PacketReader::u8() {
    const Bytes at = take(1);
    return at.empty() ? uint8_t{0} : std::to_integer<uint8_t>(at[0]);
}
uint16_t PacketReader::u16() {
    const Bytes at = take(2);
    return at.empty() ? uint16_t{0} : load_le16(at.data());
}
uint32_t PacketReader::u24() {
    const Bytes at = take(3);
    return at.empty() ? 0 : load_le24(at.data());
}
uint32_t PacketReader::u32() {
    const Bytes at = take(4);
    return at.empty() ? 0 : load_le32(at.data());
}
uint64_t PacketReader::u64() {
    const Bytes at = take(8);
    return at.empty() ? 0 : load_le64(at.data());
}
uint64_t PacketReader::lenenc() {
    const uint8_t first = u8();
    switch (first) {
        case 0xfb:
        case 0xff: fail(); return 0;
        case 0xfc: return u16();
        case 0xfd: return u24();
        case 0xfe: return u64();
        default: return first;
    }
}
Bytes PacketReader::lenenc_bytes() {
    const uint64_t size = lenenc();
    if (size > rest_.size()) return fail();
    return take(static_cast<size_t>(size));
}
bool PacketReader::take_null() {
    if (rest_.empty() || rest_[0] != std::byte{0xfb}) return false;
    rest_ = rest_.subspan(1);
    return true;
}
std::string_view PacketReader::text() {
    const auto end = std::find(rest_.begin(), rest_.end(), std::byte{0});
    if (failed_ || end == rest_.end()) return as_text(fail());
    const std::string_view found = as_text(take(static_cast<size_t>(end - rest_.begin())));
    take(1);
    return found;
}

// ---- PacketWriter ----------------------------------------------------------------------------------------

PacketWriter::PacketWriter(ByteBuffer& out, uint8_t sequence)
    : out_(out), header_at_(out.size()), sequence_(sequence) {
    out_.resize(out_.size() + packet_header_bytes);
}
PacketWriter& PacketWriter::u8(uint8_t value) {
    out_.push_back(std::byte{value});
    return *this;
}
PacketWriter& PacketWriter::u16(uint16_t value) {
    std::byte at[2];
    store_le16(at, value);
    return bytes(at);
}
PacketWriter& PacketWriter::u24(uint32_t value) {
    std::byte at[3];
    store_le24(at, value);
    return bytes(at);
}
PacketWriter& PacketWriter::u32(uint32_t value) {
    std::byte at[4];
    store_le32(at, value);
    return bytes(at);
}
PacketWriter& PacketWriter::u64(uint64_t value) {
    std::byte at[8];
    store_le64(at, value);
    return bytes(at);
}
PacketWriter& PacketWriter::lenenc(uint64_t value) {
    append_lenenc(out_, value);
    return *this;
}
PacketWriter& PacketWriter::lenenc_bytes(Bytes value) {
    return lenenc(value.size()).bytes(value);
}
PacketWriter& PacketWriter::bytes(Bytes value) {
    append(out_, value);
    return *this;
}
PacketWriter& PacketWriter::zeros(size_t count) {
    out_.resize(out_.size() + count);
    return *this;
}
PacketWriter& PacketWriter::text(std::string_view value) {
    append(out_, value.substr(0, value.find('\0')));
    return u8(0);
}

uint8_t PacketWriter::finish() {
    size_t left = out_.size() - header_at_ - packet_header_bytes;
    size_t at = header_at_;
    uint8_t sequence = sequence_;
    while (left >= packet_payload_bytes_max) {
        store_packet_header(out_.data() + at, packet_payload_bytes_max, sequence++);
        at += packet_header_bytes + packet_payload_bytes_max;
        left -= packet_payload_bytes_max;
        out_.insert(out_.begin() + static_cast<std::ptrdiff_t>(at), packet_header_bytes, std::byte{0});
    }
    store_packet_header(out_.data() + at, static_cast<uint32_t>(left), sequence++);
    return sequence;
}

size_t lenenc_bytes_of(uint64_t value) {
    return value < 0xfb ? 1 : value <= 0xffff ? 3 : value <= 0xffffff ? 4 : 9;
}

void append_lenenc(ByteBuffer& out, uint64_t value) {
    std::byte at[9];
    const size_t size = lenenc_bytes_of(value);
    switch (size) {
        case 1: at[0] = std::byte{static_cast<uint8_t>(value)}; break;
        case 3:
            at[0] = std::byte{0xfc};
            store_le16(at + 1, static_cast<uint16_t>(value));
            break;
        case 4:
            at[0] = std::byte{0xfd};
            store_le24(at + 1, static_cast<uint32_t>(value));
            break;
        default:
            at[0] = std::byte{0xfe};
            store_le64(at + 1, value);
            break;
    }
    append(out, Bytes(at, size));
}

// ---- OK, ERR, EOF ----------------------------------------------------------------------------------------

Result<OkPacket> parse_ok(Bytes payload, uint64_t capabilities) {
    PacketReader reader(payload);
    const uint8_t header = reader.u8();
    if (header != reply::ok && header != reply::eof) return Error{ErrorCode::bad_value, "not an OK packet"};
    OkPacket ok;
    ok.affected_rows = reader.lenenc();
    ok.insert_id = reader.lenenc();
    ok.status = reader.u16();
    ok.warnings = reader.u16();
    // Servers leave an empty info out when nothing follows it. They length-encode it even where the
    // documentation has it run to the end of the packet.
    if (!reader.at_end()) ok.info = reader.lenenc_text();
    if ((capabilities & capability::session_track) != 0 && (ok.status & status::session_state_changed) != 0) {
        ok.session_state = reader.lenenc_bytes();
    }
    if (reader.failed()) return Error{ErrorCode::bad_length, "an OK packet is cut off"};
    if (!reader.at_end()) return Error{ErrorCode::bad_length, "bytes are left over in an OK packet"};
    return ok;
}

uint8_t append_ok(ByteBuffer& out, uint8_t sequence, const OkPacket& ok, uint64_t capabilities,
                  uint8_t header) {
    const bool tells_state = (capabilities & capability::session_track) != 0 && !ok.session_state.empty();
    uint16_t flags = ok.status;
    if (tells_state) {
        flags |= status::session_state_changed;
    } else {
        flags &= static_cast<uint16_t>(~status::session_state_changed);
    }
    PacketWriter writer(out, sequence);
    writer.u8(header).lenenc(ok.affected_rows).lenenc(ok.insert_id).u16(flags).u16(ok.warnings);
    if (tells_state || !ok.info.empty()) writer.lenenc_text(ok.info);
    if (tells_state) writer.lenenc_bytes(ok.session_state);
    return writer.finish();
}

Result<ErrPacket> parse_err(Bytes payload) {
    PacketReader reader(payload);
    if (reader.u8() != reply::error) return Error{ErrorCode::bad_value, "not an ERR packet"};
    ErrPacket err;
    err.number = reader.u16();
    if (reader.failed()) return Error{ErrorCode::bad_length, "an ERR packet is cut off"};
    if (err.number != progress_report_number && !reader.at_end() && reader.rest()[0] == std::byte{'#'}) {
        reader.u8();
        err.sqlstate = as_text(reader.take(5));
        if (reader.failed()) return Error{ErrorCode::bad_length, "an ERR packet is cut off"};
    }
    err.message = as_text(reader.take_rest());
    return err;
}

uint8_t append_err(ByteBuffer& out, uint8_t sequence, uint16_t number, std::string_view sqlstate,
                   std::string_view message) {
    PacketWriter writer(out, sequence);
    writer.u8(reply::error).u16(number);
    if (!sqlstate.empty()) {
        assert(sqlstate.size() == 5);
        writer.u8('#').bare_text(sqlstate);
    }
    return writer.bare_text(message).finish();
}

Result<EofPacket> parse_eof(Bytes payload) {
    PacketReader reader(payload);
    if (reader.u8() != reply::eof) return Error{ErrorCode::bad_value, "not an EOF packet"};
    EofPacket eof;
    eof.warnings = reader.u16();
    eof.status = reader.u16();
    if (reader.failed() || !reader.at_end()) {
        return Error{ErrorCode::bad_length, "an EOF packet that is not 5 bytes long"};
    }
    return eof;
}

uint8_t append_eof(ByteBuffer& out, uint8_t sequence, const EofPacket& eof) {
    return PacketWriter(out, sequence).u8(reply::eof).u16(eof.warnings).u16(eof.status).finish();
}

// ---- Session state ---------------------------------------------------------------------------------------

std::optional<SessionStateEntry> SessionStateReader::fail() {
    failed_ = true;
    reader_ = PacketReader(Bytes{});
    variables_ = PacketReader(Bytes{});
    return std::nullopt;
}

std::optional<SessionStateEntry> SessionStateReader::next_variable(Bytes whole) {
    SessionStateEntry entry;
    entry.whole = whole;
    entry.name = variables_.lenenc_text();
    entry.is_null = variables_.take_null();
    if (!entry.is_null) entry.value = variables_.lenenc_text();
    if (variables_.failed()) return fail();
    return entry;
}

std::optional<SessionStateEntry> SessionStateReader::next() {
    if (!variables_.at_end()) return next_variable({});
    if (reader_.at_end()) return std::nullopt;
    const Bytes before = reader_.rest();
    const uint8_t type = reader_.u8();
    const Bytes data = reader_.lenenc_bytes();
    if (reader_.failed()) return fail();
    const Bytes whole = before.first(before.size() - reader_.rest().size());
    if (type == static_cast<uint8_t>(SessionState::system_variable)) {
        variables_ = PacketReader(data);
        return next_variable(whole);
    }
    SessionStateEntry entry;
    entry.type = type;
    entry.whole = whole;
    PacketReader inner(data);
    switch (type) {
        case static_cast<uint8_t>(SessionState::gtids): inner.u8(); [[fallthrough]];  // how it is encoded
        case static_cast<uint8_t>(SessionState::schema):
        case static_cast<uint8_t>(SessionState::transaction_characteristics):
        case static_cast<uint8_t>(SessionState::transaction_state):
            entry.value = inner.lenenc_text();
            if (inner.failed() || !inner.at_end()) return fail();
            break;
        default: entry.value = as_text(data);  // a state change is the bare "1"
    }
    return entry;
}

void append_session_state(ByteBuffer& block, SessionState type, std::string_view value) {
    const bool has_encoding = type == SessionState::gtids;
    block.push_back(std::byte{static_cast<uint8_t>(type)});
    if (type == SessionState::state_change) {
        append_lenenc(block, value.size());
        append(block, value);
        return;
    }
    append_lenenc(block, lenenc_bytes_of(value.size()) + value.size() + (has_encoding ? 1 : 0));
    if (has_encoding) block.push_back(std::byte{0});
    append_lenenc(block, value.size());
    append(block, value);
}

void append_system_variable(ByteBuffer& block, std::string_view name, std::string_view value) {
    block.push_back(std::byte{static_cast<uint8_t>(SessionState::system_variable)});
    append_lenenc(block,
                  lenenc_bytes_of(name.size()) + name.size() + lenenc_bytes_of(value.size()) + value.size());
    append_lenenc(block, name.size());
    append(block, name);
    append_lenenc(block, value.size());
    append(block, value);
}

}  // namespace holdfast::mysql
