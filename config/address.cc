#include "config/address.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "config/text.h"
#include "config/units.h"

namespace holdfast::config {
namespace {

/// sockaddr_un holds 108 bytes, the closing zero included.
constexpr size_t unix_path_bytes_max = 107;
constexpr size_t host_name_bytes_max = 253;

using Ipv4 = std::array<unsigned char, 4>;
using Ipv6 = std::array<unsigned char, 16>;

/// inet_pton would stop at a zero byte and believe what comes before it.
bool holds_zero(const std::string& text) {
    return text.find('\0') != std::string::npos;
}

std::optional<Ipv4> to_ipv4(const std::string& text) {
    Ipv4 bytes{};
    if (holds_zero(text)) return std::nullopt;
    if (::inet_pton(AF_INET, text.c_str(), bytes.data()) != 1) return std::nullopt;
    return bytes;
}

std::optional<Ipv6> to_ipv6(const std::string& text) {
    Ipv6 bytes{};
    if (holds_zero(text)) return std::nullopt;
    if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) != 1) return std::nullopt;
    return bytes;
}

/// One spelling for every way to write a host.
std::string canonical(const std::string& host) {
    if (const auto v6 = to_ipv6(host)) {
        std::array<char, INET6_ADDRSTRLEN> text{};
        ::inet_ntop(AF_INET6, v6->data(), text.data(), text.size());
        return text.data();
    }
    std::string lower;
    for (const char c : host) lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return lower;
}

Error bad(std::string message) {
    return {ErrorCode::bad_value, std::move(message)};
}

Result<uint16_t> parse_port(std::string_view text) {
    const auto number = parse_number(text);
    if (!number || *number < 1 || *number > 65'535) {
        return bad("the port must be a number from 1 to 65535, found " + quote(text));
    }
    return static_cast<uint16_t>(*number);
}

/// errors  bad_value: neither a name nor an IPv4 address
Result<std::string> parse_host(std::string_view text) {
    const bool is_numeric = text.find_first_not_of("0123456789.") == std::string_view::npos;
    const std::string host{text};
    if (is_numeric) {
        if (!to_ipv4(host)) return bad(quote(text) + " is not an IPv4 address");
        return host;
    }
    for (const char c : text) {
        const bool is_allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                                c == '-' || c == '.' || c == '_';
        if (!is_allowed) return bad(quote(text) + " is not a host name or address");
    }
    if (text.size() > host_name_bytes_max) return bad("a host name has at most 253 characters");
    return host;
}

struct HostPort {
    std::string host;
    std::optional<uint16_t> port;
};

Result<HostPort> parse_bracketed(std::string_view text) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return bad("no ']' after the IPv6 address in " + quote(text));
    HostPort out;
    out.host = std::string(text.substr(1, close - 1));
    if (!to_ipv6(out.host)) return bad(quote(out.host) + " is not an IPv6 address");
    const std::string_view rest = text.substr(close + 1);
    if (rest.empty()) return out;
    if (rest[0] != ':') return bad("expected ':' and a port after ']' in " + quote(text));
    const auto port = parse_port(rest.substr(1));
    if (!port) return port.error();
    out.port = *port;
    return out;
}

/// errors  bad_value; an empty host is the caller's to judge
Result<HostPort> parse_host_port(std::string_view text) {
    if (const size_t scheme = text.find("://"); scheme != std::string_view::npos) {
        return bad("write only host:port, without " + quote(text.substr(0, scheme + 3)));
    }
    if (text.starts_with('[')) return parse_bracketed(text);
    const std::vector<std::string_view> parts = split(text, ':');
    if (parts.size() > 2) {
        const std::string whole{text};
        if (to_ipv6(whole)) {
            return bad("an IPv6 address needs brackets: \"[" + whole + "]\", and with a port \"[" + whole +
                       "]:6432\"");
        }
        return bad("expected host:port, found " + quote(text));
    }
    HostPort out;
    if (parts.size() == 2) {
        const auto port = parse_port(parts[1]);
        if (!port) return port.error();
        out.port = *port;
    }
    if (parts[0].empty() || parts[0] == "*") return out;
    auto host = parse_host(parts[0]);
    if (!host) return host.error();
    out.host = std::move(*host);
    return out;
}

Result<Endpoint> parse_unix_path(std::string_view path) {
    for (const char c : path) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            return bad("a socket's path has no control characters");
        }
    }
    if (path.size() > unix_path_bytes_max) {
        return bad("the path of a Unix socket has at most 107 bytes, this one has " +
                   std::to_string(path.size()));
    }
    if (path.ends_with('/')) return bad("expected the path of a socket, found the directory " + quote(path));
    Endpoint out;
    out.unix_path = std::string(path);
    return out;
}

/// PostgreSQL's sockets are named for their port: clients give the directory and the port.
Result<Endpoint> parse_postgres_path(std::string_view text) {
    constexpr std::string_view socket_prefix = "/.s.PGSQL.";
    if (text.substr(text.rfind('/')).starts_with(socket_prefix)) return parse_unix_path(text);
    std::string_view directory = text;
    std::string_view port = "5432";
    const size_t colon = text.rfind(':');
    if (colon != std::string_view::npos && colon > text.rfind('/')) {
        directory = text.substr(0, colon);
        port = text.substr(colon + 1);
        if (const auto number = parse_port(port); !number) return number.error();
    }
    while (directory.ends_with('/')) directory.remove_suffix(1);
    return parse_unix_path(std::string(directory) + std::string(socket_prefix) + std::string(port));
}

