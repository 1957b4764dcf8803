"""Captures of the wire, and what tshark says of them."""

import os
import socket
import struct
import subprocess
import threading
import time

DISSECTORS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vpn.lua")
ETH_P_ALL, ETH_P_IP = 0x0003, 0x0800

# A mistake of ours would be one of these. That TCP sends something again, or that a window is full, is not.
BAD = (
    '_ws.malformed || _ws.expert.severity == "Error"'
    ' || (_ws.expert.severity == "Warning" && !(_ws.expert.group == "Sequence"))'
    ' || ip.checksum.status == "Bad" || udp.checksum.status == "Bad" || tcp.checksum.status == "Bad"'
    ' || icmp.checksum.status == "Bad" || gre.checksum.status == "Bad"'
)
OPTIONS = ["ip.check_checksum:TRUE", "udp.check_checksum:TRUE", "tcp.check_checksum:TRUE", "ip.defragment:TRUE",
           "tcp.reassemble_out_of_order:TRUE"]


class Capture:
    """Writes the IPv4 packets that pass a device, both ways, to a file."""

    def __init__(self, lab, node, device, path):
        self.path = path
        self.tap = lab.socket(node, socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(ETH_P_ALL))
        self.tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        with lab.inside(node):
            self.tap.bind((device, ETH_P_ALL))
        self.tap.settimeout(0.1)
        self.packets = []
        self.stopping = False
        self.thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def _read(self):
        while not self.stopping:
            try:
                frame, (_, protocol, *_) = self.tap.recvfrom(1 << 16)
            except TimeoutError:
                continue
            if protocol == ETH_P_IP:
                self.packets.append((time.time(), frame))

    def __exit__(self, *_):
        time.sleep(0.1)
        self.stopping = True
        self.thread.join()
        self.tap.close()
        with open(self.path, "wb") as file:
            file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 16, 1))
            for at, frame in self.packets:
                seconds, rest = divmod(at, 1)
                file.write(struct.pack("<IIII", int(seconds), int(rest * 1e6), len(frame), len(frame)) + frame)


def tshark(path, decode, *arguments):
    """The lines that tshark prints."""
    command = ["tshark", "-n", "-X", f"lua_script:{DISSECTORS}", "-r", path]
    for option in OPTIONS:
        command += ["-o", option]
    for rule in decode:
        command += ["-d", rule]
    done = subprocess.run([*command, *arguments], text=True, capture_output=True, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(f"tshark: {done.stderr.strip()}")
    return [line for line in done.stdout.splitlines() if line]


def complaints(path, decode):
    """What tshark finds wrong: a line for each packet."""
    fields = ["frame.number", "_ws.col.Protocol", "_ws.expert.message", "_ws.col.Info"]
    shown = [option for field in fields for option in ("-e", field)]
    return tshark(path, decode, "-Y", BAD, "-T", "fields", *shown)


def count(path, decode, condition):
    return len(tshark(path, decode, "-Y", condition, "-T", "fields", "-e", "frame.number"))
