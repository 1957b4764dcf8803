use core::fmt::Debug;

use ipencap::encap::PerPacket;
use ipencap::error::EncapError;

use super::{EcnRow, Fields, Plain, equation_3, put_u16, u16_at, validate};

/// An encapsulator as the rules describe it.
pub trait NaiveEncapsulator: Debug {
    /// Bytes in front of the inner packet.
    fn overhead(&self) -> usize;

    /// Every reason why `inner` must not go into the tunnel: the rules give no order beyond V-01
    /// to V-07 coming first.
    fn objections(&self, inner: &[u8], said: &PerPacket) -> Vec<EncapError>;

    /// The outer packet around an `inner` to which there is no objection.
    fn outer(&self, inner: &[u8], said: &PerPacket) -> Vec<u8>;

    /// The hops that it takes off the inner TTL.
    fn hops(&self) -> u8;

    /// Whether the inner header stays where and as it is, behind the outer one (E-16, E-19).
    fn keeps_inner_header(&self) -> bool {
        true
    }

    /// Whether its outer header is the inner one, changed: what happens to the one happens to the
    /// other (M-06).
    fn is_transparent(&self) -> bool {
        false
    }
}

/// Where an outer identification comes from, if DF follows the inner packet.
#[derive(Clone, Copy, Debug)]
pub enum Ids {
    /// From the packet's number.
    PerPacket,
    /// Always this one.
    Constant(u16),
}

/// The outer header by RFC 2003 §3.1, one statement per field.
#[derive(Clone, Copy, Debug)]
pub struct OuterPolicy {
    /// Outer source.
    pub source: [u8; 4],
    /// Outer destination.
    pub destination: [u8; 4],
    /// Outer TTL; `None` inherits.
    pub ttl: Option<u8>,
    /// Outer DSCP; `None` copies.
    pub dscp: Option<u8>,
    /// Outer ECN field by inner ECN field.
    pub ecn: EcnRow,
    /// `None` sets DF always; otherwise DF follows, with this identification where it is clear.
    pub df_follows: Option<Ids>,
    /// Identification of packets with DF.
    pub atomic_identification: u16,
    /// A hop on the packet's way: TTL - 1.
    pub forwards: bool,
    /// Lets packets from the tunnel's exit in.
    pub hairpin: bool,
    /// The configured MTU.
    pub link_mtu: Option<u16>,
}

impl OuterPolicy {
    /// What the outer header has against `inner`, with `overhead` bytes in front of it.
    #[must_use]
    pub fn objections(
        &self,
        inner: &Fields<'_>,
        said: &PerPacket,
        overhead: usize,
    ) -> Vec<EncapError> {
        let mut objections = self.objections_to_travel(inner, said, overhead);
        let has_df = inner.flags_offset & 0x4000 != 0;
        if matches!(self.df_follows, Some(Ids::PerPacket))
            && !has_df
            && said.identification().is_none()
        {
            objections.push(EncapError::NoIdentification); // F-02
        }
        objections
    }

    /// What concerns TTL, addresses and lengths.
    #[must_use]
    pub fn objections_to_travel(
        &self,
        inner: &Fields<'_>,
        said: &PerPacket,
        overhead: usize,
    ) -> Vec<EncapError> {
        let mut objections = Vec::new();
        if inner.ttl == 0 {
            objections.push(EncapError::TtlZero); // T-06
        }
        if inner.ttl == 1 && self.forwards {
            objections.push(EncapError::TtlExpired); // T-04
        }
        if inner.source == self.destination && !self.hairpin {
            objections.push(EncapError::LoopToExit { layer: 0 }); // E-17
        }
        if inner.source == self.source && self.forwards {
            objections.push(EncapError::LoopOwnSource { layer: 0 }); // E-18
        }
        let outer_len = inner.total_len + overhead;
        let mtus = [self.link_mtu, said.link_mtu()];
        // A super-packet is as long as what it will be cut into.
        let segment_len = said
            .segment_len()
            .map_or(outer_len, |len| usize::from(len) + overhead);
        match mtus.into_iter().flatten().min() {
            Some(mtu) if mtu < u16::MAX && outer_len.min(segment_len) > usize::from(mtu) => {
                let mtu = mtu.saturating_sub(u16::try_from(overhead).unwrap());
                objections.push(EncapError::FragmentationNeeded { mtu }); // RFC 2003 §5.1
            }
            _ if outer_len > 65535 => {
                let len = u32::try_from(outer_len).unwrap();
                objections.push(EncapError::TooLong { len }); // E-06
            }
            _ => {}
        }
        objections
    }

