#!/usr/bin/env bash
# All figures of one run, side by side: the scorers, the memory exchange, a raw copy through Kafka, the four services
# through Kafka, and their latency. Uses the broker of KAFKA_BOOTSTRAP, or starts one with the JVM's default
# optimisation. Takes about five minutes.
set -eu

cd "$(dirname "$0")/.."
say() { printf 'bench: %s\n' "$*" >&2; }
RECORDS=${RECORDS:-2000000}

say "building"
cargo build --release --locked -p oddwatch -p oddwatch-tests --bin oddwatch --bin bench
cargo build --release --locked -p oddwatch-exchange --example copy_bench

printf '%s\n' "machine: $(nproc) cores, $(uname -sm)"
say "the scorers, one core"
cargo bench --locked -q -p oddwatch-detect
say "the memory exchange"
target/release/bench memory "$RECORDS"

if [ -z "${KAFKA_BOOTSTRAP:-}" ]; then
    if ! scripts/kafka.sh status >/dev/null 2>&1; then
        trap 'scripts/kafka.sh stop' EXIT
        export KAFKA_JVM_OPTS='-Xms512m -Xmx1g -XX:+UseSerialGC -Xshare:auto'
    fi
    KAFKA_BOOTSTRAP=$(scripts/kafka.sh start)
    export KAFKA_BOOTSTRAP
fi
say "latency at 1,000 records/s, the broker warmed up for a minute"
target/release/bench latency 1000 60 30
say "latency at 50,000 records/s"
target/release/bench latency 50000 20 30
say "a raw copy by librdkafka, exactly once, 20,000 records a transaction"
target/release/examples/copy_bench raw "$RECORDS"
say "four service processes"
target/release/bench drain $((2 * RECORDS))
target/release/bench kafka "$RECORDS"
