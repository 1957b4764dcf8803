#!/usr/bin/env bash
# fuzz/coverage.sh TARGET [OPTION...]
#
# Which lines of the library the seeds and the corpus of TARGET reach: a table by file, or what
# llvm-cov makes of the options: show src/stream.rs, show --format=html --output-dir=coverage/html.
set -euo pipefail
cd "$(dirname "$0")"
target=${1:?"which target? $(cargo fuzz list | tr '\n' ' ')"}
shift
host=$(rustc -vV | sed -n 's/^host: //p')
tools=$(rustc --print sysroot)/lib/rustlib/$host/bin
[ -x "$tools/llvm-cov" ] || rustup component add llvm-tools
mkdir -p "corpus/$target"
cargo fuzz coverage -s none "$target" "corpus/$target" "seeds/$target"
[ $# -gt 0 ] || set -- report
command=$1
shift
exec "$tools/llvm-cov" "$command" "target/$host/coverage/$host/release/$target" \
    --instr-profile="coverage/$target/coverage.profdata" \
    --ignore-filename-regex='/(registry|rustc|rustlib|tests|fuzz)/' "$@"
