use core::net::Ipv4Addr;

use super::endpoint::{Endpoint, overhead};
use super::path_probe::{ClosedPort, ECHO_REPLY, PathProbe};
use super::peers::{PeerId, Peers};
use super::reassembly::Reassembly;
use super::tally::Tally;
use crate::pmtu::{Prober, ProberConfig};
use crate::time::{Duration, Instant};
use crate::wire::{IpProtocol, Ipv4, Ipv4Header};

/// The first of traceroute's.
const CLOSED_PORT: u16 = 33_434;
const HEADER_LEN: u16 = 20;
const DESTINATION_UNREACHABLE: u8 = 3;
/// How often a peer that nothing is sent to is asked without an answer.
const MOST_IDLE: u8 = 16;
/// So that one moment does not make probes for ever.
const MIN_TIMER: Duration = Duration::from_millis(1);
/// No peer has this place.
const NOBODY: PeerId = PeerId::new(u32::MAX, 0);

/// Whether an ICMP packet answers another packet.
fn is_answer(icmp: &[u8]) -> bool {
    let Ok(packet) = Ipv4::parse(icmp) else {
        return false;
    };
    matches!(
        packet.payload().first(),
        Some(&(ECHO_REPLY | DESTINATION_UNREACHABLE))
    )
}

/// Finds out what the path to a peer carries where routers do not tell: without it, a path that has become narrower and is
/// silent about it swallows every long packet.
///
/// From time to time it asks for a probe of the full length, through the tunnel, to an inner address behind the peer.
/// Any IP stack there answers it. If long ones are lost but short ones arrive, a [`Prober`] searches for the
/// length that passes (RFC 8899). A peer that answers nothing changes nothing.
///
/// | probes | answered by | choose them |
/// |---|---|---|
/// | UDP to a [closed port](ClosedPort) | ICMP "port unreachable" (RFC 1122 §4.1.3.1), short whatever the length of the probe: each direction is measured alone | first |
/// | [pings](super::Echo) | ICMP echo replies, as long as the probe; one that comes in fragments counts | where the far end limits or filters its ICMP errors, as Linux does |
///
/// Others are a [`PathProbe`] of your own. The ends need not agree on it: what answers is the far stack, not the far
/// endpoint.
///
/// It takes one packet in each [`confirmation_timer`](ProberConfig::confirmation_timer), and 136 bytes of memory. A
/// peer that does not answer is asked by a packet of 28 bytes in each [`probe_timer`](ProberConfig::probe_timer). One that
/// goes on only [while packets are sent](Self::while_sending) is silent on a silent tunnel.
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::decap::Prefix;
/// use ipencap::encap::Tunnel;
/// use ipencap::shim::IpIp;
/// use ipencap::time::Instant;
/// use ipencap::tunnel::{Endpoint, EndpointConfig, OnePeer, Path, PathCheck, Peers};
///
/// # fn main() -> Result<(), Box<dyn core::error::Error>> {
/// let tunnel = Tunnel::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2), IpIp)?;
/// let (behind, mut paths) = (["10.2.0.0/16".parse::<Prefix>()?], [Path::EMPTY]);
/// let mut endpoint = Endpoint::new(OnePeer::new(tunnel, &behind), &mut paths, EndpointConfig::DEFAULT);
/// let mut check = PathCheck::new(Ipv4Addr::new(10, 1, 0, 1), Ipv4Addr::new(10, 2, 0, 1));
/// let mut now = Instant::ZERO;
///
/// // At the start, and at each deadline. The probe goes into the tunnel beside `Endpoint::send`, because it may be
/// // longer than what is known to pass.
/// if let Some((peer, len)) = check.poll(now, &mut endpoint, 0) {
///     let mut inner = vec![0; usize::from(len)];
///     check.write(&mut inner).ok_or("it is shorter than its headers")?;
///     let per_packet = endpoint.number_probe(now, peer, &inner);
///     // Wrap it with these numbers, and send it.
///     # let _ = per_packet;
/// }
/// // Of each packet that was delivered from the peer: an answer is not for the inner side.
/// let (peer, delivered) = (endpoint.peers().at(0).ok_or("it is gone")?, [0; 20]);
/// if !check.answers(now, &mut endpoint, peer, &delivered) {
///     // It is for the inner side.
/// }
/// now = check.next_deadline().unwrap_or(now);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PathCheck<K = ClosedPort> {
    source: Ipv4Addr,
    target: Ipv4Addr,
    kind: K,
    config: ProberConfig,
    most_lost: u8,
    rests: bool,
    state: State,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// Whose path it is about: all but `due` and `idle`.
    peer: PeerId,
    /// [`Instant::MAX`] while it rests.
    due: Instant,
    /// A probe was answered after the last long one was sent, or that itself: the peer is alive.
    is_alive: bool,
    /// A short probe is on its way. What answers none may be an old answer that comes again.
    is_asked: bool,
    /// How many long probes in a row were lost; the last is on its way.
    unanswered: u8,
    /// How many probes were due since something was sent to the peer, or came from there.
    idle: u8,
    /// The search, once it was needed.
    prober: Option<Prober>,
    /// The last probe was a long one and was answered, and none is to follow at once: nothing is searched.
    is_settled: bool,
}

