//! Takes packets out of a tunnel, in place, for the kernel to route.

use core::net::Ipv4Addr;

use ipencap::decap;
use ipencap::decap::{Access, Receiver};
use ipencap::error::Reason;
use ipencap::packet::Flow;
use ipencap::shim::Shim;
use ipencap::wire::IpProtocol;
use ipencap_xdp_maps::{Counter, DecapConfig, InnerSource};

use crate::ethernet::{ETHERNET, Ethernet, octets};
use crate::glue::{Action, Context, Map};
use crate::tally::Verdict;

crate::map!(DECAP: Map<u32, DecapConfig> = Map::array(1));
crate::map!(PEERS: Map<[u8; 4], u32> = Map::hash(65536));
crate::map!(INNER: Map<InnerSource, u32> = Map::trie(65536));

/// What the maps say of this packet. They are asked before the pipeline runs: behind a call of the kernel the compiler
/// reads the packet again, and the verifier no longer knows what was checked.
///
/// Zero stands for "no", so that the verifier finds both answers among the values that a map may hold, and follows
/// the pipeline once.
#[derive(Clone, Copy, Debug)]
struct Asked {
    local: Ipv4Addr,
    /// The number of the peer with the outer source.
    peer: u32,
    /// Not zero if the peer may use the inner source.
    allows_inner: u32,
}

impl Asked {
    #[inline(always)]
    fn new(local: Ipv4Addr, outer_source: [u8; 4], inner_source: [u8; 4]) -> Self {
        let peer = PEERS.get(&outer_source).unwrap_or(0);
        let key = InnerSource {
            prefix_len: 64,
            peer,
            address: inner_source,
        };
        Self {
            local,
            peer,
            allows_inner: INNER.get(&key).unwrap_or(0),
        }
    }
}

impl Access for Asked {
    #[inline(always)]
    fn is_local(&self, address: Ipv4Addr) -> bool {
        address == self.local
    }

    #[inline(always)]
    fn peer(&self, _outer: Flow) -> Option<u32> {
        (self.peer != 0).then_some(self.peer)
    }

    #[inline(always)]
    fn allows_inner(&self, _peer: u32, _inner_source: Ipv4Addr) -> bool {
        self.allows_inner != 0
    }
}

/// `HEADERS` is all that is read and written: an Ethernet header, all headers of the tunnel and the inner IPv4 header,
/// each without options, and four bytes behind for ports. `is_plain` says of these whether the shim has the length that
/// `HEADERS` allows for.
#[inline(always)]
pub fn program<S: Shim, const HEADERS: usize>(
    context: &mut Context,
    shim: impl Fn(u16) -> S,
    is_plain: impl Fn(&[u8; HEADERS]) -> bool,
) -> Verdict {
    const { assert!(HEADERS >= ETHERNET + 20 + 20 + 4) };
    let Some(config) = DECAP.get(&0) else {
        return Verdict::pass(Counter::PassedOther);
    };
    let Some(frame) = context.frame::<HEADERS>() else {
        return Verdict::pass(Counter::PassedShort);
    };
    let Some(head) = frame.first_chunk::<HEADERS>() else {
        return Verdict::pass(Counter::PassedShort);
    };
    // Constants for the verifier, which does not follow lengths that are read from the packet.
    let outer = ETHERNET;
    let inner = HEADERS - 20 - 4;
    let ethernet = Ethernet::read(head);
    if S::PROTOCOL == IpProtocol::UDP && octets(head, outer + 22) != config.port {
        return Verdict::pass(Counter::PassedOther);
    }
    if !ethernet.is_ipv4()
        || head[outer + 9] != S::PROTOCOL.0
        || octets(head, outer + 16) != config.local
    {
        return Verdict::pass(Counter::PassedOther);
    }
    let asked = Asked::new(
        config.local.into(),
        octets(head, outer + 12),
        octets(head, inner + 12),
    );
    // A checksum over the payload takes a loop that the verifier does not follow.
    if S::PROTOCOL == IpProtocol::UDP && octets(head, outer + 26) != [0, 0] {
        return Verdict::pass(Counter::PassedChecksum);
    }
    if head[outer] != 0x45 || !is_plain(head) || head[inner] != 0x45 {
        return Verdict::pass(Counter::PassedOptions);
    }
    let Some((_, packet)) = frame.split_first_chunk_mut::<ETHERNET>() else {
        return Verdict::pass(Counter::PassedShort);
    };
    let receiver = Receiver::new(shim(u16::from_be_bytes(config.port)), asked);
    let inner_len = match decap(&receiver, packet) {
        Ok(opened) if opened.opened.span().start == inner - outer => opened.packet.len(),
        Ok(_) => return Verdict::pass(Counter::PassedOptions),
        Err(refused) => {
            return match refused.reason {
                Reason::NotTunnel | Reason::OuterDstNotLocal => Verdict::pass(Counter::PassedOther),
                Reason::OuterFragment => Verdict::pass(Counter::PassedFragment),
                reason => Verdict::drop(reason.index()),
            };
        }
    };
    if !context.move_start((inner - outer) as i32) {
        return failed();
    }
    let Some(frame) = context.frame::<{ ETHERNET + 20 }>() else {
        return failed();
    };
    let Some(place) = frame.first_chunk_mut() else {
        return failed();
    };
    ethernet.write(place);
    Verdict::take(Action::Pass as u32, inner_len)
}

#[inline(always)]
fn failed() -> Verdict {
    Verdict::of(Action::Drop, Counter::HelperFailed)
}
