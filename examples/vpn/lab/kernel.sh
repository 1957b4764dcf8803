#!/usr/bin/env bash
# The VPN at one end, Linux's own tunnels at the other: ping, DF, ECN, fragments, iperf3, in a virtual machine, because
# few machines have the modules.
#
#   IPENCAP_KERNEL_VM=FOLDER examples/vpn/lab/kernel.sh [KIND...]
#   IPENCAP_KERNEL_VM=FOLDER examples/vpn/lab/kernel.sh record     all, and writes records/ today
#
# FOLDER has the `run.sh` of the virtual machine, as for `checks/kernel/run.sh`, which says more.
set -euo pipefail
lab=$(cd "$(dirname "$0")" && pwd)
cd "$lab/../../.."
target_dir=${CARGO_TARGET_DIR:-$PWD/target}

# shellcheck source=checks/kernel/vm.sh
. checks/kernel/vm.sh
has_vm || exit 0
prepare_vm

record=no
if [ "${1:-}" = record ]; then
    record=yes
    shift
fi
program=${IPENCAP_VPN:-}
if [ -z "$program" ]; then
    cargo build --quiet --release -p ipencap-vpn
    program=$target_dir/release/ipencap-vpn
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$program" "$folder/ipencap-vpn"
inputs=(-i "$folder/ipencap-vpn")
for file in net carriers vpn probes report; do
    inputs+=(-i "$lab/$file.py")
done
start=$SECONDS
result=0
"$vm/run.sh" -t 900 -c 2 "${inputs[@]}" -o "$folder/out" "$lab/kernel_guest.py" "$@" || result=$?
cat "$folder/out/guest.log"
if [ $record = yes ]; then
    mkdir -p "$lab/records"
    {
        echo "# The VPN against Linux's own tunnels, $(date -u +%F)"
        echo
        echo "\`kernel.sh record\`, in QEMU, in $((SECONDS - start)) s; commit $(git rev-parse --short HEAD). The columns with > and < are"
        echo "Mbit/s of TCP from the VPN to the kernel and back, under emulation: no measure of speed."
        echo
        echo '```text'
        cat "$folder/out/guest.log"
        echo '```'
    } >"$lab/records/$(date -u +%F)-kernel.md"
fi
exit $result
