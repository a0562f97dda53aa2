// A client's bytes, in two pieces, with everything answered by OK in between.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/mysql_conversation.h"

using namespace holdfast;
using namespace holdfast::mysql;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    fuzz::Talk talk(data[0]);
    const Bytes all = std::as_bytes(std::span(data + 2, size - 2));
    const size_t first = std::min<size_t>(data[1], all.size());
    const Slot slot = (data[0] & 128) != 0 ? Slot::b : Slot::a;
    size_t used = talk.send(all.first(first), slot);
    ByteBuffer ok;
    OkPacket plain;
    plain.status = status::autocommit;
    append_ok(ok, 1, plain, capability::protocol_41 | capability::session_track);
    for (size_t i = 0; i < 4 && talk.conversation->units_in_flight() > 0; ++i) {
        if (!talk.receive(ok, slot)) talk.lose(slot);
    }
    used += talk.send(all.subspan(used), slot);
    ByteBuffer sync;
    talk.conversation->synchronise(Slot::b, sync);
    talk.lose(slot);
    talk.send(all.subspan(used), slot);
    return 0;
}
