#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "protocol/dialect/dialect.h"
#include "protocol/postgres/statements.h"

namespace holdfast::postgres {

/// What a client's names of prepared statements and portals mean, and what each of its server connections has
/// under the names of statements. The empty name is a name like any other, but always there. Owned by the
/// session's conversation; holds no memory while only the empty names are used.
class NamedStatements {
public:
    struct Entry {
        StatementRef meant;  // what the client knows it as; null: closed

    private:
        friend class NamedStatements;
        std::array<StatementRef, dialect::slot_count> present;
        std::array<uint32_t, dialect::slot_count> generation{};  // of the connection, when `present` was true
    };

    /// Whether one more statement of `bytes`, its name included, may be kept. Exact to an eighth of the
    /// limit.
    bool has_room(size_t bytes);

    /// Null: the client has not used the name, or does not any more.
    Entry* find(std::string_view name);
    Entry& at(std::string_view name);
    /// Null: nothing.
    StatementRef meaning(std::string_view name);
    /// Whether any name but the empty one is known.
    bool has_names() const { return named_ && !named_->empty(); }
    /// Forgets a name that is free, unless a connection still has a statement under it.
    void forget_if_unused(std::string_view name);

    /// What a connection has under a name; null: nothing that is known of.
    const StatementRef& present(const Entry& entry, dialect::Slot slot) const;
    void set_present(Entry& entry, dialect::Slot slot, StatementRef statement);
    /// Whatever a connection has under the name is not to be used again, whatever its text was.
    void outdate(Entry& entry, dialect::Slot slot);
    /// The slot has another connection, or its connection did what can't be followed: it has nothing known.
    void forget_connection(dialect::Slot slot) { ++generation_[index(slot)]; }
    /// The connection has dropped all its statements.
    void deallocated(dialect::Slot slot);
    /// The client has dropped all its statements, on this connection.
    void deallocate_all(dialect::Slot slot);

    /// What a portal runs; null: nothing that is known.
    StatementRef portal(std::string_view name) const;
    void set_portal(std::string_view name, StatementRef statement);
    void close_portal(std::string_view name);
    /// The end of a transaction closes them all.
    void forget_portals();

private:
    struct Hash {
        using is_transparent = void;
        size_t operator()(std::string_view name) const { return std::hash<std::string_view>()(name); }
    };
    template <typename Value>
    using ByName = std::unordered_map<std::string, Value, Hash, std::equal_to<>>;

    void forget_unused();
    bool is_unused(const Entry& entry) const;

    size_t bytes_counted_ = 0;  // when they were counted last …
    size_t bytes_since_ = 0;    // … and those asked for since
    Entry unnamed_;
    StatementRef unnamed_portal_;
    std::unique_ptr<ByName<Entry>> named_;
    std::unique_ptr<ByName<StatementRef>> portals_;
    std::array<uint32_t, dialect::slot_count> generation_{};  // grows with each new connection
};

}  // namespace holdfast::postgres
