# Private MariaDB servers: a primary and replicas that follow it by GTID. Sourced after state.sh and account.sh.
# Each server has a name (my1, my2, my3), the folder $HOME_DIR/NAME, and a remembered port.

MY_NAMES=(my1 my2 my3)

my_port() { recall "$1.port"; }
my_primary() { recall my.primary; }
my_replicas() {
    local name
    for name in "${MY_NAMES[@]}"; do [ "$name" = "$(my_primary)" ] || echo "$name"; done
}

# my_client NAME ARGUMENTS...: as root by the server's own Unix socket.
my_client() {
    local name=$1
    shift
    mariadb --no-defaults --socket="$HOME_DIR/$name/sock" --user=root --batch --skip-column-names "$@"
}

# my_sql NAME SQL
my_sql() { my_client "$1" --execute="$2"; }

# my_status NAME FIELD: of SHOW SLAVE STATUS.
my_status() {
    mariadb --no-defaults --socket="$HOME_DIR/$1/sock" --user=root --execute='SHOW SLAVE STATUS\G' |
        sed -n "s/^ *$2: //p"
}

# my_make NAME: an empty server, not running.
my_make() {
    local name=$1
    install -d -o "$MY_ACCOUNT" -g "$(id -g "$MY_ACCOUNT")" -m 0700 "$HOME_DIR/$name"
    rm -rf "${HOME_DIR:?}/$name/data"
    (as "$MY_ACCOUNT" mariadb-install-db --no-defaults --datadir="$HOME_DIR/$name/data" --skip-test-db \
        --auth-root-authentication-method=socket --auth-root-socket-user=root --innodb-log-file-size=16M \
        >"$HOME_DIR/$name/log" 2>&1) || die "mariadb-install-db failed: $HOME_DIR/$name/log"
    cat >"$HOME_DIR/$name/my.cnf" <<END
# Made by deploy/quickstart.
[mariadbd]
datadir = $HOME_DIR/$name/data
socket = $HOME_DIR/$name/sock
pid_file = $HOME_DIR/$name/pid
bind_address = 127.0.0.1
port = $(my_port "$name")
server_id = ${name#my}
report_host = $name
skip_name_resolve
character_set_server = utf8mb4
max_connections = 200
innodb_buffer_pool_size = 32M
innodb_log_file_size = 16M
performance_schema = OFF
log_bin = binlog
log_slave_updates
relay_log = relay
gtid_strict_mode
slave_net_timeout = 4              # a replica that lost its primary says so soon
# A commit is acknowledged when a replica has received it too (my_require_synchronous).
rpl_semi_sync_slave_enabled = ON
rpl_semi_sync_master_wait_point = AFTER_SYNC
rpl_semi_sync_master_timeout = 3600000
END
}

# my_start NAME OPTIONS...: and waits until it answers.
my_start() {
    local name=$1 pid
    shift
    (as "$MY_ACCOUNT" setsid /usr/sbin/mariadbd --defaults-file="$HOME_DIR/$name/my.cnf" "$@" </dev/null \
        >>"$HOME_DIR/$name/log" 2>&1) &
    pid=$!
    remember_process "$name" "$pid"
    wait_for 30 "$name to accept connections (log: $HOME_DIR/$name/log)" my_sql "$name" 'SELECT 1'
}

my_stop() { stop_process "$1" TERM 30; }

my_kill9() {
    local pid
    pid=$(process_of "$1") || die "$1 is not running"
    kill -KILL "$pid"
    wait_for 10 "$1 to die" has_ended "$1"
}

# my_script NAME: SQL on standard input; for what no process list should show.
my_script() { my_client "$1"; }

# Accounts are the same on every server and not written to the binary log. The service account reads the state of
# replication, the stored secrets, with which Holdfast checks the passwords of applications, and what stored functions
# do. It can't change anything.
my_make_accounts() {
    my_script "$1" <<END
SET sql_log_bin = 0;
CREATE USER holdfast@'%' IDENTIFIED BY '$(recall service.password)';
GRANT SLAVE MONITOR ON *.* TO holdfast@'%';
GRANT SELECT ON mysql.global_priv TO holdfast@'%';
GRANT SELECT ON mysql.proc TO holdfast@'%';
CREATE USER replication@'%' IDENTIFIED BY '$(recall replication.password)';
GRANT REPLICATION SLAVE ON *.* TO replication@'%';
CREATE USER app@'%' IDENTIFIED BY '$(recall app.password)';
GRANT ALL ON blog.* TO app@'%';
END
}

my_make_primary() {
    my_make "$1"
    my_start "$1"
    my_make_accounts "$1"
    my_sql "$1" 'CREATE DATABASE blog'
    remember my.primary "$1"
}

# my_make_replica NAME: a fresh copy of the primary's database that follows it; running when this returns.
my_make_replica() {
    local name=$1 position
    my_stop "$name"
    my_make "$name"
    my_start "$name" --read-only
    my_make_accounts "$name"
    (umask 077 && mariadb-dump --no-defaults --socket="$HOME_DIR/$(my_primary)/sock" --user=root --databases blog \
        --single-transaction --gtid --master-data=2 --routines --triggers --events >"$HOME_DIR/$name/dump") ||
        die "mariadb-dump of $(my_primary) failed"
    my_client "$name" --init-command='SET sql_log_bin = 0' <"$HOME_DIR/$name/dump"
    # With --master-data=2 the copy's position in the primary's history stands in a comment.
    position=$(sed -n "s/.*gtid_slave_pos='\([^']*\)'.*/\1/p" "$HOME_DIR/$name/dump" | head -1)
    rm -f "$HOME_DIR/$name/dump"
    my_sql "$name" "SET GLOBAL gtid_slave_pos = '$position'"
    my_follow "$name"
    wait_for 30 "$name to replicate" my_replicates "$name"
}

# my_follow NAME: lets a running replica follow the present primary.
my_follow() {
    my_script "$1" <<END
STOP SLAVE;
SET GLOBAL read_only = 1;
CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = $(my_port "$(my_primary)"), MASTER_USER = 'replication',
    MASTER_PASSWORD = '$(recall replication.password)', MASTER_CONNECT_RETRY = 1, MASTER_USE_GTID = slave_pos;
START SLAVE;
END
}

my_replicates() {
    [ "$(my_status "$1" Slave_IO_Running)" = Yes ] && [ "$(my_status "$1" Slave_SQL_Running)" = Yes ]
}

# A commit is acknowledged when one of the replicas has it too: then the death of the primary loses nothing.
my_require_synchronous() {
    my_sql "$(my_primary)" 'SET GLOBAL rpl_semi_sync_master_enabled = ON'
    wait_for 30 'a replica that acknowledges' my_has_synchronous_replica
}

my_has_synchronous_replica() {
    [ "$(my_sql "$(my_primary)" "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_master_clients'" | cut -f2)" -ge 1 ]
}

# The replica that has received most has every acknowledged commit; the other may lack some.
my_most_advanced_replica() {
    local name
    for name in $(my_replicas); do
        echo "$(my_status "$name" Gtid_IO_Pos | sed 's/.*-//') $name"
    done | sort -n | tail -1 | cut -d' ' -f2
}

my_has_applied_everything() {
    [ "$(my_sql "$1" 'SELECT @@gtid_slave_pos')" = "$(my_status "$1" Gtid_IO_Pos)" ]
}

# my_promote NAME: returns when it takes writes.
my_promote() {
    my_sql "$1" 'STOP SLAVE IO_THREAD'
    wait_for 30 "$1 to apply what it has received" my_has_applied_everything "$1"
    my_sql "$1" 'STOP SLAVE; RESET SLAVE ALL; SET GLOBAL rpl_semi_sync_master_enabled = ON; SET GLOBAL read_only = 0'
    remember my.primary "$1"
}
