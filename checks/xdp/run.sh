#!/usr/bin/env bash
# The XDP programs in the kernel: the verifier takes each, within its bound; they do with the packets of Linux's tunnel devices
# what the library does; they carry pings and TCP between veth pairs; their counters add up.
#
#   checks/xdp/run.sh            checks; where bpf() is refused, in the virtual machine of IPENCAP_KERNEL_VM instead
#   checks/xdp/run.sh vm         checks in the virtual machine, with Linux 6.1 and 6.12
#   checks/xdp/run.sh speed      measures instructions and nanoseconds, beside the same in C
#   checks/xdp/run.sh record     all of that, into records/ today
#
# It needs root, and what `examples/xdp/build.sh` needs; `speed` also clang 19 or newer.
set -euo pipefail
cd "$(dirname "$0")"
target_dir=${CARGO_TARGET_DIR:-$PWD/../../target}
# shellcheck source=checks/kernel/vm.sh
. ../kernel/vm.sh
data=$PWD/../../tests/data/kernel
objects=$target_dir/xdp
check=$target_dir/release/ipencap-xdp-check

build() {
    ../../examples/xdp/build.sh
    cargo build --quiet --release --locked -p ipencap-xdp-check
}

# A check that does not see broken objects is none.
self_test() {
    local broken said status=0
    broken=$(mktemp -d)
    cp "$objects"/*.o "$broken"
    head -c 2000 "$objects/balance_gue.o" >"$broken/balance_gue.o"
    said=$("$check" "$broken") || status=$?
    rm -rf "$broken"
    if [ $status != 1 ] || ! grep -q '^FAILED$' <<<"$said"; then
        echo "a broken object was not noticed: status $status"
        return 1
    fi
}

live() {
    "$check" "$objects" "$data"
    if ! unshare --net true 2>/dev/null || ! command -v iperf3 ethtool ping >/dev/null; then
        echo "skipped: the veth pairs, which need network namespaces, iperf3, ethtool and ping"
        return
    fi
    ./veth.sh
}

# Linux 6.1 and 6.12, in QEMU.
virtual() {
    local work result=0
    : "${IPENCAP_KERNEL_VM:=$PWD/../../../shared/kernel-vm}"
    has_vm || return 0
    prepare_vm
    work=$(mktemp -d)
    mkdir "$work/xdp"
    cp "$objects"/*.o "$work/xdp"
    cp -r "$data" "$work/kernel"
    for kernel in 6.1 6.12; do
        "$vm/run.sh" -k $kernel -t 900 -i "$check" -i "$work/xdp" -i "$work/kernel" -o "$work/out" guest.sh \
            </dev/null >/dev/null 2>"$work/said" || result=1
        cat "$work/out/guest.log"
        [ $result = 0 ] || cat "$work/said"
    done
    rm -rf "$work"
    return $result
}

speed() {
    local clang name kind=0 end
    clang=$(compgen -c clang- | grep -E '^clang-[0-9]+$' | sort -t- -k2 -n | tail -n 1 || true)
    if [ -z "$clang" ]; then
        timeout 300 apt-get -o Acquire::Retries=3 update -qq
        timeout 600 apt-get -o Acquire::Retries=3 install -qq -y --no-install-recommends clang-19 linux-libc-dev
        clang=clang-19
    fi
    ../../examples/xdp/build.sh "$PWD/programs" "$objects/bench"
    mkdir -p "$objects/c"
    for name in ipip fou gue; do
        for job in decap encap; do
            for end in "" _base _bench; do
                case $end in _base) bench=-DBENCH=0 ;; _bench) bench=-DBENCH=1 ;; *) bench=-UBENCH ;; esac
                "$clang" -O2 -target bpf -mcpu=v3 "-I/usr/include/$(uname -m)-linux-gnu" -Wall -Werror \
                    -Wno-unused-function -Wno-address-of-packed-member "-DTUNNEL=$kind" "-DNAME=${job}_$name$end" $bench \
                    -c "c/$job.c" -o "$objects/c/${job}_$name$end.o"
            done
        done
        kind=$((kind + 1))
    done
    "$check" "$objects" "$data" "$objects/c"
    echo
    echo "$(rustc --version), LLVM $(rustc -vV | sed -n 's/^LLVM version: //p'); $("$clang" --version | head -n 1)"
}

build
case ${1:-} in
vm) virtual ;;
speed) speed ;;
record)
    mkdir -p records
    {
        echo "# The XDP programs in the kernel, $(date -u +%F)"
        echo
        echo "\`checks/xdp/run.sh record\`, commit $(git rev-parse --short HEAD): Linux $(uname -r), then 6.1 and 6.12 in QEMU, then the"
        echo "speed beside C on $(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n 1). Nanoseconds are the best of seven means of a"
        echo "million runs of \`BPF_PROG_TEST_RUN\`, less what moving the start of the frame forth and back takes."
        echo
        echo '## Here'
        echo
        live
        echo
        echo '## In the virtual machine'
        echo
        virtual
        echo
        echo '## Speed'
        echo
        speed
    } | tee "records/$(date -u +%F).md"
    ;;
*)
    status=0
    said=$("$check" permission "$objects") || status=$?
    case $status in
    0)
        self_test
        live
        ;;
    77)
        echo "this kernel does not load XDP programs: $said"
        virtual
        ;;
    *)
        echo "$said"
        exit 1
        ;;
    esac
    ;;
esac
