use core::hash::Hasher;
use core::net::Ipv4Addr;
use std::hash::DefaultHasher;

use ipencap::Span;
use ipencap::encap::{AnyTunnel, PerPacket, encap};
use ipencap::error::EncapError;
use ipencap::fragment::plan;
use ipencap::icmp::{Bucket, BucketConfig, IcmpError, Kind};
use ipencap::packet::Facts;
use ipencap::time::Instant;
use ipencap_balance::{Balancer, Choice, Count, Outcome};

/// What became of all packets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Sent to a backend.
    pub sent: u64,
    /// Split, because they had no DF flag; their fragments were sent to a backend.
    pub split: u64,
    /// Not sent but answered: too long.
    pub too_long: u64,
    /// Not sent but answered: the TTL has expired.
    pub expired: u64,
    /// Dropped without an answer, because there were too many or none may be sent.
    pub unanswered: u64,
    /// To no VIP: left to the system.
    pub passed: u64,
    /// To a VIP without an active backend.
    pub no_backend: u64,
    /// Dropped, because they are several packets that a device has merged.
    pub merged: u64,
    /// Dropped for another reason, by [`EncapError::counter`].
    pub dropped: [u64; EncapError::COUNT],
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            sent: 0,
            split: 0,
            too_long: 0,
            expired: 0,
            unanswered: 0,
            passed: 0,
            no_backend: 0,
            merged: 0,
            dropped: [0; EncapError::COUNT],
        }
    }
}

impl Tally {
    /// All packets.
    #[must_use]
    pub fn total(&self) -> u64 {
        let dropped: u64 = self.dropped.iter().sum();
        self.sent
            + self.split
            + self.too_long
            + self.expired
            + self.unanswered
            + self.passed
            + self.no_backend
            + self.merged
            + dropped
    }
}

/// What a packet has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Out<'p> {
    /// A packet to a backend.
    Backend(&'p [u8]),
    /// An ICMP error to a client.
    Client(&'p [u8]),
}

/// So many clients have rates of ICMP errors of their own; others share them.
const BUCKETS: usize = 1024;

/// A balancer with everything around it: answers to packets that are too long, and counters.
#[derive(Debug)]
pub struct Engine<'a> {
    balancer: Balancer<'a, AnyTunnel>,
    tally: Tally,
    key: u64,
    buckets: Vec<Bucket>,
    /// For answers and fragments.
    frame: Vec<u8>,
}

impl<'a> Engine<'a> {
    /// With this balancer. `key` is secret: it makes the rate of ICMP errors unpredictable,
    /// and which clients share one.
    #[must_use]
    pub fn new(balancer: Balancer<'a, AnyTunnel>, key: u64) -> Self {
        let bucket = |number: u64| {
            Bucket::new(BucketConfig {
                per_second: 10,
                burst: 10,
                key: key.wrapping_mul(number),
            })
        };
        Self {
            balancer,
            tally: Tally::default(),
            key,
            buckets: (1..).map(bucket).take(BUCKETS).collect(),
            frame: vec![0; 65_536 + Self::HEADROOM],
        }
    }

    /// Free bytes that a packet needs in front of it.
    pub const HEADROOM: usize = 64;

    /// What each backend was sent, by number.
    pub fn counts(&self) -> impl Iterator<Item = Count> + Clone {
        self.balancer.backends.iter().map(|backend| backend.count)
    }

    /// What became of all packets.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Counts a packet that is not IPv4.
    pub const fn pass_over(&mut self) {
        self.tally.passed += 1;
    }

    /// Drops several packets that a device has merged into one, if it is of a VIP. Whether it is.
    pub fn drop_merged(&mut self, packet: &[u8]) -> bool {
        let chosen = self.balancer.tables.choose(packet);
        let is_of_vip = chosen.is_ok_and(|(choice, _)| choice != Choice::NotAVip);
        let counter = if is_of_vip {
            &mut self.tally.merged
        } else {
            &mut self.tally.passed
        };
        *counter += 1;
        is_of_vip
    }

