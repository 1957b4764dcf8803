#!/usr/bin/env bash
# How much of src/ the tests run: at least 98 % of its lines must be. Documentation examples do not
# count. Two controls: what one small test runs is not enough, and a line that no test runs is listed.
#
#   checks/coverage/run.sh          judges, and lists the lines that no test runs
#   checks/coverage/run.sh html     and writes a page of them
set -euo pipefail
cd "$(dirname "$0")/../.."

least=98
version=0.9.1
export PATH=$PWD/target/tools/bin:$PATH
if [ "$(cargo llvm-cov --version 2>/dev/null)" != "cargo-llvm-cov $version" ]; then
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=0 \
        timeout 900 cargo install --quiet --locked --force --root target/tools cargo-llvm-cov --version "$version"
fi
if ! rustup component list --installed | grep -q ^llvm-tools; then
    timeout 300 rustup component add llvm-tools
fi

# Branches are counted by an option that is not stable yet; this says that it may be used. The kit is no member of
# the workspace, and what is inlined into its laws runs only there: it is counted by name.
export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$PWD/target/coverage
# shellcheck source=/dev/null
. <(cargo llvm-cov show-env --branch --dep-coverage ipencap-kit --sh 2>/dev/null)
cover() { # [OPTION...]
    cargo test --quiet --locked --all-features "$@"
}
judge() { # LEAST [OPTION...]
    cargo llvm-cov report --fail-under-lines "$1" "${@:2}"
}

cargo llvm-cov clean --workspace --dep-coverage ipencap-kit
cover --test architecture >/dev/null
if judge "$least" --summary-only >/dev/null; then
    echo "FAILED: one small test is enough, so this check proves nothing"
    exit 1
fi
echo "control: one small test is not enough"

# Not the documentation's examples: by default all that is a test, and the programs that tests run.
cover >/dev/null
[ "${1:-}" != html ] || cargo llvm-cov report --html
judge "$least" --show-missing-lines
