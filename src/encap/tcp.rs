use core::net::Ipv4Addr;

use super::native::{beside, fold, halves, stored, stored_payload_len, widened};
use super::outer::{Outer, outer_policies};
use super::policy::{DscpPolicy, EcnPolicy, InnerChecksum};
use super::{Encapsulate, PerPacket};
use crate::checksum::Sum;
use crate::decap::{Access, Carried, Carrier, Receiver, SocketCarrier};
use crate::error::{ConfigError, EncapError, ParseError, Reason, Refused};
use crate::packet::PacketMeta;
use crate::wire::{
    self, Dscp, FragmentOffset, IpProtocol, Ipv4, LengthPrefix, TcpFlags, TcpHeader, copy,
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
/// (C-20). Receive with [`Receiver::tcp`] and a [`TcpCarrier`].
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::encap::{Encapsulate, PerPacket, Tcp};
///
/// # fn main() -> Result<(), ipencap::error::ConfigError> {
/// let (ours, theirs) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2));
/// let tunnel = Tcp::new((ours, 40001), (theirs, 443))?.with_timestamps(7, 9);
/// assert_eq!(tunnel.overhead(), 52);
/// let said = PerPacket::new().with_tcp_numbers(1000, 2000); // of the connection, for this packet
/// # let _ = said;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Tcp {
    pub(super) outer: Outer,
    source_port: u16,
    destination_port: u16,
    flags: TcpFlags,
    window: u16,
    options: [u8; MAX_OPTIONS],
    options_len: u8,
    framing: Option<LengthPrefix>,
    /// Data offset, flags and window, as they are stored.
    offset_flags_window: u32,
    /// Of pseudo-header, ports, flags, window and options: all that is summed and does not vary.
    sum: u16,
    /// Of IP and TCP header, options and prefix, in bytes.
    overhead: u16,
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
    /// A carrier between these ports: flags PSH and ACK, window 512, no options, no length prefix.
    ///
    /// # Errors
    /// [`ConfigError::ForbiddenSource`], [`ConfigError::ForbiddenDestination`].
    #[inline]
    pub const fn new(
        (source, source_port): (Ipv4Addr, u16),
        (destination, destination_port): (Ipv4Addr, u16),
    ) -> Result<Self, ConfigError> {
        match Outer::new(source, destination, IpProtocol::TCP) {
            Ok(outer) => {
                let one_of_each = DscpPolicy::Fixed(Dscp::DEFAULT);
                Ok(Self {
                    outer: outer
                        .with_ecn(EcnPolicy::Compatibility)
                        .with_dscp(one_of_each),
                    source_port,
                    destination_port,
                    flags: TcpFlags::PSH.union(TcpFlags::ACK),
                    window: 512,
                    options: [0; MAX_OPTIONS],
                    options_len: 0,
                    framing: None,
                    offset_flags_window: 0,
                    sum: 0,
                    overhead: 0,
                }
                .completed())
            }
            Err(error) => Err(error),
        }
    }

    /// Sets the flags.
    #[inline]
    pub const fn with_flags(self, flags: TcpFlags) -> Self {
        Self { flags, ..self }.completed()
    }

    /// Sets the window, unscaled.
    #[inline]
    pub const fn with_window(self, window: u16) -> Self {
        Self { window, ..self }.completed()
    }

    /// Sets the options, in words of 4 bytes.
    ///
    /// # Errors
    /// [`ConfigError::BadTcpOptions`] above 40 bytes or between words.
    #[inline]
    pub const fn with_options(mut self, options: &[u8]) -> Result<Self, ConfigError> {
        let mut all = [0; MAX_OPTIONS];
        let (mut from, mut len) = (options, 0u8);
        let mut to: &mut [u8] = &mut all;
        while let Some((&word, rest)) = from.split_first_chunk::<4>() {
            let Some((place, free)) = to.split_first_chunk_mut() else {
                return Err(ConfigError::BadTcpOptions);
            };
            *place = word;
            (from, to) = (rest, free);
            len = len.wrapping_add(4);
        }
        if !from.is_empty() {
            return Err(ConfigError::BadTcpOptions);
        }
        self.options = all;
        self.options_len = len;
        Ok(self.completed())
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
        self.completed()
    }

    /// Puts a 16-bit length in front of the packet, as on a stream.
    #[inline]
    pub const fn with_framing(self, framing: LengthPrefix) -> Self {
        Self {
            framing: Some(framing),
            ..self
        }
        .completed()
    }

    fn option_bytes(&self) -> &[u8] {
        self.options
            .get(..usize::from(self.options_len))
            .unwrap_or_default()
    }

    const fn framing_len(&self) -> u16 {
        if self.framing.is_some() { 2 } else { 0 }
    }

    /// The same with what follows from the other fields.
    const fn completed(self) -> Self {
        let ports = stored(self.source_port).wrapping_add(stored(self.destination_port));
        let mut sum = widened(self.outer.pseudo_sum())
            .wrapping_add(ports)
            .wrapping_add(halves(self.fourth_word()));
        let mut options: &[u8] = &self.options;
        while let Some((&[a, b], rest)) = options.split_first_chunk() {
            sum = sum.wrapping_add(stored(u16::from_be_bytes([a, b])));
            options = rest;
        }
        Self {
            offset_flags_window: self.fourth_word(),
            sum: fold(sum),
            overhead: u16::from_be_bytes([0, self.options_len])
                .wrapping_add(self.framing_len())
                .wrapping_add(40),
            ..self
        }
    }

    pub(super) const fn ordinary_inner_len(&self) -> u16 {
        self.outer.ordinary_inner_len(self.overhead)
    }

    #[inline(always)]
    pub(super) fn folded(&self, inner: &PacketMeta, _packet: &PerPacket) -> Option<PacketMeta> {
        inner.known_sum()?;
        Some(self.with_ports(self.outer.folded(inner, self.overhead)))
    }

    #[allow(
        clippy::unused_self,
        reason = "it has a checksum always, others may not"
    )]
    pub(super) const fn needs_bytes(&self, inner: &PacketMeta) -> bool {
        inner.known_sum().is_none() && inner.byte_sum().is_none()
    }

    /// The word of data offset, flags and window.
    const fn fourth_word(&self) -> u32 {
        let header = TcpHeader::new(
            (0, 0),
            (0, 0),
            (self.options_len >> 2).wrapping_add(5),
            self.flags,
            self.window,
        );
        let words: [u32; 5] = zerocopy::transmute!(header);
        let [_, _, _, word, _] = words;
        word
    }

    /// The outer packet with its ports and the sum that its checksum gives it (C-20).
    #[inline(always)]
    const fn with_ports(&self, outer: PacketMeta) -> PacketMeta {
        let known_sum = Some(self.outer.transport_sum(&outer));
        outer.with_transport(self.source_port, self.destination_port, known_sum)
    }

    /// Writes all headers in front of a packet of this length and sum.
    #[inline(always)]
    fn write_headers(
        &self,
        headers: &mut [u8],
        outer: &PacketMeta,
        (inner_len, inner_sum): (u16, u16),
        packet: &PerPacket,
    ) {
        let Some((fixed, behind)) = headers.split_first_chunk_mut::<40>() else {
            return;
        };
        // A packet that is not too long for the headers around it is none for the prefix (S-12).
        let prefix = self.framing.and_then(|framing| framing.of(inner_len));
        let [high, low] = prefix.unwrap_or_default();
        let (sequence, acknowledgment) = packet.tcp_numbers();
        let numbers = [sequence.to_be(), acknowledgment.to_be()];
        let sum = widened(self.sum)
            .wrapping_add(stored_payload_len(outer))
            .wrapping_add(halves(sequence.to_be()))
            .wrapping_add(halves(acknowledgment.to_be()))
            .wrapping_add(stored(u16::from_be_bytes([high, low])))
            .wrapping_add(stored(inner_sum));
        let [sequence, acknowledgment] = numbers;
        let tcp = [
            beside(stored(self.source_port), stored(self.destination_port)),
            sequence,
            acknowledgment,
            self.offset_flags_window,
            beside(widened(!fold(sum)), 0),
        ];
        if let Some((ip, target)) = fixed.split_first_chunk_mut() {
            *ip = *outer.header().as_bytes();
            if let Some(target) = target.first_chunk_mut::<{ TcpHeader::LEN }>() {
                *target = zerocopy::transmute!(tcp);
            }
        }
        if !behind.is_empty() {
            self.write_options(behind, prefix);
        }
    }

    fn write_options(&self, behind: &mut [u8], prefix: Option<[u8; LengthPrefix::LEN]>) {
        copy(self.option_bytes(), behind);
        if let (Some(prefix), Some(target)) = (prefix, behind.last_chunk_mut()) {
            *target = prefix;
        }
    }
}

