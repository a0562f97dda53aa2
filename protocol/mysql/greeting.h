#pragma once

#include <cstdint>
#include <string>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

namespace holdfast::mysql {

/// A server's first packet.
struct Greeting {
    std::string version;
    uint32_t connection_id = 0;
    uint64_t capabilities = 0;  // MariaDB's extensions above
    uint8_t collation = 0;
    uint16_t status = 0;
    ByteBuffer salt;  // without the NUL behind it
    std::string plugin;
};
/// in      exactly the payload
/// errors  unsupported: another version than 10; bad_length: cut off
/// spec    MySQL Internals, "Protocol::HandshakeV10"; MariaDB Knowledge Base, "Connecting"
Result<Greeting> parse_greeting(Bytes payload);

}  // namespace holdfast::mysql
