// What a client sees when its server is gone: errors in place of answers. A lost transaction is over, as
// after a deadlock: its client is told once, and goes on.
#include <utility>

#include "protocol/mysql/conversation.h"
#include "protocol/mysql/errors.h"

namespace holdfast::mysql {

using dialect::Cut;

Conversation::Deferred Conversation::describe(const dialect::FailureText& text) {
    ErrorNumber error = error_of(text.failure);
    // A server that has no connection to spare must not look like a wrong password.
    if (text.failure == dialect::Failure::server_refused && text.code == "53300") error = error_of(text.code);
    std::string message = text.message;
    for (const std::string* more : {&text.detail, &text.hint}) {
        if (!more->empty()) message += (message.ends_with('.') ? " " : ". ") + *more;
    }
    return {error.number, std::string(error.sqlstate), std::move(message)};
}

void Conversation::append_failure(const dialect::FailureText& text, uint8_t sequence, ByteBuffer& out) {
    const Deferred what = describe(text);
    append_err(out, sequence, what.number, what.sqlstate, what.message);
}

void Conversation::forget_transaction() {
    transaction_ = Transaction::idle;
    is_doubtful_ = is_xa_prepared_ = false;
    last_status_ &= static_cast<uint16_t>(~(status::in_transaction | status::in_transaction_read_only));
}

void Conversation::fail_unit(const dialect::FailureText& text, ByteBuffer& out) {
    uint8_t sequence = units_.front().next_sequence;
    // An empty packet ends a payload that was announced to go on.
    if (std::exchange(payload_is_open_, false)) sequence = append_packet(out, sequence, {});
    if (units_.front().command == command::stmt_prepare) last_prepared_ = 0;
    const bool is_last = units_.size() == 1;
    pop_unit();
    padding_ = 0;
    forget_transaction();
    answer_is_complete_ = false;
    // The client is still sending: it listens when it is done.
    if (is_last && (stream_under_way() || file_under_way_)) {
        stream_dropped_ = true;
        file_dropped_ = true;
        deferred_ = std::make_unique<Deferred>(describe(text));
        return;
    }
    append_failure(text, sequence, out);
}

size_t Conversation::refuse_unit(Bytes, const dialect::FailureText& text, ByteBuffer& out) {
    begin_stream(true);
    if (scratch_.command == command::stmt_prepare) last_prepared_ = 0;
    if (!scratch_.is_answered) {
        if (Prepared* prepared = find_prepared(scratch_.statement_id)) prepared->lost_long_data = true;
        return scratch_.size;
    }
    if (stream_under_way()) {
        deferred_ = std::make_unique<Deferred>(describe(text));
    } else {
        append_failure(text, 1, out);
    }
    return scratch_.size;
}

bool Conversation::answer_rollback(ByteBuffer& out) {
    if (units_.size() != 1 || !units_.front().is_rollback) return false;
    const uint8_t sequence = units_.front().next_sequence;
    pop_unit();
    forget_transaction();
    OkPacket ok;
    ok.status = last_status_;
    append_ok(out, sequence, ok, around_.client_capabilities);
    return true;
}

void Conversation::lose_transaction(const dialect::FailureText& text) {
    forget_transaction();
    lost_ = std::make_unique<dialect::FailureText>(text);
}

/// The first request after a transaction was lost with its server: its answer says so, unless it gives the
/// transaction up by itself.
Cut Conversation::answer_lost(ByteBuffer& out) {
    if (scratch_.command == command::stmt_prepare) last_prepared_ = 0;
    const auto text = std::move(lost_);
    // Of what may have been committed, or is prepared, giving it up is no news.
    const bool gives_up = text->failure == dialect::Failure::transaction_lost &&
                          scratch_.command == command::query && scratch_.query.statement_count == 1 &&
                          scratch_.query.statements[0].control == sql::Control::rollback;
    if (gives_up) return answer_ok(out);
    const Deferred what = describe(*text);
    return answer_here(out, what.number, what.sqlstate, what.message);
}

}  // namespace holdfast::mysql
