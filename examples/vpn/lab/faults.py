"""`faults`: what goes wrong in a network, while two TCP streams pass."""

import contextlib
import os
import random
import socket
import struct
import threading
import time

from checks import balance
from net import GATEWAYS, NARROW_MTU, OTHER, OUTER, SPARE, TUN, Lab, wait_until
from net import run as system
from probes import Datagrams, Pinger, Stream
from report import Failed, Impossible
from vpn import config, start_pair

LIMIT = 5.0
# What a gateway may grow by, in KiB: buffers that have once been full.
GROWTH = 8 * 1024
CARRIERS = [["ipip"], ["fou"], ["tcp"], ["gre", "fou"]]
LOWERED_MTU = 1200
FLOOD_SECONDS = 3


class Faults:
    """One carrier, one fault, in a topology of its own."""

    def __init__(self, lab, program, carrier, seconds):
        self.lab, self.program, self.carrier, self.flood_seconds = lab, program, carrier, seconds
        self.vpns, self.streams, self.memory = {}, [], {}

    def run(self, fault):
        self.lab.build()
        self.vpns = start_pair(self.lab, self.program, self.carrier, peer={end: peer_keys(end) for end in "ab"})
        for end in "ab":
            with Pinger(self.lab, end) as pinger:
                if pinger.ping_patiently(84, tries=5)[0] != "reply":
                    raise Failed("no ping arrives, before anything was done")
        self.streams = [Stream(self.lab, end, 7200, 100_000_000) for end in "ab"]
        if not wait_until(lambda: all(stream.flows() for stream in self.streams), 4, 0.1):
            raise Failed("the streams do not begin to flow")
        self.memory = {end: self.vpns[end].memory() for end in "ab"}
        try:
            shown_as = fault(self)
        finally:
            for stream in self.streams:
                stream.close()
        for end, before in self.memory.items():
            grown = self.vpns[end].memory() - before
            if grown > GROWTH:
                raise Failed(f"gateway {end} has grown by {grown} KiB")
        balance(self.vpns)
        for vpn in self.vpns.values():
            vpn.stop()
        return shown_as

    def resume(self, since):
        """Both streams flow again; how long it took."""
        took = []
        for stream, way in zip(self.streams, (">", "<")):
            seconds = stream.resumed(since, LIMIT)
            if seconds is None:
                raise Failed(f"the stream {way} does not flow {LIMIT:.0f} s later ({stream.ended or 'it stands still'})")
            took.append(seconds)
        return f"{max(took):.1f} s"

    def killed(self, end):
        vpn = self.vpns[end]
        vpn.kill()
        time.sleep(1)
        vpn.start()
        return self.resume(time.monotonic())

    def killed_a(self):
        return self.killed("a")

    def killed_b(self):
        return self.killed("b")

    def moved(self):
        """Gateway B gets another address; both files say so, and are read again."""
        outer = {"a": OUTER["a"], "b": SPARE["b"]}
        for end in "ba":
            vpn = self.vpns[end]
            first = len(vpn.lines)
            vpn.reload(config(end, self.carrier, outer, peer=peer_keys(end)))
            # The new address is gone for a moment when the old one is removed: no socket can be opened there then.
            vpn.wait_line(lambda line: "the file is read again" in line, 2, first)
        # The old address is no more.
        self.lab.ip("gwb", f"address delete {OUTER['b']}/24 dev r2", f"address replace {SPARE['b']}/24 dev r2",
                    "route replace default via 203.0.113.1")
        return self.resume(time.monotonic())

    def closed(self):
        """The system closes the socket of the carrier."""
        if not (self.carrier.is_tcp or self.carrier.is_udp):
            raise Impossible("ss cannot close raw sockets")
        vpn = self.vpns["b"]
        kind = "-tK" if self.carrier.is_tcp else "-uaK"
        said = self.lab.exec(vpn.node, "ss", kind, "-n", "src", OUTER["b"], check=False)
        if len(said.splitlines()) < 2:
            raise Impossible("ss -K closes nothing in this kernel")
        return self.resume(time.monotonic())

    def link_down(self):
        node, device = GATEWAYS["b"], "r2"
        self.lab.ip(node, f"link set {device} down")
        time.sleep(1)
        self.lab.ip(node, f"link set {device} up", "route add default via 203.0.113.1")
        return self.resume(time.monotonic())

    def lowered(self):
        """The link in the middle becomes narrower, and wide again."""
        self.lab.narrow(LOWERED_MTU)
        took = self.resume(time.monotonic())
        self.check_mtu()
        self.lab.narrow(NARROW_MTU)
        self.resume(time.monotonic())
        return took

    def filtered(self):
        """The same, and no router says a word."""
        self.lab.filter_icmp()
        return self.lowered()

    def check_mtu(self):
        if self.carrier.is_tcp:
            return
        for end in "ab":
            wanted = LOWERED_MTU - self.carrier.overhead
            if not wait_until(lambda: self.vpns[end].inner_mtu() <= wanted, 1, 0.2):
                raise Failed(f"gateway {end} says an inner MTU of {self.vpns[end].inner_mtu()}, and {wanted} fit")

    def lossy(self):
        """One packet in a hundred is lost, and one in twenty takes another way, on which it may wait."""
        lab = self.lab
        for node in ("r1", "r2"):
            lab.nft(node, "table ip lossy { chain prerouting { type filter hook prerouting priority mangle; "
                          "iifname != \"slow\" numgen random mod 20 == 0 meta mark set 1; }; "
                          "chain forward { type filter hook forward priority 0; numgen random mod 100 == 0 drop; }; }")
        system("ip", "link", "add", "slow", "mtu", str(NARROW_MTU), "netns", lab.name("r1"),
               "type", "veth", "peer", "name", "slow", "mtu", str(NARROW_MTU), "netns", lab.name("r2"))
        for node, address in [("r1", "192.0.3.1"), ("r2", "192.0.3.2")]:
            lab.plain(node, "slow")
            lab.ip(node, f"address add {address}/24 dev slow", "link set slow up")
        for node, gateway, network in [("r1", "192.0.3.2", "203.0.113.0/24"), ("r2", "192.0.3.1", "198.51.100.0/24")]:
            lab.exec(node, "tc", "qdisc", "add", "dev", "slow", "root", "tbf",
                     "rate", "8mbit", "burst", "1600", "latency", "50ms")
            lab.ip(node, f"route add {network} via {gateway} table 100", "rule add fwmark 1 lookup 100")
        began = time.monotonic()
        took = self.resume(began)
        time.sleep(1)
        rates = [stream.rate(1) for stream in self.streams]
        if min(rates) < 1:
            raise Failed(f"only {min(rates):.1f} Mbit/s")
        with Datagrams(lab, "a", 7201) as datagrams:
            for size in (100, 1000, 5000):
                payload = os.urandom(size)
                got = datagrams.pass_on(payload, tries=5)
                # A train of fragments that waits may still arrive for the try before.
                if got is None or got[0] != payload:
                    raise Failed(f"{size} bytes of UDP: {'nothing' if got is None else 'other bytes'} arrived")
        return f"{took}, {min(rates):.0f} Mbit/s"

    def strangers(self):
        """A flood of anything to every socket, from a stranger and in the peer's name."""
        began = time.monotonic()
        flood = Flood(self.lab, self.flood_seconds)
        flood.run()
        took = self.resume(time.monotonic())
        for stream in self.streams:
            mbit = stream.rate(min(FLOOD_SECONDS, time.monotonic() - began))
            if mbit < 1:
                raise Failed(f"only {mbit:.1f} Mbit/s passed meanwhile")
        return f"{took}, {flood.sent} packets"

    def tun_down(self):
        """Meanwhile it takes no packet, and each that it does not take is counted."""
        vpn = self.vpns["b"]
        self.lab.ip(vpn.node, "link set tunb down")
        time.sleep(1)
        self.lab.ip(vpn.node, "link set tunb up")
        took = self.resume(time.monotonic())
        refused = vpn.counters()["peers"][0]["in"]["dropped"].get("DeviceRefused", 0)
        if refused == 0:
            raise Failed("no packet is counted that the device did not take")
        return f"{took}, {refused} refused"

    def tun_removed(self):
        """Twice: what a device takes in memory must come once only."""
        vpn = self.vpns["b"]
        for _ in range(2):
            self.memory["b"] = vpn.memory()
            self.lab.ip(vpn.node, "link delete tunb")
            took = self.resume(time.monotonic())
        return took


