#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "config/keys.h"
#include "config/settings.h"

/// What a configuration comes to, and how two of them differ. Nothing in here shows a secret.
namespace holdfast::config {

/// One setting with the value that is in effect, written by the file or not.
struct Effective {
    /// As in the file, with names in place of numbers: cluster.shop.servers[pg2].weight. A listener is known
    /// by its first address, a rule by its number from 1, an account by its name, or by NAME@CLUSTER when it
    /// is of one cluster.
    std::string path;
    /// As it would be written, without quotes; several joined by ", ". Empty: not set. A secret: "(secret)".
    std::string value;
    const Key* key = nullptr;  // its row; never null
};

/// Every setting, in the order of the table of keys and of the file. A key that stands in `keys.cc` is in
/// here, save the short forms of others (cluster.*.listen is in its listener).
std::vector<Effective> flatten(const Settings& settings);

struct Change {
    enum class Kind { added, removed, changed };

    Kind kind = Kind::changed;
    std::string path;    // as Effective::path
    std::string before;  // empty when it was added
    std::string after;   // empty when it was removed
    /// The outermost cluster, server, listener, rule or account that came or went with it; empty: none did.
    std::string with;
    const Key* key = nullptr;
    /// What a reload does with it. Of what comes or goes as a whole nothing needs a restart.
    Reload reload = Reload::hot;
};

/// What differs, in the order of `after`; then what is gone, in the order of `before`. Secrets are compared
/// by value, and of files that both name also the content when they were read.
std::vector<Change> compare(const Settings& before, const Settings& after);

/// What changed in a line for a log: paths without values; a server or the like that came or went is said
/// once, with a '+' or '-'. What does not fit into `bytes_max` is counted at the end.
std::string summarise(const std::vector<Change>& changes, size_t bytes_max);

}  // namespace holdfast::config
