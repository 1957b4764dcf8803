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
    # The .rlib files hold what link-time optimisation has left outside: the compiler's built-ins, of no use to BPF.
    *.o) inputs+=("$1") ;;
    esac
    shift
done
work=${IPENCAP_XDP_WORK:-$(mktemp -d)}
"$tools/llvm-link" -S "${inputs[@]}" -o "$work/all.ll"
# Inlining: no function may stay, as calls hide from the verifier what was checked. Misaligned access: packets need it,
# and the verifier allows it wherever the processor does.
sed -i -E '/^attributes /{
    s/\b(noinline|cold|optsize|minsize)\b//g
    s/"target-cpu"="[^"]*"/alwaysinline "target-cpu"="v3" "target-features"="+alu32,+allows-misaligned-mem-access"/
}' "$work/all.ll"
# A copy of an error value, six bytes, in pieces like its fields: the optimiser splits larger ones in the wrong places,
# and the stack must not be read across them.
sed -i -E 's/^  call void @llvm\.memcpy\.p0\.p0\.i64\(ptr align ([0-9]+) (%[^,]+), ptr align ([0-9]+) (%[^,]+), i64 6, i1 false\).*/&/
    T split
    s//  COPY \2 \4/
    :split' "$work/all.ll"
awk '$1 == "COPY" {
    for (at = 0; at < 6; at += 2) {
        n++
        printf "  %%copy.from.%d = getelementptr i8, ptr %s, i64 %d\n", n, $3, at
        printf "  %%copy.to.%d = getelementptr i8, ptr %s, i64 %d\n", n, $2, at
        printf "  %%copy.%d = load i16, ptr %%copy.from.%d, align 2\n", n, n
        printf "  store i16 %%copy.%d, ptr %%copy.to.%d, align 2\n", n, n
    }
    next
} { print }' "$work/all.ll" >"$work/split.ll"
# The programs and the licence stay, and the maps, in capitals, that they use.
grep -E '^([a-z0-9_]+|LICENSE)$' "$symbols" >"$work/programs"
"$tools/opt" -passes='internalize,globaldce' -internalize-public-api-file="$work/programs" "$work/split.ll" -o "$work/used.bc"
"$tools/llvm-nm" --format=just-symbols "$work/used.bc" | grep -Fx -f "$symbols" >"$work/kept"
"$tools/opt" -S -passes='internalize,always-inline,default<O2>,default<O2>' -internalize-public-api-file="$work/kept" \
    "$work/split.ll" -o "$work/final.ll"
# A value that nobody reads on this way may be anything to the optimiser, even an address; the verifier allows no
# arithmetic with those. Zero, then.
sed -i -E '/ = phi i[0-9]+ /s/\[ (undef|poison),/[ 0,/g; / = phi ptr /s/\[ (undef|poison),/[ null,/g' "$work/final.ll"
"$tools/llc" -march=bpfel -mcpu=v3 -mattr=+allows-misaligned-mem-access -O3 -filetype=obj "$work/final.ll" -o "$output"
[ -n "${IPENCAP_XDP_WORK:-}" ] || rm -rf "$work"
