# The clean system as a running machine. Sourced by run; $ROOT is its folder.

machine=''  # process id of systemd-nspawn
leader=''   # process id of its systemd

# inside COMMAND...: in the running machine, as root.
inside() {
    nsenter --target "$leader" --mount --uts --ipc --pid --cgroup --root --wd -- \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

has_booted() {
    leader=$(pgrep -P "$machine") || return 1
    case $(inside systemctl is-system-running 2>/dev/null) in running | degraded) ;; *) return 1 ;; esac
}

start_machine() {
    # Nothing is registered anywhere: there may be no systemd on this side.
    systemd-nspawn --quiet --directory="$ROOT" --register=no --keep-unit --boot </dev/null >"$WORK/console" 2>&1 &
    machine=$!
    wait_for 60 'the machine to boot' has_booted
}

has_stopped() { ! kill -0 "$machine" 2>/dev/null; }

stop_machine() {
    [ -n "$machine" ] || return 0
    # To systemd this is "power off".
    [ -n "$leader" ] && kill -s RTMIN+4 "$leader" 2>/dev/null
    local deadline=$((SECONDS + 30))
    until has_stopped; do
        if [ $SECONDS -ge $deadline ]; then kill -KILL "$leader" "$machine" 2>/dev/null; fi
        sleep 0.1
    done
    machine=''
}
