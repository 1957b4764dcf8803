"""The program under test: its configuration, its life and its counters."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time

import net
from net import GATEWAYS, LAN, OTHER, OUTER, TUN, run

READY_LIMIT = 5
END_LIMIT = 3
REPOSITORY = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))


class VpnFailed(Exception):
    """The program did not do what its contract says."""


def binary():
    """The program. It is built where it is missing or old."""
    given = os.environ.get("IPENCAP_VPN")
    if given:
        return given
    cargo = shutil.which("cargo") or os.path.expanduser("~/.cargo/bin/cargo")
    command = [cargo, "build", "--release", "-p", "ipencap-vpn", "--message-format=json-render-diagnostics"]
    done = subprocess.run(command, cwd=REPOSITORY, text=True, stdout=subprocess.PIPE, check=True)
    built = [json.loads(line).get("executable") for line in done.stdout.splitlines()]
    return next(path for path in built if path)


def config(end, carrier, outer=OUTER, interface="", peer=""):
    """A configuration file for one end."""
    other = OTHER[end]
    specs = ", ".join(f'"{spec}"' for spec in carrier.specs(end, outer))
    return (
        f'[interface]\nname = "tun{end}"\naddress = ["{TUN[end]}/32"]\n{interface}\n'
        f'[[peer]]\nname = "{other}"\ntunnel = [{specs}]\n'
        f'allowed = ["{LAN[other]}", "{TUN[other]}/32"]\n{peer}\n'
    )


class Vpn:
    """The program at one gateway."""

    def __init__(self, lab, end, program, text, wrapper=()):
        self.lab, self.end, self.program = lab, end, program
        self.node = GATEWAYS[end]
        self.wrapper = wrapper
        self.folder = net.folder()
        self.path = os.path.join(self.folder, "vpn.toml")
        self.write(text)
        self.process = None
        self.lines = []
        self.changed = threading.Condition()

    def write(self, text):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text)

    def start(self):
        """Starts it, and waits until packets can flow."""
        first = len(self.lines)
        self.process = self.lab.start(
            self.node, *self.wrapper, self.program, "--config", self.path,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, args=(self.process.stderr,), daemon=True).start()
        self.wait_line(lambda line: line.startswith("ready "), READY_LIMIT, first)
        return self

    def _read(self, stream):
        for line in stream:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.lines.append("")
            self.changed.notify_all()

    def wait_line(self, condition, seconds, first=0):
        """The first line from that one on that fits."""
        end = time.monotonic() + seconds
        with self.changed:
            while True:
                for line in self.lines[first:]:
                    if condition(line):
                        return line
                    # The program has closed its standard error.
                    if line == "" and self.process.poll() is not None:
                        raise VpnFailed(f"gateway {self.end} ended with status {self.process.returncode}: {self.last()}")
                if not self.changed.wait(max(0, end - time.monotonic())):
                    raise VpnFailed(f"gateway {self.end} said nothing in {seconds} s: {self.last()}")

    def last(self):
        return " | ".join(line for line in self.lines[-4:] if line) or "it printed nothing"

    def counters(self):
        """Asks for the counters."""
        first = len(self.lines)
        self.process.send_signal(signal.SIGUSR1)
        return json.loads(self.wait_line(lambda line: line.startswith("{"), 2, first))

    def inner_mtu(self):
        return self.counters()["peers"][0]["inner_mtu"]

    def reload(self, text):
        """Changes the file, and has it read again."""
        self.write(text)
        self.process.send_signal(signal.SIGHUP)

    def kill(self):
        """No time to say goodbye."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Ends it as an operator does; returns its last counters."""
        first = len(self.lines)
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(END_LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise VpnFailed(f"gateway {self.end} did not end in {END_LIMIT} s") from None
        if status != 0:
            raise VpnFailed(f"gateway {self.end} ended with status {status}: {self.last()}")
        self.wait_line(lambda line: line == "", 2, first) if "" not in self.lines[first:] else None
        found = [line for line in self.lines[first:] if line.startswith("{")]
        if not found:
            raise VpnFailed(f"gateway {self.end} printed no counters at its end")
        return json.loads(found[-1])

    def memory(self):
        """What it has in memory, in KiB."""
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))

    def wakes(self):
        """How often it has waited for something."""
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt"))


def check_config(program, path):
    """What `--check --json` says."""
    return json.loads(run(program, "--check", "--json", "--config", path))


def imbalance(counters):
    """What is wrong with the sums of the counters, or nothing."""
    accounts = [*counters["peers"], counters["no_peer"]]

    def total(side, numbers, reasons):
        books = [account.get(side, {}) for account in accounts]
        return sum(sum(book.get(key, 0) for key in numbers) + sum(sum(book.get(key, {}).values()) for key in reasons)
                   for book in books)

    wrong = []
    for came, side, numbers, reasons in [
        ("from_tun", "out", ["whole", "split"], ["answered", "dropped"]),
        ("from_network", "in", ["delivered", "held", "learnt", "relayed", "ignored"], ["dropped"]),
    ]:
        became = total(side, numbers, reasons)
        if counters[came] != became:
            wrong.append(f"{came} is {counters[came]}, but {became} are accounted for")
    return "; ".join(wrong)


def start_pair(lab, program, carrier, interface="", peer="", outer=OUTER):
    """Starts both gateways. The one that listens is first. `peer` may differ for the ends."""
    more = peer if isinstance(peer, dict) else {"a": peer, "b": peer}
    vpns = {end: Vpn(lab, end, program, config(end, carrier, outer, interface, more[end])) for end in "ab"}
    for end in "ba":
        vpns[end].start()
    return vpns
