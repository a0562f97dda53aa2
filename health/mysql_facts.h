#pragma once

#include <string>
#include <string_view>

#include "health/mysql_rows.h"
#include "health/observation.h"
#include "protocol/base/result.h"

namespace holdfast::health {

/// The questions of a probe and the reading of their answers, for MySQL 5.7 and later and MariaDB 10.4 and
/// later. The variables come first, for they tell what else to ask. Reading them resets `out.mysql`; the
/// other answers add to it.
extern const char* const mysql_variables_sql;
/// MySQL only, and only with gtid_mode: SHOW VARIABLES cuts long values off.
extern const char* const mysql_gtid_executed_sql;
extern const char* const mysql_galera_sql;
extern const char* const mysql_group_sql;
/// SHOW … STATUS for all sources, in the words of that server.
std::string mysql_sources_sql(const Observation& facts);
/// The privilege that it needs.
std::string_view mysql_sources_privilege(const Observation& facts);

/// What else there is to ask, by the variables.
struct MysqlQuestions {
    bool gtid_executed = false;
    bool galera = false;
    bool group = false;
};

/// Reads names and values of variables.
/// errors  bad_value: no such rows, or a variable that must be there is missing (the text names it)
Result<MysqlQuestions> read_mysql_variables(const MysqlRows& rows, Observation& out);
void read_mysql_gtid_executed(const MysqlRows& rows, Observation& out);
void read_mysql_galera(const MysqlRows& rows, Observation& out);
void read_mysql_group(const MysqlRows& rows, Observation& out);
void read_mysql_sources(const MysqlRows& rows, Observation& out);
/// The sources were refused with `text`: notes that, with the GRANT that `user` needs.
void note_hidden_sources(std::string_view text, std::string_view user, Observation& out);
/// The same of a group's members: what the server's being writable says has to do, for a group's secondaries,
/// and members that have left it, are kept read-only by the server itself.
void note_hidden_group(std::string_view text, std::string_view user, Observation& out);

/// Whether a version text is MariaDB's.
bool is_mariadb_version(std::string_view version);
/// "10.11.19-MariaDB" is 101119; 0: not a version.
int mysql_version_number(std::string_view version);

}  // namespace holdfast::health
