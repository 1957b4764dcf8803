//! What `--help` says below the options: the keys of a specification, and a line to try.

/// What every example begins with, in the folder of the repository.
const RUN: &str = "cargo run --release -p ipencap-cli";
/// A capture that lies in the repository.
const LAN: &str = "examples/cli/data/lan.pcap";
const TUNNEL: &str = "--tunnel ipip,src=198.51.100.1,dst=203.0.113.2";

const KEYS: &str = "\
SPEC is kind,key=value,... with these kinds and their keys [defaults]:
  ipip                     IPv4 in IPv4, RFC 2003
  fou                      IPv4 in UDP
    dport=1..65535         destination port
    sport=0..65535|auto    source port [auto: by a hash of the inner flow]
    csum=lco|full|zero     UDP checksum: derived from headers, summed over all bytes, none [lco]
  gue                      IPv4 in UDP behind a GUE header; also takes the keys of fou
    dport=1..65535         destination port [6080]
    variant=0|1            0: behind a 4-byte header, 1: directly [0]
  gre                      IPv4 in GRE, RFC 2784 and 2890
    key=0..4294967295      a key [none]
    csum=yes|no            a checksum [no]
    seq=yes|no             a sequence number, counted from 0 [no]
  tcp                      IPv4 in one TCP segment
    sport=N  dport=N       ports, both required
    seq=N  ack=N           first sequence number, which then advances; acknowledgment [0, 0]
    window=0..65535        window [512]
    timestamps=yes|no      timestamps option, or ts=VALUE:ECHO [no]
    framing=none|exclusive|inclusive   16-bit length in front of the packet [none]
  minenc                   minimal encapsulation, RFC 2004; of the keys below it takes src, dst, forward
    keep_source=yes|no     carry the original source [yes]
Keys of all kinds:
    src=A  dst=B           outer addresses; for decap, src is the peer and dst this end
    ttl=1..255|inherit     outer TTL [64]
    dscp=copy|0..63        outer DSCP [copy; tcp: 0]
    ecn=normal|compat|rfc3168   outer ECN [normal; tcp: compat]
    df=set|copy            outer DF [set]
    id=0..65535            outer identification [0 with DF, else counted from 1]
    forward=yes|no         decrement the inner TTL, as a router does [no]
    mtu=1..65535           largest outer packet in bytes; refuse longer ones [no limit]
Keys for decap, of all kinds:
    inner=PREFIX           inner sources to accept; may be repeated [0.0.0.0/0]
    multicast=yes|no       accept inner packets to multicast groups [no]
    nested=transit|refuse  inner packets that are tunnels of others: pass on or refuse [transit]
";

const SCRIPT: &str = "\
It opens no socket and reads no clock. SPECs, the first innermost, are as for 'ipencap encap --help', with src
for this end and dst for the peer. What comes from the peer must have the same kinds, destination ports and
keys. mtu=N of a SPEC counts like the path's. Of the first SPEC, inner=PREFIX counts like --allowed, and
multicast and nested hold for packets from the peer.

Standard input has one JSON object a line:
  {\"t\":MS,\"out\":\"HEX\"}      an IPv4 packet from the inner side, to the peer whatever its destination
  {\"t\":MS,\"in\":\"HEX\"}       an IPv4 packet from the network: from the peer, or ICMP errors of routers
  {\"t\":MS,\"local_mtu\":N}    the system refused an outer packet longer than N bytes (EMSGSIZE)
t is the time in milliseconds [that of the line before, at first 0]; a clock that goes back stands still. It
matters: a path MTU that was reported holds for ten minutes, fragments are kept for 30 seconds. The rate of
ICMP errors is not limited here. Any other line, an empty one too, ends the run with status 2.

Standard output has one JSON object for each of them:
  t          the line's time
  verdict    of 'out':  Send    wrapped, to the peer
                        Split   in fragments, each wrapped, to the peer
                        Answer  dropped, and its source gets an ICMP error
                        Drop    dropped
             of 'in':   Deliver, Whole  what was inside goes to the inner side; Whole: this fragment was
                                the last that was missing
                        Held    a fragment, kept until the others have come
                        Learnt  an ICMP error that tells about the path
                        Relay   such an error, and the inner source is told
                        Ignored an ICMP error without effect
                        Ours    for this host, but not for the tunnel
                        Drop    dropped without an answer
             of 'local_mtu':  Learnt
A router's 'fragmentation needed' about a packet longer than any that was sent is ignored (NeverSent): begin the
script with the packet.
  network    the outer packets that leave, in hexadecimal digits
  inner      the packets that go to the inner side: what was delivered, or an ICMP error to an inner source
             (of Send too: about a packet before it, of which the router had told too little)
  reason     why it was answered, dropped or ignored, else null
  inner_mtu  the longest inner packet that the path carries now, in bytes
";

fn example(line: &str) -> String {
    format!("Example:\n  {line}")
}

pub(crate) fn tour() -> String {
    example(RUN)
}

pub(crate) fn dissect() -> String {
    example(&format!("{RUN} -- dissect {LAN}"))
}

pub(crate) fn draw() -> String {
    example(&format!("{RUN} -- draw --packet 10 {LAN}"))
}

pub(crate) fn encap() -> String {
    let line = format!("{RUN} -- encap {TUNNEL} {LAN} /tmp/tunnelled.pcap");
    format!("{KEYS}\n{}", example(&line))
}

pub(crate) fn decap() -> String {
    let line =
        format!("{RUN} -- encap {TUNNEL} {LAN} - | {RUN} -- decap {TUNNEL} - /tmp/inner.pcap");
    format!("{KEYS}\n{}", example(&line))
}

pub(crate) fn stream() -> String {
    example(&format!(
        "{RUN} -- stream --framing exclusive {LAN} /tmp/lan.stream"
    ))
}

pub(crate) fn unstream() -> String {
    example(&format!(
        "{RUN} -- stream --framing exclusive {LAN} - | {RUN} -- unstream --framing exclusive - \
         /tmp/lan.pcap"
    ))
}

pub(crate) fn mtu() -> String {
    format!(
        "SPEC is kind,key=value,...; see 'ipencap encap --help'.\n\n{}",
        example(&format!("{RUN} -- mtu --link 1500 {TUNNEL}"))
    )
}

pub(crate) fn endpoint() -> String {
    let line = format!(
        "{RUN} -- endpoint {TUNNEL} --allowed 10.2.0.0/16 < examples/cli/data/endpoint.jsonl"
    );
    format!("{SCRIPT}\n{}", example(&line))
}
