use core::fmt::Debug;

use ipencap::encap::PerPacket;
use ipencap::error::EncapError;

use super::{EcnRow, Fields, Plain, equation_3, put_u16, u16_at, validate};

/// An encapsulator as the rules describe it.
pub trait NaiveEncapsulator: Debug {
    /// Bytes in front of the inner packet.
    fn overhead(&self) -> usize;

    /// How far in front of the inner packet each tunnel's headers reach, and the MTU it is configured
    /// with; the innermost first.
    fn link_mtus(&self) -> Vec<(usize, Option<u16>)>;

    /// Every reason why `inner` must not go into the tunnel: the rules give no order beyond V-01
    /// to V-07 coming first.
    fn objections(&self, inner: &[u8], said: &PerPacket) -> Vec<EncapError>;

    /// [`objections`](Self::objections) to anything but lengths.
    fn objections_but_lengths(&self, inner: &[u8], said: &PerPacket) -> Vec<EncapError> {
        let mut objections = self.objections(inner, said);
        objections.retain(|objection| !is_about_length(*objection));
        objections
    }

    /// The outer packet around an `inner` to which there is no objection.
    fn outer(&self, inner: &[u8], said: &PerPacket) -> Vec<u8>;

    /// The packet inside a quoted outer packet, as far as it is quoted, with its header restored. `None` if
    /// the tunnel cannot have written the outer one (I-20). The header checksum is of no account.
    fn unquoted(&self, quote: &[u8]) -> Option<Vec<u8>>;

    /// How many bytes of the stream of its outermost TCP layer an inner packet of this length takes.
    fn stream_len(&self, _inner_len: usize) -> Option<usize> {
        None
    }

    /// The hops that it takes off the inner TTL.
    fn hops(&self) -> u8;

    /// Whether the inner header stays where and as it is, behind the outer one (E-16, E-19).
    fn keeps_inner_header(&self) -> bool {
        true
    }

    /// Whether its headers can be told without the packet behind them.
    fn has_headers_by_value(&self) -> bool {
        self.keeps_inner_header()
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
    /// E-06 and RFC 2003 §5.1, of all tunnels at once: one MTU holds for the inner packet, the least that
    /// any of them and the link leave.
    fn objections_to_length(&self, inner: &Fields<'_>, said: &PerPacket) -> Vec<EncapError> {
        let overhead = self.overhead();
        let mut mtus = self.link_mtus();
        let reaches: Vec<usize> = mtus.iter().map(|&(reach, _)| reach).collect();
        mtus.push((overhead, said.link_mtu()));
        let mtus: Vec<(usize, usize)> = mtus
            .into_iter()
            .filter_map(|(reach, mtu)| {
                let mtu = mtu.filter(|&mtu| mtu < u16::MAX)?;
                Some((reach, usize::from(mtu)))
            })
            .collect();
        // What 16 bits hold is a limit, too, but none that a smaller fragment is asked for on its own.
        let limits = mtus.iter().map(|&(reach, mtu)| mtu.saturating_sub(reach));
        let tightest = limits.min().map(|mtu| mtu.min(65535 - overhead));
        let binds = mtus
            .iter()
            .any(|&(reach, mtu)| mtu + overhead - reach < 65535);
        // A super-packet is as long as what it will be cut into.
        let segment_len = said.segment_len().map(usize::from);
        let compared = segment_len.unwrap_or(inner.total_len).min(inner.total_len);
        let exceeds = mtus.iter().any(|&(reach, mtu)| compared + reach > mtu);
        let mut objections = Vec::new();
        if let Some(mtu) = tightest.filter(|_| exceeds) {
            let mtu = u16::try_from(mtu).unwrap();
            objections.push(EncapError::FragmentationNeeded { mtu });
        }
        let too_long = reaches
            .iter()
            .find(|&reach| inner.total_len + reach > 65535);
        if let Some(reach) = too_long.filter(|_| !binds || segment_len.is_some()) {
            let len = u32::try_from(inner.total_len + reach).unwrap();
            objections.push(EncapError::TooLong { len });
        }
        objections
    }
}

fn is_about_length(objection: EncapError) -> bool {
    matches!(
        objection,
        EncapError::FragmentationNeeded { .. } | EncapError::TooLong { .. }
    )
}

impl NaiveEncapsulator for NaiveStack<'_> {
    fn overhead(&self) -> usize {
        self.outer.overhead() + self.inner.overhead()
    }

    fn link_mtus(&self) -> Vec<(usize, Option<u16>)> {
        let mut mtus = self.inner.link_mtus();
        let overhead = self.inner.overhead();
        let around = self.outer.link_mtus().into_iter();
        mtus.extend(around.map(|(reach, mtu)| (reach + overhead, mtu)));
        mtus
    }

    fn objections(&self, inner: &[u8], said: &PerPacket) -> Vec<EncapError> {
        let mut objections = self.objections_but_lengths(inner, said);
        if let Ok(fields) = inner_fields(inner) {
            objections.extend(self.objections_to_length(&fields, said));
        }
        objections
    }

    fn objections_but_lengths(&self, inner: &[u8], said: &PerPacket) -> Vec<EncapError> {
        let objections = self.inner.objections_but_lengths(inner, said);
        let has_middle = objections.is_empty()
            && inner_fields(inner)
                .is_ok_and(|fields| fields.total_len + self.inner.overhead() <= 65535);
        if !has_middle {
            return objections;
        }
        let middle = self.inner.outer(inner, said);
        let layers = u8::try_from(self.inner.link_mtus().len()).unwrap();
        let of_outer = self.outer.objections_but_lengths(&middle, said).into_iter();
        let placed = of_outer.map(|objection| match objection {
            EncapError::LoopToExit { layer } => EncapError::LoopToExit {
                layer: layer + layers,
            },
            EncapError::LoopOwnSource { layer } => EncapError::LoopOwnSource {
                layer: layer + layers,
            },
            other => other,
        });
        placed.collect()
    }

    fn outer(&self, inner: &[u8], said: &PerPacket) -> Vec<u8> {
        let middle = self.inner.outer(inner, said);
        self.outer.outer(&middle, said)
    }

    fn unquoted(&self, quote: &[u8]) -> Option<Vec<u8>> {
        self.inner.unquoted(&self.outer.unquoted(quote)?)
    }

    fn stream_len(&self, inner_len: usize) -> Option<usize> {
        let middle_len = inner_len + self.inner.overhead();
        let outermost = self.outer.stream_len(middle_len);
        outermost.or_else(|| self.inner.stream_len(inner_len))
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

    fn has_headers_by_value(&self) -> bool {
        self.inner.has_headers_by_value() && self.outer.has_headers_by_value()
    }

    fn is_transparent(&self) -> bool {
        self.inner.is_transparent() && self.outer.is_transparent()
    }
}
