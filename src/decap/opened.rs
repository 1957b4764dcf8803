use core::net::Ipv4Addr;

use zerocopy::FromBytes;

use crate::error::ParseError;
use crate::packet::Span;
use crate::wire::{COMMON_FIRST, Ecn, EcnAlarm, IpProtocol, Ipv4, Ipv4Header, copy};

/// A packet that a [`Decapsulate`](super::Decapsulate) inspects: its bytes, and what the layers around
/// it will change in its header.
///
/// From the wire: [`OuterPacket::new`]. Inside another tunnel: [`Opened::outer_packet`]. Nothing has been
/// written yet then, but the next layer sees the congestion mark that the outer layer passes on, or the
/// header that minimal encapsulation restores.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct OuterPacket<'a> {
    buffer: &'a [u8],
    span: Span,
    /// Its header, where the buffer does not have it.
    restored: Option<&'a Restored>,
    /// DSCP and ECN, where they are not those of the buffer.
    tos: Option<u8>,
    depth: u8,
    expects_tunnel: bool,
    is_if_common: bool,
    shares_parser: bool,
}

/// What decapsulation writes at the start of the inner packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Change {
    /// DSCP and ECN, with the header checksum.
    Tos(u8),
    /// The whole fixed header.
    Header(Restored),
}

/// A fixed header that minimal encapsulation has taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Restored {
    pub(super) header: Ipv4Header,
    /// How many bytes in front of their new place the options still lie.
    pub(super) options_back: u16,
}

impl<'a> OuterPacket<'a> {
    /// A packet from the wire.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            buffer: bytes,
            span: Span::new(0, bytes.len()),
            restored: None,
            tos: None,
            depth: 0,
            expects_tunnel: false,
            is_if_common: false,
            shares_parser: false,
        }
    }

    /// The same, where this host has already opened so many layers of the packet: they count against
    /// [`Receiver::with_max_depth`](super::Receiver::with_max_depth).
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

    /// Its bytes as they are in the buffer, without what the layers around it will change.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.span.get(self.buffer).unwrap_or_default()
    }

    /// The verdict of a [`Decapsulate`](super::Decapsulate) of your own: the inner packet lies at `span`
    /// of [`bytes`](Self::bytes) and needs no change.
    ///
    /// Read an IPv4 header with [`parse`](Self::parse), not from the bytes: only that sees what the
    /// layers around it will write. Most tunnels are easier to write as a [`Shim`](crate::shim::Shim),
    /// for which [`Receiver`](super::Receiver) makes all checks.
    #[inline]
    pub const fn opened(&self, span: Span) -> Opened {
        let start = self.span.start.saturating_add(span.start);
        Opened {
            depth: self.depth.saturating_add(1),
            ..Opened::new(Span::new(start, span.len))
        }
    }

    /// The same, where another layer will open what comes out. A tunnel packet inside is then not
    /// refused for the nesting limit; [`Opened::exceeds_nesting`] remembers that it would have been.
    #[inline]
    pub const fn expecting_tunnel(self) -> Self {
        Self {
            expects_tunnel: true,
            ..self
        }
    }

    /// Whether another layer will open what comes out.
    #[inline]
    #[must_use]
    pub const fn expects_tunnel(&self) -> bool {
        self.expects_tunnel
    }

    /// The same, which a receiver may refuse, for whatever reason, if it needs more than the common checks. Who
    /// asks so will ask again.
    #[inline(always)]
    pub(crate) const fn if_common(self) -> Self {
        Self {
            is_if_common: true,
            ..self
        }
    }

    /// The same for a program that parses packets elsewhere too: on small targets it is parsed by a call.
    #[inline(always)]
    pub(crate) const fn sharing_parser(self) -> Self {
        Self {
            shares_parser: !COMMON_FIRST,
            ..self
        }
    }

    #[inline(always)]
    pub(super) const fn is_if_common(&self) -> bool {
        self.is_if_common
    }

    /// The valid packet (RFC 1812 §5.2.2). `storage` holds its header if that differs from the buffer's.
    ///
    /// # Errors
    /// As [`Ipv4::parse`].
    #[inline]
    pub fn parse<'s>(&self, storage: &'s mut Option<Ipv4Header>) -> Result<Ipv4<'s>, ParseError>
    where
        'a: 's,
    {
        let (header, options_back) = match (self.restored, self.tos) {
            (Some(restored), _) => (
                storage.insert(restored.header),
                usize::from(restored.options_back),
            ),
            (None, None) => return self.parse_bytes(self.bytes()),
            (None, Some(tos)) => {
                let (header, ..) = Ipv4Header::split(self.bytes())?;
                let header = storage.insert(*header);
                header.set_tos(tos);
                (header, 0)
            }
        };
        let header_len = usize::from(header.header_len());
        let options_start = self
            .span
            .start
            .saturating_add(Ipv4Header::LEN)
            .saturating_sub(options_back);
        let options = Span::new(options_start, header_len.saturating_sub(Ipv4Header::LEN));
        let options = options.get(self.buffer).unwrap_or_default();
        let payload = self.bytes().get(header_len..).unwrap_or_default();
        Ipv4::from_parts(header, options, payload)
    }

    /// Parses these bytes, by code that is inlined or shared.
    #[inline(always)]
    pub(super) fn parse_bytes<'s>(&self, bytes: &'s [u8]) -> Result<Ipv4<'s>, ParseError> {
        if self.shares_parser {
            Ipv4::parse_by_call(bytes)
        } else {
            Ipv4::parse_any(bytes)
        }
    }

    /// Its header, where the buffer does not have it.
    #[inline]
    pub(super) const fn restored(&self) -> Option<&'a Restored> {
        self.restored
    }

    /// The DSCP and ECN field of the packet, whose header in the buffer is `header`.
    #[inline]
    pub(super) fn tos(&self, header: &Ipv4Header) -> u8 {
        self.tos.unwrap_or_else(|| header.tos())
    }

    /// What the layers around it will change of its header.
    pub(super) fn change(&self) -> Option<Change> {
        let restored = self.restored.copied().map(Change::Header);
        restored.or(self.tos.map(Change::Tos))
    }

    /// The inspected bytes, of which the packet is a part.
    #[inline]
    pub(crate) const fn buffer(&self) -> &'a [u8] {
        self.buffer
    }

    /// The place of the packet in the inspected bytes.
    #[inline]
    pub(super) const fn span(&self) -> Span {
        self.span
    }
}

