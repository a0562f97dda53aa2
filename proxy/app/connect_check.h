#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/diagnostic.h"
#include "config/settings.h"
#include "health/view.h"

namespace holdfast::app {

/// Something that `holdfast check` found beyond the text of the file.
struct Finding {
    enum class Severity {
        error,    // clients would notice
        warning,  // worth a change
        note,     // worth knowing; never makes a check fail
    };
    Severity severity = Severity::error;
    std::string where;  // as in the file: cluster.shop.servers[pg2]
    std::string message;
    std::string grant;     // the statement that helps, if one does
    std::string database;  // where to run it; empty: in any
};

/// One server, as the proxy sees it.
struct ServerFound {
    std::string name;
    std::string address;
    health::ServerRole role = health::ServerRole::unknown;
    health::ServerState state = health::ServerState::starting;
    std::string reason;   // why it is in this state
    std::string version;  // empty: not known
    std::optional<Duration> lag;
    std::optional<int64_t> certificate_end;  // Unix seconds; nullopt: no TLS, or not known
};
struct ClusterFound {
    std::string name;
    std::vector<ServerFound> servers;
};

struct ConnectReport {
    std::vector<ClusterFound> clusters;
    std::vector<Finding> findings;
};

/// Logs in to every server, all at once, watches them until each is known, and looks at what else a start
/// needs: certificates, addresses to listen on, descriptors. Blocks, for about the longest connect_timeout
/// and time of detection of a cluster. Changes nothing anywhere.
ConnectReport check_connections(const config::Settings& settings);

}  // namespace holdfast::app
