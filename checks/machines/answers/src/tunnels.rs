//! The tunnels of `tests/golden/packets.txt`, by the names that they have there, and their other ends.

use core::net::Ipv4Addr;
use core::num::NonZeroU8;

use ipencap::decap::{Decapsulate, PointToPoint, Receiver};
use ipencap::encap::{
    DfPolicy, DscpPolicy, EcnPolicy, Encapsulate, IdSource, MinEnc, OuterPolicy, Role, TtlPolicy,
    Tunnel,
};
use ipencap::shim::{
    ChecksumPolicy, Fou, Gre, GreInUdp, Gue, GueVariant1, InUdp, IpIp, PortRange, Shim, SourcePort,
    Tcp, Udp,
};
use ipencap::wire::{Dscp, LengthPrefix, Prefix};

/// The two ends of a tunnel, the encapsulator's first.
#[derive(Clone, Copy)]
pub struct Ends(pub [u8; 4], pub [u8; 4]);

impl Ends {
    /// Of the tunnel inside one with these ends, as the kit's nestings have it.
    pub fn nested(self) -> Self {
        let [.., last] = self.0;
        Self([192, 0, 2, last], [192, 0, 2, last ^ 0x80])
    }

    fn addresses(self) -> (Ipv4Addr, Ipv4Addr) {
        (self.0.into(), self.1.into())
    }

    fn far_end(self) -> PointToPoint<'static> {
        let (source, destination) = self.addresses();
        PointToPoint::new(destination, source, &[Prefix::ANY])
    }
}

/// Runs what needs a tunnel: that differs in type by its name.
pub type Run<'a> = &'a mut dyn FnMut(&dyn Encapsulate, &dyn Decapsulate);

/// Runs `run` with the tunnel of this name in this form, and with its other end.
///
/// Names are those of the golden bytes, which are older than the types: `Stack<Udp, IpIp>` is UDP around
/// IP-in-IP, and what is inside of `Udp` stands in the form.
pub fn with_tunnel(name: &str, form: &str, ends: Ends, run: Run<'_>) {
    let stack = name.strip_prefix("Stack<");
    if let Some(layers) = stack.and_then(|layers| layers.strip_suffix('>')) {
        let (outer, inner) = layers.split_once(", ").unwrap();
        with_tunnel(outer, form, ends, &mut |outer, opens_outer| {
            let nested = ends.nested();
            with_tunnel(inner, "typical", nested, &mut |inner, opens_inner| {
                run(&(inner, outer), &(opens_inner, opens_outer));
            });
        });
        return;
    }
    let (kind, policy) = first(form);
    match name {
        "IpIp::new" | "Template::single" => constructed(IpIp, ends, run),
        "Udp::fou" => constructed(Fou::new(PORT), ends, run),
        "Udp::gue" => constructed(Gue::new(), ends, run),
        "Udp::gue_variant_1" => constructed(GueVariant1::new(), ends, run),
        "Udp::gre" => constructed(GreInUdp::new(Gre::new()), ends, run),
        "Tcp::new" => constructed(TCP, ends, run),
        "Tcp::with_timestamps" => constructed(with_timestamps(TCP), ends, run),
        "Gre::new" => constructed(Gre::new(), ends, run),
        "MinEnc::new" => minimal("", ends, run),
        "IpIp" => tunnel(IpIp, IpIp, policy, ends, run),
        "Udp" => match kind {
            "typical" | "FOU" => udp(Fou::new(PORT), Fou::new(PORT), form, ends, run),
            "GUE" => udp(Gue::new(), Gue::new(), form, ends, run),
            "GUE variant 1" => udp(GueVariant1::new(), GueVariant1::new(), form, ends, run),
            _ => {
                let options = kind.strip_prefix("GRE").expect("a kind of UDP tunnel");
                let shim = GreInUdp::new(gre(options));
                udp(shim, shim, form, ends, run);
            }
        },
        "Udp<2>" => {
            let sent = Gue::new().with_private_words([0x0102_0304; 2]).unwrap();
            // A receiver skips whatever words there are.
            let received = Gue::new().with_private_words([0; 2]).unwrap();
            udp(sent, received, form, ends, run);
        }
        "Gre" => tunnel(gre(kind), gre(kind), policy, ends, run),
        "Tcp" => tcp(form, ends, run),
        "MinEnc" => minimal(form, ends, run),
        _ => panic!("no tunnel '{name}'"),
    }
}

/// What of a form comes before the comma, and the rest.
fn first(form: &str) -> (&str, &str) {
    form.split_once(", ").unwrap_or((form, ""))
}

