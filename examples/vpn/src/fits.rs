//! Whether the layers of a stack fit each other: a packet is sent through them both ways, by the library.

use core::net::Ipv4Addr;

use ipencap::Span;
use ipencap::decap::{InnerPolicy, OuterMeta, PointToPoint, Prefix};
use ipencap::encap::{AnyTunnel, Encapsulate, PerPacket};
use ipencap::error::{EncapError, Reason, Refused};
use ipencap::packet::Packet;
use ipencap::tunnel::{PeerTunnel, Received, SocketTunnel};
use ipencap::wire::{Ecn, IpProtocol, Ipv4Header};
use ipencap_cli::tunnel::Spec;

use crate::layers::{key, without_direction};
use crate::place::{Place, Placed, Wrong};

/// The shortest packet.
const LEN: u16 = 20;
/// For experiments (RFC 3692): no tunnel.
const PROTOCOL: IpProtocol = IpProtocol(253);

/// Sends a packet to the peer, and takes one from it.
pub(crate) fn both_ways(
    texts: &[Placed<String>],
    ours: &[AnyTunnel],
    policy: InnerPolicy,
) -> Result<(), Wrong> {
    let Some(outermost) = texts.last() else {
        return Ok(());
    };
    let sent = |stack| send(stack, sample(texts, stack));
    sent(ours).map_err(|error| not_sent(texts, outermost.place, error))?;
    let theirs: Vec<AnyTunnel> = texts
        .iter()
        .filter_map(|text| Spec::parse(&mirrored(&text.value)).ok())
        .map(|spec| spec.tunnel())
        .collect();
    let packet = sent(&theirs).map_err(|error| not_sent(texts, outermost.place, error))?;
    receive(ours, policy, &packet)
        .map_err(|refused| Wrong::new(outermost.place, not_received(refused)))
}

/// What goes to a peer: a packet, or what a socket is given.
fn send(stack: &[AnyTunnel], packet: Ipv4Header) -> Result<Vec<u8>, EncapError> {
    let headroom = stack.overhead();
    let mut buffer = vec![0; headroom];
    buffer.extend_from_slice(packet.as_bytes());
    let mut packet = Packet::new(&mut buffer, Span::new(headroom, usize::from(LEN)));
    let per_packet = PerPacket::new().with_identification(1).with_sequence(1);
    if stack.payload_overhead().is_some() {
        stack.wrap_payload(&mut packet, &per_packet)?;
    } else {
        packet.wrap(stack, &per_packet)?;
    }
    Ok(packet.as_slice().to_vec())
}

fn receive(stack: &[AnyTunnel], policy: InnerPolicy, bytes: &[u8]) -> Result<(), Refused> {
    let inner_ends = stack.inner_ends();
    let access = PointToPoint::new(inner_ends.0, inner_ends.1, &[Prefix::ANY]);
    if stack.payload_overhead().is_some() {
        let (destination, source) = stack.ends();
        let port = stack.arrival().number().map(u16::try_from);
        let port = port.and_then(Result::ok).unwrap_or_default();
        let meta = OuterMeta {
            source,
            destination,
            protocol: stack.arrival().protocol(),
            source_port: port,
            destination_port: port,
            ecn: Ecn::NotEct,
        };
        let received = Received::new(&meta, bytes);
        stack.inspect_payload(access, policy, received).map(|_| ())
    } else {
        let mut packet = bytes.to_vec();
        let opener = stack.peer_receiver(access, policy);
        ipencap::decap(&opener, &mut packet).map(|_| ())
    }
}

/// A packet that such a stack takes, if it takes any.
fn sample(texts: &[Placed<String>], stack: &[AnyTunnel]) -> Ipv4Header {
    let innermost = texts.first().map_or("", |text| text.value.as_str());
    let is_end = |address: &Ipv4Addr| {
        stack
            .iter()
            .any(|tunnel| [tunnel.source(), tunnel.destination()].contains(address))
    };
    let mut hosts = (1..=u8::MAX).map(|host| Ipv4Addr::new(100, 127, 255, host));
    let elsewhere = hosts.find(|host| !is_end(host));
    let destination = hosts.find(|host| !is_end(host));
    let source = match stack.first() {
        // It carries nobody else's packets.
        Some(tunnel) if key(innermost, "keep_source") == Some("no") => Some(tunnel.source()),
        _ => elsewhere,
    };
    let unspecified = Ipv4Addr::UNSPECIFIED;
    Ipv4Header::new(
        source.unwrap_or(unspecified),
        destination.unwrap_or(unspecified),
        PROTOCOL,
        LEN,
    )
}

/// The same tunnel, as the peer has it.
fn mirrored(text: &str) -> String {
    let text = without_direction(text);
    let items: Vec<String> = text
        .split(',')
        .map(|item| match item.split_once('=') {
            Some(("src", address)) => format!("dst={address}"),
            Some(("dst", address)) => format!("src={address}"),
            _ => item.to_owned(),
        })
        .collect();
    items.join(",")
}

fn not_sent(texts: &[Placed<String>], place: Place, error: EncapError) -> Wrong {
    let place_of = |layer: u8| {
        texts
            .get(usize::from(layer))
            .map_or(place, |text| text.place)
    };
    match error {
        EncapError::LoopToExit { layer } => Wrong::new(
            place_of(layer),
            "the stack is a loop: dst of this layer is src of the layer inside of it: let src be this side and dst the peer's in each layer",
        ),
        EncapError::LoopOwnSource { layer } => Wrong::new(
            place_of(layer),
            "the stack is a loop: with forward=yes, src of this layer must differ from src of the layer inside of it: take forward=yes out",
        ),
        EncapError::SourceNotKept => Wrong::new(
            place,
            "the layers do not fit: keep_source=no loses src of the layer inside of it, at one end or the other: take keep_source=no out",
        ),
        EncapError::FragmentationNeeded { .. } => Wrong::new(
            place,
            "the layers do not fit: mtu of a SPEC leaves no room for the layers inside of it: raise it or take it out",
        ),
        EncapError::TtlExpired | EncapError::TtlZero => Wrong::new(
            place,
            "the layers do not fit: forward=yes lowers the TTL of the layer inside to 0: raise its ttl or take forward=yes out",
        ),
        other => Wrong::new(place, format!("the layers do not fit: {other}")),
    }
}

fn not_received(refused: Refused) -> String {
    match refused.reason {
        Reason::InnerEqualsOuter => "the layers do not fit: one has the same src and dst as the layer inside of it, which looks like a loop to the receiver: give the inner one addresses of its own".to_owned(),
        _ => format!(
            "the layers do not fit: packets from a peer with the same SPECs would be dropped ({}): compare the layers' src, dst and ports",
            refused.name()
        ),
    }
}
