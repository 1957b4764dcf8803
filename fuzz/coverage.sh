#!/usr/bin/env bash
# fuzz/coverage.sh TARGET [OPTION...]
#
# Which lines of the library the seeds and the corpus of TARGET reach: a table by file, or what
# llvm-cov makes of the options: show src/stream.rs, show --format=html --output-dir=coverage/html.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=fuzz/build.sh
. ./build.sh
target=${1:?"which target? $(targets | tr '\n' ' ')"}
shift
tools=$(rustc --print sysroot)/lib/rustlib/$host/bin
[ -x "$tools/llvm-cov" ] || rustup component add llvm-tools
[ -d seeds ] || seeds
target_dir+=/coverage
RUSTFLAGS=-Cinstrument-coverage build build --quiet --bin "$target"
mkdir -p coverage "corpus/$target"
LLVM_PROFILE_FILE=$PWD/coverage/$target.profraw "$(program "$target")" -runs=0 "corpus/$target" "seeds/$target"
"$tools/llvm-profdata" merge --sparse "coverage/$target.profraw" --output "coverage/$target.profdata"
[ $# -gt 0 ] || set -- report
command=$1
shift
exec "$tools/llvm-cov" "$command" "$(program "$target")" --instr-profile="coverage/$target.profdata" \
    --ignore-filename-regex='/(registry|rustc|rustlib|tests|fuzz)/' "$@"
