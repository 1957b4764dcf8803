use core::net::Ipv4Addr;

use ipencap::encap::Encapsulate;
use ipencap::icmp::{self, ReportKind};
use ipencap::pmtu::{Prober, ProberConfig};
use ipencap::time::{Duration, Instant};
use ipencap::tunnel::{Endpoint, PeerId, Peers, Tally};
use ipencap::wire::{IpProtocol, Ipv4Header, UdpHeader};

/// Where the probes go to: a UDP port that nobody listens at, the first of traceroute's.
const CLOSED_PORT: u16 = 33_434;
const HEADERS: u16 = 28;
/// So that one poll does not send probes for ever.
const MIN_TIMER: Duration = Duration::from_millis(1);

/// Finds out how long packets may be where routers do not tell: without it, a path that has become narrower and is
/// silent about it swallows every long packet.
///
/// From time to time it sends a UDP datagram of the full length, through the tunnel, to a port of an inner address where
/// nobody listens. The stack there answers with an ICMP error (RFC 1122 §4.1.3.1), which is short whatever the
/// length of the datagram, so each direction is measured alone. If the long ones are lost but short ones arrive, a
/// [`Prober`] searches for the length that passes (RFC 8899). A peer that answers nothing changes nothing.
///
/// All of it takes two or three packets in each [`confirmation_timer`](ProberConfig::confirmation_timer), also when
/// nothing else is sent, and 120 bytes of memory. A peer that does not answer is asked by a packet of 28 bytes in each
/// [`probe_timer`](ProberConfig::probe_timer).
#[derive(Clone, Copy, Debug)]
pub struct PathCheck {
    source: Ipv4Addr,
    target: Ipv4Addr,
    port: u16,
    config: ProberConfig,
    state: State,
}

#[derive(Clone, Copy, Debug)]
struct State {
    due: Instant,
    /// A probe was answered after the last long one was sent, or that itself: the peer is alive.
    is_alive: bool,
    /// A short probe is on its way. What answers none may be an old answer that comes again.
    is_asked: bool,
    /// How many long probes in a row were lost; the last is on its way.
    unanswered: u8,
    /// The search, once it was needed.
    prober: Option<Prober>,
}

impl PathCheck {
    /// Looks every 5 seconds, and searches with a probe a second.
    pub const CONFIG: ProberConfig = ProberConfig {
        probe_timer: Duration::from_secs(1),
        confirmation_timer: Duration::from_secs(5),
        ..ProberConfig::DEFAULT
    };

    /// Checks the path to the peer that has the inner address `target`, where a stack answers. `source` is the inner
    /// address of this stack.
    #[inline]
    #[must_use]
    pub const fn new(source: Ipv4Addr, target: Ipv4Addr) -> Self {
        Self {
            source,
            target,
            port: CLOSED_PORT,
            config: Self::CONFIG,
            state: State {
                due: Instant::ZERO,
                is_alive: false,
                is_asked: false,
                unanswered: 0,
                prober: None,
            },
        }
    }

    /// The same with other times.
    #[inline]
    #[must_use]
    pub const fn with_config(mut self, config: ProberConfig) -> Self {
        self.config = config;
        self
    }

    /// The same with another UDP port where nobody listens. It is 33434 by default.
    #[inline]
    #[must_use]
    pub const fn with_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    pub(crate) const fn poll_at(&self) -> Instant {
        self.state.due
    }

    /// The peer that a probe is to be sent to now, if one is due, and its length as an inner packet.
    pub(crate) fn step<P: Peers, C: Tally>(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint<'_, P, C>,
    ) -> Option<(PeerId, u16)> {
        let Self { config, state, .. } = self;
        if now < state.due {
            return None;
        }
        // Also if there is no such peer yet: until then a board sleeps.
        state.due = now + config.probe_timer.max(MIN_TIMER);
        let peer = endpoint.peers().owner(0, self.target)?;
        let (tunnel, _) = endpoint.peers().get(peer)?;
        let overhead = u16::try_from(tunnel.overhead()).unwrap_or(u16::MAX);
        if !core::mem::take(&mut state.is_alive) {
            state.is_asked = true;
            return Some((peer, HEADERS));
        }
        if state.unanswered >= config.max_probes && state.prober.is_none() {
            state.prober = Some(Prober::new(*config));
        }
        let outer_len = if let Some(prober) = &mut state.prober {
            let probe = endpoint.probe(now, peer, prober);
            let next = prober.next_deadline().unwrap_or(Instant::MAX);
            state.due = next.max(now + MIN_TIMER);
            probe?.len
        } else {
            state.unanswered = state.unanswered.saturating_add(1);
            endpoint.path_mtu(now, peer)?
        };
        Some((peer, outer_len.saturating_sub(overhead).max(HEADERS)))
    }

    /// Writes the probe of so many bytes.
    pub(crate) fn write(&self, probe: &mut [u8]) -> Option<()> {
        let len = u16::try_from(probe.len()).ok()?;
        let header = Ipv4Header::new(self.source, self.target, IpProtocol::UDP, len);
        let udp_len = u16::try_from(probe.len().checked_sub(Ipv4Header::LEN)?).ok()?;
        let (ip, udp) = probe.split_first_chunk_mut()?;
        *ip = *header.as_bytes();
        udp.fill(0);
        *udp.first_chunk_mut()? = *UdpHeader::new(self.port, self.port, udp_len).as_bytes();
        Some(())
    }

    /// Whether this packet from the peer is the answer to a probe.
    pub(crate) fn answers<P: Peers, C: Tally>(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint<'_, P, C>,
        peer: PeerId,
        inner: &[u8],
    ) -> bool {
        let Some(len) = self.quoted_len(inner) else {
            return false;
        };
        let Self { config, state, .. } = self;
        if len == HEADERS {
            if core::mem::take(&mut state.is_asked) {
                state.is_alive = true;
                state.due = now;
            }
            return true;
        }
        state.is_alive = true;
        state.unanswered = 0;
        match (&mut state.prober, endpoint.peers().get(peer)) {
            (Some(prober), Some((tunnel, _))) => {
                let overhead = u16::try_from(tunnel.overhead()).unwrap_or(u16::MAX);
                let outer_len = len.saturating_add(overhead);
                endpoint.on_confirmed(now, peer, prober, outer_len);
                state.due = prober.next_deadline().unwrap_or(Instant::MAX).max(now);
            }
            _ => state.due = now + config.confirmation_timer.max(MIN_TIMER),
        }
        true
    }

    /// The length of the probe that a packet answers.
    fn quoted_len(&self, inner: &[u8]) -> Option<u16> {
        if inner.get(9) != Some(&IpProtocol::ICMP.0) {
            return None;
        }
        let report = icmp::read(inner).ok()?;
        let is_closed = matches!(
            report.kind(),
            ReportKind::PortUnreachable | ReportKind::ProtocolUnreachable
        );
        let quoted = report.quote().header()?;
        let [high, low] = self.port.to_be_bytes();
        let is_probe = is_closed
            && report.reporter() == self.target
            && (quoted.source(), quoted.destination()) == (self.source, self.target)
            && quoted.protocol() == IpProtocol::UDP
            && report.quote().payload().first_chunk() == Some(&[high, low, high, low]);
        is_probe.then(|| report.quoted_len())
    }
}
