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

/// The form of what a constructor makes without a choice.
pub const AS_CONSTRUCTED: &str = "as constructed";

/// Runs `run` with the tunnel of this name in this form, and with its other end.
pub fn with_tunnel(name: &str, form: &str, ends: Ends, run: Run<'_>) {
    if let Some((inner, outer)) = layers(name) {
        with_tunnel(outer, form, ends, &mut |outer, opens_outer| {
            let nested = ends.nested();
            with_tunnel(inner, "typical", nested, &mut |inner, opens_inner| {
                run(&(inner, outer), &(opens_inner, opens_outer));
            });
        });
        return;
    }
    match shim(name) {
        "IpIp" => {
            let (_, policy) = first(form);
            tunnel(IpIp, IpIp, policy, ends, run);
        }
        "Fou" => udp(Fou::new(PORT), Fou::new(PORT), form, ends, run),
        "Gue" => udp(Gue::new(), Gue::new(), form, ends, run),
        "Gue<2>" => {
            let words = |words| Gue::new().with_private_words(words).unwrap();
            udp(words([0x0102_0304; 2]), words([0; 2]), form, ends, run);
        }
        "GueVariant1" => udp(GueVariant1::new(), GueVariant1::new(), form, ends, run),
        "GreInUdp" => {
            let (kind, _) = first(form);
            let options = kind.strip_prefix("GRE").unwrap_or_default();
            let shim = GreInUdp::new(gre(options));
            udp(shim, shim, form, ends, run);
        }
        "Gre" => {
            let (options, policy) = first(form);
            tunnel(gre(options), gre(options), policy, ends, run);
        }
        "Tcp" => tcp(form, ends, run),
        "Tcp::with_timestamps" => {
            let shim = Tcp::new(TCP_PORTS.0, TCP_PORTS.1).with_timestamps(0x1122_3344, 0x5566_7788);
            constructed(shim, ends, run);
        }
        "MinEnc" => minimal(form, ends, run),
        _ => panic!("no tunnel '{name}'"),
    }
}

/// The two layers of a stack, the inner one first: `(Tunnel<IpIp>, Tunnel<Fou>)`, `[Tunnel<Fou>; 2]`.
fn layers(name: &str) -> Option<(&str, &str)> {
    match name {
        "[Tunnel<Fou>; 2]" => return Some(("Tunnel<Fou>", "Tunnel<Fou>")),
        // The kit's run-time mix.
        "[AnyTunnel; 2]" => return Some(("Tunnel<Gre>", "Tunnel<GreInUdp>")),
        _ => {}
    }
    let tuple = name.strip_prefix('(')?.strip_suffix(')')?;
    let mut depth = 0;
    let comma = tuple.find(|character| {
        depth += i32::from(character == '(') - i32::from(character == ')');
        depth == 0 && character == ','
    })?;
    Some((&tuple[..comma], tuple[comma + 1..].trim_start()))
}

/// `IpIp` of `Tunnel<IpIp>`.
fn shim(name: &str) -> &str {
    let shim = name.strip_prefix("Tunnel<");
    shim.and_then(|shim| shim.strip_suffix('>')).unwrap_or(name)
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
    if form == AS_CONSTRUCTED {
        return constructed(sent, ends, run);
    }
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

const TCP_PORTS: (u16, u16) = (40000, 443);

fn tcp(form: &str, ends: Ends, run: Run<'_>) {
    let shim = Tcp::new(TCP_PORTS.0, TCP_PORTS.1);
    if ["typical", AS_CONSTRUCTED].contains(&form) {
        return constructed(shim, ends, run);
    }
    let (framing, rest) = first(form);
    let (options, policy) = first(rest);
    let shim = match options {
        "no options" => shim,
        "timestamps" => shim.with_timestamps(0x1122_3344, 0x5566_7788),
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
            "plain" | "typical" | "as" | "constructed" => gre,
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
