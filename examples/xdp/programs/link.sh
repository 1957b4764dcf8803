#!/usr/bin/env bash
# Stands in for a linker: joins the bitcode of all crates, inlines everything into the XDP program, and writes one BPF
# object. The tools are those of rustc's own LLVM (`rustup component add llvm-tools`).
set -euo pipefail
tools=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin
output="" symbols="" inputs=()
while [ $# -gt 0 ]; do
    case $1 in
    -o) output=$2 && shift ;;
    --export-symbols) symbols=$2 && shift ;;
    *.o | *.rlib) inputs+=("$1") ;;
    esac
    shift
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bitcode=()
for input in "${inputs[@]}"; do
    case $input in
    *.rlib)
        # What link-time optimisation has left outside: nothing but the compiler's built-ins, which BPF has no use for.
        ;;
    *) bitcode+=("$input") ;;
    esac
done
"$tools/llvm-link" -S "${bitcode[@]}" -o "$work/all.ll"
# BPF programs of one function each need no call frames, and the verifier follows values better: what is marked as
# cold or not to be inlined is inlined too.
sed -i -E '/^attributes /s/\b(noinline|cold)\b//g' "$work/all.ll"
"$tools/opt" -inline-threshold=10000 -inlinecold-threshold=10000 -inline-cold-callsite-threshold=10000 \
    -internalize-public-api-file="$symbols" -passes='internalize,always-inline,default<O3>' "$work/all.ll" -o "$work/all.bc" 2>"$work/err" ||
    { cat "$work/err" >&2; exit 1; }
"$tools/llc" -march=bpfel -mcpu=v3 -O3 -filetype=obj "$work/all.bc" -o "$output"
