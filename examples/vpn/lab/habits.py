"""What an operator expects of the program itself: it sleeps, it is small, it needs few rights."""

import os
import re
import shutil
import signal
import socket
import stat
import time

from carriers import named
from net import EDGE_MTU, HOST, LAN, NARROW_MTU, OUTER, SPARE, TUN, Lab, wait_until
from probes import UNREACHABLE, Pinger
from report import Failed
from vpn import Vpn, config, imbalance, start_pair

SETTLE_SECONDS = 40
IDLE_SECONDS = 20
MANY = 1000
# Bytes of resident memory for each peer.
PEER_BOUND = 2048


def idle(lab, program):
    """It wakes at most once in ten seconds where nothing passes."""
    lab.build()
    vpns = start_pair(lab, program, named("fou"))
    ping(lab)
    # It measures the paths first: that comes to its end.
    if not wait_until(lambda: not wakes_in(vpns, 3), SETTLE_SECONDS):
        raise Failed(f"it does not sleep {SETTLE_SECONDS} s after its start")
    before = {end: vpn.wakes() for end, vpn in vpns.items()}
    time.sleep(IDLE_SECONDS)
    woken = max(vpn.wakes() - before[end] for end, vpn in vpns.items())
    if woken > IDLE_SECONDS / 10:
        raise Failed(f"it woke {woken} times in {IDLE_SECONDS} s")
    return f"{woken} in {IDLE_SECONDS} s"


def wakes_in(vpns, seconds):
    """How often one of them wakes in this time."""
    before = [vpn.wakes() for vpn in vpns.values()]
    time.sleep(seconds)
    return sum(vpn.wakes() for vpn in vpns.values()) - sum(before)


def thousand(lab, program):
    """A thousand peers start in a second, and take little memory each."""
    lab.build()
    memory = []
    for count in (1, MANY):
        text = f'[interface]\nname = "tuna"\naddress = ["{TUN["a"]}/32"]\n' + many_peers(count)
        began = time.monotonic()
        vpn = Vpn(lab, "a", program, text).start()
        took = time.monotonic() - began
        memory.append(vpn.memory())
        vpn.stop()
    each = (memory[1] - memory[0]) * 1024 / (MANY - 1)
    if took > 1:
        raise Failed(f"{took:.1f} s until it was ready")
    if each > PEER_BOUND:
        raise Failed(f"{each:.0f} bytes for each peer")
    return f"{took:.2f} s, {each:.0f} B"


def many_peers(count):
    text = ""
    for peer in range(count):
        high, low = divmod(peer, 250)
        text += (f'[[peer]]\nname = "peer{peer}"\ntunnel = ["fou,src={OUTER["a"]},dst=203.0.{114 + high}.{low + 2},dport=5555"]\n'
                 f'allowed = ["10.{16 + high}.{low}.0/24"]\n')
    return text


def reload(lab, program):
    """More peers than there was room for come at once; a file that cannot be done changes nothing, and one line says why."""
    lab.build()
    vpn = start_pair(lab, program, named("fou"))["a"]
    ping(lab)
    one = config("a", named("fou"))
    vpn.reload(one + many_peers(MANY))
    ping(lab)
    before = len(vpn.lines)
    elsewhere = 'tunnel = ["fou,src=198.51.100.77,dst=203.0.113.99,dport=5556"]'
    vpn.write(f'{one}[[peer]]\nname = "elsewhere"\n{elsewhere}\nallowed = ["10.99.0.0/24"]\n')
    vpn.process.send_signal(signal.SIGHUP)
    vpn.wait_line(lambda line: "nothing is changed" in line, 2, before)
    ping(lab)
    said = vpn.lines[before:]
    if len(said) != 1 or "198.51.100.77" not in said[0]:
        raise Failed(f"not one line that names the address: {said}")
    peers = [peer["name"] for peer in vpn.counters()["peers"]]
    if len(peers) != MANY + 1 or "elsewhere" in peers:
        raise Failed(f"{len(peers)} peers are left")
    if imbalance(vpn.counters()):
        raise Failed(imbalance(vpn.counters()))
    if not wait_until(lambda: not wakes_in({"a": vpn}, 3), SETTLE_SECONDS):
        raise Failed(f"with {MANY} peers it does not sleep")
    woken = vpn.wakes()
    time.sleep(IDLE_SECONDS / 2)
    woken = vpn.wakes() - woken
    if woken > 1:
        raise Failed(f"with {MANY} peers it woke {woken} times in {IDLE_SECONDS / 2:.0f} s")
    return f"{len(peers)} peers"


def nobody(lab, program):
    """It runs as `nobody` with two capabilities."""
    lab.build()
    copy = lambda vpn: shutil.copy(program, os.path.join(vpn.folder, "vpn"))  # Where nobody may read it.
    vpns = {}
    for end in "ba":
        vpn = Vpn(lab, end, program, config(end, named("ipip")))
        vpn.program = copy(vpn)
        os.chmod(vpn.program, 0o755)
        node = os.path.join(vpn.folder, "tun")
        os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(10, 200))
        os.chmod(node, 0o666)
        # As on other systems, everybody may open the device. The namespace of `ip netns exec` has mounts of its own.
        vpn.wrapper = ("sh", "-c", f'mount --bind {node} /dev/net/tun && exec "$@"', "sh",
                       "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs",
                       "--inh-caps", "-all,+net_admin,+net_raw", "--ambient-caps", "-all,+net_admin,+net_raw",
                       "--bounding-set", "-all,+net_admin,+net_raw")
        vpns[end] = vpn.start()
        with open(f"/proc/{vpn.process.pid}/status", encoding="utf-8") as file:
            status = file.read()
        if not re.search(r"^Uid:\s+65534\s", status, re.M):
            raise Failed("it does not run as nobody")
    ping(lab)
    for vpn in vpns.values():
        vpn.stop()


