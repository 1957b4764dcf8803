//! The laws: plain functions that panic where the library breaks one.

use core::net::Ipv4Addr;

use ipencap::Span;
use ipencap::checksum::{
    Delta, Sum, checksum, const_checksum, update_odd_u16, update_u16, update_u32, verify,
};
use ipencap::encap::{Arrived, Decapsulate, Opened, PerPacket};
use ipencap::error::{EncapError, ParseError, Refused};
use ipencap::filter::{Access, Edge, Peer, PointToPoint, Prefix};
use ipencap::packet::{Packet, PacketMeta};
use ipencap::wire::{
    Dscp, Ecn, FragmentOffset, HeaderOptions, Icmpv4, Icmpv4Header, IpProtocol, Ipv4, Ipv4Edit,
    Ipv4Flags, Ipv4Header, Ipv4Mut, Tcp, TcpFlags, TcpHeader, Udp, UdpChecksum, UdpHeader,
};

use crate::generate::{
    Anything, Bytes, ChecksumCase, DecapCase, EncapCase, Ipv4Setter, MutatedPacket, NestCase,
    Replacement, SetterCase, SlackCase, TransportCase, TransportSetter, UpdateCase, from_bytes,
};
use crate::oracle::{self, Accepted, Refusal};
use crate::registry::{Door, Subject};

/// A law by name, for engines that know only bytes.
#[derive(Clone, Copy, Debug)]
pub struct Law {
    /// The function's name.
    pub name: &'static str,
    /// Generates an input and calls the function.
    pub run: fn(&[u8]),
}

macro_rules! laws {
    ($($name:ident),+ $(,)?) => {
        /// All of them.
        pub const LAWS: &[Law] = &[
            $(Law { name: stringify!($name), run: |bytes| $name(&from_bytes(bytes)) }),+
        ];
    };
}

laws! {
    law_checksum_matches_oracle,
    law_checksum_ignores_word_order,
    law_incremental_equals_full,
    law_setters_then_getters,
    law_setters_commute,
    law_udp_setters_keep_the_checksum,
    law_tcp_setters_keep_the_checksum,
    law_icmpv4_setters_keep_the_checksum,
    law_parse_matches_oracle,
    law_parse_never_reads_past_total_len,
    law_no_panic,
    law_encap_matches_oracle,
    law_overhead_is_exact,
    law_untouched_payload,
    law_encap_is_all_or_nothing,
    law_emitted_checksums_verify,
    law_dirty_headroom,
    law_doors_agree,
    law_roundtrip,
    law_nested_inspection_equals_sequential,
    law_decap_matches_oracle,
    law_decap_is_all_or_nothing,
    law_inspect_apply_agree,
}

/// `data` in memory at an address that leaves `alignment` modulo 16.
fn aligned(data: &[u8], alignment: usize) -> (Vec<u8>, usize) {
    let mut memory = vec![0xee; data.len() + 32];
    let to_border = memory.as_ptr().align_offset(16);
    let start = if to_border < 16 {
        to_border + alignment
    } else {
        alignment
    };
    memory[start..start + data.len()].copy_from_slice(data);
    (memory, start)
}

/// C-01 to C-06, P-12, P-13: any data, any alignment, any split, at run time and in constants.
pub fn law_checksum_matches_oracle(case: &ChecksumCase) {
    let (memory, start) = aligned(&case.data.0, case.alignment);
    let data = &memory[start..start + case.data.0.len()];
    let expected = oracle::checksum(data);

    assert_eq!(checksum(data), expected, "in one piece");
    assert_eq!(const_checksum(data), expected, "in constant evaluation");
    assert_eq!(verify(data), oracle::verifies(data), "verification");

    let whole = Sum::new().add_bytes(data);
    assert_eq!(whole.fold(), !expected, "folded");
    assert_eq!(whole.checksum(), expected, "complemented");
    assert_eq!(whole.is_valid(), expected == 0, "validity");

    let (mut added, mut const_added, mut joined) = (Sum::new(), Sum::new(), Sum::new());
    let mut rest = data;
    for &piece in case.pieces.iter().chain([&data.len()]) {
        let (head, tail) = rest.split_at(piece.min(rest.len()));
        added = added.add_bytes(head);
        const_added = const_added.const_add_bytes(head);
        joined = joined.join(Sum::new().add_bytes(head));
        rest = tail;
    }
    assert_eq!(added.checksum(), expected, "in pieces");
    assert_eq!(const_added.checksum(), expected, "in pieces, in constants");
    assert_eq!(joined.checksum(), expected, "joined from sums of pieces");

    // The same bytes as values, where they divide into values.
    let mut values = Sum::new();
    let mut words = data.chunks_exact(6);
    for six in words.by_ref() {
        values = values
            .add_u16(oracle::u16_at(six, 0))
            .add_u32(u32::from_be_bytes(oracle::address_at(six, 2)));
    }
    let values = values.add_bytes(words.remainder());
    assert_eq!(values.checksum(), expected, "as values");

    if let Some(header) = data.first_chunk::<20>() {
        let headed = Sum::new().add_header(header).add_bytes(&data[20..]);
        assert_eq!(headed.checksum(), expected, "as a header and the rest");
        let odd = Sum::new().add_bytes(&[0x5a]).add_header(header);
        let bytes = [&[0x5a], &header[..]].concat();
        assert_eq!(
            odd.checksum(),
            oracle::checksum(&bytes),
            "a header at an odd offset"
        );
    }
}

