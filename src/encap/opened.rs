use core::net::Ipv4Addr;

use zerocopy::FromBytes;

use crate::error::ParseError;
use crate::packet::Span;
use crate::wire::{Ecn, EcnAlarm, Ipv4, Ipv4Header};

/// A packet as a decapsulator meets it: its bytes, and the header it will have once the layers
/// around it have been taken off.
///
/// From the wire: [`Arrived::new`]. Inside another tunnel: [`Opened::arrived`], so that what an
/// outer layer changes (a congestion mark, a header that minimal encapsulation restores) is seen by
/// the next although no byte has been written yet (N-18).
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Arrived<'a> {
    buffer: &'a [u8],
    span: Span,
    rewrite: Option<Rewrite>,
    opened_next: bool,
    depth: u8,
}

/// What decapsulation changes at the start of the inner packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Rewrite {
    /// DSCP and ECN of the header that stands there, with its checksum.
    Tos(u8),
    /// All of the fixed header, which minimal encapsulation has taken apart.
    Header {
        header: Ipv4Header,
        /// How many bytes in front of their new place the options still lie.
        options_back: usize,
    },
}

impl<'a> Arrived<'a> {
    /// A packet from the wire.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            buffer: bytes,
            span: Span::new(0, bytes.len()),
            rewrite: None,
            opened_next: false,
            depth: 0,
        }
    }

    /// The same, where so many layers of the packet have been opened by this host before: they count
    /// against [`Decapsulator::with_max_depth`](super::Decapsulator::with_max_depth).
    #[inline]
    pub const fn at_depth(self, depth: u8) -> Self {
        Self { depth, ..self }
    }

    /// How many layers have been opened before.
    #[inline]
    #[must_use]
    pub const fn depth(&self) -> u8 {
        self.depth
    }

    /// Its bytes as they stand in the buffer: without what the layers around it will change.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.span.get(self.buffer).unwrap_or_default()
    }

    /// The verdict of one's own [`Decapsulate`](super::Decapsulate): the inner packet lies at `span`
    /// of [`bytes`](Self::bytes) and needs no change.
    ///
    /// Read an IPv4 header by [`parse`](Self::parse), not from the bytes: only there does it have
    /// what the layers around it will write. Most tunnels are easier as a
    /// [`Carrier`](super::Carrier), which brings all the checks with it.
    #[inline]
    pub const fn opened(&self, span: Span) -> Opened {
        let start = self.span.start.saturating_add(span.start);
        Opened {
            depth: self.depth.saturating_add(1),
            ..Opened::new(Span::new(start, span.len))
        }
    }

    /// The same, where what comes out will be opened by the next layer of a stack: a tunnel packet
    /// inside is then what is expected, not one too many (D-20).
    #[inline]
    pub const fn opened_next(self) -> Self {
        Self {
            opened_next: true,
            ..self
        }
    }

    /// Whether the next layer of a stack opens what comes out.
    #[inline]
    #[must_use]
    pub const fn is_opened_next(&self) -> bool {
        self.opened_next
    }

    /// The packet, proven by V-01 to V-07. `storage` holds its header if that is not in the buffer
    /// yet.
    ///
    /// # Errors
    /// As [`Ipv4::parse`].
    #[inline]
    pub fn parse<'s>(&self, storage: &'s mut Option<Ipv4Header>) -> Result<Ipv4<'s>, ParseError>
    where
        'a: 's,
    {
        let bytes = self.bytes();
        let (header, options_back) = match self.rewrite {
            None => return Ipv4::parse_any(bytes),
            Some(Rewrite::Tos(tos)) => {
                let (header, ..) = Ipv4Header::split(bytes)?;
                let header = storage.insert(*header);
                header.set_tos(tos);
                (header, 0)
            }
            Some(Rewrite::Header {
                header,
                options_back,
            }) => (storage.insert(header), options_back),
        };
        let options_len = usize::from(header.header_len()).saturating_sub(Ipv4Header::LEN);
        let options_start = self
            .span
            .start
            .saturating_add(Ipv4Header::LEN)
            .saturating_sub(options_back);
        let options = Span::new(options_start, options_len)
            .get(self.buffer)
            .unwrap_or_default();
        let payload = bytes
            .get(usize::from(header.header_len())..)
            .unwrap_or_default();
        Ipv4::from_parts(header, options, payload)
    }

    /// What the layers around it will change of its header.
    pub(super) const fn rewrite(&self) -> Option<Rewrite> {
        self.rewrite
    }

    /// The inspected bytes, of which the packet is a part.
    pub(super) const fn buffer(&self) -> &'a [u8] {
        self.buffer
    }

    /// The place of the packet in the inspected bytes.
    pub(super) const fn span(&self) -> Span {
        self.span
    }
}

