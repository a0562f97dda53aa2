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
    if ! apt_install "${missing[@]}"; then
        echo "Packages could not be installed. Their names are those of Debian 12 (bookworm); this is" \
            "$(. /etc/os-release 2>/dev/null && echo "${PRETTY_NAME:-another system}")." >&2
        return 1
    fi
}

# apt_install NAME...
apt_install() {
    apt-get update -q || return 1
    # PostgreSQL's package starts a server of its own on port 5432 unless told otherwise. Nobody asked for one.
    case " $* " in
        *" postgresql-15 "*) install_postgresql_without_a_server || return 1 ;;
    esac
    # Likewise MariaDB's, on port 3306, and Prometheus, on 9090. Debian asks a program whether services may be started.
    case " $* " in
        *" mariadb-server "* | *" prometheus "*) install_without_starting "$@" ;;
        *) apt-get install -qy --no-install-recommends "$@" ;;
    esac
}

# In a shell of its own, so that what it changes for a while is put back whatever happens.
install_without_starting() (
    policy=/usr/sbin/policy-rc.d kept=''
    put_back() { if [ -n "$kept" ]; then mv "$kept" "$policy"; else rm -f "$policy"; fi; }
    if [ -e "$policy" ]; then
        kept=$(mktemp -p /usr/sbin policy-rc.d.XXXXXX) && cp -p "$policy" "$kept" || exit 1
    fi
    trap put_back EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 0755 "$policy" || exit 1
    apt-get install -qy --no-install-recommends "$@" || exit 1
    # Nor should those that nobody asked for start with the machine.
    command -v systemctl >/dev/null || exit 0
    for package in "$@"; do
        case $package in
            mariadb-server) systemctl disable mariadb.service >/dev/null 2>&1 || true ;;
            prometheus) systemctl disable prometheus.service >/dev/null 2>&1 || true ;;
        esac
    done
)

install_postgresql_without_a_server() (
    conf=/etc/postgresql-common/createcluster.conf
    apt-get install -qy --no-install-recommends postgresql-common || exit 1
    cp -p "$conf" "$conf.before-holdfast" || exit 1
    trap 'mv "$conf.before-holdfast" "$conf"' EXIT
    trap 'exit 130' INT TERM HUP
    echo 'create_main_cluster = false' >>"$conf"
    apt-get install -qy --no-install-recommends postgresql-15 || exit 1
)
