"""Network namespaces: the topology of the lab, and how to get into it.

    lan1 ── gwa ── r1 ──(narrow)── r2 ── gwb ── lan2

Every namespace of a run is called `ipelab-PID-NAME-NODE`. Nothing is made in the namespace of the system.
"""

import contextlib
import ctypes
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PREFIX = "ipelab"
NODES = ["lan1", "gwa", "r1", "r2", "gwb", "lan2"]
GATEWAYS = {"a": "gwa", "b": "gwb"}
# The outer addresses. The gateways have two of them: one is kept for a move.
OUTER = {"a": "198.51.100.2", "b": "203.0.113.2"}
SPARE = {"a": "198.51.100.3", "b": "203.0.113.3"}
LAN = {"a": "10.1.0.0/24", "b": "10.2.0.0/24"}
HOST = {"a": "10.1.0.2", "b": "10.2.0.2"}
# The addresses of the TUN devices.
TUN = {"a": "10.99.0.1", "b": "10.99.0.2"}
OTHER = {"a": "b", "b": "a"}
EDGE_MTU = 1500
NARROW_MTU = 1400
CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()
_open = set()


class CommandFailed(Exception):
    """A command of the system did not do what the lab needs."""


def run(*command, stdin=None, check=True, timeout=30):
    """Runs a command; returns what it printed."""
    done = subprocess.run(command, input=stdin, text=True, capture_output=True, timeout=timeout)
    if check and done.returncode != 0:
        raise CommandFailed(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class Lab:
    """The namespaces of one case, and the processes in them."""

    def __init__(self, name):
        self.prefix = f"{PREFIX}-{os.getpid()}-{next(_numbers)}-{name}"
        self.processes = []
        self.nodes = []
        _open.add(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for process in self.processes:
            with contextlib.suppress(OSError):
                process.kill()
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
        for node in self.nodes:
            run("ip", "netns", "del", self.name(node), check=False)
        self.nodes = []
        _open.discard(self)

    def name(self, node):
        return f"{self.prefix}-{node}"

    def add(self, *nodes):
        for node in nodes:
            run("ip", "netns", "add", self.name(node))
            self.nodes.append(node)
            self.ip(node, "link set lo up")

    def ip(self, node, *lines):
        """Commands of `ip`, in a namespace."""
        run("ip", "-n", self.name(node), "-batch", "-", stdin="\n".join(lines) + "\n")

    def exec(self, node, *command, **options):
        """Runs a command in a namespace."""
        return run("ip", "netns", "exec", self.name(node), *command, **options)

    def start(self, node, *command, **options):
        """Starts a command in a namespace. It is ended with the lab."""
        process = subprocess.Popen(["ip", "netns", "exec", self.name(node), *command], **options)
        self.processes.append(process)
        return process

    def sysctl(self, node, *settings):
        self.exec(node, "sysctl", "-qw", *settings)

    def nft(self, node, text):
        self.exec(node, "nft", "-f", "-", stdin=text)

    def link(self, one, other, mtu, offload=False):
        """Joins two nodes. The device to a node has its name."""
        (node, address), (peer, peer_address) = one, other
        run("ip", "link", "add", peer, "mtu", str(mtu), "netns", self.name(node),
            "type", "veth", "peer", "name", node, "mtu", str(mtu), "netns", self.name(peer))
        for at, to, cidr in [(node, peer, address), (peer, node, peer_address)]:
            if not offload:
                self.plain(at, to)
            self.ip(at, f"address add {cidr} dev {to}", f"link set {to} up")

    def plain(self, node, device):
        """Turns the offloads of a device off: then packets are as they would be on a real wire."""
        self.exec(node, "ethtool", "-K", device, "tx", "off", "sg", "off", "tso", "off", "gso", "off",
                  "gro", "off", "tx-udp-segmentation", "off", check=False)

    def build(self, narrow_mtu=NARROW_MTU, offload=False, edge_mtu=EDGE_MTU):
        """The two LANs, the gateways, and the routers between them.

        The LANs keep their offloads: the TUN devices shall meet super-packets.
        """
        self.add(*NODES)
        self.link(("lan1", "10.1.0.2/24"), ("gwa", "10.1.0.1/24"), edge_mtu, offload=True)
        self.link(("gwa", "198.51.100.2/24"), ("r1", "198.51.100.1/24"), edge_mtu, offload)
        self.link(("r1", "192.0.2.1/24"), ("r2", "192.0.2.2/24"), narrow_mtu, offload)
        self.link(("r2", "203.0.113.1/24"), ("gwb", "203.0.113.2/24"), edge_mtu, offload)
        self.link(("gwb", "10.2.0.1/24"), ("lan2", "10.2.0.2/24"), edge_mtu, offload=True)
        for node in NODES:
            self.sysctl(node, "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0",
                        "net.ipv4.conf.default.rp_filter=0", "net.ipv6.conf.all.disable_ipv6=1",
                        # Every packet that is too long is told, not one in a while.
                        "net.ipv4.icmp_ratelimit=0",
                        # A connection finds the MTU of a path whose routers are silent, after two retransmissions.
                        "net.ipv4.tcp_mtu_probing=1", "net.ipv4.tcp_retries1=2")
        self.ip("lan1", "route add default via 10.1.0.1")
        self.ip("lan2", "route add default via 10.2.0.1")
        self.ip("gwa", f"address add {SPARE['a']}/24 dev r1", "route add default via 198.51.100.1")
        self.ip("gwb", f"address add {SPARE['b']}/24 dev r2", "route add default via 203.0.113.1")
        self.ip("r1", "route add 203.0.113.0/24 via 192.0.2.2")
        self.ip("r2", "route add 198.51.100.0/24 via 192.0.2.1")
        if any(os.path.exists(f"/sys/module/{module}") for module in ("tunnel4", "ip_gre", "ipip")):
            self.quiet_kernel()

    def quiet_kernel(self):
        """Where the kernel has tunnels of its own, it answers all packets of others as unreachable."""
        for node in GATEWAYS.values():
            self.nft(node, "table ip quiet { chain output { type filter hook output priority 0; "
                           "icmp type destination-unreachable icmp code { 2, 3 } drop; }; }")

    def narrow(self, mtu):
        """Changes the MTU of the link in the middle."""
        self.ip("r1", f"link set r2 mtu {mtu}")
        self.ip("r2", f"link set r1 mtu {mtu}")

    def filter_icmp(self):
        """Firewalls that drop all ICMP errors, as too many do."""
        for node in ("r1", "r2"):
            self.nft(node, "table ip silent { chain output { type filter hook output priority 0; "
                           "icmp type destination-unreachable drop; }; }")

    @contextlib.contextmanager
    def inside(self, node):
        """This thread is in a namespace. Sockets stay where they were made."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        target = os.open(f"/run/netns/{self.name(node)}", os.O_RDONLY)
        try:
            enter(target)
            yield
        finally:
            enter(home)
            os.close(home)
            os.close(target)

    def socket(self, node, family, kind, protocol=0):
        with self.inside(node):
            return socket.socket(family, kind, protocol)


def folder():
    """A new folder. It is removed with the run's others."""
    home = os.path.join(tempfile.gettempdir(), f"{PREFIX}-{os.getpid()}")
    os.makedirs(home, mode=0o755, exist_ok=True)
    made = tempfile.mkdtemp(dir=home)
    # The program may run as somebody else.
    os.chmod(made, 0o755)
    return made


def close_all():
    """Ends and removes everything. What still runs in it fails."""
    for lab in list(_open):
        lab.close()
    shutil.rmtree(os.path.join(tempfile.gettempdir(), f"{PREFIX}-{os.getpid()}"), ignore_errors=True)


def enter(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"setns: {os.strerror(error)}")


def remove_leftovers():
    """Ends and removes what killed runs have left. A run that lives keeps what it has."""
    for line in run("ip", "netns", "list").splitlines():
        name = line.split()[0]
        parts = name.split("-")
        if parts[0] != PREFIX or len(parts) < 4 or is_lab(parts[1]):
            continue
        for pid in run("ip", "netns", "pids", name, check=False).split():
            with contextlib.suppress(OSError):
                os.kill(int(pid), signal.SIGKILL)
        run("ip", "netns", "del", name, check=False)
    for name in os.listdir(tempfile.gettempdir()):
        prefix, _, pid = name.partition("-")
        if prefix == PREFIX and pid.isdigit() and not is_lab(pid):
            shutil.rmtree(os.path.join(tempfile.gettempdir(), name), ignore_errors=True)


def is_lab(pid):
    """Whether a process is a lab."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"lab" in file.read()
    except OSError:
        return False


def wait_until(condition, seconds, every=0.02):
    """Whether something became true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(every)
    return True
