#include "protocol/mysql/greeting.h"

#include <algorithm>

#include "protocol/mysql/packets.h"

namespace holdfast::mysql {

Result<Greeting> parse_greeting(Bytes payload) {
    PacketReader reader(payload);
    if (reader.u8() != 10) return Error{ErrorCode::unsupported, "the server's greeting is not of version 10"};
    Greeting greeting;
    greeting.version = reader.text();
    greeting.connection_id = reader.u32();
    append(greeting.salt, reader.take(8));
    reader.u8();
    greeting.capabilities = reader.u16();
    greeting.collation = reader.u8();
    greeting.status = reader.u16();
    greeting.capabilities |= uint64_t{reader.u16()} << 16;
    const size_t salt_size = reader.u8();
    reader.take(6);
    const uint64_t extended = reader.u32();
    if ((greeting.capabilities & capability::client_mysql) == 0) greeting.capabilities |= extended << 32;
    if ((greeting.capabilities & capability::secure_connection) != 0) {
        // By the letter: 13 bytes or more, the last of them NUL.
        Bytes second = reader.take(std::max<size_t>(13, salt_size < 8 ? 0 : salt_size - 8));
        while (!second.empty() && second.back() == std::byte{0}) second = second.first(second.size() - 1);
        append(greeting.salt, second);
    }
    if ((greeting.capabilities & capability::plugin_auth) != 0) {
        // Some versions leave the NUL behind the name out.
        const Bytes rest = reader.take_rest();
        greeting.plugin.assign(as_text(rest).substr(0, as_text(rest).find('\0')));
    }
    if (reader.failed()) return Error{ErrorCode::bad_length, "the server's greeting is cut off"};
    return greeting;
}

}  // namespace holdfast::mysql