bool is_every_host(const std::string& host) {
    return host == "0.0.0.0" || canonical(host) == "::";
}

/// The address with all bits behind the prefix cleared.
std::string network_of(int family, std::span<unsigned char> bytes, uint64_t prefix) {
    for (size_t i = 0; i < bytes.size(); ++i) {
        const uint64_t first_bit = i * 8;
        const uint64_t kept = prefix > first_bit ? std::min<uint64_t>(prefix - first_bit, 8) : 0;
        bytes[i] = static_cast<unsigned char>(bytes[i] & (0xFF00U >> kept));
    }
    std::array<char, INET6_ADDRSTRLEN> text{};
    ::inet_ntop(family, bytes.data(), text.data(), text.size());
    return std::string(text.data()) + "/" + std::to_string(prefix);
}

Result<std::string> check_network(int family, std::span<unsigned char> bytes, std::string_view text,
                                  std::optional<std::string_view> length) {
    const uint64_t bits = bytes.size() * 8;
    uint64_t prefix = bits;
    if (length) {
        const auto number = parse_number(*length);
        if (!number || *number > bits) {
            return bad("the prefix length of " + quote(text) + " must be a number from 0 to " +
                       std::to_string(bits));
        }
        prefix = *number;
    }
    const std::vector<unsigned char> given(bytes.begin(), bytes.end());
    std::string network = network_of(family, bytes, prefix);
    if (!std::equal(given.begin(), given.end(), bytes.begin())) {
        return bad(quote(text) + " has bits set behind its prefix; the network is \"" + network + "\"");
    }
    return network;
}

}  // namespace

Result<Endpoint> parse_listen_address(std::string_view text) {
    if (text.starts_with('/')) return parse_unix_path(text);
    if (!text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos) {
        return bad("a port alone; write \"0.0.0.0:" + std::string(text) +
                   "\" to listen on every IPv4 address");
    }
    auto parsed = parse_host_port(text);
    if (!parsed) return parsed.error();
    if (!parsed->port) {
        return bad(quote(text) + " has no port; write for example \"" +
                   (text.empty() ? "0.0.0.0" : std::string(text)) + ":6432\"");
    }
    const std::string port = std::to_string(*parsed->port);
    if (parsed->host.empty()) {
        return bad("no host in " + quote(text) + "; write \"0.0.0.0:" + port +
                   "\" to listen on every IPv4 address, or \"[::]:" + port + "\"");
    }
    return Endpoint{std::move(parsed->host), *parsed->port, {}};
}

Result<Endpoint> parse_server_address(std::string_view text, Protocol protocol) {
    if (text.starts_with("dns+")) {
        return Error{ErrorCode::unsupported,
                     "\"dns+\" (all servers behind one name) is not supported yet; list each server"};
    }
    if (text.starts_with('/')) {
        return protocol == Protocol::postgres ? parse_postgres_path(text) : parse_unix_path(text);
    }
    const uint16_t default_port = protocol == Protocol::postgres ? 5432 : 3306;
    auto parsed = parse_host_port(text);
    if (!parsed) return parsed.error();
    if (parsed->host.empty()) return bad("no host in " + quote(text) + "; write host or host:port");
    if (is_every_host(parsed->host)) {
        return bad(quote(text) + " is not the address of one server; 127.0.0.1 is this machine");
    }
    return Endpoint{std::move(parsed->host), parsed->port.value_or(default_port), {}};
}

Result<std::string> parse_network(std::string_view text) {
    const std::vector<std::string_view> parts = split(text, '/');
    const std::string address{parts[0]};
    if (parts.size() <= 2) {
        const auto length = parts.size() == 2 ? std::optional(parts[1]) : std::nullopt;
        if (auto v4 = to_ipv4(address)) return check_network(AF_INET, *v4, text, length);
        if (auto v6 = to_ipv6(address)) return check_network(AF_INET6, *v6, text, length);
    }
    return bad("expected a network such as \"10.0.0.0/8\" or \"fd00::/8\", found " + quote(text));
}

bool is_same(const Endpoint& a, const Endpoint& b) {
    return a.unix_path == b.unix_path && a.port == b.port && canonical(a.host) == canonical(b.host);
}

bool collide(const Endpoint& a, const Endpoint& b) {
    if (a.is_unix() || b.is_unix()) return a.unix_path == b.unix_path;
    if (a.port != b.port) return false;
    if (canonical(a.host) == canonical(b.host)) return true;
    // 0.0.0.0 takes the port of every IPv4 address, [::] that of every IPv6 address; a name may be either.
    const auto covers = [](const std::string& every, const std::string& host) {
        const bool is_v6 = to_ipv6(host).has_value();
        return (every == "0.0.0.0" && !is_v6) || (canonical(every) == "::" && is_v6);
    };
    return covers(a.host, b.host) || covers(b.host, a.host);
}

bool is_loopback(const Endpoint& endpoint) {
    if (endpoint.is_unix()) return true;
    if (const auto v4 = to_ipv4(endpoint.host)) return (*v4)[0] == 127;
    const std::string host = canonical(endpoint.host);
    return host == "::1" || host == "localhost";
}

std::string to_text(const Endpoint& endpoint) {
    if (endpoint.is_unix()) return endpoint.unix_path;
    const bool is_v6 = endpoint.host.find(':') != std::string::npos;
    return (is_v6 ? "[" + endpoint.host + "]" : endpoint.host) + ":" + std::to_string(endpoint.port);
}

}  // namespace holdfast::config
