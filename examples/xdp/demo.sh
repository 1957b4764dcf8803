#!/usr/bin/env bash
# Attaches the load balancer to a veth, sends 4000 flows to it, and shows how they spread. Needs root, and `build.sh`
# before it. Nothing stays behind.
set -euo pipefail
cd "$(dirname "$0")"
xdp=${CARGO_TARGET_DIR:-$PWD/../../target}/release/xdp
if [ "$(id -u)" != 0 ]; then
    echo "XDP programs need root: run this with sudo" >&2
    exit 1
fi
if ! [ -x "$xdp" ]; then
    echo "run examples/xdp/build.sh first" >&2
    exit 1
fi
client=ipencap-client-$$ balancer=xdp-demo-b peer=xdp-demo-c
there() { nsenter --net=/run/netns/"$client" "$@"; }
clean() {
    "$xdp" detach "$balancer" >/dev/null 2>&1 || true
    there "$xdp" detach "$peer" >/dev/null 2>&1 || true
    ip link del "$balancer" 2>/dev/null || true
    ip netns del "$client" 2>/dev/null || true
}
trap clean EXIT
ip netns add "$client"
ip link add "$balancer" type veth peer name "$peer" address 02:00:00:00:0c:01 netns "$client"
ip link set "$balancer" up
ip -n "$client" addr add 10.99.0.2/24 dev "$peer"
ip -n "$client" link set "$peer" up
ip -n "$client" neigh add 10.99.0.1 lladdr "$(cat /sys/class/net/"$balancer"/address)" dev "$peer"
ip -n "$client" route add 203.0.113.0/24 via 10.99.0.1
cat <<'TEXT'

  namespace of the client                        this host
  ┌────────────────────────┐                    ┌─────────────────────────────────┐
  │ 10.99.0.2              ├─── veth pair ──────┤ XDP: balance_ipip               │
  │ 4000 flows to          │ ─────────────────► │ VIP 203.0.113.53:53/udp         │
  │ 203.0.113.53:53/udp    │ ◄───────────────── │ IP-in-IP to 192.0.2.11, 12, 13  │
  └────────────────────────┘  to the backends   └─────────────────────────────────┘

TEXT
# A veth receives what XDP sends only if it has an XDP program too. The BPF file system is this namespace's: `nsenter`
# changes that of the network alone.
there "$xdp" attach "$peer" --config data/pass.toml
"$xdp" attach "$balancer" --config data/demo.toml
there bash -c '
    for ((flow = 0; flow < 4000; flow++)); do
        echo hello >/dev/udp/203.0.113.53/53
    done' 2>/dev/null || true
echo
"$xdp" stats "$balancer"
echo
"$xdp" detach "$balancer"
there "$xdp" detach "$peer" >/dev/null
