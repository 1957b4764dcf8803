//! The parsers that are compared, each behind the same three questions.

use core::net::Ipv4Addr;

use etherparse::{TcpHeaderSlice, TcpOptionElement, TcpOptionReadError, err};
use ipencap::error::ParseError;
use ipencap::wire::{self, HeaderOption, HeaderOptions, UdpChecksum};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire as smol;

/// The addresses around a datagram or segment, which its checksum covers.
#[derive(Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
}

/// What a parser says of some bytes: what is in them, or why it refuses them.
pub(crate) type Reading<'a> = Result<Seen<'a>, &'static str>;

/// What a parser sees in a header and around it.
pub(crate) struct Seen<'a> {
    /// Fields by name, in an order that is the same for all parsers.
    pub(crate) fields: Vec<(&'static str, u32)>,
    /// The option bytes, from those that show them.
    pub(crate) options: Option<&'a [u8]>,
    pub(crate) payload: &'a [u8],
}

/// A question that every parser answers.
pub(crate) struct Layer {
    pub(crate) name: &'static str,
    pub(crate) read: for<'a> fn(&'a [u8], Ends) -> Reading<'a>,
}

/// A parser: its answers for [`LAYERS`].
pub(crate) struct Parser {
    pub(crate) name: &'static str,
    /// Whether it says why it refuses.
    pub(crate) has_reasons: bool,
    pub(crate) layers: [Layer; 4],
}

pub(crate) const IPV4: &str = "IPv4";
pub(crate) const UDP: &str = "UDP";
pub(crate) const TCP: &str = "TCP";
pub(crate) const TCP_OPTIONS: &str = "TCP options";

macro_rules! parser {
    ($name:literal, $has_reasons:literal, $module:ident) => {
        Parser {
            name: $name,
            has_reasons: $has_reasons,
            layers: [
                Layer {
                    name: IPV4,
                    read: $module::ipv4,
                },
                Layer {
                    name: UDP,
                    read: $module::udp,
                },
                Layer {
                    name: TCP,
                    read: $module::tcp,
                },
                Layer {
                    name: TCP_OPTIONS,
                    read: $module::tcp_options,
                },
            ],
        }
    };
}

pub(crate) const OURS: Parser = parser!("ipencap", true, ours);
pub(crate) const PEERS: [Parser; 2] = [
    parser!("etherparse", true, etherparse_),
    parser!("smoltcp", false, smoltcp_),
];

const BAD_CHECKSUM: &str = ParseError::BadChecksum.name();
const TRUNCATED: &str = "Truncated";
const BAD_OPTION: &str = "BadOption";