/// P-12: the sum does not know the order of the words.
pub fn law_checksum_ignores_word_order(case: &ChecksumCase) {
    let even = &case.data.0[..case.data.0.len() & !1];
    let mut words: Vec<&[u8]> = even.chunks(2).collect();
    words.reverse();
    let turn = case.alignment.min(words.len());
    words.rotate_left(turn);
    assert_eq!(checksum(&words.concat()), checksum(even));
}

/// P-07, C-07, C-10, C-11, C-15: an update equals a recomputation, and a wrong checksum stays wrong
/// by the same amount.
pub fn law_incremental_equals_full(case: &UpdateCase) {
    let mut data = case.data.0.clone();
    let field = |data: &[u8]| oracle::u16_at(data, 0);
    let recomputed = |data: &[u8]| oracle::checksum(&[&[0, 0], &data[2..]].concat());
    // With nothing but zeros around the field the two encodings of zero are not the same (C-09).
    let has_ones = |data: &[u8]| data[2..].iter().any(|&byte| byte != 0);

    let first = field(&data);
    let residue = oracle::residue(&data);
    let is_canonical = recomputed(&data) == first;
    let mut stays_nonzero = has_ones(&data);
    let mut gathered = Delta::new();
    for &edit in &case.edits {
        let before = field(&data);
        let edit = Edit::of(edit, &data);
        data[edit.at..edit.at + edit.new.len()].copy_from_slice(&edit.new);
        stays_nonzero &= has_ones(&data);

        let after = edit.gather(Delta::new()).apply(before);
        assert_eq!(edit.by_function(before), after, "the function for {edit:?}");
        gathered = edit.gather(gathered);
        assert_eq!(
            gathered.apply(first),
            after,
            "one fold differs from several"
        );

        oracle::put_u16(&mut data, 0, after);
        assert_eq!(
            oracle::residue(&data),
            residue,
            "{edit:?} changed the error"
        );
        if residue == 0 && stays_nonzero {
            assert!(verify(&data), "no longer verifies after {edit:?}");
        }
    }
    if is_canonical && stays_nonzero {
        assert_eq!(
            field(&data),
            recomputed(&data),
            "an update differs from a recomputation"
        );
    }
}

/// A [`Replacement`] in certain data, behind the checksum field.
#[derive(Debug)]
struct Edit {
    at: usize,
    old: Vec<u8>,
    new: Vec<u8>,
    is_run: bool,
}

impl Edit {
    fn of(replacement: Replacement, data: &[u8]) -> Self {
        let place = |place: u16, width: usize| 2 + usize::from(place) % (data.len() - 1 - width);
        let (at, new) = match replacement {
            Replacement::Word(at, new) => (place(at, 2), new.to_be_bytes().to_vec()),
            Replacement::Double(at, new) => (place(at, 4), new.to_be_bytes().to_vec()),
            Replacement::Nothing(at) => {
                let at = place(at, 2);
                (at, data[at..at + 2].to_vec())
            }
            Replacement::Zeros(at) => (place(at, 2), vec![0, 0]),
            Replacement::Ones(at) => (place(at, 2), vec![0xff, 0xff]),
            Replacement::Run(at, len, fill) => {
                let at = place(at, 2) & !1;
                let len = u8::try_from(data.len() - at).unwrap_or(u8::MAX).min(len);
                (at, (0..len).map(|i| fill.wrapping_mul(i | 1)).collect())
            }
        };
        Self {
            at,
            old: data[at..at + new.len()].to_vec(),
            new,
            is_run: matches!(replacement, Replacement::Run(..)),
        }
    }

