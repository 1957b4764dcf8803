use super::native::beside;
use super::udp::{bytes_sum, check_bytes};
use super::{Carried, PseudoHeader, Shim, SocketShim, fold, halves, stored, widened};
use crate::checksum::Sum;
use crate::error::{ConfigError, EncapError, ParseError, Reason, Refused};
use crate::packet::{Facts, PerPacket, Rules};
use crate::wire::{
    self, FragmentOffset, IpProtocol, Ipv4, LengthPrefix, TcpFlags, TcpHeader, copy,
};

/// One TCP segment around one packet: what passes where only TCP does.
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
/// not see the connection it expects drops them (RFC 8085 §3.1). Over a real TCP connection frame the
/// packets with [`stream`](crate::stream) instead.
///
/// A tunnel over it starts with [`OuterPolicy::CONNECTION`](crate::encap::OuterPolicy::CONNECTION): one
/// connection has one ECN field and one DSCP (RFC 9329 §9.3, §9.5). The checksum is always there, from
/// the headers alone where these tell it.
///
/// A receiver expects one packet in each segment, which must fill it. It leaves the inner ECN field as
/// it is (RFC 9329 §9.5).
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::encap::{Encapsulate, Tunnel};
/// use ipencap::packet::PerPacket;
/// use ipencap::shim::Tcp;
///
/// # fn main() -> Result<(), ipencap::error::ConfigError> {
/// let (ours, theirs) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2));
/// let tunnel = Tunnel::new(ours, theirs, Tcp::new(40001, 443).with_timestamps(7, 9))?;
/// assert_eq!(tunnel.overhead(), 52);
/// let packet = PerPacket::new().with_tcp_numbers(1000, 2000); // of the connection, for this packet
/// # let _ = packet;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Tcp {
    source_port: u16,
    destination_port: u16,
    flags: TcpFlags,
    window: u16,
    options: [u8; MAX_OPTIONS],
    options_len: u8,
    framing: Option<LengthPrefix>,
    sums_bytes: bool,
    /// Data offset, flags and window, as they are stored.
    offset_flags_window: u32,
    /// Of ports, flags, window and options, in native byte order.
    sum: u16,
}

const MAX_OPTIONS: usize = 40;

