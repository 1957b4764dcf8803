"""The tunnels of the lab: every carrier, and nests of two and three."""

from net import OTHER, OUTER

# Kind → (specification without addresses, bytes in front of the inner packet). The overheads are those of the RFCs:
# what the program says of itself is compared with them.
KINDS = {
    "ipip": ("ipip", 20),
    "gre": ("gre", 24),
    "gre-key": ("gre,key=42", 28),
    "gre-csum": ("gre,csum=yes", 28),
    "gre-seq": ("gre,seq=yes", 28),
    "gre-all": ("gre,key=7,csum=yes,seq=yes", 36),
    "minenc": ("minenc", 12),
    "fou": ("fou,dport=5555", 28),
    "fou-zero": ("fou,dport=5555,csum=zero", 28),
    "gue": ("gue,dport=6080", 32),
    "gue1": ("gue,dport=6080,variant=1", 28),
    "tcp": ("tcp,framing=exclusive", 42),
    "tcp-inclusive": ("tcp,framing=inclusive", 42),
}
# The framings have ports of their own, by which the dissectors of the captures know them.
TCP_PORTS = {"tcp": 7002, "tcp-inclusive": 7004}

# Innermost first, as the program takes them.
SINGLES = [[kind] for kind in KINDS]
NESTS = [
    ["ipip", "fou"],
    ["gre", "ipip"],
    ["ipip", "gre-key"],
    ["minenc", "gue"],
    ["fou", "gre"],
    ["gre-all", "tcp"],
    ["ipip", "minenc"],
    ["fou", "ipip", "gre"],
    ["ipip", "gre", "fou"],
    ["minenc", "ipip", "gue1"],
    ["gue", "gre-csum", "tcp-inclusive"],
]


class Carrier:
    """A stack of tunnels, for both ends."""

    def __init__(self, kinds):
        self.kinds = kinds
        self.outermost = kinds[-1]
        self.name = "+".join(kinds)
        self.overhead = sum(KINDS[kind][1] for kind in kinds)
        self.is_tcp = self.outermost.startswith("tcp")
        self.is_udp = self.outermost.startswith(("fou", "gue"))
        # Whether the bits of the outer header and the inner one are told apart: a stream has no packets to mark.
        self.has_ecn = not self.is_tcp

    def specs(self, end, outer=OUTER):
        """The specifications at one end. The inner layers have addresses that nobody else knows."""
        last = len(self.kinds) - 1
        specs = []
        for layer, kind in enumerate(self.kinds):
            head, *keys = KINDS[kind][0].split(",")
            ends = outer if layer == last else {"a": f"192.168.{layer}.1", "b": f"192.168.{layer}.2"}
            spec = [head, f"src={ends[end]}", f"dst={ends[OTHER[end]]}", *keys]
            if head == "tcp":
                spec += ["sport=0", f"dport={TCP_PORTS[kind]}"]
                if layer == last:
                    spec.append("connect=yes" if end == "a" else "listen=yes")
            specs.append(",".join(spec))
        return specs


def all_carriers():
    return [Carrier(kinds) for kinds in SINGLES + NESTS]


def named(name):
    return Carrier(name.split("+"))
