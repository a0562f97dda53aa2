#include <algorithm>
#include <map>
#include <utility>

#include "config/parts.h"
#include "config/secrets.h"
#include "config/text.h"

namespace holdfast::config {
namespace {

std::string_view near_cluster(std::string_view name, const std::vector<Cluster>& clusters) {
    std::vector<std::string_view> names;
    for (const Cluster& cluster : clusters) names.push_back(cluster.name);
    return nearest(name, names);
}

void read_account_secret(const Section& section, User& user) {
    section.secret("password", user.password);
    if (section.secret("scram_verifier", user.scram_verifier) &&
        !is_scram_verifier(user.scram_verifier.reveal())) {
        section.error("scram_verifier",
                      "expected SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>, as in pg_authid");
    }
    if (section.secret("md5", user.md5_hash) && !is_md5_hash(user.md5_hash.reveal())) {
        section.error("md5", "expected \"md5\" and 32 hexadecimal digits (0-9, a-f), as in pg_authid");
    }
    const int given = (section.has("password") ? 1 : 0) + (section.has("scram_verifier") ? 1 : 0) +
                      (section.has("md5") ? 1 : 0);
    if (given != 1) {
        section.context().error(section.at(), section.path() +
                                                  ": exactly one of password, scram_verifier and md5 " +
                                                  "is needed, found " + std::to_string(given));
    }
}

User read_user(const Section& section, const std::vector<Cluster>& clusters) {
    User user;
    user.line = section.at().line;
    section.require("name", "name = \"...\"");
    if (section.text("name", user.name) && user.name.empty()) section.error("name", "the name is empty");
    if (section.text("cluster", user.cluster)) {
        const bool exists = std::any_of(clusters.begin(), clusters.end(),
                                        [&](const Cluster& cluster) { return cluster.name == user.cluster; });
        if (!exists) {
            const std::string_view near = near_cluster(user.cluster, clusters);
            section.error("cluster", "there is no cluster " + quote(user.cluster) +
                                         (near.empty() ? "; leave the key out for every cluster"
                                                       : "; did you mean " + quote(near) + "?"));
        }
    }
    read_account_secret(section, user);
    return user;
}

/// One name may have one account in each cluster; an account of every cluster leaves room for no other.
class AccountNames {
public:
    void add(const Section& section, const User& user) {
        if (user.name.empty()) return;
        const int earlier = line_of_conflict(user);
        if (earlier > 0) {
            section.error("name", "the account " + quote(user.name) + " is given already" +
                                      (user.cluster.empty() ? "" : " for cluster " + quote(user.cluster)) +
                                      " (line " + std::to_string(earlier) + ")");
            return;
        }
        lines_[user.name].emplace(user.cluster, user.line);
    }

private:
    int line_of_conflict(const User& user) const {
        const auto clusters = lines_.find(user.name);
        if (clusters == lines_.end()) return 0;
        if (user.cluster.empty()) return clusters->second.begin()->second;
        for (const std::string& cluster : {std::string{}, user.cluster}) {
            const auto same = clusters->second.find(cluster);
            if (same != clusters->second.end()) return same->second;
        }
        return 0;
    }

    std::map<std::string, std::map<std::string, int>> lines_;  // by name, then cluster; "" is every cluster
};

}  // namespace

std::vector<User> read_users(const Section& document, const std::vector<Cluster>& clusters) {
    std::vector<User> out;
    AccountNames names;
    for (const Section& section : document.tables("user")) {
        out.push_back(read_user(section, clusters));
        names.add(section, out.back());
    }
    return out;
}

}  // namespace holdfast::config
