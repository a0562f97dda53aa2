# The load of quickstart --failover. Sourced after say.sh and state.sh.

# start_load postgres|mysql: returns when it has written for three seconds; it runs on until end_load.
start_load() {
    local port
    [ "$1" = postgres ] && port=$(recall proxy.port) || port=$(recall proxy.mysql.port)
    LOAD_LINES=$HOME_DIR/state/load
    : >"$LOAD_LINES"
    APP_PASSWORD=$(recall app.password) /usr/bin/python3 deploy/lib/load.py "$1" "$port" "$LOAD_LINES" &
    LOAD=$!
    trap 'kill -KILL $LOAD 2>/dev/null || true' EXIT
    await_writes 3
}

# end_load: lets it write for three seconds more, and has it sum up. Its verdict is in VERDICT: 1 when it is bad.
end_load() {
    await_writes 3
    kill -TERM "$LOAD"
    wait "$LOAD" || VERDICT=1
    trap - EXIT
}

# await_writes SECONDS: until the load has told of that many more seconds in which writes were acknowledged.
await_writes() {
    wait_for 60 'the writes of the load' load_wrote_or_ended $(($(seconds_with_writes) + $1))
    kill -0 "$LOAD" 2>/dev/null || die 'the load ended by itself'
}

load_wrote_or_ended() { ! kill -0 "$LOAD" 2>/dev/null || [ "$(seconds_with_writes)" -ge "$1" ]; }
seconds_with_writes() { grep -c 'writes/s *[1-9]' "$LOAD_LINES" || true; }
