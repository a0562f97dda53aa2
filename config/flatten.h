#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/keys.h"
#include "config/settings.h"

namespace holdfast::config {

/// A setting as compare() needs it: not for showing.
struct Item {
    std::string path;
    std::string value;  // what may be shown
    const Key* key = nullptr;
    const Secret* secret = nullptr;  // its true value, in the settings; null: it is none
    uint64_t digest = 0;             // of the file that it names; 0: it names none, or that can't be read
    /// The paths of the elements (clusters, servers, …) that it is part of, the outermost first.
    std::vector<std::string> elements;
};

/// Every setting; see flatten(). The items point into `settings`.
std::vector<Item> items_of(const Settings& settings);

}  // namespace holdfast::config
