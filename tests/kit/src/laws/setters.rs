use core::net::Ipv4Addr;

use ipencap::error::EncapError;
use ipencap::wire::{
    Dscp, Ecn, FragmentOffset, Icmpv4, Icmpv4Header, IpProtocol, Ipv4Edit, Ipv4Flags, Ipv4Header,
    Tcp, TcpFlags, TcpHeader, Udp, UdpChecksum, UdpHeader,
};

use crate::generate::{Ipv4Setter, SetterCase, TransportCase, TransportSetter};
use crate::oracle;

impl Ipv4Setter {
    /// Calls the setter.
    fn call(self, header: &mut Ipv4Header) {
        header.edit(|edit| self.edit(edit));
    }

    fn edit(self, edit: &mut Ipv4Edit<'_>) {
        match self {
            Self::Dscp(value) => edit.set_dscp(Dscp::from_tos(value)),
            Self::Ecn(value) => edit.set_ecn(Ecn::from_bits_truncated(value)),
            Self::TotalLen(value) => edit.set_total_len(value),
            Self::Identification(value) => edit.set_identification(value),
            Self::Flags(value) => edit.set_flags(flags(value)),
            Self::FragmentOffset(value) => {
                edit.set_fragment_offset(FragmentOffset::from_bits_truncated(value))
            }
            Self::Ttl(value) => edit.set_ttl(value),
            Self::Protocol(value) => edit.set_protocol(IpProtocol(value)),
            Self::Source(value) => edit.set_source(Ipv4Addr::from(value)),
            Self::Destination(value) => edit.set_destination(Ipv4Addr::from(value)),
        };
    }

    /// Calls the setter of the header itself.
    fn call_directly(self, header: &mut Ipv4Header) {
        match self {
            Self::Dscp(value) => header.set_dscp(Dscp::from_tos(value)),
            Self::Ecn(value) => header.set_ecn(Ecn::from_bits_truncated(value)),
            Self::TotalLen(value) => header.set_total_len(value),
            Self::Identification(value) => header.set_identification(value),
            Self::Flags(value) => header.set_flags(flags(value)),
            Self::FragmentOffset(value) => {
                header.set_fragment_offset(FragmentOffset::from_bits_truncated(value));
            }
            Self::Ttl(value) => header.set_ttl(value),
            Self::Protocol(value) => header.set_protocol(IpProtocol(value)),
            Self::Source(value) => header.set_source(Ipv4Addr::from(value)),
            Self::Destination(value) => header.set_destination(Ipv4Addr::from(value)),
        }
    }

    /// Writes the field byte by byte, without the checksum.
    fn write(self, bytes: &mut [u8; 20]) {
        match self {
            Self::Dscp(value) => bytes[1] = value & 0xfc | bytes[1] & 3,
            Self::Ecn(value) => bytes[1] = bytes[1] & 0xfc | value & 3,
            Self::TotalLen(value) => oracle::put_u16(bytes, 2, value),
            Self::Identification(value) => oracle::put_u16(bytes, 4, value),
            Self::Flags(value) => bytes[6] = bytes[6] & 0x1f | value & 0xe0,
            Self::FragmentOffset(value) => {
                let word = oracle::u16_at(bytes, 6);
                oracle::put_u16(bytes, 6, word & 0xe000 | value & 0x1fff);
            }
            Self::Ttl(value) => bytes[8] = value,
            Self::Protocol(value) => bytes[9] = value,
            Self::Source(value) => bytes[12..16].copy_from_slice(&value),
            Self::Destination(value) => bytes[16..20].copy_from_slice(&value),
        }
    }
}

/// The flags in the upper three bits of a byte.
fn flags(high: u8) -> Ipv4Flags {
    Ipv4Flags::from_bits_truncate(u16::from_be_bytes([high, 0]))
}

