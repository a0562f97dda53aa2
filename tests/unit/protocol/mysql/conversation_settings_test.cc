// How texts are read, and by whom: what the servers' own settings, resets and the schema do to that;
// listeners that only read; what the proxy answers by itself.
#include <doctest/doctest.h>

#include "tests/unit/protocol/mysql/conversation_lab.h"

using namespace holdfast;
using namespace holdfast::mysql;
using namespace holdfast::mysql::test;
using dialect::CutKind;
using dialect::ScanEvent;
using dialect::Slot;

namespace {

constexpr uint16_t in_transaction = status::autocommit | status::in_transaction;

/// A session whose server has told these at login.
struct SettingsLab : Lab {
    explicit SettingsLab(std::optional<std::string> sql_mode, std::string character_set = {}) {
        Surroundings around;
        around.client_capabilities = modern_client | capability::multi_statements;
        around.collation = 45;
        around.server_version = 101'106;
        around.process_id = 77;
        around.sql_mode = std::move(sql_mode);
        around.character_set_client = std::move(character_set);
        conversation = std::make_unique<Conversation>(identity, cache, scratch, around);
        open(Slot::a, false, around.sql_mode);
        open(Slot::b, true, around.sql_mode);
    }
    void open(Slot slot, bool is_replica, const std::optional<std::string>& sql_mode) {
        dialect::Parameters& parameters = told[dialect::index(slot)];
        parameters = {{"tracking", "on"}};
        if (sql_mode) parameters.emplace_back("sql_mode", *sql_mode);
        conversation->slot_opened(slot, is_replica);
        conversation->slot_parameters(slot, parameters);
    }
    sql::Destination destination(std::string_view sql) {
        ByteBuffer out;
        conversation->cut(as_bytes(query(sql)), false, out);
        return conversation->facts().destination;
    }
    std::array<dialect::Parameters, 2> told;
};

std::string reported(std::string_view name, std::string_view value) {
    ByteBuffer block;
    append_system_variable(block, name, value);
    return ok_packet(1, status::autocommit, reply::ok, block);
}

/// A write or a read, by what a backslash means.
constexpr std::string_view write_without_escapes = R"(SELECT '\' FROM t FOR UPDATE -- ')";

class OneFunction final : public sql::FunctionCatalog {
public:
    Verdict find(std::string_view, std::string_view name) const override {
        return name == "f" ? verdict : Verdict::unknown;
    }
    Verdict verdict = Verdict::reads_only;
};

}  // namespace

TEST_CASE("mysql settings: the first statement is read as the server's own sql_mode says") {
    CHECK(SettingsLab("ANSI_QUOTES").destination(R"(SELECT 1 AS "a\" FROM t FOR UPDATE -- ")") ==
          sql::Destination::primary);
    CHECK(SettingsLab("STRICT_TRANS_TABLES").destination(R"(SELECT 1 AS "a\" FROM t FOR UPDATE -- ")") ==
          sql::Destination::replica);
    CHECK(SettingsLab("NO_BACKSLASH_ESCAPES").destination(write_without_escapes) ==
          sql::Destination::primary);
    CHECK(SettingsLab("").destination(write_without_escapes) == sql::Destination::replica);
    CHECK(SettingsLab("", "gbk").destination("SELECT '\xe0\x5c'") == sql::Destination::primary);
    CHECK(SettingsLab("").destination("SELECT '\xc3\xa4'") == sql::Destination::replica);
}

TEST_CASE("mysql settings: a connection whose server has another sql_mode by now gets the session's") {
    SettingsLab lab("ANSI_QUOTES");
    lab.conversation->slot_lost(Slot::a);
    lab.open(Slot::a, false, "STRICT_TRANS_TABLES");
    lab.scratch.clear();
    CHECK(lab.synchronise(Slot::a) == query("SET SESSION sql_mode='ANSI_QUOTES'"));
    lab.receive(ok_packet(1));
    // In the pool it is again what its login found.
    ByteBuffer out;
    REQUIRE(lab.conversation->append_reset(Slot::a, out));
    CHECK(as_text(out).find("sql_mode='STRICT_TRANS_TABLES'") != std::string_view::npos);
}

