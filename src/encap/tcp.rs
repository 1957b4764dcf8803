use core::net::Ipv4Addr;

use super::carrier::{Carried, Carrier, SocketCarrier};
use super::decapsulator::Decapsulator;
use super::opened::OuterMeta;
use super::outer::{Outer, outer_policies};
use super::policy::{DscpPolicy, EcnPolicy, InnerChecksum};
use super::{Encapsulate, PerPacket};
use crate::checksum::Sum;
use crate::error::{ConfigError, EncapError, ParseError, Reason, Refused};
use crate::filter::Access;
use crate::packet::PacketMeta;
use crate::wire::{
    self, Dscp, FragmentOffset, IpProtocol, Ipv4, Ipv4Header, LengthPrefix, TcpFlags, TcpHeader,
    copy,
};

/// Carries an IPv4 packet inside one TCP segment over IPv4: what passes where only TCP does.
///
/// ```text
///  before  [················ headroom ················][inner IPv4|payload]
///  after   [···][outer IPv4][TCP 20 to 60][length 0, 2][inner IPv4|payload]
///               └── overhead 40 to 82 ────────────────┘
/// ```
///
/// It writes headers; it is no TCP. Numbers, window, flags and options are the caller's
/// ([`PerPacket::with_tcp_numbers`]): retransmission, order and congestion control are not here, so
/// such packets are not safe for a shared network by themselves, and a stateful middlebox that does
/// not see the connection it expects drops them (S-05; RFC 8085 §3.1). Over a real TCP connection
/// frame the packets with [`stream`](crate::stream) instead.
///
/// ECN starts as [`EcnPolicy::Compatibility`] and DSCP as `Fixed(0)`: one connection, one of each
/// (RFC 9329 §9.3, §9.5). The checksum is always there, from the headers alone where these tell it
/// (C-20).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Tcp {
    outer: Outer,
    source_port: u16,
    destination_port: u16,
    flags: TcpFlags,
    window: u16,
    options: [u8; MAX_OPTIONS],
    options_len: u8,
    framing: Option<LengthPrefix>,
}

const MAX_OPTIONS: usize = 40;

outer_policies!(Tcp);

impl Tcp {
    /// The port that tells its packets from others of the protocol, if there is one.
    #[allow(clippy::unnecessary_wraps, reason = "other encapsulators have none")]
    const fn tunnel_port(&self) -> Option<u16> {
        Some(self.destination_port)
    }
}

impl Tcp {
    const PROTOCOL: IpProtocol = IpProtocol::TCP;