/// Every getter says what the bytes say.
pub(super) fn assert_getters(header: &Ipv4Header, bytes: &[u8]) {
    let flags_offset = oracle::u16_at(bytes, 6);
    assert_eq!(header.version(), bytes[0] >> 4);
    assert_eq!(header.header_len(), (bytes[0] & 15) * 4);
    assert_eq!(header.tos(), bytes[1]);
    assert_eq!(header.dscp().value(), bytes[1] / 4);
    assert_eq!(header.ecn().bits(), bytes[1] % 4);
    assert_eq!(header.total_len(), oracle::u16_at(bytes, 2));
    assert_eq!(header.identification(), oracle::u16_at(bytes, 4));
    assert_eq!(header.flags().bits(), flags_offset & 0xe000);
    assert_eq!(header.fragment_offset().units(), flags_offset & 0x1fff);
    assert_eq!(header.is_fragment(), flags_offset & 0x3fff != 0);
    assert_eq!(
        header.exceeds_reassembly(),
        u32::from(flags_offset & 0x1fff) * 8 + u32::from(header.total_len()) > 65535
    );
    assert_eq!(header.ttl(), bytes[8]);
    assert_eq!(header.protocol().0, bytes[9]);
    assert_eq!(header.checksum(), oracle::u16_at(bytes, 10));
    assert_eq!(header.source().octets(), oracle::address_at(bytes, 12));
    assert_eq!(header.destination().octets(), oracle::address_at(bytes, 16));
    assert_eq!(header.as_bytes(), &bytes[..20]);
}

/// A setter changes its field and the checksum, and nothing else; the checksum is right afterwards,
/// or wrong by the same amount.
pub fn law_setters_then_getters(case: &SetterCase) {
    let mut header = Ipv4Header::from_bytes(case.header);
    let mut bytes = case.header;
    let residue = oracle::residue(&bytes);
    let is_canonical = oracle::u16_at(&bytes, 10) != 0xffff && residue == 0;
    for &setter in &case.setters {
        let mut by_edit = header;
        setter.call(&mut by_edit);
        setter.call_directly(&mut header);
        assert_eq!(header, by_edit, "{setter:?} directly and inside of an edit");

        setter.write(&mut bytes);
        oracle::put_u16(&mut bytes, 10, header.checksum());
        assert_getters(&header, &bytes);
        assert_eq!(
            oracle::residue(&bytes),
            residue,
            "{setter:?} changed the error"
        );
    }
    if is_canonical && bytes[0] != 0 {
        oracle::put_u16(&mut bytes, 10, 0);
        assert_eq!(header.checksum(), oracle::checksum(&bytes));
        let mut filled = header;
        filled.fill_checksum(&[]);
        assert_eq!(filled, header, "a recomputation differs");
    }

    let mut at_once = Ipv4Header::from_bytes(case.header);
    at_once.edit(|edit| case.setters.iter().for_each(|setter| setter.edit(edit)));
    assert_eq!(at_once, header, "one patch differs from several");

    let mut hop = header;
    let ttl = header.ttl();
    assert_eq!(hop.decrement_ttl(), ttl > 1);
    assert_eq!(hop.ttl(), if ttl > 1 { ttl - 1 } else { ttl });
    assert_eq!(oracle::residue(hop.as_bytes()), residue);
}

/// Setters of different fields commute, also where fields share a byte or a word (trap T24).
pub fn law_setters_commute(case: &SetterCase) {
    let mut setters: Vec<Ipv4Setter> = Vec::new();
    for &setter in &case.setters {
        let kind = core::mem::discriminant(&setter);
        if !setters
            .iter()
            .any(|other| core::mem::discriminant(other) == kind)
        {
            setters.push(setter);
        }
    }
    let apply = |setters: &[Ipv4Setter]| {
        let mut header = Ipv4Header::from_bytes(case.header);
        for setter in setters {
            setter.call_directly(&mut header);
        }
        header
    };
    let forwards = apply(&setters);
    for turn in 0..setters.len() {
        setters.rotate_left(turn);
        assert_eq!(apply(&setters), forwards, "in the order {setters:?}");
    }
    setters.reverse();
    assert_eq!(apply(&setters), forwards, "in the order {setters:?}");
}

fn pseudo_header([source, destination]: [[u8; 4]; 2], protocol: u8, len: u16) -> Vec<u8> {
    [
        &source[..],
        &destination,
        &[0, protocol],
        &len.to_be_bytes(),
    ]
    .concat()
}

