// Prepared statements: a client's bytes in pieces, and two servers that answer truly, as far as it matters
// which statements they have. The first byte chooses the client's capabilities, the second how many
// parameters and columns statements have, the third where units go that may go anywhere. Then come pieces, a
// length before each.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include "tests/fuzz/mysql_conversation.h"

using namespace holdfast;
using namespace holdfast::mysql;
using fuzz::require;

namespace {

/// Reads whole packets, and knows its statements by number.
class Server {
public:
    Server(uint16_t parameters, uint16_t columns, uint32_t first_id)
        : parameters_(parameters), columns_(columns), next_id_(first_id) {}

    /// Returns its answers to all that is complete.
    ByteBuffer take(Bytes sent) {
        append(in_, sent);
        ByteBuffer out;
        size_t used = 0;
        while (true) {
            const auto packet = take_packet(Bytes(in_).subspan(used), packet_payload_bytes_max);
            require(packet.ok());
            if (!*packet) break;
            used += (*packet)->total_bytes();
            answer((*packet)->payload, out);
        }
        in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(used));
        return out;
    }
    void restart() {
        in_.clear();
        ids_.clear();
    }

private:
    void answer(Bytes payload, ByteBuffer& out) {
        if (payload.empty()) return refuse(out, 1835);
        switch (std::to_integer<uint8_t>(payload[0])) {
            case command::stmt_prepare: return prepare(out);
            case command::stmt_close: ids_.erase(named(payload)); return;
            case command::stmt_send_long_data: check_known(payload); return;
            case command::stmt_execute:
            case command::stmt_bulk_execute:
            case command::stmt_reset:
                if (check_known(payload)) return done(out);
                return refuse(out, 1243);
            case command::query:
            case command::init_db:
            case command::ping: return done(out);
            case command::reset_connection: ids_.clear(); return done(out);
            case command::set_option: append_eof(out, 1, {0, status::autocommit}); return;
            default: return refuse(out, 1047);
        }
    }
    static uint32_t named(Bytes payload) {
        require(payload.size() >= statement_head_bytes);
        return load_le32(payload.data() + 1);
    }
    /// The proxy names a statement that this server has, or none.
    bool check_known(Bytes payload) const {
        const uint32_t id = named(payload);
        require(id == 0 || id == UINT32_MAX || ids_.contains(id));
        return id != 0;
    }
    static void refuse(ByteBuffer& out, uint16_t number) { append_err(out, 1, number, "HY000", "refused"); }
    static void done(ByteBuffer& out) {
        OkPacket ok;
        ok.status = status::autocommit;
        append_ok(out, 1, ok, capability::protocol_41 | capability::session_track);
    }
    void prepare(ByteBuffer& out) {
        const uint32_t id = next_id_++;
        ids_.insert(id);
        PacketWriter(out, 1).u8(0).u32(id).u16(columns_).u16(parameters_).u8(0).u16(0).finish();
        uint8_t sequence = 2;
        for (int i = 0; i < parameters_ + columns_; ++i) {
            PacketWriter writer(out, sequence++);
            for (const char* text : {"def", "", "", "", "?", ""}) writer.lenenc_text(text);
            writer.lenenc(0x0c).u16(45).u32(20).u8(0x03).u16(0).u8(0).u16(0);
            writer.finish();
        }
    }
    uint16_t parameters_;
    uint16_t columns_;
    uint32_t next_id_;
    ByteBuffer in_;
    std::set<uint32_t> ids_;
};

struct Scene {
    Scene(const uint8_t* head)
        : talk(head[0]),
          servers{Server(head[1] & 15, head[1] >> 4, 1), Server(head[1] & 15, head[1] >> 4, 1'000)},
          places(head[2]) {}

    Server& server(Slot slot) { return servers[dialect::index(slot)]; }

    void lose(Slot slot) {
        talk.lose(slot);
        server(slot).restart();
    }

    /// The bytes go to a server, and its answer to the conversation. False: the server is given up.
    bool exchange(Bytes sent, Slot slot) {
        const ByteBuffer answer = server(slot).take(sent);
        if (talk.receive(answer, slot)) return true;
        lose(slot);
        return false;
    }

    Slot place() {
        const bool is_bound = talk.conversation->units_in_flight() > 0 ||
                              talk.conversation->transaction() != dialect::Transaction::idle;
        if (is_bound) return last;
        if (talk.conversation->facts().destination == sql::Destination::primary) return Slot::a;
        places = static_cast<uint8_t>(places << 1 | places >> 7);
        return (places & 1) != 0 ? Slot::b : Slot::a;
    }

    /// Takes what can be taken of `in`, whose end is the end of its memory; returns how much.
    size_t take(Bytes in) {
        dialect::Conversation& conversation = *talk.conversation;
        size_t used = 0;
        while (used < in.size()) {
            const Bytes rest = in.subspan(used);
            ByteBuffer out;
            const dialect::Cut cut = conversation.cut(rest, false, out);
            require(cut.size <= rest.size());
            switch (cut.kind) {
                case dialect::CutKind::begin: {
                    const Slot slot = place();
                    ByteBuffer sync;
                    if (conversation.synchronise(slot, sync) && !exchange(sync, slot)) continue;
                    if (conversation.synchronising(slot)) return used;
                    if (!sync.empty()) continue;  // what it taught may change what is to be done
                    last = slot;
                    ByteBuffer sent;
                    if (conversation.accept(rest.first(cut.size), slot, sent))
                        append(sent, rest.first(cut.size));
                    exchange(sent, slot);
                    break;
                }
                case dialect::CutKind::stream: exchange(rest.first(cut.size), last); break;
                case dialect::CutKind::drop:
                case dialect::CutKind::answer: require(cut.size > 0); break;
                case dialect::CutKind::kill: conversation.answer_kill(dialect::KillOutcome::done, out); break;
                case dialect::CutKind::go_on:
                case dialect::CutKind::patience: std::abort();
                case dialect::CutKind::more:
                case dialect::CutKind::wait:
                case dialect::CutKind::log_in:
                case dialect::CutKind::terminate:
                case dialect::CutKind::malformed: return used;
            }
            used += cut.size;
        }
        return used;
    }

    fuzz::Talk talk;
    Server servers[2];
    uint8_t places;
    Slot last = Slot::a;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 3) return 0;
    Scene scene(data);
    std::vector<std::byte> waiting;
    for (size_t at = 3; at < size;) {
        const uint8_t length = data[at++];
        if (length == 0xff) {
            scene.lose(Slot::b);
            continue;
        }
        const Bytes piece = std::as_bytes(std::span(data + at, std::min<size_t>(length, size - at)));
        at += piece.size();
        waiting.insert(waiting.end(), piece.begin(), piece.end());
        waiting.shrink_to_fit();  // what is read behind its end is noticed
        const size_t used = scene.take(waiting);
        waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(used));
    }
    return 0;
}
