//! Finds out whether the path carries what it should, where routers are silent: pings through the tunnel to an
//! address behind it, and probes when the long ones do not arrive (RFC 8899).

use core::net::Ipv4Addr;

use ipencap::pmtu::{Prober, ProberConfig};
use ipencap::time::{Duration, Instant};
use ipencap::wire::{Icmpv4Header, IpProtocol, Ipv4, Ipv4Header};

/// How often, while packets go to the peer.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many long pings in a row are lost before the path MTU is searched.
const MOST_MISSED: u8 = 2;
/// The length of a ping that passes any path, as an inner packet.
const SHORT_LEN: u16 = 84;

const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;
const HEADERS: usize = 28;

/// Of one peer.
pub(crate) struct PathCheck {
    source: Ipv4Addr,
    target: Ipv4Addr,
    identifier: u16,
    prober: Option<Prober>,
    due: Option<Instant>,
    is_active: bool,
    short: Ping,
    long: Ping,
    missed: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ping {
    NotSent,
    Sent,
    Answered,
}

/// What to do now.
pub(crate) enum Step {
    /// Send pings of these outer lengths; 0 is the short one.
    Ping([Option<u16>; 2]),
    /// Ask the endpoint which probe to send, by [`PathCheck::prober`].
    Probe,
}

impl PathCheck {
    pub(crate) const fn new(source: Ipv4Addr, target: Ipv4Addr, identifier: u16) -> Self {
        Self {
            source,
            target,
            identifier,
            prober: None,
            due: None,
            is_active: false,
            short: Ping::NotSent,
            long: Ping::NotSent,
            missed: 0,
        }
    }

    /// A packet goes to the peer.
    pub(crate) fn on_sent(&mut self, now: Instant) {
        self.is_active = true;
        if self.due.is_none() {
            self.due = Some(now + INTERVAL);
        }
    }

    pub(crate) const fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(crate) const fn prober(&mut self) -> Option<&mut Prober> {
        self.prober.as_mut()
    }

    /// What is due, if anything is. `mtu` is the path MTU.
    pub(crate) fn step(&mut self, now: Instant, mtu: u16) -> Option<Step> {
        if self.due.is_none_or(|due| due > now) {
            return None;
        }
        let answers = self.short != Ping::Sent;
        if self.short == Ping::Answered && self.long == Ping::Sent {
            self.missed += 1;
        } else if self.long == Ping::Answered {
            self.missed = 0;
        }
        if self.missed >= MOST_MISSED && self.prober.is_none() {
            self.missed = 0;
            self.short = Ping::Answered;
            self.prober = Some(Prober::new(ProberConfig {
                probe_timer: INTERVAL,
                ..ProberConfig::DEFAULT
            }));
        }
        if self.prober.is_some() {
            // Without an answer to a short ping a lost probe says nothing about lengths.
            if self.short == Ping::Answered {
                self.short = Ping::NotSent;
                return Some(Step::Probe);
            }
            self.short = Ping::Sent;
            self.put_off(now, answers);
            return Some(Step::Ping([Some(0), None]));
        }
        (self.short, self.long) = (Ping::Sent, Ping::Sent);
        self.put_off(now, answers);
        Some(Step::Ping([Some(0), Some(mtu)]))
    }

    fn put_off(&mut self, now: Instant, answers: bool) {
        let is_searching = self.prober.is_some() && answers;
        self.due = (self.is_active || is_searching).then_some(now + INTERVAL);
        self.is_active = false;
    }

    /// The prober was asked, and is to be asked again then.
    pub(crate) fn on_probed(&mut self, now: Instant) {
        let next = self.prober.as_ref().and_then(Prober::next_deadline);
        self.due = next.map(|next| next.max(now + Duration::from_millis(1)));
    }

    /// Writes the ping behind `headroom` bytes, with `len` bytes of inner packet, for an outer one of `outer_len`.
    pub(crate) fn write(
        &self,
        buffer: &mut [u8],
        outer_len: u16,
        overhead: usize,
    ) -> Option<usize> {
        let len = match outer_len {
            0 => usize::from(SHORT_LEN),
            _ => usize::from(outer_len).checked_sub(overhead)?,
        };
        let packet = buffer.get_mut(..len)?;
        let total_len = u16::try_from(len).ok()?;
        let header = Ipv4Header::new(self.source, self.target, IpProtocol::ICMP, total_len);
        let (ip, icmp) = packet.split_first_chunk_mut()?;
        *ip = *header.as_bytes();
        icmp.fill(0);
        icmp.get_mut(4..6)?
            .copy_from_slice(&self.identifier.to_be_bytes());
        icmp.get_mut(6..8)?
            .copy_from_slice(&outer_len.to_be_bytes());
        let (header, rest) = Icmpv4Header::split_mut(icmp).ok()?;
        header.set_type_and_code(ECHO_REQUEST, 0);
        header.fill_checksum(rest);
        Some(len)
    }

    /// Whether this is the answer to a ping of ours: the outer length that is confirmed, 0 for a short one. The
    /// answer may come in fragments; the first is enough.
    pub(crate) fn answer(&mut self, inner: &[u8]) -> Option<u16> {
        let packet = inner
            .get(..HEADERS)
            .filter(|bytes| bytes.get(9) == Some(&1))?;
        let parsed = Ipv4::parse(inner).ok()?;
        let header = parsed.header();
        let icmp = packet.get(20..)?;
        let is_ours = header.source() == self.target
            && header.destination() == self.source
            && header.header_len() == 20
            && icmp.first() == Some(&ECHO_REPLY)
            && icmp.get(4..6) == Some(&self.identifier.to_be_bytes());
        if !is_ours {
            return None;
        }
        let len = u16::from_be_bytes([*icmp.get(6)?, *icmp.get(7)?]);
        if len == 0 {
            self.short = Ping::Answered;
        } else {
            self.long = Ping::Answered;
        }
        Some(len)
    }

    /// The path has answered a probe, so it answers at all.
    pub(crate) const fn on_confirmed(&mut self, now: Instant) {
        self.short = Ping::Answered;
        self.due = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use ipencap::encap::{Encapsulate, PerPacket, Tunnel};
    use ipencap::packet::{Packet, Span};
    use ipencap::shim::Fou;

    use super::*;

    /// What is confirmed is what was sent: the outer packet of a probe has the length that the probe tells.
    #[test]
    fn a_probe_is_as_long_as_it_tells() {
        let address = |last| Ipv4Addr::new(192, 0, 2, last);
        let tunnel = Tunnel::new(address(1), address(2), Fou::new(5555)).unwrap();
        let check = PathCheck::new(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2), 7);
        for outer_len in [68, 576, 1280, 1500, 9000] {
            let mut buffer = vec![0xa5; 9300];
            let (_, behind) = buffer.split_at_mut(64);
            let len = check.write(behind, outer_len, tunnel.overhead()).unwrap();
            let mut packet = Packet::new(&mut buffer, Span::new(64, len));
            packet.wrap(&tunnel, &PerPacket::new()).unwrap();
            assert_eq!(packet.as_slice().len(), usize::from(outer_len));
            let outer = Ipv4::parse(packet.as_slice()).unwrap();
            assert_eq!(outer.header().total_len(), outer_len);
            // The echo request is valid to its last byte, and tells the length.
            let inner = Ipv4::parse(&outer.payload()[8..]).unwrap();
            assert_eq!(inner.payload()[6..8], outer_len.to_be_bytes());
            let mut sum = ipencap::checksum::Sum::new();
            sum = sum.add_bytes(inner.payload());
            assert_eq!(sum.checksum(), 0);
        }
    }
}