/// The values of an option that all parsers know, as fields of a list.
fn option_fields(kind: u8, value: u32) -> [(&'static str, u32); 2] {
    [("kind", kind.into()), ("value", value)]
}

mod ours {
    use super::*;

    pub(super) fn ipv4(bytes: &[u8], _: Ends) -> Reading<'_> {
        let packet = wire::Ipv4::parse(bytes).map_err(ParseError::name)?;
        let header = packet.header();
        let flags = header.flags();
        Ok(Seen {
            fields: vec![
                ("header length", header.header_len().into()),
                ("DSCP", header.dscp().value().into()),
                ("ECN", header.ecn().bits().into()),
                ("total length", header.total_len().into()),
                ("identification", header.identification().into()),
                ("DF", flags.contains(wire::Ipv4Flags::DF).into()),
                ("MF", flags.contains(wire::Ipv4Flags::MF).into()),
                ("fragment offset", header.fragment_offset().bytes().into()),
                ("TTL", header.ttl().into()),
                ("protocol", header.protocol().0.into()),
                ("checksum", header.checksum().into()),
                ("source", header.source().to_bits()),
                ("destination", header.destination().to_bits()),
            ],
            options: Some(packet.option_bytes()),
            payload: packet.payload(),
        })
    }

    pub(super) fn udp(bytes: &[u8], ends: Ends) -> Reading<'_> {
        let datagram = wire::Udp::parse(bytes).map_err(|error| match error {
            ParseError::BadUdpLength { len: 0 } => "BadUdpLength 0",
            error => error.name(),
        })?;
        if datagram.checksum_status(ends.source, ends.destination) == UdpChecksum::Invalid {
            return Err(BAD_CHECKSUM);
        }
        let header = datagram.header();
        Ok(Seen {
            fields: vec![
                ("source port", header.source_port().into()),
                ("destination port", header.destination_port().into()),
                ("length", header.len().into()),
                ("checksum", header.checksum().into()),
            ],
            options: None,
            payload: datagram.payload(),
        })
    }

    pub(super) fn tcp(bytes: &[u8], ends: Ends) -> Reading<'_> {
        let segment = wire::Tcp::parse(bytes).map_err(ParseError::name)?;
        if !segment.verifies(ends.source, ends.destination) {
            return Err(BAD_CHECKSUM);
        }
        let header = segment.header();
        Ok(Seen {
            fields: vec![
                ("source port", header.source_port().into()),
                ("destination port", header.destination_port().into()),
                ("sequence", header.sequence()),
                ("acknowledgment", header.acknowledgment()),
                ("header length", header.header_len().into()),
                ("flags", header.flags().bits().into()),
                ("window", header.window().into()),
                ("checksum", header.checksum().into()),
                ("urgent pointer", header.urgent_pointer().into()),
            ],
            options: Some(segment.option_bytes()),
            payload: segment.payload(),
        })
    }

    pub(super) fn tcp_options(bytes: &[u8], _: Ends) -> Reading<'_> {
        let segment = wire::Tcp::parse(bytes).map_err(ParseError::name)?;
        let mut fields = Vec::new();
        for option in HeaderOptions::new(segment.option_bytes()) {
            let option = option.map_err(ParseError::name)?;
            let data = option.data();
            let value = match (option.kind(), data.len()) {
                (HeaderOption::TCP_MSS, 2) | (HeaderOption::TCP_TIMESTAMPS, 8) | (3, 1) => {
                    let value = &data[..data.len().min(4)];
                    value
                        .iter()
                        .fold(0, |value, &byte| value << 8 | u32::from(byte))
                }
                _ => 0,
            };
            fields.extend(option_fields(option.kind(), value));
        }
        Ok(Seen {
            fields,
            options: None,
            payload: &[],
        })
    }
}

mod etherparse_ {
    use super::*;

