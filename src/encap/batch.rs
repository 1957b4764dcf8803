//! Many packets in one call: the same bytes and verdicts as one by one.

use super::{Decapsulate, Encapsulate, Opened, PerPacket, Udp};
use crate::error::{EncapError, Refused};
use crate::packet::{Packet, PacketMeta, Span};

/// Wraps each of `packets` into `tunnel`, in place, and returns how many were.
///
/// `said` is asked for each packet by its place, so that identifications, sequence numbers and TCP numbers can count; who is
/// not wrapped is told to `refused`, and has not changed.
///
/// ```
/// # use core::net::Ipv4Addr;
/// # use ipencap::wire::{IpProtocol, Ipv4Header};
/// use ipencap::{Span, packet::Packet};
/// use ipencap::encap::{IpIp, PerPacket, encap_each};
/// # fn main() -> Result<(), Box<dyn core::error::Error>> {
/// # let inner = *Ipv4Header::new(Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9), IpProtocol(253), 20).as_bytes();
/// # let tunnel = IpIp::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2))?;
/// let mut frames = [[0; 40]; 32]; // of a receive ring, say
/// # for frame in &mut frames { frame[20..].copy_from_slice(&inner); }
/// let mut packets = frames.each_mut().map(|frame| Packet::new(frame, Span::new(20, 20)));
/// let mut drops = [0u32; ipencap::error::EncapError::COUNT];
/// let wrapped = encap_each(&tunnel, &mut packets, |_| PerPacket::new(), |_, error| {
///     drops[error.counter()] += 1;
/// });
/// assert_eq!(wrapped, 32);
/// # Ok(())
/// # }
/// ```
#[inline]
pub fn encap_each<E: Encapsulate + ?Sized>(
    tunnel: &E,
    packets: &mut [Packet<'_>],
    mut said: impl FnMut(usize) -> PerPacket,
    mut refused: impl FnMut(usize, EncapError),
) -> usize {
    // `enumerate` counts with an overflow check, which is a panic.
    let (mut place, mut wrapped) = (0usize, 0usize);
    for packet in packets {
        match packet.encap(tunnel, &said(place)) {
            Ok(()) => wrapped = wrapped.wrapping_add(1),
            Err(error) => refused(place, error),
        }
        place = place.wrapping_add(1);
    }
    wrapped
}

/// Opens each of `packets` with `tunnel`, tells every verdict, and returns how many were opened.
///
/// A packet that is refused has not changed.
#[inline]
pub fn decap_each<D: Decapsulate + ?Sized>(
    tunnel: &D,
    packets: &mut [Packet<'_>],
    mut verdict: impl FnMut(usize, Result<Opened, Refused>),
) -> usize {
    let (mut place, mut opened) = (0usize, 0usize);
    for packet in packets {
        let result = packet.decap(tunnel);
        if result.is_ok() {
            opened = opened.wrapping_add(1);
        }
        verdict(place, result);
        place = place.wrapping_add(1);
    }
    opened
}

/// Slots of equal length in one buffer, as rings of network cards and XDP sockets have them: a packet
/// in each, with room around it.
///
/// ```text
///  [ slot 0: headroom | packet | tailroom ][ slot 1: … ]…
///  └ stride ──────────────────────────────┘
/// ```
///
/// The spans count from the start of their slot.
///
/// ```
/// # use core::net::Ipv4Addr;
/// # use ipencap::wire::{IpProtocol, Ipv4Header};
/// use ipencap::Span;
/// use ipencap::encap::{IpIp, PerPacket, Ring};
/// # fn main() -> Result<(), Box<dyn core::error::Error>> {
/// # let inner = *Ipv4Header::new(Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9), IpProtocol(253), 20).as_bytes();
/// # let tunnel = IpIp::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2))?;
/// let mut memory = [0; 64 * 2048];
/// let mut spans = [Span::new(128, 20); 64];
/// # for slot in memory.chunks_exact_mut(2048) { slot[128..148].copy_from_slice(&inner); }
/// let mut ring = Ring::new(&mut memory, 2048, &mut spans);
/// let wrapped = ring.encap(&tunnel, |_| PerPacket::new(), |_, _| ());
/// assert_eq!((wrapped, spans[63]), (64, Span::new(108, 40)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Ring<'b> {
    memory: &'b mut [u8],
    stride: usize,
    spans: &'b mut [Span],
}

impl<'b> Ring<'b> {
    /// The slots of `stride` bytes in `memory`, of which the first have packets at `spans`. The packet
    /// of a span without a whole slot counts as truncated.
    #[inline]
    #[must_use]
    pub const fn new(memory: &'b mut [u8], stride: usize, spans: &'b mut [Span]) -> Self {
        Self {
            memory,
            stride,
            spans,
        }
    }

    #[inline]
    fn slots(&mut self) -> impl Iterator<Item = (&mut [u8], &mut Span)> {
        // In slots of one byte, to which `max` makes slots without length, there is no packet.
        let mut slots = self.memory.chunks_exact_mut(self.stride.max(1));
        let spans = self.spans.iter_mut();
        spans.map(move |span| (slots.next().unwrap_or_default(), span))
    }

    /// [`encap_each`] for the packets of the ring, whose spans become those of the outer ones.
    #[inline]
    pub fn encap<E: Encapsulate + ?Sized>(
        &mut self,
        tunnel: &E,
        mut said: impl FnMut(usize) -> PerPacket,
        mut refused: impl FnMut(usize, EncapError),
    ) -> usize {
        let overhead = tunnel.overhead();
        let (mut place, mut wrapped) = (0usize, 0usize);
        for (slot, span) in self.slots() {
            match super::encap(tunnel, slot, *span, &said(place)) {
                Ok(outer) => {
                    *span = Span::new(span.start.saturating_sub(overhead), outer.len());
                    wrapped = wrapped.wrapping_add(1);
                }
                Err(error) => refused(place, error),
            }
            place = place.wrapping_add(1);
        }
        wrapped
    }

    /// [`decap_each`] for the packets of the ring, whose spans become those of the inner ones.
    #[inline]
    pub fn decap<D: Decapsulate + ?Sized>(
        &mut self,
        tunnel: &D,
        mut verdict: impl FnMut(usize, Result<Opened, Refused>),
    ) -> usize {
        let (mut place, mut opened) = (0usize, 0usize);
        for (slot, span) in self.slots() {
            let bytes = span.get_mut(slot).unwrap_or_default();
            let result = super::decap(tunnel, bytes).map(|inner| inner.opened);
            if let Ok(inner) = result {
                let start = span.start.saturating_add(inner.span().start);
                *span = Span::new(start, inner.span().len);
                opened = opened.wrapping_add(1);
            }
            verdict(place, result);
            place = place.wrapping_add(1);
        }
        opened
    }
}

/// Wraps the packets at the start of `packets` that share one outer header, which is composed once:
/// a train of equal segments (C-30, C-32). Returns how many they are; the rest has not changed.
///
/// Segments of one flow with the same length, DSCP, ECN, TTL and flags share it; a shorter one behind
/// them ends the train (C-31). Where the outer header counts ([`DfPolicy::Copy`](super::DfPolicy),
/// GRE sequence numbers, [`Tcp`](super::Tcp)) or a checksum covers bytes, a train is one packet.
///
/// ```
/// # use core::net::Ipv4Addr;
/// # use ipencap::wire::{IpProtocol, Ipv4Header};
/// use ipencap::{Span, packet::Packet};
/// use ipencap::encap::{IpIp, PerPacket, encap_train};
/// # fn main() -> Result<(), Box<dyn core::error::Error>> {
/// # let inner = *Ipv4Header::new(Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9), IpProtocol(253), 20).as_bytes();
/// # let tunnel = IpIp::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2))?;
/// let mut frames = [[0; 40]; 32];
/// # for frame in &mut frames { frame[20..].copy_from_slice(&inner); }
/// let mut packets = frames.each_mut().map(|frame| Packet::new(frame, Span::new(20, 20)));
/// let mut rest = &mut packets[..];
/// let mut trains = 0;
/// let mut drops = [0; ipencap::error::EncapError::COUNT];
/// while !rest.is_empty() {
///     let taken = match encap_train(&tunnel, rest, &PerPacket::new()) {
///         Ok(taken) => { trains += 1; taken } // send them in one call
///         Err(error) => { drops[error.counter()] += 1; 1 } // it is about the first packet
///     };
///     rest = &mut rest[taken..];
/// }
/// assert_eq!(trains, 1);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`encap`](super::encap()) of the first packet; nothing has changed then.
#[inline]
pub fn encap_train<E: Encapsulate + ?Sized>(
    tunnel: &E,
    packets: &mut [Packet<'_>],
    said: &PerPacket,
) -> Result<usize, EncapError> {
    let Some((first, others)) = packets.split_first_mut() else {
        return Ok(0);
    };
    let leader = PacketMeta::read(first.as_slice())?;
    let shares = tunnel.shares_headers() && tunnel.judge_ordinary(&leader, said).is_some();
    first.encap(tunnel, said)?;
    let overhead = tunnel.overhead();
    let headers = first.as_slice().get(..overhead).unwrap_or_default();
    let mut train = 1usize;
    if !shares {
        return Ok(train);
    }
    for packet in others {
        match PacketMeta::read(packet.as_slice()) {
            Ok(meta) if meta.travels_like(&leader) => {
                let (buffer, span) = packet.parts_mut();
                let start = span.start.checked_sub(overhead);
                let place = start.map(|start| Span::new(start, overhead));
                let Some(target) = place.and_then(|place| place.get_mut(buffer)) else {
                    break;
                };
                crate::wire::copy(headers, target);
                let len = usize::from(meta.header().total_len()).wrapping_add(overhead);
                packet.set_span(Span::new(span.start.wrapping_sub(overhead), len));
            }
            Ok(meta) if meta.ends_train_of(&leader) => {
                if packet.encap(tunnel, said).is_ok() {
                    train = train.wrapping_add(1);
                }
                break;
            }
            _ => break,
        }
        train = train.wrapping_add(1);
    }
    Ok(train)
}

impl<const WORDS: usize> Udp<WORDS> {
    /// The payload form of a train, for a socket with segmentation offload (`UDP_SEGMENT`): one call
    /// sends all of it (C-35).
    ///
    /// ```text
    ///  [free|inner packet][free|inner packet]…[free|shorter one]
    ///  └ segment_len ────┘
    /// ```
    ///
    /// `segments` holds segments of `segment_len` bytes, the last of which may be shorter, each
    /// [`payload_overhead`](Self::payload_overhead) free bytes and an inner packet that fills it.
    /// Those at its start that share one outer header are written; returns how many bytes they are,
    /// to be sent with a segment size of `segment_len`, and what the outer header would be, for the
    /// socket's options and source port.
    ///
    /// ```
    /// # use core::net::Ipv4Addr;
    /// # use ipencap::encap::{PerPacket, Udp};
    /// # use ipencap::wire::{IpProtocol, Ipv4Header};
    /// # fn main() -> Result<(), Box<dyn core::error::Error>> {
    /// # let inner = *Ipv4Header::new(Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9), IpProtocol(253), 20).as_bytes();
    /// let tunnel = Udp::gue(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2))?;
    /// let segment_len = tunnel.payload_overhead() + 20;
    /// let mut segments = [0; 8 * 24];
    /// # for segment in segments.chunks_exact_mut(24) { segment[4..].copy_from_slice(&inner); }
    /// let (len, _) = tunnel.encap_payload_train(&mut segments, segment_len, &PerPacket::new())?;
    /// assert_eq!(len, 8 * segment_len); // one sendmsg with UDP_SEGMENT = segment_len
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`encap_payload`](Self::encap_payload) of the first segment; nothing has changed then.
    #[inline]
    pub fn encap_payload_train(
        &self,
        segments: &mut [u8],
        segment_len: usize,
        packet: &PerPacket,
    ) -> Result<(usize, PacketMeta), EncapError> {
        let free = self.payload_overhead();
        let (first, others) = match segments.split_at_mut_checked(segment_len) {
            Some(split) => split,
            None => (segments, <&mut [u8]>::default()),
        };
        let leader = self.read_payload(first)?;
        let outer = self.write_payload(first, &leader, packet)?;
        let mut len = free.saturating_add(usize::from(leader.header().total_len()));
        if len < segment_len {
            return Ok((len, outer));
        }
        for segment in others.chunks_mut(segment_len.max(1)) {
            let Ok(meta) = self.read_payload(segment) else {
                break;
            };
            let fills = usize::try_from(meta.len()).ok() == segment.len().checked_sub(free);
            let is_next = meta.travels_like(&leader) || meta.ends_train_of(&leader);
            if !fills || !is_next || self.write_payload(segment, &meta, packet).is_err() {
                break;
            }
            len = len.wrapping_add(segment.len());
        }
        Ok((len, outer))
    }
}
