#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "config/settings.h"

namespace holdfast::engine {

/// How many clients of a cluster are logged in, by user and by database. They are counted without limits,
/// too: a reload may bring some.
class ClientCounts {
public:
    enum class Full : uint8_t { no, user, database };
    /// Takes a place for a client that has proven who it is, unless there is none left. MySQL's clients may
    /// have no database: that is none to count.
    Full take(const std::string& user, const std::string& database, const config::Limits& limits);
    /// Of a client for which take() said Full::no.
    void give_back(const std::string& user, const std::string& database);

private:
    using Counts = std::unordered_map<std::string, uint32_t>;
    static uint32_t of(const Counts& counts, const std::string& name);
    static void leave(Counts& counts, const std::string& name);
    Counts users_;
    Counts databases_;
};

}  // namespace holdfast::engine