    pub(super) fn ipv4(bytes: &[u8], _: Ends) -> Reading<'_> {
        use err::ipv4::{HeaderError, SliceError};
        let packet = etherparse::Ipv4Slice::from_slice(bytes).map_err(|error| match error {
            SliceError::Header(HeaderError::UnexpectedVersion { .. }) => "BadVersion",
            SliceError::Header(HeaderError::HeaderLengthSmallerThanHeader { .. }) => "BadIhl",
            SliceError::Len(len)
                if !matches!(len.layer, err::Layer::Ipv4Header | err::Layer::Ipv4Packet) =>
            {
                "authentication header"
            }
            SliceError::Len(len) if len.len_source == etherparse::LenSource::Ipv4HeaderTotalLen => {
                "BadTotalLength"
            }
            SliceError::Len(_) => TRUNCATED,
            SliceError::Exts(_) => "authentication header",
        })?;
        let header = etherparse::Ipv4HeaderSlice::from_slice(bytes).expect("sliced before");
        // As its documentation compares them.
        if header.to_header().calc_header_checksum() != header.header_checksum() {
            return Err(BAD_CHECKSUM);
        }
        Ok(Seen {
            fields: vec![
                ("header length", u32::from(header.ihl()) * 4),
                ("DSCP", header.dcp().value().into()),
                ("ECN", header.ecn().value().into()),
                ("total length", header.total_len().into()),
                ("identification", header.identification().into()),
                ("DF", header.dont_fragment().into()),
                ("MF", header.more_fragments().into()),
                (
                    "fragment offset",
                    header.fragments_offset().byte_offset().into(),
                ),
                ("TTL", header.ttl().into()),
                ("protocol", header.protocol().0.into()),
                ("checksum", header.header_checksum().into()),
                ("source", header.source_addr().to_bits()),
                ("destination", header.destination_addr().to_bits()),
            ],
            options: Some(header.options()),
            payload: packet.payload().payload,
        })
    }

    pub(super) fn udp(bytes: &[u8], ends: Ends) -> Reading<'_> {
        let datagram = etherparse::UdpSlice::from_slice(bytes).map_err(|error| {
            if error.len_source == etherparse::LenSource::UdpHeaderLen {
                "BadUdpLength"
            } else {
                TRUNCATED
            }
        })?;
        let payload: &[u8] = datagram.payload();
        let computed = datagram
            .to_header()
            .calc_checksum_ipv4_raw(ends.source.octets(), ends.destination.octets(), payload)
            .map_err(|_| "TooLong")?;
        if datagram.checksum() != 0 && datagram.checksum() != computed {
            return Err(BAD_CHECKSUM);
        }
        Ok(Seen {
            fields: vec![
                ("source port", datagram.source_port().into()),
                ("destination port", datagram.destination_port().into()),
                ("length", datagram.length().into()),
                ("checksum", datagram.checksum().into()),
            ],
            options: None,
            payload,
        })
    }

    fn slice(bytes: &[u8]) -> Result<etherparse::TcpSlice<'_>, &'static str> {
        use err::tcp::HeaderSliceError;
        etherparse::TcpSlice::from_slice(bytes).map_err(|error| match error {
            HeaderSliceError::Content(_) => "BadDataOffset",
            HeaderSliceError::Len(_) => TRUNCATED,
        })
    }

    pub(super) fn tcp(bytes: &[u8], ends: Ends) -> Reading<'_> {
        let segment = slice(bytes)?;
        let header = TcpHeaderSlice::from_slice(bytes).expect("sliced before");
        let payload = segment.payload();
        let computed = header
            .calc_checksum_ipv4_raw(ends.source.octets(), ends.destination.octets(), payload)
            .map_err(|_| "TooLong")?;
        if computed != header.checksum() {
            return Err(BAD_CHECKSUM);
        }
        let flags = [
            header.fin(),
            header.syn(),
            header.rst(),
            header.psh(),
            header.ack(),
            header.urg(),
            header.ece(),
            header.cwr(),
            header.ns(),
        ];
        Ok(Seen {
            fields: vec![
                ("source port", header.source_port().into()),
                ("destination port", header.destination_port().into()),
                ("sequence", header.sequence_number()),
                ("acknowledgment", header.acknowledgment_number()),
                ("header length", u32::from(header.data_offset()) * 4),
                ("flags", bits(flags)),
                ("window", header.window_size().into()),
                ("checksum", header.checksum().into()),
                ("urgent pointer", header.urgent_pointer().into()),
            ],
            options: Some(&header.slice()[20..]),
            payload,
        })
    }

    pub(super) fn tcp_options(bytes: &[u8], _: Ends) -> Reading<'_> {
        let segment = slice(bytes)?;
        let mut fields = Vec::new();
        for option in segment.options_iterator() {
            let (kind, value) = match option {
                Ok(TcpOptionElement::Noop) => (1, 0),
                Ok(TcpOptionElement::MaximumSegmentSize(value)) => (2, value.into()),
                Ok(TcpOptionElement::WindowScale(value)) => (3, value.into()),
                Ok(TcpOptionElement::SelectiveAcknowledgementPermitted) => (4, 0),
                Ok(TcpOptionElement::SelectiveAcknowledgement(..)) => (5, 0),
                Ok(TcpOptionElement::Timestamp(value, _)) => (8, value),
                Err(TcpOptionReadError::UnexpectedEndOfSlice { .. }) => return Err(BAD_OPTION),
                Err(TcpOptionReadError::UnexpectedSize { .. }) => return Err("option length"),
                Err(TcpOptionReadError::UnknownId(_)) => return Err("unknown option"),
            };
            fields.extend(option_fields(kind, value));
        }
        Ok(Seen {
            fields,
            options: None,
            payload: &[],
        })
    }
}

/// The sum of the bits that are set, the first one counting 1.
fn bits<const N: usize>(flags: [bool; N]) -> u32 {
    let flags = flags.into_iter().rev();
    flags.fold(0, |bits, flag| bits << 1 | u32::from(flag))
}

mod smoltcp_ {
    use super::*;

