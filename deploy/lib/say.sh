# Talking to the operator. Sourced.

say() { printf '%s\n' "$*"; }
step() { printf -- '-> %s\n' "$*"; }
die() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }

# wait_for SECONDS WHAT COMMAND...: until the command succeeds; dies naming WHAT when it does not in time.
wait_for() {
    local seconds=$1 what=$2 deadline
    shift 2
    deadline=$((SECONDS + seconds))
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -ge $deadline ] && die "gave up after $seconds s waiting for $what"
        sleep 0.05
    done
}
