#!/usr/bin/env bash
# Proves that no public function of ipencap can panic: a program that calls all of them, and does not
# link if a panic can be reached, is linked for two targets, each at the optimisation levels that its
# programs are built with. Each time a control, which can panic, must fail to link, and for that reason.
# The profile `checked` counts an overflow as a panic. The targets are checked side by side: a link keeps
# one core busy.
#
#   checks/no-panic/run.sh                     all of them
#   checks/no-panic/run.sh TARGET PROFILE      one: thumbv7em-none-eabihf firmware
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=../embedded/targets.sh
. ../embedded/targets.sh

missing_symbol=ipencap_can_panic
because_of_panic="undefined (symbol:|reference to) .?$missing_symbol"
target_dir=${CARGO_TARGET_DIR:-$PWD/../../target}
host=$(rustc -vV | sed -n 's/^host: //p')
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

link() { # TARGET PROFILE [OPTION...]
    local target=$1 profile=$2
    shift 2
    # A folder each, so that they do not wait for each other.
    local -x CARGO_TARGET_DIR=$target_dir/no-panic/$target
    cargo_for "$target" build --quiet --locked --profile "$profile" "$@" >"$log" 2>&1
}

# Which functions panic: with the missing function defined the program links, and its callers can be
# looked for.
explain() { # TARGET PROFILE [OPTION...]
    local target=$1 profile=$2 tool tools="llvm-objdump llvm-objdump-22 arm-none-eabi-objdump"
    shift 2
    local define="--defsym=$missing_symbol=0"
    if [ "$target" = "$host" ]; then
        define="-Wl,$define" tools="objdump $tools"
    fi
    RUSTFLAGS="-Clink-arg=$define" link "$target" "$profile" --bin ipencap-no-panic "$@" || return
    local built=$target_dir/no-panic/$target
    [ "${target_route[$target]}" = rustup ] || built+=/debian
    for tool in $tools; do
        if command -v "$tool" >/dev/null; then
            "$tool" -d -C --no-show-raw-insn "$built/$target/$profile/ipencap-no-panic" | callers
            return
        fi
    done
    echo "    (to see where, install one of: $tools)"
}

# Who calls `core::panicking`, and, where that is a function of `core`, who calls it.
callers() {
    awk '/^[0-9a-f]+ <.*>:$/ { sub(/^[0-9a-f]+ /, ""); sub(/:$/, ""); caller = $0; next }
         match($0, /<.*>/) {
             callee = substr($0, RSTART, RLENGTH)
             if (callee != caller && callee !~ /\+0x[0-9a-f]+>$/) calls[caller SUBSEP callee]
         }
         END {
             do {
                 found = 0
                 for (call in calls) {
                     split(call, pair, SUBSEP)
                     if (!(call in shown) && (pair[2] ~ /^<core::panicking/ || pair[2] in panics)) {
                         shown[call]; found = 1
                         if (pair[1] ~ /^<core::/) panics[pair[1]]
                         print "    " pair[1] " calls " pair[2]
                     }
                 }
             } while (found)
         }' | sort
}

say() { # TARGET PROFILE RESULT
    printf '%-28s %-8s %s\n' "$@"
}

check() { # TARGET PROFILE
    local start=$SECONDS features=() log=$folder/$1
    # All but `heapless`; Cargo.toml says why.
    [ "$2" != checked ] || features=(--no-default-features)
    if ! link "$1" "$2" --bin ipencap-no-panic "${features[@]}"; then
        if grep -qE "$because_of_panic" "$log"; then
            say "$1" "$2" "FAILED: a panic can be reached"
            explain "$1" "$2" "${features[@]}"
        else
            say "$1" "$2" "FAILED to build"
            cat "$log"
            exit 1
        fi
        return 1
    fi
    if link "$1" "$2" --bin control "${features[@]}"; then
        say "$1" "$2" "FAILED: the control links, so this check proves nothing here"
        return 1
    fi
    if ! grep -qE "$because_of_panic" "$log"; then
        say "$1" "$2" "FAILED: the control does not build, but for another reason than its panic"
        cat "$log"
        exit 1
    fi
    say "$1" "$2" "no panic; the control fails to link ($((SECONDS - start)) s)"
}

if [ $# -eq 2 ]; then
    targets=("$1")
    profiles=("$2")
elif [ $# -eq 0 ]; then
    targets=("$host" thumbv7em-none-eabihf)
    profiles=()
else
    sed -n 's/^#   //p' "$0" >&2
    exit 2
fi
check_profiles() { # TARGET
    local profile failed=0 of_target=(firmware opt-z checked)
    [ "$1" != "$host" ] || of_target=(opt-2 opt-3 checked)
    [ ${#profiles[@]} -eq 0 ] || of_target=("${profiles[@]}")
    for profile in "${of_target[@]}"; do
        check "$1" "$profile" || failed=1
    done
    return $failed
}

prepare_targets "${targets[@]}"
running=()
for target in "${targets[@]}"; do
    check_profiles "$target" &
    running+=($!)
done
failed=0
for process in "${running[@]}"; do
    wait "$process" || failed=1
done
exit $failed
