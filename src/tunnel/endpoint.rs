use core::net::Ipv4Addr;

use super::cause::Cause;
use super::identification::Identifications;
use super::path::Path;
use super::peer_tunnel::PeerTunnel;
use super::peers::{MtuPolicy, PeerId, PeerPolicy, Peers};
use super::reassembly::Reassembly;
use super::tally::{Event, Tally};
use super::verdict::Change;
use crate::encap::Encapsulate;
use crate::error::Eviction;
use crate::fragment::{Reassembler, SlotId};
use crate::icmp::{Bucket, BucketConfig, IcmpError, Kind, Offending, mixed};
use crate::pmtu::{PathMtu, PathMtuConfig, Probe, Prober};
use crate::time::Instant;

/// What an endpoint does for all peers, as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(
    clippy::exhaustive_structs,
    reason = "a set of choices, built by the caller"
)]
pub struct EndpointConfig {
    /// The MTU of the link that the outer packets leave by, in bytes.
    pub link_mtu: u16,
    /// The address that ICMP errors to inner sources come from: ours on the inner side (RFC 1812
    /// §4.3.2.4). Without one they come from the tunnel's outer source, and packets that no peer is
    /// responsible for are dropped without an answer.
    ///
    /// **Linux drops these errors as martians** if the address is the host's own and they are written to a TUN
    /// device: a packet that comes in must not have a local source. Allow it with
    /// `sysctl net.ipv4.conf.DEVICE.accept_local=1`. The same is true of the tunnel's outer source.
    pub icmp_source: Option<Ipv4Addr>,
    /// How much of a packet an ICMP error quotes, in bytes: 28 to 548, the default.
    pub icmp_quote_len: u16,
    /// How many ICMP errors are sent to the inner sources of one peer. The key is mixed with the peer's
    /// number.
    pub icmp_rate: BucketConfig,
    /// Where identifications of outer headers come from.
    pub identifications: Identifications,
}

impl EndpointConfig {
    /// A link of 1500 bytes; ten ICMP errors a second for each peer, up to 20 at once; identifications one
    /// after the other. Where strangers may see your packets, set
    /// [`identifications`](Self::identifications) and the key of [`icmp_rate`](Self::icmp_rate) from random
    /// numbers.
    pub const DEFAULT: Self = Self {
        link_mtu: 1500,
        icmp_source: None,
        icmp_quote_len: 548,
        icmp_rate: BucketConfig {
            per_second: 10,
            burst: 20,
            key: 0,
        },
        identifications: Identifications::SEQUENTIAL,
    };
}

impl Default for EndpointConfig {
    #[inline]
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// One end of the tunnels to some peers: it says what to do with each packet.
///
/// See the [module](super) for an example and for who learns what.
#[derive(Debug)]
pub struct Endpoint<'m, P, C = (), R = Option<Reassembler<'m>>> {
    pub(super) core: Core<'m, P, C>,
    pub(super) reassembler: R,
}

/// All of an endpoint but its fragments: a datagram that was joined is judged while it lies there.
#[derive(Debug)]
pub(super) struct Core<'m, P, C> {
    pub(super) peers: P,
    pub(super) paths: &'m mut [Path],
    pub(super) tally: C,
    pub(super) config: EndpointConfig,
    /// For packets without a peer.
    bucket: Bucket,
    /// The latest instant of all calls.
    latest: Instant,
    /// Nothing is due before.
    deadline: Instant,
}

impl<'m, P: Peers> Endpoint<'m, P> {
    /// An endpoint for these peers. `paths` needs one [`Path`] for each place in [`Peers::capacity`]; a peer whose
    /// place is not below the length of `paths` is treated as if it did not exist. Begin with [`Path::EMPTY`]: what a path has learnt for another
    /// endpoint, such as a narrow MTU, would still hold.
    #[inline]
    #[must_use]
    pub const fn new(peers: P, paths: &'m mut [Path], config: EndpointConfig) -> Self {
        Self {
            core: Core {
                peers,
                paths,
                tally: (),
                config,
                bucket: Bucket::new(config.icmp_rate),
                latest: Instant::ZERO,
                deadline: Instant::ZERO,
            },
            reassembler: None,
        }
    }
}

