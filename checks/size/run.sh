#!/usr/bin/env bash
# Builds small programs for microcontrollers, each of which links one thing, and weighs their code: net
# of a program that links nothing, against budgets.txt, with its five largest functions; and the stack: the frames of all functions that are
# compiled here, added up, so no chain of calls uses more of theirs; `memcpy` and its like come prebuilt
# and are not in it. A control adds a kilobyte, which must fail.
#
#   checks/size/run.sh
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=checks/embedded/targets.sh
. ../embedded/targets.sh

targets=(thumbv7em-none-eabihf thumbv6m-none-eabi)
programs=(header encap decap doors reasons udp fou checksum lean endpoint)
prepare_targets "${targets[@]}"
# Apart: the compiler's note of frame sizes is in no other build.
target_dir=${CARGO_TARGET_DIR:-$PWD/../../target}/size
# The toolchain's own objcopy reads every target; the system's may read only the host's.
sysroot=$(rustc --print sysroot)
tools=$sysroot/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

build() { # TARGET [OPTION...]
    # The compiler's frame sizes are an option of its own, and so is the note that it may be used.
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zemit-stack-sizes" CARGO_TARGET_DIR=$target_dir cargo_for "$1" build --quiet --locked --profile firmware "${@:2}"
}

place() { # TARGET
    [ "${target_route[$1]}" = rustup ] && echo "$target_dir/$1/firmware" || echo "$target_dir/debian/$1/firmware"
}

code() { # PROGRAM
    size -A "$1" | awk '$1 ~ /^\.(text|rodata)/ { sum += $2 } END { print sum + 0 }'
}

# Each entry is an address of 4 bytes and a frame in LEB128.
stack() { # PROGRAM
    LD_LIBRARY_PATH=$sysroot/lib "$tools/rust-objcopy" --dump-section ".stack_sizes=$folder/stack" "$1" /dev/null
    od -An -v -tu1 "$folder/stack" | tr -s ' \n' '\n' | awk '
        /./ {
            if (skip < 4) { skip++; next }
            value += ($1 % 128) * factor_of(shift); shift += 7
            if ($1 < 128) { sum += value; value = 0; shift = 0; skip = 0 }
        }
        function factor_of(bits) { return 2 ^ bits }
        END { print sum + 0 }'
}

weigh() { # TARGET
    local target=$1 program folder_of empty
    folder_of=$(place "$target")
    empty=$(code "$folder_of/empty")
    for program in "${programs[@]}"; do
        echo "$target $program code $(($(code "$folder_of/$program") - empty))"
        case $program in encap | decap | lean | endpoint) echo "$target $program stack $(stack "$folder_of/$program")" ;; esac
    done
}

largest() { # TARGET
    local program
    for program in "${programs[@]}"; do
        echo "$1 $program:"
        nm -CS --size-sort -r -t d "$(place "$1")/$program" |
            awk 'NR <= 5 { size = $2 + 0; $1 = $2 = $3 = ""; sub(/^ +/, ""); printf "  %5d  %s\n", size, $0 }'
    done
}

judge() { # FIGURES
    awk '
        NR == FNR { if (!/^#/) { goal[$1, $2, $3] = $4; budget[$1, $2, $3] = $5 } next }
        {
            key = $1 SUBSEP $2 SUBSEP $3; verdict = "ok"
            if (!(key in budget)) verdict = "for information"
            else if ($4 > budget[key]) { verdict = "OVER ITS BUDGET"; failed = 1 }
            else if (goal[key] != "-" && $4 > goal[key]) verdict = "goal missed"
            printf "%-22s %-9s %-6s %5d bytes  goal %5s  budget %5s  %s\n", $1, $2, $3, $4, goal[key], budget[key], verdict
        }
        END { exit failed }' budgets.txt "$1"
}

for target in "${targets[@]}"; do
    build "$target"
    weigh "$target" >>"$folder/figures"
    largest "$target"
done
result=0
judge "$folder/figures" || result=1

for target in "${targets[@]}"; do
    build "$target" --features plant-bytes
    weigh "$target" >>"$folder/planted"
done
if judge "$folder/planted" >"$folder/control" || ! grep -q OVER "$folder/control"; then
    echo "FAILED: a kilobyte more passes, so this check proves nothing"
    result=1
else
    echo "control: a kilobyte more is over the budget"
fi
exit $result