/// C-12 to C-14: an absent checksum stays absent, a present one never becomes 0 and keeps its error.
pub fn law_udp_setters_keep_the_checksum(case: &TransportCase) {
    let mut bytes = case.bytes.0.clone();
    // The longest datagram.
    bytes.truncate(65_535);
    let mut addresses = case.addresses;
    let len = u16::try_from(bytes.len()).unwrap();
    oracle::put_u16(&mut bytes, 4, len);
    // By the length field, for the checksum covers it twice.
    let covered = |addresses, bytes: &[u8]| {
        [
            pseudo_header(addresses, 17, oracle::u16_at(bytes, 4)),
            bytes.to_vec(),
        ]
        .concat()
    };
    if case.valid {
        let (header, payload) = UdpHeader::split_mut(&mut bytes).unwrap();
        header.fill_checksum(addresses[0].into(), addresses[1].into(), payload);
        let computed = header.checksum();
        oracle::put_u16(&mut bytes, 6, 0);
        let expected = oracle::checksum(&covered(addresses, &bytes));
        assert_eq!(computed, if expected == 0 { 0xffff } else { expected });
        oracle::put_u16(&mut bytes, 6, computed);
        let udp = Udp::parse(&bytes).unwrap();
        let status = udp.checksum_status(addresses[0].into(), addresses[1].into());
        assert_eq!(status, UdpChecksum::Valid);
    }
    let was_absent = oracle::u16_at(&bytes, 6) == 0;
    let residue = oracle::residue(&covered(addresses, &bytes));
    for &setter in &case.setters {
        let mut expected = bytes.clone();
        let (header, _) = UdpHeader::split_mut(&mut bytes).unwrap();
        match setter {
            TransportSetter::SourcePort(port) => {
                header.set_source_port(port);
                assert_eq!(header.source_port(), port);
                oracle::put_u16(&mut expected, 0, port);
            }
            TransportSetter::DestinationPort(port) => {
                header.set_destination_port(port);
                assert_eq!(header.destination_port(), port);
                oracle::put_u16(&mut expected, 2, port);
            }
            TransportSetter::Len(len) => {
                header.set_len(len);
                assert_eq!(header.len(), len);
                oracle::put_u16(&mut expected, 4, len);
            }
            TransportSetter::Address(address) => {
                header.patch_address(addresses[0].into(), address.into());
                addresses[0] = address;
            }
            _ => continue,
        }
        let checksum = header.checksum();
        oracle::put_u16(&mut expected, 6, checksum);
        assert_eq!(bytes, expected, "{setter:?} changed another field");
        assert_eq!(checksum == 0, was_absent, "{setter:?}: there, or not there");
        if !was_absent {
            assert_eq!(
                oracle::residue(&covered(addresses, &bytes)),
                residue,
                "{setter:?}"
            );
        }
    }
}

