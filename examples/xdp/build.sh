#!/usr/bin/env bash
# Builds the XDP programs, `target/xdp/NAME.o` for each, and the loader, `target/release/xdp`. Needs rustup, which fetches
# the two components that it wants of the compiler: the source of `core`, and LLVM's tools.
set -euo pipefail
cd "$(dirname "$0")/programs"
root=$PWD/../../..
target_dir=${CARGO_TARGET_DIR:-$root/target}/xdp
sysroot=$(rustc --print sysroot)
if ! [ -e "$sysroot/lib/rustlib/src/rust/library/core/Cargo.toml" ] ||
    ! compgen -G "$sysroot/lib/rustlib/*/bin/llvm-link" >/dev/null; then
    timeout 300 rustup component add rust-src llvm-tools || {
        echo "the components rust-src and llvm-tools are missing, and rustup did not fetch them" >&2
        exit 1
    }
fi
# BPF is one of the compiler's targets, but its `core` is built here: an unstable option of cargo.
export RUSTC_BOOTSTRAP=1
export CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER=$PWD/link.sh
# The first passes of LLVM are rustc's own: no guards there either.
export RUSTFLAGS="-C no-prepopulate-passes"
cargo build --quiet --release --target bpfel-unknown-none -Z build-std=core --target-dir "$target_dir/build"
for program in src/bin/*.rs; do
    name=$(basename "$program" .rs)
    cp "$target_dir/build/bpfel-unknown-none/release/$name" "$target_dir/$name.o"
done
unset RUSTC_BOOTSTRAP RUSTFLAGS
cd "$root"
cargo build --quiet --release --locked -p ipencap-xdp
