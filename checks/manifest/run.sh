#!/usr/bin/env bash
# What Cargo.toml promises: that every set of features builds, and every dependency from the oldest
# version that it admits.
#
#   checks/manifest/run.sh features    the sets, on this machine and on one without `std`
#   checks/manifest/run.sh versions    the oldest versions of the direct dependencies, all features
#
# Each has a control, in a copy: features that exclude each other; zerocopy 0.8.0, which is too old.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=checks/embedded/targets.sh
. checks/embedded/targets.sh

hack=0.6.46
target=thumbv6m-none-eabi
target_dir=$PWD/target/manifest
export CARGO_TARGET_DIR=$target_dir PATH=$PWD/target/tools/bin:$PATH
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

# The library without its development dependencies, whose own needs must not decide here.
copy_library() {
    cp -r Cargo.toml README.md src "$copy"
    sed -i -e '/^\[dev-dependencies\]/,/^$/d' -e '/^\[workspace\]/,/^$/d' "$copy/Cargo.toml"
}

features() {
    if [ "$(cargo hack --version 2>/dev/null)" != "cargo-hack $hack" ]; then
        # It runs for a second: what its optimisation takes is lost time.
        CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=0 \
            cargo install --quiet --locked --force --root target/tools cargo-hack --version "$hack"
    fi
    prepare_targets "$target"
    cargo hack check --locked --lib --feature-powerset
    cargo_for "$target" hack check --locked --lib --feature-powerset

    copy_library
    cp Cargo.lock "$copy"
    echo '#[cfg(all(feature = "defmt", not(feature = "heapless")))] compile_error!("planted");' >>"$copy/src/lib.rs"
    must_fail planted cargo hack check --lib --feature-powerset --manifest-path "$copy/Cargo.toml"
}

versions() {
    copy_library
    oldest
    cargo tree --depth 1 --all-features --manifest-path "$copy/Cargo.toml"
    cargo check --lib --all-features --manifest-path "$copy/Cargo.toml"

    sed -i '/^zerocopy/s/version = "[^"]*"/version = "0.8"/' "$copy/Cargo.toml"
    oldest
    # shellcheck disable=SC2016 # the compiler's own words
    must_fail 'trait `Hash` is not implemented' \
        cargo check --lib --all-features --manifest-path "$copy/Cargo.toml"
}

oldest() {
    # The resolver's option is an unstable one, and so is the note that it may be used.
    RUSTC_BOOTSTRAP=1 cargo -Zdirect-minimal-versions generate-lockfile --manifest-path "$copy/Cargo.toml"
}

must_fail() { # WITH COMMAND...
    local with=$1 answer
    shift
    if answer=$("$@" 2>&1); then
        echo "FAILED: the control passes, so this check proves nothing"
        exit 1
    elif ! grep -qF "$with" <<<"$answer"; then
        printf '%s\nFAILED: the control fails for another reason than it should\n' "$answer"
        exit 1
    fi
    echo "control: $with"
}

case "${1:-}" in
features | versions) "$1" ;;
*)
    sed -n 's/^#   //p' "$0" >&2
    exit 2
    ;;
esac