impl State {
    const NEW: Self = Self {
        peer: NOBODY,
        due: Instant::ZERO,
        is_alive: false,
        is_asked: false,
        unanswered: 0,
        idle: 0,
        prober: None,
        is_settled: false,
    };
}

impl PathCheck {
    /// Looks every 5 seconds, and searches with a probe a second.
    pub const CONFIG: ProberConfig = ProberConfig {
        probe_timer: Duration::from_secs(1),
        confirmation_timer: Duration::from_secs(5),
        ..ProberConfig::DEFAULT
    };

    /// Checks the path to the peer that has the inner address `target`, where a stack answers. `source` is an inner
    /// address of ours.
    #[inline]
    #[must_use]
    pub const fn new(source: Ipv4Addr, target: Ipv4Addr) -> Self {
        Self::with_probes(source, target, ClosedPort(CLOSED_PORT))
    }

    /// The same with another UDP port where nobody listens. It is 33434 by default.
    #[inline]
    #[must_use]
    pub const fn with_port(mut self, port: u16) -> Self {
        self.kind = ClosedPort(port);
        self
    }
}

impl<K: PathProbe> PathCheck<K> {
    /// The length of a short probe, as an inner packet: it passes any path.
    pub const SHORT_LEN: u16 = 28;

    /// [`new`](PathCheck::new) with other probes.
    #[inline]
    #[must_use]
    pub const fn with_probes(source: Ipv4Addr, target: Ipv4Addr, probes: K) -> Self {
        Self {
            source,
            target,
            kind: probes,
            config: PathCheck::CONFIG,
            most_lost: PathCheck::CONFIG.max_probes,
            rests: false,
            state: State::NEW,
        }
    }

    /// The same with other times. As many long probes as [`max_probes`](ProberConfig::max_probes) are lost before it
    /// searches.
    #[inline]
    #[must_use]
    pub const fn with_config(mut self, config: ProberConfig) -> Self {
        self.config = config;
        self.most_lost = config.max_probes;
        self
    }

    /// The same, which searches after so many long probes are lost in a row. Fewer find a change sooner, and take more
    /// losses for one.
    #[inline]
    #[must_use]
    pub const fn searching_after(mut self, most_lost: u8) -> Self {
        self.most_lost = most_lost;
        self
    }

    /// The same, which rests until [`on_sent`](Self::on_sent), and again when nothing more is sent.
    #[inline]
    #[must_use]
    pub const fn while_sending(mut self) -> Self {
        self.rests = true;
        self.state.due = Instant::MAX;
        self
    }

    /// The inner address behind the peer that answers.
    #[inline]
    #[must_use]
    pub const fn target(&self) -> Ipv4Addr {
        self.target
    }

    /// This inner packet goes to the peer. Only one that checks [while packets are sent](Self::while_sending) needs to
    /// know. Echo replies and ICMP errors do not count: they may answer probes of the peer, and two ends would keep
    /// each other awake.
    #[inline]
    pub fn on_sent(&mut self, now: Instant, inner: &[u8]) {
        if inner.get(9) == Some(&IpProtocol::ICMP.0) && is_answer(inner) {
            return;
        }
        self.state.idle = 0;
        if self.state.due == Instant::MAX {
            self.state.due = now + self.config.probe_timer.max(MIN_TIMER);
        }
    }

    /// When [`poll`](Self::poll) has something to do next; `None` until something is sent.
    #[inline]
    #[must_use]
    pub const fn next_deadline(&self) -> Option<Instant> {
        if self.state.due.as_millis() < Instant::MAX.as_millis() {
            Some(self.state.due)
        } else {
            None
        }
    }

