use core::net::Ipv4Addr;

use super::carrier::{Carried, Carrier};
use super::decapsulator::Decapsulator;
use super::outer::{Outer, fitting_len, refuse_loop, travelling_ttl};
use super::policy::Role;
use super::{Encapsulate, PerPacket};
use crate::error::{ConfigError, EncapError, ParseError, Reason, Refused};
use crate::filter::Access;
use crate::packet::PacketMeta;
use crate::wire::{IpProtocol, Ipv4, MinimalHeader};

/// Minimal encapsulation: not a second IPv4 header, but 8 or 12 bytes behind the one there is, which
/// is changed to lead to the tunnel's exit, protocol 55 (RFC 2004).
///
/// ```text
///  before  [··· headroom ···][IPv4 + options][payload]
///  after   [···][IPv4 + options][minimal 8, 12][payload]
///               └ to the exit ┘└ original addresses and protocol
/// ```
///
/// Whether the original source is carried (the S bit, 4 bytes more) is fixed by configuration, so
/// the overhead is the same for every packet. Without it a packet whose source is not the
/// encapsulator is refused ([`EncapError::SourceNotKept`]).
///
/// Of all encapsulators this one alone **moves and changes the inner header** (it is exempt from E-16
/// and E-19). Decapsulation restores it, with one exception: a header checksum of 0xFFFF comes out as
/// 0x0000, the other form of the same value, because RFC 1624 arithmetic never yields 0xFFFF. No
/// sender that follows RFC 1071 writes 0xFFFF there.
///
/// TTL, DSCP, ECN and DF need no policy: there is only one header (M-06). Fragments cannot be carried
/// (M-01), nor can packets with a source route: the options stay in the outer header, where
/// decapsulators refuse them (V-14). Receive with [`Decapsulator::minimal`].
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::encap::{Encapsulate, MinEnc};
///
/// # fn main() -> Result<(), ipencap::error::ConfigError> {
/// let tunnel = MinEnc::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2))?;
/// assert_eq!(tunnel.overhead(), 12);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct MinEnc {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    keeps_source: bool,
    role: Role,
    max_len: u16,
}

impl MinEnc {
    /// A tunnel from `source`, an address of the encapsulator, to `destination`, the decapsulator's,
    /// that carries the original source.
    ///
    /// # Errors
    /// [`ConfigError::ForbiddenSource`], [`ConfigError::ForbiddenDestination`].
    #[inline]
    pub const fn new(source: Ipv4Addr, destination: Ipv4Addr) -> Result<Self, ConfigError> {
        match Outer::new(source, destination, IpProtocol::MINIMAL) {
            Ok(_) => Ok(Self {
                source,
                destination,
                keeps_source: true,
                role: Role::Originate,
                max_len: u16::MAX,
            }),
            Err(error) => Err(error),
        }
    }

    /// Leaves the original source out: for a host that tunnels its own packets (S bit 0).
    #[inline]
    pub const fn without_source(self) -> Self {
        Self {
            keeps_source: false,
            ..self
        }
    }

    /// Sets whether packets originate here or are forwarded.
    #[inline]
    pub const fn with_role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// Sets the MTU of the link or path behind the tunnel, in bytes.
    #[inline]
    pub const fn with_link_mtu(self, mtu: u16) -> Self {
        Self {
            max_len: mtu,
            ..self
        }
    }

    const fn overhead_len(&self) -> u16 {
        if self.keeps_source { 12 } else { 8 }
    }
}

impl Encapsulate for MinEnc {
    #[inline]
    fn overhead(&self) -> usize {
        usize::from(self.overhead_len())
    }

    #[inline]
    fn judge(&self, inner: &PacketMeta, packet: &PerPacket) -> Result<PacketMeta, EncapError> {
        if inner.version() != 4 {
            return Err(ParseError::BadVersion {
                version: inner.version(),
            }
            .into());
        }
        let mut header = *inner.header();
        let ttl = travelling_ttl(header.ttl(), self.role)?;
        refuse_loop(
            header.source(),
            self.source,
            self.destination,
            self.role,
            false,
        )?;
        if header.is_fragment() {
            return Err(EncapError::Fragment);
        }
        if inner.has_source_route() {
            return Err(EncapError::SourceRoute);
        }
        if !self.keeps_source && header.source() != self.source {
            return Err(EncapError::SourceNotKept);
        }
        let max_len = self.max_len.min(packet.max_len());
        let total_len = fitting_len(inner, self.overhead_len(), max_len, packet.segment_len())?;
        header.edit(|edit| {
            edit.set_ttl(ttl)
                .set_total_len(total_len)
                .set_protocol(IpProtocol::MINIMAL)
                .set_source(self.source)
                .set_destination(self.destination);
        });
        Ok(PacketMeta::trusted(header))
    }

    #[inline]
    fn write(&self, frame: &mut [u8], inner: &PacketMeta, outer: &PacketMeta, _packet: &PerPacket) {
        let (overhead, header_len) = (self.overhead(), usize::from(inner.header().header_len()));
        let Some(headers) = frame.get_mut(..overhead.saturating_add(header_len)) else {
            return;
        };
        // The options move to the front with their header; the minimal header takes their place.
        headers.copy_within(overhead.., 0);
        let minimal = MinimalHeader::new(inner.header(), self.keeps_source);
        if let Some((_, shim)) = headers.split_at_mut_checked(header_len) {
            minimal.write(shim);
        }
        if let Some(fixed) = headers.first_chunk_mut() {
            *fixed = *outer.header().as_bytes();
        }
    }
}

/// Minimal encapsulation as a decapsulator sees it: the inner packet begins 8 or 12 bytes into the
/// outer one, where [`Opened::apply`](super::Opened::apply) writes the header that the encapsulator
/// took apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MinEncCarrier;

impl Carrier for MinEncCarrier {
    #[inline]
    fn protocol(&self) -> IpProtocol {
        IpProtocol::MINIMAL
    }

    #[inline]
    fn carried(&self, outer: Ipv4<'_>) -> Result<Carried, Refused> {
        let payload = outer.payload();
        let (minimal, _) = MinimalHeader::parse(payload).map_err(|error| match error {
            ParseError::BadChecksum => Refused::new(Reason::MinBadChecksum),
            error => Refused::truncated(Reason::MinTruncated, error),
        })?;
        // The minimal header lies within the total length, so it is not below zero.
        let shim_len = u16::try_from(minimal.wire_len()).unwrap_or_default();
        let mut restored = *outer.header();
        restored.edit(|edit| {
            let total_len = outer.header().total_len().saturating_sub(shim_len);
            edit.set_total_len(total_len)
                .set_protocol(minimal.protocol())
                .set_destination(minimal.destination());
            if let Some(source) = minimal.source() {
                edit.set_source(source);
            }
        });
        Ok(Carried::behind(minimal.wire_len(), payload.len()).restoring(restored))
    }

    /// There is only one ECN field: what the tunnel's path has marked is marked (M-06).
    #[inline]
    fn relays_ecn(&self) -> bool {
        false
    }
}

impl<A: Access> Decapsulator<MinEncCarrier, A> {
    /// A decapsulator of minimal encapsulation for whom `access` lets in.
    #[inline]
    pub const fn minimal(access: A) -> Self {
        Self::new(MinEncCarrier, access)
    }
}