/// The default policies but for one, by name.
fn policy(name: &str) -> OuterPolicy {
    let default = OuterPolicy::DEFAULT;
    match name {
        "" | "default" => default,
        "TTL 255" => OuterPolicy {
            ttl: TtlPolicy::Fixed(NonZeroU8::MAX),
            ..default
        },
        "TTL inherited" => OuterPolicy {
            ttl: TtlPolicy::Inherit,
            ..default
        },
        "DSCP 46" => OuterPolicy {
            dscp: DscpPolicy::Fixed(Dscp::new(46).unwrap()),
            ..default
        },
        "ECN compatibility" => OuterPolicy {
            ecn: EcnPolicy::Compatibility,
            ..default
        },
        "ECN RFC 3168" => OuterPolicy {
            ecn: EcnPolicy::Rfc3168,
            ..default
        },
        "DF copied, identification said" => OuterPolicy {
            df: DfPolicy::Copy(IdSource::PerPacket),
            ..default
        },
        "DF copied, constant" => OuterPolicy {
            df: DfPolicy::Copy(IdSource::Constant(0xbeef)),
            ..default
        },
        "identification" => OuterPolicy {
            atomic_identification: 0x1234,
            ..default
        },
        "forwarding" => OuterPolicy {
            role: Role::Forward,
            ..default
        },
        _ => panic!("no policy '{name}'"),
    }
}

/// A tunnel with what its shim makes without a choice.
fn constructed<S: Shim>(shim: S, ends: Ends, run: Run<'_>) {
    let (source, destination) = ends.addresses();
    let tunnel = Tunnel::new(source, destination, shim).unwrap();
    run(&tunnel, &tunnel.receiver(ends.far_end()));
}

/// A tunnel with the policy of this name.
fn tunnel<S: Shim>(sent: S, received: S, policy_name: &str, ends: Ends, run: Run<'_>) {
    let (source, destination) = ends.addresses();
    let tunnel = Tunnel::new(source, destination, sent).unwrap();
    let tunnel = tunnel.with_policy(policy(policy_name));
    run(&tunnel, &Receiver::new(received, ends.far_end()));
}

/// The port of everything over UDP that is not as its constructor makes it.
const PORT: u16 = 5555;

/// `FOU, fixed port, DSCP 46`: what is inside, the choice of port and checksum, the policy.
fn udp<I: InUdp>(sent: Udp<I>, received: Udp<I>, form: &str, ends: Ends, run: Run<'_>) {
    let (_, rest) = first(form);
    let (choice, policy) = first(rest);
    let sent = sent.with_destination_port(PORT);
    let entropy = |range| sent.with_source_port(SourcePort::Entropy { seed: 0, range });
    let sent = match choice {
        "" | "offload" => sent,
        "full" => sent.with_checksum(ChecksumPolicy::Full),
        "zero" => sent.with_checksum(ChecksumPolicy::Zero),
        "folded port" => entropy(PortRange::DynamicFolded),
        "port of Linux" => entropy(PortRange::Linux),
        "port of GLB" => entropy(PortRange::Glb),
        "fixed port" => sent.with_source_port(SourcePort::Fixed(0xc123)),
        _ => panic!("no choice '{choice}'"),
    };
    let received = received.with_destination_port(PORT);
    tunnel(sent, received, policy, ends, run);
}

const TCP: Tcp = Tcp::new(40000, 443);

fn with_timestamps(tcp: Tcp) -> Tcp {
    tcp.with_timestamps(0x1122_3344, 0x5566_7788)
}

fn tcp(form: &str, ends: Ends, run: Run<'_>) {
    if form == "typical" {
        return constructed(TCP, ends, run);
    }
    let (framing, rest) = first(form);
    let (options, policy) = first(rest);
    let shim = match options {
        "no options" => TCP,
        "timestamps" => with_timestamps(TCP),
        _ => panic!("no options '{options}'"),
    };
    let shim = match framing {
        "bare" => shim,
        "exclusive" => shim.with_framing(LengthPrefix::Exclusive),
        "inclusive" => shim.with_framing(LengthPrefix::Inclusive),
        _ => panic!("no framing '{framing}'"),
    };
    tunnel(shim, shim, policy, ends, run);
}

/// GRE with these options, by name.
fn gre(options: &str) -> Gre {
    let mut gre = Gre::new();
    for option in options.split_whitespace() {
        gre = match option {
            "key" => gre.with_key(0xdead_beef),
            "checksum" => gre.with_checksum(),
            "sequence" => gre.with_sequence(),
            "plain" | "typical" => gre,
            _ => panic!("no options '{options}'"),
        };
    }
    gre
}

/// Of the policies it has only the role: its outer header is the inner one (M-03).
fn minimal(form: &str, ends: Ends, run: Run<'_>) {
    let (source, destination) = ends.addresses();
    let mut tunnel = MinEnc::new(source, destination).unwrap();
    let (kind, policy) = first(form);
    if kind == "without source" {
        tunnel = tunnel.without_source();
    }
    if policy == "forwarding" {
        tunnel = tunnel.with_role(Role::Forward);
    }
    run(&tunnel, &Receiver::minimal(ends.far_end()));
}
