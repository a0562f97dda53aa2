#include "protocol/sql/functions_postgres.h"

#include <doctest/doctest.h>

namespace holdfast::sql::postgres {

TEST_CASE("functions: reads are known, and only under their exact name") {
    for (const char* name :
         {"abs", "lower", "count", "now", "array_agg", "jsonb_build_object", "pg_get_viewdef", "xpath_exists",
          "version", "random", "pg_sleep", "row_number", "left", "to_tsvector"}) {
        CAPTURE(name);
        CHECK(find_function(name) == FunctionClass::harmless);
    }
    for (const char* name :
         {"", "ab", "abss", "Lower", "_", "~", "zzz", "system", "bernoulli", "coalesce", "pg_sleep2"}) {
        CAPTURE(name);
        CHECK(find_function(name) == FunctionClass::not_built_in);
    }
    CHECK(find_function("uuidv7") == FunctionClass::harmless_recent);
}

TEST_CASE("functions: none that does more than read is in the list of reads") {
    for (const char* name : {"nextval",
                             "setval",
                             "currval",
                             "lastval",
                             "set_config",
                             "pg_notify",
                             "txid_current",
                             "pg_current_xact_id",
                             "lo_create",
                             "lo_unlink",
                             "lo_put",
                             "pg_advisory_lock",
                             "pg_advisory_unlock",
                             "pg_try_advisory_xact_lock",
                             "pg_terminate_backend",
                             "pg_reload_conf",
                             "pg_stat_reset",
                             "pg_promote",
                             "pg_switch_wal",
                             "pg_export_snapshot",
                             "pg_logical_emit_message",
                             "pg_drop_replication_slot",
                             "pg_replication_origin_create",
                             "setseed",
                             "pg_import_system_collations",
                             "brin_summarize_new_values",
                             "gin_clean_pending_list",
                             "query_to_xml",
                             "current_setting",
                             "pg_is_in_recovery",
                             "pg_nextoid",
                             "binary_upgrade_set_next_pg_type_oid",
                             "ts_rewrite",
                             "pg_logical_slot_get_changes",
                             "pg_restore_relation_stats",
                             "pg_log_backend_memory_contexts"}) {
        CAPTURE(name);
        CHECK_FALSE(is_harmless_builtin(name));
        CHECK_FALSE(is_recent_builtin(name));
    }
}

}  // namespace holdfast::sql::postgres
