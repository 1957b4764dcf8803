#!/usr/bin/env bash
# fuzz/plants.sh
#
# Shows that every fuzz target finds bugs: builds them with three in a copy of the library, and fuzzes each until it
# fails, for a minute at most. (That the tests notice bugs is shown by checks/mutants/run.sh.)
#
#   fuzz/plants.sh
#   fuzz/plants.sh check    in a second: whether the lines are still there that the bugs go into
set -euo pipefail
cd "$(dirname "$0")"

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
(cd .. && git ls-files -z | xargs -0 cp --parents --target-directory "$copy")

plant() { # FILE SED_COMMAND
    sed "$2" "../$1" >"$copy/$1"
    if cmp --quiet "../$1" "$copy/$1"; then
        echo "FAILED: nothing to plant a bug in: $2 in $1"
        exit 1
    fi
}
# A sum of 16-bit words loses its last carry.
plant src/checksum/bytes.rs 's/sum\.wrapping_add(sum\.rotate_left(16))/sum.wrapping_add(sum << 16)/'
# A length prefix that counts itself is read as one that does not.
plant src/wire/prefix.rs 's/value\.checked_sub(2)/value.checked_sub(0)/'
# An address is not found where a prefix begins.
plant src/decap/prefix_table.rs 's/entry\.key <= key/entry.key < key/'
# A path remembers the last packet sent, not the longest.
plant src/pmtu/path.rs 's/self\.longest = self\.longest\.max(len)/self.longest = len/'
# A copy of a fragment is not compared with what is there.
plant src/fragment/slot.rs 's/if is_copy \&\& there.*$/if is_copy {/'
# A value at an odd place changes the checksum like one at an even place.
plant src/mss.rs 's/if at % 2 == 0 {/if at % 2 != 0 {/'
# The packets of a GRE tunnel all have one number.
plant src/packet/per_packet.rs 's/self\.sequence\.wrapping_add(1)/self.sequence/'

[ "${1:-}" != check ] || exit 0
# shellcheck source=fuzz/build.sh
. ./build.sh
[ -d seeds ] || seeds
# Beside the builds without bugs, whose dependencies it shares.
build build --quiet --bins --manifest-path "$copy/fuzz/Cargo.toml"
result=0
for target in $(targets); do
    start=$SECONDS
    if "$(program "$target")" "seeds/$target" -dict=ipencap.dict -max_len=1024 -len_control=0 -timeout=10 -seed=1 \
        -max_total_time=60 -artifact_prefix="$copy/" >"$copy/log" 2>&1; then
        echo "FAILED: $target finds no bug in a minute, so fuzzing with it proves nothing"
        result=1
    elif ! grep -q 'panicked at' "$copy/log"; then
        tail -n 20 "$copy/log"
        echo "FAILED: $target stops, but not because a law is broken"
        result=1
    else
        echo "$target: found in $((SECONDS - start)) s: $(grep -m 1 -A 1 'panicked at' "$copy/log" | tail -n 1)"
    fi
done
exit $result