TEST_CASE("mysql settings: behind COM_RESET_CONNECTION texts are read as the server says") {
    SettingsLab lab("");
    lab.send(query("SET NAMES gbk"));
    lab.receive(reported("character_set_client", "gbk"));
    CHECK(lab.destination("SELECT '\xc3\xa4'") == sql::Destination::primary);
    lab.send(command_of(command::reset_connection));
    lab.receive(ok_packet(1));
    // Which character set the server has of its own is not known yet.
    CHECK(lab.destination("SELECT '\xc3\xa4'") == sql::Destination::primary);
    lab.scratch.clear();
    const std::string sync = lab.synchronise(Slot::a);
    CHECK(sync.find("character_set_client=@@character_set_client") != std::string::npos);
    CHECK(sync.find("sql_mode='") == std::string::npos);
    SUBCASE("a harmless one") {
        lab.receive(reported("character_set_client", "utf8mb4"));
        CHECK(lab.event == ScanEvent::sync_done);
        CHECK(lab.destination("SELECT '\xc3\xa4'") == sql::Destination::replica);
    }
    SUBCASE("one whose second bytes may be quotes") {
        lab.receive(reported("character_set_client", "gbk"));
        CHECK(lab.destination("SELECT '\xc3\xa4'") == sql::Destination::primary);
    }
}

TEST_CASE(
    "mysql settings: behind COM_RESET_CONNECTION nothing of the login holds, on new connections neither") {
    // The login had IGNORE_SPACE, which the server has not of its own.
    SettingsLab lab("IGNORE_SPACE,STRICT_TRANS_TABLES");
    lab.send(command_of(command::reset_connection));
    lab.receive(ok_packet(1));
    lab.scratch.clear();
    lab.synchronise(Slot::a);
    lab.receive(reported("sql_mode", "STRICT_TRANS_TABLES"));
    REQUIRE(lab.event == ScanEvent::sync_done);
    SUBCASE("the other one") {
        const std::string sync = lab.synchronise(Slot::b);
        CHECK(sync.starts_with(command_of(command::reset_connection)));
        CHECK(sync.find(", sql_mode='STRICT_TRANS_TABLES'") != std::string::npos);
    }
    SUBCASE("a new one") {
        lab.conversation->slot_lost(Slot::a);
        lab.open(Slot::a, false, "IGNORE_SPACE,STRICT_TRANS_TABLES");
        const std::string sync = lab.synchronise(Slot::a);
        CHECK(sync.starts_with(command_of(command::reset_connection)));
        CHECK(sync.find(", sql_mode='STRICT_TRANS_TABLES'") != std::string::npos);
        CHECK(sync.find("IGNORE_SPACE") == std::string::npos);
        // In the pool it is again what its login found.
        lab.receive(ok_packet(1) + ok_packet(1));
        REQUIRE(lab.event == ScanEvent::sync_done);
        ByteBuffer out;
        REQUIRE(lab.conversation->append_reset(Slot::a, out));
        CHECK(as_text(out).find("sql_mode='IGNORE_SPACE,STRICT_TRANS_TABLES'") != std::string_view::npos);
    }
}

TEST_CASE("mysql settings: who is not told of changes stays where he is") {
    Lab lab;
    lab.conversation->slot_parameters(Slot::a, {{"tracking", "off"}});
    CHECK(lab.conversation->pins().settings);
    ByteBuffer out;
    CHECK_FALSE(lab.conversation->append_reset(Slot::a, out));
}

TEST_CASE("mysql settings: on a listener for reads nothing lifts that for what comes behind it") {
    for (const char* sql :
         {"START TRANSACTION READ WRITE", "SET TRANSACTION READ WRITE", "SET @@transaction_read_only = 0",
          "SET SESSION TRANSACTION READ WRITE; INSERT INTO t VALUES (1)",
          "SET tx_read_only = OFF; INSERT INTO t VALUES (1)",
          "SET STATEMENT tx_read_only = 0 FOR INSERT INTO t VALUES (1)",
          "BEGIN NOT ATOMIC SET SESSION TRANSACTION READ WRITE; INSERT INTO t VALUES (1); END",
          "EXECUTE IMMEDIATE 'START TRANSACTION READ WRITE'",
          "START TRANSACTION READ WRITE; INSERT INTO t VALUES (1)"}) {
        CAPTURE(sql);
        SettingsLab lab("");
        lab.conversation->set_corrects(false);
        lab.conversation->set_only_reads(true);
        CHECK(lab.send(query(sql), Slot::b).empty());
        CHECK(lab.kind == CutKind::answer);
        CHECK(lab.answer.find("--read-only") != std::string::npos);
        // Elsewhere they are the server's business.
        SettingsLab other("");
        CHECK_FALSE(other.send(query(sql)).empty());
    }
    for (const char* sql : {"START TRANSACTION READ ONLY", "BEGIN", "SET SESSION TRANSACTION READ WRITE",
                            "SET SESSION TRANSACTION READ ONLY; SELECT 1", "SELECT 1", "CALL p()"}) {
        CAPTURE(sql);
        SettingsLab lab("");
        lab.conversation->set_corrects(false);
        lab.conversation->set_only_reads(true);
        CHECK_FALSE(lab.send(query(sql), Slot::b).empty());
    }
}

