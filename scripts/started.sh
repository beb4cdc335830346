# shellcheck shell=bash
# What scripts/anvil, scripts/fabric and scripts/iota do alike, which read this file and are not it.
# Each sets `name`, its own; `dir`, the folder with all that it starts and writes; and says by
# `is_up` whether that runs.

# Does what is asked for: `up`, `down` or `status`.
run() {
    case ${1:-} in
    up) up ;;
    down) down ;;
    status) status ;;
    *)
        echo "usage: scripts/$name up | down | status" >&2
        exit 2
        ;;
    esac
}

# One at a time, where the system has a tool for that.
alone() {
    command -v flock >/dev/null || return 0
    exec 9>"$dir/lock"
    flock 9
}

# Ends a process that is up; says what is lost where it does not end by itself.
end() {
    local pid=$1 lost=${2:-}
    kill -TERM "$pid" 2>/dev/null || true
    for _ in {1..200}; do
        is_up || break
        sleep 0.05
    done
    if is_up; then
        echo "$name: process $pid does not end: killed$lost" >&2
        kill -KILL "$pid" 2>/dev/null || true
    fi
}

command_line() {
    if [[ -d /proc/self ]]; then
        tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" || true
    else
        ps -p "$1" -o args= || true
    fi
}

# Nobody has them open.
unused_journals() {
    local journal
    for journal in "$dir"/{seller,buyer}-journal; do
        [[ -d $journal ]] || continue
        if command -v flock >/dev/null && ! flock -n "$journal/lock" true; then
            echo "$name: stop process $(<"$journal/lock") first: it has $journal open" >&2
            exit 1
        fi
    done
}

# What happened on a ledger that is no more would be waited for without end.
rename_journals() {
    local journal
    unused_journals
    for journal in "$dir"/{seller,buyer}-journal; do
        [[ ! -d $journal ]] || mv -- "$journal" "$journal-$1"
    done
}

# What a seller's config says of its trade: the currency, and what a reading costs.
trade() {
    cat <<TOML

[seller]
listen = "127.0.0.1:9620"
default_currency = "$1"
granularity = 5
credit_windows = 2

[topics.cpu_load]
price = "$2"
units = "percent"
source = { kind = "host", sensor = "cpu_load", interval_ms = 200 }

[topics.memory]
price = "$2"
units = "bytes"
source = { kind = "host", sensor = "memory", interval_ms = 50 }
TOML
}
