#!/usr/bin/env bash
# Puts packets of every carrier, policy and nesting in front of a Linux kernel in a virtual machine, and compares
# what it delivers with the inner packets. A control among them: damaged packets, which must be reported.
#
#   IPENCAP_KERNEL_VM=FOLDER checks/kernel/run.sh            compares
#   IPENCAP_KERNEL_VM=FOLDER checks/kernel/run.sh record     and writes records/ today
#
# FOLDER has the `run.sh` and `orc.py` of the virtual machine. It is copied into the target folder, where it is built
# once (450 MB, with apt-get), unless it is built where it is.
set -euo pipefail
cd "$(dirname "$0")"
target_dir=${CARGO_TARGET_DIR:-$PWD/../../target}

# shellcheck source=checks/kernel/vm.sh
. ./vm.sh
has_vm || exit 0
prepare_vm

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cargo build --quiet --locked --target-dir "$target_dir"
program=$target_dir/debug/ipencap-kernel-check
"$program" emit >"$folder/packets.jsonl"
start=$SECONDS
"$vm/run.sh" -t 1500 -i "$vm/orc.py" -i "$folder/packets.jsonl" -o "$folder/out" guest.py || {
    tail -n 20 "$folder/out/guest.log" "$folder/out/console.log"
    exit 1
}
kernel=$(sed -n 's/^kernel //p' "$folder/out/guest.log")
result=0
"$program" judge <"$folder/out/answers.jsonl" >"$folder/report" || result=$?
echo "Linux $kernel"
cat "$folder/report"
if [ "${1:-}" = record ]; then
    mkdir -p records
    {
        echo "# What a Linux kernel makes of the crate's packets, $(date -u +%F)"
        echo
        echo "\`checks/kernel/run.sh record\`: Linux $kernel, in QEMU, in $((SECONDS - start)) s; commit $(git rev-parse --short HEAD)."
        echo
        cat "$folder/report"
        echo
        echo "Delivered is what the innermost tunnel device yields, byte for byte, and the router behind it sends on with a TTL"
        echo "one less. Linux opens neither TCP (S-05) nor minimal encapsulation (M-03) as a carrier: it answers with a reset, whose"
        echo "sequence number is ours, where all checksums of the segment are right, and with ICMP 3/2 where those of the header are."
        echo "A damaged packet has one bit flipped, in its outer checksum or at its end."
    } >"records/$(date -u +%F).md"
fi
exit $result
