# Private PostgreSQL servers: a primary and standbys that stream from it. Sourced after state.sh and account.sh.
# Each server has a name (pg1, pg2, pg3), the folder $HOME_DIR/NAME, and a remembered port.

PG_BIN=/usr/lib/postgresql/15/bin
PG_NAMES=(pg1 pg2 pg3)

pg_port() { recall "$1.port"; }
pg_primary() { recall pg.primary; }
pg_standbys() {
    local name
    for name in "${PG_NAMES[@]}"; do [ "$name" = "$(pg_primary)" ] || echo "$name"; done
}

# pg_sql NAME SQL...: as superuser by the server's own Unix socket; DATABASE may be set.
pg_sql() {
    local name=$1 arguments=() statement
    shift
    for statement in "$@"; do arguments+=(-c "$statement"); done
    (as "$PG_ACCOUNT" "$PG_BIN/psql" -X -q -At -v ON_ERROR_STOP=1 -h "$HOME_DIR/$name" -p "$(pg_port "$name")" \
        -U postgres -d "${DATABASE:-postgres}" "${arguments[@]}")
}

# pg_script NAME: the same for SQL on standard input; for what no process list should show.
pg_script() {
    (as "$PG_ACCOUNT" "$PG_BIN/psql" -X -q -v ON_ERROR_STOP=1 -h "$HOME_DIR/$1" -p "$(pg_port "$1")" \
        -U postgres -d "${DATABASE:-postgres}" -f -)
}

# Settings of one server, in a file of their own: lines "name = value" on standard input.
pg_settings() { cat >"$HOME_DIR/$1/data/quickstart.conf"; }
pg_reload() { pg_sql "$1" 'SELECT pg_reload_conf()' >/dev/null; }

pg_make_primary() {
    local name=$1
    pg_make_folder "$name"
    (as "$PG_ACCOUNT" "$PG_BIN/initdb" -D "$HOME_DIR/$name/data" -U postgres -E UTF8 --locale=C.UTF-8 \
        --auth-local=peer --auth-host=scram-sha-256 >"$HOME_DIR/$name/log" 2>&1) || die "initdb failed: $HOME_DIR/$name/log"
    cat >>"$HOME_DIR/$name/data/postgresql.conf" <<END
listen_addresses = '127.0.0.1'
shared_buffers = 32MB
max_connections = 200
wal_level = replica
wal_keep_size = 512MB              # standbys that were away catch up without an archive
hot_standby = on
wal_receiver_timeout = 4s          # a standby that lost its primary says so soon
wal_retrieve_retry_interval = 200ms
password_encryption = scram-sha-256
include_if_exists = 'quickstart.conf'
END
    : | pg_settings "$name"
    chown "$PG_ACCOUNT" "$HOME_DIR/$name/data/quickstart.conf"
    remember pg.primary "$name"
}

pg_make_folder() {
    install -d -o "$PG_ACCOUNT" -g "$(id -g "$PG_ACCOUNT")" -m 0700 "$HOME_DIR/$1"
}

# pg_start NAME: and waits until it answers.
pg_start() {
    local name=$1
    (as "$PG_ACCOUNT" setsid "$PG_BIN/postgres" -D "$HOME_DIR/$name/data" -p "$(pg_port "$name")" \
        -k "$HOME_DIR/$name" </dev/null >>"$HOME_DIR/$name/log" 2>&1) &
    wait_for 30 "$name to accept connections (log: $HOME_DIR/$name/log)" pg_sql "$name" 'SELECT 1'
    remember_process "$name" "$(head -1 "$HOME_DIR/$name/data/postmaster.pid")"
}

pg_stop() { stop_process "$1" INT 30; }  # "fast": disconnects everybody

# Dead at once, with all its children: what a crash of the machine looks like from outside.
pg_kill9() {
    local pid family
    pid=$(process_of "$1") || die "$1 is not running"
    family="$pid $(pgrep -P "$pid" | tr '\n' ' ')"
    # Stopped first, so that none sees another's death and says goodbye to its clients. Some may have ended meanwhile.
    kill -STOP $family 2>/dev/null || true
    kill -KILL $family 2>/dev/null || true
    wait_for 10 "$1 to die" has_ended "$1"
}

# pg_make_standby NAME: a fresh copy of the primary that streams from it; running when this returns.
pg_make_standby() {
    local name=$1
    rm -rf "${HOME_DIR:?}/$name/data"
    pg_make_folder "$name"
    (as "$PG_ACCOUNT" "$PG_BIN/pg_basebackup" -D "$HOME_DIR/$name/data" -h "$HOME_DIR/$(pg_primary)" \
        -p "$(pg_port "$(pg_primary)")" -U postgres -X stream -c fast >>"$HOME_DIR/$name/log" 2>&1) ||
        die "pg_basebackup failed: $HOME_DIR/$name/log"
    (as "$PG_ACCOUNT" touch "$HOME_DIR/$name/data/standby.signal")
    pg_follow_settings "$name"
    pg_start "$name"
    wait_for 30 "$name to stream" pg_streams "$name"
}

# By the primary's Unix socket, where PostgreSQL knows its own account: no password needed.
pg_follow_settings() {
    pg_settings "$1" <<END
primary_conninfo = 'host=$HOME_DIR/$(pg_primary) port=$(pg_port "$(pg_primary)") user=postgres application_name=$1'
END
}

pg_streams() {
    [ "$(pg_sql "$(pg_primary)" "SELECT state FROM pg_stat_replication WHERE application_name = '$1'")" = streaming ]
}

# A commit is acknowledged when one of the standbys has it too: then the death of the primary loses nothing.
pg_require_synchronous() {
    local names
    names=$(pg_standbys | paste -sd,)
    echo "synchronous_standby_names = 'ANY 1 ($names)'" | pg_settings "$(pg_primary)"
    pg_reload "$(pg_primary)"
    wait_for 30 'a synchronous standby' pg_has_synchronous_standby
}

pg_has_synchronous_standby() {
    [ "$(pg_sql "$(pg_primary)" "SELECT count(*) > 0 FROM pg_stat_replication WHERE sync_state = 'quorum'")" = t ]
}

# The standby that has received most has every acknowledged commit; with a quorum the other may lack some.
pg_most_advanced_standby() {
    local name
    for name in $(pg_standbys); do
        echo "$(pg_sql "$name" "SELECT coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0'") $name"
    done | sort -n | tail -1 | cut -d' ' -f2
}

# pg_promote NAME: returns when it takes writes.
pg_promote() {
    [ "$(pg_sql "$1" 'SELECT pg_promote(true, 30)')" = t ] || die "$1 was not promoted (log: $HOME_DIR/$1/log)"
    remember pg.primary "$1"
}

# pg_follow NAME: lets a running standby stream from the present primary.
pg_follow() {
    pg_follow_settings "$1"
    pg_reload "$1"
}
