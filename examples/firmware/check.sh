#!/usr/bin/env bash
# Everything that is checked of the firmware. What is missing is installed: targets by rustup, emulators by apt-get.
#
#   ./check.sh              all of it
#   ./check.sh PART...      these parts
#
# lint       rustfmt and clippy
# boards     runs the firmware on the three emulated boards; without MSS clamping it must fail
# sizes      what a tunnel adds to a small firmware, against sizes/budgets.txt
# no-panic   links the tunnel's part of a firmware, which fails if a panic can be reached
# board      builds the firmware of a real board
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=checks/embedded/targets.sh
. ../../checks/embedded/targets.sh
# shellcheck source=examples/firmware/needs.sh
. needs.sh

parts=(lint boards sizes no-panic board)
targets=(thumbv7em-none-eabihf thumbv6m-none-eabi riscv32imc-unknown-none-elf)

# In a condition nothing stops at the first error, so the parts say themselves whether they passed.
check_lint() {
    local options=(--quiet --locked --release --package)
    cargo fmt --all --check || return
    prepare_targets "${targets[0]}" || return
    if [ "${target_route[${targets[0]}]}" != rustup ]; then
        echo "clippy is left out: the distribution's compiler has none, and rustup could not add ${targets[0]}"
        return
    fi
    cargo clippy "${options[@]}" ipencap-firmware -- -D warnings || return
    cargo clippy "${options[@]}" ipencap-firmware-sizes -- -D warnings || return
    cargo clippy "${options[@]}" ipencap-firmware-sizes --features fou,device,follow-mtu,reassembly -- -D warnings || return
    cargo clippy "${options[@]}" ipencap-firmware-no-panic -- -D warnings
}

check_boards() {
    local target failed=0
    needs qemu-system-arm qemu-system-arm || return
    needs qemu-system-riscv32 qemu-system-misc || return
    prepare_targets "${targets[@]}" || return
    for target in "${targets[@]}"; do
        printf '\n== %s\n' "$target"
        cargo_for "$target" run --quiet --locked --release || failed=1
    done
    local log fault="the MSS is clamped to the path: FAILED"
    if log=$(cargo_for "${targets[0]}" run --quiet --locked --release --features plant-no-clamp 2>&1); then
        echo "FAILED: without MSS clamping everything passes, so this check proves nothing"
        failed=1
    elif ! grep -q "$fault" <<<"$log"; then
        printf '%s\nFAILED: without MSS clamping it fails, but for another reason\n' "$log"
        failed=1
    else
        echo "control: without MSS clamping TCP stops at the narrow path"
    fi
    return $failed
}

check_sizes() { sizes/measure.sh; }

check_no-panic() {
    local log because="undefined (symbol:|reference to) .?ipencap_can_panic" target=${targets[0]}
    prepare_targets "$target"
    if ! log=$(cargo_for "$target" build --quiet --locked --release --package ipencap-firmware-no-panic \
        --bin ipencap-firmware-no-panic 2>&1); then
        printf '%s\nFAILED: it does not link\n' "$log"
        return 1
    fi
    if log=$(cargo_for "$target" build --quiet --locked --release --package ipencap-firmware-no-panic --bin control 2>&1); then
        echo "FAILED: the control links, so this check proves nothing"
        return 1
    elif ! grep -qE "$because" <<<"$log"; then
        printf '%s\nFAILED: the control does not link, but for another reason than its panic\n' "$log"
        return 1
    fi
    echo "no panic can be reached in the tunnel's part of a firmware; the control fails to link"
}

check_board() {
    prepare_targets thumbv6m-none-eabi
    (cd board && cargo_for thumbv6m-none-eabi build --quiet --locked --release) || return
    echo "the firmware of a real board builds"
}

for part; do
    if [[ " ${parts[*]} " != *" $part "* ]]; then
        sed -n 's/^#   //p' "$0" >&2
        exit 2
    fi
done
[ $# -gt 0 ] || set -- "${parts[@]}"
failed=0
for part; do
    "check_$part" || {
        echo "FAILED: $part"
        failed=1
    }
done
exit $failed