def ping(lab):
    with Pinger(lab, "a") as pinger:
        if pinger.ping_patiently(84, tries=5)[0] != "reply":
            raise Failed(f"no ping arrives at {HOST['b']}")


def beside_raw(lab, program):
    """What routers say of a datagram tunnel is heard, whatever address a raw socket beside it has."""
    lab.build()
    for source in (OUTER["a"], SPARE["a"]):
        raw = f'[[peer]]\nname = "raw"\ntunnel = ["ipip,src={source},dst=192.0.2.77"]\nallowed = ["10.77.0.0/16"]\n'
        vpns = start_pair(lab, program, named("fou"), peer={"a": raw, "b": ""})
        fill_path(lab, vpns["a"])
        for vpn in vpns.values():
            vpn.stop()


def down_and_up(lab, program):
    """The TUN device goes down and comes up while nothing passes: its routes are set again."""
    lab.build()
    vpn = Vpn(lab, "a", program, config("a", named("fou"))).start()
    routes = lambda: lab.exec(vpn.node, "ip", "route", "show", "dev", "tuna").split("\n")
    before = routes()
    lab.ip(vpn.node, "link set tuna down", "link set tuna up")
    began = time.monotonic()
    if LAN["b"] not in before[0] or not wait_until(lambda: routes() == before, 2):
        raise Failed(f"the routes were {before}, and are {routes()}")
    took = time.monotonic() - began
    vpn.stop()
    return f"{took:.2f} s"


def reread(lab, program):
    """What is learnt stays out of the device's MTU; a file that cannot be done changes nothing; addresses change."""
    lab.build()
    text = config("a", named("fou"))
    vpn = Vpn(lab, "a", program, text).start()
    fill_path(lab, vpn)
    read(vpn, text, "the file is read again")
    device_mtu(lab, vpn, EDGE_MTU - 28)

    another = f'[[peer]]\nname = "c"\ntunnel = ["fou,src={OUTER["a"]},dst=192.0.2.77,dport=7777"]\nallowed = ["10.77.0.0/16"]\n'
    lower = config("a", named("fou"), interface="link_mtu = 1200", peer=another)
    with lab.socket(vpn.node, socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((OUTER["a"], 7777))
        read(vpn, lower, "nothing is changed: cannot open a UDP socket")
    device_mtu(lab, vpn, EDGE_MTU - 28)
    read(vpn, lower, "the file is read again; peers: 2")
    device_mtu(lab, vpn, 1200 - 28)
    if vpn.inner_mtu() != 1200 - 28:
        raise Failed(f"link_mtu is 1200, and the counters say an inner MTU of {vpn.inner_mtu()}")

    old, new = "10.98.0.1/24", "10.98.0.2/24"
    for wanted in ([old, new], [new]):
        listed = ", ".join(f'"{address}"' for address in wanted)
        read(vpn, lower.replace(f'"{TUN["a"]}/32"', listed), "the file is read again")
        there = re.findall(r"inet (\S+)", lab.exec(vpn.node, "ip", "-o", "-4", "address", "show", "dev", "tuna"))
        if there != wanted:
            raise Failed(f"the addresses should be {wanted}, and are {there}")
    # Else the gateway's system would answer.
    lab.ip(vpn.node, "link set tuna mtu 1400")
    source = error_source(lab, 1300)
    if f"{source}/24" != new:
        raise Failed(f"ICMP errors come from {source} when the address is {new}")
    vpn.stop()


def read(vpn, text, answer):
    """Has the file read again; the program must say this."""
    first = len(vpn.lines)
    vpn.reload(text)
    vpn.wait_line(lambda line: answer in line, 2, first)


def device_mtu(lab, vpn, wanted):
    mtu = int(re.search(r"mtu (\d+)", lab.exec(vpn.node, "ip", "-o", "link", "show", "tuna")).group(1))
    if mtu != wanted:
        raise Failed(f"the device has an MTU of {mtu}, and it should be {wanted}")


def error_source(lab, length):
    """Who says that a packet of this length is too long."""
    with Pinger(lab, "a") as pinger:
        pinger.socket.settimeout(2)
        pinger.send(length, df=True)
        while True:
            packet = pinger.socket.recv(65535)
            if packet[20] == UNREACHABLE:
                return socket.inet_ntoa(packet[12:16])


def fill_path(lab, vpn):
    """Sends what is too long for the path, until the gateway has learnt that."""
    wanted = NARROW_MTU - 28
    with Pinger(lab, vpn.end) as pinger:
        for _ in range(3):
            pinger.ping(EDGE_MTU - 28, df=True, timeout=0.3)
    if vpn.inner_mtu() != wanted:
        raise Failed(f"the counters say an inner MTU of {vpn.inner_mtu()}, and {wanted} fit")


HABITS = {"beside raw": beside_raw, "down and up": down_and_up, "read again": reread, "idle": idle, "1000 peers": thousand,
          "reload": reload, "as nobody": nobody}


def run(report, program, name):
    def work():
        with Lab("habit") as lab:
            return HABITS[name](lab, program)
    report.case("the program").check(name, work)