impl Encapsulate for Tcp {
    #[inline]
    fn overhead(&self) -> usize {
        usize::from(self.overhead)
    }

    #[inline]
    fn judge(&self, inner: &PacketMeta, packet: &PerPacket) -> Result<PacketMeta, EncapError> {
        let outer = self.outer.judge(inner, packet, self.overhead)?;
        if inner.known_sum().is_none() && packet.inner_checksum() == InnerChecksum::Partial {
            return Err(EncapError::PartialChecksum);
        }
        Ok(self.with_ports(outer))
    }

    #[inline(always)]
    fn judge_ordinary(&self, inner: &PacketMeta, packet: &PerPacket) -> Option<PacketMeta> {
        inner.known_sum()?;
        let outer = self.outer.judge_ordinary(inner, packet, self.overhead)?;
        Some(self.with_ports(outer))
    }

    #[inline]
    fn write(&self, frame: &mut [u8], inner: &PacketMeta, outer: &PacketMeta, packet: &PerPacket) {
        let Some((headers, inner_packet)) = frame.split_at_mut_checked(self.overhead()) else {
            return;
        };
        self.outer.forward(inner_packet, 0);
        let sum = match (inner.known_sum(), inner.byte_sum()) {
            (Some(sum), _) | (None, Some(sum)) => sum,
            (None, None) => Sum::new().add_bytes(inner_packet).fold(),
        };
        self.write_headers(headers, outer, (inner.header().total_len(), sum), packet);
    }

