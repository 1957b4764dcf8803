use crate::packet::Span;
use crate::wire::{Ecn, EcnAlarm, Ipv4Header};

/// A packet as a decapsulator meets it: its bytes, and the DSCP and ECN they will have once the
/// layers around it have been applied.
///
/// From the wire: [`Arrived::new`]. Inside another tunnel: [`Opened::arrived`], so that congestion
/// marks of an outer layer are seen by the next although no byte has been written yet (N-18).
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Arrived<'a> {
    bytes: &'a [u8],
    tos: Option<u8>,
}

impl<'a> Arrived<'a> {
    /// A packet from the wire.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, tos: None }
    }

    /// Its bytes, as they stand in the buffer.
    #[inline]
    #[must_use]
    pub const fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The former type-of-service byte (DSCP and ECN) of its `header`, after the layers around it.
    #[inline]
    #[must_use]
    pub const fn tos(self, header: &Ipv4Header) -> u8 {
        match self.tos {
            Some(tos) => tos,
            None => header.tos(),
        }
    }

    pub(super) const fn ecn(self, header: &Ipv4Header) -> Ecn {
        Ecn::from_bits_truncated(self.tos(header))
    }
}

/// The verdict on a packet that may be opened: where the inner packet lies and what it will look
/// like. Nothing has been written yet; [`apply`](Self::apply) does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub struct Opened {
    span: Span,
    slack: u16,
    tag: u32,
    layers: u8,
    alarm: Option<EcnAlarm>,
    fix_up: Option<FixUp>,
}

/// The bytes of the inner header that decapsulation changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct FixUp {
    pub(super) tos: u8,
    pub(super) checksum: u16,
}

impl Opened {
    /// The verdict of an [`Access`](crate::filter::Access)-checked or structural inspection.
    pub(super) const fn new(
        span: Span,
        slack: u16,
        tag: u32,
        alarm: Option<EcnAlarm>,
        fix_up: Option<FixUp>,
    ) -> Self {
        Self {
            span,
            slack,
            tag,
            layers: 1,
            alarm,
            fix_up,
        }
    }

    /// Where the inner packet lies in the inspected bytes.
    #[inline]
    #[must_use]
    pub const fn span(&self) -> Span {
        self.span
    }

    /// Bytes of the carrier's payload behind the inner packet's total length, which are not part of
    /// it (D-12).
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

    /// How many headers are taken off.
    #[inline]
    #[must_use]
    pub const fn layers(&self) -> u8 {
        self.layers
    }

    /// The alarm that the two ECN fields raise: to be counted or logged at a limited rate (N-13;
    /// RFC 6040 §4.2).
    #[inline]
    #[must_use]
    pub const fn alarm(&self) -> Option<EcnAlarm> {
        self.alarm
    }

    /// Whether [`apply`](Self::apply) would change a byte. If not, the buffer may stay read-only
    ///
    #[inline]
    #[must_use]
    pub const fn changes_bytes(&self) -> bool {
        self.fix_up.is_some()
    }

    /// Writes what decapsulation changes (the ECN field, the DSCP in the uniform model, and the
    /// header checksum, by RFC 1624) and returns the inner packet.
    ///
    /// `packet` is what was inspected. For another, shorter buffer the answer is empty and nothing
    /// is written.
    #[inline]
    pub fn apply<'b>(&self, packet: &'b mut [u8]) -> &'b mut [u8] {
        let inner = self.span.get_mut(packet).unwrap_or_default();
        if let Some(FixUp { tos, checksum }) = self.fix_up {
            if let Some([_, tos_byte, _, _, _, _, _, _, _, _, high, low]) =
                inner.first_chunk_mut::<12>()
            {
                *tos_byte = tos;
                [*high, *low] = checksum.to_be_bytes();
            }
        }
        inner
    }

    /// The inner packet as the next decapsulator meets it, before anything is written.
    ///
    /// `packet` is what was inspected.
    #[inline]
    pub fn arrived<'a>(&self, packet: &'a [u8]) -> Arrived<'a> {
        Arrived {
            bytes: self.span.get(packet).unwrap_or_default(),
            tos: self.fix_up.map(|fix_up| fix_up.tos),
        }
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