/// What a socket of the host knows of the outer header that the host has removed.
///
/// The addresses come from `recvmsg` (the local one from `IP_PKTINFO`), the ECN field from
/// `IP_RECVTOS`. [`Receiver::inspect_payload`](super::Receiver::inspect_payload) takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(
    clippy::exhaustive_structs,
    reason = "what a socket knows, built by the caller"
)]
pub struct OuterMeta {
    /// The sender's address.
    pub source: Ipv4Addr,
    /// The address it was sent to, ours.
    pub destination: Ipv4Addr,
    /// What came: UDP for a datagram, TCP for a frame of a connection's stream.
    pub protocol: IpProtocol,
    /// The sender's port.
    pub source_port: u16,
    /// The port it was sent to, ours.
    pub destination_port: u16,
    /// The ECN field of the outer header.
    pub ecn: Ecn,
}

/// The verdict on a packet that may be opened: where the inner packet lies and what changes in it.
/// Nothing has been written yet; [`apply`](Self::apply) writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Opened {
    pub(super) span: Span,
    pub(super) slack: u16,
    pub(super) tag: u32,
    pub(super) peer: Option<u32>,
    pub(super) layers: u8,
    /// How many layers this host has opened of the packet, counting earlier passes.
    pub(super) depth: u8,
    pub(super) alarm: Option<EcnAlarm>,
    pub(super) sequence: Option<u32>,
    pub(super) change: Option<Change>,
    pub(super) exceeds_nesting: bool,
}

