#!/usr/bin/env bash
# The known answers on other machines than this one, in an emulator or an interpreter. What cannot be had here is
# skipped, with the reason.
#
#   checks/machines/run.sh                 the first five, which take seconds
#   checks/machines/run.sh MACHINE...      these
#   checks/machines/run.sh record          all of them, and writes records/ today: half an hour
#   checks/machines/run.sh --list          the machines
#
# cortex-m4, cortex-m0, riscv32    without an operating system: `answers/`
# aarch64, s390x                   with Linux: `answers/`, s390x is big-endian
# tests-aarch64, tests-s390x       the same two, with the project's tests: some minutes
# miri-host, miri-i686, miri-s390x `answers/` in Miri: six minutes each
#
# Miri does not get through ten of the project's vectors in a quarter of an hour, so it has the answers.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=checks/embedded/targets.sh
. checks/embedded/targets.sh

answering=(cortex-m4 cortex-m0 riscv32 aarch64 s390x)
testing=(tests-aarch64 tests-s390x)
interpreting=(miri-host miri-i686 miri-s390x)
every=("${answering[@]}" "${testing[@]}" "${interpreting[@]}")

# Without fast paths, and with bytes the other way round, these differ most.
tests=(--test vectors --test golden --test kernel --test traps --test laws)

declare -A target_of=(
    [cortex-m4]=thumbv7em-none-eabihf [cortex-m0]=thumbv6m-none-eabi [riscv32]=riscv32imac-unknown-none-elf
    [aarch64]=aarch64-unknown-linux-musl [s390x]=s390x-unknown-linux-gnu
    [miri-host]=$(rustc -vV | sed -n 's/^host: //p')
    [miri-i686]=i686-unknown-linux-gnu [miri-s390x]=s390x-unknown-linux-gnu
)
bare=(-nographic -semihosting-config "enable=on,target=native" -kernel)
folder=checks/machines/answers
target_dir=${CARGO_TARGET_DIR:-target}
s390x_root=/usr/s390x-linux-gnu

# Of the emulators, those that run a program of this machine.
emulate() { # MACHINE PROGRAM
    local seconds=300
    case $1 in
    cortex-m4) timeout $seconds qemu-system-arm -M mps2-an386 "${bare[@]}" "$2" </dev/null ;;
    cortex-m0) timeout $seconds qemu-system-arm -M microbit "${bare[@]}" "$2" </dev/null ;;
    riscv32) timeout $seconds qemu-system-riscv32 -M virt -bios none "${bare[@]}" "$2" </dev/null ;;
    aarch64) timeout $seconds qemu-aarch64 "$2" ;;
    s390x) timeout $seconds qemu-s390x -L $s390x_root "$2" ;;
    esac
}

# Whether what MACHINE needs is here, or can be had; says why not.
prepare() { # MACHINE
    case $1 in
    cortex-m*) needs qemu-system-arm qemu-system-arm ;;
    riscv32) needs qemu-system-riscv32 qemu-system-misc ;;
    aarch64) needs qemu-aarch64 qemu-user ;;
    s390x) needs qemu-s390x qemu-user && needs s390x-linux-gnu-gcc gcc-s390x-linux-gnu libc6-dev-s390x-cross ;;
    esac || return
    case $1 in
    cortex-m* | riscv32) prepare_targets "${target_of[$1]}" || why="no compiler for ${target_of[$1]}" ;;
    *)
        if ! [ -d "$(rustc --print sysroot)/lib/rustlib/${target_of[$1]}/lib" ] &&
            ! timeout 300 rustup target add "${target_of[$1]}"; then
            why="rustup cannot add ${target_of[$1]}"
        fi
        target_route[${target_of[$1]}]=rustup
        ;;
    esac
    [ -z "$why" ]
}

needs() { # COMMAND PACKAGE...
    local command=$1
    shift
    command -v "$command" >/dev/null && return
    timeout 300 apt-get -o Acquire::Retries=3 update -qq >/dev/null 2>&1 || true
    timeout 600 apt-get -o Acquire::Retries=3 install -qq -y --no-install-recommends "$@" >/dev/null 2>&1 || true
    command -v "$command" >/dev/null && return
    why="no $command, and apt-get cannot install $*"
    return 1
}