/// S-02: a TCP checksum follows its fields and addresses; 0 is a value as any other. A segment that
/// is too long for the pseudo-header has none (trap T12).
pub fn law_tcp_setters_keep_the_checksum(case: &TransportCase) {
    let mut bytes = case.bytes.0.clone();
    let mut addresses = case.addresses;
    // A data offset within the segment, and the reserved bits as they come.
    let words = u8::try_from((bytes.len() / 4).min(15)).unwrap();
    bytes[12] = (bytes[12] >> 4).clamp(5, words) << 4 | bytes[12] & 15;
    let Ok(len) = u16::try_from(bytes.len()) else {
        let before = bytes.clone();
        let (header, options, payload) = TcpHeader::split_mut(&mut bytes).unwrap();
        let answer =
            header.fill_checksum(addresses[0].into(), addresses[1].into(), options, payload);
        let len = u32::try_from(before.len()).unwrap();
        assert_eq!(answer, Err(EncapError::TooLong { len }));
        assert_eq!(bytes, before);
        let tcp = Tcp::parse(&bytes).unwrap();
        assert!(!tcp.verifies(addresses[0].into(), addresses[1].into()));
        return;
    };
    let covered =
        |addresses, bytes: &[u8]| [pseudo_header(addresses, 6, len), bytes.to_vec()].concat();
    if case.valid {
        let (header, options, payload) = TcpHeader::split_mut(&mut bytes).unwrap();
        header
            .fill_checksum(addresses[0].into(), addresses[1].into(), options, payload)
            .unwrap();
        let computed = header.checksum();
        oracle::put_u16(&mut bytes, 16, 0);
        assert_eq!(computed, oracle::checksum(&covered(addresses, &bytes)));
        oracle::put_u16(&mut bytes, 16, computed);
        let tcp = Tcp::parse(&bytes).unwrap();
        assert!(tcp.verifies(addresses[0].into(), addresses[1].into()));
    }
    let residue = oracle::residue(&covered(addresses, &bytes));
    for &setter in &case.setters {
        let mut expected = bytes.clone();
        let (header, _, _) = TcpHeader::split_mut(&mut bytes).unwrap();
        match setter {
            TransportSetter::SourcePort(port) => {
                header.set_source_port(port);
                assert_eq!(header.source_port(), port);
                oracle::put_u16(&mut expected, 0, port);
            }
            TransportSetter::DestinationPort(port) => {
                header.set_destination_port(port);
                assert_eq!(header.destination_port(), port);
                oracle::put_u16(&mut expected, 2, port);
            }
            TransportSetter::Sequence(sequence) => {
                header.set_sequence(sequence);
                assert_eq!(header.sequence(), sequence);
                expected[4..8].copy_from_slice(&sequence.to_be_bytes());
            }
            TransportSetter::Acknowledgment(acknowledgment) => {
                header.set_acknowledgment(acknowledgment);
                assert_eq!(header.acknowledgment(), acknowledgment);
                expected[8..12].copy_from_slice(&acknowledgment.to_be_bytes());
            }
            TransportSetter::Flags(bits) => {
                header.set_flags(TcpFlags::from_bits_retain(bits));
                assert_eq!(header.flags().bits(), bits & 0x1ff);
                let word = oracle::u16_at(&expected, 12);
                oracle::put_u16(&mut expected, 12, word & 0xfe00 | bits & 0x1ff);
            }
            TransportSetter::Window(window) => {
                header.set_window(window);
                assert_eq!(header.window(), window);
                oracle::put_u16(&mut expected, 14, window);
            }
            TransportSetter::UrgentPointer(pointer) => {
                header.set_urgent_pointer(pointer);
                assert_eq!(header.urgent_pointer(), pointer);
                oracle::put_u16(&mut expected, 18, pointer);
            }
            TransportSetter::Address(address) => {
                header.patch_address(addresses[1].into(), address.into());
                addresses[1] = address;
            }
            TransportSetter::Len(_) | TransportSetter::TypeAndCode(..) => continue,
        }
        let checksum = header.checksum();
        oracle::put_u16(&mut expected, 16, checksum);
        assert_eq!(bytes, expected, "{setter:?} changed another field");
        assert_eq!(
            oracle::residue(&covered(addresses, &bytes)),
            residue,
            "{setter:?}"
        );
    }
}

/// An `ICMPv4` checksum follows type and code; it knows no pseudo-header.
pub fn law_icmpv4_setters_keep_the_checksum(case: &TransportCase) {
    let mut bytes = case.bytes.0.clone();
    if case.valid {
        let (header, rest) = Icmpv4Header::split_mut(&mut bytes).unwrap();
        header.fill_checksum(rest);
        let computed = header.checksum();
        oracle::put_u16(&mut bytes, 2, 0);
        assert_eq!(computed, oracle::checksum(&bytes));
        oracle::put_u16(&mut bytes, 2, computed);
        assert!(Icmpv4::parse(&bytes).is_ok() == oracle::verifies(&bytes));
    }
    let residue = oracle::residue(&bytes);
    for &setter in &case.setters {
        let TransportSetter::TypeAndCode(message_type, code) = setter else {
            continue;
        };
        let mut expected = bytes.clone();
        let (header, _) = Icmpv4Header::split_mut(&mut bytes).unwrap();
        header.set_type_and_code(message_type, code);
        assert_eq!((header.message_type(), header.code()), (message_type, code));
        let checksum = header.checksum();
        [expected[0], expected[1]] = [message_type, code];
        oracle::put_u16(&mut expected, 2, checksum);
        assert_eq!(bytes, expected, "{setter:?} changed another field");
        assert_eq!(oracle::residue(&bytes), residue, "{setter:?}");
    }
}