/// The outer header's addresses, ports and ECN field, where a socket of the host has taken the header
/// off: what [`Decapsulator::inspect_payload`](super::Decapsulator::inspect_payload) judges instead.
///
/// The addresses come from `recvmsg` (the local one from `IP_PKTINFO`), the ECN field from
/// `IP_RECVTOS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(
    clippy::exhaustive_structs,
    reason = "what a socket tells, built by the caller"
)]
pub struct OuterMeta {
    /// The sender's address.
    pub source: Ipv4Addr,
    /// The address it was sent to, ours.
    pub destination: Ipv4Addr,
    /// The sender's port.
    pub source_port: u16,
    /// The port it was sent to, ours.
    pub destination_port: u16,
    /// The ECN field of the outer header.
    pub ecn: Ecn,
}

/// The verdict on a packet that may be opened: where the inner packet lies and what it will look
/// like. Nothing has been written yet; [`apply`](Self::apply) does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Opened {
    pub(super) span: Span,
    pub(super) slack: u16,
    pub(super) tag: u32,
    pub(super) peer: Option<u32>,
    pub(super) layers: u8,
    /// How many layers this host has opened of the packet, in all its passes.
    pub(super) depth: u8,
    pub(super) alarm: Option<EcnAlarm>,
    pub(super) sequence: Option<u32>,
    pub(super) rewrite: Option<Rewrite>,
}

impl Opened {
    /// One layer opened: the inner packet lies at `span` of the inspected buffer.
    pub(super) const fn new(span: Span) -> Self {
        Self {
            span,
            slack: 0,
            tag: 0,
            peer: None,
            layers: 1,
            depth: 1,
            alarm: None,
            sequence: None,
            rewrite: None,
        }
    }

    /// The same with `ecn` as what becomes of the inner packet's ECN field; `inner` is the packet at
    /// the span.
    #[inline]
    pub fn with_ecn(self, inner: Ipv4<'_>, ecn: Ecn) -> Self {
        Self {
            rewrite: Rewrite::to_tos(inner.header(), inner.header().dscp().with_ecn(ecn)),
            ..self
        }
    }

    /// Where the inner packet lies in the inspected bytes.
    #[inline]
    #[must_use]
    pub const fn span(&self) -> Span {
        self.span
    }

    /// Bytes of the carrier's payload behind the inner packet's total length, which are not part of
    /// it (D-12); of a stack's, those of all of its layers.
    #[inline]
    #[must_use]
    pub const fn slack(&self) -> u16 {
        self.slack
    }

    /// What [`Access::tag`](crate::filter::Access::tag) says of the peer.
    #[inline]
    #[must_use]
    pub const fn tag(&self) -> u32 {
        self.tag
    }

    /// The number of the peer that sent the packet, as [`Access::peer`](crate::filter::Access::peer)
    /// gave it; of a stack, the innermost layer's. `None` where nobody looked it up.
    #[inline]
    #[must_use]
    pub const fn peer(&self) -> Option<u32> {
        self.peer
    }

    /// How many headers are taken off.
    #[inline]
    #[must_use]
    pub const fn layers(&self) -> u8 {
        self.layers
    }

    /// The alarm that the ECN fields raise, the worst of all layers: to be counted or logged at a
    /// limited rate (N-13; RFC 6040 §4.2).
    #[inline]
    #[must_use]
    pub const fn alarm(&self) -> Option<EcnAlarm> {
        self.alarm
    }

    /// The sequence number of the innermost carrier that has one (GRE; RFC 2890 §2.2).
    #[inline]
    #[must_use]
    pub const fn sequence(&self) -> Option<u32> {
        self.sequence
    }

    /// Whether [`apply`](Self::apply) would change a byte. If not, the buffer may stay read-only
    ///
    #[inline]
    #[must_use]
    pub const fn changes_bytes(&self) -> bool {
        self.rewrite.is_some()
    }

