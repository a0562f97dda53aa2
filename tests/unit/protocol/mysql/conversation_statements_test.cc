// Prepared statements, of the protocol and of SQL, on several connections.
#include <doctest/doctest.h>

#include "protocol/base/limits.h"
#include "tests/unit/protocol/mysql/conversation_lab.h"

using namespace holdfast;
using namespace holdfast::mysql;
using namespace holdfast::mysql::test;
using dialect::CutKind;
using dialect::ScanEvent;
using dialect::Slot;

namespace {

constexpr uint16_t in_transaction = status::autocommit | status::in_transaction;

std::string prepare(std::string_view sql) {
    return command_of(command::stmt_prepare, sql);
}
void prepare_on(Lab& lab, std::string_view sql, uint32_t server_id, Slot slot = Slot::a) {
    lab.send(prepare(sql), slot);
    lab.receive(prepared_answer(server_id), slot);
}
/// The primary's connection is gone, and there is a new one.
void replace_primary(Lab& lab) {
    lab.conversation->slot_lost(Slot::a);
    lab.conversation->slot_opened(Slot::a, false);
}
/// Has the statement prepared where it lacks, as the engine does between a cut and its acceptance.
void bring(Lab& lab, std::string_view request, uint32_t server_id) {
    ByteBuffer out;
    lab.conversation->cut(as_bytes(request), false, out);
    REQUIRE_FALSE(lab.synchronise(Slot::a).empty());
    lab.receive(prepared_answer(server_id));
    REQUIRE(lab.event == ScanEvent::sync_done);
}
std::string long_data(uint32_t id, std::string_view data) {
    return command_of(command::stmt_send_long_data, id_bytes(id) + std::string(2, '\0') + std::string(data));
}

}  // namespace

TEST_CASE("mysql statements: a connection that lacks one is never given the id of another") {
    Lab lab;
    prepare_on(lab, "SELECT a FROM t WHERE a=?", 1, Slot::b);
    prepare_on(lab, "DELETE FROM t WHERE a=?", 1);
    lab.send(query("BEGIN"));
    lab.receive(ok_packet(1, in_transaction));
    // No server gives the id 0.
    CHECK(lab.send(execute(1, true)) == execute(0, true));
}
