#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/mysql/conversation.h"

namespace holdfast::mysql::test {

inline constexpr uint64_t modern_client = capability::protocol_41 | capability::secure_connection |
                                          capability::plugin_auth | capability::deprecate_eof |
                                          capability::session_track | capability::multi_results |
                                          capability::ps_multi_results | capability::transactions;
inline constexpr uint64_t classic_client =
    modern_client & ~(capability::deprecate_eof | capability::session_track);

inline std::string command_of(uint8_t code, std::string_view body = {}) {
    ByteBuffer out;
    PacketWriter(out, 0).u8(code).bare_text(body).finish();
    return std::string(as_text(out));
}
inline std::string query(std::string_view sql) {
    return command_of(command::query, sql);
}
inline std::string packet(uint8_t sequence, std::string_view payload) {
    ByteBuffer out;
    append_packet(out, sequence, as_bytes(payload));
    return std::string(as_text(out));
}
inline std::string ok_packet(uint8_t sequence, uint16_t flags = status::autocommit,
                             uint8_t header = reply::ok, Bytes session_state = {}, uint64_t insert_id = 0) {
    ByteBuffer out;
    OkPacket ok;
    ok.status = flags;
    ok.session_state = session_state;
    ok.insert_id = insert_id;
    append_ok(out, sequence, ok, capability::protocol_41 | capability::session_track, header);
    return std::string(as_text(out));
}
inline std::string err_packet(uint8_t sequence, uint16_t number, std::string_view message,
                              std::string_view sqlstate = "HY000") {
    ByteBuffer out;
    append_err(out, sequence, number, sqlstate, message);
    return std::string(as_text(out));
}
inline std::string eof_packet(uint8_t sequence, uint16_t flags = status::autocommit) {
    ByteBuffer out;
    append_eof(out, sequence, {0, flags});
    return std::string(as_text(out));
}
inline std::string column(uint8_t sequence) {
    ByteBuffer out;
    PacketWriter writer(out, sequence);
    for (const char* text : {"def", "shop", "t", "t", "a", "a"}) writer.lenenc_text(text);
    writer.lenenc(0x0c).u16(45).u32(20).u8(0x03).u16(0).u8(0).u16(0);
    writer.finish();
    return std::string(as_text(out));
}
/// One column, the given rows, under DEPRECATE_EOF.
inline std::string result(std::vector<std::string> rows, uint16_t flags = status::autocommit) {
    std::string text = packet(1, "\x01") + column(2);
    uint8_t sequence = 3;
    for (const auto& row : rows) {
        ByteBuffer payload;
        append_lenenc(payload, row.size());
        append(payload, row);
        text += packet(sequence++, as_text(payload));
    }
    return text + ok_packet(sequence, flags, reply::eof);
}
/// The same as a client without DEPRECATE_EOF has to see it.
inline std::string classic_result(std::vector<std::string> rows, uint16_t flags = status::autocommit) {
    std::string text = packet(1, "\x01") + column(2) + eof_packet(3);
    uint8_t sequence = 4;
    for (const auto& row : rows) {
        ByteBuffer payload;
        append_lenenc(payload, row.size());
        append(payload, row);
        text += packet(sequence++, as_text(payload));
    }
    return text + eof_packet(sequence, flags);
}

inline std::string id_bytes(uint32_t id) {
    std::string text(4, '\0');
    store_le32(reinterpret_cast<std::byte*>(text.data()), id);
    return text;
}

/// The answer to a COM_STMT_PREPARE of a statement with one parameter and no columns.
inline std::string prepared_answer(uint32_t id) {
    std::string payload =
        std::string(1, '\0') + id_bytes(id) + std::string("\x00\x00\x01\x00\x00\x00\x00", 7);
    return packet(1, payload) + column(2);
}

inline std::string execute(uint32_t id, bool tells_types) {
    std::string body = id_bytes(id) + std::string(1, '\0') + id_bytes(1) + std::string(1, '\0');
    body += tells_types ? std::string("\x01\x08\x00", 3) : std::string(1, '\0');
    body += std::string("\x2a\x00\x00\x00\x00\x00\x00\x00", 8);
    return command_of(command::stmt_execute, body);
}

/// A conversation with a client and two servers played by hand.
struct Lab {
    explicit Lab(uint64_t capabilities = modern_client) {
        identity.user = "app";
        identity.database = "shop";
        Surroundings around;
        around.client_capabilities = capabilities;
        around.collation = 45;
        around.server_version = 101'106;
        around.process_id = 77;
        conversation = std::make_unique<Conversation>(identity, cache, scratch, around);
        conversation->slot_opened(Slot::a, false);
        conversation->slot_opened(Slot::b, true);
    }

    /// Cuts one request and sends it to `slot`; returns what the server gets.
    std::string send(std::string_view request, Slot slot = Slot::a) {
        ByteBuffer out;
        const dialect::Cut cut = conversation->cut(as_bytes(request), false, out);
        kind = cut.kind;
        answer = as_text(out);
        if (cut.kind != dialect::CutKind::begin) return {};
        ByteBuffer prefix;
        const Bytes unit = as_bytes(request).first(cut.size);
        const bool as_it_came = conversation->accept(unit, slot, prefix);
        std::string sent(as_text(prefix));
        if (as_it_came) sent += as_text(unit);
        return sent;
    }
    /// Gives a server's bytes; returns what the client gets. `event` is the last one.
    std::string receive(std::string_view bytes, Slot slot = Slot::a) {
        std::string client;
        event = dialect::ScanEvent::none;
        while (!bytes.empty()) {
            const dialect::Scan scan = conversation->scan(slot, as_bytes(bytes));
            client += bytes.substr(0, scan.forward);
            client += as_text(scan.instead);
            bytes.remove_prefix(scan.consumed);
            if (scan.event != dialect::ScanEvent::none) event = scan.event;
            if (scan.consumed == 0 && scan.event == dialect::ScanEvent::none) break;
            if (scan.event == dialect::ScanEvent::lying || scan.event == dialect::ScanEvent::dying) break;
        }
        rest = bytes;
        return client;
    }
    /// What brings `slot` to the session's state.
    std::string synchronise(Slot slot) {
        ByteBuffer out;
        conversation->synchronise(slot, out);
        return std::string(as_text(out));
    }

    dialect::Identity identity;
    dialect::ClassifierSources sources;
    StatementCache cache{sources};
    CutScratch scratch;
    std::unique_ptr<Conversation> conversation;
    dialect::CutKind kind = dialect::CutKind::more;
    dialect::ScanEvent event = dialect::ScanEvent::none;
    std::string answer;
    std::string rest;
};

}  // namespace holdfast::mysql::test