    #[inline(always)]
    fn write_ordinary(
        &self,
        frame: &mut [u8],
        inner: &PacketMeta,
        outer: &PacketMeta,
        packet: &PerPacket,
    ) {
        if let Some((headers, _)) = frame.split_at_mut_checked(self.overhead()) {
            let sum = inner.known_sum().unwrap_or_default();
            self.write_headers(headers, outer, (inner.header().total_len(), sum), packet);
        }
    }
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
    const PROTOCOL: IpProtocol = IpProtocol::TCP;
    const IS_CONNECTION: bool = true;

    #[inline]
    fn read(&self, outer: Ipv4<'_>) -> Result<Carried, Refused> {
        let tcp = wire::Tcp::parse(outer.payload()).map_err(|error| match error {
            ParseError::BadDataOffset { .. } => Refused::new(Reason::TcpBadOffset),
            error => Refused::truncated(Reason::TcpTruncated, error),
        })?;
        if tcp.header().destination_port() != self.destination_port {
            return Err(Refused::new(Reason::NotTunnel));
        }
        if !tcp.verifies(outer.header().source(), outer.final_destination()) {
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
}

impl SocketCarrier for TcpCarrier {
    #[inline]
    fn read_payload(&self, destination_port: u16, payload: &[u8]) -> Result<Carried, Refused> {
        if destination_port != self.destination_port {
            return Err(Refused::new(Reason::NotTunnel));
        }
        self.carried_inside(payload)
    }
}

impl<A: Access> Receiver<TcpCarrier, A> {
    /// A decapsulator of packets in TCP segments for whom `access` lets in.
    #[inline]
    pub const fn tcp(carrier: TcpCarrier, access: A) -> Self {
        Self::new(carrier, access)
    }
}
