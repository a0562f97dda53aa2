#pragma once

#include <span>
#include <string>
#include <string_view>

#include "health/view.h"

namespace holdfast::app {

/// A cluster and what is known of it now. Refers to what its owner keeps.
struct ClusterNow {
    std::string_view name;
    const health::View& view;
};

/// One line for `systemctl status`: each cluster's primary, and how many of its servers are up.
/// Long lists are cut.
std::string status_line(std::span<const ClusterNow> clusters);

}  // namespace holdfast::app