impl Opened {
    /// One layer opened: the inner packet lies at `span` of the inspected buffer.
    #[inline]
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
            change: None,
            exceeds_nesting: false,
        }
    }

    /// The same with `ecn` as the inner packet's new ECN field; `inner` is the packet at the span.
    #[inline]
    pub fn with_ecn(self, inner: Ipv4<'_>, ecn: Ecn) -> Self {
        let tos = inner.header().dscp().with_ecn(ecn);
        Self {
            change: (inner.header().tos() != tos).then_some(Change::Tos(tos)),
            ..self
        }
    }

    /// Where the inner packet lies in the inspected bytes.
    #[inline]
    #[must_use]
    pub const fn span(&self) -> Span {
        self.span
    }

    /// Bytes of the tunnel's payload behind the inner packet's total length, which are not part of
    /// it; of a stack, the sum over its layers.
    #[inline]
    #[must_use]
    pub const fn slack(&self) -> u16 {
        self.slack
    }

    /// The peer's [`Access::tag`](super::Access::tag); of a stack, the innermost layer's.
    #[inline]
    #[must_use]
    pub const fn tag(&self) -> u32 {
        self.tag
    }

    /// The number of the peer that sent the packet, from [`Access::peer`](super::Access::peer); of a
    /// stack, the innermost layer's. `None` where no peer was looked up.
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
    /// limited rate (RFC 6040 §4.2).
    #[inline]
    #[must_use]
    pub const fn alarm(&self) -> Option<EcnAlarm> {
        self.alarm
    }

    /// The sequence number of the innermost tunnel that has one (GRE; RFC 2890 §2.2).
    #[inline]
    #[must_use]
    pub const fn sequence(&self) -> Option<u32> {
        self.sequence
    }

    /// Whether the inner packet is a tunnel packet beyond the nesting limit: allowed only because
    /// another layer was expected to open it ([`OuterPacket::expecting_tunnel`]).
    #[inline]
    #[must_use]
    pub const fn exceeds_nesting(&self) -> bool {
        self.exceeds_nesting
    }

    /// Whether [`apply`](Self::apply) would change a byte. If not, the buffer may stay read-only.
    #[inline]
    #[must_use]
    pub const fn changes_bytes(&self) -> bool {
        self.change.is_some()
    }

    /// Whether [`apply`](Self::apply) writes the inner header, which minimal encapsulation has taken apart: the
    /// bytes at the span are no packet before that.
    #[inline]
    #[must_use]
    pub const fn restores_header(&self) -> bool {
        matches!(self.change, Some(Change::Header(_)))
    }

    /// The header that [`apply`](Self::apply) writes, if it writes it all.
    #[inline]
    pub(crate) const fn restored_header(&self) -> Option<&Ipv4Header> {
        match &self.change {
            Some(Change::Header(restored)) => Some(&restored.header),
            _ => None,
        }
    }

    /// Writes what decapsulation changes (the ECN field, the DSCP in the uniform model, the header that
    /// minimal encapsulation took apart) and returns the inner packet.
    ///
    /// `packet` is what was inspected. For another, shorter buffer the result is empty and nothing is
    /// written.
    #[inline(always)]
    pub fn apply<'b>(&self, packet: &'b mut [u8]) -> &'b mut [u8] {
        match &self.change {
            Some(Change::Header(restored)) => restored.write(packet, self.span),
            _ => self.apply_tos(packet),
        }
    }

    /// [`apply`](Self::apply) of a verdict that restores no header.
    #[inline(always)]
    pub(crate) fn apply_tos<'b>(&self, packet: &'b mut [u8]) -> &'b mut [u8] {
        let Some(inner) = self.span.get_mut(packet) else {
            return Default::default();
        };
        if let Some(Change::Tos(tos)) = self.change {
            if let Ok((header, _)) = Ipv4Header::mut_from_prefix(inner) {
                header.set_tos(tos);
            }
        }
        inner
    }

    /// [`apply`](Self::apply), and the verdict beside what it returns.
    #[inline(always)]
    pub(super) fn into_inner(self, packet: &mut [u8]) -> Inner<'_> {
        Inner {
            packet: self.apply(packet),
            opened: self,
        }
    }

    /// The inner packet as the outer packet of the next layer, before anything is written.
    ///
    /// `packet` is what was inspected.
    #[inline]
    pub const fn outer_packet<'a>(&'a self, packet: &'a [u8]) -> OuterPacket<'a> {
        let (restored, tos) = match &self.change {
            None => (None, None),
            Some(Change::Tos(tos)) => (None, Some(*tos)),
            Some(Change::Header(restored)) => (Some(restored), None),
        };
        OuterPacket {
            buffer: packet,
            span: self.span,
            restored,
            tos,
            depth: self.depth,
            expects_tunnel: false,
            is_if_common: false,
            shares_parser: false,
        }
    }

    /// This verdict on what `outer` has opened, and that of `outer`, as one.
    #[inline]
    pub const fn behind(mut self, outer: &Self) -> Self {
        self.go_behind(outer);
        self
    }

    /// [`behind`](Self::behind) in place, because a verdict is long to copy.
    #[inline]
    pub(super) const fn go_behind(&mut self, outer: &Self) {
        // The identity opens nothing, so the outer verdict stands.
        if self.layers == 0 {
            *self = *outer;
            return;
        }
        self.alarm = match (outer.alarm, self.alarm) {
            (Some(EcnAlarm::Dangerous), _) | (_, Some(EcnAlarm::Dangerous)) => {
                Some(EcnAlarm::Dangerous)
            }
            (Some(alarm), _) | (None, Some(alarm)) => Some(alarm),
            (None, None) => None,
        };
        if self.sequence.is_none() {
            self.sequence = outer.sequence;
        }
        self.depth = self.layers.saturating_add(outer.depth);
        self.layers = self.layers.saturating_add(outer.layers);
        self.slack = self.slack.saturating_add(outer.slack);
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

impl Restored {
    /// Writes the header at the start of `span`, moves its options behind it, and returns what is there.
    #[cold]
    fn write<'b>(&self, packet: &'b mut [u8], span: Span) -> &'b mut [u8] {
        if span.get(packet).is_none() {
            return Default::default();
        }
        let header_len = usize::from(self.header.header_len());
        let options_len = header_len.saturating_sub(Ipv4Header::LEN);
        let options_start = span.start.saturating_add(Ipv4Header::LEN);
        let from = Span::new(
            options_start.saturating_sub(usize::from(self.options_back)),
            options_len,
        );
        let mut options = [0; 40];
        copy(from.get(packet).unwrap_or_default(), &mut options);
        let behind = packet.get_mut(span.start..).unwrap_or_default();
        if let Some((fixed, behind)) = behind.split_first_chunk_mut() {
            *fixed = *self.header.as_bytes();
            copy(&options, behind.get_mut(..options_len).unwrap_or_default());
        }
        span.get_mut(packet).unwrap_or_default()
    }
}

/// The inner packet, with everything written, and the verdict on it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inner<'b> {
    /// Its bytes, in the buffer of the outer packet.
    pub packet: &'b mut [u8],
    /// Where it lay, who sent it, and what its ECN fields say.
    pub opened: Opened,
}
