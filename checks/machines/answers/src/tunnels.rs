//! The tunnels of `tests/golden/packets.txt`, by the names that they have there, and their other ends.

use core::net::Ipv4Addr;
use core::num::NonZeroU8;

use ipencap::encap::{
    Carrier, ChecksumPolicy, Decapsulate, Decapsulator, DfPolicy, DscpPolicy, EcnPolicy,
    Encapsulate, Gre, GreCarrier, IdSource, IpIp, IpIpCarrier, MinEnc, MinEncCarrier, PortRange,
    Role, SourcePort, Stack, Tcp, TcpCarrier, Template, TtlPolicy, Udp, UdpCarrier,
};
use ipencap::filter::{PointToPoint, Prefix};
use ipencap::wire::{Dscp, LengthPrefix};

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
}

/// Runs what needs a tunnel: that differs in type by its name.
pub type Run<'a> = &'a mut dyn FnMut(&dyn Encapsulate, &dyn Decapsulate);

/// `tunnel` with one policy of its outer header, by name.
macro_rules! with_policy {
    ($tunnel:expr, $policy:expr) => {
        match $policy {
            "" | "default" => $tunnel,
            "TTL 255" => $tunnel.with_ttl(TtlPolicy::Fixed(NonZeroU8::MAX)),
            "TTL inherited" => $tunnel.with_ttl(TtlPolicy::Inherit),
            "DSCP 46" => $tunnel.with_dscp(DscpPolicy::Fixed(Dscp::new(46).unwrap())),
            "ECN compatibility" => $tunnel.with_ecn(EcnPolicy::Compatibility),
            "ECN RFC 3168" => $tunnel.with_ecn(EcnPolicy::Rfc3168),
            "DF copied, identification said" => {
                $tunnel.with_df(DfPolicy::Copy(IdSource::PerPacket))
            }
            "DF copied, constant" => $tunnel.with_df(DfPolicy::Copy(IdSource::Constant(0xbeef))),
            "identification" => $tunnel.with_atomic_identification(0x1234),
            "forwarding" => $tunnel.with_role(Role::Forward),
            _ => panic!("no policy '{}'", $policy),
        }
    };
}

/// Runs `run` with the tunnel of this name in this form, and with its other end.
pub fn with_tunnel(name: &str, form: &str, ends: Ends, run: Run<'_>) {
    if let Some(nest) = name
        .strip_prefix("Stack<")
        .and_then(|nest| nest.strip_suffix('>'))
    {
        let (outer, inner) = nest.split_once(", ").unwrap();
        with_tunnel(outer, form, ends, &mut |outer, opens_outer| {
            with_tunnel(
                inner,
                "typical",
                ends.nested(),
                &mut |inner, opens_inner| {
                    let opens = Stack {
                        outer: opens_outer,
                        inner: opens_inner,
                    };
                    run(&Stack { outer, inner }, &opens);
                },
            );
        });
        return;
    }
    // A constructor, `IpIp::new`, stands for what it makes without a choice.
    let (kind, constructor) = name.split_once("::").unwrap_or((name, ""));
    let form = if constructor.is_empty() { form } else { "" };
    match kind {
        "IpIp" => ipip(form, ends, run),
        "Udp" => udp(constructor, form, ends, run),
        "Udp<2>" => udp_with_words(form, ends, run),
        "Tcp" => tcp(constructor, form, ends, run),
        "Gre" => gre(form, ends, run),
        "MinEnc" => minimal(form, ends, run),
        "Template" => {
            let (source, destination) = ends.addresses();
            let tunnel = Template::single(IpIp::new(source, destination).unwrap());
            run(&tunnel, &receiver(IpIpCarrier, ends));
        }
        _ => panic!("no tunnel '{name}'"),
    }
}

fn receiver<C: Carrier>(carrier: C, ends: Ends) -> Decapsulator<C, PointToPoint<'static>> {
    let (source, destination) = ends.addresses();
    Decapsulator::new(
        carrier,
        PointToPoint::new(destination, source, &[Prefix::ANY]),
    )
}

/// What of a form comes before the comma, and the rest.
fn first(form: &str) -> (&str, &str) {
    form.split_once(", ").unwrap_or((form, ""))
}

fn ipip(form: &str, ends: Ends, run: Run<'_>) {
    let (source, destination) = ends.addresses();
    let (_, policy) = first(form);
    let tunnel = with_policy!(IpIp::new(source, destination).unwrap(), policy);
    run(&tunnel, &receiver(IpIpCarrier, ends));
}

/// With the source port or the checksum of this name.
fn with_choice<const WORDS: usize>(tunnel: Udp<WORDS>, choice: &str) -> Udp<WORDS> {
    let entropy = |range| tunnel.with_source_port(SourcePort::Entropy { seed: 0, range });
    match choice {
        "" | "offload" => tunnel,
        "full" => tunnel.with_checksum(ChecksumPolicy::Full),
        "zero" => tunnel.with_checksum(ChecksumPolicy::Zero),
        "folded port" => entropy(PortRange::DynamicFolded),
        "port of Linux" => entropy(PortRange::Linux),
        "port of GLB" => entropy(PortRange::Glb),
        "fixed port" => tunnel.with_source_port(SourcePort::Fixed(0xc123)),
        _ => panic!("no choice '{choice}'"),
    }
}

