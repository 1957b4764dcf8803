#!/usr/bin/env bash
# Two hosts behind two gateways whose tunnel is XDP programs, on veth pairs, natively attached:
#
#   host a ── a0 l0 ── gateway l ── l1 r1 ── gateway r ── r0 b0 ── host b
#                      encap on l0           decap on r1
#                      decap on l1           encap on r0
#
# Pings and TCP both ways, through each kind of tunnel. What comes out of a tunnel the kernel routes on. The hosts' MTU is
# that of all wires: they learn that of the tunnel from the encapsulators' ICMP errors.
set -euo pipefail
cd "$(dirname "$0")"
xdp=${CARGO_TARGET_DIR:-$PWD/../../target}/release/xdp
id=ipencap-xdp-$$
work=$(mktemp -d)
clean() {
    [ ! -e "$work/iperf.pid" ] || kill "$(tr -d '\0' <"$work/iperf.pid")" 2>/dev/null || true
    for host in a b; do nsenter --net="/run/netns/$id-$host" "$xdp" detach ${host}0 || true; done >/dev/null 2>&1
    for device in l0 l1; do nsenter --net="/run/netns/$id-l" "$xdp" detach "$device" || true; done >/dev/null 2>&1
    for device in r0 r1; do nsenter --net="/run/netns/$id-r" "$xdp" detach "$device" || true; done >/dev/null 2>&1
    for space in a l r b; do ip netns del "$id-$space" 2>/dev/null || true; done
    rm -rf "$work"
}
trap clean EXIT
at() { nsenter --net="/run/netns/$id-$1" "${@:2}"; }

for space in a l r b; do ip netns add "$id-$space"; done
wire() { # DEVICE SPACE ADDRESS MAC, for each end
    ip link add "$1" netns "$id-$2" address "$4" type veth peer name "$5" netns "$id-$6" address "$8"
    at "$2" ip addr add "$3" dev "$1"
    at "$6" ip addr add "$7" dev "$5"
    at "$2" ip link set "$1" up
    at "$6" ip link set "$5" up
}
wire a0 a 10.1.0.2/24 02:00:00:00:00:0a l0 l 10.1.0.1/24 02:00:00:00:01:00
wire l1 l 192.0.2.1/24 02:00:00:00:01:01 r1 r 192.0.2.2/24 02:00:00:00:02:01
wire r0 r 10.2.0.1/24 02:00:00:00:02:00 b0 b 10.2.0.2/24 02:00:00:00:0b:00
at a ip route add default via 10.1.0.1
at b ip route add default via 10.2.0.1
for end in "a a0" "b b0"; do
    read -r space device <<<"$end"
    # An XDP frame cannot say that a checksum is still to be filled in.
    at "$space" ethtool -K "$device" tx off >/dev/null
    # Without a program it would not receive what XDP sends it.
    at "$space" "$xdp" attach "$device" --config ../../examples/xdp/data/pass.toml >/dev/null
done
for space in l r; do at "$space" sysctl -qw net.ipv4.ip_forward=1; done
at b iperf3 -s -D -I "$work/iperf.pid" </dev/null

failed=0
for kind in ipip fou gue; do
    configure() { # SPACE LOCAL PEER INNER-HERE INNER-THERE OUT NEXT-HOP
        printf 'program = "encap_%s"\nlocal = "%s"\nport = 5555\n[out]\ninterface = "%s"\nnext_hop = "%s"\n[[tunnel]]\nexit = "%s"\ninner = ["%s"]\n' \
            "$kind" "$2" "$6" "$7" "$3" "$5" >"$work/encap-$1.toml"
        printf 'program = "decap_%s"\nlocal = "%s"\nport = 5555\n[[peer]]\nouter = "%s"\ninner = ["%s"]\n' \
            "$kind" "$2" "$3" "$5" >"$work/decap-$1.toml"
    }
    configure l 192.0.2.1 192.0.2.2 10.1.0.0/24 10.2.0.0/24 l1 02:00:00:00:02:01
    configure r 192.0.2.2 192.0.2.1 10.2.0.0/24 10.1.0.0/24 r1 02:00:00:00:01:01
    for gateway in l r; do
        at $gateway "$xdp" attach ${gateway}0 --config "$work/encap-$gateway.toml" >"$work/said"
        at $gateway "$xdp" attach ${gateway}1 --config "$work/decap-$gateway.toml" >>"$work/said"
        if [ "$(grep -c ', natively$' "$work/said")" != 2 ]; then
            cat "$work/said"
            failed=1
        fi
    done
    at a ping -q -c 20 -i 0.01 -W 1 10.2.0.2 >"$work/ping" || { cat "$work/ping"; failed=1; }
    at b ping -q -c 20 -i 0.01 -W 1 -s 1400 -M do 10.1.0.2 >"$work/ping" || { cat "$work/ping"; failed=1; }
    # Too long, and with DF: answered. TCP then learns it anew.
    case $kind in ipip) mtu=1480 ;; fou) mtu=1472 ;; gue) mtu=1468 ;; esac
    for ping in "a 10.2.0.2" "b 10.1.0.2"; do
        read -r space address <<<"$ping"
        at "$space" ip route flush cache
        at "$space" ping -c 1 -W 1 -s 1472 -M do "$address" >"$work/ping" || true
        grep -q "(mtu = $mtu)" "$work/ping" || { cat "$work/ping"; failed=1; }
        at "$space" ip route flush cache
    done
    # Too long, and without DF: left to the gateway's kernel, which has no tunnel here.
    at a ping -q -c 3 -i 0.01 -W 1 -s 1472 -M dont 10.2.0.2 >/dev/null || true
    # The server may still be ending the test before.
    rate() {
        local try
        for try in 1 2 3 4 5; do
            if at a iperf3 -c 10.2.0.2 -t 2 "$@" -f m >"$work/iperf" 2>&1; then
                sed -n 's/.* \([0-9.]*\) Mbits\/sec.*receiver/\1/p' "$work/iperf"
                return
            fi
            sleep "$try"
        done
        cat "$work/iperf" >&2
    }
    forth=$(rate) back=$(rate -R)
    echo "$kind: pings both ways, TCP $forth and ${back} Mbit/s"
    [ -n "$forth" ] && [ -n "$back" ] || failed=1
    for gateway in l r; do
        for device in ${gateway}0 ${gateway}1; do
            at $gateway "$xdp" stats $device >"$work/stats"
            taken=$(awk '$2 == "taken" && NF == 2 { print $1 }' "$work/stats")
            if [ "${taken:-0}" -lt 100 ]; then
                echo "$kind: $device has taken ${taken:-0} packets"
                cat "$work/stats"
                failed=1
            fi
            if [ $device = l0 ] && ! grep -q ' 3  passed: too long, without DF$' "$work/stats"; then
                echo "$kind: $device has not left three packets without DF to the kernel"
                cat "$work/stats"
                failed=1
            fi
            at $gateway "$xdp" detach $device >/dev/null
        done
    done
    # Without the programs there is no way: they, and nothing else, have carried the packets.
    if at a ping -q -c 1 -W 1 10.2.0.2 >/dev/null; then
        echo "$kind: a ping without programs was answered"
        failed=1
    fi
done
exit $failed