    /// A carrier between these ports: flags PSH and ACK, window 512, no options, no length prefix.
    ///
    /// # Errors
    /// [`ConfigError::ForbiddenSource`], [`ConfigError::ForbiddenDestination`].
    #[inline]
    pub const fn new(
        (source, source_port): (Ipv4Addr, u16),
        (destination, destination_port): (Ipv4Addr, u16),
    ) -> Result<Self, ConfigError> {
        match Outer::new(source, destination) {
            Ok(mut outer) => {
                outer.ecn = EcnPolicy::Compatibility;
                outer.dscp = DscpPolicy::Fixed(Dscp::DEFAULT);
                Ok(Self {
                    outer,
                    source_port,
                    destination_port,
                    flags: TcpFlags::PSH.union(TcpFlags::ACK),
                    window: 512,
                    options: [0; MAX_OPTIONS],
                    options_len: 0,
                    framing: None,
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Sets the flags.
    #[inline]
    pub const fn with_flags(self, flags: TcpFlags) -> Self {
        Self { flags, ..self }
    }

    /// Sets the window, unscaled.
    #[inline]
    pub const fn with_window(self, window: u16) -> Self {
        Self { window, ..self }
    }

    /// Sets the options, in words of 4 bytes.
    ///
    /// # Errors
    /// [`ConfigError::BadTcpOptions`] above 40 bytes or between words.
    #[inline]
    pub fn with_options(mut self, options: &[u8]) -> Result<Self, ConfigError> {
        let len = u8::try_from(options.len()).map_err(|_| ConfigError::BadTcpOptions)?;
        let target = self
            .options
            .get_mut(..options.len())
            .ok_or(ConfigError::BadTcpOptions)?;
        if len % 4 != 0 {
            return Err(ConfigError::BadTcpOptions);
        }
        copy(options, target);
        self.options_len = len;
        Ok(self)
    }

    /// Sets the options to the timestamps that most connections carry: NOP, NOP, then value and echo
    /// reply (RFC 7323 §3, appendix A).
    #[inline]
    pub const fn with_timestamps(mut self, value: u32, echo_reply: u32) -> Self {
        let [v1, v2, v3, v4] = value.to_be_bytes();
        let [e1, e2, e3, e4] = echo_reply.to_be_bytes();
        let timestamps = [1, 1, 8, 10, v1, v2, v3, v4, e1, e2, e3, e4];
        let mut options = [0; MAX_OPTIONS];
        if let Some((start, _)) = options.split_first_chunk_mut() {
            *start = timestamps;
        }
        self.options = options;
        self.options_len = 12;
        self
    }

    /// Puts a 16-bit length in front of the packet, as on a stream.
    #[inline]
    pub const fn with_framing(self, framing: LengthPrefix) -> Self {
        Self {
            framing: Some(framing),
            ..self
        }
    }

    fn option_bytes(&self) -> &[u8] {
        self.options
            .get(..usize::from(self.options_len))
            .unwrap_or_default()
    }

    const fn framing_len(&self) -> u16 {
        if self.framing.is_some() { 2 } else { 0 }
    }

    fn overhead_len(&self) -> u16 {
        u16::from(self.options_len)
            .saturating_add(self.framing_len())
            .saturating_add(40)
    }

    /// The fixed TCP header with its checksum 0.
    const fn tcp_header(&self, packet: &PerPacket) -> TcpHeader {
        let (sequence, acknowledgment) = packet.tcp_numbers();
        TcpHeader::new(
            (self.source_port, self.destination_port),
            (sequence, acknowledgment),
            (self.options_len >> 2).saturating_add(5),
            self.flags,
            self.window,
        )
    }
}

impl Encapsulate for Tcp {
    #[inline]
    fn overhead(&self) -> usize {
        usize::from(self.overhead_len())
    }

    #[inline]
    fn judge(&self, inner: &PacketMeta, packet: &PerPacket) -> Result<PacketMeta, EncapError> {
        let header = self
            .outer
            .judge(inner, packet, Self::PROTOCOL, self.overhead_len())?;
        if let Some(framing) = self.framing {
            let len = inner.header().total_len();
            framing.of(len).ok_or(EncapError::TooLong {
                len: u32::from(len),
            })?;
        }
        if inner.known_sum().is_none() && packet.inner_checksum() == InnerChecksum::Partial {
            return Err(EncapError::PartialChecksum);
        }
        let len = header.total_len().saturating_sub(20);
        let known_sum = !pseudo_sum(&header, len).fold();
        Ok(PacketMeta::trusted(header).with_transport(
            self.source_port,
            self.destination_port,
            Some(known_sum),
        ))
    }

    #[inline]
    fn write(&self, frame: &mut [u8], inner: &PacketMeta, outer: &PacketMeta, packet: &PerPacket) {
        let Some((header, behind)) = frame.split_first_chunk_mut() else {
            return;
        };
        let Some((tcp_bytes, behind)) = behind.split_first_chunk_mut::<{ TcpHeader::LEN }>() else {
            return;
        };
        let Some((options, behind)) = behind.split_at_mut_checked(usize::from(self.options_len))
        else {
            return;
        };
        let Some((prefix, inner_packet)) =
            behind.split_at_mut_checked(usize::from(self.framing_len()))
        else {
            return;
        };
        self.outer.forward(inner_packet, inner);
        copy(self.option_bytes(), options);
        let length = self
            .framing
            .and_then(|framing| framing.of(inner.header().total_len()));
        if let (Some(length), Some(target)) = (length, prefix.first_chunk_mut()) {
            *target = length;
        }

        let len = outer.header().total_len().saturating_sub(20);
        let mut tcp = self.tcp_header(packet);
        let fields = pseudo_sum(outer.header(), len)
            .add_header(zerocopy::transmute_ref!(&tcp))
            .add_bytes(options)
            .add_bytes(prefix);
        let sum = match inner.known_sum() {
            Some(known) => fields.add_u16(known),
            None => fields.add_bytes(inner_packet),
        };
        tcp.set_raw_checksum(sum.checksum());
        *tcp_bytes = zerocopy::transmute!(tcp);
        *header = *outer.header().as_bytes();
    }
}

const fn pseudo_sum(header: &Ipv4Header, len: u16) -> Sum {
    Sum::pseudo_header(
        header.source(),
        header.destination(),
        IpProtocol::TCP.0,
        len,
    )
}

/// A TCP carrier as a decapsulator sees it: its port and the length prefix it expects.
///
/// One segment, one packet, which must fill it (S-20). The outer ECN field is not the inner
/// packet's affair (N-17). A stream whose packets span segments is read with
/// [`stream`](crate::stream).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct TcpCarrier {
    destination_port: u16,
    framing: Option<LengthPrefix>,
}

impl TcpCarrier {
    /// Segments to this port, without length prefix.
    #[inline]
    pub const fn new(destination_port: u16) -> Self {
        Self {
            destination_port,
            framing: None,
        }
    }

    /// Expects a 16-bit length in front of the packet.
    #[inline]
    pub const fn with_framing(self, framing: LengthPrefix) -> Self {
        Self {
            framing: Some(framing),
            ..self
        }
    }

    fn carried_inside(self, payload: &[u8]) -> Result<Carried, Refused> {
        let Some(framing) = self.framing else {
            return Ok(Carried::behind(0, payload.len()));
        };
        let (&prefix, behind) = payload
            .split_first_chunk()
            .ok_or(Refused::new(Reason::TcpTruncated))?;
        match framing.packet_len(prefix) {
            Some(len) if usize::from(len) == behind.len() => {
                Ok(Carried::behind(LengthPrefix::LEN, payload.len()))
            }
            Some(len) if usize::from(len) > behind.len() => {
                let have = u16::try_from(behind.len()).unwrap_or(u16::MAX);
                let error = ParseError::Truncated { need: len, have };
                Err(Refused::truncated(Reason::TcpTruncated, error))
            }
            _ => Err(Refused::new(Reason::InnerLengthMismatch)),
        }
    }
}

impl Carrier for TcpCarrier {
    #[inline]
    fn protocol(&self) -> IpProtocol {
        IpProtocol::TCP
    }

    #[inline]
    fn carried(&self, outer: Ipv4<'_>) -> Result<Carried, Refused> {
        let tcp = wire::Tcp::parse(outer.payload()).map_err(|error| match error {
            ParseError::BadDataOffset { .. } => Refused::new(Reason::TcpBadOffset),
            error => Refused::truncated(Reason::TcpTruncated, error),
        })?;
        if tcp.header().destination_port() != self.destination_port {
            return Err(Refused::new(Reason::NotTunnel));
        }
        let header = outer.header();
        if !tcp.verifies(header.source(), header.destination()) {
            return Err(Refused::new(Reason::TcpBadChecksum));
        }
        let header_len = usize::from(tcp.header().header_len());
        Ok(self.carried_inside(tcp.payload())?.moved(header_len))
    }

    #[inline]
    fn reopens(&self, inner: Ipv4<'_>) -> bool {
        inner.header().protocol() == IpProtocol::TCP
            && inner.header().fragment_offset() == FragmentOffset::ZERO
            && TcpHeader::split(inner.payload())
                .is_ok_and(|(tcp, _, _)| tcp.destination_port() == self.destination_port)
    }

    #[inline]
    fn relays_ecn(&self) -> bool {
        false
    }

    #[inline]
    fn is_framed(&self) -> bool {
        true
    }
}

impl SocketCarrier for TcpCarrier {
    #[inline]
    fn carried_payload(&self, meta: &OuterMeta, payload: &[u8]) -> Result<Carried, Refused> {
        if meta.destination_port != self.destination_port {
            return Err(Refused::new(Reason::NotTunnel));
        }
        self.carried_inside(payload)
    }
}

impl<A: Access> Decapsulator<TcpCarrier, A> {
    /// A decapsulator of packets in TCP segments for whom `access` lets in.
    #[inline]
    pub const fn tcp(carrier: TcpCarrier, access: A) -> Self {
        Self::new(carrier, access)
    }
}
