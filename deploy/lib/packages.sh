# Debian packages: installs what is missing, and asks the network only if something is.
# Sourced by deploy/packages.

# install_packages NAME...
install_packages() {
    local installed missing=() name
    # dpkg-query names the unknown ones on standard error and goes on.
    installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true)
    for name in "$@"; do
        grep -qx "$name installed" <<<"$installed" || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] && return 0

    if [ "$(id -u)" -ne 0 ]; then
        echo "These Debian packages are missing: ${missing[*]}. Run this as root to install them." >&2
        return 1
    fi
    echo "Installing Debian packages: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    # PostgreSQL's package starts a server of its own on port 5432 unless told otherwise. Nobody asked for one.
    case " ${missing[*]} " in
        *" postgresql-15 "*) install_postgresql_without_a_server ;;
    esac
    # Likewise MariaDB's, on port 3306. Debian asks this program whether services may be started.
    case " ${missing[*]} " in
        *" mariadb-server "*) install_without_starting "${missing[@]}" ;;
        *) apt-get install -qy --no-install-recommends "${missing[@]}" ;;
    esac
}

install_without_starting() {
    local policy=/usr/sbin/policy-rc.d kept='' status=0
    [ -e "$policy" ] && kept=$(mktemp -p /usr/sbin policy-rc.d.XXXXXX) && cp -p "$policy" "$kept"
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 0755 "$policy"
    apt-get install -qy --no-install-recommends "$@" || status=$?
    if [ -n "$kept" ]; then mv "$kept" "$policy"; else rm -f "$policy"; fi
    # Nor should the one that nobody asked for start with the machine.
    if command -v systemctl >/dev/null; then systemctl disable mariadb.service >/dev/null 2>&1 || true; fi
    return $status
}

install_postgresql_without_a_server() {
    local conf=/etc/postgresql-common/createcluster.conf
    apt-get install -qy --no-install-recommends postgresql-common
    cp -p "$conf" "$conf.before-holdfast"
    echo 'create_main_cluster = false' >>"$conf"
    local status=0
    apt-get install -qy --no-install-recommends postgresql-15 || status=$?
    mv "$conf.before-holdfast" "$conf"
    return $status
}
