#!/usr/bin/env bash
# Starts a real Apache Kafka broker for tests, benchmarks and trying things out.
#
#   scripts/kafka.sh start    prints the bootstrap address on stdout once the broker takes transactions
#   scripts/kafka.sh stop     stops the broker that `start` started; its data stay
#   scripts/kafka.sh status   says what runs; exit code 1 if nothing does
#   scripts/kafka.sh wipe     stops it and forgets its data
#   scripts/kafka.sh kill     kills it without a warning (SIGKILL), for tests of what that does
#   scripts/kafka.sh groups   prints how far each consumer group has read
#   scripts/kafka.sh revive   starts a killed one again, on its port and with its data; returns once it listens
#
# `start` takes the first of these that there is: the broker named by KAFKA_BOOTSTRAP, a Docker engine, or Java
# with Apache Kafka from Maven Central (Java and Maven are installed if they are lacking).
# All files lie in .cache/kafka. Environment: KAFKA_BOOTSTRAP, KAFKA_PORT (9092; the next free port is used if it
# is taken), KAFKA_JVM_OPTS (the default starts fast; a benchmark leaves out TieredStopAtLevel),
# KAFKA_ENGINE (docker or java, to insist), KAFKA_NAME (a broker of one's own beside the others: its files lie in
# .cache/kafka-NAME, it gets another port, and KAFKA_BOOTSTRAP is not looked at), KAFKA_VERSION.
set -eu

KAFKA_VERSION_DEFAULT=4.3.0
KAFKA_VERSION=${KAFKA_VERSION:-$KAFKA_VERSION_DEFAULT}
IMAGE="apache/kafka:$KAFKA_VERSION"
NAME=kafka${KAFKA_NAME:+-$KAFKA_NAME}
CONTAINER=oddwatch-$NAME
PROBE_TOPIC=oddwatch-probe
START_SECONDS_MAX=90

ROOT=$(cd "$(dirname "$0")/.." && pwd)
HOME_DIR="$ROOT/.cache/$NAME"
LIBS_DIR="$ROOT/.cache/kafka/libs"
[ "$KAFKA_VERSION" = "$KAFKA_VERSION_DEFAULT" ] || LIBS_DIR="$LIBS_DIR-$KAFKA_VERSION"
PID_FILE="$HOME_DIR/pid"
BOOTSTRAP_FILE="$HOME_DIR/bootstrap"
LOG_FILE="$HOME_DIR/broker.log"
LOCK_DIR="$HOME_DIR/lock"
if [ -n "${KAFKA_NAME:-}" ]; then
    KAFKA_BOOTSTRAP=""
    PORT=${KAFKA_PORT:-9192}
else
    PORT=${KAFKA_PORT:-9092}
fi
JVM_OPTS=${KAFKA_JVM_OPTS:--Xms256m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto}

say() { printf 'kafka: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# Whether something listens on a port of this machine.
listens() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }

free_port() {
    local port=$1
    while listens 127.0.0.1 "$port"; do port=$((port + 1)); done
    echo "$port"
}

# The settings of a one-node cluster: small internal topics, no waiting for members that never come.
settings() {
    cat <<SETTINGS
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=3
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
num.network.threads=2
num.io.threads=4
SETTINGS
}

# ---- with Java -----------------------------------------------------------------------------------------

java_pid() {
    [ -f "$PID_FILE" ] || return 1
    local pid
    pid=$(cat "$PID_FILE")
    # A recycled process id is not our broker.
    ps -p "$pid" -o command= 2>/dev/null | grep -q 'kafka\.Kafka' || return 1
    echo "$pid"
}

install_java() {
    have java && have mvn && return 0
    local sudo=""
    [ "$(id -u)" = 0 ] || sudo=sudo
    say "java or mvn is lacking; installing with the system's package manager"
    if have apt-get; then
        $sudo apt-get update -qq >&2
        DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq default-jre-headless maven >&2
    elif have dnf; then
        $sudo dnf install -y -q java-latest-openjdk-headless maven >&2
    elif have brew; then
        brew install --quiet openjdk maven >&2
        PATH="$(brew --prefix openjdk)/bin:$PATH"
    else
        die "no apt-get, dnf or brew here: install Java 17 or newer and Maven, or start Docker"
    fi
    if ! have java || ! have mvn; then die "java and mvn are still lacking after the installation"; fi
}

fetch_jars() {
    mkdir -p "$ROOT/.cache/kafka"
    [ -f "$LIBS_DIR/.complete-$KAFKA_VERSION" ] && return 0
    say "fetching Apache Kafka $KAFKA_VERSION with Maven (some 45 jars, 45 MB)"
    rm -rf "$LIBS_DIR"
    cat >"$HOME_DIR/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>oddwatch</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>$KAFKA_VERSION</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka-tools</artifactId>
      <version>$KAFKA_VERSION</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>2.24.3</version>
    </dependency>
  </dependencies>
</project>
POM
    (cd "$HOME_DIR" && mvn -q -B dependency:copy-dependencies -DincludeScope=runtime \
        -DoutputDirectory="$LIBS_DIR") >&2 || die "Maven could not fetch Kafka; see above"
    touch "$LIBS_DIR/.complete-$KAFKA_VERSION"
}