    /// The inner packet as it travels on: without slack (E-20), one hop older where this is one.
    #[must_use]
    pub fn carried(&self, inner: &[u8]) -> Vec<u8> {
        let total_len = usize::from(u16_at(inner, 2));
        let mut carried = inner[..total_len].to_vec();
        if self.forwards {
            // T-03: as a normal IP forwarding would; the checksum by equation 3.
            let old = u16_at(&carried, 8);
            carried[8] -= 1;
            let new = u16_at(&carried, 8);
            let patched = equation_3(u16_at(&carried, 10), old, new);
            put_u16(&mut carried, 10, patched);
        }
        carried
    }

    /// The outer header's fields around an inner packet that [travels on](Self::carried).
    #[must_use]
    pub fn header(&self, carried: &[u8], said: &PerPacket, protocol: u8) -> Plain {
        let inner_has_df = u16_at(carried, 6) & 0x4000 != 0;
        let (df, identification) = match self.df_follows {
            Some(ids) if !inner_has_df => match ids {
                Ids::PerPacket => (false, u32::from(said.identification().unwrap())),
                Ids::Constant(constant) => (false, u32::from(constant)),
            },
            _ => (true, u32::from(self.atomic_identification)),
        };
        let dscp = self.dscp.unwrap_or(carried[1] / 4);
        let ecn = self.ecn[usize::from(carried[1] % 4)];
        Plain {
            tos: dscp * 4 + ecn,
            identification: u16::try_from(identification).unwrap(),
            flags_offset: if df { 0x4000 } else { 0 }, // E-09
            ttl: self.ttl.unwrap_or(carried[8]),
            protocol,
            source: self.source,
            destination: self.destination,
            options: Vec::new(), // E-15
        }
    }
}

/// E-01 and E-02: the inner packet's fields, or the one objection to an invalid one.
///
/// # Errors
/// That objection.
pub(super) fn inner_fields(inner: &[u8]) -> Result<Fields<'_>, Vec<EncapError>> {
    validate(inner, true).map_err(|error| vec![EncapError::Inner { error }])
}

/// One naive encapsulator around another: what goes into `inner` goes into `outer` then (L-08).
#[derive(Debug)]
pub struct NaiveStack<'a> {
    /// The outer one.
    pub outer: &'a dyn NaiveEncapsulator,
    /// The inner one, next to the packet.
    pub inner: &'a dyn NaiveEncapsulator,
}

impl NaiveStack<'_> {
    fn for_outer(&self, said: &PerPacket) -> PerPacket {
        let overhead = u16::try_from(self.inner.overhead()).unwrap();
        match said.segment_len() {
            Some(len) => said.with_segment_len(len.saturating_add(overhead)),
            None => *said,
        }
    }

    fn for_inner(&self, said: &PerPacket) -> PerPacket {
        let overhead = u16::try_from(self.outer.overhead()).unwrap();
        match said.link_mtu() {
            Some(mtu) => said.with_link_mtu(mtu.saturating_sub(overhead)),
            None => *said,
        }
    }
}

impl NaiveEncapsulator for NaiveStack<'_> {
    fn overhead(&self) -> usize {
        self.outer.overhead() + self.inner.overhead()
    }

    fn objections(&self, inner: &[u8], said: &PerPacket) -> Vec<EncapError> {
        let objections = self.inner.objections(inner, &self.for_inner(said));
        if !objections.is_empty() {
            return objections;
        }
        let middle = self.inner.outer(inner, &self.for_inner(said));
        let inner_overhead = u16::try_from(self.inner.overhead()).unwrap();
        self.outer
            .objections(&middle, &self.for_outer(said))
            .into_iter()
            .map(|objection| match objection {
                EncapError::LoopToExit { layer } => EncapError::LoopToExit { layer: layer + 1 },
                EncapError::LoopOwnSource { layer } => {
                    EncapError::LoopOwnSource { layer: layer + 1 }
                }
                EncapError::FragmentationNeeded { mtu } => EncapError::FragmentationNeeded {
                    mtu: mtu.saturating_sub(inner_overhead),
                },
                other => other,
            })
            .collect()
    }

    fn outer(&self, inner: &[u8], said: &PerPacket) -> Vec<u8> {
        let middle = self.inner.outer(inner, &self.for_inner(said));
        self.outer.outer(&middle, said)
    }

    fn hops(&self) -> u8 {
        let of_outer = if self.inner.is_transparent() {
            self.outer.hops()
        } else {
            0
        };
        self.inner.hops() + of_outer
    }

    fn keeps_inner_header(&self) -> bool {
        self.inner.keeps_inner_header()
    }

    fn is_transparent(&self) -> bool {
        self.inner.is_transparent() && self.outer.is_transparent()
    }
}
