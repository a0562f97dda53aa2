#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/settings.h"

namespace holdfast::simulation {

/// What came of one run.
struct Report {
    std::vector<std::string> problems;  // empty: it passed
    std::string summary;
    uint64_t statements = 0;
    uint64_t faults = 0;
    uint64_t failovers = 0;
    uint64_t unknown_outcomes = 0;
    uint64_t corrections = 0;
    uint64_t reads_again = 0;
};

/// Plays the history that `seed` stands for, with PostgreSQL or with MariaDB. `trace`: print every message
/// and event.
Report run(config::Protocol protocol, uint64_t seed, bool trace);

}  // namespace holdfast::simulation