impl<'m, P: Peers, C: Tally> Endpoint<'m, P, C> {
    /// The same, which joins outer fragments instead of dropping them (RFC 7588 §3.4).
    #[inline]
    #[must_use]
    pub const fn with_reassembler(mut self, reassembler: Reassembler<'m>) -> Self {
        self.reassembler = Some(reassembler);
        self
    }

    /// The same, which never joins outer fragments, as a type: nothing that does is linked then.
    #[inline]
    #[must_use]
    pub fn without_reassembler(self) -> Endpoint<'m, P, C, ()> {
        Endpoint {
            core: self.core,
            reassembler: (),
        }
    }
}

impl<'m, P: Peers, C: Tally, R: Reassembly<'m>> Endpoint<'m, P, C, R> {
    /// The same, which counts what it does.
    #[inline]
    #[must_use]
    pub fn with_tally<D: Tally>(self, tally: D) -> Endpoint<'m, P, D, R> {
        let core = self.core;
        Endpoint {
            core: Core {
                peers: core.peers,
                paths: core.paths,
                tally,
                config: core.config,
                bucket: core.bucket,
                latest: core.latest,
                deadline: core.deadline,
            },
            reassembler: self.reassembler,
        }
    }

    /// The peers.
    #[inline]
    #[must_use]
    pub const fn peers(&self) -> &P {
        &self.core.peers
    }

    /// The peers, to add and to remove some. What is known of the path of a peer that was removed or
    /// replaced is forgotten.
    ///
    /// A [`OnePeer`](super::OnePeer) that is overwritten by another is still the same peer: what was known of its path
    /// is kept, the MTU that the old policy gave it included. For another peer, or another [`MtuPolicy`], make a new
    /// endpoint on [`Path::EMPTY`].
    #[inline]
    #[must_use]
    pub const fn peers_mut(&mut self) -> &mut P {
        // A new peer may have a deadline.
        self.core.deadline = Instant::ZERO;
        &mut self.core.peers
    }

    /// The counters.
    #[inline]
    #[must_use]
    pub const fn tally(&self) -> &C {
        &self.core.tally
    }

    /// The counters, to reset them.
    #[inline]
    #[must_use]
    pub const fn tally_mut(&mut self) -> &mut C {
        &mut self.core.tally
    }

    /// The longest inner packet that the path to this peer carries, in bytes: the path MTU less the tunnel's
    /// overhead. `None` if there is no such peer.
    #[inline]
    #[must_use]
    pub fn inner_mtu(&mut self, now: Instant, peer: PeerId) -> Option<u16> {
        self.core.advance(now);
        let peer = self.core.named(peer)?;
        self.core.inner_mtu(peer)
    }

    /// The MTU of the path to this peer, in bytes. `None` if there is no such peer.
    #[inline]
    #[must_use]
    pub fn path_mtu(&mut self, now: Instant, peer: PeerId) -> Option<u16> {
        self.core.advance(now);
        let peer = self.core.named(peer)?;
        Some(self.core.peer(peer)?.2.mtu.current())
    }

    /// The length of a probe that tells whether the path MTU is right. A report about it is believed.
    pub(super) fn probe_of_path_mtu(&mut self, now: Instant, peer: PeerId) -> Option<u16> {
        let now = self.core.advance(now);
        let path = &mut self.core.peer(peer)?.2.mtu;
        let len = path.current();
        path.sent(now, len);
        Some(len)
    }

    /// The probe that a prober wants to send to this peer now (RFC 8899). Its result goes to
    /// [`on_confirmed`](Self::on_confirmed). [`expire`](Self::expire) tells of changes.
    #[inline]
    pub fn probe(&mut self, now: Instant, peer: PeerId, prober: &mut Prober) -> Option<Probe> {
        let now = self.core.advance(now);
        let probe = prober.poll(now, &mut self.core.probed(self.core.named(peer)?)?.2.mtu);
        self.core.deadline = Instant::ZERO;
        probe
    }

    /// The peer has confirmed a probe of `len` bytes.
    #[inline]
    pub fn on_confirmed(&mut self, now: Instant, peer: PeerId, prober: &mut Prober, len: u16) {
        let now = self.core.advance(now);
        let peer = self.core.named(peer);
        if let Some((_, _, path)) = peer.and_then(|peer| self.core.probed(peer)) {
            path.on_confirmed(now, prober, len);
        }
        self.core.deadline = Instant::ZERO;
    }

    /// The address that ICMP errors to inner sources come from, from now on
    /// ([`EndpointConfig::icmp_source`]).
    #[inline]
    pub const fn set_icmp_source(&mut self, icmp_source: Option<Ipv4Addr>) {
        self.core.config.icmp_source = icmp_source;
    }

    /// The link that outer packets leave by has another MTU now. [`expire`](Self::expire) tells of the
    /// inner MTUs that follow.
    ///
    /// A [`Prober`] notices at its next [`probe`](Self::probe). Until then a path MTU that was the link's grows with it,
    /// and long packets may be lost, so call `probe` at once, also if the prober has no deadline. A
    /// [`PathCheck`](super::PathCheck) does so at its next deadline; one that rests, after the next packet.
    #[inline]
    pub fn set_link_mtu(&mut self, now: Instant, link_mtu: u16) {
        let now = self.core.advance(now);
        self.core.config.link_mtu = link_mtu;
        for place in 0..self.core.peers.capacity() {
            let Some(id) = self.core.peers.at(place) else {
                continue;
            };
            if self.core.path(id).is_some() {
                if let Some((tunnel, policy, path)) = self.core.peer(id) {
                    let (link_mtu, _) = path_config(link_mtu, tunnel, policy);
                    path.set_link_mtu(now, link_mtu);
                }
            }
        }
        self.core.deadline = Instant::ZERO;
    }

    /// A datagram that [`Inbound::Whole`](super::Inbound::Whole) names, until the next packet comes from the
    /// network.
    #[inline]
    #[must_use]
    pub fn datagram(&mut self, slot: SlotId) -> Option<&mut [u8]> {
        self.reassembler.get_mut()?.packet(slot)
    }

    /// When to call [`expire`](Self::expire) next; `None` for never.
    ///
    /// Nothing may be due then, but after the call the next deadline is later.
    #[inline]
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let held = self.reassembler.get().and_then(Reassembler::next_deadline);
        let deadline = self.core.deadline.min(held.unwrap_or(Instant::MAX));
        (deadline < Instant::MAX).then_some(deadline)
    }

    /// Reports through `tell` each [`Change`] that is due: raised MTUs, due keepalives, silent peers. It looks at
    /// every peer, so call it at the [deadline](Self::next_deadline) and not for every packet. Packets pass without
    /// it, too; only these reports are then missing.
    #[inline]
    pub fn expire(&mut self, now: Instant, mut tell: impl FnMut(Change)) {
        let now = self.core.advance(now);
        if let Some(reassembler) = self.reassembler.get_mut() {
            for _ in 0..reassembler.expire(now) {
                self.core
                    .tally
                    .count(None, Event::GivenUp(Eviction::TimedOut), 0);
            }
        }
        let mut deadline = Instant::MAX;
        for place in 0..self.core.peers.capacity() {
            let Some(peer) = self.core.peers.at(place) else {
                continue;
            };
            let Some((tunnel, policy, path)) = self.core.peer(peer) else {
                continue;
            };
            if let Some(mtu) = path.poll_mtu(now) {
                let inner_mtu = inner_mtu(mtu, tunnel);
                tell(Change::InnerMtu { peer, inner_mtu });
            }
            if path.wants_keepalive(now, policy.keepalive) {
                tell(Change::KeepaliveDue { peer });
            }
            if path.falls_silent(now, policy.silence) {
                tell(Change::Silent { peer });
            }
            deadline = deadline.min(path.next_deadline(policy.keepalive, policy.silence));
        }
        self.core.deadline = deadline;
    }

    /// Whether nothing has come from the peer for as long as its policy says
    /// ([`PeerPolicy::silence`](super::PeerPolicy::silence)), as the last [`expire`](Self::expire) has found. It is
    /// false again as soon as the peer is heard.
    #[inline]
    #[must_use]
    pub fn is_silent(&self, peer: PeerId) -> bool {
        let place = usize::try_from(peer.place()).unwrap_or(usize::MAX);
        let path = self.core.paths.get(place);
        let is_silent = path.is_some_and(|path| path.is_of(peer) && path.is_silent());
        is_silent && self.core.peers.get(peer).is_some()
    }
}

