use super::gre::GreCarrier;
use crate::decap::{Access, Carried, Carrier, Receiver, SocketCarrier};
use crate::error::{ParseError, Reason, Refused};
use crate::wire::{
    self, FragmentOffset, GueHeader, GueVariant, IpProtocol, Ipv4, UdpChecksum, UdpHeader,
};

/// A UDP tunnel as a decapsulator sees it: its port, what is inside, and whether a checksum must be
/// there.
///
/// A checksum that is there is always verified (U-05, C-24). GUE accepts both variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct UdpCarrier {
    destination_port: u16,
    inside: Inside,
    requires_checksum: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Inside {
    Ipv4,
    Gue,
    Gre(GreCarrier),
}

impl UdpCarrier {
    /// The IANA port of GRE in UDP (RFC 8086 §10).
    pub const GRE_PORT: u16 = 4754;

    /// FOU to this port.
    #[inline]
    pub const fn fou(destination_port: u16) -> Self {
        Self {
            destination_port,
            inside: Inside::Ipv4,
            requires_checksum: false,
        }
    }

    /// GUE to port 6080, variants 0 and 1.
    #[inline]
    pub const fn gue() -> Self {
        Self {
            destination_port: GueHeader::PORT,
            inside: Inside::Gue,
            requires_checksum: false,
        }
    }

    /// GRE in UDP to port 4754.
    #[inline]
    pub const fn gre(gre: GreCarrier) -> Self {
        Self {
            destination_port: Self::GRE_PORT,
            inside: Inside::Gre(gre),
            requires_checksum: false,
        }
    }

    /// Sets the destination port.
    #[inline]
    pub const fn with_destination_port(self, destination_port: u16) -> Self {
        Self {
            destination_port,
            ..self
        }
    }

    /// Refuses datagrams without checksum (U-06). Not in
    /// [`inspect_payload`](Receiver::inspect_payload): an ordinary socket takes them and does not
    /// say so.
    #[inline]
    pub const fn requiring_checksum(self) -> Self {
        Self {
            requires_checksum: true,
            ..self
        }
    }

    fn carried_inside(&self, payload: &[u8]) -> Result<Carried, Refused> {
        match self.inside {
            Inside::Ipv4 => Ok(Carried::behind(0, payload.len())),
            Inside::Gue => {
                gue_shim_len(payload).map(|shim_len| Carried::behind(shim_len, payload.len()))
            }
            Inside::Gre(gre) => gre.carried_in(payload),
        }
    }
}

impl Carrier for UdpCarrier {
    const PROTOCOL: IpProtocol = IpProtocol::UDP;

    #[inline]
    fn read(&self, outer: Ipv4<'_>) -> Result<Carried, Refused> {
        let udp = wire::Udp::parse(outer.payload()).map_err(|error| match error {
            ParseError::BadUdpLength { .. } => Refused::new(Reason::UdpBadLength),
            error => Refused::truncated(Reason::UdpTruncated, error),
        })?;
        if udp.header().destination_port() != self.destination_port {
            return Err(Refused::new(Reason::NotTunnel));
        }
        match udp.checksum_status(outer.header().source(), outer.final_destination()) {
            UdpChecksum::Invalid => return Err(Refused::new(Reason::UdpBadChecksum)),
            UdpChecksum::Absent if self.requires_checksum => {
                return Err(Refused::new(Reason::UdpChecksumRequired));
            }
            UdpChecksum::Absent | UdpChecksum::Valid => {}
        }
        Ok(self.carried_inside(udp.payload())?.moved(UdpHeader::LEN))
    }

    #[inline]
    fn reopens(&self, inner: Ipv4<'_>) -> bool {
        inner.header().protocol() == IpProtocol::UDP
            && inner.header().fragment_offset() == FragmentOffset::ZERO
            && UdpHeader::split(inner.payload())
                .is_ok_and(|(udp, _)| udp.destination_port() == self.destination_port)
    }
}

impl SocketCarrier for UdpCarrier {
    #[inline]
    fn read_payload(&self, destination_port: u16, payload: &[u8]) -> Result<Carried, Refused> {
        if destination_port != self.destination_port {
            return Err(Refused::new(Reason::NotTunnel));
        }
        self.carried_inside(payload)
    }
}

/// G-01 to G-13: the length of what stands in front of the IPv4 packet.
fn gue_shim_len(payload: &[u8]) -> Result<usize, Refused> {
    let reason = match GueVariant::of(payload) {
        None => Reason::GueTruncated,
        Some(GueVariant::Unknown) => Reason::GueBadVersion,
        Some(GueVariant::DirectIp { version: 4 }) => return Ok(0),
        Some(GueVariant::DirectIp { .. }) => Reason::GueBadVariant1Version,
        Some(GueVariant::Header) => {
            let (header, _, behind) = GueHeader::split(payload)
                .map_err(|error| Refused::truncated(Reason::GueTruncated, error))?;
            match header.protocol() {
                _ if header.is_control() => Reason::GueControl,
                _ if header.flags() != 0 => Reason::GueUnknownFlags,
                IpProtocol::IPENCAP => return Ok(payload.len().saturating_sub(behind.len())),
                IpProtocol(0) => Reason::GueProtoZero,
                IpProtocol(59) => Reason::GueNoNextHeader,
                _ => Reason::UnsupportedInnerProtocol,
            }
        }
    };
    Err(Refused::new(reason))
}

impl<A: Access> Receiver<UdpCarrier, A> {
    /// A decapsulator of UDP tunnel packets for whom `access` lets in.
    #[inline]
    pub const fn udp(carrier: UdpCarrier, access: A) -> Self {
        Self::new(carrier, access)
    }
}
