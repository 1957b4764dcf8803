"""Traffic: pings of exact lengths, datagrams, marks, and streams that are watched."""

import json
import select
import socket
import struct
import subprocess
import threading
import time

from net import HOST, OTHER

IP_MTU_DISCOVER, PMTUDISC_DONT, PMTUDISC_PROBE = 10, 0, 3
IP_RECVTOS = 13
ECHO, ECHO_REPLY, UNREACHABLE = 8, 0, 3
ICMP_NAMES = {0: "network", 1: "host", 2: "protocol", 3: "port", 4: "too long"}


def lan(end):
    """The host behind a gateway."""
    return {"a": "lan1", "b": "lan2"}[end]


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


class Pinger:
    """Sends pings of exact lengths from one host to the other, and sees every ICMP error."""

    def __init__(self, lab, end):
        self.target = HOST[OTHER[end]]
        self.socket = lab.socket(lan(end), socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.identifier = 0x1234 if end == "a" else 0x4321
        self.sequence = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, length, df):
        """A ping whose IPv4 packet has this length."""
        # PROBE sets DF and does not ask what the host has learnt of the path.
        self.socket.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE if df else PMTUDISC_DONT)
        self.sequence += 1
        body = bytes(index * 7 & 0xFF for index in range(length - 28))
        head = struct.pack("!BBHHH", ECHO, 0, 0, self.identifier, self.sequence)
        head = struct.pack("!BBHHH", ECHO, 0, checksum(head + body), self.identifier, self.sequence)
        self.socket.sendto(head + body, (self.target, 0))
        return body

    def ping(self, length, df=False, timeout=1.0):
        """Returns `("reply", length)`, `("too long", mtu)`, `(another ICMP error, 0)` or `("nothing", 0)`."""
        try:
            body = self.send(length, df)
        except OSError as error:
            return (str(error), 0)
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.socket], [], [], left)[0]:
                break
            packet = self.socket.recv(65535)
            answer = self._judge(packet[(packet[0] & 15) * 4:], body)
            if answer:
                return answer
        return ("nothing", 0)

    def _judge(self, icmp, body):
        kind, code = icmp[0], icmp[1]
        if kind == ECHO_REPLY and struct.unpack("!HH", icmp[4:8]) == (self.identifier, self.sequence):
            return ("reply" if icmp[8:] == body else "a reply with other bytes", len(icmp) + 20)
        if kind == UNREACHABLE:
            quote = icmp[8:]
            inside = quote[(quote[0] & 15) * 4:]
            # Fragments behind the first have no ICMP header in them.
            later = struct.unpack("!H", quote[6:8])[0] & 0x1FFF
            if later or struct.unpack("!HH", inside[4:8]) == (self.identifier, self.sequence):
                mtu = struct.unpack("!H", icmp[6:8])[0]
                return (ICMP_NAMES.get(code, f"unreachable {code}"), mtu if code == 4 else 0)
        return None

    def ping_patiently(self, length, df=False, tries=3, timeout=1.0):
        """The first reply, or the last answer."""
        answer = ("nothing", 0)
        for _ in range(tries):
            answer = self.ping(length, df, timeout)
            if answer[0] == "reply":
                break
        return answer


