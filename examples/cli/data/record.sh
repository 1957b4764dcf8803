#!/bin/bash
# Records lan.pcap: two hosts on a LAN of their own, in network namespaces joined by a veth pair.
# Run as root: `sudo examples/cli/data/record.sh`. Nothing outside the namespaces is changed.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
capture=$here/lan.pcap
router=ipencap-router-$$
laptop=ipencap-laptop-$$
router_address=192.168.1.1
laptop_address=192.168.1.20
work=
tcpdump_pid=
router_pid=

fail() {
    echo "record.sh: $*" >&2
    exit 1
}

cleanup() {
    trap - EXIT INT TERM HUP
    # Only what this run started; a namespace lives on as long as a process is in it.
    for pid in $tcpdump_pid $router_pid; do kill "$pid" 2>/dev/null || true; done
    wait
    for host in "$router" "$laptop"; do ip netns delete "$host" 2>/dev/null || true; done
    [ -z "$work" ] || rm -rf "$work"
}

last_line() {
    grep . "$1" | tail -n 1
}

# Runs one step quietly; its output is shown only if it fails, cut to one line.
step() {
    local what=$1
    shift
    "$@" >"$work/step" 2>&1 || fail "$what failed: $(last_line "$work/step")"
}

# Waits, five seconds at most, until a file has a line that matches.
await() {
    local what=$1 pattern=$2 file=$3
    for _ in {1..100}; do
        ! grep -q "$pattern" "$file" 2>/dev/null || return 0
        sleep 0.05
    done
    fail "$what did not start: $(last_line "$file")"
}

# Not for what runs in the background: there `$!` would be the shell around it.
on() {
    local host=$1
    shift
    ip netns exec "$host" "$@"
}

# Checksums and segment sizes in the capture must be those of the wire, so nothing may be left to
# a network card that is not there.
offloads_off() {
    local host=$1 left
    left=$(offloads "$host") || fail "ethtool cannot tell the offloads"
    # shellcheck disable=SC2086 # a list of words
    [ -z "$left" ] || step "switching the offloads off" on "$host" ethtool -K lan0 $left
    left=$(offloads "$host") || fail "ethtool cannot tell the offloads"
    [ -z "$left" ] || fail "these offloads stay on: ${left// off/}"
}

# What is on, each with the word "off" behind it for `ethtool -K`. What is fixed is not listed:
# "[fixed]" stands behind it.
offloads() {
    on "$1" ethtool -k lan0 | sed -n 's/^[[:space:]]*\([^:]*\): on$/\1 off/p'
}

missing=()
for need in ip:iproute2 tcpdump:tcpdump ethtool:ethtool ping:iputils-ping dig:bind9-dnsutils \
    python3:python3; do
    command -v "${need%%:*}" >/dev/null || missing+=("${need%%:*} (Debian: ${need##*:})")
done
[ ${#missing[@]} -eq 0 ] || fail "missing: $(printf '%s, ' "${missing[@]}" | sed 's/, $//')"
ping -V 2>&1 | grep -q iputils || fail "missing: the ping of iputils, for -M and -Q"
[ "$(id -u)" -eq 0 ] || fail "must run as root, to make network namespaces"

trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
work=$(mktemp -d)

for host in "$router" "$laptop"; do
    step "making a network namespace" ip netns add "$host"
done
step "making the veth pair" \
    ip link add lan0 mtu 1500 address 02:00:00:00:00:01 netns "$router" \
    type veth peer name lan0 mtu 1500 address 02:00:00:00:00:14 netns "$laptop"
step "giving out addresses" ip -n "$router" address add $router_address/24 brd + dev lan0
step "giving out addresses" ip -n "$laptop" address add $laptop_address/24 brd + dev lan0
for host in "$router" "$laptop"; do
    offloads_off "$host"
    # The settings of the machine must not show in the capture; Reno is in every kernel.
    step "setting up TCP" on "$host" sh -c 'cd /proc/sys/net/ipv4 &&
        echo 1 >tcp_ecn && echo 1 >tcp_timestamps && echo reno >tcp_congestion_control'
    step "bringing lo up" ip -n "$host" link set lo up
done

# tcpdump wants an interface that is up. The cable is plugged in, as it were, when the router's end
# comes up, so that what hosts say when they join a network is in the capture too. Standard output,
# because tcpdump gives up root before it opens a file.
step "bringing the laptop up" ip -n "$laptop" link set lan0 up
ip netns exec "$laptop" tcpdump -i lan0 -n -U --immediate-mode -s 262144 \
    --time-stamp-precision=micro -w - >"$work/lan.pcap" 2>"$work/tcpdump" &
tcpdump_pid=$!
await tcpdump 'listening on' "$work/tcpdump"
step "bringing the router up" ip -n "$router" link set lan0 up

ip netns exec "$router" python3 "$here/peers.py" serve $router_address >"$work/serve" 2>&1 &
router_pid=$!
await "the router" '^ready$' "$work/serve"

# Ordinary sizes, then the largest that fits, then three fragments each way.
step "ping" on "$laptop" ping -n -c 3 -i 0.3 $router_address
step "ping back" on "$router" ping -n -c 2 -i 0.3 -s 512 $laptop_address
step "ping with DF at the MTU" on "$laptop" ping -n -c 2 -i 0.3 -M 'do' -s 1472 $router_address
step "ping in fragments" on "$laptop" ping -n -c 2 -i 0.3 -s 3000 $router_address
step "ping with Record Route" on "$laptop" ping -n -c 1 -R $router_address
# EF, then ECT(0), ECT(1), CE, then EF with ECT(0).
for tos in 0xb8 0x02 0x01 0x03 0xba; do
    step "ping with TOS $tos" on "$laptop" ping -n -c 1 -Q $tos $router_address
done

for question in 'router.home.arpa A' 'router.home.arpa AAAA' 'www.home.arpa A' \
    'router.home.arpa TXT' 'nowhere.home.arpa A' "-x $router_address"; do
    # shellcheck disable=SC2086 # name and type are two arguments
    step "dig $question" on "$laptop" dig +tries=1 +time=2 @$router_address $question
done

step "HTTP, mDNS and a closed port" on "$laptop" python3 "$here/peers.py" visit \
    $laptop_address $router_address

# The last acknowledgements and IGMP leaves are sent a little later.
sleep 1.5
kill -TERM "$tcpdump_pid"
wait "$tcpdump_pid" || fail "tcpdump failed: $(last_line "$work/tcpdump")"
tcpdump_pid=
grep -q '^0 packets dropped by kernel' "$work/tcpdump" || fail "tcpdump missed packets"

python3 "$here/check.py" "$work/lan.pcap" || fail "the recording is not fit; lan.pcap is unchanged"
cp "$work/lan.pcap" "$capture"
chmod 644 "$capture"
chown --reference="$here" "$capture"
