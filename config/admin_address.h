#pragma once

#include <optional>
#include <string>

#include "config/settings.h"
#include "protocol/base/result.h"

namespace holdfast::config {

/// Where a running proxy can be asked, as its configuration file says. For the command line, whose user may
/// not be allowed to read every file that the configuration names.
struct AdminAddress {
    std::string socket;  // empty: none
    std::optional<Endpoint> listen;
    Secret token;  // empty: none, or one that this user may not read
};

/// Looks at the [admin] table alone; what else is wrong with the file is for `check` to say. Blocks.
/// errors  not_found: no such file, or it can't be read; bad_value: it is not TOML, or [admin] is wrong
Result<AdminAddress> read_admin_address(const std::string& path);

}  // namespace holdfast::config
