// What a session's statements leave behind, as it is learned from the answers to them: settings, prepared
// statements, subscriptions, and what pins the session to its connection.
#include <algorithm>
#include <charconv>
#include <utility>

#include "protocol/base/limits.h"
#include "protocol/base/numbers.h"
#include "protocol/postgres/conversation.h"
#include "protocol/sql/prepare.h"

namespace holdfast::postgres {
namespace {

using dialect::Scan;
using dialect::ScanEvent;
using sql::Control;
using sql::EffectKind;

/// Encodings whose second bytes can look like quotes or backslashes.
bool is_safe_encoding(std::string_view name) {
    for (const std::string_view unsafe :
         {"SJIS", "SHIFT_JIS_2004", "BIG5", "GBK", "GB18030", "JOHAB", "UHC", "MSKANJI", "SHIFTJIS", "WIN932",
          "WINDOWS932", "WIN936", "WINDOWS936", "WIN949", "WINDOWS949", "WIN950", "WINDOWS950"}) {
        if (name.size() == unsafe.size() &&
            std::equal(name.begin(), name.end(), unsafe.begin(), [](char a, char b) {
                return (a >= 'a' && a <= 'z' ? static_cast<char>(a - 'a' + 'A') : a) == b;
            })) {
            return false;
        }
    }
    return true;
}

/// The row count at the end of a command tag ("SELECT 3"); 1 when there is none.
uint32_t rows_of(std::string_view tag) {
    const size_t space = tag.rfind(' ');
    uint32_t rows = 1;
    if (space != std::string_view::npos)
        std::from_chars(tag.data() + space + 1, tag.data() + tag.size(), rows);
    return rows;
}

/// What a lock function returned: nothing, for those that wait, or whether it came true.
/// row  a DataRow's body, or its beginning; a boolean's text and its binary form are one byte
/// spec PostgreSQL documentation, "Message Formats", DataRow (B); "Advisory Lock Functions"
dialect::UserLocks::CameTrue lock_came_true(std::string_view row, std::string_view column) {
    using enum dialect::UserLocks::CameTrue;
    const auto index = parse_number<uint32_t>(column);
    Reader reader(as_bytes(row));
    const uint16_t columns = reader.u16();
    if (!index || reader.failed() || *index >= columns) return unknown;
    for (uint32_t i = 0;; ++i) {
        const uint32_t size = reader.u32();
        const bool is_null = size > INT32_MAX;
        const Bytes value = is_null ? Bytes() : reader.take(size);
        if (reader.failed()) return unknown;
        if (i < *index) continue;
        if (is_null) return no;  // a lock of NULL is none
        if (value.empty()) return yes;
        return value[0] == std::byte{'t'} || value[0] == std::byte{1} ? yes : no;
    }
}

}  // namespace

Conversation::Verdict Conversation::handle_parameter(Slot slot, Bytes body, Scan& scan) {
    SlotState& state = slots_[index(slot)];
    Reader reader(body);
    const std::string_view name = reader.text();
    const std::string_view value = reader.text();
    if (reader.failed()) return lying(scan, "a ParameterStatus without an end");
    if (name == "in_hot_standby") {
        const bool is_standby = value == "on";
        if (state.says_replica != is_standby) {
            state.says_replica = is_standby;
            state.is_replica = is_standby;
            scan.event = ScanEvent::role_changed;
        }
        return Verdict::drop;  // clients see one server that never changes its role
    }
    const bool swallowed = state.swallow_ready > 0 ||
                           (slot == active_ && !expected_.empty() && expected_.front().swallowed) ||
                           (state.is_replica && (slot != active_ || expected_.empty()));
    if (swallowed) return Verdict::drop;
    if (name == "standard_conforming_strings") standard_strings_ = value == "on";
    if (name == "client_encoding") encoding_is_safe_ = is_safe_encoding(value);
    if (name == "default_transaction_read_only") wants_read_only_ = value == "on";
    return Verdict::forward;
}

void Conversation::command_complete(std::string_view tag) {
    Unit& unit = units_.front();
    Expected& expected = expected_.front();
    if (expected.type == frontend::execute) {
        if (expected.statement) {
            for (uint32_t i = 0; i < expected.statement->classes.statement_count; ++i) {
                statement_done(expected.statement->classes.statements[i], tag);
            }
        }
    } else if (unit.statements && unit.next_statement < unit.statements->size()) {
        statement_done((*unit.statements)[unit.next_statement++], tag);
    }
    unit.first_row.clear();
}

/// The rows of a portal have come as far as they were asked for. A lock is held from the first one on.
void Conversation::locks_asked_for() {
    const StatementRef statement = expected_.front().statement;
    if (expected_.front().type != frontend::execute || !statement) return;
    for (uint32_t i = 0; i < statement->classes.statement_count; ++i) {
        for (const auto& effect : statement->classes.statements[i].effects) {
            if (effect.kind == EffectKind::advisory_lock || effect.kind == EffectKind::advisory_unlock)
                apply_effect(effect, "SELECT 1");
        }
    }
    units_.front().first_row.clear();
}

void Conversation::statement_done(const sql::Statement& statement, std::string_view tag) {
    if (statement.control != Control::none) {
        const bool rolled_back = tag == "ROLLBACK";
        switch (statement.control) {
            case Control::commit:
            case Control::commit_and_chain:
            case Control::rollback:
            case Control::rollback_and_chain:
            case Control::prepare_transaction:
                if (rolled_back || statement.control == Control::prepare_transaction) {
                    if (log_) log_->rollback();
                    pending_pins_.clear();
                } else {
                    if (log_) log_->commit();
                    for (const auto& effect : std::exchange(pending_pins_, {})) apply_effect(effect, {});
                }
                break;
            case Control::savepoint: log().savepoint(statement.name); break;
            case Control::release:
                if (log_) log_->release(statement.name);
                break;
            case Control::rollback_to:
                if (log_) log_->rollback_to(statement.name);
                break;
            case Control::none:
            case Control::begin:
            case Control::begin_read_only:
            case Control::commit_prepared:
            case Control::set_transaction_read_only:
            case Control::set_transaction_other: break;
        }
    }
    for (const auto& effect : statement.effects) {
        switch (effect.kind) {
            case EffectKind::set:
            case EffectKind::reset:
            case EffectKind::reset_all:
            case EffectKind::listen:
            case EffectKind::unlisten:
            case EffectKind::unlisten_all: log().record(effect); break;
            case EffectKind::temporary:
            case EffectKind::cursor:
                if (pending_pins_.size() < limits::session_state_entries_max) pending_pins_.push_back(effect);
                break;
            default: apply_effect(effect, tag); break;
        }
    }
}

dialect::SessionLog& Conversation::log() {
    if (!log_) log_ = std::make_unique<dialect::SessionLog>();
    return *log_;
}

/// An effect that no rollback undoes, or whose transaction has committed.
void Conversation::apply_effect(const sql::Effect& effect, std::string_view tag) {
    switch (effect.kind) {
        case EffectKind::temporary: pins_.temporary = true; break;
        case EffectKind::discard_temp: pins_.temporary = false; break;
        case EffectKind::set_opaque: pins_.settings = true; break;
        case EffectKind::cursor: ++pins_.held_cursors; break;
        case EffectKind::cursor_close:
            if (pins_.held_cursors > 0) --pins_.held_cursors;
            break;
        case EffectKind::cursor_close_all: pins_.held_cursors = 0; break;
        case EffectKind::advisory_lock:
        case EffectKind::advisory_unlock:
        case EffectKind::advisory_unlock_all:
            if (!locks_) locks_ = std::make_unique<dialect::UserLocks>();
            locks_->apply(effect, lock_came_true(units_.front().first_row, effect.replay), rows_of(tag));
            pins_.advisory_locks = locks_->count();
            break;
        case EffectKind::prepare: {
            log().record_now(effect);
            if (!names_.find(effect.key) && !names_.has_room(effect.key.size() + effect.replay.size())) {
                pins_.settings = true;  // nobody will know what the name means
                break;
            }
            std::string body(sql::prepared_body(effect.replay));
            body.push_back('\0');
            const StatementRef interned = statements_.intern(body, context(false));
            StatementRef made(new Statement(*interned));
            made->sql_level = true;
            auto& entry = names_.at(effect.key);
            entry.meant = made;
            names_.set_present(entry, active_, made);
            note_names_behind();
            break;
        }
        case EffectKind::deallocate: {
            if (log_) log_->record_now(effect);
            if (auto* entry = names_.find(effect.key)) {
                entry->meant = {};
                names_.set_present(*entry, active_, {});
                names_.forget_if_unused(effect.key);
                note_names_behind();
            }
            break;
        }
        case EffectKind::deallocate_all:
            log().record_now(effect);
            names_.deallocate_all(active_);
            note_names_behind();
            break;
        case EffectKind::discard_all:
            log().record_now(effect);
            names_.deallocate_all(active_);
            note_names_behind();
            clear_pins();
            break;
        case EffectKind::set:
        case EffectKind::reset:
        case EffectKind::reset_all:
        case EffectKind::listen:
        case EffectKind::unlisten:
        case EffectKind::unlisten_all:
        case EffectKind::user_variable:
        case EffectKind::user_variables:
        case EffectKind::table_lock:
        case EffectKind::table_unlock:
        case EffectKind::handler:
        case EffectKind::handler_close:
        case EffectKind::next_transaction:
        case EffectKind::routine:
        case EffectKind::tracking: return;  // MySQL's
        case EffectKind::sequence: break;
    }
}

void Conversation::finish_unit(char status) {
    Unit& unit = units_.front();
    transaction_ = status == 'I'   ? Transaction::idle
                   : status == 'T' ? Transaction::active
                                   : Transaction::failed;
    copy_in_ = false;
    if (!unit.had_error) last_error_code_.clear();
    if (transaction_ == Transaction::idle) {
        if (unit.had_error) {
            if (log_) log_->rollback();
            pending_pins_.clear();
        } else {
            if (log_) log_->commit();
            if (!pending_pins_.empty()) {
                for (const auto& effect : std::exchange(pending_pins_, {})) apply_effect(effect, {});
            }
        }
        names_.forget_portals();
    }
    if (log_) {
        SlotState& state = slots_[index(active_)];
        // Subscriptions are the connection's only if it had all earlier ones: it was synchronised before.
        const bool changed = state.synced != log_->version();
        if (!state.is_replica && state.subscribed == state.synced) state.subscribed = log_->version();
        state.synced = log_->version();
        if (changed) log_->forget_deallocated({slots_[0].synced, slots_[1].synced});
        if (log_->take_loss()) pins_.settings = true;
    }
    units_.pop();
    if (units_.empty()) {
        expected_.clear();  // ends of copy data that the server had refused
        expected_.trim();
    }
}

}  // namespace holdfast::postgres
