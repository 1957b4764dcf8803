use super::peers::PeerId;
use crate::icmp::{Bucket, Kind};
use crate::packet::PerPacket;
use crate::pmtu::{PathMtu, Prober};
use crate::time::{Duration, Instant};

/// How long an unreachable exit is remembered, to tell the source of the next packet (RFC 2003 §5). As in
/// Linux.
const NOTICE_TIME: Duration = Duration::from_secs(30);

/// What an endpoint remembers of one peer: path MTU, numbers, ICMP errors and life. One for each place of
/// the peers, in the caller's memory. Cores that share peers have paths of their own.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// The generation of the peer that all this is about; its place is that of the path.
    generation: Generation,
    pub(super) mtu: PathMtu,
    pub(super) bucket: Bucket,
    /// What the source of the next packet is to be told, before this instant.
    notice: Kind,
    notice_until: Instant,
    /// When a packet came from the peer, and when one went there.
    heard: Instant,
    spoke: Instant,
    /// The number of the next packet, for GRE.
    sequence: u32,
    /// Counts the bytes of all packets, for TCP.
    stream: u32,
    /// Counts the packets that may be fragmented, to all addresses that count here.
    ordinal: u16,
    is_silent: bool,
    /// Whether the MTU has changed and nobody was told.
    is_mtu_untold: bool,
}

/// An `Option<u32>` in one word, which is compared at once: 0 for none.
type Generation = u64;

const fn generation(peer: PeerId) -> Generation {
    let [a, b, c, d] = peer.generation().to_be_bytes();
    u64::from_be_bytes([0, 0, 0, 1, a, b, c, d])
}

impl Path {
    /// Nothing is known yet: what to fill the memory of an endpoint with. It is all zero: in a firmware, a static of it
    /// takes no flash.
    pub const EMPTY: Self = Self {
        generation: 0,
        mtu: PathMtu::UNKNOWN,
        bucket: Bucket::UNKNOWN,
        notice: Kind::NetUnreachable,
        notice_until: Instant::ZERO,
        heard: Instant::ZERO,
        spoke: Instant::ZERO,
        sequence: 0,
        stream: 0,
        ordinal: 0,
        is_silent: false,
        is_mtu_untold: false,
    };

    /// Whether it is this peer's, at whose place it is.
    #[inline]
    pub(super) const fn is_of(&self, peer: PeerId) -> bool {
        self.generation == generation(peer)
    }

    /// Makes it that of a peer of which nothing is known but where it begins.
    ///
    /// Identifications go on: they count by address, whose peers come and go.
    pub(super) const fn begin(&mut self, now: Instant, peer: PeerId, mtu: PathMtu, bucket: Bucket) {
        *self = Self {
            generation: generation(peer),
            mtu,
            bucket,
            heard: now,
            spoke: now,
            ordinal: self.ordinal,
            ..Self::EMPTY
        };
    }

