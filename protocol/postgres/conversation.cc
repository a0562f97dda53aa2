// What a conversation knows of its server connections: made, lost, brought to the session's state.
#include "protocol/postgres/conversation.h"

#include "protocol/sql/quoted.h"

namespace holdfast::postgres {

Conversation::Conversation(const dialect::Identity& identity, StatementCache& statements, CutScratch& scratch,
                           const dialect::Parameters& welcome)
    : statements_(statements), scratch_(scratch), is_replication_(identity.replication) {
    pins_.replication = is_replication_;
    for (const auto& [name, value] : welcome) {
        ByteBuffer body;
        Writer(body).text(name).text(value);
        dialect::Scan ignored;
        if (name != "in_hot_standby") handle_parameter(Slot::a, body, ignored);
    }
}

void Conversation::slot_opened(Slot slot, bool is_replica) {
    SlotState& state = slots_[index(slot)];
    state = {};
    names_.forget_connection(slot);
    state.is_open = true;
    state.is_replica = is_replica;
    state.says_replica = is_replica;
}

void Conversation::slot_promoted(Slot slot) {
    slots_[index(slot)].is_replica = false;
    slots_[index(slot)].says_replica = false;
}

void Conversation::slot_lost(Slot slot) {
    SlotState& state = slots_[index(slot)];
    if (slot == active_) {
        padding_ = state.body_is_dropped ? 0 : state.body_left;
        if (state.syncs_pending > 0) {
            expected_.clear();
            sync_versions_.clear();
        }
        copy_in_ = false;
        copy_both_ = false;
    }
    state = {};
    names_.forget_connection(slot);
}

bool Conversation::abandon_answer(Slot slot) {
    SlotState& state = slots_[index(slot)];
    if (unit_open() || state.body_left > 0) return false;
    // Named statements that the answers to come would have made or closed are not known any more.
    if (copy_both_ || names_.has_names()) return false;
    uint32_t readies = 0;
    for (size_t i = 0; i < expected_.size(); ++i) {
        const char type = expected_.at(i).type;
        if (type == frontend::sync || type == frontend::query || type == frontend::function_call) ++readies;
    }
    state.swallow_ready = readies;
    names_.forget_connection(slot);
    return true;
}

bool Conversation::synchronise(Slot slot, ByteBuffer& out) {
    if (!log_ || transaction_ != Transaction::idle || !units_.empty() || is_replication_) return false;
    if (synchronising(slot)) return false;
    return ask_for_state(slot, out);
}

bool Conversation::synchronise_for_rerun(Slot slot, ByteBuffer& out) {
    if (!log_ || slots_[index(slot)].syncs_pending > 0) return false;
    expected_.clear();  // what the units expect is noted again when they are
    return ask_for_state(slot, out);
}

bool Conversation::ask_for_state(Slot slot, ByteBuffer& out) {
    SlotState& state = slots_[index(slot)];
    if (state.synced == log_->version() && (state.is_replica || state.subscribed == log_->version()))
        return false;
    sync_versions_.clear();
    uint32_t count = 0;
    const auto ask = [&](std::string_view sql, uint64_t version) {
        append_query(out, sql);
        sync_versions_.push_back(version);
        ++count;
    };
    for (const auto& entry : log_->entries()) {
        const bool is_subscription = entry.scope == dialect::SessionLog::Scope::primary;
        const uint64_t have = is_subscription ? state.subscribed : state.synced;
        if (entry.version <= have || (is_subscription && state.is_replica)) continue;
        if (entry.only_after != 0 && state.synced < entry.only_after) continue;
        if (entry.key == "deallocate") {
            names_.deallocated(slot);
        } else if (entry.key.starts_with("prepare:")) {
            const std::string_view name = std::string_view(entry.key).substr(8);
            auto& named = names_.at(name);
            const StatementRef& present = names_.present(named, slot);
            if (present && present != named.meant) ask("DEALLOCATE " + sql::quoted(name, '"'), entry.version);
            names_.set_present(named, slot, named.meant);
        } else if (entry.key.starts_with("deallocate:")) {
            names_.set_present(names_.at(std::string_view(entry.key).substr(11)), slot, {});
        }
        ask(entry.replay, entry.version);
    }
    state.sync_failed_at = 0;
    if (count == 0) {
        state.synced = log_->version();
        if (!state.is_replica) state.subscribed = log_->version();
        return false;
    }
    state.syncs_pending = count;
    state.sync_target = log_->version();
    active_ = slot;
    for (uint32_t i = 0; i < count; ++i) expect_ours(Expected::sync_query);
    return true;
}

void Conversation::forget_unsynchronisable() {
    for (auto& state : slots_) {
        if (state.sync_failed_at == 0 || !log_) continue;
        log_->forget_refused(state.sync_failed_at);
        state.sync_failed_at = 0;
        sync_versions_.clear();
    }
}

bool Conversation::append_reset(Slot, ByteBuffer& out) {
    if (transaction_ != Transaction::idle || !units_.empty() || !expected_.empty() || is_replication_ ||
        lost_) {
        return false;
    }
    for (const auto& state : slots_) {
        if (state.swallow_ready > 0 || state.body_left > 0 || state.syncs_pending > 0) return false;
    }
    append_query(out, "DISCARD ALL");
    return true;
}

void Conversation::append_fatal(std::string_view code, std::string_view message, ByteBuffer& out) {
    append_error(out, "FATAL", code, message);
}

}  // namespace holdfast::postgres
