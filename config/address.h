#pragma once

#include <string>
#include <string_view>

#include "config/settings.h"
#include "protocol/base/result.h"

/// Addresses as an operator writes them. Every error says what to write instead.
namespace holdfast::config {

/// Where to listen: "host:port", "[IPv6]:port", or the absolute path of a Unix socket.
/// errors  bad_value
Result<Endpoint> parse_listen_address(std::string_view text);

/// A server: "host", "host:port", "[IPv6]", "[IPv6]:port"; or an absolute path: of a Unix socket, or for
/// PostgreSQL of the directory that holds one, with or without ":port".
/// errors  bad_value; unsupported: a dns+ address
Result<Endpoint> parse_server_address(std::string_view text, Protocol protocol);

/// An IPv4 or IPv6 network, "10.0.0.0/8"; a single address is a network of its own. Returns it with its
/// prefix length always written.
/// errors  bad_value: no such network, or bits set behind the prefix
Result<std::string> parse_network(std::string_view text);

/// Whether both can't be listened on at once: the same path, or the same port on the same host or on all of
/// them.
bool collide(const Endpoint& a, const Endpoint& b);

/// The same host in whatever way it is written, and the same port or path.
bool is_same(const Endpoint& a, const Endpoint& b);

/// A literal address of this machine alone, or a Unix socket; of names, only `localhost`.
bool is_loopback(const Endpoint& endpoint);

std::string to_text(const Endpoint& endpoint);

}  // namespace holdfast::config
