//! The stack of tunnels to a peer, and the socket that carries it.

use core::net::{Ipv4Addr, SocketAddrV4};

use ipencap::decap::{InnerPolicy, Prefix};
use ipencap::encap::{AnyTunnel, Tunnel};
use ipencap::shim::{Shim, SourcePort, Tcp};
use ipencap::wire::LengthPrefix;
use ipencap_cli::tunnel::Spec;

use crate::config::Carrier;
use crate::fits;
use crate::place::{Place, Placed, Wrong};

/// The deepest stack.
const MAX_LAYERS: usize = 4;

pub(crate) struct Layers {
    /// As the endpoint has them.
    pub(crate) stack: Box<[AnyTunnel]>,
    pub(crate) inner_policy: InnerPolicy,
    pub(crate) carrier: Carrier,
    /// The inner sources that the innermost specification accepts.
    pub(crate) inner: Vec<Placed<Prefix>>,
}

/// Whether a TCP peer is waited for; `None` if the specification does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Direction {
    connect: Option<bool>,
    listen: Option<bool>,
}

impl Layers {
    /// Reads the specifications, the first one innermost.
    pub(crate) fn read(texts: &[Placed<String>], place: Place) -> Result<Self, Wrong> {
        let Some(outermost) = texts.last() else {
            return Err(Wrong::new(
                place,
                "there is no tunnel: list at least one SPEC, as in ipip,src=A,dst=B",
            ));
        };
        if let Some(extra) = texts.get(MAX_LAYERS) {
            return Err(Wrong::new(
                extra.place,
                format!(
                    "the stack has {} layers: use at most {MAX_LAYERS}",
                    texts.len()
                ),
            ));
        }
        let mut specs = Vec::new();
        let mut direction = Direction::default();
        for text in texts {
            let (spec, wanted) =
                layer(&text.value).map_err(|wrong| Wrong::new(text.place, wrong))?;
            let is_outermost = core::ptr::eq(text, outermost);
            if !is_outermost && wanted != Direction::default() {
                return Err(Wrong::new(
                    text.place,
                    "only the outermost SPEC, the last one, has a connection: take connect and listen out of this one",
                ));
            }
            direction = wanted;
            specs.push(spec);
        }
        let at = |wrong| Wrong::new(outermost.place, wrong);
        let carrier = specs
            .last()
            .map(|spec| carrier(spec, &outermost.value, direction));
        let carrier = carrier.unwrap_or_else(|| Err(String::new())).map_err(at)?;
        let stack = over_socket(specs.iter().map(Spec::tunnel).collect(), carrier);
        let innermost = specs.first();
        let inner_policy = innermost.map(Spec::inner_policy).unwrap_or_default();
        fits::both_ways(texts, &stack, inner_policy)?;
        let place = texts.first().map_or(place, |text| text.place);
        let inner = innermost.map_or(&[][..], Spec::inner).iter();
        Ok(Self {
            stack: stack.into(),
            inner_policy,
            carrier,
            inner: inner.map(|prefix| Placed::new(*prefix, place)).collect(),
        })
    }
}

/// The outermost tunnel with the ports of its socket. Over a connection the one that tells its packets apart is the
/// one that is listened at, on both sides.
fn over_socket(mut layers: Vec<AnyTunnel>, carrier: Carrier) -> Vec<AnyTunnel> {
    let Some(outermost) = layers.last_mut() else {
        return layers;
    };
    match carrier {
        Carrier::Tcp {
            listen,
            local,
            remote,
            framing,
        } => {
            let port = if listen { local.port() } else { remote.port() };
            if let AnyTunnel::Tcp(tunnel) = outermost {
                *tunnel = with_shim(tunnel, Tcp::new(port, port).with_framing(framing));
            }
        }
        // Else the endpoint does not know its own packets in ICMP errors about them.
        Carrier::Udp {
            local, source_port, ..
        } => {
            let port = SourcePort::Fixed(source_port.unwrap_or(local.port()));
            match outermost {
                AnyTunnel::Fou(tunnel) => {
                    *tunnel = with_shim(tunnel, tunnel.shim().with_source_port(port));
                }
                AnyTunnel::Gue(tunnel) => {
                    *tunnel = with_shim(tunnel, tunnel.shim().with_source_port(port));
                }
                AnyTunnel::GueVariant1(tunnel) => {
                    *tunnel = with_shim(tunnel, tunnel.shim().with_source_port(port));
                }
                _ => {}
            }
        }
        Carrier::Raw { .. } => {}
    }
    layers
}

