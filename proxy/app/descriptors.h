#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "config/settings.h"

namespace holdfast::app {

/// How many file descriptors the process needs at its busiest: each client has one, and up to two connections
/// to servers as far as pool.max_connections lets it (counted for one user and database).
uint64_t descriptors_needed(const config::Settings& settings);

/// What is wrong with a limit on descriptors, and what to do about it; nullopt: it suffices.
std::optional<std::string> descriptor_advice(uint64_t limit, const config::Settings& settings);

/// From which number on descriptors are kept for the admin address and for health checks.
int descriptor_ceiling(uint64_t limit);

/// Raises RLIMIT_NOFILE as far as the system lets us without privileges. Returns the limit that holds then.
uint64_t raise_descriptor_limit();

}  // namespace holdfast::app