def peer_keys(end):
    """The MTU is found by pings to the other TUN device where routers are silent."""
    return f'mss = "path"\nprobe = "{TUN[OTHER[end]]}"'


class Flood:
    """Random packets to gateway B, from the router before it."""

    def __init__(self, lab, seconds):
        self.lab, self.seconds, self.sent = lab, seconds, 0
        self.end = time.monotonic() + seconds

    def run(self):
        threads = [threading.Thread(target=work) for work in (self.raw, self.connect)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def raw(self):
        dice = random.Random(1)
        sender = self.lab.socket("r2", socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        target = socket.inet_aton(OUTER["b"])
        sources = [socket.inet_aton(address) for address in ("203.0.113.1", OUTER["a"], "192.0.2.77")]
        with sender:
            while time.monotonic() < self.end:
                for _ in range(100):
                    protocol = dice.choice((4, 47, 55, 17, 17, 17, 1))
                    body = self.body(dice, protocol, dice.randbytes(dice.choice((0, 1, 8, 20, 28, 60, 600, 1300))))
                    head = struct.pack("!BBHHHBBH4s4s", 0x45, dice.randrange(256), 20 + len(body), dice.randrange(65536),
                                       dice.choice((0, 0x4000, 0x2000, 0x00B9)), 64, protocol, 0,
                                       dice.choice(sources), target)
                    with contextlib.suppress(OSError):
                        sender.sendto(head + body, (OUTER["b"], 0))
                        self.sent += 1

    @staticmethod
    def body(dice, protocol, rest):
        """Something that comes a little further than random bytes do."""
        if protocol == 17:
            ports = dice.choice((5555, 6080))
            return struct.pack("!HHHH", ports, ports, 8 + len(rest), 0) + rest
        if protocol == 1 and len(rest) > 20:
            return struct.pack("!BBHHH", 3, 4, 0, 0, dice.choice((0, 68, 576, 1000))) + rest
        if protocol == 4 and len(rest) > 20:
            return struct.pack("!BBH", 0x45, 0, len(rest)) + rest[4:]
        return rest

    def connect(self):
        """Strangers that connect, and talk nonsense."""
        dice = random.Random(2)
        while time.monotonic() < self.end:
            for port in (7002, 7004):
                with self.lab.socket("r2", socket.AF_INET, socket.SOCK_STREAM) as client, contextlib.suppress(OSError):
                    client.settimeout(0.3)
                    client.connect((OUTER["b"], port))
                    client.sendall(dice.randbytes(2000))
                    self.sent += 1
            time.sleep(0.02)


FAULTS = {
    "killed a": Faults.killed_a,
    "killed b": Faults.killed_b,
    "moved": Faults.moved,
    "socket closed": Faults.closed,
    "link down": Faults.link_down,
    "MTU, ICMP": Faults.lowered,
    "MTU, silence": Faults.filtered,
    "loss, order": Faults.lossy,
    "strangers": Faults.strangers,
    "TUN down": Faults.tun_down,
    "TUN removed": Faults.tun_removed,
}
COLUMNS = list(FAULTS)


def run(report, program, carrier, name, seconds=FLOOD_SECONDS):
    """One fault, with one carrier."""
    def work():
        with Lab("fault") as lab:
            return Faults(lab, program, carrier, seconds).run(FAULTS[name])
    report.case(carrier.name).check(name, work)
