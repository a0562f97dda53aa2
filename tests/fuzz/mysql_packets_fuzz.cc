#include <cstdlib>

#include "protocol/mysql/greeting.h"
#include "protocol/mysql/login_request.h"
#include "protocol/mysql/packets.h"

/// Bytes that are taken for packets, and their payloads for everything that the proxy parses.
using namespace holdfast;
using namespace holdfast::mysql;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

void parse_payload(Bytes payload, uint64_t capabilities) {
    if (const auto ok = parse_ok(payload, capabilities)) {
        SessionStateReader reader(ok->session_state);
        size_t whole = 0;
        while (const auto entry = reader.next()) whole += entry->whole.size();
        require(reader.failed() || whole == ok->session_state.size());
        // What was read is written the same way, and read again.
        ByteBuffer again;
        append_ok(again, 0, *ok, capabilities, std::to_integer<uint8_t>(payload[0]));
        const auto second = parse_ok(Bytes(again).subspan(packet_header_bytes), capabilities);
        require(second.ok() && second->affected_rows == ok->affected_rows && second->info == ok->info);
    }
    if (const auto err = parse_err(payload)) require(err->message.size() < payload.size());
    (void)parse_eof(payload).ok();
    if (const auto greeting = parse_greeting(payload)) require(greeting->salt.size() >= 8);
    (void)is_ssl_request(payload);
    (void)parse_login_request(payload, ~uint64_t{0}).ok();
    (void)parse_change_user(payload, capabilities, 0).ok();
    PacketReader reader(payload);
    while (!reader.at_end()) {
        if (!reader.take_null()) (void)reader.lenenc_bytes();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 4) return 0;
    uint64_t capabilities = 0;
    if ((data[0] & 1) != 0) capabilities |= capability::session_track;
    if ((data[0] & 2) != 0) capabilities |= capability::secure_connection;
    if ((data[0] & 4) != 0) capabilities |= capability::plugin_auth | capability::connect_attrs;
    Bytes in(reinterpret_cast<const std::byte*>(data + 1), size - 1);
    parse_payload(in, capabilities);
    while (true) {
        const auto packet = take_packet(in, 100'000);
        if (!packet || !*packet) break;
        parse_payload((*packet)->payload, capabilities);
        in = in.subspan((*packet)->total_bytes());
    }
    return 0;
}