class Datagrams:
    """UDP from one host to the other: what is sent, and what arrives."""

    def __init__(self, lab, end, port):
        self.address = (HOST[OTHER[end]], port)
        self.receiver = lab.socket(lan(OTHER[end]), socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.setsockopt(socket.IPPROTO_IP, IP_RECVTOS, 1)
        self.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.receiver.bind(("0.0.0.0", port))
        self.sender = lab.socket(lan(end), socket.AF_INET, socket.SOCK_DGRAM)
        self.sender.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DONT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sender.close()
        self.receiver.close()

    def pass_on(self, payload, tos=0, timeout=1.0, tries=1):
        """Sends one; returns what arrived with its TOS byte, or `None`."""
        self.sender.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
        for _ in range(tries):
            self.sender.sendto(payload, self.address)
            self.receiver.settimeout(timeout)
            try:
                data, control, _, _ = self.receiver.recvmsg(65535, 64)
            except TimeoutError:
                continue
            got = [value[0] for level, kind, value in control if (level, kind) == (socket.IPPROTO_IP, socket.IP_TOS)]
            return data, got[0] if got else None
        return None


class Stream:
    """A TCP connection from one host to the other that never ends, and when its bytes arrived."""

    BIN = 0.1

    def __init__(self, lab, end, port, rate=200_000_000):
        listener = lab.socket(lan(OTHER[end]), socket.AF_INET, socket.SOCK_STREAM)
        listener.bind(("0.0.0.0", port))
        listener.listen(1)
        listener.settimeout(5)
        self.sender = lab.socket(lan(end), socket.AF_INET, socket.SOCK_STREAM)
        # Others run at the same time.
        self.sender.setsockopt(socket.SOL_SOCKET, 47, rate // 8)
        self.sender.settimeout(5)
        self.sender.connect((HOST[OTHER[end]], port))
        self.receiver = listener.accept()[0]
        listener.close()
        self.bins = {}
        self.ended = None
        self.stopping = False
        for work in (self._send, self._receive):
            threading.Thread(target=work, daemon=True).start()

    def _send(self):
        data = bytes(range(256)) * 256
        try:
            self.sender.settimeout(60)
            while not self.stopping:
                self.sender.send(data)
        except OSError as error:
            self.ended = self.ended or str(error)

    def _receive(self):
        buffer = bytearray(1 << 20)
        try:
            self.receiver.settimeout(60)
            while not self.stopping:
                count = self.receiver.recv_into(buffer)
                if count == 0:
                    break
                at = int(time.monotonic() / self.BIN)
                self.bins[at] = self.bins.get(at, 0) + count
        except OSError as error:
            self.ended = self.ended or str(error)

    def rate(self, seconds):
        """Mbit/s in the last seconds."""
        now = int(time.monotonic() / self.BIN)
        count = round(seconds / self.BIN)
        return sum(self.bins.get(at, 0) for at in range(now - count, now)) * 8 / 1e6 / seconds

    def flows(self, seconds=1.0, share=0.8):
        """Whether something arrived in most of the last moments."""
        now = int(time.monotonic() / self.BIN)
        count = round(seconds / self.BIN)
        return sum(at in self.bins for at in range(now - count, now)) >= count * share

    def resumed(self, since, limit, seconds=1.0):
        """How long after `since` bytes began to arrive steadily, or `None` if they did not in time."""
        end = since + limit + seconds
        time.sleep(max(0, since + seconds + self.BIN - time.monotonic()))
        while time.monotonic() < end:
            if self.flows(seconds):
                return max(0.0, time.monotonic() - seconds - self.BIN - since)
            time.sleep(self.BIN / 2)
        return None

    def close(self):
        self.stopping = True
        for end in (self.sender, self.receiver):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()


class Iperf:
    """An iperf3 server behind the second gateway, and its clients."""

    def __init__(self, lab):
        self.lab = lab
        self.server = lab.start("lan2", "iperf3", "-s", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def run(self, *options, seconds=1, tries=4, target=HOST["b"]):
        """One run; what iperf3 tells of it."""
        problem = ""
        for _ in range(tries):
            time.sleep(0.05)
            try:
                text = self.lab.exec("lan1", "iperf3", "-c", target, "-J", "-t", str(seconds),
                                     "--connect-timeout", "2000", *options, check=False, timeout=seconds + 8)
                report = json.loads(text)
            except (subprocess.TimeoutExpired, ValueError) as error:
                problem = f"iperf3: {error.__class__.__name__}"
                continue
            problem = report.get("error", "")
            # It is not ready yet, or not ready again.
            if not ("refused" in problem or "busy" in problem):
                break
        return report if not problem else {"error": problem}

    def tcp(self, reverse, seconds=1):
        """Mbit/s that arrived, the MSS, and how many segments were sent again."""
        report = self.run(*(["-R"] if reverse else []), seconds=seconds)
        if "error" in report:
            raise RuntimeError(report["error"])
        end = report["end"]
        return {
            "mbit": end["sum_received"]["bits_per_second"] / 1e6,
            "mss": report["start"].get("tcp_mss_default", 0),
            "again": end["sum_sent"].get("retransmits", 0),
        }
