/* libmariadb (MariaDB Connector/C): a prepared statement that is prepared and run without waiting for an answer, one
   command that inserts many rows, cursors, long data, several results, reset, change of user.
   Connects as MYSQL_HOST, MYSQL_PORT ... say; CONNECT_TLS=1 with TLS, CONNECT_COMPRESSED=1 with zlib.
   Prints "ok" at the end; anything unexpected ends it. */
#include <mysql.h>
#include <mysqld_error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                      \
    do {                                                                                      \
        if (!(condition)) {                                                                   \
            fprintf(stderr, "line %d: not so: %s (%s)\n", __LINE__, #condition, mysql_error(db)); \
            exit(1);                                                                          \
        }                                                                                     \
    } while (0)
#define CHECK_STATEMENT(condition)                                                                    \
    do {                                                                                              \
        if (!(condition)) {                                                                           \
            fprintf(stderr, "line %d: not so: %s (%s)\n", __LINE__, #condition, mysql_stmt_error(statement)); \
            exit(1);                                                                                  \
        }                                                                                             \
    } while (0)

static const char *table;

static MYSQL *connect_as_told(void) {
    MYSQL *db = mysql_init(NULL);
    my_bool no = 0, yes = 1;
    if (getenv("CONNECT_TLS")) mysql_optionsv(db, MYSQL_OPT_SSL_ENFORCE, &yes);
    mysql_optionsv(db, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &no);
    if (getenv("CONNECT_COMPRESSED")) mysql_optionsv(db, MYSQL_OPT_COMPRESS, NULL);
    mysql_optionsv(db, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    CHECK(mysql_real_connect(db, getenv("MYSQL_HOST"), getenv("MYSQL_USER"), getenv("MYSQL_PWD"), getenv("MYSQL_DATABASE"),
                             (unsigned)atoi(getenv("MYSQL_PORT")), NULL, CLIENT_MULTI_STATEMENTS | CLIENT_REMEMBER_OPTIONS));
    if (getenv("CONNECT_TLS")) CHECK(mysql_get_ssl_cipher(db) != NULL);
    return db;
}

/* The only value of a statement's only row, as a number. */
static long long number_of(MYSQL *db, const char *query) {
    CHECK(mysql_query(db, query) == 0);
    MYSQL_RES *result = mysql_store_result(db);
    CHECK(result != NULL);
    MYSQL_ROW row = mysql_fetch_row(result);
    CHECK(row != NULL);
    long long number = row[0] ? atoll(row[0]) : -1;
    mysql_free_result(result);
    return number;
}

static char *said(const char *format, const char *what) {
    static char text[500];
    snprintf(text, sizeof text, format, what);
    return text;
}

/* mariadb_stmt_execute_direct() sends COM_STMT_PREPARE and COM_STMT_EXECUTE for "the statement last prepared" at once. */
static void prepared_without_waiting(MYSQL *db) {
    for (int i = 0; i < 50; i++) {
        MYSQL_STMT *statement = mysql_stmt_init(db);
        unsigned parameters = 1;
        int id = 1000 + i;
        MYSQL_BIND bind = {0};
        bind.buffer_type = MYSQL_TYPE_LONG;
        bind.buffer = &id;
        mysql_stmt_attr_set(statement, STMT_ATTR_PREBIND_PARAMS, &parameters);
        CHECK_STATEMENT(mysql_stmt_bind_param(statement, &bind) == 0);
        char *text = said("INSERT INTO %s (id, v) VALUES (?, 'direct')", table);
        CHECK_STATEMENT(mariadb_stmt_execute_direct(statement, text, strlen(text)) == 0);
        CHECK_STATEMENT(mysql_stmt_affected_rows(statement) == 1);
        mysql_stmt_close(statement);
    }
    MYSQL_STMT *statement = mysql_stmt_init(db);
    char *text = said("SELECT nothing FROM %s", table);
    CHECK_STATEMENT(mariadb_stmt_execute_direct(statement, text, strlen(text)) != 0);
    CHECK_STATEMENT(mysql_stmt_errno(statement) == ER_BAD_FIELD_ERROR);
    mysql_stmt_close(statement);
    CHECK(number_of(db, said("SELECT COUNT(*) FROM %s WHERE v = 'direct'", table)) == 50);
}

/* One COM_STMT_BULK_EXECUTE with arrays of parameters, NULLs and defaults among them. */
static void many_rows_at_once(MYSQL *db) {
    enum { ROWS = 5000 };
    static int ids[ROWS];
    static char *values[ROWS];
    static unsigned long lengths[ROWS];
    static char indicators[ROWS];
    for (int i = 0; i < ROWS; i++) {
        ids[i] = 10000 + i;
        values[i] = "b\0lk";
        lengths[i] = 4;
        indicators[i] = i % 5 == 0 ? STMT_INDICATOR_NULL : STMT_INDICATOR_NONE;
    }
    MYSQL_STMT *statement = mysql_stmt_init(db);
    char *text = said("INSERT INTO %s (id, b) VALUES (?, ?)", table);
    CHECK_STATEMENT(mysql_stmt_prepare(statement, text, strlen(text)) == 0);
    unsigned rows = ROWS;
    mysql_stmt_attr_set(statement, STMT_ATTR_ARRAY_SIZE, &rows);
    MYSQL_BIND bind[2];
    memset(bind, 0, sizeof bind);
    bind[0].buffer_type = MYSQL_TYPE_LONG;
    bind[0].buffer = ids;
    bind[1].buffer_type = MYSQL_TYPE_BLOB;
    bind[1].buffer = values;
    bind[1].length = lengths;
    bind[1].u.indicator = indicators;
    CHECK_STATEMENT(mysql_stmt_bind_param(statement, bind) == 0);
    CHECK_STATEMENT(mysql_stmt_execute(statement) == 0);
    CHECK_STATEMENT(mysql_stmt_affected_rows(statement) == ROWS);
    CHECK_STATEMENT(mysql_stmt_execute(statement) != 0); /* the same keys once more */
    CHECK_STATEMENT(mysql_stmt_errno(statement) == ER_DUP_ENTRY);
    mysql_stmt_close(statement);
    CHECK(number_of(db, said("SELECT COUNT(*) FROM %s WHERE b = 'b\\0lk'", table)) == 4000);
    CHECK(number_of(db, said("SELECT COUNT(*) FROM %s WHERE id >= 10000 AND b IS NULL", table)) == 1000);
}

static void cursor(MYSQL *db) {
    MYSQL_STMT *statement = mysql_stmt_init(db);
    unsigned long type = CURSOR_TYPE_READ_ONLY, at_once = 7;
    mysql_stmt_attr_set(statement, STMT_ATTR_CURSOR_TYPE, &type);
    mysql_stmt_attr_set(statement, STMT_ATTR_PREFETCH_ROWS, &at_once);
    const char *text = "SELECT seq FROM seq_1_to_500";
    CHECK_STATEMENT(mysql_stmt_prepare(statement, text, strlen(text)) == 0);
    CHECK_STATEMENT(mysql_stmt_execute(statement) == 0);
    long long number = 0, sum = 0;
    MYSQL_BIND bind = {0};
    bind.buffer_type = MYSQL_TYPE_LONGLONG;
    bind.buffer = &number;
    CHECK_STATEMENT(mysql_stmt_bind_result(statement, &bind) == 0);
    while (mysql_stmt_fetch(statement) == 0) sum += number;
    CHECK_STATEMENT(sum == 125250);
    mysql_stmt_close(statement);
}

static void long_data(MYSQL *db) {
    MYSQL_STMT *statement = mysql_stmt_init(db);
    const char *text = "SELECT LENGTH(?)";
    CHECK_STATEMENT(mysql_stmt_prepare(statement, text, strlen(text)) == 0);
    MYSQL_BIND parameter = {0};
    parameter.buffer_type = MYSQL_TYPE_LONG_BLOB;
    CHECK_STATEMENT(mysql_stmt_bind_param(statement, &parameter) == 0);
    static char piece[1000000];
    for (int i = 0; i < 30; i++) CHECK_STATEMENT(mysql_stmt_send_long_data(statement, 0, piece, sizeof piece) == 0);
    CHECK_STATEMENT(mysql_stmt_execute(statement) == 0);
    long long length = 0;
    MYSQL_BIND result = {0};
    result.buffer_type = MYSQL_TYPE_LONGLONG;
    result.buffer = &length;
    CHECK_STATEMENT(mysql_stmt_bind_result(statement, &result) == 0);
    CHECK_STATEMENT(mysql_stmt_fetch(statement) == 0 && length == 30000000);
    mysql_stmt_close(statement);
}

static void several_results(MYSQL *db) {
    char text[300];
    snprintf(text, sizeof text, "SELECT 1; CALL several_%s(3); UPDATE %s SET v = v WHERE id = 1000", table, table);
    CHECK(mysql_query(db, text) == 0);
    int sets = 0, status;
    do {
        MYSQL_RES *result = mysql_store_result(db);
        if (result) sets++;
        mysql_free_result(result);
        status = mysql_next_result(db);
    } while (status == 0);
    CHECK(status == -1 && sets == 3);
    CHECK(mysql_set_server_option(db, MYSQL_OPTION_MULTI_STATEMENTS_OFF) == 0);
    CHECK(mysql_query(db, "SELECT 1; SELECT 2") != 0 && mysql_errno(db) == ER_PARSE_ERROR);
    CHECK(mysql_set_server_option(db, MYSQL_OPTION_MULTI_STATEMENTS_ON) == 0);
}

static void sessions(MYSQL *db) {
    CHECK(mysql_query(db, "SET @gone = 1") == 0);
    CHECK(mysql_reset_connection(db) == 0);
    CHECK(number_of(db, "SELECT @gone") == -1);
    CHECK(mysql_query(db, "SET @gone = 1") == 0);
    CHECK(mysql_change_user(db, getenv("MYSQL_USER"), getenv("MYSQL_PWD"), getenv("MYSQL_DATABASE")) == 0);
    CHECK(number_of(db, "SELECT @gone") == -1);
    CHECK(mysql_select_db(db, "information_schema") == 0 && mysql_select_db(db, getenv("MYSQL_DATABASE")) == 0);
    CHECK(mysql_ping(db) == 0 && mysql_stat(db) != NULL);
    CHECK(mysql_thread_id(db) != 0);
}

int main(void) {
    table = getenv("TEST_TABLE");
    MYSQL *db = connect_as_told();
    prepared_without_waiting(db);
    many_rows_at_once(db);
    cursor(db);
    long_data(db);
    several_results(db);
    sessions(db);
    mysql_close(db);
    mysql_library_end();
    puts("ok");
    return 0;
}
