// A server's bytes after a few requests of a client.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tests/fuzz/mysql_conversation.h"

using namespace holdfast;
using namespace holdfast::mysql;

namespace {

void request(fuzz::Talk& talk, uint8_t command, std::string_view body, Slot slot) {
    ByteBuffer bytes;
    PacketWriter(bytes, 0).u8(command).bare_text(body).finish();
    talk.send(bytes, slot);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    fuzz::Talk talk(data[0]);
    const Slot slot = (data[0] & 128) != 0 ? Slot::b : Slot::a;
    switch (data[1] % 8) {
        case 0: request(talk, command::query, "SELECT a FROM t", slot); break;
        case 1: request(talk, command::query, "INSERT INTO t VALUES (1); SET @a := 2; COMMIT", slot); break;
        case 2: request(talk, command::stmt_prepare, "SELECT ? FROM t", slot); break;
        case 3: request(talk, command::field_list, "t", slot); break;
        case 4: request(talk, command::reset_connection, "", slot); break;
        case 5: request(talk, command::statistics, "", slot); break;
        case 6: {
            ByteBuffer sync;
            talk.conversation->synchronise(Slot::b, sync);
            break;
        }
        case 7: request(talk, command::binlog_dump, "", slot); break;
    }
    request(talk, command::ping, "", slot);
    const Bytes all = std::as_bytes(std::span(data + 2, size - 2));
    const size_t half = all.size() / 2;
    if (!talk.receive(all.first(half), slot) || !talk.receive(all.subspan(half), slot)) talk.lose(slot);
    request(talk, command::query, "SELECT 1", slot);
    talk.lose(slot);
    return 0;
}