impl<P: Peers, C: Tally> Core<'_, P, C> {
    /// A clock that runs backwards stands still.
    #[cfg_attr(
        not(all(target_os = "none", not(target_pointer_width = "64"))),
        inline(always)
    )]
    pub(super) fn advance(&mut self, now: Instant) -> Instant {
        // Of many packets in a millisecond most store nothing.
        if now <= self.latest {
            return self.latest;
        }
        self.latest = now;
        now
    }

    /// This peer that the caller names, if there is one.
    #[inline(always)]
    pub(super) fn named(&self, peer: PeerId) -> Option<PeerId> {
        self.peers.get(peer)?;
        Some(self.peers.known(peer))
    }

    /// The instant of this call.
    #[inline(always)]
    pub(super) const fn now(&self) -> Instant {
        self.latest
    }

    /// What is known of the path to this peer, if anything is.
    #[inline(always)]
    pub(super) fn path(&mut self, peer: PeerId) -> Option<&mut Path> {
        path_at(self.paths, peer).filter(|path| path.is_of(peer))
    }

    /// The tunnel to this peer, and what is known of its path, if anything is. Its MTU may be out of date.
    #[inline(always)]
    pub(super) fn begun(&mut self, peer: PeerId) -> Option<(&P::Tunnel, &mut Path)> {
        let (tunnel, _) = self.peers.get(peer)?;
        let path = path_at(self.paths, peer).filter(|path| path.is_of(peer))?;
        Some((tunnel, path))
    }

    /// The tunnel to this peer, what is done for it, and what is known of its path: nothing yet, if the memory
    /// is another peer's. Its [MTU](PathMtu::current) is that of now.
    #[inline(never)]
    pub(super) fn peer(&mut self, peer: PeerId) -> Option<(&P::Tunnel, &PeerPolicy, &mut Path)> {
        let now = self.latest;
        let (tunnel, policy, path) = self.probed(peer)?;
        path.mtu.advance(now);
        Some((tunnel, policy, path))
    }

    /// [`peer`](Self::peer) for a prober, which knows better when a path MTU is raised.
    #[inline(always)]
    fn probed(&mut self, peer: PeerId) -> Option<(&P::Tunnel, &PeerPolicy, &mut Path)> {
        let (tunnel, policy) = self.peers.get(peer)?;
        let path = path_at(self.paths, peer)?;
        if !path.is_of(peer) {
            begin_path(path, &self.config, self.latest, peer, (tunnel, policy));
        }
        Some((tunnel, policy, path))
    }

    /// [`Endpoint::inner_mtu`].
    pub(super) fn inner_mtu(&mut self, peer: PeerId) -> Option<u16> {
        let (tunnel, _, path) = self.peer(peer)?;
        Some(inner_mtu(path.mtu.current(), tunnel))
    }

    /// Something is due at `deadline`.
    pub(super) fn expect(&mut self, deadline: Instant) {
        self.deadline = self.deadline.min(deadline);
    }

    /// An ICMP error that is due about a packet, if it may be sent and the bucket of its peer gives what it
    /// costs. The packet may be cut, as a quoted one is. What strangers can cause at will leaves half of the rate.
    #[inline(never)]
    pub(super) fn error_about(
        &mut self,
        peer: Option<PeerId>,
        kind: Kind,
        offending: &[u8],
        is_forgeable: bool,
    ) -> Result<IcmpError, Cause> {
        let tunnel = peer.and_then(|peer| self.peers.get(peer));
        let outer_source = tunnel.map(|(tunnel, _)| tunnel.ends().0);
        let source = self.config.icmp_source.or(outer_source);
        let source = source.ok_or(Cause::NoPeer)?;
        let judged = Offending::quoted(offending)
            .and_then(|offending| offending.check(kind, source).map(|()| offending));
        let offending = match judged {
            Ok(offending) => offending,
            Err(silence) => return Err(Cause::Silent(silence)),
        };
        let path = peer.and_then(|peer| path_at(self.paths, peer).filter(|path| path.is_of(peer)));
        let bucket = path.map_or(&mut self.bucket, |path| &mut path.bucket);
        let may_send = if is_forgeable {
            bucket.take_spare(self.latest)
        } else {
            bucket.take(self.latest)
        };
        if may_send {
            Ok(offending.error(kind, source, self.config.icmp_quote_len))
        } else {
            Err(Cause::RateLimited)
        }
    }
}