    /// Old and new value, widened; how many bytes they have, and whether they stand at an odd offset.
    fn values(&self) -> (u32, u32, usize, bool) {
        let value = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |value, &byte| value << 8 | u32::from(byte))
        };
        (
            value(&self.old),
            value(&self.new),
            self.new.len(),
            self.at % 2 == 1,
        )
    }

    fn gather(&self, delta: Delta) -> Delta {
        if self.is_run {
            let [old, new] = [&self.old, &self.new].map(|bytes| Sum::new().add_bytes(bytes).fold());
            return delta.replace_u16(old, new);
        }
        let (old, new, len, is_odd) = self.values();
        let [narrow_old, narrow_new] =
            [old, new].map(|value| u16::try_from(value & 0xffff).unwrap());
        match (len, is_odd) {
            (2, false) => delta.replace_u16(narrow_old, narrow_new),
            (2, true) => delta.replace_odd_u16(narrow_old, narrow_new),
            (_, false) => delta.replace_u32(old, new),
            (_, true) => delta.replace_odd_u32(old, new),
        }
    }

    /// The new checksum by the function for one change.
    fn by_function(&self, checksum: u16) -> u16 {
        if self.is_run {
            let [old, new] = [&self.old, &self.new].map(|bytes| Sum::new().add_bytes(bytes));
            return Delta::between(old, new).apply(checksum);
        }
        let (old, new, len, is_odd) = self.values();
        let [narrow_old, narrow_new] =
            [old, new].map(|value| u16::try_from(value & 0xffff).unwrap());
        match (len, is_odd) {
            (2, false) => update_u16(checksum, narrow_old, narrow_new),
            (2, true) => update_odd_u16(checksum, narrow_old, narrow_new),
            (_, false) => update_u32(checksum, old, new),
            (_, true) => Delta::new().replace_odd_u32(old, new).apply(checksum),
        }
    }
}

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
fn assert_getters(header: &Ipv4Header, bytes: &[u8]) {
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

/// The low 16 bits of a length.
fn low_u16(len: usize) -> u16 {
    u16::try_from(len % 65536).unwrap()
}

/// C-12 to C-14: an absent checksum stays absent, a present one never becomes 0 and keeps its error.
pub fn law_udp_setters_keep_the_checksum(case: &TransportCase) {
    let mut bytes = case.bytes.0.clone();
    let mut addresses = case.addresses;
    let len = low_u16(bytes.len());
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

/// S-02: a TCP checksum follows its fields and addresses; 0 is a value as any other.
pub fn law_tcp_setters_keep_the_checksum(case: &TransportCase) {
    let mut bytes = case.bytes.0.clone();
    let mut addresses = case.addresses;
    // A data offset within the segment, and the reserved bits as they come.
    let words = u8::try_from((bytes.len() / 4).min(15)).unwrap();
    bytes[12] = (bytes[12] >> 4).clamp(5, words) << 4 | bytes[12] & 15;
    let len = low_u16(bytes.len());
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

/// V-01 to V-16: every parser of IPv4 says what the rules say, and shows what the bytes are.
pub fn law_parse_matches_oracle(case: &MutatedPacket) {
    let bytes = &case.bytes.0;
    let expected = oracle::validate(bytes, true);
    let parsed = Ipv4::parse(bytes);
    assert_eq!(
        parsed.map(|_| ()),
        expected.as_ref().map(|_| ()).map_err(|&error| error)
    );
    if let (Ok(packet), Ok(fields)) = (parsed, &expected) {
        assert_shows(packet, fields, bytes);
    }

    let unverified = oracle::validate(bytes, false);
    let parsed = Ipv4::parse_hardware_verified(bytes);
    assert_eq!(
        parsed.map(|_| ()),
        unverified.as_ref().map(|_| ()).map_err(|&error| error)
    );
    if let (Ok(packet), Ok(fields)) = (parsed, &unverified) {
        assert_shows(packet, fields, bytes);
    }

    let mut copy = bytes.clone();
    match (Ipv4Mut::parse(&mut copy), &expected) {
        (Ok(packet), Ok(fields)) => {
            assert_eq!(packet.header.as_bytes(), &bytes[..20]);
            assert_eq!(packet.options, fields.options);
            assert_eq!(packet.payload, fields.payload);
        }
        (parsed, expected) => assert_eq!(parsed.err(), expected.as_ref().err().copied()),
    }

    let meta = PacketMeta::read(bytes);
    assert_eq!(meta.err(), expected.as_ref().err().copied());
    if let (Ok(meta), Ok(fields)) = (meta, &expected) {
        assert_eq!(meta.header().as_bytes(), &bytes[..20]);
        assert_eq!(meta.version(), 4);
        assert_eq!(usize::try_from(meta.len()), Ok(fields.total_len));
        let proven = Packet::new(&mut copy, Span::new(0, bytes.len()))
            .prove()
            .unwrap();
        assert_eq!(*proven.meta(), meta);
        assert_eq!(proven.as_slice(), &bytes[..fields.total_len]);
    }

    assert_quoted(bytes);
}

fn assert_shows(packet: Ipv4<'_>, fields: &oracle::Fields<'_>, bytes: &[u8]) {
    assert_getters(packet.header(), bytes);
    assert_eq!(packet.option_bytes(), fields.options);
    assert_eq!(packet.payload(), fields.payload);
    assert_eq!(packet.slack(), fields.slack);
    assert_eq!(
        packet.options().has_source_route(),
        oracle::has_source_route(fields.options)
    );
}

/// V-01 to V-04 only, and a payload that may be cut.
fn assert_quoted(bytes: &[u8]) {
    let quoted = Ipv4::parse_quoted(bytes);
    match oracle::validate(bytes, false) {
        Err(error @ (ParseError::BadVersion { .. } | ParseError::BadIhl { .. })) => {
            assert_eq!(quoted.err(), Some(error));
        }
        Err(error) if bytes.len() < 20 || bytes.len() < usize::from(bytes[0] & 15) * 4 => {
            assert_eq!(quoted.err(), Some(error));
        }
        whole => {
            let quoted = quoted.unwrap();
            assert_getters(quoted.header(), bytes);
            let header_len = usize::from(bytes[0] & 15) * 4;
            let total_len = usize::from(oracle::u16_at(bytes, 2));
            let end = if total_len < header_len {
                bytes.len()
            } else {
                total_len.min(bytes.len())
            };
            assert_eq!(quoted.payload(), &bytes[header_len..end]);
            assert_eq!(quoted.is_cut(), total_len > bytes.len());
            assert_eq!(quoted.verifies(), oracle::verifies(&bytes[..header_len]));
            if let Ok(fields) = whole {
                assert_eq!(quoted.payload(), fields.payload);
            }
        }
    }
}

/// V-08, E-20, D-02: what stands behind the total length changes nothing but the slack.
pub fn law_parse_never_reads_past_total_len(case: &SlackCase) {
    let alone = &case.packet.bytes.0;
    let slack = &case.slack.0.0;
    let followed = [&alone[..], slack].concat();
    let (first, second) = (Ipv4::parse(alone).unwrap(), Ipv4::parse(&followed).unwrap());
    assert_eq!(first.header(), second.header());
    assert_eq!(first.option_bytes(), second.option_bytes());
    assert_eq!(first.payload(), second.payload());
    assert_eq!((first.slack(), second.slack()), (0, slack.len()));
    assert_eq!(first.payload().as_ptr_range().end, alone.as_ptr_range().end);
    assert_eq!(PacketMeta::read(alone), PacketMeta::read(&followed));

    // A decapsulator does not look behind the outer total length either.
    let mut outer = case.packet.bytes.0.clone();
    outer[9] = 4;
    oracle::fill_checksum(&mut outer);
    let followed = [&outer[..], slack].concat();
    let carrier = ipencap::encap::IpIpCarrier;
    let inspect = |bytes: &[u8]| ipencap::encap::inspect_without_filter(&carrier, bytes);
    assert_eq!(inspect(&outer), inspect(&followed));
}

/// P-01: every parser, on anything.
pub fn law_no_panic(case: &Anything) {
    let bytes = &case.0.0;
    let mut copy = bytes.clone();
    let number = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let (one, two) = (
        Ipv4Addr::from([number(0); 4]),
        Ipv4Addr::from([number(1); 4]),
    );

    let _ = Ipv4Header::split(bytes);
    let _ = Ipv4Header::split_mut(&mut copy);
    let _ = Ipv4::parse(bytes);
    let _ = Ipv4Mut::parse(&mut copy);
    if let Ok(packet) = Ipv4::parse_hardware_verified(bytes) {
        assert!(packet.options().count() <= 40);
        let _ = packet.options().has_source_route();
    }
    if let Ok(quoted) = Ipv4::parse_quoted(bytes) {
        let _ = (quoted.payload(), quoted.is_cut(), quoted.verifies());
        assert!(quoted.options().count() <= 40);
    }
    let _ = UdpHeader::split_mut(&mut copy);
    if let Ok(udp) = Udp::parse(bytes) {
        let _ = udp.checksum_status(one, two);
        assert_eq!(udp.payload().len() + udp.slack() + 8, bytes.len());
    }
    let _ = TcpHeader::split_mut(&mut copy);
    if let Ok(tcp) = Tcp::parse(bytes) {
        let _ = tcp.verifies(one, two);
        assert!(tcp.options().count() <= 40);
        let parts = 20 + tcp.option_bytes().len() + tcp.payload().len();
        assert_eq!(parts, bytes.len());
    }
    let _ = Icmpv4Header::split_mut(&mut copy);
    if let Ok(icmp) = Icmpv4::parse(bytes) {
        assert_eq!(icmp.payload().len() + 8, bytes.len());
    }
    assert!(HeaderOptions::new(bytes).count() <= bytes.len());

    let _ = Prefix::new(one, number(2));
    let _ = (
        Dscp::new(number(3)),
        FragmentOffset::from_units(u16::from(number(4)) * 256),
    );
    assert_eq!(copy, *bytes, "splitting for writing has written");

    // Spans anywhere, also beyond the end of memory.
    for span in [
        Span::new(usize::from(number(5)), usize::from(number(6))),
        Span::new(usize::MAX - usize::from(number(5)), usize::from(number(6))),
        Span::new(usize::from(number(5)), usize::MAX - usize::from(number(6))),
    ] {
        let inside = span.start <= bytes.len() && span.len <= bytes.len() - span.start;
        assert_eq!(span.get(bytes).is_some(), inside);
        assert_eq!(span.get_mut(&mut copy).is_some(), inside);
        let packet = Packet::new(&mut copy, span);
        assert_eq!(
            packet.headroom() + packet.as_slice().len() + packet.tailroom(),
            bytes.len()
        );
        let _ = packet.prove();
        for enrolled in crate::registry::ENCAPSULATORS {
            let subject = enrolled.typical(crate::registry::Endpoints {
                source: [198, 51, 100, 1],
                destination: [203, 0, 113, 2],
            });
            let tunnel = subject.encapsulator();
            let _ = ipencap::encap(tunnel, &mut copy, span, &PerPacket::new());
            copy.clone_from(bytes);
            let _ = tunnel.encap(&mut copy, &PerPacket::new());
            copy.clone_from(bytes);
            let _ = subject.inspect_without_filter(bytes);
            let _ = ipencap::decap(subject.decapsulator(), &mut copy);
            copy.clone_from(bytes);
            // A frame that nobody judged: too short, or not what was judged.
            if let Ok(meta) = PacketMeta::read(bytes) {
                let short = &mut copy[..usize::from(number(7)).min(bytes.len())];
                tunnel.write(short, &meta, &meta, &PerPacket::new());
                copy.clone_from(bytes);
            }
        }
    }
}

/// A buffer filled with `poison`, with the case's packet in its place.
fn staged(case: &EncapCase, poison: u8) -> (Vec<u8>, Span) {
    let mut buffer = vec![poison; case.headroom];
    buffer.extend(&case.inner.0);
    buffer.extend(&case.behind.0);
    (buffer, Span::new(case.headroom, case.inner.0.len()))
}

/// Wraps the case's packet by the first door; the outer packet's place, and the buffer.
fn wrapped(
    case: &EncapCase,
    subject: &dyn Subject,
    poison: u8,
) -> (Vec<u8>, Result<Span, EncapError>) {
    let (mut buffer, span) = staged(case, poison);
    let result = Door::Function.encap(subject.encapsulator(), &mut buffer, span, &case.packet);
    (buffer, result)
}

/// The outer packets of the case, for the laws of success.
fn successes(case: &EncapCase) -> impl Iterator<Item = (&dyn Subject, Vec<u8>, Span)> {
    case.subjects.iter().filter_map(|subject| {
        let (buffer, result) = wrapped(case, &**subject, 0xa5);
        Some((&**subject, buffer, result.ok()?))
    })
}

/// E-01 to E-23, differentially: accepted if and only if the rules have no objection, refused for one
/// of the objections, and the same bytes as the naive encapsulator's.
pub fn law_encap_matches_oracle(case: &EncapCase) {
    for subject in &case.subjects {
        let need = subject.encapsulator().overhead();
        let mut objections = subject.objections(&case.inner.0, &case.packet);
        if case.headroom < need {
            objections.push(EncapError::NoHeadroom {
                need: u16::try_from(need).unwrap(),
                have: u16::try_from(case.headroom).unwrap(),
            });
        }
        let (buffer, result) = wrapped(case, &**subject, 0xa5);
        match result {
            Ok(outer) => {
                assert_eq!(objections, [], "accepted in spite of");
                let expected = subject.expected(&case.inner.0, &case.packet);
                let outer = outer.get(&buffer).unwrap();
                assert_eq!(Bytes(outer.to_vec()), Bytes(expected));
            }
            Err(error) => {
                assert!(objections.contains(&error), "{error:?}, but {objections:?}");
            }
        }
    }
}

/// The overhead is exact, and the same for every packet.
pub fn law_overhead_is_exact(case: &EncapCase) {
    for (subject, buffer, outer) in successes(case) {
        let overhead = subject.encapsulator().overhead();
        let inner_len = usize::from(oracle::u16_at(&case.inner.0, 2));
        assert_eq!(outer.start + overhead, case.headroom);
        assert_eq!(outer.len, inner_len + overhead);
        let packet = Ipv4::parse(outer.get(&buffer).unwrap()).unwrap();
        assert_eq!(usize::from(packet.header().total_len()), outer.len);
        assert_eq!(packet.slack(), 0);
    }
}

/// E-16, E-19: only the headers in front are written, and TTL and checksum when forwarding.
pub fn law_untouched_payload(case: &EncapCase) {
    for (subject, buffer, outer) in successes(case) {
        let (mut before, _) = staged(case, 0xa5);
        let inner = case.headroom;
        before[outer.start..inner].copy_from_slice(&buffer[outer.start..inner]);
        if subject.forwards() {
            assert_eq!(buffer[inner + 8], before[inner + 8] - 1, "T-03");
            let inner_header = &buffer[inner..inner + usize::from(buffer[inner] & 15) * 4];
            assert!(oracle::verifies(inner_header), "T-03: the checksum follows");
            for field in [8, 10, 11] {
                before[inner + field] = buffer[inner + field];
            }
        }
        assert_eq!(Bytes(buffer), Bytes(before));
    }
}

/// P-03, E-23: on an error of any door no byte of the buffer has changed.
pub fn law_encap_is_all_or_nothing(case: &EncapCase) {
    for subject in &case.subjects {
        for door in Door::ALL {
            if door == Door::Method && case.headroom < subject.encapsulator().overhead() {
                continue; // Its frame begins with the headroom.
            }
            let (mut buffer, span) = staged(case, 0xa5);
            let before = buffer.clone();
            if subject
                .encap(door, &mut buffer, span, &case.packet)
                .is_err()
            {
                assert_eq!(Bytes(buffer), Bytes(before), "{door:?}");
            }
        }
    }
}

/// P-04: every checksum that is emitted verifies with another summer.
pub fn law_emitted_checksums_verify(case: &EncapCase) {
    for (_, buffer, outer) in successes(case) {
        for header in [outer.start, case.headroom] {
            let header_len = usize::from(buffer[header] & 15) * 4;
            assert!(oracle::verifies(&buffer[header..header + header_len]));
        }
        assert_ne!(
            oracle::u16_at(&buffer, outer.start + 10),
            0xffff,
            "C-12, trap T3"
        );
    }
}

/// Trap T33: whatever lay in the headroom, every outer byte is written.
pub fn law_dirty_headroom(case: &EncapCase) {
    for subject in &case.subjects {
        let (first, result) = wrapped(case, &**subject, 0xa5);
        let (second, again) = wrapped(case, &**subject, 0x5a);
        assert_eq!(result, again);
        if let Ok(outer) = result {
            let outers = [&first, &second].map(|buffer| Bytes(outer.get(buffer).unwrap().to_vec()));
            assert_eq!(outers[0], outers[1]);
            assert!(first[..outer.start].iter().all(|&byte| byte == 0xa5));
            assert!(second[..outer.start].iter().all(|&byte| byte == 0x5a));
        }
    }
}

/// P-05: all doors, by static and dynamic dispatch, and the header by value in front of a copy, make
/// the same packet or the same error.
pub fn law_doors_agree(case: &EncapCase) {
    for subject in &case.subjects {
        let tunnel = subject.encapsulator();
        let (buffer, result) = wrapped(case, &**subject, 0xa5);
        let has_headroom = case.headroom >= tunnel.overhead();
        for door in Door::ALL {
            if door == Door::Method && !has_headroom {
                continue; // Its frame begins with the headroom.
            }
            let (mut by_static, span) = staged(case, 0xa5);
            let static_result = subject.encap(door, &mut by_static, span, &case.packet);
            assert_eq!(static_result, result, "{door:?}, static");
            assert_eq!(Bytes(by_static), Bytes(buffer.clone()), "{door:?}, static");

            let (mut by_dyn, span) = staged(case, 0xa5);
            let dyn_result = door.encap(tunnel, &mut by_dyn, span, &case.packet);
            assert_eq!(dyn_result, result, "{door:?}, dynamic");
            assert_eq!(Bytes(by_dyn), Bytes(buffer.clone()), "{door:?}, dynamic");
        }

        let Ok(meta) = PacketMeta::read(&case.inner.0) else {
            continue;
        };
        let judged = tunnel.judge(&meta, &case.packet);
        let by_value = subject.header(&meta, &case.packet);
        if has_headroom {
            assert_eq!(judged.err(), result.err());
            assert_eq!(by_value.as_ref().err(), result.as_ref().err());
        }
        let (Ok(outer), Ok(header), Ok(judged)) = (result, by_value, judged) else {
            continue;
        };
        let mut copy = case.inner.0[..usize::try_from(meta.len()).unwrap()].to_vec();
        if subject.forwards() {
            assert!(Ipv4Header::split_mut(&mut copy).unwrap().0.decrement_ttl());
        }
        let outer = outer.get(&buffer).unwrap();
        assert_eq!(Bytes([header, copy].concat()), Bytes(outer.to_vec()));
        assert_eq!(
            PacketMeta::read(outer),
            Ok(judged),
            "what was judged is what was made"
        );
    }
}

/// The innermost packet as it leaves the last tunnel.
fn travelled(case: &NestCase) -> Vec<u8> {
    let mut inner = case.inner.bytes.0.clone();
    if case.layers[0].forwards() {
        inner[8] -= 1;
        oracle::fill_checksum(&mut inner);
    }
    inner
}

/// Wraps the case's packet in all of its layers.
fn nested(case: &NestCase) -> Vec<u8> {
    let overhead: usize = case
        .layers
        .iter()
        .map(|layer| layer.encapsulator().overhead())
        .sum();
    let mut buffer = vec![0xa5; overhead];
    buffer.extend(&case.inner.bytes.0);
    let mut packet = Packet::new(&mut buffer, Span::new(overhead, case.inner.bytes.0.len()));
    let said = PerPacket::new().with_ordinal(case.ordinal);
    for layer in &case.layers {
        let expected = layer.expected(packet.as_slice(), &said);
        packet.encap(layer.encapsulator(), &said).unwrap();
        assert_eq!(Bytes(packet.as_slice().to_vec()), Bytes(expected));
    }
    assert_eq!(packet.headroom(), 0);
    buffer
}

/// P-02, P-05: what goes into up to four tunnels comes out of them, byte for byte.
pub fn law_roundtrip(case: &NestCase) {
    let mut buffer = nested(case);
    let len = buffer.len();
    let mut packet = Packet::new(&mut buffer, Span::new(0, len));
    for layer in case.layers.iter().rev() {
        let opened = packet.decap(layer.decapsulator()).unwrap();
        assert_eq!((opened.slack(), opened.layers()), (0, 1));
    }
    assert_eq!(packet.tailroom(), 0);
    assert_eq!(Bytes(packet.as_slice().to_vec()), Bytes(travelled(case)));
}

/// N-18: inspecting layer by layer without writing sees the same as opening layer by layer, also
/// when a router has marked the outermost packet.
pub fn law_nested_inspection_equals_sequential(case: &NestCase) {
    let mut marked = nested(case);
    marked[1] = marked[1] & 0xfc | case.mark;
    oracle::fill_checksum(&mut marked);

    let mut opened_in_turn = marked.clone();
    let mut place = Span::new(0, marked.len());
    let mut sequential = Ok(());
    let mut arrived = Arrived::new(&marked);
    for layer in case.layers.iter().rev() {
        let bytes = place.get_mut(&mut opened_in_turn).unwrap();
        let step = ipencap::decap(layer.decapsulator(), bytes).map(|inner| inner.opened);
        let inspected = layer.decapsulator().inspect_arrived(arrived);
        assert_eq!(inspected.map(summary), step.map(summary));
        let (Ok(step), Ok(inspected)) = (step, inspected) else {
            sequential = Err(());
            break;
        };
        arrived = inspected.arrived(arrived.bytes());
        place = Span::new(place.start + step.span().start, step.span().len);
        let delivered = place.get(&opened_in_turn).unwrap();
        let (header, _, _) = Ipv4Header::split(delivered).unwrap();
        assert_eq!(arrived.bytes().len(), delivered.len());
        let (unwritten, _, _) = Ipv4Header::split(arrived.bytes()).unwrap();
        assert_eq!(arrived.tos(unwritten), header.tos(), "N-18");
    }
    if sequential.is_ok() {
        assert_eq!(
            &arrived.bytes()[20..],
            &place.get(&opened_in_turn).unwrap()[20..]
        );
    }
}

/// What an inspection and an opening must agree on, whether or not the bytes are written in between.
fn summary(opened: Opened) -> (Span, u16, u32, Option<ipencap::wire::EcnAlarm>) {
    (opened.span(), opened.slack(), opened.tag(), opened.alarm())
}

/// Calls `check` with a decapsulator of the case's network for every carrier.
fn for_each_receiver(
    case: &DecapCase,
    mut check: impl FnMut(&dyn Subject, &dyn Decapsulate, &[u8]),
) {
    let prefixes = |nets: &[oracle::Net]| -> Vec<Prefix> {
        nets.iter()
            .map(|&(network, len)| Prefix::new(network.into(), len).unwrap())
            .collect()
    };
    let inner: Vec<Vec<Prefix>> = case
        .network
        .peers
        .iter()
        .map(|peer| prefixes(&peer.inner))
        .collect();
    let peers: Vec<Peer<'_>> = case
        .network
        .peers
        .iter()
        .zip(&inner)
        .map(|(peer, inner)| Peer::new(prefixes(&[peer.outer])[0], inner).with_tag(peer.tag))
        .collect();
    let addresses =
        |list: &[[u8; 4]]| -> Vec<Ipv4Addr> { list.iter().copied().map(Into::into).collect() };
    let local = addresses(&case.network.local);
    let endpoints = addresses(&case.network.endpoints);
    let edge = Edge::new(&local, &peers).with_endpoints(&endpoints);
    let mut accesses: Vec<&dyn Access> = vec![&edge];
    let point_to_point;
    if case.point_to_point {
        let peer = case.network.peers[0].outer.0;
        point_to_point = PointToPoint::new(local[0], peer.into(), &inner[0]);
        accesses.push(&point_to_point);
    }
    for access in accesses {
        for (subject, packet) in &case.arrivals {
            let receiver = subject.receiver(access, case.switches);
            check(&**subject, &*receiver, &packet.0);
        }
    }
}

/// P-11: accepted if and only if the rules D-01 to D-22 accept it, refused for the first rule that is
/// broken, and delivered as the rules say.
pub fn law_decap_matches_oracle(case: &DecapCase) {
    for_each_receiver(case, |subject, receiver, packet| {
        let expected = oracle::decapsulate(subject.carrier(), &case.network, case.switches, packet);
        let mut bytes = packet.to_vec();
        let got = ipencap::decap(receiver, &mut bytes)
            .map(|inner| Accepted {
                start: inner.opened.span().start,
                inner: inner.packet.to_vec(),
                slack: inner.opened.slack().into(),
                alarm: inner.opened.alarm(),
                tag: inner.opened.tag(),
            })
            .map_err(|refused| {
                assert_eq!(refused.layer, 0);
                refusal(refused)
            });
        assert_eq!(got, expected);

        // Without the filter: nothing that the pipeline accepts is refused.
        let unfiltered = subject.inspect_without_filter(packet);
        if let Ok(accepted) = &expected {
            let unfiltered = unfiltered.unwrap();
            assert_eq!(unfiltered.span().start, accepted.start);
            assert_eq!(unfiltered.span().len, accepted.inner.len());
            assert_eq!(usize::from(unfiltered.slack()), accepted.slack);
            assert_eq!((unfiltered.alarm(), unfiltered.tag()), (accepted.alarm, 0));
        }
    });
}

fn refusal(refused: Refused) -> Refusal {
    Refusal {
        reason: refused.reason,
        need_have: (refused.need, refused.have),
    }
}

/// P-03, trap T41: a refused packet, its buffer and its place are as before.
pub fn law_decap_is_all_or_nothing(case: &DecapCase) {
    for_each_receiver(case, |_, receiver, packet| {
        let mut bytes = packet.to_vec();
        if ipencap::decap(receiver, &mut bytes).is_err() {
            assert_eq!(bytes, packet);
        }
        let mut buffer = [&[0xa5; 7], packet, &[0x5a; 3]].concat();
        let before = buffer.clone();
        let mut place = Packet::new(&mut buffer, Span::new(7, packet.len()));
        if place.decap(receiver).is_err() {
            assert_eq!(place.span(), Span::new(7, packet.len()));
            assert_eq!(buffer, before);
        }
    });
}

/// N-12, A-45: inspecting and applying is what the doors do; little is written, and only if said.
pub fn law_inspect_apply_agree(case: &DecapCase) {
    for_each_receiver(case, |_, receiver, packet| {
        let inspected = receiver.inspect(packet);
        assert_eq!(receiver.inspect_arrived(Arrived::new(packet)), inspected);

        let mut by_door = packet.to_vec();
        let door = ipencap::decap(receiver, &mut by_door).map(|inner| inner.opened);
        assert_eq!(door, inspected);

        let mut buffer = [&[0xa5; 7], packet, &[0x5a; 3]].concat();
        let mut place = Packet::new(&mut buffer, Span::new(7, packet.len()));
        assert_eq!(place.decap(receiver), inspected);
        let Ok(opened) = inspected else {
            return;
        };
        let span = opened.span();
        assert_eq!(place.span(), Span::new(7 + span.start, span.len));

        let mut applied = packet.to_vec();
        let inner = opened.apply(&mut applied).to_vec();
        assert_eq!(inner.len(), span.len);
        assert_eq!(Some(&*inner), span.get(&by_door));
        assert_eq!(applied, by_door);
        assert_eq!(place.as_slice(), inner);
        assert_eq!(buffer[..7], [0xa5; 7]);
        assert_eq!(buffer[7 + packet.len()..], [0x5a; 3]);

        let changed: Vec<usize> = (0..packet.len())
            .filter(|&at| applied[at] != packet[at])
            .collect();
        assert_eq!(opened.changes_bytes(), !changed.is_empty(), "N-12");
        let may_change = [1, 10, 11].map(|field| span.start + field);
        assert!(
            changed.iter().all(|at| may_change.contains(at)),
            "{changed:?}"
        );
        assert_eq!(
            oracle::residue(&inner[..usize::from(inner[0] & 15) * 4]),
            0,
            "N-11: the checksum follows"
        );

        // Applied to a buffer that was not inspected: nothing happens.
        for len in [0, span.start, span.start + span.len - 1] {
            let mut short = packet[..len].to_vec();
            assert!(opened.apply(&mut short).is_empty());
            assert_eq!(short, packet[..len]);
            assert!(opened.arrived(&short).bytes().is_empty());
        }
        assert_eq!(opened.arrived(packet).bytes(), span.get(packet).unwrap());
        assert_eq!(opened.layers(), 1);
    });
}
