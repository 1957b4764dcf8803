#!/usr/bin/env bash
# fuzz/run.sh TARGET [OPTION...]
# fuzz/run.sh TARGET FILE
#
# Fuzzes TARGET from its seeds, on stable Rust, until something is found, or runs it with the input FILE. What it
# learns is kept in corpus/TARGET. The options are libFuzzer's: -max_total_time=60, -runs=100000, -help=1.
set -euo pipefail
file=${2:-}
[ -z "$file" ] || ! [ -f "$file" ] || file=$(realpath "$file")
cd "$(dirname "$0")"
# shellcheck source=fuzz/build.sh
. ./build.sh
target=${1:?"which target? $(targets | tr '\n' ' ')"}
shift
build build --quiet --bin "$target"
if [ -f "$file" ]; then
    exec "$(program "$target")" "$file" "${@:2}"
fi
[ -d seeds ] || seeds
mkdir -p "artifacts/$target"
fuzz "$target" "$@"
