#include "protocol/sql/keyword_table.h"

namespace holdfast::sql {
namespace {

using enum Keyword;

// Reserved and other old keywords; the grammar calls no stored function by an unquoted keyword. Newer ones
// are left out, as they name functions in older servers.
constexpr KeywordEntry entries[] = {
    // clang-format off
    {"add", uncallable}, {"against", uncallable}, {"all", all}, {"alter", alter}, {"analyze", analyze},
    {"and", and_}, {"any", uncallable}, {"as", as}, {"asc", uncallable}, {"backup", backup},
    {"before", uncallable}, {"begin", begin}, {"between", uncallable}, {"bigint", uncallable},
    {"binary", uncallable}, {"binlog", binlog}, {"blob", uncallable}, {"by", uncallable},
    {"cache", cache}, {"call", call}, {"case", case_}, {"chain", chain}, {"change", change},
    {"check", check}, {"checksum", checksum}, {"clone", clone}, {"close", close},
    {"collate", uncallable}, {"column", uncallable}, {"columns", uncallable}, {"commit", commit},
    {"constraint", uncallable}, {"create", create}, {"cross", uncallable}, {"datetime", uncallable},
    {"day_hour", uncallable}, {"deallocate", deallocate}, {"dec", uncallable}, {"decimal", uncallable},
    {"declare", declare}, {"default", default_}, {"delete", delete_}, {"desc", describe},
    {"describe", describe}, {"distinct", uncallable}, {"distinctrow", uncallable}, {"div", uncallable},
    {"do", do_}, {"double", uncallable}, {"drop", drop}, {"dual", uncallable}, {"dumpfile", dumpfile},
    {"else", uncallable}, {"enclosed", uncallable}, {"end", end}, {"escape", uncallable},
    {"escaped", uncallable}, {"event", event}, {"except", uncallable}, {"execute", execute},
    {"exists", uncallable}, {"explain", explain}, {"false", false_}, {"fetch", fetch},
    {"float", uncallable}, {"flush", flush}, {"for", for_}, {"force", uncallable},
    {"foreign", uncallable}, {"from", from}, {"function", function}, {"get", get}, {"global", global},
    {"grant", grant}, {"group", group}, {"handler", handler}, {"having", uncallable}, {"help", help},
    {"high_priority", uncallable}, {"hour_minute", uncallable}, {"ignore", uncallable},
    {"import", import_}, {"in", in}, {"index", uncallable}, {"inner", uncallable}, {"insert", insert},
    {"install", install}, {"int", uncallable}, {"integer", uncallable}, {"intersect", uncallable},
    {"into", into}, {"is", uncallable}, {"isolation", isolation}, {"join", uncallable},
    {"key", uncallable}, {"keys", uncallable}, {"kill", kill}, {"leading", uncallable},
    {"level", level}, {"like", uncallable}, {"limit", uncallable}, {"load", load}, {"local", local},
    {"lock", lock}, {"long", uncallable}, {"longblob", uncallable}, {"longtext", uncallable},
    {"mediumblob", uncallable}, {"mediumint", uncallable}, {"mediumtext", uncallable},
    {"minute_second", uncallable}, {"names", names}, {"natural", uncallable}, {"next", next},
    {"no", no}, {"not", not_}, {"null", uncallable}, {"numeric", uncallable}, {"on", on},
    {"only", only}, {"optimize", optimize}, {"or", uncallable}, {"order", order}, {"out", uncallable},
    {"outer", uncallable}, {"outfile", outfile}, {"over", uncallable}, {"package", package},
    {"partition", uncallable}, {"precision", uncallable}, {"prepare", prepare}, {"previous", previous},
    {"primary", uncallable}, {"procedure", procedure}, {"purge", purge}, {"range", uncallable},
    {"read", read}, {"real", uncallable}, {"recursive", recursive}, {"references", uncallable},
    {"regexp", uncallable}, {"release", release}, {"rename", rename}, {"repair", repair},
    {"repeatable", repeatable}, {"replace", replace}, {"reset", reset}, {"resignal", resignal},
    {"restart", restart}, {"revoke", revoke}, {"rlike", uncallable}, {"role", role},
    {"rollback", rollback}, {"row", uncallable}, {"rows", uncallable}, {"savepoint", savepoint},
    {"schema", schema}, {"select", select}, {"separator", uncallable}, {"serializable", serializable},
    {"session", session}, {"set", set}, {"share", share}, {"show", show}, {"shutdown", shutdown},
    {"signal", signal}, {"smallint", uncallable}, {"snapshot", snapshot}, {"some", uncallable},
    {"spatial", uncallable}, {"sql", uncallable}, {"sql_big_result", uncallable},
    {"sql_calc_found_rows", uncallable}, {"sql_small_result", uncallable}, {"start", start},
    {"stop", stop}, {"straight_join", uncallable}, {"table", table}, {"temporary", temporary},
    {"then", uncallable}, {"tinyblob", uncallable}, {"tinyint", uncallable}, {"tinytext", uncallable},
    {"to", to}, {"transaction", transaction}, {"trigger", trigger}, {"true", true_},
    {"truncate", truncate}, {"uninstall", uninstall}, {"union", uncallable}, {"unique", uncallable},
    {"unlock", unlock}, {"unsigned", uncallable}, {"update", update}, {"use", use},
    {"using", uncallable}, {"value", value}, {"values", values}, {"varbinary", uncallable},
    {"varchar", uncallable}, {"varying", uncallable}, {"when", uncallable}, {"where", where},
    {"with", with}, {"work", work}, {"write", write}, {"xa", xa}, {"xor", uncallable},
    {"year_month", uncallable},
    // clang-format on
};

constexpr KeywordTable words(entries);

static_assert(longest_keyword(entries) <= mysql_keyword_bytes_max);

}  // namespace

Keyword find_mysql_keyword(std::string_view word) {
    return words.find(word);
}

}  // namespace holdfast::sql
