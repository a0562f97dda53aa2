# What the quickstart remembers: values and processes, in files below $HOME_DIR/state, which only root can write.
# Sourced after say.sh; HOME_DIR is set by deploy/quickstart.

# The marker proves that a folder is ours before anything in it is deleted.
MARKER=holdfast-quickstart-folder

home_is_ours() { [ -f "$HOME_DIR/$MARKER" ]; }

make_home() {
    if [ -e "$HOME_DIR" ] && ! home_is_ours && [ -n "$(ls -A "$HOME_DIR" 2>/dev/null)" ]; then
        die "$HOME_DIR exists and was not made by quickstart; set HOLDFAST_QUICKSTART_DIR to another folder"
    fi
    mkdir -p "$HOME_DIR/state"
    chmod 0711 "$HOME_DIR"
    chmod 0700 "$HOME_DIR/state"
    touch "$HOME_DIR/$MARKER"
}

remember() { (umask 077 && printf '%s\n' "$2" >"$HOME_DIR/state/$1"); }
recall() { cat "$HOME_DIR/state/$1" 2>/dev/null || true; }

# Process ids are reused; together with its start time one names a process for good. Prints nothing of one that has
# ended, also when nobody has waited for it (the first process of a container may never do).
start_time_of() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" && $1 != "X" { print $20 }'; }

remember_process() { remember "$1.pid" "$2 $(start_time_of "$2")"; }

# process_of NAME: prints the process id if that very process still runs.
process_of() {
    local pid started
    read -r pid started <<<"$(recall "$1.pid")"
    [ -n "${pid:-}" ] && [ -n "${started:-}" ] && [ "$(start_time_of "$pid")" = "$started" ] && echo "$pid"
}

is_running() { [ -n "$(process_of "$1")" ]; }
has_ended() { ! is_running "$1"; }

# stop_process NAME SIGNAL SECONDS: asks it to end, and kills it when it has not within that time.
stop_process() {
    local pid deadline
    pid=$(process_of "$1") || return 0
    kill "-$2" "$pid" 2>/dev/null || true
    deadline=$((SECONDS + $3))
    while is_running "$1"; do
        if [ $SECONDS -ge $deadline ]; then
            kill -KILL "$pid" 2>/dev/null || true
            wait_for 10 "$1 to die" has_ended "$1"
        fi
        sleep 0.05
    done
}
