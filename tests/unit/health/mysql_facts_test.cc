#include "health/mysql_facts.h"

#include <doctest/doctest.h>

#include "health/mysql_directory.h"

using namespace holdfast;
using namespace holdfast::health;

namespace {

MysqlRows pairs(std::vector<std::vector<MysqlRows::Cell>> rows) {
    return {{"Variable_name", "Value"}, std::move(rows)};
}

const std::string uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

}  // namespace

TEST_CASE("mysql facts: a MariaDB primary's variables") {
    Observation o;
    const auto more = read_mysql_variables(pairs({{"version", "10.11.19-MariaDB-0+deb12u1-log"},
                                                  {"read_only", "OFF"},
                                                  {"innodb_read_only", "OFF"},
                                                  {"server_id", "7"},
                                                  {"log_bin", "ON"},
                                                  {"gtid_binlog_pos", "0-7-105"},
                                                  {"gtid_current_pos", "0-7-105"},
                                                  {"gtid_slave_pos", "0-1-100,1-1-1"},
                                                  {"wsrep_on", "OFF"},
                                                  {"wsrep_provider", "none"}}),
                                           o);
    REQUIRE(more);
    CHECK_FALSE(more->galera);
    CHECK_FALSE(more->group);
    CHECK_FALSE(more->gtid_executed);
    CHECK(o.server_version == 101'119);
    CHECK_FALSE(o.mysql->read_only);
    CHECK(o.mysql->server_id == 7);
    CHECK(o.mysql->has_gtids);
    CHECK(o.mysql->written.text() == "0-7-105");
    // A transaction of its own does not stand for the primary's of the same or a lower number.
    CHECK(o.mysql->applied.text() == "0-1-100,1-1-1");
    CHECK(mysql_sources_sql(o) == "SHOW ALL SLAVES STATUS");
}

TEST_CASE("mysql facts: MySQL's variables, and what else to ask") {
    Observation o;
    const auto more = read_mysql_variables(pairs({{"version", "8.0.36"},
                                                  {"read_only", "ON"},
                                                  {"super_read_only", "ON"},
                                                  {"server_id", "1"},
                                                  {"server_uuid", uuid},
                                                  {"gtid_mode", "ON"},
                                                  {"group_replication_group_name", "g"},
                                                  {"group_replication_single_primary_mode", "ON"}}),
                                           o);
    REQUIRE(more);
    CHECK(more->gtid_executed);
    CHECK(more->group);
    CHECK(o.mysql->read_only);
    CHECK_FALSE(o.mysql->has_gtids);
    CHECK(mysql_sources_sql(o) == "SHOW REPLICA STATUS");
    read_mysql_gtid_executed({{"gtid_executed"}, {{uuid + ":1-9"}}}, o);
    CHECK(o.mysql->has_gtids);
    CHECK(o.mysql->applied.text() == uuid + ":1-9");
    read_mysql_group(
        {{"MEMBER_ID", "MEMBER_STATE", "MEMBER_ROLE"},
         {{"other", "ONLINE", "PRIMARY"}, {uuid, "ONLINE", "SECONDARY"}, {"third", "UNREACHABLE", ""}}},
        o);
    CHECK(o.mysql->group->member_state == "ONLINE");
    CHECK_FALSE(o.mysql->group->is_primary);
    CHECK(o.mysql->group->has_quorum);
    read_mysql_group({{"MEMBER_ID", "MEMBER_STATE", "MEMBER_ROLE"},
                      {{uuid, "ONLINE", "SECONDARY"}, {"third", "UNREACHABLE", ""}}},
                     o);
    CHECK_FALSE(o.mysql->group->has_quorum);
    o.server_version = 50'744;
    CHECK(mysql_sources_sql(o) == "SHOW SLAVE STATUS");
}

TEST_CASE("mysql facts: any word but OFF is read-only, and a variable that must be there is missed") {
    for (const auto& [word, is_read_only] : {std::pair{"OFF", false},
                                             {"0", false},
                                             {"ON", true},
                                             {"1", true},
                                             {"NO_LOCK", true},
                                             {"NO_LOCK_NO_ADMIN", true}}) {
        CAPTURE(word);
        Observation o;
        REQUIRE(read_mysql_variables(
            pairs({{"version", "12.1.2-MariaDB"}, {"read_only", word}, {"server_id", "1"}}), o));
        CHECK(o.mysql->read_only == is_read_only);
    }
    Observation o;
    CHECK(read_mysql_variables(pairs({{"version", "8.0.36"}, {"server_id", "1"}}), o).error().message ==
          "the variable read_only is missing");
    CHECK_FALSE(read_mysql_variables({}, o));
}

TEST_CASE("mysql facts: a set that makes no sense is an unknown position, not a failure") {
    Observation o;
    REQUIRE(read_mysql_variables(pairs({{"version", "10.6.1-MariaDB"},
                                        {"read_only", "OFF"},
                                        {"server_id", "1"},
                                        {"log_bin", "ON"},
                                        {"gtid_binlog_pos", "nonsense"}}),
                                 o));
    CHECK_FALSE(o.mysql->has_gtids);
}

TEST_CASE("mysql facts: sources in old and new words") {
    Observation o;
    o.version_text = "8.0.36";
    o.mysql.emplace();
    read_mysql_sources(
        {{"Source_Host", "Source_Port", "Replica_IO_Running", "Replica_SQL_Running", "Seconds_Behind_Source",
          "Source_UUID", "Source_Server_Id", "Retrieved_Gtid_Set", "Channel_Name", "Last_IO_Errno",
          "Last_IO_Error"},
         {{"db1",
           "3306",
           "Connecting",
           "Yes",
           {},
           uuid,
           "4",
           uuid + ":1-9",
           "",
           "2003",
           "error connecting\nto master"},
          {"<NULL>", "0", "Yes", "Yes", "0", uuid, "4", "", "group_replication_applier", "0", ""}}},
        o);
    REQUIRE(o.mysql->sources.size() == 1);
    const ReplicationSource& source = o.mysql->sources[0];
    CHECK(source.host == "db1");
    CHECK(source.port == 3306);
    CHECK(source.io == ReplicationThread::connecting);
    CHECK(source.sql_running);
    CHECK(source.server_uuid == uuid);
    CHECK(source.server_id == 4);
    CHECK_FALSE(source.seconds_behind);
    CHECK_FALSE(source.failed);
    CHECK(source.error == "error 2003: error connecting");
    CHECK(o.mysql->received.text() == uuid + ":1-9");
}

TEST_CASE("mysql facts: a stopped source counts only when it failed by itself") {
    Observation o;
    o.version_text = "10.11.19-MariaDB";
    o.mysql.emplace();
    read_mysql_sources(
        {{"Connection_name", "Master_Host", "Master_Port", "Slave_IO_Running", "Slave_SQL_Running",
          "Last_IO_Errno", "Last_IO_Error", "Last_SQL_Errno", "Last_SQL_Error"},
         {{"", "db1", "3306", "No", "No", "2003", "can't connect", "0", ""},
          {"b", "db2", "3306", "Yes", "No", "0", "", "1950", "An attempt was made to binlog GTID"},
          {"c", "db3", "3306", "No", "No", "1236", "Could not find GTID state", "0", ""}}},
        o);
    REQUIRE(o.mysql->sources.size() == 3);
    CHECK_FALSE(o.mysql->sources[0].is_active());
    CHECK(o.mysql->sources[1].is_active());
    CHECK(o.mysql->sources[1].error == "error 1950: An attempt was made to binlog GTID");
    CHECK(o.mysql->sources[2].is_active());
}

TEST_CASE(
    "mysql facts: MySQL 8's numbers for a source that has purged what is needed, or is the server itself") {
    const auto active_with = [](const char* io_error) {
        Observation o;
        o.version_text = "8.4.3";
        o.mysql.emplace();
        read_mysql_sources({{"Source_Host", "Source_Port", "Replica_IO_Running", "Replica_SQL_Running",
                             "Last_IO_Errno", "Last_IO_Error", "Last_SQL_Errno", "Channel_Name"},
                            {{"db1", "3306", "No", "No", io_error, "Got fatal error 1236", "0", ""}}},
                           o);
        return o.mysql->sources.at(0).is_active();
    };
    CHECK(active_with("13114"));
    CHECK(active_with("13117"));
    CHECK_FALSE(active_with("0"));
}

TEST_CASE("mysql facts: Galera's state, whose sequence numbers are positions") {
    Observation o;
    o.mysql.emplace();
    read_mysql_galera(pairs({{"wsrep_cluster_status", "Primary"},
                             {"wsrep_local_state", "4"},
                             {"wsrep_ready", "ON"},
                             {"wsrep_last_committed", "1234"},
                             {"wsrep_cluster_state_uuid", "u"}}),
                      o);
    CHECK(o.mysql->galera == GaleraState{true, true, 4, "u"});
    CHECK(o.position.lsn == 1234);
}

TEST_CASE("mysql facts: versions as numbers") {
    CHECK(mysql_version_number("10.11.19-MariaDB") == 101'119);
    CHECK(mysql_version_number("8.0.36") == 80'036);
    CHECK(mysql_version_number("9.1.0-commercial") == 90'100);
    CHECK(mysql_version_number("") == 0);
    CHECK(mysql_version_number("8.0") == 0);
    CHECK(mysql_version_number("8.0.999") == 0);
}

TEST_CASE("mysql directory: accounts, their alternatives and their states") {
    const MysqlRows rows{
        {"host", "plugin", "stored", "locked", "expired", "tls", "alternatives", "plugin0", "stored0",
         "plugin1", "stored1"},
        {{"10.%", "mysql_native_password", "*AB", {}, "0", {}, "2", {}, {}, "unix_socket", {}},
         {"%", "mysql_native_password", "*CD", "1", "1", "1", {}, {}, {}, {}, {}},
         {"localhost", {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}}};
    const auto role = MysqlCatalog::read_role(rows);
    REQUIRE(role);
    REQUIRE(*role);
    const std::vector<AccountRecord>& accounts = **role;
    REQUIRE(accounts.size() == 4);
    CHECK(accounts[0].host == "10.%");
    CHECK(accounts[0].plugin == "mysql_native_password");
    CHECK(accounts[0].stored == Secret("*AB"));
    CHECK(accounts[1].plugin == "unix_socket");
    CHECK(accounts[1].stored.empty());
    CHECK_FALSE(accounts[1].is_locked);
    CHECK(accounts[2].is_locked);
    CHECK(accounts[2].is_expired);
    CHECK(accounts[2].needs_tls);
    CHECK(accounts[3].plugin == "mysql_native_password");
    const auto none = MysqlCatalog::read_role({rows.columns, {}});
    REQUIRE(none);
    CHECK_FALSE(*none);
    CHECK_FALSE(MysqlCatalog::read_role({{"x"}, {}}));
}

TEST_CASE("mysql directory: names go into statements quoted") {
    CHECK(MysqlCatalog::accounts_sql("o'brien", false, 80'400)
              .find("WHERE User = _utf8mb4 X'6f27627269656e'") != std::string::npos);
    CHECK(MysqlCatalog::accounts_sql("app", true, 101'100).find("AND User = 'app'") != std::string::npos);
}

TEST_CASE("mysql directory: an account's second password, which MySQL keeps since 8.0.14") {
    CHECK(MysqlCatalog::accounts_sql("app", false, 80'014).find("$.additional_password") !=
          std::string::npos);
    // Before, its column is not there; of an unknown version nobody knows.
    CHECK(MysqlCatalog::accounts_sql("app", false, 80'013).find("User_attributes") == std::string::npos);
    CHECK(MysqlCatalog::accounts_sql("app", false, 0).find("User_attributes") == std::string::npos);
    const auto role =
        MysqlCatalog::read_role({{"host", "plugin", "stored", "locked", "expired", "tls", "retained"},
                                 {{"%", "caching_sha2_password", "new", "Y", "N", "0", "old"},
                                  {"10.%", "caching_sha2_password", "only", "N", "N", "0", {}}}});
    REQUIRE(role);
    REQUIRE(*role);
    const std::vector<AccountRecord>& accounts = **role;
    REQUIRE(accounts.size() == 3);
    CHECK(accounts[0].stored == Secret("new"));
    CHECK(accounts[1].stored == Secret("old"));
    CHECK(accounts[1].host == "%");
    CHECK(accounts[1].is_locked);
    CHECK(accounts[2].stored == Secret("only"));
}

TEST_CASE("mysql directory: functions") {
    const auto list =
        MysqlCatalog::read_functions({{"name", "reads_only"}, {{"total", "1"}, {"next_id", "0"}}});
    REQUIRE(list);
    CHECK((*list)->reads_only.at("total"));
    CHECK_FALSE((*list)->reads_only.at("next_id"));
}
