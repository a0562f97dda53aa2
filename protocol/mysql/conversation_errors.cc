// What servers' errors mean: a command that failed, a refusal to write, a connection that ends.

#include "protocol/mysql/conversation_packet.h"
#include "protocol/mysql/errors.h"

namespace holdfast::mysql {
namespace {

using dialect::Scan;
using dialect::ScanEvent;

bool is_shutdown(uint16_t number) {
    return number == error::server_shutdown || number == error::normal_shutdown ||
           number == error::shutdown_complete;
}

/// Whether an error says that the server takes no writes, and that nothing has happened. 1290 is used for
/// other options too: its text names them.
bool is_read_only_refusal(const ErrPacket& err) {
    const auto says = [&](std::string_view part) { return err.message.find(part) != std::string_view::npos; };
    switch (err.number) {
        case 1290: return says("read-only") || says("read_only");
        case 1792:  // ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
        case 1836:  // ER_READ_ONLY_MODE
            return true;
        case 1047: return says("WSREP");  // a Galera node that is not part of the cluster now
        default: return false;
    }
}

}  // namespace

/// The server has said that this connection ends.
void Conversation::connection_ends(const ErrPacket& err, Scan& scan) {
    detail_ = err.message;
    last_error_code_.set(is_shutdown(err.number) ? "57P01" : std::string_view());
    scan.event = ScanEvent::dying;
}

/// What comes while nobody has asked: an announced end, or nonsense.
void Conversation::take_unasked(Bytes payload, Scan& scan) {
    const auto err = parse_err(payload);
    if (!err) return lying(scan, "an answer that nobody asked for");
    connection_ends(*err, scan);
}

Conversation::Verdict Conversation::take_error(Slot slot, const Packet& packet, Scan& scan, ByteBuffer& made,
                                               size_t at) {
    const SlotState& state = slots_[index(slot)];
    Unit& unit = units_.front();
    const auto err = parse_err(packet.payload());
    if (!err) {
        lying(scan, "an error that can't be read");
        return Verdict::stop;
    }
    if (announces_end(err->number)) {
        connection_ends(*err, scan);
        return Verdict::drop;
    }
    if (is_read_only_refusal(*err) && corrects_ && !wants_read_only_) {
        if (state.is_replica) {
            if (transaction_ != Transaction::idle && err->number == 1290) {
                // A read-only transaction that lives on a replica: the error that it gives anywhere.
                unit.had_error = unit.rows_delivered = true;
                last_error_code_.set("25006");
                unit.next_sequence =
                    append_err(made, static_cast<uint8_t>(packet.sequence() + unit.shift), 1792, "25006",
                               "Cannot execute statement in a READ ONLY transaction");
                finish_unit(slot);
                scan.event = ScanEvent::unit_done;
                return Verdict::forward;
            }
            if (transaction_ == Transaction::idle && rerunnable()) {
                answer_is_complete_ = true;
                scan.event = ScanEvent::refused;
                return Verdict::drop;
            }
        } else if (transaction_ == Transaction::idle) {
            // A read-only transaction is the client's own doing, but for a replica's connection whose server
            // was promoted.
            const bool is_demoted = err->number != 1792 || state.is_read_only;
            if (is_demoted && units_.size() == 1 && retainable() && unit.refusals < refusals_max) {
                ++unit.refusals;
                answer_is_complete_ = true;
                scan.event = ScanEvent::refused;
                return Verdict::drop;
            }
        } else if (err->number != 1792) {
            // A transaction whose server has become read-only: certainly not committed, and it never will be;
            // but a procedure may have committed before.
            unit.commits = unit.is_call;
            detail_ = err->message;
            last_error_code_.set("25006");
            scan.event = ScanEvent::dying;
            return Verdict::drop;
        }
    }
    unit.had_error = has_warnings_ = true;
    unit.rows_delivered = true;
    last_error_code_.set(err->sqlstate.empty() ? std::string_view("HY000") : err->sqlstate);
    // An error tells no status: what commits first and fails then (DDL, say) may have ended the transaction.
    // One in the syntax did nothing.
    is_doubtful_ =
        is_doubtful_ || (transaction_ == Transaction::active && unit.commits && err->number != 1064);
    // A deadlock has rolled the transaction back.
    if (err->number == 1213) forget_transaction();
    forward_packet(packet, made, scan, at);
    finish_unit(slot);
    scan.event = ScanEvent::unit_done;
    return Verdict::forward;
}

}  // namespace holdfast::mysql
