#include "protocol/sql/keywords.h"

#include "protocol/sql/keyword_table.h"

namespace holdfast::sql {
namespace {

using enum Keyword;

constexpr KeywordEntry entries[] = {
    // clang-format off
    {"abort", abort_}, {"all", all}, {"alter", alter}, {"analyse", analyze}, {"analyze", analyze},
    {"and", and_}, {"as", as}, {"atomic", atomic}, {"authorization", authorization}, {"begin", begin},
    {"by", by}, {"call", call}, {"case", case_}, {"chain", chain}, {"characteristics", characteristics},
    {"checkpoint", checkpoint}, {"close", close}, {"cluster", cluster}, {"comment", comment},
    {"commit", commit}, {"committed", committed}, {"constraints", constraints}, {"copy", copy},
    {"create", create}, {"cube", cube}, {"cursor", cursor}, {"deallocate", deallocate}, {"declare", declare},
    {"default", default_}, {"deferrable", deferrable}, {"delete", delete_}, {"discard", discard}, {"do", do_},
    {"drop", drop}, {"end", end}, {"execute", execute}, {"explain", explain}, {"false", false_},
    {"fetch", fetch}, {"filter", filter}, {"first", first}, {"for", for_}, {"from", from},
    {"function", function}, {"global", global}, {"grant", grant}, {"group", group}, {"grouping", grouping},
    {"hold", hold}, {"import", import_}, {"in", in}, {"insert", insert}, {"into", into},
    {"is_called", is_called}, {"isolation", isolation}, {"join", join}, {"key", key},
    {"last_value", last_value}, {"level", level}, {"listen", listen}, {"load", load}, {"local", local},
    {"lock", lock}, {"log_cnt", log_cnt}, {"materialized", materialized}, {"merge", merge}, {"move", move},
    {"names", names}, {"next", next}, {"no", no}, {"not", not_}, {"notify", notify}, {"off", off}, {"on", on},
    {"only", only}, {"operator", operator_}, {"option", option}, {"order", order}, {"ordinality", ordinality},
    {"over", over}, {"partition", partition}, {"plans", plans}, {"prepare", prepare}, {"prepared", prepared},
    {"procedure", procedure}, {"program", program}, {"read", read}, {"reassign", reassign},
    {"recursive", recursive}, {"refresh", refresh}, {"reindex", reindex}, {"release", release},
    {"repeatable", repeatable}, {"replace", replace}, {"reset", reset}, {"revoke", revoke}, {"role", role},
    {"rollback", rollback}, {"rollup", rollup}, {"savepoint", savepoint}, {"schema", schema},
    {"security", security}, {"select", select}, {"sequences", sequences}, {"serializable", serializable},
    {"session", session}, {"set", set}, {"sets", sets}, {"share", share}, {"show", show},
    {"snapshot", snapshot}, {"start", start}, {"stdin", stdin_}, {"stdout", stdout_}, {"system", system},
    {"table", table}, {"tablesample", tablesample}, {"temp", temp}, {"temporary", temporary}, {"time", time},
    {"to", to}, {"transaction", transaction}, {"true", true_}, {"truncate", truncate}, {"uescape", uescape},
    {"uncommitted", uncommitted}, {"unlisten", unlisten}, {"unlogged", unlogged}, {"update", update},
    {"vacuum", vacuum}, {"values", values}, {"varying", varying}, {"verbose", verbose}, {"where", where},
    {"with", with}, {"within", within}, {"without", without}, {"work", work}, {"write", write}, {"xml", xml},
    {"zone", zone},
    // The rest of the words that can't name a function: categories R and C of pg_get_keywords(), PostgreSQL 15 to 18.
    {"any", uncallable}, {"array", uncallable}, {"asc", uncallable}, {"asymmetric", uncallable},
    {"between", uncallable}, {"bigint", uncallable}, {"bit", uncallable}, {"boolean", uncallable},
    {"both", uncallable}, {"cast", uncallable}, {"char", uncallable}, {"character", uncallable},
    {"check", uncallable}, {"coalesce", uncallable}, {"collate", uncallable}, {"column", uncallable},
    {"constraint", uncallable}, {"current_catalog", uncallable}, {"current_date", uncallable},
    {"current_role", uncallable}, {"current_time", uncallable}, {"current_timestamp", uncallable},
    {"current_user", uncallable}, {"dec", uncallable}, {"decimal", uncallable}, {"desc", uncallable},
    {"distinct", uncallable}, {"else", uncallable}, {"except", uncallable}, {"exists", uncallable},
    {"extract", uncallable}, {"float", uncallable}, {"foreign", uncallable}, {"greatest", uncallable},
    {"having", uncallable}, {"initially", uncallable}, {"inout", uncallable}, {"int", uncallable},
    {"integer", uncallable}, {"intersect", uncallable}, {"interval", uncallable}, {"json", uncallable},
    {"json_array", uncallable}, {"json_arrayagg", uncallable}, {"json_exists", uncallable},
    {"json_object", uncallable}, {"json_objectagg", uncallable}, {"json_query", uncallable},
    {"json_scalar", uncallable}, {"json_serialize", uncallable}, {"json_table", uncallable},
    {"json_value", uncallable}, {"lateral", uncallable}, {"leading", uncallable}, {"least", uncallable},
    {"limit", uncallable}, {"localtime", uncallable}, {"localtimestamp", uncallable},
    {"merge_action", uncallable}, {"national", uncallable}, {"nchar", uncallable}, {"none", uncallable},
    {"normalize", uncallable}, {"null", uncallable}, {"nullif", uncallable}, {"numeric", uncallable},
    {"offset", uncallable}, {"or", uncallable}, {"out", uncallable}, {"overlay", uncallable},
    {"placing", uncallable}, {"position", uncallable}, {"precision", uncallable}, {"primary", uncallable},
    {"real", uncallable}, {"references", uncallable}, {"returning", uncallable}, {"row", uncallable},
    {"session_user", uncallable}, {"setof", uncallable}, {"smallint", uncallable}, {"some", uncallable},
    {"substring", uncallable}, {"symmetric", uncallable}, {"system_user", uncallable}, {"then", uncallable},
    {"timestamp", uncallable}, {"trailing", uncallable}, {"treat", uncallable}, {"trim", uncallable},
    {"union", uncallable}, {"unique", uncallable}, {"user", uncallable}, {"using", uncallable},
    {"varchar", uncallable}, {"variadic", uncallable}, {"when", uncallable}, {"window", uncallable},
    {"xmlattributes", uncallable}, {"xmlconcat", uncallable}, {"xmlelement", uncallable},
    {"xmlexists", uncallable}, {"xmlforest", uncallable}, {"xmlnamespaces", uncallable},
    {"xmlparse", uncallable}, {"xmlpi", uncallable}, {"xmlroot", uncallable}, {"xmlserialize", uncallable},
    {"xmltable", uncallable},
    // clang-format on
};

constexpr KeywordTable words(entries);

static_assert(longest_keyword(entries) <= keyword_bytes_max);

}  // namespace

Keyword find_keyword(std::string_view word) {
    return words.find(word);
}

}  // namespace holdfast::sql
