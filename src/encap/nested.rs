use super::opened::{Inner, Opened};
use super::{Arrived, Decapsulate};
use crate::error::{Reason, Refused};

/// The most layers that [`decap_nested`] opens, whatever limit it is given (L-02).
pub const MAX_NESTING: u8 = 16;

/// The layers that [`decap_nested`] opens unless told otherwise (RFC 2473 §4.1.1).
pub const DEFAULT_NESTING: u8 = 4;

/// Opens a packet of unknown depth: layer by layer, as long as one of `tunnels` knows the packet as
/// its own, `limit` layers at most.
///
/// Every layer passes the whole pipeline of the tunnel that opens it, with that tunnel's own peers
/// and prefixes. A layer is left closed, and is the result, if no tunnel knows it (another protocol,
/// another destination); it is refused if a tunnel knows it and something is wrong, or if it is one
/// too many. Iterative and bounded; nothing is written before all layers have passed (L-01 to L-03).
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::encap::{DEFAULT_NESTING, Decapsulate, Decapsulator, UdpCarrier, decap_nested};
/// use ipencap::filter::{PointToPoint, Prefix};
///
/// let access = PointToPoint::new(
///     Ipv4Addr::new(203, 0, 113, 2), Ipv4Addr::new(198, 51, 100, 1), &[Prefix::ANY]);
/// let ipip = Decapsulator::ipip(access);
/// let fou = Decapsulator::udp(UdpCarrier::fou(5555), access);
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
    let opened = inspect_nested(tunnels, packet, limit)?;
    Ok(Inner {
        packet: opened.apply(packet),
        opened,
    })
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
    let mut opened = first_to_know(tunnels, Arrived::new(packet))
        .unwrap_or(Err(Refused::new(Reason::NotTunnel)))?;
    loop {
        let layer = opened.layers();
        match first_to_know(tunnels, opened.arrived(packet)) {
            None => return Ok(opened),
            Some(Err(refused)) => return Err(refused.inside(layer)),
            Some(Ok(_)) if layer >= limit => {
                return Err(Refused::new(Reason::NestingLimit).inside(layer));
            }
            Some(Ok(inner)) => opened = inner.behind(&opened),
        }
    }
}

/// The verdict of the first tunnel that recognises the packet and, by its port, does not say that it
/// is another's. What is broken has no header to be recognised by: its verdict is any tunnel's.
fn first_to_know<D: Decapsulate + ?Sized>(
    tunnels: &[&D],
    arrived: Arrived<'_>,
) -> Option<Result<Opened, Refused>> {
    let mut storage = None;
    let header = match arrived.parse(&mut storage) {
        Ok(packet) => packet.header(),
        Err(error) => return Some(Err(Refused::outer(error))),
    };
    tunnels
        .iter()
        .filter(|tunnel| tunnel.recognises(header))
        .map(|tunnel| tunnel.inspect_arrived(arrived.opened_next()))
        .find(|verdict| !verdict.is_err_and(is_anothers))
}

const fn is_anothers(refused: Refused) -> bool {
    matches!(refused.reason, Reason::NotTunnel | Reason::OuterDstNotLocal)
}
