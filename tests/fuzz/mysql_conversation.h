#pragma once

#include <cstdlib>
#include <memory>

#include "protocol/mysql/conversation.h"

/// One conversation for fuzz targets: a client, a primary (slot a) and a replica (slot b).
namespace holdfast::mysql::fuzz {

inline void require(bool condition) {
    if (!condition) std::abort();
}

struct Talk {
    explicit Talk(uint8_t flags) {
        identity.user = "app";
        identity.database = (flags & 1) != 0 ? "shop" : "";
        Surroundings around;
        around.is_mariadb = (flags & 64) != 0;
        around.client_capabilities =
            capability::protocol_41 | capability::transactions | capability::local_files;
        if ((flags & 2) != 0) around.client_capabilities |= capability::deprecate_eof;
        if ((flags & 4) != 0) around.client_capabilities |= capability::session_track;
        if ((flags & 8) != 0) {
            around.client_capabilities |=
                around.is_mariadb ? capability::cache_metadata : capability::query_attributes;
        }
        if ((flags & 16) != 0) around.client_capabilities |= capability::optional_resultset_metadata;
        if ((flags & 32) != 0) around.client_capabilities |= capability::progress;
        conversation = std::make_unique<Conversation>(identity, cache, scratch, around);
        conversation->slot_opened(Slot::a, false);
        conversation->slot_opened(Slot::b, true);
    }

    /// Takes what can be taken of the client's bytes; returns how much. Begun units go to `slot`.
    size_t send(Bytes in, Slot slot) {
        size_t used = 0;
        while (used < in.size()) {
            const Bytes rest = in.subspan(used);
            out.clear();
            const dialect::Cut cut = conversation->cut(rest, false, out);
            require(cut.size <= rest.size());
            switch (cut.kind) {
                case dialect::CutKind::begin: {
                    require(cut.size > 0);
                    ByteBuffer prefix;
                    const size_t before = conversation->units_in_flight();
                    conversation->accept(rest.first(cut.size), slot, prefix);
                    require(conversation->units_in_flight() <= before + 1);
                    break;
                }
                case dialect::CutKind::stream:
                case dialect::CutKind::drop:
                case dialect::CutKind::answer: require(cut.size > 0); break;
                case dialect::CutKind::kill:
                    conversation->answer_kill(dialect::KillOutcome::done, out);
                    break;
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

    /// Gives a server's bytes until they are taken, or the conversation has had enough of the server. False
    /// then.
    bool receive(Bytes in, Slot slot) {
        size_t used = 0;
        while (used < in.size()) {
            const dialect::Scan scan = conversation->scan(slot, in.subspan(used));
            require(scan.forward <= scan.consumed && scan.consumed <= in.size() - used);
            used += scan.consumed;
            switch (scan.event) {
                case dialect::ScanEvent::none:
                    if (scan.consumed == 0) return true;
                    break;
                case dialect::ScanEvent::lying:
                case dialect::ScanEvent::dying:
                case dialect::ScanEvent::sync_failed: return false;
                case dialect::ScanEvent::refused:
                case dialect::ScanEvent::conflict: conversation->abandon_answer(slot); return false;
                case dialect::ScanEvent::unit_done:
                case dialect::ScanEvent::sync_done:
                case dialect::ScanEvent::role_changed: break;
            }
        }
        return true;
    }

    /// The server of `slot` is gone: what is in flight is failed.
    void lose(Slot slot) {
        conversation->slot_lost(slot);
        out.clear();
        while (conversation->units_in_flight() > 0) {
            const size_t before = conversation->units_in_flight();
            if (!conversation->answer_rollback(out))
                conversation->fail_unit({dialect::Failure::outcome_unknown, "gone", {}, {}, {}}, out);
            require(conversation->units_in_flight() < before);
        }
        conversation->slot_opened(slot, slot == Slot::b);
    }

    dialect::Identity identity;
    dialect::ClassifierSources sources;
    StatementCache cache{sources};
    CutScratch scratch;
    ByteBuffer out;
    std::unique_ptr<Conversation> conversation;
};

}  // namespace holdfast::mysql::fuzz
