#!/usr/bin/env bash
# Builds the library, without an allocator, for three kinds of microcontroller and each set of features.
# (That a program links without one is what checks/no-panic/run.sh shows.)
#
#   checks/embedded/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
. checks/embedded/targets.sh

targets=(thumbv6m-none-eabi thumbv7em-none-eabihf riscv32imc-unknown-none-elf)
feature_sets=("" "--no-default-features" "--features defmt" "--no-default-features --features defmt")

prepare_targets "${targets[@]}"
for target in "${targets[@]}"; do
    for features in "${feature_sets[@]}"; do
        start=$SECONDS
        # shellcheck disable=SC2086 # a set is several arguments, or none
        cargo_for "$target" build --quiet --release -p ipencap --lib $features
        printf '%-28s %-38s built (%s s)\n' "$target" "${features:-default features}" $((SECONDS - start))
    done
done
