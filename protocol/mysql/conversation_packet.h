#pragma once

#include "protocol/mysql/conversation.h"

namespace holdfast::mysql {

/// A packet of a server's answer, or as much as there is of it.
struct Conversation::Packet {
    Slot slot;
    Bytes bytes;      // with its header
    uint32_t length;  // of its payload, whole

    Bytes payload() const { return bytes.subspan(packet_header_bytes); }
    uint8_t sequence() const { return std::to_integer<uint8_t>(bytes[3]); }
};

}  // namespace holdfast::mysql
