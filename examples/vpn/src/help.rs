//! What `--help` says below the options.

const TEXT: &str = "\
FILE is TOML [defaults]:
  [interface]
  name = \"tun0\"              the TUN device [the system chooses a name]
  address = [\"10.0.0.1/24\"]  its addresses [none]
  link_mtu = 1500            MTU in bytes of the link by which outer packets leave [the link's own]
  offload = true             pass long packets to and from the system in one piece [true]
  stats_interval = 60        print the counters every so many seconds [never]

  [[peer]]                   one for each peer
  name = \"branch\"
  tunnel = [\"SPEC\"]          the innermost first, at most four
  allowed = [\"10.2.0.0/16\"]  networks behind the peer: routed to it, and the inner sources that it may
                             use; the longest prefix wins
  mtu = \"discover\"           MTU in bytes of the path: learnt, or a number [discover]
  mss = \"path\"               lower the MSS of TCP: \"off\", \"path\" (what fits) or a number [path]
  reassemble = false         without effect: the system joins outer fragments itself
  keepalive = 25             keep the way to the peer open, in seconds [off]
  probe = \"10.2.0.1\"         an inner address that answers pings, to find the MTU of a path whose routers
                             are silent, or \"off\" [the first address with /32 in allowed]

SPEC is kind,src=A,dst=B,key=value,...: src is this host, dst the peer. 'ipencap encap --help' lists all kinds
and keys; both ends need the same ones, with src and dst exchanged. The last SPEC decides the socket:
  ipip, gre, minenc          a raw socket
  fou, gue                   a UDP socket at src and dport, to dst and dport; sport=N sends from another port
  tcp                        a connection. It needs framing=exclusive or framing=inclusive, and one end has
    connect=yes|no           connect to dport of dst, from any port: write sport=0 [yes, unless it listens]
    listen=yes|no            wait at dport of src for a connection from dst [no]

Signals: SIGHUP reads FILE again, SIGUSR1 prints the counters, SIGINT and SIGTERM end the program.

Example:
  cargo run --release --manifest-path examples/vpn/Cargo.toml -- --check --tunnel fou,src=198.51.100.1,dst=203.0.113.2,dport=5555 --address 10.0.0.1/24 --allowed 10.0.0.0/24
";

pub(crate) const fn text() -> &'static str {
    TEXT
}
