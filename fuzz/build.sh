# shellcheck shell=bash
# Sourced in this folder, not run: how the fuzz targets are built, on stable Rust.

host=$(rustc -vV | sed -n 's/^host: //p')
target_dir=${CARGO_TARGET_DIR:-$PWD/../target}/fuzz

targets() { sed -n 's/^path = "fuzz_targets\/\(.*\)\.rs"/\1/p' Cargo.toml; }

# What libFuzzer wants to know of a program: which edges it takes, and what it compares. No sanitizer: the library
# has no unsafe code. The profile has overflow checks and debug assertions on.
build() { # CARGO_COMMAND [OPTION...]
    RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0 ${RUSTFLAGS:-}" \
        cargo "$1" --locked --profile fuzz --target "$host" --target-dir "$target_dir" "${@:2}"
}

# The program of a target.
program() { # TARGET
    echo "$target_dir/$host/fuzz/$1"
}

seeds() { cargo run --quiet --locked --release --package ipencap-kit --example seeds; }

# Fuzzes TARGET from its corpus and its seeds.
fuzz() { # TARGET [OPTION...]
    mkdir -p "corpus/$1"
    "$(program "$1")" "corpus/$1" "seeds/$1" -dict=ipencap.dict -max_len=1024 -len_control=0 -timeout=10 \
        -artifact_prefix="artifacts/$1/" "${@:2}"
}
