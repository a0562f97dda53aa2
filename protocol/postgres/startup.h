#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/postgres/login.h"

/// What a client's first packets mean. Pure; ClientLogin carries it out.
/// spec    PostgreSQL documentation, "Message Formats", StartupMessage, CancelRequest,
/// NegotiateProtocolVersion
namespace holdfast::postgres {

/// A packet without a type byte: length, code, the rest.
struct OpeningPacket {
    uint32_t code;  // a protocol version or one of the request codes
    Bytes rest;     // a view into the input
    size_t total_bytes() const { return 8 + rest.size(); }
};

/// Finds the packet at the front of `in`; nullopt: more bytes please.
/// errors  bad_length: below 8 or above limits::postgres_startup_packet_bytes_max, told as soon as the length
///         is there
Result<std::optional<OpeningPacket>> take_opening_packet(Bytes in);

/// A startup message, and what has to be answered to it before anything else.
struct StartupRequest {
    Startup startup;
    /// A NegotiateProtocolVersion is due: the client asked for a version or for options that we don't know.
    bool needs_negotiation = false;
    std::vector<std::string> unrecognized_options;  // the names that begin with _pq_.
};

/// Reads a startup message of any version.
/// errors  unsupported: not protocol 3 (0A000); bad_length: a broken list of parameters (08P01);
///         denied: no user (28000); bad_value: replication is no boolean and not "database" (22023)
Result<StartupRequest> read_startup(uint32_t version, Bytes rest);

/// What PostgreSQL takes for a boolean: any case, any unambiguous beginning of true, false, yes, no, on, off;
/// 1 and 0.
std::optional<bool> parse_boolean(std::string_view text);

}  // namespace holdfast::postgres
