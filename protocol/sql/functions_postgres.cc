#include "protocol/sql/functions_postgres.h"

#include <algorithm>
#include <iterator>

namespace holdfast::sql::postgres {
namespace {

using enum FunctionClass;

struct Entry {
    std::string_view name;
    FunctionClass function_class;
};

// Every built-in function that is more than a read, in byte order: the volatile ones that are not harmless,
// and stable ones that assign a transaction id (txid_current) or that a standby refuses or answers in its own
// way.
// clang-format off
constexpr Entry special_functions[] = {
    {"binary_upgrade_add_sub_rel_state", writing}, {"binary_upgrade_create_empty_extension", writing},
    {"binary_upgrade_logical_slot_has_caught_up", writing}, {"binary_upgrade_replorigin_advance", writing},
    {"binary_upgrade_set_missing_value", writing}, {"binary_upgrade_set_next_array_pg_type_oid", writing},
    {"binary_upgrade_set_next_attribute_versions", writing},
    {"binary_upgrade_set_next_heap_pg_class_oid", writing},
    {"binary_upgrade_set_next_heap_relfilenode", writing},
    {"binary_upgrade_set_next_index_pg_class_oid", writing},
    {"binary_upgrade_set_next_index_relfilenode", writing},
    {"binary_upgrade_set_next_multirange_array_pg_type_oid", writing},
    {"binary_upgrade_set_next_multirange_pg_type_oid", writing},
    {"binary_upgrade_set_next_pg_authid_oid", writing}, {"binary_upgrade_set_next_pg_enum_oid", writing},
    {"binary_upgrade_set_next_pg_tablespace_oid", writing}, {"binary_upgrade_set_next_pg_type_oid", writing},
    {"binary_upgrade_set_next_toast_pg_class_oid", writing},
    {"binary_upgrade_set_next_toast_relfilenode", writing}, {"binary_upgrade_set_record_init_privs", writing},
    {"brin_desummarize_range", writing}, {"brin_summarize_new_values", writing},
    {"brin_summarize_range", writing}, {"current_setting", current_setting}, {"currtid2", server_local},
    {"currval", sequence_read}, {"cursor_to_xml", stays}, {"cursor_to_xmlschema", stays},
    {"dblink", outside_effect}, {"dblink_cancel_query", outside_effect}, {"dblink_close", outside_effect},
    {"dblink_connect", outside_effect}, {"dblink_connect_u", outside_effect},
    {"dblink_disconnect", outside_effect}, {"dblink_exec", outside_effect}, {"dblink_fetch", outside_effect},
    {"dblink_get_result", outside_effect}, {"dblink_open", outside_effect},
    {"dblink_send_query", outside_effect}, {"gin_clean_pending_list", writing}, {"lastval", sequence_read},
    {"lo_close", stays}, {"lo_creat", writing}, {"lo_create", writing}, {"lo_export", outside_effect},
    {"lo_from_bytea", writing}, {"lo_import", writing}, {"lo_lseek", stays}, {"lo_lseek64", stays},
    {"lo_open", stays}, {"lo_put", writing}, {"lo_tell", stays}, {"lo_tell64", stays},
    {"lo_truncate", writing}, {"lo_truncate64", writing}, {"lo_unlink", writing}, {"loread", stays},
    {"lowrite", writing}, {"nextval", sequence}, {"pg_advisory_lock", advisory_lock},
    {"pg_advisory_lock_shared", advisory_lock}, {"pg_advisory_unlock", advisory_unlock},
    {"pg_advisory_unlock_all", advisory_unlock_all}, {"pg_advisory_unlock_shared", advisory_unlock},
    {"pg_advisory_xact_lock", advisory_lock_transaction},
    {"pg_advisory_xact_lock_shared", advisory_lock_transaction}, {"pg_backup_start", server_local},
    {"pg_backup_stop", server_local}, {"pg_blocking_pids", server_local}, {"pg_cancel_backend", server_local},
    {"pg_clear_attribute_stats", writing}, {"pg_clear_relation_stats", writing},
    {"pg_copy_logical_replication_slot", server_local}, {"pg_copy_physical_replication_slot", server_local},
    {"pg_create_logical_replication_slot", server_local},
    {"pg_create_physical_replication_slot", server_local}, {"pg_create_restore_point", server_local},
    {"pg_current_logfile", server_local}, {"pg_current_wal_flush_lsn", server_role},
    {"pg_current_wal_insert_lsn", server_role}, {"pg_current_wal_lsn", server_role},
    {"pg_current_xact_id", writing}, {"pg_drop_replication_slot", server_local},
    {"pg_export_snapshot", server_local}, {"pg_extension_config_dump", writing},
    {"pg_get_aios", server_local}, {"pg_get_backend_memory_contexts", server_local},
    {"pg_get_loaded_modules", server_local}, {"pg_get_sequence_data", server_role},
    {"pg_get_shmem_allocations", server_local}, {"pg_get_shmem_allocations_numa", server_local},
    {"pg_hba_file_rules", server_local}, {"pg_ident_file_mappings", server_local},
    {"pg_import_system_collations", writing}, {"pg_is_in_recovery", server_role},
    {"pg_isolation_test_session_is_blocked", server_local}, {"pg_last_committed_xact", server_role},
    {"pg_listening_channels", server_local}, {"pg_log_backend_memory_contexts", server_local},
    {"pg_log_standby_snapshot", server_local}, {"pg_logical_emit_message", writing},
    {"pg_logical_slot_get_binary_changes", server_local}, {"pg_logical_slot_get_changes", server_local},
    {"pg_logical_slot_peek_binary_changes", server_local}, {"pg_logical_slot_peek_changes", server_local},
    {"pg_ls_archive_statusdir", server_local}, {"pg_ls_dir", server_local}, {"pg_ls_logdir", server_local},
    {"pg_ls_logicalmapdir", server_local}, {"pg_ls_logicalsnapdir", server_local},
    {"pg_ls_replslotdir", server_local}, {"pg_ls_summariesdir", server_local}, {"pg_ls_tmpdir", server_local},
    {"pg_ls_waldir", server_local}, {"pg_nextoid", writing}, {"pg_notification_queue_usage", server_local},
    {"pg_notify", writing}, {"pg_promote", server_local}, {"pg_read_binary_file", server_local},
    {"pg_read_file", server_local}, {"pg_read_file_old", server_local}, {"pg_reload_conf", server_local},
    {"pg_replication_origin_advance", writing}, {"pg_replication_origin_create", writing},
    {"pg_replication_origin_drop", writing}, {"pg_replication_origin_progress", server_local},
    {"pg_replication_origin_session_is_setup", server_local},
    {"pg_replication_origin_session_progress", server_local},
    {"pg_replication_origin_session_reset", writing}, {"pg_replication_origin_session_setup", writing},
    {"pg_replication_origin_xact_reset", writing}, {"pg_replication_origin_xact_setup", writing},
    {"pg_replication_slot_advance", server_local}, {"pg_restore_attribute_stats", writing},
    {"pg_restore_relation_stats", writing}, {"pg_rotate_logfile", server_local},
    {"pg_rotate_logfile_old", server_local}, {"pg_safe_snapshot_blocking_pids", server_local},
    {"pg_sequence_last_value", server_role}, {"pg_show_all_file_settings", server_local},
    {"pg_show_replication_origin_status", server_local}, {"pg_start_backup", server_local},
    {"pg_stat_file", server_local}, {"pg_stat_reset", server_local},
    {"pg_stat_reset_backend_stats", server_local}, {"pg_stat_reset_replication_slot", server_local},
    {"pg_stat_reset_shared", server_local}, {"pg_stat_reset_single_function_counters", server_local},
    {"pg_stat_reset_single_table_counters", server_local}, {"pg_stat_reset_slru", server_local},
    {"pg_stat_reset_subscription_stats", server_local}, {"pg_stop_backup", server_local},
    {"pg_stop_making_pinned_objects", writing}, {"pg_switch_wal", server_local},
    {"pg_sync_replication_slots", server_local}, {"pg_terminate_backend", server_local},
    {"pg_try_advisory_lock", advisory_lock}, {"pg_try_advisory_lock_shared", advisory_lock},
    {"pg_try_advisory_xact_lock", advisory_lock_transaction},
    {"pg_try_advisory_xact_lock_shared", advisory_lock_transaction}, {"pg_wal_replay_pause", server_local},
    {"pg_wal_replay_resume", server_local}, {"pg_walfile_name", server_role},
    {"pg_walfile_name_offset", server_role}, {"pg_xact_status", server_role}, {"query_to_xml", runs_sql},
    {"query_to_xml_and_xmlschema", runs_sql}, {"query_to_xmlschema", runs_sql}, {"set_config", set_config},
    {"setseed", set_seed}, {"setval", sequence}, {"ts_stat", runs_sql},
    {"txid_current", writing}, {"txid_status", server_role},
};
// clang-format on

constexpr bool by_name(const Entry& a, const Entry& b) {
    return a.name < b.name;
}
static_assert(std::is_sorted(std::begin(special_functions), std::end(special_functions), by_name));

}  // namespace

FunctionClass find_function(std::string_view name) {
    if (is_harmless_builtin(name)) return harmless;
    const Entry* found = std::lower_bound(std::begin(special_functions), std::end(special_functions),
                                          Entry{name, not_built_in}, by_name);
    if (found != std::end(special_functions) && found->name == name) return found->function_class;
    return is_recent_builtin(name) ? harmless_recent : not_built_in;
}

}  // namespace holdfast::sql::postgres