/// The port of everything over UDP that is not as its constructor makes it.
const PORT: u16 = 5555;

fn udp(constructor: &str, form: &str, ends: Ends, run: Run<'_>) {
    let (source, destination) = ends.addresses();
    let (kind, rest) = first(form);
    let (choice, policy) = first(rest);
    let gre = GreCarrier::new();
    let (tunnel, carrier) = match (constructor, kind) {
        ("fou", _) | (_, "FOU" | "typical") => {
            (Udp::fou(source, destination, PORT), UdpCarrier::fou(PORT))
        }
        ("gue", _) | (_, "GUE") => (Udp::gue(source, destination), UdpCarrier::gue()),
        ("gue_variant_1", _) | (_, "GUE variant 1") => {
            (Udp::gue_variant_1(source, destination), UdpCarrier::gue())
        }
        ("gre", _) | (_, "GRE") => (Udp::gre(source, destination, None), UdpCarrier::gre(gre)),
        (_, "GRE key") => (
            Udp::gre(source, destination, Some(0xdead_beef)),
            UdpCarrier::gre(gre.with_key(0xdead_beef)),
        ),
        _ => panic!("no form '{form}'"),
    };
    let (mut tunnel, mut carrier) = (tunnel.unwrap(), carrier);
    if constructor.is_empty() {
        tunnel = tunnel.with_destination_port(PORT);
        carrier = carrier.with_destination_port(PORT);
    }
    let tunnel = with_policy!(with_choice(tunnel, choice), policy);
    run(&tunnel, &receiver(carrier, ends));
}

fn udp_with_words(form: &str, ends: Ends, run: Run<'_>) {
    let (source, destination) = ends.addresses();
    let (_, rest) = first(form);
    let (choice, policy) = first(rest);
    let tunnel = Udp::gue(source, destination).unwrap();
    let tunnel = tunnel.with_private_words([0x0102_0304; 2]).unwrap();
    let tunnel = with_choice(tunnel.with_destination_port(PORT), choice);
    let tunnel = with_policy!(tunnel, policy);
    let carrier = UdpCarrier::gue().with_destination_port(PORT);
    run(&tunnel, &receiver(carrier, ends));
}

fn tcp(constructor: &str, form: &str, ends: Ends, run: Run<'_>) {
    let (source, destination) = ends.addresses();
    let tunnel = Tcp::new((source, 40000), (destination, 443)).unwrap();
    let carrier = TcpCarrier::new(443);
    match (constructor, form) {
        ("with_timestamps", _) => {
            let tunnel = tunnel.with_timestamps(0x1122_3344, 0x5566_7788);
            return run(&tunnel, &receiver(carrier, ends));
        }
        ("new", _) | (_, "typical") => return run(&tunnel, &receiver(carrier, ends)),
        _ => {}
    }
    // Its own defaults are others than those that the forms have.
    let tunnel = tunnel
        .with_dscp(DscpPolicy::Copy)
        .with_ecn(EcnPolicy::Normal);
    let (framing, rest) = first(form);
    let (options, policy) = first(rest);
    let tunnel = match options {
        "no options" => tunnel,
        "timestamps" => tunnel.with_timestamps(0x1122_3344, 0x5566_7788),
        _ => panic!("no options '{options}'"),
    };
    let prefix = match framing {
        "bare" => None,
        "exclusive" => Some(LengthPrefix::Exclusive),
        "inclusive" => Some(LengthPrefix::Inclusive),
        _ => panic!("no framing '{framing}'"),
    };
    let (tunnel, carrier) = match prefix {
        None => (tunnel, carrier),
        Some(prefix) => (tunnel.with_framing(prefix), carrier.with_framing(prefix)),
    };
    let tunnel = with_policy!(tunnel, policy);
    run(&tunnel, &receiver(carrier, ends));
}

fn gre(form: &str, ends: Ends, run: Run<'_>) {
    let (source, destination) = ends.addresses();
    let (mut tunnel, mut carrier) = (Gre::new(source, destination).unwrap(), GreCarrier::new());
    let (fields, policy) = first(form);
    for field in fields.split(' ') {
        (tunnel, carrier) = match field {
            "key" => (tunnel.with_key(0xdead_beef), carrier.with_key(0xdead_beef)),
            "checksum" => (tunnel.with_checksum(), carrier.with_checksum()),
            "sequence" => (tunnel.with_sequence(), carrier.with_sequence()),
            "" | "plain" | "typical" => (tunnel, carrier),
            _ => panic!("no form '{form}'"),
        };
    }
    let tunnel = with_policy!(tunnel, policy);
    run(&tunnel, &receiver(carrier, ends));
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
    run(&tunnel, &receiver(MinEncCarrier, ends));
}
