"""Ways to join the two LANs: what `speed` compares."""

import os
import subprocess
import time

from carriers import named
from net import GATEWAYS, HOST, LAN, OTHER, OUTER, TUN, Lab, folder, wait_until
from vpn import start_pair

HERE = os.path.dirname(os.path.abspath(__file__))
MTU = 1500


class Contestant:
    """A way to join the LANs, in a topology of its own, with all offloads."""

    group = "others"

    def __init__(self, name):
        self.name = name
        self.lab = Lab("speed")
        self.folder = folder()

    def open(self, program):
        self.lab.build(narrow_mtu=MTU, offload=True)
        self.join(program)
        arrives = lambda: "1 received" in self.lab.exec("lan1", "ping", "-c1", "-W1", HOST["b"], check=False)
        if not wait_until(arrives, 10, 0.2):
            raise RuntimeError(f"{self.name}: no ping arrives: {self.said()}")

    def close(self):
        self.lab.close()

    def start(self, end, *command):
        with open(os.path.join(self.folder, f"said-{end}"), "ab") as said:
            return self.lab.start(GATEWAYS[end], *command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)

    def said(self):
        lines = []
        for end in "ab":
            path = os.path.join(self.folder, f"said-{end}")
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as file:
                    lines += file.read().splitlines()[-3:]
        return " | ".join(lines)

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def route(self, end, device, mtu):
        """Through this device to the other LAN, once it is there."""
        node = GATEWAYS[end]
        there = lambda: self.lab.exec(node, "ip", "link", "show", device, check=False)
        if not wait_until(there, 5):
            raise RuntimeError(f"{self.name}: it makes no device: {self.said()}")
        self.lab.ip(node, f"link set {device} mtu {mtu} up", f"route replace {LAN[OTHER[end]]} dev {device}")


class NoTunnel(Contestant):
    """The routers know the LANs."""

    def join(self, _):
        for node, lan, way in [("gwa", "b", "198.51.100.1"), ("r1", "b", "192.0.2.2"), ("r2", "b", "203.0.113.2"),
                               ("gwb", "a", "203.0.113.1"), ("r2", "a", "192.0.2.1"), ("r1", "a", "198.51.100.2")]:
            self.lab.ip(node, f"route add {LAN[lan]} via {way}")


class Vxlan(Contestant):
    """The kernel's own."""

    def join(self, _):
        for end, other in ("ab", "ba"):
            node = GATEWAYS[end]
            self.lab.ip(node, f"link add tun{end} type vxlan id 7 local {OUTER[end]} remote {OUTER[other]} dstport 4789",
                        f"address add {TUN[end]}/24 dev tun{end}", f"link set tun{end} mtu {MTU - 50} up",
                        f"route add {LAN[other]} via {TUN[other]}")


class Copy(Contestant):
    """TUN to UDP and back."""

    def join(self, _):
        program = os.path.join(self.folder, "copy")
        subprocess.run(["cc", "-O2", "-o", program, os.path.join(HERE, "copy.c")], check=True)
        for end, other in ("ab", "ba"):
            self.start(end, program, f"tun{end}", OUTER[end], OUTER[other], "5555")
            self.route(end, f"tun{end}", MTU - 28)


class Socat(Contestant):
    """The tool for everything."""

    def join(self, _):
        for end, other in ("ab", "ba"):
            self.start(end, "socat", "-b", "65536", f"TUN:{TUN[end]}/24,tun-name=tun{end},iff-no-pi,up",
                       f"UDP4:{OUTER[other]}:5555,bind={OUTER[end]}:5555")
            self.route(end, f"tun{end}", MTU - 28)


class OpenVpn(Contestant):
    """Without a cipher."""

    def join(self, _):
        for end, other in ("ab", "ba"):
            self.start(end, "openvpn", "--dev", f"tun{end}", "--dev-type", "tun", "--proto", "udp", "--port", "5555",
                       "--local", OUTER[end], "--remote", OUTER[other], "--ifconfig", TUN[end], TUN[other],
                       "--cipher", "none", "--auth", "none", "--tun-mtu", str(MTU - 32), "--mssfix", "0",
                       "--sndbuf", "8388608", "--rcvbuf", "8388608")
            self.route(end, f"tun{end}", MTU - 32)


class Fastd(Contestant):
    """With the method `null`."""

    def join(self, _):
        keys = {}
        for end in "ab":
            text = subprocess.run(["fastd", "--generate-key"], text=True, capture_output=True, check=True).stdout
            keys[end] = {line.split(": ")[0].lower(): line.split(": ")[1] for line in text.splitlines() if ": " in line}
        for end, other in ("ab", "ba"):
            path = self.file(f"fastd-{end}.conf", (
                f'mode tun; interface "tun{end}"; method "null"; mtu {MTU - 32}; bind {OUTER[end]}:5555;\n'
                f'secret "{keys[end]["secret"]}";\n'
                f'peer "{other}" {{ remote {OUTER[other]}:5555; key "{keys[other]["public"]}"; }}\n'))
            self.start(end, "fastd", "--config", path)
            self.route(end, f"tun{end}", MTU - 32)


class Ours(Contestant):
    """The program under test."""

    def __init__(self, kind, offload):
        super().__init__(kind if offload else f"{kind}, no offload")
        self.kind, self.group = kind, "ours" if offload else "ours without offload"
        self.vpns = {}

    def join(self, program):
        interface = "" if self.group == "ours" else "offload = false"
        self.vpns = start_pair(self.lab, program, named(self.kind), interface=interface)

    def said(self):
        return " | ".join(vpn.last() for vpn in self.vpns.values())

    def calls(self, iperf):
        """System calls for each packet of a bulk transfer, at the end that sends and at the end that receives."""
        before = {end: vpn.counters() for end, vpn in self.vpns.items()}
        tracers = {end: self.lab.start(vpn.node, "strace", "-f", "-c", "-o", os.path.join(self.folder, f"calls-{end}"),
                                       "-p", str(vpn.process.pid), stderr=subprocess.DEVNULL)
                   for end, vpn in self.vpns.items()}
        time.sleep(0.5)
        iperf.tcp(False, 2)
        for tracer in tracers.values():
            tracer.terminate()
            tracer.wait(5)
        found = {}
        for end, vpn in self.vpns.items():
            after = vpn.counters()
            packets = sum(after[key] - before[end][key] for key in ("from_tun", "from_network"))
            with open(os.path.join(self.folder, f"calls-{end}"), encoding="utf-8") as file:
                total = [line.split() for line in file if line.rstrip().endswith("total")]
            # Seconds, and with errors a column more: the calls are in the fourth.
            found[end] = int(total[0][3]) / max(1, packets)
        return found


OURS = ["fou", "gue", "ipip", "gre", "minenc", "tcp", "gre+fou"]


def all_contestants():
    others = [NoTunnel("no tunnel"), Vxlan("vxlan"), Copy("plain copy"), OpenVpn("openvpn"), Fastd("fastd"), Socat("socat")]
    return others + [Ours(kind, True) for kind in OURS] + [Ours(kind, False) for kind in OURS]