    /// The probe to send now, if one is due: to which peer, the one of this tenant that has the target, and its length
    /// as an inner packet. [`write`](Self::write) makes it. If that is another peer than before, or the peer was
    /// [replaced](super::PeerTable::replace), its path is measured anew.
    #[inline(never)]
    pub fn poll<'m, P: Peers, C: Tally, R: Reassembly<'m>>(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint<'m, P, C, R>,
        tenant: u32,
    ) -> Option<(PeerId, u16)> {
        let Self { config, state, .. } = self;
        if now < state.due || state.due == Instant::MAX {
            return None;
        }
        state.due = now + config.probe_timer.max(MIN_TIMER);
        let peer = endpoint.peers().owner(tenant, self.target)?;
        let (tunnel, _) = endpoint.peers().get(peer)?;
        let overhead = overhead(tunnel);
        if state.peer != peer {
            *state = State {
                peer,
                due: state.due,
                idle: state.idle,
                ..State::NEW
            };
        }
        if self.rests {
            if state.idle > if state.is_settled { 0 } else { MOST_IDLE } {
                state.due = Instant::MAX;
                return None;
            }
            state.idle = state.idle.saturating_add(1);
        }
        state.is_settled = false;
        if !core::mem::take(&mut state.is_alive) {
            state.is_asked = true;
            return Some((peer, Self::SHORT_LEN));
        }
        if state.unanswered >= self.most_lost && state.prober.is_none() {
            state.prober = Some(Prober::new(*config));
        }
        let outer_len = if let Some(prober) = &mut state.prober {
            let probe = endpoint.probe(now, peer, prober);
            let next = prober.next_deadline().unwrap_or(Instant::MAX);
            state.due = next.max(now + MIN_TIMER);
            probe?.len
        } else {
            state.unanswered = state.unanswered.saturating_add(1);
            endpoint.probe_of_path_mtu(now, peer)?
        };
        let len = outer_len.saturating_sub(overhead).max(Self::SHORT_LEN);
        Some((peer, len))
    }

    /// Writes a probe, as long as the slice. `None` if that is shorter than [`SHORT_LEN`](Self::SHORT_LEN).
    #[inline]
    #[must_use]
    pub fn write(&self, probe: &mut [u8]) -> Option<()> {
        let (ip, behind) = probe.split_first_chunk_mut()?;
        let behind_len = u16::try_from(behind.len()).ok()?;
        let total_len = HEADER_LEN.checked_add(behind_len)?;
        self.kind.write(total_len, behind)?;
        *ip = *Ipv4Header::new(self.source, self.target, K::PROTOCOL, total_len).as_bytes();
        Some(())
    }

    /// Whether this packet that was delivered from the peer is the answer to a probe. It is not for the inner side then.
    /// No other peer than the one that [`poll`](Self::poll) has named last answers. Before it was called anybody does: a
    /// program may [`write`](Self::write) a probe as a keepalive, without it.
    #[inline]
    pub fn answers<'m, P: Peers, C: Tally, R: Reassembly<'m>>(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint<'m, P, C, R>,
        peer: PeerId,
        inner: &[u8],
    ) -> bool {
        // Most are not.
        inner.get(9) == Some(&IpProtocol::ICMP.0) && self.takes(now, endpoint, peer, inner)
    }

    #[inline(never)]
    fn takes<'m, P: Peers, C: Tally, R: Reassembly<'m>>(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint<'m, P, C, R>,
        peer: PeerId,
        inner: &[u8],
    ) -> bool {
        let Some(len) = self.kind.answered_len(self.source, self.target, inner) else {
            return false;
        };
        let Self { config, state, .. } = self;
        if state.peer != peer && state.peer != NOBODY {
            return false;
        }
        // A late answer does not wake it.
        let is_resting = state.due == Instant::MAX;
        if len == Self::SHORT_LEN {
            if core::mem::take(&mut state.is_asked) {
                state.is_alive = true;
                state.idle = state.idle.min(1);
                if !is_resting {
                    state.due = now;
                }
            }
            return true;
        }
        state.is_alive = true;
        state.unanswered = 0;
        state.idle = state.idle.min(1);
        let due = match (&mut state.prober, endpoint.peers().get(peer)) {
            (Some(prober), Some((tunnel, _))) => {
                let overhead = overhead(tunnel);
                let outer_len = len.saturating_add(overhead);
                endpoint.on_confirmed(now, peer, prober, outer_len);
                let next = prober.next_deadline().unwrap_or(Instant::MAX);
                next.max(now)
            }
            _ => now + config.confirmation_timer.max(MIN_TIMER),
        };
        state.is_settled = due > now;
        if !is_resting {
            state.due = due;
        }
        true
    }
}
