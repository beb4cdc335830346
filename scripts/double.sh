# shellcheck shell=bash
# What scripts/fabric and scripts/iota do alike beside scripts/started.sh: they start a double, which
# says in network.json where it is, and whose ledger is gone when it ends. Each sets `process`, the
# double's name there; `program`, how its command line is told; and `ledger`, the field that tells one
# ledger from another.

# By one name, however it was written: a process is told by the folder in its command line.
find_dir() {
    [[ $dir == /* ]] || dir=$PWD/$dir
    [[ ! -d $dir ]] || dir=$(cd -- "$dir" && pwd -P)
    network=$dir/network.json
}

down() {
    # Not while an `up` is on its way: it would end what that one waits for, or miss it.
    [[ ! -d $dir ]] || alone
    if ! is_up; then
        echo "$name: not up"
        return
    fi
    # What it started ends with it, however it ends.
    end "$(pid_of "$process")"
    echo "$name: stopped; its ledger is gone"
}

status() {
    if is_up && serves; then
        echo "$name: up (a double) at $(field url), process $(pid_of "$process"), in $dir"
    else
        echo "$name: not up"
        exit 1
    fi
}

# Whether the process that we started is there, and not another that got its number since.
is_up() {
    local pid
    pid=$(pid_of "$process")
    [[ -n $pid && $(command_line "$pid") == *"$program"*"--dir $dir "* ]]
}

# Waits until a process that was started serves, or ends it.
until_it_serves() {
    local pid=$1
    for _ in {1..1200}; do
        [[ -f $network ]] && serves && return
        kill -0 "$pid" 2>/dev/null || return 1
        sleep 0.05
    done
    kill -KILL "$pid"
    return 1
}

serves() {
    local port
    port=$(port_of url)
    [[ -n $port ]] && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null
}

did_not_start() {
    cat -- "$dir/log" >&2
    echo "$name: it did not start, see above" >&2
    exit 1
}

# Writes both configs, unless they are good for where it is and for its ledger.
configure() {
    if [[ $(written_for) != "$(here)" || ! -f $dir/seller.toml || ! -f $dir/buyer.toml ]]; then
        set_aside
        write_configs
        here >"$dir/written-for"
    fi
}

here() {
    printf '%s %s\n' "$(field url)" "$(field "$ledger")"
}

written_for() {
    [[ ! -f $dir/written-for ]] || cat -- "$dir/written-for"
}

set_aside() {
    local before
    before=$(written_for | sed 's/.* //')
    [[ -n $before && $before != "$(field "$ledger")" ]] || return 0
    rename_journals "of-${before:0:12}"
}

# A text, its port where it is a URL, and a process id, of network.json, which has one field in a line.
field() {
    [[ ! -f $network ]] || sed -n "s/^  \"$1\": \"\(.*\)\",*$/\1/p" "$network"
}

port_of() {
    field "$1" | sed 's/.*://'
}

pid_of() {
    [[ ! -f $network ]] || sed -n "s/^    \"$1\": \([0-9][0-9]*\),*$/\1/p" "$network"
}
