#include "proxy/engine/access_rules.h"

#include <algorithm>
#include <string>

#include "protocol/base/limits.h"

namespace holdfast::engine {
namespace {

std::optional<std::regex> compile(const std::optional<std::string>& pattern) {
    if (!pattern) return std::nullopt;
    return std::regex(*pattern, std::regex::ECMAScript | std::regex::optimize);
}

bool matches(const std::optional<std::regex>& pattern, std::string_view text) {
    return !pattern || std::regex_match(text.begin(), text.end(), *pattern);
}

}  // namespace

AccessRules::AccessRules(const std::vector<config::AccessRule>& rules) {
    for (const auto& rule : rules) {
        Compiled compiled;
        compiled.user = compile(rule.user);
        compiled.database = compile(rule.database);
        std::vector<std::string> networks = rule.address;
        compiled.is_for_local = std::erase(networks, "local") > 0;
        compiled.is_for_any_address = rule.address.empty();
        compiled.networks = config::Networks(networks);
        compiled.tls = rule.tls;
        compiled.allows = rule.action == config::AccessAction::allow;
        compiled.line = rule.line;
        rules_.push_back(std::move(compiled));
    }
}

bool AccessRules::Compiled::fits_address(Bytes ip) const {
    return is_for_any_address || (ip.empty() ? is_for_local : networks.hold(ip));
}

AccessRules::Verdict AccessRules::judge(const Client& client) const {
    if (rules_.empty()) return {};
    // std::regex goes deeper with every character, and half a name must not match in place of all of it.
    if (client.user.size() > limits::rule_text_bytes_max ||
        client.database.size() > limits::rule_text_bytes_max) {
        return {false, 0};
    }
    const auto holds = [&](const Compiled& rule) {
        if (rule.tls && *rule.tls != client.has_tls) return false;
        return rule.fits_address(client.ip) && matches(rule.user, client.user) &&
               matches(rule.database, client.database);
    };
    const auto found = std::find_if(rules_.begin(), rules_.end(), holds);
    if (found == rules_.end()) return {false, 0};
    return {found->allows, found->line};
}

AccessRules::Verdict AccessRules::judge_unread(Bytes ip) const {
    if (rules_.empty()) return {};
    const auto decides = [&](const Compiled& rule) {
        const bool is_certain = !rule.user && !rule.database && !rule.tls;
        return rule.fits_address(ip) && (is_certain || !rule.allows);
    };
    const auto found = std::find_if(rules_.begin(), rules_.end(), decides);
    if (found == rules_.end()) return {false, 0};
    return {found->allows, found->line};
}

}  // namespace holdfast::engine
