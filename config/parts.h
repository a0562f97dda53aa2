#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/section.h"
#include "config/settings.h"

/// The parts of the file, each read into its settings. All report what is wrong and return what they could
/// read, so that the rest is checked too.
namespace holdfast::config {

Proxy read_proxy(const Section& section);
Reloading read_reload(const Section& section);
Admin read_admin(const Section& section);

/// What a cluster has in common with [defaults]: from `section` over what `cluster` holds already.
void read_inheritable(const Section& section, Cluster& cluster);
void read_routing(const Section& section, Routing& routing);
/// Access rules, limits and timeouts.
void read_protection(const Section& section, Cluster& cluster);
/// The networks of a key, with their prefix lengths written. Local::yes: "local" is one of them.
enum class Local { no, yes };
std::vector<std::string> read_networks(const Section& section, std::string_view name,
                                       Local local = Local::no);
/// inherited  what [defaults] says
Cluster read_cluster(const Section& section, std::string name, const Cluster& inherited);
std::vector<Listener> read_listeners(const Section& cluster, Protocol protocol);
std::vector<Server> read_servers(const Section& cluster, Protocol protocol);

/// document  the whole file; users name the clusters of `settings`
std::vector<User> read_users(const Section& document, const std::vector<Cluster>& clusters);

/// What no part can see alone: addresses taken twice, clusters without a service account, secrets in a file
/// that others can read.
void check_across(Context& context, const Settings& settings);

}  // namespace holdfast::config
