#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::simulation {

/// The tiny part of SQL that the scripted servers run. The texts are real SQL, here PostgreSQL's:
///
///   SELECT v, TAG, current_setting('app.tenant') FROM t WHERE k = K [FOR UPDATE]
///   SELECT n, TAG, current_setting('app.tenant') FROM series            many rows
///   SELECT ticket, TAG, current_setting('app.tenant') FROM next_ticket  a view that calls nextval()
///   INSERT INTO log VALUES (TAG) [RETURNING id, TAG, current_setting('app.tenant')]
///   UPDATE t SET v = greatest(v, N), tag = TAG WHERE k = K
///   UPDATE t SET v = v + 1, tag = TAG WHERE k = K
///   SELECT 1/0                                                          an error
///   BEGIN [READ ONLY], COMMIT, ROLLBACK, SAVEPOINT s, ROLLBACK TO SAVEPOINT s, RELEASE SAVEPOINT s,
///   SET app.tenant = '…', SHOW app.tenant, LISTEN c, NOTIFY c, '…',
///   PREPARE p AS …, EXECUTE p(…), DEALLOCATE p, DISCARD ALL
///
/// MySQL's has @tenant for the setting, START TRANSACTION for BEGIN, SELECT @tenant for SHOW, and KILL QUERY
/// N.
///
/// TAG is a number that no other statement of the run has.
enum class Verb {
    unknown,
    select_value,
    select_series,
    select_ticket,
    divide_by_zero,
    insert,
    raise,  // v = greatest(v, N)
    bump,   // v = v + 1
    begin,
    begin_read_only,
    commit,
    rollback,
    savepoint,
    rollback_to,
    release,
    set,
    show,
    listen,
    notify,
    prepare,
    execute,
    deallocate,
    discard_all,
    kill,
};

struct Sql {
    Verb verb = Verb::unknown;
    int64_t key = 0;
    int64_t value = 0;
    uint64_t tag = 0;
    bool for_update = false;
    bool returning = false;
    std::string name;                    // setting, channel, prepared statement, savepoint
    std::string text;                    // a setting's value, a payload, a prepared text
    std::vector<std::string> arguments;  // of execute
};

Sql parse_sql(std::string_view text);
/// The statements of a simple query, without the empty ones.
std::vector<std::string> split_sql(std::string_view text);
/// The text with $1, $2, … or one ? after the other replaced.
std::string with_parameters(std::string_view text, const std::vector<std::string>& values);
bool returns_rows(Verb verb);
/// Whether a failed transaction takes it.
bool ends_failure(Verb verb);
bool writes(const Sql& sql);

}  // namespace holdfast::simulation
