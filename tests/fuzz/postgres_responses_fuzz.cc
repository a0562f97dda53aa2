#include <cstdlib>

#include "tests/unit/protocol/postgres/conversation_lab.h"

/// Two servers' bytes, in pieces that the input chooses, into scan(), after some requests.
/// input   the first byte chooses the requests, the second is a set of flags; then pieces: one byte that says
///         how long the piece is, whose it is and what happens before it, and the piece.
using namespace holdfast;
using namespace holdfast::postgres;
using namespace holdfast::postgres::test;
using dialect::ScanEvent;
using dialect::Slot;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

const std::string requests[] = {
    query("SELECT 1"),
    query("BEGIN; SET a.b = 1; SAVEPOINT x; SET a.b = 2; ROLLBACK TO x; COMMIT"),
    batch("SELECT 1 FROM t"),
    parse("s", "SELECT 1") + describe_statement("s") + bind("p", "s") + describe_portal("p") + execute("p") +
        close_statement("s") + sync_message(),
    query("COPY t FROM STDIN") + message('d', "1") + message('c'),
    batch("COPY t FROM STDIN") + query("SELECT 1") + sync_message(),
    message('F', std::string(8, '\0')),
    query("INSERT INTO t VALUES (1)") + query("SELECT 1") + batch("COMMIT") + query("ROLLBACK"),
    query("CREATE TEMP TABLE x (a int); SELECT pg_advisory_lock(1); DISCARD ALL"),
    query("PREPARE p AS SELECT 1; EXECUTE p; DEALLOCATE p"),
    query("LISTEN x; SET ROLE reader"),
    parse("", "SELECT 1") + message('H'),
    query("DECLARE c CURSOR WITH HOLD FOR SELECT 1; CLOSE ALL"),
    bind("", "unknown") + execute("") + message('H') + query("SELECT 1") + query("SELECT 2") + sync_message(),
};

/// As engine and link do it: what is forwarded is a prefix of what is consumed, and so on.
void read(Lab& lab, Slot slot, std::string& in, bool& is_over) {
    while (!in.empty()) {
        const size_t units = lab.talk.units_in_flight();
        const dialect::Scan scan = lab.talk.scan(slot, as_bytes(in));
        require(scan.forward <= scan.consumed && scan.consumed <= in.size());
        require(scan.instead.empty());
        require(lab.talk.units_in_flight() + (scan.event == ScanEvent::unit_done ? 1 : 0) <= units);
        require(lab.talk.last_error_code().size() <= 5);
        in.erase(0, scan.consumed);
        switch (scan.event) {
            case ScanEvent::lying:
            case ScanEvent::dying:
            case ScanEvent::sync_failed: is_over = true; return;
            case ScanEvent::refused:
            case ScanEvent::conflict: {
                require(lab.talk.rerunnable() && lab.talk.units_in_flight() > 0);
                // The units move to the other server; what is still to come here is swallowed, if it can be.
                if (!lab.talk.abandon_answer(slot)) {
                    is_over = true;
                    return;
                }
                ByteBuffer prefix;
                lab.talk.rerun_unit(dialect::other(slot), as_bytes(lab.unit_bytes), prefix);
                break;
            }
            case ScanEvent::none:
                if (scan.consumed == 0) return;
                break;
            case ScanEvent::unit_done:
            case ScanEvent::sync_done:
            case ScanEvent::role_changed: break;
        }
        // What it waits for is more than what is there, and bounded.
        require(scan.wanted == 0 || scan.wanted > in.size());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 3) return 0;
    Lab lab;
    constexpr size_t request_count = sizeof(requests) / sizeof(requests[0]);
    Slot slot = (data[1] & 1) != 0 ? Slot::b : Slot::a;
    lab.send(requests[data[0] % request_count], slot);
    if ((data[1] & 2) != 0) lab.send(requests[(data[0] / 16) % request_count], slot);
    std::array<std::string, dialect::slot_count> unread;
    bool is_over = false;
    size_t at = 2;
    while (at < size && !is_over) {
        const unsigned control = data[at++];
        const size_t piece = std::min<size_t>(control >> 3 == 31 ? 4'096 : control >> 3, size - at);
        Slot speaker = slot;
        switch (control & 7) {
            case 4:
                // As the engine does: what is between two units only.
                if (lab.talk.units_in_flight() == 0 && !lab.talk.synchronising(slot)) {
                    ByteBuffer state;
                    slot = dialect::other(slot);
                    lab.talk.synchronise(slot, state);
                }
                break;
            case 5: lab.send(requests[(control >> 3) % request_count], slot); break;
            case 6: speaker = dialect::other(slot); break;
            case 7: lab.talk.slot_promoted(Slot::b); break;
            default: break;
        }
        std::string& in = unread[dialect::index(speaker)];
        in.append(reinterpret_cast<const char*>(data + at), piece);
        at += piece;
        read(lab, speaker, in, is_over);
    }
    require(lab.within_bounds);
    // However far it came, losing the servers settles everything.
    lab.talk.slot_lost(slot);
    ByteBuffer out;
    while (lab.talk.units_in_flight() > 0) {
        lab.talk.fail_unit({dialect::Failure::outcome_unknown, "lost", {}, {}, {}}, out);
    }
    require(lab.talk.requests_in_flight() == 0 || lab.talk.synchronising(slot));
    return 0;
}
