"""`control`: the lab must be able to fail. Each of these breaks something, and one check must say so."""

import os
import struct
import time

from capture import Capture
from carriers import named
from checks import Checks
from faults import Faults, peer_keys
from net import OUTER, SPARE, Lab, folder
from probes import Iperf
from report import Failed, Report
from vpn import VpnFailed, config, imbalance

FORWARD = "table ip sabotage {{ chain forward {{ type filter hook forward priority 1; {0}; }}; }}"
OUTPUT = "table ip sabotage {{ chain output {{ type filter hook output priority 1; {0}; }}; }}"
# A router that does this → the check that must notice.
ROUTERS = {
    "marks are bleached": ("gwb", FORWARD, "ip ecn set not-ect", "ecn"),
    "marks of the outer header are bleached": ("r2", FORWARD, "ip ecn set not-ect", "ce"),
    "a DSCP is lost": ("gwb", FORWARD, "ip dscp set 0", "ecn"),
    "long packets vanish": ("r2", FORWARD, "ip length > 1000 drop", "udp"),
    "one fragment in ten vanishes": ("gwa", FORWARD, "ip frag-off & 0x3fff != 0 numgen inc mod 10 == 0 drop", "fragments"),
    "nobody says that a packet is too long": ("gwa", OUTPUT, "icmp type destination-unreachable drop", "mtu a"),
    # 77 bytes behind two UDP headers and an IPv4 header.
    "the last segment of a train vanishes": ("r1", FORWARD, "udp length 113 drop", "trains"),
    "nothing passes": ("r1", FORWARD, "drop", "tcp >"),
}


def run(program):
    report = Report("broken", ["noticed"])
    carrier = named("fou")
    for name, (node, form, rule, check) in ROUTERS.items():
        report.case(name).check("noticed", noticed, program, carrier, (node, form.format(rule)), check)
    report.case("a bit is flipped on the wire").check("noticed", flipped, program, carrier)
    report.case("only one end is told of a move").check("noticed", half_moved, program, carrier)
    report.case("a packet is not counted").check("noticed", uncounted)
    report.case("the program is no VPN").check("noticed", no_program, carrier)
    return report


def noticed(program, carrier, sabotage, check):
    with Lab("control") as lab:
        lab.build()
        one = Report("", [])
        checks = Checks(one.case("x"), lab, program, carrier, None)
        checks.start_and_ping()
        lab.nft(*sabotage)
        if check == "tcp >":
            checks.case.check(check, checks.tcp, Iperf(lab), False, None)
        elif check == "mtu a":
            checks.case.check(check, checks.mtu, "a")
        else:
            checks.case.check(check, getattr(checks, check))
        if not one.failures():
            raise Failed(f"the check '{check}' passes: {one.rows}")
        return check


def flipped(program, carrier):
    """A capture with a wrong bit in it."""
    with Lab("control") as lab:
        lab.build()
        checks = Checks(Report("", []).case("x"), lab, program, carrier, None)
        path = os.path.join(folder(), "wire.pcap")
        with Capture(lab, "r2", "r1", path):
            checks.start_and_ping()
            checks.udp()
            checks.fragments()
        checks.wire(path)
        with open(path, "r+b") as file:
            data = bytearray(file.read())
            flip(data)
            file.seek(0)
            file.write(data)
        try:
            checks.wire(path)
        except Failed:
            return "wire"
        raise Failed("tshark does not complain")


def flip(data):
    """Flips a bit in the payload of the first packet that is longer than a few headers."""
    at = 24
    while at < len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        if length > 300:
            data[at + 16 + 200] ^= 0x10
            return
        at += 16 + length
    raise Failed("there is no long packet in the capture")


def half_moved(program, carrier):
    class Half(Faults):
        def moved(self):
            outer = {"a": OUTER["a"], "b": SPARE["b"]}
            self.vpns["b"].reload(config("b", self.carrier, outer, peer=peer_keys("b")))
            self.lab.ip("gwb", f"address delete {OUTER['b']}/24 dev r2", f"address replace {SPARE['b']}/24 dev r2",
                        "route replace default via 203.0.113.1")
            return self.resume(time.monotonic())
    with Lab("control") as lab:
        try:
            Half(lab, program, carrier, 1).run(Half.moved)
        except Failed:
            return "moved"
        raise Failed("the streams flow all the same")


def uncounted():
    good = {"from_tun": 2, "from_network": 1, "no_peer": {"out": {"answered": {}, "dropped": {"NoPeer": 1}}},
            "peers": [{"out": {"whole": 1, "split": 0, "answered": {}, "dropped": {}}, "in": {"delivered": 1}}]}
    if imbalance(good):
        raise Failed(f"good counters: {imbalance(good)}")
    for side in ("from_tun", "from_network"):
        if not imbalance({**good, side: good[side] + 1}):
            raise Failed(f"one more in {side} goes unnoticed")
    return "counters"


def no_program(carrier):
    with Lab("control") as lab:
        lab.build()
        try:
            Checks(Report("", []).case("x"), lab, "/bin/false", carrier, None).start_and_ping()
        except VpnFailed:
            return "ping"
        raise Failed("a program that ends at once goes unnoticed")
