#!/usr/bin/env bash
# Counts the instructions of each job, and fails where a count exceeds its bound, or its record by more
# than 5 %, or where counts differ that must not. Counts do not move with the machine's load, so they
# gate where times cannot. A control plants instructions into some jobs, which must fail.
#
#   checks/instructions/run.sh            counts and judges
#   checks/instructions/run.sh record     writes what was counted into bounds.txt
#
# gungraun counts with valgrind, which apt-get installs. Its runner is installed into the target folder.
set -euo pipefail
cd "$(dirname "$0")"

if ! command -v valgrind >/dev/null; then
    timeout 300 apt-get -o Acquire::Retries=3 update -qq
    timeout 600 apt-get -o Acquire::Retries=3 install -qq -y --no-install-recommends valgrind
fi
version=$(sed -n 's/^gungraun = "=\(.*\)"$/\1/p' Cargo.toml)
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/../../target}
runner=$CARGO_TARGET_DIR/gungraun-runner-$version
if ! [ -x "$runner/bin/gungraun-runner" ]; then
    # Unoptimised, to be ready sooner: it only starts valgrind and reads what that wrote.
    env -u CARGO_TARGET_DIR CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off \
        timeout 1200 cargo install --quiet --locked --version "=$version" --root "$runner" gungraun-runner
fi
export GUNGRAUN_RUNNER=$runner/bin/gungraun-runner
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

count() { # FILE [OPTION...]
    local out=$1
    shift
    GUNGRAUN_HOME=$out.valgrind cargo bench --quiet --locked --profile instructions --bench jobs "$@" -- --output-format=json >"$out"
}

# Side by side: valgrind keeps one core busy, and so does the build of one program.
count "$folder/planted" --features planted &
planted=$!
count "$folder/counts"
wait $planted
cargo run --quiet --locked -- "$(rustc --version | cut -d' ' -f2)" "$folder/counts" "$folder/planted" "$@"
