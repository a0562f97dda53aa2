#include "protocol/mysql/accounts.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <optional>
#include <tuple>
#include <utility>

#include "protocol/mysql/auth.h"

namespace holdfast::mysql {
namespace {

char lower(char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

/// An address as 16 bytes, IPv4 ones mapped, so that both ways of writing them are the same.
using Address = std::array<uint8_t, 16>;

/// Four decimal numbers, into the four bytes at `at`.
bool parse_ipv4(std::string_view text, uint8_t* at) {
    for (int i = 0; i < 4; ++i) {
        const char* end = text.data() + text.size();
        const auto [behind, failure] = std::from_chars(text.data(), end, at[i]);
        if (failure != std::errc()) return false;
        text.remove_prefix(static_cast<size_t>(behind - text.data()));
        if (i == 3) return text.empty();
        if (text.empty() || text[0] != '.') return false;
        text.remove_prefix(1);
    }
    return false;
}

/// Groups of four hexadecimal digits, one run of zero groups written as "::", and maybe an IPv4 address last.
bool parse_ipv6(std::string_view text, Address& address) {
    size_t size = 0;
    std::optional<size_t> gap;
    if (text.starts_with("::")) {
        gap = 0;
        text.remove_prefix(2);
    }
    while (!text.empty()) {
        if (size + 4 <= address.size() && text.find(':') == std::string_view::npos &&
            text.find('.') != std::string_view::npos) {
            if (!parse_ipv4(text, address.data() + size)) return false;
            size += 4;
            break;
        }
        uint16_t group = 0;
        const char* end = text.data() + text.size();
        const auto [behind, failure] = std::from_chars(text.data(), end, group, 16);
        if (failure != std::errc() || size + 2 > address.size()) return false;
        address[size++] = static_cast<uint8_t>(group >> 8);
        address[size++] = static_cast<uint8_t>(group);
        text.remove_prefix(static_cast<size_t>(behind - text.data()));
        if (text.empty()) break;
        if (text[0] != ':' || text.size() == 1) return false;
        text.remove_prefix(1);
        if (text[0] == ':') {
            if (gap) return false;
            gap = size;
            text.remove_prefix(1);
        }
    }
    if (!gap) return size == address.size();
    if (size + 2 > address.size()) return false;
    std::move_backward(address.begin() + static_cast<std::ptrdiff_t>(*gap),
                       address.begin() + static_cast<std::ptrdiff_t>(size), address.end());
    std::fill_n(address.begin() + static_cast<std::ptrdiff_t>(*gap), address.size() - size, uint8_t{0});
    return true;
}

std::optional<Address> parse_address(std::string_view text) {
    Address address{};
    if (text.find(':') != std::string_view::npos) {
        if (!parse_ipv6(text, address)) return std::nullopt;
        return address;
    }
    address[10] = address[11] = 0xff;
    if (!parse_ipv4(text, address.data() + 12)) return std::nullopt;
    return address;
}

/// How many leading bits of the 16 bytes a mask behind '/' covers; nullopt: it is none.
std::optional<size_t> mask_bits(std::string_view mask, bool is_ipv4) {
    unsigned bits = 0;
    const auto [end, failure] = std::from_chars(mask.data(), mask.data() + mask.size(), bits);
    if (failure == std::errc() && end == mask.data() + mask.size()) {
        if (bits > (is_ipv4 ? 32u : 128u)) return std::nullopt;
        return bits + (is_ipv4 ? 96 : 0);
    }
    const auto parsed = parse_address(mask);
    if (!parsed || !is_ipv4 || mask.find(':') != std::string_view::npos) return std::nullopt;
    size_t covered = 96;
    while (covered < 128 && ((*parsed)[covered / 8] >> (7 - covered % 8) & 1) != 0) ++covered;
    for (size_t i = covered; i < 128; ++i) {
        if (((*parsed)[i / 8] >> (7 - i % 8) & 1) != 0) return std::nullopt;
    }
    return covered;
}

struct Network {
    Address address;
    size_t bits;
};
std::optional<Network> parse_network(std::string_view pattern) {
    const size_t slash = pattern.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const std::string_view base = pattern.substr(0, slash);
    const auto address = parse_address(base);
    if (!address) return std::nullopt;
    const auto bits = mask_bits(pattern.substr(slash + 1), base.find(':') == std::string_view::npos);
    if (!bits) return std::nullopt;
    return Network{*address, *bits};
}
bool is_inside(const Network& network, const Address& address) {
    for (size_t i = 0; i < network.bits; ++i) {
        if (((network.address[i / 8] ^ address[i / 8]) >> (7 - i % 8) & 1) != 0) return false;
    }
    return true;
}

/// LIKE, without recursion: after a mismatch only the last % takes one letter more.
bool is_like(std::string_view pattern, std::string_view text) {
    size_t p = 0, t = 0;
    size_t percent = std::string_view::npos, resume = 0;
    while (t < text.size()) {
        const bool has = p < pattern.size();
        const bool escaped = has && pattern[p] == '\\' && p + 1 < pattern.size();
        if (has && !escaped && pattern[p] == '%') {
            percent = p++;
            resume = t;
        } else if (has && ((!escaped && pattern[p] == '_') ||
                           lower(pattern[p + (escaped ? 1 : 0)]) == lower(text[t]))) {
            p += escaped ? 2 : 1;
            ++t;
        } else if (percent != std::string_view::npos) {
            p = percent + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '%') ++p;
    return p == pattern.size();
}

size_t first_wildcard(std::string_view pattern) {
    for (size_t i = 0; i < pattern.size(); ++i) {
        if (pattern[i] == '\\') {
            ++i;
        } else if (pattern[i] == '%' || pattern[i] == '_') {
            return i;
        }
    }
    return std::string_view::npos;
}

/// Larger is more specific: literals, then networks by their bits, then patterns by how late their first
/// wildcard comes; the empty host, which matches like %, is behind them all.
std::tuple<int, size_t, size_t> specificity(std::string_view pattern) {
    if (pattern.empty()) return {0, 0, 0};
    if (const auto network = parse_network(pattern)) return {2, network->bits, 0};
    const size_t wildcard = first_wildcard(pattern);
    if (wildcard == std::string_view::npos) return {3, 0, 0};
    return {1, wildcard, pattern.size()};
}

int usefulness(std::string_view plugin) {
    if (plugin == plugin::native || plugin == plugin::caching_sha2) return 2;
    return plugin == plugin::ed25519_stored ? 1 : 0;
}

}  // namespace

bool host_matches(std::string_view pattern, const ClientHost& host) {
    if (pattern.empty() || pattern == "%") return true;
    const auto address = host.address.empty() ? std::nullopt : parse_address(host.address);
    if (const auto network = parse_network(pattern)) return address && is_inside(*network, *address);
    // A server calls its own host localhost, by Unix socket and (unless it skips name resolution) loopback.
    const bool is_loopback = host.address.empty() || host.address == "127.0.0.1" || host.address == "::1" ||
                             host.address == "::ffff:127.0.0.1";
    if (is_loopback && is_like(pattern, "localhost")) return true;
    if (host.address.empty()) return false;
    if (const auto literal = parse_address(pattern)) return address && *literal == *address;
    const std::string_view mapped = "::ffff:";
    std::string_view name = host.address;
    if (name.starts_with(mapped) && name.find('.') != std::string_view::npos)
        name.remove_prefix(mapped.size());
    return is_like(pattern, name);
}

const dialect::StoredAccount* choose_account(const std::vector<dialect::StoredAccount>& accounts,
                                             const ClientHost& host) {
    const dialect::StoredAccount* best = nullptr;
    for (const dialect::StoredAccount& account : accounts) {
        if (!host_matches(account.host, host)) continue;
        // Alternatives of one account: the one whose proof can be carried on to servers.
        const auto rank = [](const dialect::StoredAccount& each) {
            return std::pair(specificity(each.host), usefulness(each.plugin));
        };
        if (best == nullptr || rank(account) > rank(*best)) best = &account;
    }
    return best;
}

}  // namespace holdfast::mysql