TEST_CASE("mysql settings: SQL's EXECUTE lifts nothing either") {
    SettingsLab lab("");
    lab.conversation->set_only_reads(true);
    lab.send(query("PREPARE s FROM 'START TRANSACTION READ WRITE'"), Slot::b);
    lab.receive(ok_packet(1), Slot::b);
    lab.send(query("EXECUTE s"), Slot::b);
    CHECK(lab.kind == CutKind::answer);
    CHECK(lab.answer.find("--read-only") != std::string::npos);
}

TEST_CASE("mysql settings: functions of the login's schema are nobody's business in another") {
    SettingsLab lab("");
    OneFunction functions;
    lab.sources.functions = &functions;
    CHECK(lab.destination("SELECT f()") == sql::Destination::replica);
    lab.send(query("USE other"));
    ByteBuffer schema;
    append_session_state(schema, SessionState::schema, "other");
    lab.receive(ok_packet(1, status::autocommit, reply::ok, schema));
    CHECK(lab.destination("SELECT f()") == sql::Destination::primary);
    CHECK(lab.destination("SELECT shop.f()") == sql::Destination::replica);
    lab.send(command_of(command::init_db, "shop"));
    schema.clear();
    append_session_state(schema, SessionState::schema, "shop");
    lab.receive(ok_packet(1, status::autocommit, reply::ok, schema));
    CHECK(lab.destination("SELECT f()") == sql::Destination::replica);
}

TEST_CASE("mysql settings: a prepared statement follows what is known of its functions") {
    SettingsLab lab("");
    OneFunction functions;
    lab.sources.functions = &functions;
    lab.sources.functions_version = 1;
    lab.send(command_of(command::stmt_prepare, "SELECT f() FROM t WHERE a=?"));
    lab.receive(prepared_answer(1));
    lab.send(query("PREPARE s FROM 'SELECT f()'"));
    lab.receive(ok_packet(1));
    ByteBuffer out;
    lab.conversation->cut(as_bytes(execute(1, true)), false, out);
    CHECK(lab.conversation->facts().destination == sql::Destination::replica);
    CHECK(lab.destination("EXECUTE s") == sql::Destination::replica);
    functions.verdict = sql::FunctionCatalog::Verdict::may_write;
    ++lab.sources.functions_version;
    lab.conversation->cut(as_bytes(execute(1, true)), false, out);
    CHECK(lab.conversation->facts().destination == sql::Destination::primary);
    CHECK(lab.destination("EXECUTE s") == sql::Destination::primary);
}

TEST_CASE("mysql settings: the connection's number and KILL are the proxy's, however they are run") {
    SettingsLab lab("");
    for (const char* sql : {"PREPARE c FROM 'SELECT CONNECTION_ID()'", "PREPARE k FROM 'KILL QUERY 12'"}) {
        lab.send(query(sql));
        lab.receive(ok_packet(1));
    }
    lab.send(query("EXECUTE c"));
    CHECK(lab.kind == CutKind::answer);
    CHECK(lab.answer.find("\x02"
                          "77") != std::string::npos);
    lab.send(query("EXECUTE IMMEDIATE 'SELECT CONNECTION_ID()'"));
    CHECK(lab.kind == CutKind::answer);
    lab.send(query("EXECUTE k"));
    CHECK(lab.kind == CutKind::kill);
    CHECK(lab.conversation->kill_request().process_id == 12);
    CHECK_FALSE(lab.conversation->kill_request().whole_session);
    lab.send(query("EXECUTE IMMEDIATE 'KILL 13'"));
    CHECK(lab.kind == CutKind::kill);
    CHECK(lab.conversation->kill_request().process_id == 13);

    lab.send(command_of(command::stmt_prepare, "SELECT CONNECTION_ID()"));
    lab.receive(packet(1, std::string(1, '\0') + id_bytes(5) + std::string("\x01\0\0\0\0\0\0", 7)) +
                column(2));
    lab.send(command_of(command::stmt_execute, id_bytes(1) + std::string(1, '\0') + id_bytes(1)));
    CHECK(lab.kind == CutKind::answer);
    // A binary row: a zero, no NULLs, eight bytes.
    CHECK(lab.answer.find(std::string("\0\0\x4d\0\0\0\0\0\0\0", 10)) != std::string::npos);
}

