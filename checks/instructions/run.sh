#!/usr/bin/env bash
# Counts the instructions of each job of this program, net of a job with the same signature that does
# nothing, and fails where a count exceeds its bound, or its record by more than 5 %. Counts do not
# move with the machine's load, so they gate where times cannot. A control lowers the records by 6 %,
# which must fail.
#
#   checks/instructions/run.sh            counts and judges
#   checks/instructions/run.sh record     writes what was counted into bounds.txt
#
# It is callgrind by itself: it collects only inside of the jobs, so a count is all that they execute.
set -euo pipefail
cd "$(dirname "$0")"

if ! command -v valgrind >/dev/null; then
    timeout 300 apt-get -o Acquire::Retries=3 update -qq
    timeout 600 apt-get -o Acquire::Retries=3 install -qq -y --no-install-recommends valgrind
fi
cargo build --quiet --release --locked
program=${CARGO_TARGET_DIR:-target}/release/ipencap-instructions
rustc=$(rustc --version | cut -d' ' -f2)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
times=$(sed -n 's/^const TIMES: usize = \([0-9]*\);$/\1/p' src/main.rs)

count() { # JOB
    local collected
    valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        --toggle-collect='ipencap_instructions::jobs::*' "$program" "$1" >/dev/null 2>"$folder/log" || {
        cat "$folder/log" >&2
        return 1
    }
    collected=$(sed -n 's/^==[0-9]*== Collected *: *//p' "$folder/log")
    echo $((collected / times))
}

# Every job's own count, once.
while read -r job empty _; do
    for name in "$job" "$empty"; do
        if ! grep -q "^$name " "$folder/counts" 2>/dev/null; then
            echo "$name $(count "$name")" >>"$folder/counts"
        fi
    done
done < <(grep -v '^#' bounds.txt)

judge() { # BOUNDS
    awk -v rustc="$rustc" '
        NR == FNR { counts[$1] = $2; next }
        /^# rustc / { same = $3 == rustc; next }
        /^#/ { next }
        {
            net = counts[$1] - counts[$2]; verdict = "ok"
            if ($4 != "-" && net > $4) { verdict = "OVER ITS BOUND"; failed = 1 }
            else if (same && $5 != "-" && net > $5 * 1.05) { verdict = "OVER ITS RECORD"; failed = 1 }
            else if ($3 != "-" && net > $3) verdict = "goal missed"
            printf "%-26s %5d  goal %4s  bound %4s  record %4s  %s\n", $1, net, $3, $4, $5, verdict
        }
        END {
            if (!same) print "(recorded with another rustc: only the bounds are judged)"
            exit failed
        }' "$folder/counts" "$1"
}

if [ "${1:-}" = record ]; then
    awk -v rustc="$rustc" '
        NR == FNR { counts[$1] = $2; next }
        /^# rustc / { $3 = rustc }
        !/^#/ { $0 = sprintf("%-26s %-24s %5s %6s %7d", $1, $2, $3, $4, counts[$1] - counts[$2]) }
        { print }' "$folder/counts" bounds.txt >"$folder/bounds"
    cp "$folder/bounds" bounds.txt
fi
result=0
judge bounds.txt || result=1

# The control: the same counts against bounds and records 6 % lower.
awk -v rustc="$rustc" '
    /^# rustc / { $3 = rustc }
    !/^#/ { if ($4 != "-") $4 = int($4 / 1.06); if ($5 != "-") $5 = int($5 / 1.06) }
    { print }' bounds.txt >"$folder/lower"
if judge "$folder/lower" >"$folder/control" || ! grep -q OVER "$folder/control"; then
    echo "FAILED: the control passes, so this check proves nothing"
    result=1
else
    echo "control: with bounds and records 6 % lower $(grep -c OVER "$folder/control") jobs fail"
fi
exit $result
