# The unprivileged account that runs servers and proxy, and secrets. Sourced.

# account_for NAME: the package's own account if there is one, else one that is made.
account_for() {
    if ! id "$1" >/dev/null 2>&1; then
        useradd --system --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin "$1"
    fi
    echo "$1"
}

# as ACCOUNT COMMAND...: replaces itself by the command, so that a background `as` has the command's process id.
as() {
    local account=$1
    shift
    cd /  # the account need not be able to enter the present folder
    exec setpriv --reuid="$account" --regid="$(id -g "$account")" --init-groups --inh-caps=-all -- \
        env -i PATH="$PATH" LANG=C.UTF-8 HOME=/ PGCONNECT_TIMEOUT=10 "$@"
}

new_secret() { od -An -N18 -tx1 /dev/urandom | tr -d ' \n'; }

# write_secret FILE OWNER TEXT
write_secret() {
    (umask 077 && printf '%s\n' "$3" >"$1")
    chown "$2" "$1"
}
