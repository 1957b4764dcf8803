"""`lab`: what every carrier and every nest must do."""

import os
import time

from capture import Capture, complaints, count
from net import EDGE_MTU, NARROW_MTU, Lab, folder
from probes import Datagrams, Iperf, Pinger
from report import Failed, Impossible
from vpn import check_config, imbalance, start_pair

COLUMNS = ["overhead", "ping", "mtu a", "mtu b", "fragments", "ecn", "ce", "udp", "trains", "wire",
           "tcp >", "tcp <", "clamped >", "clamped <", "counters"]
SOL_UDP, UDP_SEGMENT = 17, 103
HERE = os.path.dirname(os.path.abspath(__file__))


def run(report, program, carrier, captures=None, interface=""):
    """All checks of one carrier. `interface` is more for that table of the configuration."""
    case = report.case(carrier.name)
    with Lab(carrier.outermost) as lab:
        lab.build()
        Checks(case, lab, program, carrier, captures, interface).run()


class Checks:
    """One carrier, in its own topology."""

    def __init__(self, case, lab, program, carrier, captures, interface=""):
        self.case, self.lab, self.program, self.carrier = case, lab, program, carrier
        self.captures, self.interface = captures, interface
        self.vpns = {}

    def run(self):
        case = self.case
        iperf = Iperf(self.lab)
        path = os.path.join(self.captures or folder(), f"{self.carrier.name}.pcap")
        # Behind the narrow link: there is nothing that the link has not carried.
        with Capture(self.lab, "r2", "r1", path):
            if not case.check("ping", self.start_and_ping):
                return
            case.check("overhead", self.overhead)
            case.check("mtu a", self.mtu, "a")
            case.check("mtu b", self.mtu, "b")
            case.check("fragments", self.fragments)
            case.check("ecn", self.ecn)
            case.check("udp", self.udp)
            case.check("trains", self.trains)
        case.check("wire", self.wire, path)
        case.check("ce", self.ce)
        case.check("tcp >", self.tcp, iperf, False, None)
        case.check("tcp <", self.tcp, iperf, True, None)
        before = self.counters_of_both("counters")
        if not case.check("clamped >", self.restart_clamped):
            return
        case.check("clamped >", self.tcp, iperf, False, "path")
        case.check("clamped <", self.tcp, iperf, True, "path")
        if before:
            self.counters_of_both("counters")

    def start_and_ping(self):
        self.vpns = start_pair(self.lab, self.program, self.carrier, self.interface, peer='mss = "off"')
        return self.ping()

    def ping(self):
        times = []
        for end in "ab":
            with Pinger(self.lab, end) as pinger:
                # A connection may have to be made first.
                answer = pinger.ping_patiently(84, tries=5)
                if answer != ("reply", 84):
                    raise Failed(f"from {end}: {answer[0]}")
                began = time.monotonic()
                for _ in range(5):
                    if pinger.ping(84) != ("reply", 84):
                        raise Failed(f"from {end}: a ping was lost")
                times.append((time.monotonic() - began) / 5)
        return f"{max(times) * 1000:.1f} ms"

    def overhead(self):
        """What the program says of itself, and what the RFCs say."""
        told = check_config(self.program, self.vpns["a"].path)
        peers = told if isinstance(told, list) else told["peers"]
        got = peers[0]["overhead"]
        if got != self.carrier.overhead:
            raise Failed(f"{got}, and not {self.carrier.overhead}")
        return got

    def mtu(self, end):
        """A packet of exactly the inner MTU passes; one byte more is answered, and the answer names the MTU."""
        told = []
        with Pinger(self.lab, end) as pinger:
            length = EDGE_MTU
            # The path is learnt by its reports: each may cost a packet.
            for _ in range(8):
                answer = pinger.ping(length, df=True, timeout=0.5)
                if answer[0] == "reply":
                    break
                told.append(answer)
                if answer[0] == "too long":
                    if answer[1] >= length:
                        raise Failed(f"{length} bytes are too long, and {answer[1]} would not be: {told}")
                    length = answer[1]
            if answer[0] != "reply":
                raise Failed(f"no ping arrives with DF: {told}")
            mtu = length
            # A connection splits its stream itself: what is behind the first link does not matter.
            wanted = (EDGE_MTU if self.carrier.is_tcp else NARROW_MTU) - self.carrier.overhead
            if mtu != wanted:
                raise Failed(f"{mtu} bytes pass, and {wanted} should: {told}")
            says = self.vpns[end].inner_mtu()
            if says != mtu:
                raise Failed(f"{mtu} bytes pass, and its counters say {says}")
            for length, wanted in [(mtu, ("reply", mtu)), (mtu + 1, ("too long", mtu))]:
                if length > EDGE_MTU:
                    continue
                answer = pinger.ping(length, df=True)
                # Errors are sent at a limited rate.
                if answer != wanted and answer[0] == "nothing":
                    time.sleep(0.3)
                    answer = pinger.ping(length, df=True)
                if answer != wanted:
                    raise Failed(f"{length} bytes with DF: {answer}, and not {wanted}")
            return mtu

    def fragments(self):
        """Pings of several fragments. Minimal encapsulation cannot carry fragments (RFC 2004, section 2)."""
        if self.carrier.kinds[0] == "minenc":
            raise Impossible("")
        for end in "ab":
            with Pinger(self.lab, end) as pinger:
                for length in (EDGE_MTU, EDGE_MTU + 1, 3000, 9000, 40000):
                    answer = pinger.ping_patiently(length)
                    if answer != ("reply", length):
                        raise Failed(f"from {end}, {length} bytes: {answer[0]}")

    def ecn(self):
        """All four marks, with a DSCP, arrive as they were sent."""
        for end, port in [("a", 7101), ("b", 7102)]:
            with Datagrams(self.lab, end, port) as datagrams:
                for mark in range(4):
                    tos = 0x28 | mark
                    got = datagrams.pass_on(b"mark", tos, tries=2)
                    if got != (b"mark", tos):
                        raise Failed(f"from {end}: sent with TOS {tos:#04x}, arrived: {got}")

    def ce(self):
        """A router in the middle marks outer packets: the mark arrives inside, or the packet does not."""
        if not self.carrier.has_ecn:
            raise Impossible("")
        self.lab.nft("r1", "table ip marks { chain forward { type filter hook forward priority 0; "
                           "ip ecn set ce; }; }")
        try:
            for end, port in [("a", 7103), ("b", 7104)]:
                with Datagrams(self.lab, end, port) as datagrams:
                    for mark in (1, 2, 3):
                        got = datagrams.pass_on(b"mark", mark, tries=2)
                        if got != (b"mark", 3):
                            raise Failed(f"from {end}: ECN {mark}, marked on its way, arrived: {got}")
                    got = datagrams.pass_on(b"mark", 0, timeout=0.3)
                    # Who cannot understand the mark must not get the packet (RFC 6040, figure 4). The outer header
                    # of minimal encapsulation is the inner one: there is nothing to compare it with.
                    wanted = (b"mark", 3) if self.carrier.kinds == ["minenc"] else None
                    if got != wanted:
                        raise Failed(f"from {end}: not ECN-capable, marked on its way, arrived: {got}")
        finally:
            self.lab.nft("r1", "delete table ip marks")

    def udp(self):
        """Datagrams of many sizes, byte for byte."""
        mtu = NARROW_MTU - self.carrier.overhead
        sizes = [0, 1, 2, 7, 8, 63, 64, 511, 512, mtu - 29, mtu - 28, mtu - 27, 1471, 1472, 1473, 4000, 20000, 65507]
        if self.carrier.kinds[0] == "minenc":
            sizes = [size for size in sizes if size <= mtu - 28]
        for end, port in [("a", 7105), ("b", 7106)]:
            with Datagrams(self.lab, end, port) as datagrams:
                for size in sizes:
                    payload = os.urandom(size)
                    got = datagrams.pass_on(payload, tries=2)
                    if got is None or got[0] != payload:
                        raise Failed(f"from {end}, {size} bytes: {'nothing' if got is None else 'other bytes'} arrived")

    def trains(self):
        """Datagrams that leave their host as one super-packet."""
        for end, port in [("a", 7107), ("b", 7108)]:
            with Datagrams(self.lab, end, port) as datagrams:
                try:
                    datagrams.sender.setsockopt(SOL_UDP, UDP_SEGMENT, 1200)
                except OSError:
                    raise Impossible("no UDP_SEGMENT in this kernel") from None
                payload = os.urandom(1200 * 25 + 77)
                datagrams.sender.sendto(payload, datagrams.address)
                datagrams.receiver.settimeout(1)
                got = []
                try:
                    while len(got) < 26:
                        got.append(datagrams.receiver.recv(65535))
                except TimeoutError:
                    pass
                if b"".join(got) != payload:
                    raise Failed(f"from {end}: {len(got)} of 26 datagrams arrived, or not as they were sent")

    def wire(self, path):
        """tshark reads what was on the wire, down to the innermost packets."""
        # The payload is random: no guess what it is.
        decode = ["udp.port==5555,ip", "udp.port==7101-7108,data"]
        # The ports that only the innermost packets have: they were understood.
        inner = count(path, decode, "ip.addr == 10.1.0.2 && ip.addr == 10.2.0.2 && (icmp.type in {0, 8} || udp.dstport in {7101..7108})")
        lines = complaints(path, decode)
        if lines:
            raise Failed(f"{len(lines)} packets, the first: {lines[0]}")
        if inner < 50:
            raise Failed(f"only {inner} packets show what is inside")
        return f"{inner} packets"

    def tcp(self, iperf, reverse, mss):
        got = iperf.tcp(reverse)
        if got["mbit"] < 5:
            raise Failed(f"{got['mbit']:.1f} Mbit/s")
        if mss == "path" and not self.carrier.is_tcp and got["mss"] > NARROW_MTU - self.carrier.overhead - 40:
            raise Failed(f"an MSS of {got['mss']}, which is too large for the path")
        return f"{got['mbit']:.0f}"

    def restart_clamped(self):
        for end in "ab":
            self.vpns[end].stop()
        self.vpns = start_pair(self.lab, self.program, self.carrier, self.interface, peer='mss = "path"')
        self.ping()
        # The path shall be known before it is asked for.
        for end in "ab":
            self.mtu(end)

    def counters_of_both(self, name):
        """The books of both ends are in balance while they run. Returns whether they are."""
        return self.case.check(name, lambda: balance(self.vpns))


def balance(vpns):
    """Both gateways' counters add up. Returns how many packets were counted."""
    packets = 0
    for end, vpn in vpns.items():
        counters = vpn.counters()
        wrong = imbalance(counters)
        if wrong:
            raise Failed(f"gateway {end}: {wrong}")
        packets += counters["from_tun"] + counters["from_network"]
    if packets == 0:
        raise Failed("nothing was counted")
    return packets
