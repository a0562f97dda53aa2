#pragma once

#include <optional>
#include <regex>
#include <string_view>
#include <vector>

#include "config/networks.h"
#include "config/settings.h"
#include "protocol/base/bytes.h"

namespace holdfast::engine {

/// A cluster's `access`, compiled once: who may log in.
class AccessRules {
public:
    explicit AccessRules(const std::vector<config::AccessRule>& rules);
    bool empty() const { return rules_.empty(); }

    struct Client {
        std::string_view user;
        std::string_view database;  // that it asked for at login; MySQL: may be empty
        Bytes ip;                   // 4 or 16 bytes; empty: a Unix socket
        bool has_tls = false;
    };
    struct Verdict {
        bool is_allowed = true;
        int line = 0;  // of the rule that decided; 0: none did
    };
    /// The first rule whose conditions all hold decides; without rules everyone may, else who matches none
    /// may not.
    Verdict judge(const Client& client) const;
    /// The same for a client of whom only the address is known (empty: a Unix socket), because its bytes are
    /// passed on unread: it may come in where the rules let everyone in whom it may turn out to be. A rule
    /// for users, databases or TLS thus lets nobody in, and keeps out all that it may be meant for.
    Verdict judge_unread(Bytes ip) const;

private:
    struct Compiled {
        bool fits_address(Bytes ip) const;

        std::optional<std::regex> user, database;
        config::Networks networks;
        bool is_for_local = false;
        bool is_for_any_address = false;
        std::optional<bool> tls;
        bool allows = false;
        int line = 0;
    };
    std::vector<Compiled> rules_;
};

}  // namespace holdfast::engine
