use super::Decapsulate;
use super::opened::{Inner, Opened, OuterPacket};
use crate::error::{Reason, Refused};
use crate::wire::Ipv4;

/// The most layers that [`decap_nested`] opens, whatever limit it is given.
pub const MAX_NESTING: u8 = 16;

/// A usual limit for [`decap_nested`] (RFC 2473 §4.1.1).
pub const DEFAULT_NESTING: u8 = 4;

/// Opens a packet of unknown depth: layer by layer, as long as one of `tunnels` recognises the packet as
/// its own, `limit` layers at most.
///
/// Every layer passes all checks of the tunnel that opens it, with that tunnel's own peers and prefixes.
/// If several tunnels recognise a packet, the first that accepts its sender opens it. Opening ends at the first
/// inner packet that no tunnel recognises (another protocol, another destination): that packet is the result.
/// The whole is refused if a check of any layer fails, or if there are more than `limit` layers, and with
/// `NotTunnel` if no tunnel recognises `packet` itself. Nothing is written before all layers have passed.
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::decap::{DEFAULT_NESTING, Decapsulate, PointToPoint, Prefix, Receiver, decap_nested};
/// use ipencap::shim::{Fou, IpIp};
///
/// let access = PointToPoint::new(
///     Ipv4Addr::new(203, 0, 113, 2), Ipv4Addr::new(198, 51, 100, 1), &[Prefix::ANY]);
/// let ipip = Receiver::new(IpIp, access);
/// let fou = Receiver::new(Fou::new(5555), access);
/// let tunnels: [&dyn Decapsulate; 2] = [&ipip, &fou];
/// assert!(decap_nested(&tunnels, &mut [0; 20], DEFAULT_NESTING).is_err());
/// ```
///
/// In a `static` the tunnels are `&(dyn Decapsulate + Sync)`.
///
/// # Errors
/// [`Refused`] with the layer that refused; `packet` is unchanged then.
#[inline]
pub fn decap_nested<'b, D: Decapsulate + ?Sized>(
    tunnels: &[&D],
    packet: &'b mut [u8],
    limit: u8,
) -> Result<Inner<'b>, Refused> {
    Ok(inspect_nested(tunnels, packet, limit)?.into_inner(packet))
}

/// [`decap_nested`] without writing.
///
/// # Errors
/// As [`decap_nested`].
#[inline]
pub fn inspect_nested<D: Decapsulate + ?Sized>(
    tunnels: &[&D],
    packet: &[u8],
    limit: u8,
) -> Result<Opened, Refused> {
    let limit = limit.min(MAX_NESTING);
    let outer = OuterPacket::new(packet);
    let Some(mut opened) = inspect_layer(tunnels, outer, limit > 0)? else {
        return Err(Refused::new(Reason::NotTunnel));
    };
    let mut before = 0;
    // A tunnel that opens nothing would do so again.
    while opened.layers > before {
        if opened.layers > limit {
            return Err(Refused::new(Reason::NestingLimit).inside(before));
        }
        before = opened.layers;
        let outer = opened.outer_packet(packet);
        match inspect_layer(tunnels, outer, before < limit) {
            Ok(Some(mut next)) => {
                next.go_behind(&opened);
                opened = next;
            }
            Ok(None) => break,
            Err(refused) => return Err(refused.inside(before)),
        }
    }
    if opened.exceeds_nesting {
        let innermost = opened.layers.saturating_sub(1);
        return Err(Refused::new(Reason::NestingLimit).inside(innermost));
    }
    Ok(opened)
}

/// Opens one layer with the first of the tunnels that recognises the packet and knows its sender. `None`
/// if no tunnel recognises it.
fn inspect_layer<D: Decapsulate + ?Sized>(
    tunnels: &[&D],
    outer: OuterPacket<'_>,
    may_open: bool,
) -> Result<Option<Opened>, Refused> {
    let mut storage = None;
    // DSCP and ECN do not matter here.
    let packet = match outer.restored() {
        None => Ipv4::parse(outer.bytes()),
        Some(_) => outer.parse(&mut storage),
    }
    .map_err(Refused::outer)?;
    let mut unknown = None;
    for tunnel in tunnels.iter().filter(|tunnel| tunnel.recognises(packet)) {
        if !may_open {
            return Err(Refused::new(Reason::NestingLimit));
        }
        match tunnel.inspect_outer(outer.expecting_tunnel()) {
            Err(refused)
                if matches!(refused.reason, Reason::UnknownPeer | Reason::GreKeyMismatch) =>
            {
                unknown = unknown.or(Some(refused));
            }
            verdict => return verdict.map(Some),
        }
    }
    unknown.map_or(Ok(None), Err)
}
