#!/usr/bin/env bash
# Our algorithms beside those of other libraries: the same seeded rows, scored and learned, one core, in turn, several
# times over; then a table. And the ROC-AUC of our random cut forest beside that of AWS, on the labelled tables in
# ODDWATCH_DATA. Peers of less than 1,000 rows a second run in the first round only.
#
#   scripts/peers.sh [WORK...]     the works are told by `peers works`, `rcf1` and so on; default: all
#
# Environment: ROUNDS (5), SECONDS_EACH (1): of a processor's time, for each run.
set -eu

cd "$(dirname "$0")/.."
. scripts/python_peers.sh
say() { printf 'peers: %s\n' "$*" >&2; }
ROUNDS=${ROUNDS:-5}
SECONDS_EACH=${SECONDS_EACH:-1}
ROWS=.cache/peers
FOUND="$ROWS/found.tsv"
OURS="${CARGO_TARGET_DIR:-target}/release/oddwatch-peers"

cores=$(nproc --all 2>/dev/null || sysctl -n hw.ncpu)

python=$(python_peers)
say "building"
cargo build --release --locked -p oddwatch-peers
"$OURS" rows "$ROWS"
"$OURS" works >"$ROWS/works.tsv"

# Where it can be had, one core; numerical libraries would take all of them.
pin=""
if [ "$cores" -gt 1 ] && command -v taskset >/dev/null 2>&1; then pin="taskset -c 1"; fi
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

# one COMMAND...: a run's line of figures, kept and shown.
one() { $pin "$@" | tee -a "$FOUND" >&2; }

# is_slow WORK PEER: whether the first round found less than 1,000 rows a second.
is_slow() { awk -F '\t' -v w="$1" -v p="$2" '$1 == w && $2 == p && $3 < 1000 { slow = 1 } END { exit !slow }' "$FOUND"; }

: >"$FOUND"
works=${*:-$(cut -f 1 "$ROWS/works.tsv")}
for round in $(seq "$ROUNDS"); do
    say "round $round of $ROUNDS; load $(uptime | sed 's/.*average[s]*: //')"
    for work in $works; do
        for who in model verdict; do one "$OURS" speed $who "$work" "$ROWS" "$SECONDS_EACH"; done
        case $work in
            rcf*) for who in aws aws-small; do one "$OURS" speed $who "$work" "$ROWS" "$SECONDS_EACH"; done ;;
        esac
        for peer in $("$python" tests/peers/peers.py list | awk -F '\t' -v w="$work" '$1 == w { print $2 }'); do
            is_slow "$work" "$peer" && continue
            one "$python" tests/peers/peers.py speed "$peer" "$work" "$ROWS" "$SECONDS_EACH"
        done
    done
done
printf '%s\n' "machine: $cores cores, $(uname -sm); load $(uptime | sed 's/.*average[s]*: //')"
"$python" tests/peers/table.py "$ROWS/works.tsv" "$FOUND"

data=${ODDWATCH_DATA:-../shared/data}
case " $works " in
    *" rcf"*)
        if [ -d "$data/multivariate" ]; then
            "$OURS" auc "$data"
        else
            say "ROC-AUC NOT measured: there is no $data/multivariate; ODDWATCH_DATA names the folder"
        fi
        ;;
esac
