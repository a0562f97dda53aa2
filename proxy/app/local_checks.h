#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/settings.h"
#include "proxy/app/connect_check.h"
#include "proxy/loop/loop.h"

/// What a start needs of this machine; each adds what it finds to `out`.
namespace holdfast::app {

/// A certificate that has run out is an error, one that does within 14 days a warning. `subject` begins the
/// message.
void add_certificate_finding(std::vector<Finding>& out, const std::string& where, const std::string& subject,
                             int64_t certificate_end, int64_t unix_seconds_now);

/// "2027-03-01", in UTC.
std::string date_text(int64_t unix_seconds);

/// The certificates of listeners.
void check_certificates(const config::Settings& settings, int64_t unix_seconds_now,
                        std::vector<Finding>& out);

/// Whether each address can be listened on: opens and closes it. One that a running Holdfast has is fine.
/// Blocks.
void check_addresses(const config::Settings& settings, loop::Loop& loop, std::vector<Finding>& out);

/// Whether the limit on descriptors, of the account that runs this, does for proxy.max_clients.
void check_descriptors(const config::Settings& settings, std::vector<Finding>& out);

}  // namespace holdfast::app