TEST_CASE("mysql settings: an XA transaction that was prepared outlives its server") {
    std::string prepares = "XA PREPARE 'x'";
    SUBCASE("until it is committed") {}
    SUBCASE("by SQL's EXECUTE") {
        prepares = "EXECUTE IMMEDIATE \"XA PREPARE 'x'\"";
    }
    SettingsLab lab("");
    for (const char* sql : {"XA START 'x'", "INSERT INTO t VALUES (1)", "XA END 'x'"}) {
        lab.send(query(sql));
        lab.receive(ok_packet(1, in_transaction));
        CHECK_FALSE(lab.conversation->transaction_survives());
    }
    lab.send(query(prepares));
    lab.receive(ok_packet(1, in_transaction));
    CHECK(lab.conversation->transaction_survives());
    lab.send(query("XA COMMIT 'x'"));
    lab.receive(ok_packet(1));
    CHECK_FALSE(lab.conversation->transaction_survives());
}

TEST_CASE("mysql settings: what may be there still is not given up by a ROLLBACK elsewhere") {
    for (const auto failure : {dialect::Failure::outcome_unknown, dialect::Failure::transaction_lost}) {
        SettingsLab lab("");
        lab.send(query("BEGIN"));
        lab.receive(ok_packet(1, in_transaction));
        dialect::FailureText text;
        text.failure = failure;
        text.message = "gone with its server";
        lab.conversation->slot_lost(Slot::a);
        lab.conversation->lose_transaction(text);
        lab.send(query("ROLLBACK"));
        const bool is_told = lab.answer.find("gone with its server") != std::string::npos;
        CHECK(is_told == (failure == dialect::Failure::outcome_unknown));
    }
}

TEST_CASE("mysql settings: what procedures have set is replayed as the server takes it") {
    SettingsLab lab("");
    lab.send(query("CALL p()"));
    lab.receive(reported("character_set_results", ""));
    lab.send(query("CALL q()"));
    lab.receive(reported("init_connect_like", ""));
    for (const auto& [name, value] : {std::pair("long_query_time", "0.500000"), std::pair("odd", "1.2.3"),
                                      std::pair("odder", "."), std::pair("oddest", "1.")}) {
        lab.send(query("CALL q()"));
        lab.receive(reported(name, value));
    }
    ByteBuffer out;
    lab.conversation->cut(as_bytes(query("SELECT 1")), false, out);
    const std::string replayed = lab.synchronise(Slot::b);
    CHECK(replayed.find("SET SESSION character_set_results=NULL") != std::string::npos);
    CHECK(replayed.find("SET SESSION init_connect_like=''") != std::string::npos);
    // Error 1232, between quotes.
    CHECK(replayed.find("SET SESSION long_query_time=0.500000") != std::string::npos);
    CHECK(replayed.find("SET SESSION odd='1.2.3'") != std::string::npos);
    CHECK(replayed.find("SET SESSION odder='.'") != std::string::npos);
    CHECK(replayed.find("SET SESSION oddest='1.'") != std::string::npos);
}

TEST_CASE("mysql settings: a role outlives COM_RESET_CONNECTION, and its connection is not for others") {
    SettingsLab lab("");
    ByteBuffer out;
    CHECK(lab.conversation->append_reset(Slot::a, out));
    lab.send(query("SET ROLE auditor"));
    lab.receive(ok_packet(1));
    CHECK_FALSE(lab.conversation->append_reset(Slot::a, out));
    lab.send(command_of(command::reset_connection));
    lab.receive(ok_packet(1));
    CHECK_FALSE(lab.conversation->append_reset(Slot::a, out));
    lab.scratch.clear();
    CHECK(lab.synchronise(Slot::b).find("SET ROLE auditor") != std::string::npos);
    // One that was refused was not set.
    SettingsLab other("");
    other.send(query("SET ROLE auditor"));
    other.receive(err_packet(1, 3530, "`auditor`@`%` is not granted to `app`@`%`"));
    CHECK(other.conversation->append_reset(Slot::a, out));
}

TEST_CASE("mysql settings: whose GTID the next transaction has is no setting, though MySQL reports it") {
    SettingsLab lab("");
    lab.send(query("SET gtid_next='3e11fa47-71ca-11e1-9e33-c80aa9429562:5'"));
    CHECK(lab.conversation->facts().destination == sql::Destination::primary);
    lab.receive(reported("gtid_next", "3e11fa47-71ca-11e1-9e33-c80aa9429562:5"));
    // A replica would wait for the owner of that number when the transaction comes to it.
    CHECK(lab.conversation->pins().settings);
    lab.scratch.clear();
    CHECK(lab.synchronise(Slot::b).find("gtid_next") == std::string::npos);
}