tool() {
    java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -cp "$LIBS_DIR/*" "$@"
}

start_java() {
    local port controller
    install_java
    mkdir -p "$HOME_DIR"
    fetch_jars
    port=$(free_port "$PORT")
    controller=$(free_port $((port + 1)))
    {
        settings
        echo "listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller"
        echo "advertised.listeners=PLAINTEXT://127.0.0.1:$port"
        echo "controller.quorum.voters=1@127.0.0.1:$controller"
        echo "log.dirs=$HOME_DIR/data"
    } >"$HOME_DIR/server.properties"
    say "formatting the storage (kept if it is there)"
    tool kafka.tools.StorageTool format -t oddwatchoddwatchoddwac -c "$HOME_DIR/server.properties" \
        --ignore-formatted >"$LOG_FILE" 2>&1 || die "formatting failed; see $LOG_FILE"
    say "starting the broker on port $port"
    launch_java
    wait_until "the broker did not answer; see $LOG_FILE" java_answers "$port"
    say "probing a transaction"
    wait_until "the broker takes no transactions; see $LOG_FILE" java_transacts "$port"
    echo "127.0.0.1:$port" >"$BOOTSTRAP_FILE"
}

launch_java() {
    # Job control gives it a process group of its own, so that Ctrl-C at the terminal does not reach it.
    set -m
    # shellcheck disable=SC2086 # the options are several words
    nohup java $JVM_OPTS -cp "$LIBS_DIR/*" kafka.Kafka "$HOME_DIR/server.properties" \
        >>"$LOG_FILE" 2>&1 </dev/null &
    echo $! >"$PID_FILE"
    set +m
}

java_answers() {
    java_pid >/dev/null || die "the broker died; see $LOG_FILE"
    listens 127.0.0.1 "$1" && tool org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:$1" \
        --create --if-not-exists --topic "$PROBE_TOPIC" --partitions 1 --replication-factor 1 \
        >>"$LOG_FILE" 2>&1
}

java_listens() {
    java_pid >/dev/null || die "the broker died; see $LOG_FILE"
    listens 127.0.0.1 "$1"
}

java_transacts() {
    tool org.apache.kafka.tools.ProducerPerformance --bootstrap-server "127.0.0.1:$1" \
        --topic "$PROBE_TOPIC" --num-records 1 --record-size 1 --throughput -1 \
        --transactional-id "$PROBE_TOPIC" --transaction-duration-ms 1 >>"$LOG_FILE" 2>&1
}

stop_java() {
    local pid
    pid=$(java_pid) || return 1
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
    rm -f "$PID_FILE"
}

# ---- with Docker ---------------------------------------------------------------------------------------

docker_runs() { have docker && docker info >/dev/null 2>&1; }

container_runs() {
    docker_runs && [ "$(docker inspect -f '{{.State.Running}}' "$CONTAINER" 2>/dev/null)" = true ]
}

start_docker() {
    local port env=() line name
    port=$(free_port "$PORT")
    while IFS= read -r line; do
        name=$(printf '%s' "${line%%=*}" | tr 'a-z.' 'A-Z_')
        env+=(-e "KAFKA_$name=${line#*=}")
    done < <(
        settings
        echo "listeners=PLAINTEXT://:$port,CONTROLLER://:29093"
        echo "advertised.listeners=PLAINTEXT://127.0.0.1:$port"
        echo "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
        echo "controller.quorum.voters=1@localhost:29093"
    )
    say "starting $IMAGE as container $CONTAINER on port $port"
    docker rm -f "$CONTAINER" >/dev/null 2>&1 || true
    docker run -d --name "$CONTAINER" -p "127.0.0.1:$port:$port" "${env[@]}" \
        -e KAFKA_HEAP_OPTS='-Xms256m -Xmx512m' -e KAFKA_JVM_PERFORMANCE_OPTS="${KAFKA_JVM_OPTS:-}" \
        "$IMAGE" >/dev/null || die "docker could not start $IMAGE"
    wait_until "the broker did not answer; see docker logs $CONTAINER" docker_answers "$port"
    say "probing a transaction"
    wait_until "the broker takes no transactions; see docker logs $CONTAINER" docker_transacts "$port"
    mkdir -p "$HOME_DIR"
    echo "127.0.0.1:$port" >"$BOOTSTRAP_FILE"
}

docker_answers() {
    container_runs || die "the container died; see docker logs $CONTAINER"
    docker exec "$CONTAINER" /opt/kafka/bin/kafka-topics.sh --bootstrap-server "127.0.0.1:$1" \
        --create --if-not-exists --topic "$PROBE_TOPIC" >/dev/null 2>&1
}

