#!/usr/bin/env bash
# The drift tests beside River's on the same values: rows a second on one core, by turns. Takes about a minute;
# ARGS: how many turns (9).
set -eu

cd "$(dirname "$0")/.."
# shellcheck source=scripts/python.sh
. scripts/python.sh

python=$(need_python_env river river==0.26.1 scipy==1.17.1)
echo "bench: building" >&2
cargo bench --locked -q -p oddwatch-drift --bench tests --no-run
exec "$python" scripts/bench_drift.py "${1:-9}"
