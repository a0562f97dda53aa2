#pragma once

#include <initializer_list>
#include <map>
#include <sstream>
#include <string>

#include <doctest/doctest.h>

#include "proxy/admin/metrics.h"

/// What tests of metrics need: a cluster to count for, and what a reader of /metrics sees.
namespace holdfast::admin {

inline config::Cluster cluster(const std::string& name, std::initializer_list<const char*> servers) {
    config::Cluster made;
    made.name = name;
    for (const char* server : servers) {
        config::Server entry;
        entry.name = server;
        made.servers.push_back(entry);
    }
    return made;
}

/// series (name and labels as written) -> value as written
inline std::map<std::string, std::string> scrape(PrometheusMetrics& metrics) {
    std::map<std::string, std::string> series;
    std::istringstream text(metrics.exposition());
    for (std::string line; std::getline(text, line);) {
        if (line.empty() || line[0] == '#') continue;
        const size_t space = line.rfind(' ');
        CHECK(series.emplace(line.substr(0, space), line.substr(space + 1)).second);
    }
    return series;
}

inline std::string value(PrometheusMetrics& metrics, const std::string& series) {
    const auto all = scrape(metrics);
    const auto found = all.find(series);
    return found == all.end() ? "absent" : found->second;
}

}  // namespace holdfast::admin
