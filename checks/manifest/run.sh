#!/usr/bin/env bash
# What Cargo.toml promises of its dependencies: that the library compiles, with all features, with the oldest
# version of each that it admits. A control, in a copy: zerocopy 0.8.0, which is too old.
#
#   checks/manifest/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
export CARGO_TARGET_DIR=$PWD/target/manifest
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

# The library without its development dependencies, whose own needs must not decide here.
copy_library() {
    cp -r Cargo.toml README.md src "$copy"
    sed -i -e '/^\[dev-dependencies\]/,/^$/d' -e '/^\[workspace\]/,/^$/d' "$copy/Cargo.toml"
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

versions
