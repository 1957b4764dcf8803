#!/usr/bin/env bash
# Compiles the library with each set of its features: for this machine, and without an allocator for three kinds
# of microcontroller. (That a program links there is what checks/no-panic, checks/size and checks/machines show.)
# A control, in a copy: features that exclude each other.
#
#   checks/embedded/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=checks/embedded/targets.sh
. checks/embedded/targets.sh

host=$(rustc -vV | sed -n 's/^host: //p')
targets=("$host" thumbv6m-none-eabi thumbv7em-none-eabihf riscv32imc-unknown-none-elf)
mapfile -t features < <(sed -n '/^\[features\]/,/^$/s/^\([a-z][a-z0-9_-]*\) = .*/\1/p' Cargo.toml | grep -vx default)

compile() { # TARGET [OPTION...]
    local target=$1 set number chosen
    for ((set = 0; set < 1 << ${#features[@]}; set++)); do
        chosen=""
        for ((number = 0; number < ${#features[@]}; number++)); do
            ((set >> number & 1)) && chosen+=${features[number]},
        done
        cargo_for "$target" check --quiet --package ipencap --lib --no-default-features --features "$chosen" "${@:2}" || return
        printf '%-28s %s\n' "$target" "${chosen:-no features}"
    done
}

prepare_targets "${targets[@]}"
for target in "${targets[@]}"; do
    compile "$target" --locked
done

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r Cargo.toml Cargo.lock README.md src "$copy"
sed -i -e '/^\[dev-dependencies\]/,/^$/d' -e '/^\[workspace\]/,/^$/d' "$copy/Cargo.toml"
echo '#[cfg(all(feature = "defmt", not(feature = "heapless")))] compile_error!("planted");' >>"$copy/src/lib.rs"
if answer=$(compile "$host" --manifest-path "$copy/Cargo.toml" --target-dir target 2>&1); then
    echo "FAILED: the control passes, so this check proves nothing"
    exit 1
elif ! grep -q planted <<<"$answer"; then
    printf '%s\nFAILED: the control fails for another reason than it should\n' "$answer"
    exit 1
fi
echo "control: features that exclude each other are noticed"
