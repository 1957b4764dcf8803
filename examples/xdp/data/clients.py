#!/usr/bin/env python3
"""Writes clients.pcap: what clients send to the VIPs of balance.toml, the same in every run."""

import ipaddress
import pathlib
import struct

WEB, DNS, HOST = "203.0.113.80", "203.0.113.53", "198.51.100.1"
ROUTER = "192.0.2.254"
SYN, ACK, FIN = 2, 16, 1


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def address(text):
    return ipaddress.ip_address(text).packed


def ipv4(source, destination, protocol, payload, flags_offset=0x4000, ttl=60, number=1):
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), number, flags_offset, ttl, protocol, 0, address(source),
        address(destination)
    )
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def with_checksum(source, destination, protocol, segment, at):
    pseudo = address(source) + address(destination) + struct.pack("!BBH", 0, protocol, len(segment))
    return segment[:at] + struct.pack("!H", checksum(pseudo + segment) or 0xFFFF) + segment[at + 2 :]


def tcp(source, sport, destination, dport, flags, data=b""):
    segment = struct.pack("!HHIIBBHHH", sport, dport, 7, 9, 0x50, flags, 512, 0, 0) + data
    return ipv4(source, destination, 6, with_checksum(source, destination, 6, segment, 16))


def udp(source, sport, destination, dport, data):
    datagram = struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data
    return with_checksum(source, destination, 17, datagram, 6)


def error(quoted, mtu):
    message = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + quoted[:28]
    message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
    return ipv4(ROUTER, WEB, 1, message, 0)


def packets():
    clients = [f"10.{n % 7}.{n % 13}.{1 + n % 200}" for n in range(400)]
    for n, client in enumerate(clients):
        sport, dport = 40000 + n, 443 if n % 2 else 80
        # Every other connection has begun before.
        if n % 4 < 2:
            yield tcp(client, sport, WEB, dport, SYN)
        yield tcp(client, sport, WEB, dport, ACK, b"GET / HTTP/1.0\r\n\r\n")
        if n % 10 == 0:
            # A router on the way back cannot forward what the backend has sent.
            yield error(tcp(WEB, dport, client, sport, ACK, b"x" * 1000), 1400)
    for n, client in enumerate(clients[:100]):
        yield ipv4(client, DNS, 17, udp(client, 50000 + n, DNS, 53, b"query %d" % n))
    # Too long for the tunnel: with DF, which is answered, and without, which is split.
    yield tcp(clients[1], 40001, WEB, 443, ACK, b"x" * 1460)
    datagram = udp(clients[2], 50002, DNS, 53, b"y" * 1472)
    yield ipv4(clients[2], DNS, 17, datagram, 0)
    # A datagram that the client has sent in fragments.
    datagram = udp(clients[3], 50003, DNS, 53, b"z" * 1600)
    yield ipv4(clients[3], DNS, 17, datagram[:1208], 0x2000, number=2)
    yield ipv4(clients[3], DNS, 17, datagram[1208:], 1208 // 8, number=2)
    # To no VIP, and damaged.
    yield tcp(clients[4], 40004, HOST, 22, ACK)
    damaged = bytearray(tcp(clients[5], 40005, WEB, 443, ACK))
    damaged[8] ^= 1
    yield bytes(damaged)


def main():
    out = bytearray(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
    ethernet = bytes.fromhex("020000000001 020000000002 0800")
    for n, packet in enumerate(packets()):
        frame = ethernet + packet
        out += struct.pack("<IIII", 1_760_000_000 + n // 1000, n % 1000 * 1000, len(frame), len(frame)) + frame
    pathlib.Path(__file__).with_name("clients.pcap").write_bytes(out)


main()
