"""The two hosts of the recording, with nothing but the standard library.

    peers.py serve ADDRESS          the router: DNS, HTTP and an mDNS responder
    peers.py visit ADDRESS ROUTER   the laptop: HTTP, mDNS queries and a datagram to a closed port
"""

import http.client
import http.server
import ipaddress
import signal
import socket
import socketserver
import struct
import sys
import threading
import time

A, PTR, TXT, AAAA, SRV, OPT = 1, 12, 16, 28, 33, 41
IN = 1
# In an mDNS answer the top bit of the class tells caches to forget what they had (RFC 6762, 10.2).
CACHE_FLUSH = 0x8000
NXDOMAIN = 3
MDNS_GROUP, MDNS_PORT = "224.0.0.251", 5353
CLOSED_PORT = 33434


def name(text):
    labels = [label.encode() for label in text.strip(".").split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def record(owner, kind, data, ttl, class_=IN):
    return name(owner) + struct.pack("!HHIH", kind, class_, ttl, len(data)) + data


def text(*strings):
    return b"".join(bytes([len(string)]) + string.encode() for string in strings)


def address(string):
    return ipaddress.ip_address(string).packed


def read_question(message):
    """The name and type of the only question, and where it ends. A question is never compressed."""
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1 : at + 1 + message[at]].decode())
        at += 1 + message[at]
    kind = struct.unpack_from("!H", message, at + 1)[0]
    return ".".join(labels).lower(), kind, at + 5


ROUTER = "router.home.arpa"


def zone(own):
    return {
        (ROUTER, A): [address(own)],
        (ROUTER, AAAA): [address("2001:db8:1::1")],
        (ROUTER, TXT): [text("the router of the LAN in this capture", "DNS, HTTP and mDNS")],
        ("www.home.arpa", A): [address(own)],
        (ipaddress.ip_address(own).reverse_pointer, PTR): [name(ROUTER)],
    }


def dns_answer(records, query):
    asked, kind, end = read_question(query)
    found = records.get((asked, kind), [])
    known = any(owner == asked for owner, _ in records)
    # Response, authoritative, recursion desired as asked and available.
    flags = 0x8480 | struct.unpack_from("!H", query, 2)[0] & 0x0100 | (0 if known else NXDOMAIN)
    edns = query[10:12] != b"\0\0"
    answer = query[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, int(edns))
    answer += query[12:end]
    for data in found:
        answer += b"\xc0\x0c" + struct.pack("!HHIH", kind, IN, 300, len(data)) + data
    if edns:
        answer += b"\0" + struct.pack("!HHIH", OPT, 1232, 0, 0)
    return answer


def serve_dns(dns, records):
    while True:
        query, sender = dns.recvfrom(4096)
        dns.sendto(dns_answer(records, query), sender)


HOST, SERVICE = "router.local", "_http._tcp.local"
INSTANCE = "router." + SERVICE


def mdns_socket(own):
    mdns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    mdns.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    mdns.bind(("", MDNS_PORT))
    group = socket.inet_aton(MDNS_GROUP) + socket.inet_aton(own)
    mdns.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    mdns.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
    mdns.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
    # RFC 6762, section 11.
    mdns.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    return mdns


def mdns_answer(own, asked, kind):
    """The answer and the additional records, in the order in which they are put."""
    host = record(HOST, A, address(own), 120, IN | CACHE_FLUSH)
    server = struct.pack("!HHH", 0, 0, 80) + name(HOST)
    records = {
        (SERVICE, PTR): [
            record(SERVICE, PTR, name(INSTANCE), 4500),
            record(INSTANCE, SRV, server, 120, IN | CACHE_FLUSH),
            record(INSTANCE, TXT, text("path=/"), 4500, IN | CACHE_FLUSH),
            host,
        ],
        (HOST, A): [host],
    }.get((asked, kind))
    if records is None:
        return None
    return struct.pack("!HHHHHH", 0, 0x8400, 0, 1, 0, len(records) - 1) + b"".join(records)


