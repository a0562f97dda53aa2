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
    apt-get install -qy --no-install-recommends "${missing[@]}"
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
