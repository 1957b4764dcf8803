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
    let mut arrived = Arrived::new(packet);
    let Some(mut tunnel) = first_to_know(tunnels, arrived)? else {
        return Err(Refused::new(Reason::NotTunnel));
    };
    let mut layers = 0u8;
    let mut outermost: Option<Opened> = None;
    let limit = limit.min(MAX_NESTING);
    for _ in 0..limit {
        let inside = |refused: Refused| refused.inside(layers);
        let opened = tunnel
            .inspect_arrived(arrived.opened_next())
            .map_err(inside)?;
        let next = opened.arrived(packet);
        let all = outermost.map_or(opened, |outer| opened.behind(&outer));
        if all.layers() > limit {
            break;
        }
        match first_to_know(tunnels, next).map_err(inside)? {
            // Another layer of ours, unless nothing was opened: then it would be the same again.
            Some(next_tunnel) if all.layers() > layers => {
                tunnel = next_tunnel;
                arrived = next;
                layers = all.layers();
                outermost = Some(all);
            }
            // The last one: what is inside is delivered, so now it does count (D-20).
            _ => {
                let last = tunnel.inspect_arrived(arrived).map_err(inside)?;
                return Ok(outermost.map_or(last, |outer| last.behind(&outer)));
            }
        }
    }
    Err(Refused::new(Reason::NestingLimit).inside(layers))
}

/// The tunnel that a packet is for: of those that recognise it the first that lets its sender in, or
/// else the first. What is no packet at all is refused.
fn first_to_know<'t, D: Decapsulate + ?Sized>(
    tunnels: &[&'t D],
    arrived: Arrived<'_>,
) -> Result<Option<&'t D>, Refused> {
    let mut storage = None;
    let packet = arrived.parse(&mut storage).map_err(Refused::outer)?;
    let known = || {
        tunnels
            .iter()
            .copied()
            .filter(|tunnel| tunnel.recognises(packet))
    };
    let admits = |tunnel: &&D| match tunnel.inspect_arrived(arrived.opened_next()) {
        Ok(_) => true,
        Err(refused) => !matches!(refused.reason, Reason::UnknownPeer | Reason::GreKeyMismatch),
    };
    Ok(known().find(admits).or_else(|| known().next()))
}