docker_transacts() {
    docker exec "$CONTAINER" /opt/kafka/bin/kafka-producer-perf-test.sh \
        --bootstrap-server "127.0.0.1:$1" --topic "$PROBE_TOPIC" --num-records 1 --record-size 1 \
        --throughput -1 --transactional-id "$PROBE_TOPIC" --transaction-duration-ms 1 >/dev/null 2>&1
}

# ---- the commands --------------------------------------------------------------------------------------

# wait_until MESSAGE COMMAND...: repeats the command until it succeeds, or gives up with the message and leaves no
# broker behind.
wait_until() {
    local message=$1 until=$((SECONDS + START_SECONDS_MAX))
    shift
    until "$@"; do
        if [ "$SECONDS" -ge "$until" ]; then
            stop
            die "$message"
        fi
        sleep 0.3
    done
}

# Two starts at once would share one data directory: the second waits for the first.
lock() {
    mkdir -p "$HOME_DIR"
    local owner anonymous=0
    until mkdir "$LOCK_DIR" 2>/dev/null; do
        owner=$(cat "$LOCK_DIR/pid" 2>/dev/null || true)
        [ -n "$owner" ] || anonymous=$((anonymous + 1))
        if [ "$anonymous" -gt 10 ] || { [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; }; then
            anonymous=0
            rm -rf "$LOCK_DIR"
        else
            sleep 0.3
        fi
    done
    echo $$ >"$LOCK_DIR/pid"
    trap 'rm -rf "$LOCK_DIR"' EXIT
}

running() { [ -f "$BOOTSTRAP_FILE" ] && { java_pid >/dev/null || container_runs; }; }

start() {
    if [ -n "${KAFKA_BOOTSTRAP:-}" ]; then
        local first=${KAFKA_BOOTSTRAP%%,*}
        say "KAFKA_BOOTSTRAP names a broker: $KAFKA_BOOTSTRAP"
        listens "${first%:*}" "${first##*:}" || die "nothing listens at $first"
        mkdir -p "$HOME_DIR"
        echo "$KAFKA_BOOTSTRAP"
        return
    fi
    if running; then
        say "already running at $(cat "$BOOTSTRAP_FILE")"
    else
        rm -f "$BOOTSTRAP_FILE"
        local engine=${KAFKA_ENGINE:-}
        [ -n "$engine" ] || { docker_runs && engine=docker || engine=java; }
        case "$engine" in
            docker) start_docker ;;
            java) start_java ;;
            *) die "KAFKA_ENGINE is $engine; docker or java expected" ;;
        esac
        say "ready at $(cat "$BOOTSTRAP_FILE")"
    fi
    cat "$BOOTSTRAP_FILE"
}

stop() {
    if stop_java; then
        :
    elif container_runs; then
        say "stopping container $CONTAINER"
        docker stop "$CONTAINER" >/dev/null
    else
        say "nothing runs that this script started"
    fi
    rm -f "$BOOTSTRAP_FILE"
}

groups() {
    local address args
    running || die "not running"
    address=$(cat "$BOOTSTRAP_FILE")
    args=(--bootstrap-server "$address" --describe --all-groups --offsets)
    if java_pid >/dev/null; then
        tool org.apache.kafka.tools.consumer.group.ConsumerGroupCommand "${args[@]}" 2>/dev/null
    else
        docker exec "$CONTAINER" /opt/kafka/bin/kafka-consumer-groups.sh "${args[@]}" 2>/dev/null
    fi
}

crash() {
    local pid
    if pid=$(java_pid); then
        say "killing process $pid"
        kill -9 "$pid"
        while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
    elif container_runs; then
        say "killing container $CONTAINER"
        docker kill "$CONTAINER" >/dev/null
    else
        die "nothing runs that this script started"
    fi
}

revive() {
    local address port
    [ -f "$BOOTSTRAP_FILE" ] || die "no broker was killed"
    address=$(cat "$BOOTSTRAP_FILE")
    port=${address##*:}
    running && die "already running at $address"
    if [ -f "$PID_FILE" ]; then
        launch_java
        wait_until "the broker did not come back; see $LOG_FILE" java_listens "$port"
    else
        docker start "$CONTAINER" >/dev/null
        wait_until "the broker did not come back; see docker logs $CONTAINER" listens 127.0.0.1 "$port"
    fi
    say "back at $address"
}

case "${1:-}" in
    start)
        lock
        start
        ;;
    stop)
        lock
        stop
        ;;
    status)
        running || { say "not running"; exit 1; }
        say "running at $(cat "$BOOTSTRAP_FILE")"
        ;;
    wipe)
        lock
        stop
        rm -rf "$HOME_DIR/data" "$PID_FILE"
        if docker_runs; then docker rm -f "$CONTAINER" >/dev/null 2>&1 || true; fi
        say "its data are gone"
        ;;
    groups) groups ;;
    kill)
        lock
        crash
        ;;
    revive)
        lock
        revive
        ;;
    *) die "usage: $0 start|stop|status|wipe|groups|kill|revive" ;;
esac
