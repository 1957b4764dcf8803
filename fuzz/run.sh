#!/usr/bin/env bash
# fuzz/run.sh TARGET [OPTION...]
#
# Fuzzes TARGET from its seeds, on stable Rust, until something is found. What it learns is kept in
# corpus/TARGET. The options are libFuzzer's: -max_total_time=60, -runs=100000, -help=1.
set -euo pipefail
cd "$(dirname "$0")"
target=${1:?"which target? $(cargo fuzz list | tr '\n' ' ')"}
shift
mkdir -p "corpus/$target"
# No sanitizer: the library has no unsafe code. Overflow checks and debug assertions are on.
exec cargo fuzz run -s none "$target" "corpus/$target" "seeds/$target" -- \
    -dict=ipencap.dict -max_len=1024 -len_control=0 -timeout=10 "$@"