    /// The numbers of the next packet, for the fields that the caller has not set, but for an identification. The
    /// path has this MTU.
    #[cfg_attr(
        not(all(target_os = "none", not(target_pointer_width = "64"))),
        inline(always)
    )]
    pub(super) fn numbered(&self, mtu: u16, packet: &PerPacket) -> PerPacket {
        let (sequence, acknowledgment) = packet.tcp_numbers();
        let link_mtu = packet.link_mtu().unwrap_or(u16::MAX);
        packet
            .with_sequence(packet.sequence().unwrap_or(self.sequence))
            .with_tcp_numbers(sequence.wrapping_add(self.stream), acknowledgment)
            .with_link_mtu(link_mtu.min(mtu))
    }

    /// Whether there is no more to do about a packet than to number it, and the path MTU is
    /// [`PathMtu::current`].
    #[inline(always)]
    pub(super) const fn is_quiet(&self, now: Instant) -> bool {
        now.as_millis() >= self.notice_until.as_millis() && self.mtu.is_quiet(now)
    }

    /// A packet with these numbers went to the peer that takes `stream_len` bytes of a TCP layer's stream; its longest
    /// part has `len` bytes on the wire. The path MTU is [up to date](PathMtu::advance), or the path is
    /// [quiet](Self::is_quiet).
    #[inline(always)]
    pub(super) fn sent(&mut self, now: Instant, numbered: &PerPacket, stream_len: u32, len: u32) {
        self.mtu.sent_soon(len);
        self.count(now, numbered, stream_len);
    }

    /// A packet went to the peer, of whatever length. GRE counts on from the caller's number, if it was that.
    #[inline(always)]
    pub(super) const fn count(&mut self, now: Instant, numbered: &PerPacket, stream_len: u32) {
        self.spoke = now;
        self.sequence = numbered.next_sequence();
        self.stream = self.stream.wrapping_add(stream_len);
    }

    /// The number of the next packet that may be fragmented, to an address that counts here.
    pub(super) const fn ordinal(&self) -> u16 {
        self.ordinal
    }

    /// A packet with that number was sent.
    pub(super) const fn use_ordinal(&mut self) {
        self.ordinal = self.ordinal.wrapping_add(1);
    }

    /// A packet came from the peer, which is not silent.
    #[inline(always)]
    pub(super) const fn heard_again(&mut self, now: Instant) {
        self.heard = now;
    }

    /// A packet came from the peer.
    #[inline]
    pub(super) const fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.is_silent = false;
    }

    /// The exit cannot be reached: the source of the next packet will be told.
    pub(super) fn take_note(&mut self, now: Instant, kind: Kind) {
        (self.notice, self.notice_until) = (kind, now + NOTICE_TIME);
    }

    /// What the source of a packet is to be told.
    pub(super) fn notice(&self, now: Instant) -> Option<Kind> {
        (now < self.notice_until).then_some(self.notice)
    }

    /// It was told.
    pub(super) const fn forget_notice(&mut self) {
        self.notice_until = Instant::ZERO;
    }

    /// The link has another MTU now.
    pub(super) fn set_link_mtu(&mut self, now: Instant, link_mtu: u16) {
        self.is_mtu_untold |= self.mtu.set_link_mtu(now, link_mtu).is_some();
    }

    /// A prober was told that a packet of `len` bytes has arrived.
    pub(super) fn on_confirmed(&mut self, now: Instant, prober: &mut Prober, len: u16) {
        let changed = prober.on_confirmed(now, len, &mut self.mtu);
        self.is_mtu_untold |= changed.is_some();
        self.heard(now);
    }

    /// The MTU has changed, and nobody was told.
    pub(super) const fn tell_mtu(&mut self) {
        self.is_mtu_untold = true;
    }

    /// The path MTU, if it has changed and nobody was told.
    pub(super) fn poll_mtu(&mut self, now: Instant) -> Option<u16> {
        let changed = self.mtu.poll(now);
        let untold = core::mem::take(&mut self.is_mtu_untold);
        changed.or_else(|| untold.then(|| self.mtu.get(now)))
    }

    /// Whether the peer has been silent for so long; told once.
    pub(super) fn falls_silent(&mut self, now: Instant, after: Option<Duration>) -> bool {
        match after {
            Some(after) if !self.is_silent && now.since(self.heard) >= after => {
                self.is_silent = true;
                true
            }
            _ => false,
        }
    }

    /// Whether nothing has gone to the peer for so long; told again after the same time.
    pub(super) fn wants_keepalive(&mut self, now: Instant, after: Option<Duration>) -> bool {
        match after {
            Some(after) if after > Duration::ZERO && now.since(self.spoke) >= after => {
                self.spoke = now;
                true
            }
            _ => false,
        }
    }

    /// When something is due next.
    pub(super) fn next_deadline(
        &self,
        keepalive: Option<Duration>,
        silence: Option<Duration>,
    ) -> Instant {
        let keepalive = keepalive.filter(|after| *after > Duration::ZERO);
        let keepalive = keepalive.map_or(Instant::MAX, |after| self.spoke + after);
        let silence = silence.filter(|_| !self.is_silent);
        let silence = silence.map_or(Instant::MAX, |after| self.heard + after);
        let raise = self.mtu.next_deadline().unwrap_or(Instant::MAX);
        keepalive.min(silence).min(raise)
    }

    /// Whether the peer has been silent for longer than it may.
    #[inline]
    pub(super) const fn is_silent(&self) -> bool {
        self.is_silent
    }
}

impl Default for Path {
    #[inline]
    fn default() -> Self {
        Self::EMPTY
    }
}
