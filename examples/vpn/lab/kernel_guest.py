"""Runs in the virtual machine: the VPN at gateway A, a tunnel device of the kernel at gateway B."""

import os
import subprocess
import sys

import vpn
from carriers import named
from net import LAN, NARROW_MTU, OUTER, TUN, Lab
from probes import Datagrams, Iperf, Pinger
from report import Failed, Report

COLUMNS = ["ping", "mtu a", "mtu b", "fragments", "ecn", "tcp >", "tcp <", "counters"]
# Our stack → how the kernel makes its end. The words are those of `ip link add tunb type`.
ENDS = f"local {OUTER['b']} remote {OUTER['a']} ttl 64 tos inherit"
KERNEL = {
    "ipip": (f"ipip {ENDS}", None),
    "gre": (f"gre {ENDS}", None),
    "gre-key": (f"gre {ENDS} key 42", None),
    "gre-csum": (f"gre {ENDS} csum", None),
    "gre-all": (f"gre {ENDS} key 7 csum seq", None),
    "fou": (f"ipip {ENDS} encap fou encap-sport 5555 encap-dport 5555 encap-csum", "port 5555 ipproto 4"),
    "gue": (f"ipip {ENDS} encap gue encap-sport 6080 encap-dport 6080 encap-csum", "port 6080 gue"),
}
MODULES = ["veth", "tun", "ipip", "fou", "ip_gre", "nf_tables", "crc32c_generic", "nfnetlink"]


class Against:
    """One kind of tunnel."""

    def __init__(self, lab, program, kind):
        self.lab, self.program, self.kind = lab, program, kind
        self.carrier = named(kind)
        self.ours = None

    def run(self, case):
        if not case.check("ping", self.start):
            return
        case.check("mtu a", self.mtu, "a")
        case.check("mtu b", self.mtu, "b")
        case.check("fragments", self.fragments)
        case.check("ecn", self.ecn)
        iperf = Iperf(self.lab)
        case.check("tcp >", self.tcp, iperf, False)
        case.check("tcp <", self.tcp, iperf, True)
        case.check("counters", self.counters)

    def start(self):
        self.lab.build()
        device, port = KERNEL[self.kind]
        if port:
            self.lab.ip("gwb", f"fou add {port}")
        self.lab.ip("gwb", f"link add tunb type {device}", f"address add {TUN['b']}/32 dev tunb",
                    f"link set tunb mtu {NARROW_MTU - self.carrier.overhead} up",
                    f"route add {LAN['a']} dev tunb", f"route add {TUN['a']}/32 dev tunb")
        self.ours = vpn.Vpn(self.lab, "a", self.program, vpn.config("a", self.carrier, peer='mss = "path"')).start()
        for end in "ab":
            with Pinger(self.lab, end) as pinger:
                answer = pinger.ping_patiently(84, tries=5)
                if answer[0] != "reply":
                    raise Failed(f"from {end}: {answer[0]}")

    def mtu(self, end):
        wanted = NARROW_MTU - self.carrier.overhead
        with Pinger(self.lab, end) as pinger:
            for _ in range(4):
                answer = pinger.ping(wanted + 1, df=True)
                if answer == ("too long", wanted):
                    break
            if answer != ("too long", wanted):
                raise Failed(f"{wanted + 1} bytes with DF: {answer}")
            answer = pinger.ping_patiently(wanted, df=True)
            if answer != ("reply", wanted):
                raise Failed(f"{wanted} bytes with DF: {answer}")
        return wanted

    def fragments(self):
        for end in "ab":
            with Pinger(self.lab, end) as pinger:
                for length in (1500, 3000, 20000):
                    answer = pinger.ping_patiently(length)
                    if answer != ("reply", length):
                        raise Failed(f"from {end}, {length} bytes: {answer[0]}")

    def ecn(self):
        for end, port in [("a", 7101), ("b", 7102)]:
            with Datagrams(self.lab, end, port) as datagrams:
                for mark in range(4):
                    tos = 0x28 | mark
                    got = datagrams.pass_on(b"mark", tos, tries=2)
                    if got != (b"mark", tos):
                        raise Failed(f"from {end}: sent with TOS {tos:#04x}, arrived: {got}")

    @staticmethod
    def tcp(iperf, reverse):
        got = iperf.tcp(reverse, 2)
        if got["mbit"] < 1:
            raise Failed(f"{got['mbit']:.1f} Mbit/s")
        return f"{got['mbit']:.0f}"

    def counters(self):
        counters = self.ours.stop()
        wrong = vpn.imbalance(counters)
        if wrong:
            raise Failed(wrong)
        return counters["from_tun"] + counters["from_network"]


def main():
    subprocess.run(["modprobe", "-a", *MODULES], check=False)
    os.makedirs("/tmp", exist_ok=True)
    program = os.path.abspath("ipencap-vpn")
    os.chmod(program, 0o755)
    print("Linux", os.uname().release, os.uname().version)
    report = Report("kernel's tunnel", COLUMNS)
    for kind in sys.argv[1:] or KERNEL:
        with Lab("kernel") as lab:
            Against(lab, program, kind).run(report.case(kind))
    report.print()
    return 1 if report.failures() else 0


if __name__ == "__main__":
    sys.exit(main())