def serve_mdns(mdns, own):
    # A responder announces itself before it is asked (RFC 6762, 8.3).
    mdns.sendto(mdns_answer(own, SERVICE, PTR), (MDNS_GROUP, MDNS_PORT))
    while True:
        query, _ = mdns.recvfrom(4096)
        asked, kind, _ = read_question(query)
        answer = mdns_answer(own, asked, kind)
        if answer:
            mdns.sendto(answer, (MDNS_GROUP, MDNS_PORT))


PAGES = {
    "/": b"<!doctype html><title>router</title><p>See <a href=/long.txt>a long text</a>.\n",
    # 1024 lines of 40 bytes.
    "/long.txt": b"".join(b"line %4d of 1024 of an ordinary page..\n" % n for n in range(1, 1025)),
    "/status": b'{"uplink":"up","clients":1}\n',
}


class Pages(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        page = PAGES.get(self.path)
        body = b"404: no such page\n" if page is None else page
        self.send_response(404 if page is None else 200)
        self.send_header("Content-Type", "text/html" if self.path == "/" else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def version_string(self):
        return "router"

    def log_message(self, *_):
        pass


class Http(http.server.ThreadingHTTPServer):
    def server_bind(self):
        # The inherited method looks its own name up, with whatever resolver the machine has.
        socketserver.TCPServer.server_bind(self)


def serve(own):
    dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    dns.bind((own, 53))
    web = Http((own, 80), Pages)
    mdns = mdns_socket(own)
    for work, *arguments in (
        (serve_dns, dns, zone(own)),
        (serve_mdns, mdns, own),
        (web.serve_forever,),
    ):
        threading.Thread(target=work, args=arguments, daemon=True).start()
    print("ready", flush=True)
    signal.sigwait({signal.SIGTERM})


def get(connection, path, status):
    connection.request("GET", path, headers={"Host": ROUTER, "User-Agent": "laptop"})
    response = connection.getresponse()
    body = response.read()
    if response.status != status or status == 200 and body != PAGES[path]:
        raise SystemExit(f"GET {path}: status {response.status}, {len(body)} bytes")


def ask_mdns(mdns, asked, kind):
    query = struct.pack("!HHHHHH", 0, 0, 1, 0, 0, 0) + name(asked) + struct.pack("!HH", kind, IN)
    mdns.sendto(query, (MDNS_GROUP, MDNS_PORT))
    answer, _ = mdns.recvfrom(4096)
    if not answer[12:].startswith(name(asked)):
        raise SystemExit(f"mDNS: no answer to {asked}")


def visit(own, router):
    mdns = mdns_socket(own)
    mdns.settimeout(3)
    ask_mdns(mdns, SERVICE, PTR)
    ask_mdns(mdns, HOST, A)

    browser = http.client.HTTPConnection(router, timeout=5)
    for path, status in (("/", 200), ("/long.txt", 200), ("/favicon.ico", 404)):
        get(browser, path, status)
        # Long enough for the kernel to send the acknowledgement it had put off.
        time.sleep(0.1)
    browser.close()

    poller = http.client.HTTPConnection(router, timeout=5)
    poller.connect()
    # AF21; the kernel keeps the ECN bits of TCP to itself.
    poller.sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 18 << 2)
    get(poller, "/status", 200)
    poller.close()

    closed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    closed.settimeout(3)
    closed.connect((router, CLOSED_PORT))
    closed.send(b"anybody there?")
    try:
        closed.recv(1)
    except ConnectionRefusedError:
        return
    raise SystemExit(f"port {CLOSED_PORT} is not closed")


if __name__ == "__main__":
    command, *addresses = sys.argv[1:] or [""]
    if command == "serve" and len(addresses) == 1:
        # Before any thread exists: a signal blocked in all of them stays for sigwait.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        serve(*addresses)
    elif command == "visit" and len(addresses) == 2:
        visit(*addresses)
    else:
        raise SystemExit(__doc__)
