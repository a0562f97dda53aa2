#include "health/mysql_facts.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>

#include "health/one_line.h"
#include "protocol/base/limits.h"
#include "protocol/base/numbers.h"

namespace holdfast::health {

// Asks for names that one or the other server does not have; unlike SELECT @@name that is no error.
const char* const mysql_variables_sql =
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'read_only', 'super_read_only', "
    "'innodb_read_only', 'server_id', 'server_uuid', 'log_bin', 'gtid_mode', 'gtid_binlog_pos', "
    "'gtid_current_pos', 'gtid_slave_pos', 'wsrep_on', 'wsrep_provider', 'group_replication_group_name', "
    "'group_replication_single_primary_mode')";
const char* const mysql_gtid_executed_sql = "SELECT @@GLOBAL.gtid_executed AS gtid_executed";
const char* const mysql_galera_sql =
    "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_cluster_status', 'wsrep_local_state', 'wsrep_ready', "
    "'wsrep_last_committed', 'wsrep_cluster_state_uuid')";
const char* const mysql_group_sql = "SELECT * FROM performance_schema.replication_group_members";

namespace {

/// A server can send a name of any length; nothing longer is a host name.
constexpr size_t host_chars_max = 255;
constexpr size_t name_chars_max = 128;

/// SHOW VARIABLES and SHOW STATUS: a name and a value a row.
std::map<std::string, std::string> read_pairs(const MysqlRows& rows) {
    std::map<std::string, std::string> pairs;
    for (const auto& row : rows.rows) {
        if (row.size() >= 2 && row[0]) pairs[*row[0]] = row[1].value_or("");
    }
    return pairs;
}

bool is_on(std::string_view value) {
    return !value.empty() && value != "OFF" && value != "0" && value != "NO";
}

/// A set that can't be read is no reason to give the server up: positions stay unknown.
void read_mariadb_sets(std::map<std::string, std::string>& variables, MysqlState& state) {
    const auto binlog = GtidSet::parse_mariadb(variables["gtid_binlog_pos"]);
    const auto current = GtidSet::parse_mariadb(variables["gtid_current_pos"]);
    const auto applied = GtidSet::parse_mariadb(variables["gtid_slave_pos"]);
    if (!binlog || !current || !applied) return;
    state.applied = *applied;
    state.applied.join_unknown(*current);
    state.written = *binlog;
    state.written.join(*current);
    state.received = state.applied;
    state.has_gtids = is_on(variables["log_bin"]) || !state.written.empty() || !state.applied.empty();
}

/// Columns have an old name and, in MySQL since 8.0.22, a new one.
const std::string* find_either(const MysqlRows& rows, size_t row, std::string_view name,
                               std::string_view old) {
    const std::string* const cell = rows.find(row, name);
    return cell != nullptr ? cell : rows.find(row, old);
}

std::string text_of(const std::string* cell, size_t chars_max) {
    return cell != nullptr ? one_line(std::string_view(*cell).substr(0, chars_max)) : "";
}

template <typename T>
T number_of(const std::string* cell) {
    return cell != nullptr ? parse_number<T>(*cell).value_or(T{}) : T{};
}

/// Errors of the IO thread that trying again does not cure: the source has purged what is needed, or the two
/// do not fit together. MySQL 8 has numbers of its own for what it writes into its log.
bool is_fatal_io_error(int number) {
    constexpr std::array<int, 4> numbers = {1236, 1593, 13114, 13117};
    return std::find(numbers.begin(), numbers.end(), number) != numbers.end();
}

void read_errors(const MysqlRows& rows, size_t row, ReplicationSource& source) {
    const int io_number = number_of<int>(rows.find(row, "Last_IO_Errno"));
    const int sql_number = number_of<int>(rows.find(row, "Last_SQL_Errno"));
    source.failed = sql_number != 0 || is_fatal_io_error(io_number);
    const int number = sql_number != 0 ? sql_number : io_number;
    if (number == 0) return;
    const std::string* const text = rows.find(row, sql_number != 0 ? "Last_SQL_Error" : "Last_IO_Error");
    source.error = "error " + std::to_string(number) + ": " + text_of(text, std::string::npos);
}

ReplicationSource read_source(const MysqlRows& rows, size_t row) {
    ReplicationSource source;
    source.channel = text_of(find_either(rows, row, "Channel_Name", "Connection_name"), name_chars_max);
    source.host = text_of(find_either(rows, row, "Source_Host", "Master_Host"), host_chars_max);
    source.port = number_of<int>(find_either(rows, row, "Source_Port", "Master_Port"));
    source.server_id = number_of<uint32_t>(find_either(rows, row, "Source_Server_Id", "Master_Server_Id"));
    source.server_uuid = text_of(find_either(rows, row, "Source_UUID", "Master_UUID"), name_chars_max);
    const std::string* const io = find_either(rows, row, "Replica_IO_Running", "Slave_IO_Running");
    if (io != nullptr && *io == "Yes") source.io = ReplicationThread::running;
    if (io != nullptr && (*io == "Connecting" || *io == "Preparing"))
        source.io = ReplicationThread::connecting;
    const std::string* const sql = find_either(rows, row, "Replica_SQL_Running", "Slave_SQL_Running");
    source.sql_running = sql != nullptr && *sql == "Yes";
    const std::string* const behind =
        find_either(rows, row, "Seconds_Behind_Source", "Seconds_Behind_Master");
    if (behind != nullptr) source.seconds_behind = parse_number<int64_t>(*behind);
    read_errors(rows, row, source);
    return source;
}

}  // namespace

bool is_mariadb_version(std::string_view version) {
    return version.find("MariaDB") != std::string_view::npos;
}

int mysql_version_number(std::string_view version) {
    int number = 0;
    for (int part = 0; part < 3; ++part) {
        int value = 0;
        const auto [stop, error] = std::from_chars(version.data(), version.data() + version.size(), value);
        if (error != std::errc() || value < 0 || value > 99) return 0;
        number = number * 100 + value;
        version.remove_prefix(static_cast<size_t>(stop - version.data()));
        if (part < 2 && (version.empty() || version[0] != '.')) return 0;
        if (!version.empty()) version.remove_prefix(1);
    }
    return number;
}

std::string mysql_sources_sql(const Observation& facts) {
    if (is_mariadb_version(facts.version_text)) return "SHOW ALL SLAVES STATUS";
    constexpr int has_new_words = 80'022;
    return facts.server_version >= has_new_words ? "SHOW REPLICA STATUS" : "SHOW SLAVE STATUS";
}

Result<MysqlQuestions> read_mysql_variables(const MysqlRows& rows, Observation& out) {
    std::map<std::string, std::string> variables = read_pairs(rows);
    const auto missing = [](const char* name) {
        return Error{ErrorCode::bad_value, std::string("the variable ") + name + " is missing"};
    };
    for (const char* const name : {"version", "read_only", "server_id"}) {
        if (!variables.contains(name)) return missing(name);
    }
    MysqlState state;
    out.version_text = text_of(&variables["version"], name_chars_max);
    out.server_version = mysql_version_number(out.version_text);
    state.read_only = is_on(variables["read_only"]) || is_on(variables["super_read_only"]) ||
                      is_on(variables["innodb_read_only"]);
    state.server_id = parse_number<uint32_t>(variables["server_id"]).value_or(0);
    state.server_uuid = text_of(&variables["server_uuid"], name_chars_max);
    MysqlQuestions more;
    if (is_mariadb_version(out.version_text)) {
        read_mariadb_sets(variables, state);
    } else {
        more.gtid_executed = is_on(variables["gtid_mode"]) && variables["gtid_mode"] != "OFF_PERMISSIVE";
    }
    const std::string& provider = variables["wsrep_provider"];
    more.galera = is_on(variables["wsrep_on"]) && !provider.empty() && provider != "none";
    more.group = !variables["group_replication_group_name"].empty();
    if (more.group) {
        state.group.emplace();
        state.group->single_primary = is_on(variables["group_replication_single_primary_mode"]);
    }
    out.mysql = std::move(state);
    return more;
}

void read_mysql_gtid_executed(const MysqlRows& rows, Observation& out) {
    const std::string* const text = rows.find(0, "gtid_executed");
    const auto executed = GtidSet::parse_mysql(text != nullptr ? *text : "");
    if (text == nullptr || !executed) return;
    out.mysql->applied = *executed;
    out.mysql->written = *executed;
    out.mysql->received = *executed;
    out.mysql->has_gtids = true;
}

void read_mysql_galera(const MysqlRows& rows, Observation& out) {
    std::map<std::string, std::string> status = read_pairs(rows);
    GaleraState galera;
    galera.in_primary_component = status["wsrep_cluster_status"] == "Primary";
    galera.ready = is_on(status["wsrep_ready"]);
    galera.local_state = parse_number<int>(status["wsrep_local_state"]).value_or(0);
    galera.cluster_uuid = text_of(&status["wsrep_cluster_state_uuid"], name_chars_max);
    // All nodes number the same transactions alike: no sets needed.
    out.position = {parse_number<uint64_t>(status["wsrep_last_committed"]).value_or(0)};
    out.received = out.position;
    out.mysql->galera = galera;
}

void read_mysql_group(const MysqlRows& rows, Observation& out) {
    if (!out.mysql->group) return;
    GroupState& group = *out.mysql->group;
    group.member_state = "OFFLINE";
    size_t unreachable = 0;
    const size_t count = std::min(rows.rows.size(), limits::replication_sources_max);
    for (size_t row = 0; row < count; ++row) {
        const std::string* const id = rows.find(row, "MEMBER_ID");
        const std::string* const state = rows.find(row, "MEMBER_STATE");
        const std::string* const role = rows.find(row, "MEMBER_ROLE");
        if (state != nullptr && *state == "UNREACHABLE") ++unreachable;
        if (id == nullptr || id->empty() || *id != out.mysql->server_uuid) continue;
        group.member_state = text_of(state, name_chars_max);
        // MySQL 5.7 shows no roles, but a secondary is always read-only.
        group.is_primary = role != nullptr ? *role == "PRIMARY" : !out.mysql->read_only;
    }
    group.has_quorum = unreachable * 2 < count;
}

void read_mysql_sources(const MysqlRows& rows, Observation& out) {
    constexpr std::string_view of_a_group = "group_replication_";
    const size_t count = std::min(rows.rows.size(), limits::replication_sources_max);
    for (size_t row = 0; row < count; ++row) {
        ReplicationSource source = read_source(rows, row);
        // A group's own channels have no source that could be named.
        if (source.channel.substr(0, of_a_group.size()) == of_a_group) continue;
        const bool is_mariadb = is_mariadb_version(out.version_text);
        if (const std::string* const text =
                rows.find(row, is_mariadb ? "Gtid_IO_Pos" : "Retrieved_Gtid_Set")) {
            const auto received = is_mariadb ? GtidSet::parse_mariadb(*text) : GtidSet::parse_mysql(*text);
            if (received) out.mysql->received.join(*received);
        }
        out.mysql->sources.push_back(std::move(source));
    }
}

std::string_view mysql_sources_privilege(const Observation& facts) {
    constexpr int has_own_privilege = 100'500;
    const bool is_new_mariadb =
        is_mariadb_version(facts.version_text) && facts.server_version >= has_own_privilege;
    return is_new_mariadb ? "SLAVE MONITOR" : "REPLICATION CLIENT";
}

void note_hidden_sources(std::string_view text, std::string_view user, Observation& out) {
    out.mysql->sources_hidden = "its replication threads can't be seen (" + one_line(text) + "); GRANT " +
                                std::string(mysql_sources_privilege(out)) + " ON *.* TO '" + one_line(user) +
                                "'@'%'";
}

void note_hidden_group(std::string_view text, std::string_view user, Observation& out) {
    if (!out.mysql->group) return;
    GroupState& group = *out.mysql->group;
    group.is_primary = !out.mysql->read_only;
    group.hidden = "its place in the replication group can't be seen (" + one_line(text) +
                   "); GRANT SELECT ON performance_schema.replication_group_members TO '" + one_line(user) +
                   "'@'%'";
}

}  // namespace holdfast::health
