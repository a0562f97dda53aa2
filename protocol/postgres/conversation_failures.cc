// What a client sees when its server is gone: errors in place of answers, and a lost transaction that stays
// failed until the client ends it, answered without any server.
#include <algorithm>
#include <utility>

#include "protocol/base/limits.h"
#include "protocol/postgres/conversation.h"

namespace holdfast::postgres {
namespace {

using dialect::Cut;
using dialect::CutKind;
using dialect::Failure;
using sql::Control;

std::string_view sqlstate_of(Failure failure) {
    switch (failure) {
        case Failure::transaction_lost: return "40001";
        case Failure::outcome_unknown: return "08007";
        case Failure::result_broken_off: return "40001";  // a read: running it again is all that is needed
        case Failure::state_lost: return "55000";
        case Failure::no_primary: return "25006";
        case Failure::no_server: return "57P03";
        case Failure::server_refused: return "57P03";
        case Failure::sync_failed: return "55000";
        case Failure::cancelled: return "57014";
    }
    return "XX000";
}

bool ends_transaction(Control control) {
    switch (control) {
        case Control::commit:
        case Control::rollback:
        case Control::prepare_transaction: return true;
        default: return false;
    }
}

Control control_of(const StatementRef& statement) {
    if (!statement || statement->classes.statement_count != 1) return Control::none;
    return statement->classes.statements[0].control;
}

constexpr std::string_view aborted_message =
    "current transaction is aborted, commands ignored until end of transaction block";

}  // namespace

void Conversation::append_failure(const dialect::FailureText& text, ByteBuffer& out) {
    append_error(out, "ERROR", text.code.empty() ? sqlstate_of(text.failure) : std::string_view(text.code),
                 text.message, text.detail, text.hint);
}

char Conversation::status_byte() const {
    if (lost_) return lost_->reported ? 'E' : 'T';
    switch (transaction_) {
        case Transaction::idle: return 'I';
        case Transaction::active: return 'T';
        case Transaction::failed: return 'E';
    }
    return 'I';
}

void Conversation::forget_transaction_effects() {
    if (log_) log_->rollback();
    pending_pins_.clear();
    names_.forget_portals();
}

/// Takes the oldest unit and the answers it expected away.
void Conversation::drop_front_unit() {
    Ring<Expected> dropped;
    while (!expected_.empty()) {
        const Expected& front = expected_.front();
        const bool ends =
            !front.swallowed && (front.type == frontend::sync || front.type == frontend::query ||
                                 front.type == frontend::function_call);
        dropped.push(std::move(expected_.front()));
        expected_.pop();
        if (ends && units_.front().ended) break;
    }
    for (size_t i = dropped.size(); i-- > 0;) undo(dropped.at(i));
    units_.pop();
    if (units_.empty()) expected_.clear();
}

void Conversation::fail_unit(const dialect::FailureText& text, ByteBuffer& out) {
    const bool ended = units_.front().ended;
    const bool told = units_.front().had_error;
    drop_front_unit();
    padding_ = 0;
    copy_in_ = false;
    if (stream_left_ > 0) stream_dropped_ = true;
    if (!told) append_failure(text, out);
    forget_transaction_effects();
    if (text.failure == Failure::transaction_lost) {
        transaction_ = Transaction::failed;
        lost_ = std::make_unique<LostTransaction>(LostTransaction{text, true, false});
    } else {
        transaction_ = Transaction::idle;
        lost_.reset();
    }
    if (ended) {
        append_ready_for_query(out, status_byte());
    } else {
        skipping_ = true;
    }
}

size_t Conversation::refuse_unit(Bytes, const dialect::FailureText& text, ByteBuffer& out) {
    append_failure(text, out);
    stream_left_ = scratch_.stream_left;
    stream_dropped_ = true;
    if (scratch_.ends_unit) {
        append_ready_for_query(out, status_byte());
    } else {
        skipping_ = true;
    }
    return scratch_.size;
}

bool Conversation::answer_rollback(ByteBuffer& out) {
    if (units_.size() != 1 || !units_.front().is_rollback || !units_.front().ended ||
        units_.front().had_error) {
        return false;
    }
    while (!expected_.empty()) {
        const Expected& expected = expected_.front();
        if (!expected.swallowed) {
            switch (expected.type) {
                case frontend::parse: append_message(out, backend::parse_complete); break;
                case frontend::bind: append_message(out, backend::bind_complete); break;
                case frontend::close: append_message(out, backend::close_complete); break;
                case frontend::describe:
                    if (!expected.describes_portal) MessageWriter(out, backend::parameter_description).u16(0);
                    append_message(out, backend::no_data);
                    break;
                case frontend::execute:
                case frontend::query: append_command_complete(out, "ROLLBACK"); break;
                default: break;
            }
        }
        expected_.pop();
    }
    units_.pop();
    forget_transaction_effects();
    transaction_ = Transaction::idle;
    append_ready_for_query(out, 'I');
    return true;
}

void Conversation::lose_transaction(const dialect::FailureText& text) {
    const bool known = transaction_ == Transaction::failed;
    forget_transaction_effects();
    transaction_ = Transaction::failed;
    lost_ = std::make_unique<LostTransaction>(LostTransaction{text, known, false});
}

void Conversation::end_lost_transaction() {
    lost_.reset();
    transaction_ = Transaction::idle;
}

Cut Conversation::skip_to_sync(Bytes in, ByteBuffer& out) {
    size_t size = 0;
    while (in.size() - size >= message_header_bytes) {
        const uint32_t length = load_u32(in.data() + size + 1);
        if (length < 4 || length > limits::postgres_message_bytes_max) break;  // the next cut says so
        const char type = std::to_integer<char>(in[size]);
        if (type == frontend::terminate) break;
        const size_t total = size_t{length} + 1;
        if (type == frontend::sync) {
            if (in.size() - size < total) break;
            skipping_ = false;
            if (lost_ && lost_->over) end_lost_transaction();
            append_ready_for_query(out, status_byte());
            return {CutKind::answer, size + total};
        }
        if (in.size() - size < total) {
            stream_left_ = total - (in.size() - size);
            stream_dropped_ = true;
            return {CutKind::drop, in.size()};
        }
        size += total;
    }
    return {size > 0 ? CutKind::drop : CutKind::more, size};
}

Cut Conversation::answer_lost(Bytes in, ByteBuffer& out) {
    const char type = std::to_integer<char>(in[0]);
    const size_t total = size_t{load_u32(in.data() + 1)} + 1;
    const bool whole = in.size() >= total;
    if (!whole && total <= limits::batch_collected_bytes_max) return {};
    const size_t size = std::min(total, in.size());
    const Bytes body = in.subspan(message_header_bytes, size - message_header_bytes);
    switch (type) {
        case frontend::query: {
            const std::string_view text = as_text(body);
            if (answer_lost_query(text.substr(0, text.find('\0')), out) == LostAnswer::give_back) {
                end_lost_transaction();
                return cut(in, false, out);
            }
            break;
        }
        case frontend::sync:
            if (lost_->over) end_lost_transaction();
            append_ready_for_query(out, status_byte());
            break;
        case frontend::copy_data:
        case frontend::copy_done:
        case frontend::copy_fail:
        case frontend::flush: break;
        default: answer_lost_request(type, body, out); break;
    }
    stream_left_ = total - size;
    stream_dropped_ = true;
    return {CutKind::answer, size};
}

void Conversation::append_lost_error(ByteBuffer& out) {
    if (!lost_->reported) {
        append_failure(lost_->text, out);
    } else {
        append_error(out, "ERROR", "25P02", aborted_message);
    }
    lost_->reported = true;
}

Conversation::LostAnswer Conversation::answer_lost_query(std::string_view text, ByteBuffer& out) {
    sql::Classification& query = scratch_.query;
    sql::classify(sql::Dialect::postgres, text.substr(0, limits::statement_classified_bytes_max),
                  context(false), query);
    if (query.statement_count == 0) {
        append_message(out, backend::empty_query_response);
        append_ready_for_query(out, status_byte());
        return LostAnswer::answered;
    }
    const Control control = query.statements[0].control;
    const bool alone = query.statement_count == 1;
    // With more behind it, a server says what that gives: to it, the ROLLBACK is one outside a transaction.
    if (control == Control::rollback && !alone) return LostAnswer::give_back;
    if (alone && (control == Control::rollback || (ends_transaction(control) && lost_->reported))) {
        append_command_complete(out, "ROLLBACK");
        end_lost_transaction();
    } else {
        append_lost_error(out);
        if (ends_transaction(control)) end_lost_transaction();  // a COMMIT that fails ends its transaction
    }
    append_ready_for_query(out, status_byte());
    return LostAnswer::answered;
}

/// One request of the extended protocol while the transaction is lost: only what ends it is served.
void Conversation::answer_lost_request(char type, Bytes body, ByteBuffer& out) {
    Reader reader(body);
    const auto refuse = [&] {
        append_lost_error(out);
        skipping_ = true;
    };
    switch (type) {
        case frontend::parse: {
            const std::string name(reader.text());
            const std::string_view rest = as_text(reader.rest());
            if (reader.failed() || rest.size() > limits::batch_collected_bytes_max) return refuse();
            const StatementRef statement = statements_.intern(rest, context(false));
            if (!ends_transaction(control_of(statement)) || lost_->over) return refuse();
            if (!name.empty() && !names_.find(name) && !names_.has_room(name.size() + rest.size()))
                return refuse();
            names_.at(name).meant = statement;
            append_message(out, backend::parse_complete);
            return;
        }
        case frontend::bind: {
            const std::string portal(reader.text());
            const StatementRef statement = names_.meaning(reader.text());
            if (!ends_transaction(control_of(statement)) || lost_->over) return refuse();
            names_.set_portal(portal, statement);
            append_message(out, backend::bind_complete);
            return;
        }
        case frontend::describe: {
            const bool is_portal = reader.u8() == 'P';
            const std::string_view name = reader.text();
            if (!ends_transaction(control_of(is_portal ? names_.portal(name) : names_.meaning(name))))
                return refuse();
            if (!is_portal) MessageWriter(out, backend::parameter_description).u16(0);
            append_message(out, backend::no_data);
            return;
        }
        case frontend::execute: {
            const Control control = control_of(names_.portal(reader.text()));
            if (!ends_transaction(control) || lost_->over) return refuse();
            const bool untold_commit = control != Control::rollback && !lost_->reported;
            lost_->over = true;
            if (untold_commit) return refuse();
            append_command_complete(out, "ROLLBACK");
            return;
        }
        case frontend::close: {
            const bool is_portal = reader.u8() == 'P';
            const std::string_view name = reader.text();
            if (!is_portal) {
                if (auto* entry = names_.find(name)) entry->meant = {};
            }
            append_message(out, backend::close_complete);
            return;
        }
        case frontend::function_call:
            append_lost_error(out);
            append_ready_for_query(out, status_byte());
            return;
        default: return;
    }
}

}  // namespace holdfast::postgres
