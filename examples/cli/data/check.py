"""Checks that a recording is fit to be bundled, and counts what is in it: check.py FILE

Every packet whole, every IPv4, ICMP, IGMP, UDP and TCP checksum good, no kind of traffic missing.
"""

import collections
import struct
import sys

MOST_BYTES = 200_000
ETHERNET = 1
MTU = 1500
ICMP, IGMP, TCP, UDP = 1, 2, 6, 17
DF, MF = 0x4000, 0x2000
EF = 46
ECT_0 = 2
SYN, ECE, CWR = 0x02, 0x40, 0x80

REQUIRED = (
    "ARP",
    "IGMP",
    "ICMP echo request",
    "ICMP echo reply",
    "ICMP destination unreachable",
    "DNS query",
    "DNS answer",
    "DNS answer, no such name",
    "mDNS query",
    "mDNS answer",
    "HTTP/TCP",
    "HTTP 200",
    "HTTP 404",
    "TCP SYN with ECN",
    "TCP with ECT(0)",
    "IPv4 with DSCP EF",
    "IPv4 with options",
    "IPv4 of exactly the MTU, DF",
    "IPv4 first fragment",
    "IPv4 later fragment",
    "IPv4 datagram put together from fragments",
)


class Unfit(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Unfit(what)


def ones_sum(data):
    """0xffff exactly if the checksum inside is good."""
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def records(capture):
    need(len(capture) <= MOST_BYTES, f"{len(capture)} bytes, more than {MOST_BYTES}")
    need(capture[:4] == b"\xd4\xc3\xb2\xa1", "not a little-endian pcap in microseconds")
    need(struct.unpack_from("<I", capture, 20)[0] == ETHERNET, "link type not Ethernet")
    at = 24
    while at < len(capture):
        need(at + 16 <= len(capture), "the last record is cut")
        captured, wire = struct.unpack_from("<II", capture, at + 8)
        need(captured == wire, f"{captured} of {wire} bytes captured")
        at += 16
        need(at + captured <= len(capture), "the last record is cut")
        yield capture[at : at + captured]
        at += captured


def check_dns(payload, port_is_source, kind, counts):
    need(len(payload) >= 12, "DNS message cut")
    flags = struct.unpack_from("!H", payload, 2)[0]
    need(bool(flags & 0x8000) == port_is_source, f"{kind} in the wrong direction")
    counts[f"{kind} answer" if port_is_source else f"{kind} query"] += 1
    if kind == "DNS" and flags & 0xF == 3:
        counts["DNS answer, no such name"] += 1


def check_payload(header, payload, counts):
    """The transport layer of a whole datagram."""
    protocol, source, destination = header[9], header[12:16], header[16:20]
    pseudo = source + destination + struct.pack("!HH", protocol, len(payload))
    if protocol == ICMP:
        need(ones_sum(payload) == 0xFFFF, "bad ICMP checksum")
        kinds = {0: "echo reply", 3: "destination unreachable", 8: "echo request"}
        counts["ICMP " + kinds.get(payload[0], f"type {payload[0]}")] += 1
    elif protocol == IGMP:
        need(ones_sum(payload) == 0xFFFF, "bad IGMP checksum")
        counts["IGMP"] += 1
    elif protocol == UDP:
        source_port, port, length, checksum = struct.unpack_from("!HHHH", payload)
        need(length == len(payload), "UDP length is not that of the datagram")
        need(checksum != 0 and ones_sum(pseudo + payload) == 0xFFFF, "bad UDP checksum")
        counts["UDP"] += 1
        if port == 5353:
            need(destination == bytes([224, 0, 0, 251]), "mDNS not to its group")
            check_dns(payload[8:], bool(payload[10] & 0x80), "mDNS", counts)
        elif 53 in (source_port, port):
            check_dns(payload[8:], source_port == 53, "DNS", counts)
    elif protocol == TCP:
        need(ones_sum(pseudo + payload) == 0xFFFF, "bad TCP checksum")
        flags = payload[13]
        data = payload[(payload[12] >> 4) * 4 :]
        counts["HTTP/TCP"] += 80 in struct.unpack_from("!HH", payload)
        counts["HTTP 200"] += data.startswith(b"HTTP/1.1 200")
        counts["HTTP 404"] += data.startswith(b"HTTP/1.1 404")
        counts["TCP SYN with ECN"] += flags & (SYN | ECE | CWR) == SYN | ECE | CWR
        counts["TCP with ECT(0)"] += header[1] & 3 == ECT_0
    else:
        raise Unfit(f"protocol {protocol} was not expected")


def check_ipv4(packet, fragments, counts):
    header_len = (packet[0] & 0xF) * 4
    total_len, identification, place = struct.unpack_from("!HHH", packet, 2)
    need(total_len == len(packet), f"total length {total_len} in {len(packet)} bytes")
    need(total_len <= MTU, f"{total_len} bytes, more than the MTU")
    header, payload = packet[:header_len], packet[header_len:]
    need(ones_sum(header) == 0xFFFF, "bad IPv4 header checksum")
    counts["IPv4"] += 1
    counts["IPv4 with options"] += header_len > 20
    counts["IPv4 with DSCP EF"] += header[1] >> 2 == EF
    counts["IPv4 with ECT(0), ECT(1) or CE"] += header[1] & 3 != 0
    counts["IPv4 of exactly the MTU, DF"] += total_len == MTU and bool(place & DF)
    offset = (place & 0x1FFF) * 8
    if offset == 0 and not place & MF:
        check_payload(header, payload, counts)
        return
    counts["IPv4 later fragment" if offset else "IPv4 first fragment"] += 1
    # The kernel sends fragments in order, so a gap is a packet the recording has missed.
    key = (header[12:20], header[9], identification)
    pieces = fragments.setdefault(key, b"")
    need(len(pieces) == offset, "fragments out of order")
    fragments[key] = pieces + payload
    if not place & MF:
        check_payload(header, fragments.pop(key), counts)
        counts["IPv4 datagram put together from fragments"] += 1


def check(capture):
    counts, fragments = collections.Counter(), {}
    for number, frame in enumerate(records(capture), 1):
        try:
            ether_type = struct.unpack_from("!H", frame, 12)[0]
            if ether_type == 0x0806:
                counts["ARP"] += 1
            elif ether_type == 0x86DD:
                counts["IPv6"] += 1
            elif ether_type == 0x0800:
                check_ipv4(frame[14:], fragments, counts)
            else:
                raise Unfit(f"EtherType {ether_type:#06x} was not expected")
        except (IndexError, struct.error):
            raise Unfit(f"packet {number}: cut") from None
        except Unfit as unfit:
            raise Unfit(f"packet {number}: {unfit}") from None
        counts["packets"] += 1
    need(not fragments, "a datagram with fragments missing")
    for kind in REQUIRED:
        need(counts[kind], f"nothing of this kind: {kind}")
    return counts


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    try:
        with open(sys.argv[1], "rb") as file:
            content = file.read()
        found = check(content)
    except (OSError, Unfit) as error:
        raise SystemExit(f"check.py: {sys.argv[1]}: {error}") from None
    print(f"{len(content):6} bytes")
    for kind, count in sorted(found.items(), key=lambda item: (-item[1], item[0])):
        print(f"{count:6} {kind}")