    pub(super) fn ipv4(bytes: &[u8], _: Ends) -> Reading<'_> {
        let packet = smol::Ipv4Packet::new_checked(bytes).map_err(|_| "length")?;
        smol::Ipv4Repr::parse(&packet, &ChecksumCapabilities::default())
            .map_err(|_| "version or checksum")?;
        Ok(Seen {
            fields: vec![
                ("header length", packet.header_len().into()),
                ("DSCP", packet.dscp().into()),
                ("ECN", packet.ecn().into()),
                ("total length", packet.total_len().into()),
                ("identification", packet.ident().into()),
                ("DF", packet.dont_frag().into()),
                ("MF", packet.more_frags().into()),
                ("fragment offset", packet.frag_offset().into()),
                ("TTL", packet.hop_limit().into()),
                ("protocol", u8::from(packet.next_header()).into()),
                ("checksum", packet.checksum().into()),
                ("source", packet.src_addr().to_bits()),
                ("destination", packet.dst_addr().to_bits()),
            ],
            options: None,
            payload: packet.payload(),
        })
    }

    pub(super) fn udp(bytes: &[u8], ends: Ends) -> Reading<'_> {
        let [source, destination] = [ends.source, ends.destination].map(smol::IpAddress::Ipv4);
        let datagram = smol::UdpPacket::new_checked(bytes).map_err(|_| "length")?;
        let caps = ChecksumCapabilities::default();
        smol::UdpRepr::parse(&datagram, &source, &destination, &caps).map_err(|_| {
            if datagram.dst_port() == 0 {
                "port 0"
            } else {
                BAD_CHECKSUM
            }
        })?;
        Ok(Seen {
            fields: vec![
                ("source port", datagram.src_port().into()),
                ("destination port", datagram.dst_port().into()),
                ("length", datagram.len().into()),
                ("checksum", datagram.checksum().into()),
            ],
            options: None,
            payload: datagram.payload(),
        })
    }

    pub(super) fn tcp(bytes: &[u8], ends: Ends) -> Reading<'_> {
        let [source, destination] = [ends.source, ends.destination].map(smol::IpAddress::Ipv4);
        let segment = smol::TcpPacket::new_checked(bytes).map_err(|_| "length")?;
        let caps = ChecksumCapabilities::default();
        smol::TcpRepr::parse(&segment, &source, &destination, &caps).map_err(|_| {
            if segment.src_port() == 0 || segment.dst_port() == 0 {
                "port 0"
            } else if !segment.verify_checksum(&source, &destination) {
                BAD_CHECKSUM
            } else if options(&segment).is_err() {
                "options"
            } else {
                "flags"
            }
        })?;
        let flags = [
            segment.fin(),
            segment.syn(),
            segment.rst(),
            segment.psh(),
            segment.ack(),
            segment.urg(),
            segment.ece(),
            segment.cwr(),
            segment.ns(),
        ];
        Ok(Seen {
            fields: vec![
                ("source port", segment.src_port().into()),
                ("destination port", segment.dst_port().into()),
                ("sequence", segment.seq_number().0.cast_unsigned()),
                ("acknowledgment", segment.ack_number().0.cast_unsigned()),
                ("header length", segment.header_len().into()),
                ("flags", bits(flags)),
                ("window", segment.window_len().into()),
                ("checksum", segment.checksum().into()),
                ("urgent pointer", segment.urgent_at().into()),
            ],
            options: Some(segment.options()),
            payload: segment.payload(),
        })
    }

    pub(super) fn tcp_options(bytes: &[u8], _: Ends) -> Reading<'_> {
        let segment = smol::TcpPacket::new_checked(bytes).map_err(|_| "length")?;
        let fields = options(&segment)?;
        Ok(Seen {
            fields,
            options: None,
            payload: &[],
        })
    }

    fn options(segment: &smol::TcpPacket<&[u8]>) -> Result<Vec<(&'static str, u32)>, &'static str> {
        let mut fields = Vec::new();
        let mut rest = segment.options();
        while !rest.is_empty() {
            let (behind, option) = smol::TcpOption::parse(rest).map_err(|_| "option length")?;
            let (kind, value) = match option {
                smol::TcpOption::EndOfList => break,
                smol::TcpOption::NoOperation => (1, 0),
                smol::TcpOption::MaxSegmentSize(value) => (2, value.into()),
                smol::TcpOption::WindowScale(value) => (3, value.into()),
                smol::TcpOption::SackPermitted => (4, 0),
                smol::TcpOption::SackRange(_) => (5, 0),
                smol::TcpOption::TimeStamp { tsval, .. } => (8, tsval),
                smol::TcpOption::Unknown { kind, .. } => (kind, 0),
            };
            fields.extend(option_fields(kind, value));
            rest = behind;
        }
        Ok(fields)
    }
}
