#pragma once

#include <string>

namespace holdfast::app {

/// `holdfast run`: serves until SIGTERM or SIGINT, then lets clients finish for up to proxy.drain_timeout; a
/// second signal ends it at once. Logs to stderr. Returns the exit code: 0 after a signal, 1 when it can't
/// start.
int run(const std::string& config_file);

}  // namespace holdfast::app
