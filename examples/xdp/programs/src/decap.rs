//! Takes packets out of a tunnel, in place, for the kernel to route.

use core::net::Ipv4Addr;

use ipencap::decap;
use ipencap::decap::{Access, Receiver};
use ipencap::error::Reason;
use ipencap::packet::Flow;
use ipencap::shim::Shim;
use ipencap_xdp_maps::{Counter, DecapConfig, InnerSource};

use crate::ETHERNET;
use crate::glue::{Action, Context, Map};
use crate::tally::{count, drop, pass, take};

crate::map!(DECAP: Map<u32, DecapConfig> = Map::array(1));
crate::map!(PEERS: Map<[u8; 4], u32> = Map::hash(65536));
crate::map!(INNER: Map<InnerSource, u32> = Map::trie(65536));

/// The access list in the maps.
#[derive(Clone, Copy, Debug)]
struct Maps {
    local: Ipv4Addr,
}

impl Access for Maps {
    #[inline(always)]
    fn is_local(&self, address: Ipv4Addr) -> bool {
        address == self.local
    }

    #[inline(always)]
    fn peer(&self, outer: Flow) -> Option<u32> {
        PEERS.get(&outer.source.octets())
    }

    #[inline(always)]
    fn allows_inner(&self, peer: u32, inner_source: Ipv4Addr) -> bool {
        let key = InnerSource {
            prefix_len: 64,
            peer,
            address: inner_source.octets(),
        };
        INNER.get(&key).is_some()
    }
}

/// `HEADERS` is all that is read and written: an Ethernet header, all headers of the tunnel and the inner IPv4 header,
/// each without options, and four bytes behind for ports.
#[inline(always)]
pub fn program<S: Shim, const HEADERS: usize>(
    context: &mut Context,
    shim: impl Fn(u16) -> S,
) -> u32 {
    const { assert!(HEADERS >= ETHERNET + 20 + 20 + 4) };
    let Some(config) = DECAP.get(&0) else {
        return Action::Pass as u32;
    };
    let Some(frame) = context.frame::<HEADERS>() else {
        return pass(Counter::PassedShort);
    };
    let Some((ethernet, packet)) = frame.split_first_chunk_mut::<ETHERNET>() else {
        return pass(Counter::PassedShort);
    };
    let ethernet = *ethernet;
    if ethernet[12..] != [8, 0] || packet[9] != S::PROTOCOL.0 || packet[16..20] != config.local {
        return pass(Counter::PassedOther);
    }
    // Constants for the verifier, which does not follow lengths that are read from the packet.
    let tunnel_len = HEADERS - ETHERNET - 20 - 4;
    if packet[0] != 0x45 || packet[tunnel_len] & 0x4f > 0x45 {
        return pass(Counter::PassedOptions);
    }
    let receiver = Receiver::new(
        shim(u16::from_be_bytes(config.port)),
        Maps {
            local: config.local.into(),
        },
    );
    let inner_len = match decap(&receiver, packet) {
        Ok(inner) if inner.opened.span().start == tunnel_len => inner.packet.len(),
        Ok(_) => return pass(Counter::PassedOptions),
        Err(refused) => {
            return match refused.reason {
                Reason::NotTunnel | Reason::OuterDstNotLocal => pass(Counter::PassedOther),
                Reason::OuterFragment => pass(Counter::PassedFragment),
                reason => drop(reason.index()),
            };
        }
    };
    if !context.move_start(tunnel_len as i32) {
        return drop_uncounted();
    }
    let Some(frame) = context.frame::<{ ETHERNET + 20 }>() else {
        return drop_uncounted();
    };
    frame[..ETHERNET].copy_from_slice(&ethernet);
    take(inner_len);
    Action::Pass as u32
}

#[inline(always)]
fn drop_uncounted() -> u32 {
    count(Counter::HelperFailed);
    Action::Drop as u32
}
