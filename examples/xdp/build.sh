#!/usr/bin/env bash
# Builds the XDP programs, `target/xdp/NAME.o` for each, and the loader, `target/release/xdp`. Needs rustup, which fetches
# the two components that it wants of the compiler: the source of `core`, and LLVM's tools.
#
#   examples/xdp/build.sh                       builds them
#   examples/xdp/build.sh PACKAGE FOLDER        the programs of another package, to another folder
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target_dir=${CARGO_TARGET_DIR:-$here/../../target}
package=${1:-$here/programs}
objects=${2:-$target_dir/xdp}
sysroot=$(rustc --print sysroot)
if ! [ -e "$sysroot/lib/rustlib/src/rust/library/core/Cargo.toml" ] ||
    ! compgen -G "$sysroot/lib/rustlib/*/bin/llvm-link" >/dev/null; then
    timeout 300 rustup component add rust-src llvm-tools || {
        echo "the components rust-src and llvm-tools of rustc are missing, and rustup did not fetch them" >&2
        exit 1
    }
fi
mkdir -p "$objects"
# `core` for BPF is built here, by an unstable option of cargo. LLVM's passes run in `link.sh`, over all crates at once:
# of code that was optimised before, it does not make what the verifier takes.
(
    export RUSTC_BOOTSTRAP=1
    export CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER=$here/programs/link.sh
    export RUSTFLAGS="-C no-prepopulate-passes"
    cd "$package"
    cargo build --release --locked --target bpfel-unknown-none -Z build-std=core \
        --target-dir "$target_dir/xdp/build"
    for program in src/bin/*.rs; do
        name=$(basename "$program" .rs)
        cp "$target_dir/xdp/build/bpfel-unknown-none/release/$name" "$objects/$name.o"
    done
)
[ $# -eq 0 ] || exit 0
cargo build --release --locked --manifest-path "$here/../../Cargo.toml" -p ipencap-xdp
