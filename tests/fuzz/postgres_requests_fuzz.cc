#include <cstdlib>

#include "tests/unit/protocol/postgres/conversation_lab.h"

/// A client's bytes, in pieces that the input chooses, into cut() and accept(); now and then something goes
/// wrong at the servers.
/// input   the first byte is a set of flags; then pieces: one byte that says how long the piece is and what
///         happens before it, and the piece.
using namespace holdfast;
using namespace holdfast::postgres;
using dialect::CutKind;
using dialect::Slot;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

struct Client {
    test::Lab lab;
    std::string sent;      // by the client, and not dropped or answered by the proxy
    bool is_over = false;  // nothing can be said after that
    std::string pending;

    /// One look at what is there; false: nothing was consumed.
    bool step(bool insist, Slot slot) {
        ByteBuffer out;
        const Bytes in = as_bytes(pending);
        const size_t units = lab.talk.units_in_flight();
        const dialect::Cut cut = lab.talk.cut(in, insist, out);
        require(cut.size <= in.size());
        const bool answers = cut.kind == CutKind::answer || cut.kind == CutKind::drop;
        require(answers || out.empty());  // else it would be said twice
        switch (cut.kind) {
            case CutKind::begin:
            case CutKind::go_on: {
                require(cut.size > 0);
                require((cut.kind == CutKind::go_on) == lab.talk.unit_open());
                ByteBuffer prefix;
                // A second look sees the same.
                ByteBuffer again;
                const dialect::Cut second = lab.talk.cut(in, insist, again);
                require(second.kind == cut.kind && second.size == cut.size && again.empty());
                lab.talk.accept(in.first(cut.size), slot, prefix);
                require(lab.talk.units_in_flight() == units + (cut.kind == CutKind::begin ? 1 : 0));
                require_messages(prefix);
                break;
            }
            case CutKind::stream:
            case CutKind::drop: break;
            case CutKind::answer:
                require(cut.size > 0);
                require_messages(out);
                break;
            case CutKind::terminate:
            case CutKind::malformed: is_over = true; return false;
            case CutKind::more:
            case CutKind::wait:
            case CutKind::patience: return false;
            case CutKind::kill:
            case CutKind::log_in: require(false); return false;  // MySQL's alone
        }
        pending.erase(0, cut.size);
        return cut.size > 0;
    }

    /// What the proxy says by itself are whole messages.
    static void require_messages(const ByteBuffer& bytes) {
        size_t at = 0;
        while (at < bytes.size()) {
            require(bytes.size() - at >= message_header_bytes);
            const size_t total = size_t{load_u32(bytes.data() + at + 1)} + 1;
            require(total >= message_header_bytes && total <= bytes.size() - at);
            at += total;
        }
    }

    /// The server of the units in flight is gone, and the engine settles it in one of its ways.
    void lose(Slot slot, unsigned way) {
        lab.talk.slot_lost(slot);
        ByteBuffer out;
        if (!lab.talk.answer_rollback(out)) {
            const auto failure = way % 3 == 0   ? dialect::Failure::transaction_lost
                                 : way % 3 == 1 ? dialect::Failure::outcome_unknown
                                                : dialect::Failure::no_server;
            while (lab.talk.units_in_flight() > 0) {
                lab.talk.fail_unit({failure, "lost", {}, {}, {}}, out);
                require(lab.talk.units_in_flight() < 1'000'000);
            }
        }
        require_messages(out);
        require(lab.talk.units_in_flight() == 0 && lab.talk.requests_in_flight() == 0);
        lab.talk.slot_opened(slot, slot == Slot::b);
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    Client client;
    Slot slot = (data[0] & 1) != 0 ? Slot::b : Slot::a;
    if ((data[0] & 2) != 0)
        client.lab.talk.lose_transaction({dialect::Failure::transaction_lost, "lost", {}, {}, {}});
    size_t at = 1;
    while (at < size && !client.is_over) {
        const unsigned control = data[at++];
        const size_t piece = std::min<size_t>(control >> 3 == 31 ? 4'096 : control >> 3, size - at);
        switch (control & 7) {
            case 6: client.lose(slot, control >> 3); break;
            case 7:
                if (client.lab.talk.units_in_flight() == 0) slot = dialect::other(slot);
                break;
            default: break;
        }
        client.pending.append(reinterpret_cast<const char*>(data + at), piece);
        at += piece;
        while (!client.pending.empty() && client.step((control & 7) == 5, slot)) {
        }
    }
    return 0;
}
