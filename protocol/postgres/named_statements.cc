#include "protocol/postgres/named_statements.h"

#include <utility>

#include "protocol/base/limits.h"

namespace holdfast::postgres {

using dialect::Slot;

bool NamedStatements::has_room(size_t bytes) {
    bytes += limits::prepared_overhead_bytes;
    if (bytes_counted_ + bytes_since_ + bytes > limits::prepared_bytes_max) {
        // Counting takes its time: where little would be left, it would have to be done again at once.
        bytes_since_ = bytes_counted_ = 0;
        if (named_) {
            for (const auto& [name, entry] : *named_) {
                bytes_counted_ += name.size() + limits::prepared_overhead_bytes;
                if (entry.meant) bytes_counted_ += entry.meant->body.size();
            }
        }
        if (bytes_counted_ + bytes > limits::prepared_bytes_max / 8 * 7) return false;
    }
    bytes_since_ += bytes;
    return true;
}

NamedStatements::Entry* NamedStatements::find(std::string_view name) {
    if (name.empty()) return &unnamed_;
    if (!named_) return nullptr;
    const auto found = named_->find(name);
    return found == named_->end() ? nullptr : &found->second;
}

NamedStatements::Entry& NamedStatements::at(std::string_view name) {
    if (Entry* found = find(name)) return *found;
    if (!named_) named_ = std::make_unique<ByName<Entry>>();
    return (*named_)[std::string(name)];
}

StatementRef NamedStatements::meaning(std::string_view name) {
    const Entry* entry = find(name);
    return entry ? entry->meant : StatementRef{};
}

const StatementRef& NamedStatements::present(const Entry& entry, Slot slot) const {
    static const StatementRef nothing;
    const size_t i = index(slot);
    return entry.generation[i] == generation_[i] ? entry.present[i] : nothing;
}

void NamedStatements::set_present(Entry& entry, Slot slot, StatementRef statement) {
    entry.present[index(slot)] = std::move(statement);
    entry.generation[index(slot)] = generation_[index(slot)];
}

void NamedStatements::outdate(Entry& entry, Slot slot) {
    static const StatementRef outdated(new Statement);
    if (present(entry, slot)) set_present(entry, slot, outdated);
}

bool NamedStatements::is_unused(const Entry& entry) const {
    return !entry.meant && !present(entry, Slot::a) && !present(entry, Slot::b);
}

void NamedStatements::forget_if_unused(std::string_view name) {
    if (name.empty() || !named_) return;
    const auto found = named_->find(name);
    if (found != named_->end() && is_unused(found->second)) named_->erase(found);
}

void NamedStatements::forget_unused() {
    if (named_) std::erase_if(*named_, [this](const auto& each) { return is_unused(each.second); });
}

void NamedStatements::deallocated(Slot slot) {
    if (named_) {
        for (auto& [name, entry] : *named_) set_present(entry, slot, {});
    }
    set_present(unnamed_, slot, {});
    forget_unused();
}

void NamedStatements::deallocate_all(Slot slot) {
    if (named_) {
        for (auto& [name, entry] : *named_) entry.meant = {};
    }
    unnamed_.meant = {};
    deallocated(slot);
}

StatementRef NamedStatements::portal(std::string_view name) const {
    if (name.empty()) return unnamed_portal_;
    if (!portals_) return {};
    const auto found = portals_->find(name);
    return found == portals_->end() ? StatementRef{} : found->second;
}

void NamedStatements::set_portal(std::string_view name, StatementRef statement) {
    if (name.empty()) {
        unnamed_portal_ = std::move(statement);
        return;
    }
    if (!portals_) portals_ = std::make_unique<ByName<StatementRef>>();
    if (const auto found = portals_->find(name); found != portals_->end()) {
        found->second = std::move(statement);
    } else {
        portals_->emplace(name, std::move(statement));
    }
}

void NamedStatements::close_portal(std::string_view name) {
    if (!portals_) return;
    if (const auto found = portals_->find(name); found != portals_->end()) portals_->erase(found);
}

void NamedStatements::forget_portals() {
    portals_.reset();
    unnamed_portal_ = {};
}

}  // namespace holdfast::postgres