    /// Takes the packet at `packet` in `buffer`, behind [`HEADROOM`](Self::HEADROOM) bytes, and hands out what comes
    /// of it. Whether it is of a VIP.
    pub fn take(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        packet: Span,
        mut out: impl FnMut(Out<'_>),
    ) -> bool {
        match self.balancer.forward(buffer, packet) {
            Outcome::Send { outer, .. } => {
                self.tally.sent += 1;
                out(Out::Backend(outer.get(buffer).unwrap_or_default()));
            }
            Outcome::NotAVip => {
                self.tally.passed += 1;
                return false;
            }
            Outcome::NoBackend => self.tally.no_backend += 1,
            Outcome::TooLong { backend, mtu } => {
                let bytes = packet.get(buffer).unwrap_or_default();
                self.too_long(now, bytes, backend, mtu, &mut out);
            }
            Outcome::Refused(EncapError::TtlExpired) => {
                let bytes = packet.get(buffer).unwrap_or_default();
                let answered = self.answer(now, bytes, Kind::TimeExceeded, &mut out);
                if answered.is_some() {
                    self.tally.expired += 1;
                } else {
                    self.tally.unanswered += 1;
                }
            }
            Outcome::Refused(error) => self.tally.dropped[error.counter()] += 1,
            Outcome::Invalid(error) => {
                self.tally.dropped[EncapError::from(error).counter()] += 1;
            }
            _ => {}
        }
        true
    }

    /// RFC 1191 §4: with DF it is answered, without it is split.
    fn too_long(
        &mut self,
        now: Instant,
        packet: &[u8],
        backend: u16,
        mtu: u16,
        out: &mut impl FnMut(Out<'_>),
    ) {
        // What may not be answered, such as a later fragment, may still be split.
        let has_df = Facts::read(packet).is_ok_and(|facts| facts.has_df());
        let kind = Kind::FragmentationNeeded { mtu };
        if has_df && self.answer(now, packet, kind, out).is_some() {
            self.tally.too_long += 1;
        } else if !has_df && self.split(packet, backend, mtu, out) {
            self.tally.split += 1;
        } else {
            self.tally.unanswered += 1;
        }
    }

    /// Tells the client, unless there are too many or none may be sent. The error comes from the VIP, which is the address that the client knows.
    fn answer(
        &mut self,
        now: Instant,
        packet: &[u8],
        kind: Kind,
        out: &mut impl FnMut(Out<'_>),
    ) -> Option<()> {
        let facts = Facts::read(packet).ok()?;
        let error = IcmpError::about(packet, kind, facts.destination()).ok()?;
        let bucket = &mut self.buckets[bucket_of(self.key, facts.source())];
        if !bucket.take(now) {
            return None;
        }
        out(Out::Client(error.write(packet, &mut self.frame)?));
        Some(())
    }

    /// Sends a packet in fragments, each in a tunnel packet of its own. Fragments have no ports: so all go where the
    /// whole packet would.
    fn split(
        &mut self,
        packet: &[u8],
        backend: u16,
        mtu: u16,
        out: &mut impl FnMut(Out<'_>),
    ) -> bool {
        let backend = &mut self.balancer.backends[usize::from(backend)];
        let fragments = plan(packet, mtu).and_then(|plan| plan.fragments(packet));
        let Ok(fragments) = fragments else {
            return false;
        };
        // All of the datagram leave by one source port.
        let hash =
            Facts::read(packet).map_or(0, |facts| facts.flow().hash(self.balancer.tables.seed));
        let per_packet = PerPacket::new().with_flow_hash(hash);
        for fragment in fragments {
            let frame = &mut self.frame[..];
            let Ok(written) = fragment.write(packet, &mut frame[Self::HEADROOM..]) else {
                return false;
            };
            let inner = Span::new(Self::HEADROOM, written.len());
            let Ok(outer) = encap(&backend.tunnel, frame, inner, &per_packet) else {
                return false;
            };
            out(Out::Backend(outer));
            backend.count.packets += 1;
            backend.count.bytes += inner.len as u64;
        }
        true
    }
}

/// Which clients share a rate: nobody can choose whom to share one with who does not have the key.
fn bucket_of(key: u64, client: Ipv4Addr) -> usize {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(key);
    hasher.write_u32(client.to_bits());
    hasher.finish() as usize % BUCKETS
}