fn with_shim<S: Shim>(tunnel: &Tunnel<S>, shim: S) -> Tunnel<S> {
    // The addresses were right before.
    Tunnel::new(tunnel.source(), tunnel.destination(), shim)
        .map_or(*tunnel, |new| new.with_policy(tunnel.policy()))
}

/// The kind of tunnel that a specification begins with.
pub(crate) fn kind(spec: &str) -> &str {
    spec.split(',').next().unwrap_or_default()
}

/// The value of a key in a specification that is known to be right.
pub(crate) fn key<'t>(spec: &'t str, key: &str) -> Option<&'t str> {
    spec.split(',')
        .filter_map(|item| item.split_once('='))
        .find_map(|(name, value)| (name == key).then_some(value))
}

/// The text of a specification without the keys that only the VPN has.
pub(crate) fn without_direction(text: &str) -> String {
    let items: Vec<&str> = text
        .split(',')
        .filter(|item| !item.starts_with("connect=") && !item.starts_with("listen="))
        .collect();
    items.join(",")
}

fn layer(text: &str) -> Result<(Spec, Direction), String> {
    let wrong =
        |error: &str| format!("tunnel '{text}': {error}: '--help' lists the kinds and keys");
    let mut direction = Direction::default();
    let is_tcp = kind(text) == "tcp";
    let spec = if is_tcp {
        direction.connect = yes_no(text, "connect").map_err(|error| wrong(&error))?;
        direction.listen = yes_no(text, "listen").map_err(|error| wrong(&error))?;
        Spec::parse(&without_direction(text))
    } else {
        Spec::parse(text)
    };
    let spec = spec.map_err(|error| wrong(&error))?;
    let (tunnel, src) = (spec.tunnel(), spec.tunnel().source());
    if src == tunnel.destination() {
        return Err(format!(
            "tunnel '{text}' is a loop, as src and dst are both {src}: let src be an address of this host and dst the peer's"
        ));
    }
    Ok((spec, direction))
}

fn yes_no(text: &str, wanted: &str) -> Result<Option<bool>, String> {
    let mut values = text
        .split(',')
        .filter_map(|item| item.split_once('='))
        .filter(|(name, _)| *name == wanted);
    let value = match values.next() {
        None => None,
        Some((_, "yes")) => Some(true),
        Some((_, "no")) => Some(false),
        Some((_, other)) => return Err(format!("{wanted}={other}: expected yes or no")),
    };
    match values.next() {
        None => Ok(value),
        Some(_) => Err(format!("'{wanted}' is given twice")),
    }
}

/// What carries the packets of this outermost tunnel.
fn carrier(spec: &Spec, text: &str, direction: Direction) -> Result<Carrier, String> {
    let tunnel = spec.tunnel();
    let (local, remote) = (tunnel.source(), tunnel.destination());
    let udp = |port| udp_carrier(text, (local, remote), port);
    let raw = |protocol| Ok(Carrier::Raw { protocol, local });
    match tunnel {
        AnyTunnel::IpIp(_) => raw(4),
        AnyTunnel::Gre(_) => raw(47),
        AnyTunnel::MinEnc(_) => raw(55),
        AnyTunnel::Fou(tunnel) => udp(tunnel.shim().destination_port()),
        AnyTunnel::Gue(tunnel) => udp(tunnel.shim().destination_port()),
        AnyTunnel::GueVariant1(tunnel) => udp(tunnel.shim().destination_port()),
        AnyTunnel::Tcp(_) => tcp_carrier(text, (local, remote), direction),
        _ => Err(format!(
            "no socket carries '{}': let the last SPEC be ipip, gre, minenc, fou, gue or tcp",
            spec.kind()
        )),
    }
}

