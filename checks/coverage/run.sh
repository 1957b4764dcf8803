#!/usr/bin/env bash
# How much of src/ the library's tests run: at least 98 % of its lines must be. Documentation examples do
# not count. Two controls: what one small test runs is not enough, and a line that no test runs is listed.
#
#   checks/coverage/run.sh          judges, and lists the lines that no test runs
#   checks/coverage/run.sh html     and writes a page of them
set -euo pipefail
cd "$(dirname "$0")/../.."

least=98
host=$(rustc -vV | sed -n 's/^host: //p')
tools=$(rustc --print sysroot)/lib/rustlib/$host/bin
[ -x "$tools/llvm-cov" ] || timeout 300 rustup component add llvm-tools

folder=${CARGO_TARGET_DIR:-$PWD/target}/coverage
rm -rf "$folder"
mkdir -p "$folder"
# The workspace's packages are instrumented, their dependencies are those of `cargo test`.
export RUSTC_WORKSPACE_WRAPPER=$PWD/checks/coverage/rustc.sh LLVM_PROFILE_FILE=$folder/%p-%m.profraw

# Not those that read the project and run none of it, nor those that walk long ways through what the others run.
tests=(--lib)
for test in tests/*.rs tests/*/main.rs; do
    test=$(basename "${test%/main.rs}" .rs)
    case $test in
    architecture | compliance | no_panic_coverage | exhaustion | hostile) ;;
    *) tests+=(--test "$test") ;;
    esac
done
cover() { # [OPTION...]
    cargo test --quiet --locked --package ipencap "$@"
}
llvm_cov() { # COMMAND [OPTION...]
    "$tools/llvm-profdata" merge --sparse "$folder"/*.profraw --output "$folder/profile"
    local objects
    mapfile -t objects < <(cover "${tests[@]}" --no-run --message-format=json 2>/dev/null |
        sed -n 's/.*"executable":"\([^"]*\)".*/--object=\1/p')
    "$tools/llvm-cov" "$1" --instr-profile="$folder/profile" --sources src "${objects[@]}" "${@:2}"
}
judge() {
    llvm_cov export --format=lcov --skip-functions >"$folder/lcov" 2>/dev/null
    awk -F'[:,]' -v least=$least '
        /^SF:/ { file = $2; sub(/.*\/src\//, "src/", file) }
        /^DA:/ && $3 == 0 { missed[file] = missed[file] " " $2 }
        /^LF:/ { all += $2 }
        /^LH:/ { run += $2 }
        END {
            for (file in missed) print file ":" missed[file]
            if (!all) { print "FAILED: nothing is covered"; exit 1 }
            printf "%d of %d lines: %.2f %%, at least %d\n", run, all, 100 * run / all, least
            exit 100 * run / all < least
        }' "$folder/lcov"
}

cover --test views >/dev/null
if judge >"$folder/control"; then
    echo "FAILED: one small test is enough, so this check proves nothing"
    exit 1
fi
echo "control: one small test is not enough: $(tail -n 1 "$folder/control")"

cover "${tests[@]}"
[ "${1:-}" != html ] || llvm_cov show --format=html --output-dir="$folder/html"
judge