# What cargo needs to know of machines with an operating system.
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUNNER=qemu-aarch64
export CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_LINKER=s390x-linux-gnu-gcc
export CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_RUNNER="qemu-s390x -L $s390x_root"

build() { # TARGET [OPTION...]
    CARGO_TARGET_DIR=$target_dir cargo_for "$1" build --quiet --locked --profile firmware \
        --manifest-path $folder/Cargo.toml "${@:2}"
}

answer() { # MACHINE
    local target=${target_of[$1]} program=$target_dir/${target_of[$1]}/firmware/ipencap-answers
    [ "${target_route[$target]}" = rustup ] || program=$target_dir/debian/$target/firmware/ipencap-answers
    build "$target" || return
    emulate "$1" "$program" || return
    # The control: one golden packet, which is wrapped in three ways, and one verdict.
    build "$target" --features plant-wrong-answer || return
    if emulate "$1" "$program" >"$log" || ! grep -q " 4 wrong$" "$log"; then
        echo "FAILED: wrong answers pass, so this check proves nothing"
        return 1
    fi
    echo "control: $(tail -n 1 "$log")"
}

interpret() { # MACHINE
    # Miri is the runner, not the emulator.
    env -u CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_RUNNER timeout 1800 cargo +nightly miri run --locked \
        --manifest-path $folder/Cargo.toml --target "${target_of[$1]}" --target-dir "$target_dir/miri"
}

run() { # MACHINE
    local machine=${1#tests-}
    case $1 in
    miri-*)
        if ! cargo +nightly miri --version >/dev/null 2>&1 &&
            ! timeout 600 rustup toolchain install nightly --profile minimal --component miri,rust-src; then
            why="rustup cannot install Miri"
            return 0
        fi
        interpret "$1"
        ;;
    tests-*)
        prepare "$machine" || return 0
        cargo test --locked --package ipencap --no-fail-fast --target "${target_of[$machine]}" --target-dir target/machines "${tests[@]}"
        ;;
    *)
        prepare "$machine" || return 0
        answer "$1"
        ;;
    esac
}

case "${1:-}" in
--list)
    printf '%s\n' "${every[@]}"
    exit
    ;;
-*)
    sed -n 's/^#   //p' "$0" >&2
    exit 2
    ;;
esac
recording=false
if [ "${1:-}" = record ]; then
    recording=true
    shift
    [ $# -gt 0 ] || set -- "${every[@]}"
fi
for machine; do
    if [[ " ${every[*]} " != *" $machine "* ]]; then
        echo "no machine '$machine'; the machines are: ${every[*]}" >&2
        exit 2
    fi
done

log=$(mktemp)
trap 'rm -f "$log"' EXIT
machines=("$@")
[ $# -gt 0 ] || machines=("${answering[@]}")
failed=0
table=""
for machine in "${machines[@]}"; do
    printf '\n==== %s\n' "$machine"
    start=$SECONDS
    why=""
    # In a condition nothing stops at the first error, so what runs says itself whether it passed.
    run "$machine" && result=passed || result=FAILED failed=1
    [ -z "$why" ] || result="skipped: $why"
    table+=$(printf '%-14s %4d s  %s' "$machine" $((SECONDS - start)) "$result")$'\n'
done
printf '\n%s' "$table"
if $recording; then
    mkdir -p checks/machines/records
    {
        printf '# The known answers on other machines, %s\n\n' "$(date -u +%F)"
        printf '`checks/machines/run.sh record` at %s; %s' "$(git rev-parse --short HEAD)" "$(rustc --version)"
        for emulator in qemu-system-arm qemu-user; do
            printf '; %s' "$(dpkg-query -W -f '${Package} ${Version}' $emulator 2>/dev/null || echo "no $emulator")"
        done
        printf '.\n\n```text\n%s```\n' "$table"
    } >"checks/machines/records/$(date -u +%F).md"
fi
exit $failed