fn udp_carrier(
    text: &str,
    (local, remote): (Ipv4Addr, Ipv4Addr),
    port: u16,
) -> Result<Carrier, String> {
    let source_port = key(text, "sport").and_then(|value| value.parse().ok());
    if source_port == Some(0) {
        return Err(format!(
            "tunnel '{text}': no socket sends from port 0: write sport=1 to 65535, or leave it out"
        ));
    }
    Ok(Carrier::Udp {
        local: SocketAddrV4::new(local, port),
        remote: SocketAddrV4::new(remote, port),
        source_port: source_port.filter(|source| *source != port),
    })
}

/// The side that listens does so at `dport`, the other one connects to it: both ends have the same ports in
/// their specifications.
fn tcp_carrier(
    text: &str,
    (local, remote): (Ipv4Addr, Ipv4Addr),
    direction: Direction,
) -> Result<Carrier, String> {
    let port = |name| {
        key(text, name)
            .and_then(|value| value.parse().ok())
            .unwrap_or_default()
    };
    let framing = match key(text, "framing") {
        Some("exclusive") => LengthPrefix::Exclusive,
        Some("inclusive") => LengthPrefix::Inclusive,
        _ => {
            return Err(format!(
                "tunnel '{text}' has no framing, so packets on the connection would have no ends: add framing=exclusive or framing=inclusive, the same at both ends"
            ));
        }
    };
    let listen = match (direction.connect, direction.listen) {
        (Some(true), Some(true)) => {
            return Err(format!(
                "tunnel '{text}' both connects and listens: keep connect=yes at one end and listen=yes at the other"
            ));
        }
        (Some(false), None | Some(false)) => {
            return Err(format!(
                "tunnel '{text}' neither connects nor listens: write listen=yes, or take connect=no out"
            ));
        }
        (_, listen) => listen == Some(true),
    };
    let (here, there) = if listen {
        ("dport", "sport")
    } else {
        ("sport", "dport")
    };
    Ok(Carrier::Tcp {
        listen,
        local: SocketAddrV4::new(local, port(here)),
        remote: SocketAddrV4::new(remote, port(there)),
        framing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(spec: &str) -> Box<[AnyTunnel]> {
        let texts = [Placed::new(spec.to_owned(), Place::Option("--tunnel"))];
        let Ok(layers) = Layers::read(&texts, texts[0].place) else {
            panic!("{spec} is right");
        };
        layers.stack
    }

    /// An ICMP error quotes the ports of the socket, and of no other.
    #[test]
    fn the_ports_of_a_quote_are_the_sockets() {
        for (more, port) in [("", 5555), (",sport=auto", 5555), (",sport=7", 7)] {
            for kind in ["fou", "gue", "gue,variant=1"] {
                let spec = format!("{kind},src=192.0.2.1,dst=192.0.2.3,dport=5555{more}");
                let stack = stack(&spec);
                let knows = |source: u16| {
                    let mut udp = [source.to_be_bytes(), 5555_u16.to_be_bytes()].concat();
                    udp.extend([0, 40, 0, 0]);
                    match &stack[0] {
                        AnyTunnel::Fou(tunnel) => tunnel.shim().matches_quote(&udp),
                        AnyTunnel::Gue(tunnel) => tunnel.shim().matches_quote(&udp),
                        AnyTunnel::GueVariant1(tunnel) => tunnel.shim().matches_quote(&udp),
                        other => panic!("{other:?}"),
                    }
                };
                assert!(knows(port), "{spec}");
                assert!(!knows(49_152), "{spec}");
            }
        }
    }
}
