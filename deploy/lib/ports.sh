# Free TCP ports below 32768 (above lies the range of outgoing connections). Sourced.

port_is_taken() {
    local hex
    hex=$(printf ':%04X' "$1")
    # Column 2 is the local address, column 4 the state (0A: listening).
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        awk -v port="$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 } END { exit !found }'
}

# free_port FIRST: the first free port from FIRST on.
free_port() {
    local port=$1
    while port_is_taken "$port"; do
        port=$((port + 1))
        [ "$port" -lt 32768 ] || die 'found no free port'
    done
    echo "$port"
}
