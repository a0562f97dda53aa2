// What a client is answered without any server.

#include "protocol/mysql/conversation.h"

namespace holdfast::mysql {

using dialect::Cut;
using dialect::CutKind;

Cut Conversation::answer_here(ByteBuffer& out, uint16_t number, std::string_view sqlstate,
                              std::string_view message) {
    if (!units_.empty()) return {CutKind::wait};
    begin_stream(true);
    if (stream_under_way()) {
        deferred_ = std::make_unique<Deferred>(Deferred{number, std::string(sqlstate), std::string(message)});
        return {CutKind::drop, scratch_.size};
    }
    append_err(out, 1, number, sqlstate, message);
    return {CutKind::answer, scratch_.size};
}

Cut Conversation::answer_ok(ByteBuffer& out) {
    begin_stream(true);
    OkPacket ok;
    ok.status = last_status_;
    append_ok(out, 1, ok, around_.client_capabilities);
    return {CutKind::answer, scratch_.size};
}

Cut Conversation::ask_kill(uint64_t id, bool whole_session) {
    if (!units_.empty()) return {CutKind::wait};
    begin_stream(true);
    kill_ = {id, whole_session};
    return {CutKind::kill, scratch_.size};
}

void Conversation::answer_kill(dialect::KillOutcome outcome, ByteBuffer& out) {
    const std::string id = std::to_string(kill_.process_id);
    switch (outcome) {
        case dialect::KillOutcome::done: {
            OkPacket ok;
            ok.status = last_status_;
            append_ok(out, 1, ok, around_.client_capabilities);
            return;
        }
        case dialect::KillOutcome::no_such_session:
            append_err(out, 1, 1094, "HY000", "Unknown thread id: " + id);
            return;
        case dialect::KillOutcome::not_allowed:
            append_err(out, 1, 1095, "HY000", "You are not owner of thread " + id);
            return;
    }
}

/// SELECT CONNECTION_ID(): the number that KILL takes here is the proxy's.
Cut Conversation::answer_connection_id(std::string_view column, bool is_binary, ByteBuffer& out) {
    uint8_t sequence = 1;
    {
        PacketWriter writer(out, sequence);
        writer.lenenc(1);
        if (client_has(capability::optional_resultset_metadata | capability::cache_metadata)) writer.u8(1);
        sequence = writer.finish();
    }
    {
        PacketWriter writer(out, sequence);
        writer.lenenc_text("def").lenenc_text("").lenenc_text("").lenenc_text("");
        writer.lenenc_text(column).lenenc_text("");
        if (client_has(capability::extended_metadata)) writer.lenenc_text("");
        writer.lenenc(0x0c).u16(63).u32(10).u8(0x08).u16(0x81).u8(0).u16(0);
        sequence = writer.finish();
    }
    if (!client_has(capability::deprecate_eof)) sequence = append_eof(out, sequence, {0, last_status_});
    {
        PacketWriter writer(out, sequence);
        if (is_binary) {
            writer.u8(0).u8(0).u32(around_.process_id).u32(0);  // no NULLs; eight bytes
        } else {
            writer.lenenc_text(std::to_string(around_.process_id));
        }
        sequence = writer.finish();
    }
    if (client_has(capability::deprecate_eof)) {
        OkPacket ok;
        ok.status = last_status_;
        append_ok(out, sequence, ok, around_.client_capabilities, reply::eof);
    } else {
        append_eof(out, sequence, {0, last_status_});
    }
    begin_stream(true);
    return {CutKind::answer, scratch_.size};
}

}  // namespace holdfast::mysql
