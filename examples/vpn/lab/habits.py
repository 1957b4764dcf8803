"""What an operator expects of the program itself: it sleeps, it is small, it needs few rights."""

import os
import re
import shutil
import signal
import stat
import time

from carriers import named
from net import HOST, OUTER, TUN, Lab, wait_until
from probes import Pinger
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


HABITS = {"idle": idle, "1000 peers": thousand, "reload": reload, "as nobody": nobody}


def run(report, program, name):
    def work():
        with Lab("habit") as lab:
            return HABITS[name](lab, program)
    report.case("the program").check(name, work)
