# Holdfast in front of the private servers. Sourced after state.sh, account.sh, postgres.sh, mariadb.sh.

proxy_make() {
    local name folder=$HOME_DIR/holdfast
    install -d -o "$PG_ACCOUNT" -g "$(id -g "$PG_ACCOUNT")" -m 0700 "$folder"
    # A copy, so that the unprivileged account can reach it and a new build does not disturb it.
    install -m 0755 build/release/holdfast "$HOME_DIR/holdfast-binary"
    write_secret "$folder/service.password" "$PG_ACCOUNT" "$(recall service.password)"
    {
        cat <<END
# Made by deploy/quickstart.
[admin]
listen = "127.0.0.1:$(recall admin.port)"        # the status page, /metrics, the API
socket = "$folder/admin.sock"                       # what the command line uses

END
        proxy_cluster shop postgres "$(recall proxy.port)" "${PG_NAMES[@]}"
        proxy_cluster blog mysql "$(recall proxy.mysql.port)" "${MY_NAMES[@]}"
    } >"$folder/holdfast.toml"
    chown "$PG_ACCOUNT" "$folder/holdfast.toml"
}

# proxy_cluster NAME PROTOCOL PORT SERVER...: its part of the configuration.
proxy_cluster() {
    cat <<END

[cluster.$1]
protocol = "$2"
listen   = "127.0.0.1:$3"
service  = { user = "holdfast", password = { file = "$HOME_DIR/holdfast/service.password" } }
servers  = [
END
    local name
    for name in "${@:4}"; do
        echo "  { name = \"$name\", address = \"127.0.0.1:$(recall "$name.port")\" },"
    done
    echo ']'
}

proxy_start() {
    local folder=$HOME_DIR/holdfast pid
    (as "$PG_ACCOUNT" "$HOME_DIR/holdfast-binary" check --config "$folder/holdfast.toml") ||
        die "holdfast refuses its configuration $folder/holdfast.toml"
    (as "$PG_ACCOUNT" setsid "$HOME_DIR/holdfast-binary" run --config "$folder/holdfast.toml" </dev/null \
        >>"$folder/log" 2>&1) &
    pid=$!
    remember_process holdfast "$pid"
    wait_for 15 "holdfast to answer /healthz (log: $folder/log)" proxy_is_healthy
    wait_for 15 "a first answer through holdfast (log: $folder/log)" proxy_answers
}

proxy_is_healthy() { curl -fsS -m 2 "http://127.0.0.1:$(recall admin.port)/healthz"; }

proxy_answers() {
    proxy_sql 'SELECT 1' &&
        MYSQL_PWD=$(recall app.password) mariadb --no-defaults --protocol=tcp --host=127.0.0.1 \
            --port="$(recall proxy.mysql.port)" --user=app --execute='SELECT 1' blog
}

# proxy_sql SQL: as the application would, through the proxy.
proxy_sql() {
    PGPASSWORD=$(recall app.password) psql -X -q -At -d "postgresql://app@127.0.0.1:$(recall proxy.port)/shop" -c "$1"
}

proxy_stop() { stop_process holdfast TERM 15; }
