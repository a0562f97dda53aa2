// What must not run twice, where writes may go, and what is certain of a lost statement.
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
const std::string demoted = "The MariaDB server is running with the --read-only option";

dialect::UnitFacts facts_of(Lab& lab, std::string_view sql) {
    ByteBuffer out;
    lab.conversation->cut(as_bytes(query(sql)), false, out);
    return lab.conversation->facts();
}

}  // namespace

TEST_CASE("mysql outcomes: behind a statement in flight that changes how texts are read, they wait") {
    for (const char* sql : {"SET NAMES gbk", "SET sql_mode='ANSI_QUOTES'", "CALL p()"}) {
        CAPTURE(sql);
        Lab lab;
        lab.send(query(sql));
        lab.send(query("SELECT '\xbf\\'; DELETE FROM t; -- '"));
        CHECK(lab.kind == CutKind::wait);
        lab.send(command_of(command::stmt_prepare, "SELECT '\xbf\\'; DELETE FROM t; -- '"));
        CHECK(lab.kind == CutKind::wait);
    }
}