impl Tcp {
    /// Segments between these ports: flags PSH and ACK, window 512, no options, no length prefix.
    ///
    /// A receiver looks at the destination port only.
    #[inline]
    pub const fn new(source_port: u16, destination_port: u16) -> Self {
        Self {
            source_port,
            destination_port,
            flags: TcpFlags::PSH.union(TcpFlags::ACK),
            window: 512,
            options: [0; MAX_OPTIONS],
            options_len: 0,
            framing: None,
            sums_bytes: false,
            offset_flags_window: 0,
            sum: 0,
        }
        .completed()
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

    /// Sums the bytes of every packet, instead of trusting the packet's own checksum
    /// ([`ChecksumPolicy::Full`](super::ChecksumPolicy::Full)): a packet with a wrong one is carried too.
    #[inline]
    pub const fn with_full_checksum(self) -> Self {
        Self {
            sums_bytes: true,
            ..self
        }
        .completed()
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

    const fn completed(self) -> Self {
        let header = TcpHeader::new(
            (self.source_port, self.destination_port),
            (0, 0),
            (self.options_len >> 2).wrapping_add(5),
            self.flags,
            self.window,
        );
        let words: [u32; 5] = zerocopy::transmute!(header);
        let [ports, _, _, offset_flags_window, _] = words;
        let options = Sum::new().const_add_bytes(&self.options).fold();
        let sum = halves(ports)
            .wrapping_add(halves(offset_flags_window))
            .wrapping_add(stored(options));
        Self {
            offset_flags_window,
            sum: fold(sum),
            ..self
        }
    }

    /// The sum of the inner packet, if its headers tell it and are trusted.
    #[inline(always)]
    const fn known_sum(&self, inner: &Facts) -> Option<u16> {
        if self.sums_bytes {
            None
        } else {
            inner.known_sum()
        }
    }

    /// Writes the prefix of a packet at the start of `frame`.
    pub(crate) fn write_prefix(&self, frame: &mut [u8], packet_len: u16) {
        let prefix = self.framing.and_then(|framing| framing.of(packet_len));
        if let (Some(prefix), Some(start)) = (prefix, frame.first_chunk_mut()) {
            *start = prefix;
        }
    }

    fn read_prefix(&self, payload: &[u8]) -> Result<Carried, Refused> {
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

impl Shim for Tcp {
    const PROTOCOL: IpProtocol = IpProtocol::TCP;
    const IS_CONNECTION: bool = true;

    #[inline(always)]
    fn len(&self) -> usize {
        let prefix_len = self.prefix_len();
        usize::from(self.options_len)
            .wrapping_add(prefix_len)
            .wrapping_add(TcpHeader::LEN)
    }

    #[inline(always)]
    fn prefix_len(&self) -> usize {
        match self.framing {
            Some(_) => LengthPrefix::LEN,
            None => 0,
        }
    }

    #[inline(always)]
    fn rules(&self) -> Rules {
        if self.sums_bytes {
            Rules::All
        } else {
            Rules::Common
        }
    }

    #[inline(always)]
    fn check(&self, inner: &Facts, packet: &PerPacket, rules: Rules) -> Result<(), EncapError> {
        match self.known_sum(inner) {
            Some(_) => Ok(()),
            None if matches!(rules, Rules::Common) => Err(EncapError::UnknownSum),
            None => check_bytes(inner, packet, rules),
        }
    }

    #[inline(always)]
    fn outer_facts(
        &self,
        outer: Facts,
        _inner: &Facts,
        _packet: &PerPacket,
        pseudo: PseudoHeader,
        _rules: Rules,
    ) -> Facts {
        // The checksum makes the segment sum to the complement of its pseudo-header.
        outer
            .with_ports(self.source_port, self.destination_port)
            .with_known_sum(Some(!pseudo.sum()))
    }

    #[inline(always)]
    fn write(
        &self,
        bytes: &mut [u8],
        inner: &Facts,
        packet: &PerPacket,
        pseudo: PseudoHeader,
        rules: Rules,
    ) {
        let Some((headers, inner_packet)) = bytes.split_at_mut_checked(self.len()) else {
            return;
        };
        let Some((header, behind)) = headers.split_first_chunk_mut::<{ TcpHeader::LEN }>() else {
            return;
        };
        let inner_sum = match (self.known_sum(inner), inner.byte_sum()) {
            (Some(sum), _) | (None, Some(sum)) => sum,
            // The check has refused it.
            (None, None) if rules.are_common() => 0,
            (None, None) => bytes_sum(inner_packet),
        };
        // A packet that is not too long for the headers around it is none for the prefix.
        let inner_len = u16::try_from(inner.len()).unwrap_or(u16::MAX);
        let prefix = self.framing.and_then(|framing| framing.of(inner_len));
        let (sequence, acknowledgment) = packet.tcp_numbers();
        let (sequence, acknowledgment) = (sequence.to_be(), acknowledgment.to_be());
        let sum = pseudo
            .native_sum()
            .wrapping_add(widened(self.sum))
            .wrapping_add(halves(sequence))
            .wrapping_add(halves(acknowledgment))
            .wrapping_add(stored(u16::from_be_bytes(prefix.unwrap_or_default())))
            .wrapping_add(stored(inner_sum));
        *header = zerocopy::transmute!([
            beside(stored(self.source_port), stored(self.destination_port)),
            sequence,
            acknowledgment,
            self.offset_flags_window,
            beside(widened(!fold(sum)), 0),
        ]);
        if !behind.is_empty() {
            copy(self.option_bytes(), behind);
            if let (Some(prefix), Some(target)) = (prefix, behind.last_chunk_mut()) {
                *target = prefix;
            }
        }
    }

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
        Ok(self.read_prefix(tcp.payload())?.moved(header_len))
    }

    #[inline]
    fn reopens(&self, inner: Ipv4<'_>) -> bool {
        inner.header().protocol() == IpProtocol::TCP
            && inner.header().fragment_offset() == FragmentOffset::ZERO
            && TcpHeader::split(inner.payload())
                .is_ok_and(|(tcp, _, _)| tcp.destination_port() == self.destination_port)
    }

    /// Besides the ports the data offset is compared, by which the inner packet is found.
    #[inline]
    fn matches_quote(&self, quoted: &[u8]) -> bool {
        let [source_port, destination_port] =
            [self.source_port, self.destination_port].map(u16::to_be_bytes);
        let [data_offset, ..] = self.offset_flags_window.to_ne_bytes();
        let quoted_offset = quoted.get(12).unwrap_or(&data_offset);
        super::begins_with(quoted, &source_port)
            && super::begins_with(quoted.get(2..).unwrap_or_default(), &destination_port)
            && (quoted_offset ^ data_offset) & 0xf0 == 0
    }

    #[inline]
    fn tunnel_port(&self) -> Option<u16> {
        Some(self.destination_port)
    }
}

impl SocketShim for Tcp {
    #[inline]
    fn read_payload(&self, destination_port: u16, payload: &[u8]) -> Result<Carried, Refused> {
        if destination_port != self.destination_port {
            return Err(Refused::new(Reason::NotTunnel));
        }
        self.read_prefix(payload)
    }
}