    /// Writes what decapsulation changes (the ECN field, the DSCP in the uniform model, the header
    /// that minimal encapsulation took apart) and returns the inner packet.
    ///
    /// `packet` is what was inspected. For another, shorter buffer the answer is empty and nothing
    /// is written.
    #[inline]
    pub fn apply<'b>(&self, packet: &'b mut [u8]) -> &'b mut [u8] {
        if let Some(rewrite) = self.rewrite {
            rewrite.apply(packet, self.span);
        }
        self.span.get_mut(packet).unwrap_or_default()
    }

    /// The inner packet as the next decapsulator meets it, before anything is written.
    ///
    /// `packet` is what was inspected.
    #[inline]
    pub const fn arrived<'a>(&self, packet: &'a [u8]) -> Arrived<'a> {
        Arrived {
            buffer: packet,
            span: self.span,
            rewrite: self.rewrite,
            opened_next: false,
            depth: self.depth,
        }
    }

    /// The same verdict, where what was inspected lies `by` bytes further back in a buffer.
    #[inline]
    pub(super) const fn further_back(self, by: usize) -> Self {
        let start = self.span.start.saturating_add(by);
        Self {
            span: Span::new(start, self.span.len),
            ..self
        }
    }

    /// This verdict on what `outer` has opened, as one.
    #[inline]
    pub const fn behind(self, outer: &Self) -> Self {
        // The identity opens nothing: what the outer one has said stands.
        if self.layers == 0 {
            return *outer;
        }
        let alarm = match (outer.alarm, self.alarm) {
            (Some(EcnAlarm::Dangerous), _) | (_, Some(EcnAlarm::Dangerous)) => {
                Some(EcnAlarm::Dangerous)
            }
            (Some(alarm), _) | (None, Some(alarm)) => Some(alarm),
            (None, None) => None,
        };
        let sequence = match self.sequence {
            Some(number) => Some(number),
            None => outer.sequence,
        };
        Self {
            layers: self.layers.saturating_add(outer.layers),
            depth: self.layers.saturating_add(outer.depth),
            alarm,
            sequence,
            slack: self.slack.saturating_add(outer.slack),
            ..self
        }
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Opened {
    #[inline]
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(
            f,
            "{} layers, {}, alarm {}",
            self.layers,
            self.span,
            self.alarm
        );
    }
}

impl Rewrite {
    /// What makes this header have this TOS byte, if it has not.
    #[inline]
    pub(super) fn to_tos(header: &Ipv4Header, tos: u8) -> Option<Self> {
        (header.tos() != tos).then_some(Self::Tos(tos))
    }

    #[inline]
    fn apply(&self, packet: &mut [u8], span: Span) {
        let Some(inner) = span.get_mut(packet) else {
            return;
        };
        match *self {
            Self::Tos(tos) => {
                if let Ok((header, _)) = Ipv4Header::mut_from_prefix(inner) {
                    header.set_tos(tos);
                }
            }
            Self::Header {
                header,
                options_back,
            } => restore(&header, options_back, packet, span.start),
        }
    }
}

/// Writes a header that minimal encapsulation took apart, behind which its options move.
#[cold]
fn restore(header: &Ipv4Header, options_back: usize, packet: &mut [u8], start: usize) {
    let options_len = usize::from(header.header_len()).saturating_sub(Ipv4Header::LEN);
    let options_end = start
        .saturating_add(Ipv4Header::LEN)
        .saturating_add(options_len);
    let moved = packet.get_mut(..options_end).unwrap_or_default();
    if options_back > 0 {
        // From the last option byte to the first: they move back, over themselves.
        for to in (start.saturating_add(Ipv4Header::LEN)..options_end).rev() {
            let byte = moved.get(to.saturating_sub(options_back)).copied();
            if let (Some(byte), Some(target)) = (byte, moved.get_mut(to)) {
                *target = byte;
            }
        }
    }
    let fixed = packet.get_mut(start..).unwrap_or_default();
    if let Some(fixed) = fixed.first_chunk_mut() {
        *fixed = *header.as_bytes();
    }
}

/// The inner packet, opened and applied, with the verdict on it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inner<'b> {
    /// Its bytes, in the buffer of the outer packet.
    pub packet: &'b mut [u8],
    /// Where it lay, who sent it, and what its ECN fields say.
    pub opened: Opened,
}
