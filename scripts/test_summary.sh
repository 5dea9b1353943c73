#!/usr/bin/env bash
# Sums up what `cargo test -- --show-output` printed, read from stdin; `./dev test` calls it.
#
#   scripts/test_summary.sh STATUS < LOG
#
# STATUS is cargo's exit status. Lists the skipped tests, then closes with one line such as
# `tests: 212 passed, 0 failed, 7 skipped`. A test skips by printing `skipped: NAME: reason` and
# returning, so cargo counts it as passed; here it counts as skipped, as do ignored ones. Exits with
# STATUS; with 1 if no test ran, or if a test skipped itself although CI=true.
set -euo pipefail

status=$1
awk -v status="$status" -v ci="${CI:-}" '
    /^---- .* stdout ----$/ { test = $2; next }
    /^failures:$/ { failing = 1 }
    /^skipped: / && !failing {
        # One test may skip several cases: each is listed, the test counts once.
        if (!(test in counted)) { skips++; if (test != "") counted[test] }
        if (!($0 in listed)) { listed[$0]; lines[++count] = $0 }
        next
    }
    /^test .* \.\.\. ignored/ {
        at = index($0, " ... ignored")
        lines[++count] = "skipped: " substr($0, 6, at - 6) ": ignored" substr($0, at + 12)
        next
    }
    /^test result: / {
        for (i = 2; i <= NF; i++) {
            if ($i == "passed;") passed += $(i - 1)
            if ($i == "failed;") failed += $(i - 1)
            if ($i == "ignored;") ignored += $(i - 1)
        }
        split("", counted); test = ""; failing = 0
    }
    END {
        passed -= skips
        # A program that did not compile or died closes with no result of its own.
        if (status != 0 && failed == 0) failed = 1
        print ""
        for (i = 1; i <= count; i++) print lines[i]
        code = status
        if (code == 0 && passed == 0) { print "no test ran"; code = 1 }
        if (code == 0 && ci == "true" && skips > 0) { print "skipped in CI, where nothing may be"; code = 1 }
        printf "tests: %d passed, %d failed, %d skipped\n", passed, failed, skips + ignored
        exit code
    }
'
