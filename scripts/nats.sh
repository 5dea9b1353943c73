#!/usr/bin/env bash
# Starts a real NATS server with JetStream for tests and for trying things out.
#
#   scripts/nats.sh start    prints the server's URL on stdout once it answers
#   scripts/nats.sh stop     stops the server that `start` started; its data stay
#   scripts/nats.sh status   says what runs; exit code 1 if nothing does
#
# `start` takes the server named by NATS_URL if there is one, else Debian's nats-server, which it installs if it
# is lacking. All files lie in .cache/nats. Environment: NATS_URL, NATS_PORT (4222; the next free port is used if it
# is taken).
set -eu

START_SECONDS_MAX=20

ROOT=$(cd "$(dirname "$0")/.." && pwd)
HOME_DIR="$ROOT/.cache/nats"
PID_FILE="$HOME_DIR/pid"
URL_FILE="$HOME_DIR/url"
LOG_FILE="$HOME_DIR/server.log"

say() { printf 'nats: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# Whether something listens on a port.
listens() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }

# Whether what listens there is a NATS server: it greets with INFO.
greets() {
    local greeting=""
    { exec 3<>"/dev/tcp/$1/$2"; } 2>/dev/null || return 1
    IFS= read -r -t 2 -u 3 greeting || true
    exec 3>&-
    case "$greeting" in INFO*) return 0 ;; *) return 1 ;; esac
}

free_port() {
    local port=$1
    while listens 127.0.0.1 "$port"; do port=$((port + 1)); done
    echo "$port"
}

server_pid() {
    [ -f "$PID_FILE" ] || return 1
    local pid
    pid=$(cat "$PID_FILE")
    # A recycled process id is not our server.
    ps -p "$pid" -o command= 2>/dev/null | grep -q 'nats-server' || return 1
    echo "$pid"
}

install_server() {
    have nats-server && return 0
    local sudo=""
    [ "$(id -u)" = 0 ] || sudo=sudo
    say "nats-server is lacking; installing it with the system's package manager"
    if have apt-get; then
        $sudo apt-get update -qq >&2
        # The package would start a server of its own where there is an init system; a test wants none.
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nats-server >&2
    elif have dnf; then
        $sudo dnf install -y -q nats-server >&2
    elif have brew; then
        brew install --quiet nats-server >&2
    else
        die "no apt-get, dnf or brew here: install nats-server, or set NATS_URL"
    fi
    have nats-server || die "nats-server is still lacking after the installation"
}

# host and port of a URL such as nats://user:password@host:port
address() {
    local rest=${1#*://}
    rest=${rest%%,*}
    rest=${rest%%/*}
    rest=${rest##*@}
    case "$rest" in *:*) echo "${rest%:*} ${rest##*:}" ;; *) echo "$rest 4222" ;; esac
}

start() {
    local host port pid until
    if [ -n "${NATS_URL:-}" ]; then
        read -r host port <<<"$(address "$NATS_URL")"
        say "NATS_URL names a server: $host:$port"
        greets "$host" "$port" || die "no NATS server answers at $host:$port"
        echo "$NATS_URL"
        return
    fi
    if server_pid >/dev/null && [ -f "$URL_FILE" ]; then
        say "already running at $(cat "$URL_FILE")"
        cat "$URL_FILE"
        return
    fi
    install_server
    mkdir -p "$HOME_DIR/data"
    port=$(free_port "${NATS_PORT:-4222}")
    say "starting nats-server on port $port"
    # Job control gives it a process group of its own, so that Ctrl-C at the terminal does not reach it.
    set -m
    nats-server --addr 127.0.0.1 --port "$port" --jetstream --store_dir "$HOME_DIR/data" \
        >"$LOG_FILE" 2>&1 </dev/null &
    pid=$!
    set +m
    echo "$pid" >"$PID_FILE"
    until=$((SECONDS + START_SECONDS_MAX))
    until greets 127.0.0.1 "$port"; do
        # By the process alone: it bears the server's name only once it has become the server.
        kill -0 "$pid" 2>/dev/null || die "the server died; see $LOG_FILE"
        [ "$SECONDS" -lt "$until" ] || die "the server did not answer; see $LOG_FILE"
        sleep 0.1
    done
    echo "nats://127.0.0.1:$port" >"$URL_FILE"
    say "ready at $(cat "$URL_FILE")"
    cat "$URL_FILE"
}

stop() {
    local pid
    if pid=$(server_pid); then
        say "stopping process $pid"
        kill "$pid"
        for _ in $(seq 1 100); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        if kill -0 "$pid" 2>/dev/null; then
            say "it does not stop within 10 s; killing it"
            kill -9 "$pid"
        fi
    else
        say "nothing runs that this script started"
    fi
    rm -f "$PID_FILE" "$URL_FILE"
}

case "${1:-}" in
    start) start ;;
    stop) stop ;;
    status)
        server_pid >/dev/null && [ -f "$URL_FILE" ] || { say "not running"; exit 1; }
        say "running at $(cat "$URL_FILE")"
        ;;
    *) die "usage: $0 start|stop|status" ;;
esac