/// What the path MTU leaves for inner packets. Less than 68 is no MTU (RFC 791 §3.2).
pub(super) fn inner_mtu<T: Encapsulate>(path_mtu: u16, tunnel: &T) -> u16 {
    path_mtu.saturating_sub(overhead(tunnel))
}

/// In bytes.
pub(super) fn overhead<T: Encapsulate>(tunnel: &T) -> u16 {
    u16::try_from(tunnel.overhead()).unwrap_or(u16::MAX)
}

/// The path that counts the packets to this address, whoever's it is: peers come, go, and share addresses.
#[cfg_attr(
    all(target_os = "none", not(target_pointer_width = "64")),
    inline(never)
)]
pub(super) fn counter_of(paths: &mut [Path], there: Ipv4Addr) -> Option<&mut Path> {
    let [high, low, ..] = mixed(u32::from(there)).to_be_bytes();
    let share = u32::from(u16::from_be_bytes([high, low]));
    let places = u32::from(u16::try_from(paths.len()).unwrap_or(u16::MAX));
    paths.get_mut(usize::try_from(share.wrapping_mul(places) >> 16).ok()?)
}

#[inline(always)]
fn path_at(paths: &mut [Path], peer: PeerId) -> Option<&mut Path> {
    paths.get_mut(usize::try_from(peer.place()).ok()?)
}

/// Where a path to this peer begins.
fn path_config<T: Encapsulate>(
    link_mtu: u16,
    tunnel: &T,
    policy: &PeerPolicy,
) -> (u16, PathMtuConfig) {
    let link_mtu = link_mtu.min(tunnel.max_len());
    match policy.mtu {
        MtuPolicy::Discover(config) => (link_mtu, config),
        MtuPolicy::Static(mtu) => (link_mtu.min(mtu), PathMtuConfig::STATIC),
    }
}

fn begin_path<T: PeerTunnel>(
    path: &mut Path,
    config: &EndpointConfig,
    now: Instant,
    peer: PeerId,
    (tunnel, policy): (&T, &PeerPolicy),
) {
    let (link_mtu, path_config) = path_config(config.link_mtu, tunnel, policy);
    // Multiplied by an odd number, so that no two peers have the same.
    let number = u64::from(peer.place()).rotate_left(32) | u64::from(peer.generation());
    let bucket = Bucket::new(BucketConfig {
        key: config.icmp_rate.key ^ number.wrapping_mul(0xff51_afd7_ed55_8ccd),
        ..config.icmp_rate
    });
    path.begin(now, peer, PathMtu::new(link_mtu, path_config), bucket);
}
