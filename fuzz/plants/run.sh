#!/usr/bin/env bash
# fuzz/plants/run.sh [TRAP...]
# fuzz/plants/run.sh check          whether all of them can still be planted
#
# Shows that the fuzz targets find bugs: plants one at a time in a copy of the library, each a trap
# that other implementations fell into (T01.patch to T49.patch, or only those named), and fuzzes the
# target that its file names, from nothing and from the seeds, until it is found. Prints a row for each;
# fails if one is not found from the seeds within PLANT_SECONDS, 1200 if not set. PLANT_SEED is the seed
# of libFuzzer's choices, 1 if not set.
set -euo pipefail
limit=${PLANT_SECONDS:-1200}
seed=${PLANT_SEED:-1}
plants=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$plants/../.." && pwd)
if [ "${1:-}" = check ]; then
    cd "$project"
    result=0
    for patch in "$plants"/T*.patch; do
        git apply --check -C1 "$patch" || result=1
    done
    exit $result
fi
if [ $# -eq 0 ]; then
    mapfile -t traps < <(cd "$plants" && printf '%s\n' T*.patch | sed 's/\.patch$//')
    set -- "${traps[@]}"
fi

copy=$project/fuzz/target/plants/copy
built=$project/fuzz/target/plants/built
mkdir -p "$built"
# One run at a time: there is one copy.
exec 9>"$built/lock"
flock 9
rm -rf "$copy"
mkdir -p "$copy"
(cd "$project" && git ls-files -z -- Cargo.toml README.md src tests/kit examples/cli fuzz ':!fuzz/seeds' |
    xargs -0 cp --parents --target-directory "$copy")
# The copy lies inside the project, but is no part of it to git.
export GIT_CEILING_DIRECTORIES=$project/fuzz/target/plants
export CARGO_INCREMENTAL=1

# Fuzzes TARGET from CORPUS: how long it took, and how many inputs.
fuzz() {
    rm -rf "$work/corpus"
    mkdir -p "$work/corpus" "$work/nothing"
    local start=${EPOCHREALTIME/./} result=0
    "$built/x86_64-unknown-linux-gnu/release/$1" "$work/corpus" "$2" \
        -dict="$project/fuzz/ipencap.dict" -max_len=1024 -len_control=0 -timeout=10 -seed="$seed" \
        -max_total_time="$limit" -print_final_stats=1 -artifact_prefix="$work/" \
        >"$work/log" 2>&1 || result=$?
    milliseconds=$(((${EPOCHREALTIME/./} - start) / 1000))
    inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")
    took=$(printf '%d.%d' $((milliseconds / 1000)) $((milliseconds % 1000 / 100)))
    if [ $result -eq 0 ]; then
        took="not in $limit"
        milliseconds=""
    fi
}

found=()
missed=()
echo '| trap | target | from nothing, seconds | inputs | from seeds, seconds | inputs | what was planted |'
echo '|---|---|---:|---:|---:|---:|---|'
for trap; do
    patch=$plants/$trap.patch
    target=$(sed -n 's/^target: //p' "$patch")
    work=$copy/work
    rm -rf "$work"
    mkdir -p "$work"
    # With one line of context it survives changes around it.
    if ! (cd "$copy" && git apply -C1 "$patch"); then
        printf '| %s | %s | | | does not apply: plant it anew | |\n' "$trap" "$target"
        missed+=("$trap")
        continue
    fi
    if ! (cd "$copy/fuzz" && cargo fuzz build -s none --target-dir "$built" "$target") >"$work/build" 2>&1; then
        cat "$work/build" >&2
        exit 1
    fi
    row="| $trap | $target"
    for corpus in "$work/nothing" "$project/fuzz/seeds/$target"; do
        fuzz "$target" "$corpus"
        row+=" | $took | $inputs"
    done
    if [ -n "$milliseconds" ]; then
        found+=("$milliseconds")
    else
        missed+=("$trap")
    fi
    printf '%s | %s |\n' "$row" "$(sed -n 's/^trap: //p' "$patch")"
    (cd "$copy" && git apply -C1 -R "$patch")
done

if [ ${#found[@]} -gt 0 ]; then
    mapfile -t sorted < <(printf '%s\n' "${found[@]}" | sort -n)
    printf '\n%d of %d found; median %d ms, longest %d ms\n' "${#sorted[@]}" $# \
        "${sorted[$((${#sorted[@]} / 2))]}" "${sorted[-1]}"
fi
if [ ${#missed[@]} -gt 0 ]; then
    echo "not found: ${missed[*]}" >&2
    exit 1
fi
