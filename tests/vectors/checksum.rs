//! CK and INC: sums and their incremental updates.

use core::net::Ipv4Addr;

use ipencap::checksum::{
    Delta, Sum, checksum, const_checksum, update_odd_u16, update_u16, update_u32, verify,
};
use ipencap::wire::{
    Dscp, Ecn, IpProtocol, Ipv4Header, Tcp, TcpHeader, Udp, UdpChecksum, UdpHeader,
};
use serde_json::Value;

use crate::oracle::{A, B, L, P, R, accumulate, fold, hex, number, unhex, word};
use crate::{Book, MIXED};

/// CK-01 to CK-23 show C-01 to C-06, C-12 and S-02.
#[test]
fn ck_sums() {
    ck(&mut Book::open());
}

/// INC-01 to INC-26 show C-07, C-08, C-10, C-11 and C-13 to C-15.
#[test]
fn inc_incremental_updates() {
    inc(&mut Book::open());
}

fn ck_12_data() -> Vec<u8> {
    (0..1501_u32)
        .map(|i| (7 * i + 3).to_le_bytes()[0])
        .collect()
}

/// Checks `data` in every form: fast, constant, by halves at every small split, and verification.
fn check_sum(id: &str, data: &[u8], sum: u16, expected: u16) {
    assert_eq!(!sum, expected, "{id}: the vector");
    assert_eq!(
        fold(accumulate(data, u16::from_be_bytes)),
        sum,
        "{id}: naive"
    );
    let fast = Sum::new().add_bytes(data);
    let constant = Sum::new().const_add_bytes(data);
    assert_eq!(fast.fold(), sum, "{id}: fast");
    assert_eq!(constant.fold(), sum, "{id}: const");
    assert_eq!(fast.checksum(), expected, "{id}: fast");
    assert_eq!(constant.checksum(), expected, "{id}: const");
    assert_eq!(checksum(data), expected, "{id}: checksum");
    assert_eq!(const_checksum(data), expected, "{id}: const_checksum");
    for split in (0..=data.len()).filter(|&at| at < 80 || at + 3 > data.len()) {
        let (head, tail) = data.split_at(split);
        let running = Sum::new().add_bytes(head).add_bytes(tail);
        assert_eq!(running.fold(), sum, "{id}: C-04, split at {split}");
        let joined = Sum::new()
            .const_add_bytes(head)
            .join(Sum::new().add_bytes(tail));
        assert_eq!(joined.fold(), sum, "{id}: C-04, joined at {split}");
    }
    // C-06: with its checksum behind it, at an even offset, everything verifies.
    let padding: &[u8] = if data.len() % 2 == 1 { &[0] } else { &[] };
    let mut whole = [data, padding, &expected.to_be_bytes()].concat();
    assert!(verify(&whole), "{id}: C-06");
    *whole.last_mut().unwrap() ^= 1;
    assert!(!verify(&whole), "{id}: C-06");
    assert_eq!(fast.is_valid(), sum == 0xffff, "{id}: C-06");
}

pub(crate) fn ck(book: &mut Book) {
    book.each("checksum", "CK", |id, vector| {
        let data = match id {
            "CK-01" => unhex("0001f203f4f5f6f7"),
            "CK-02" => [hex(&vector["first_data"]), hex(&vector["second_data"])].concat(),
            "CK-03" => vec![],
            "CK-04" => vec![0x00],
            "CK-05" => vec![0x01],
            "CK-06" => vec![0xff],
            "CK-07" => vec![0xff; 2],
            "CK-08" => vec![0x00; 20],
            "CK-09" => vec![0xff; 20],
            "CK-10" | "CK-17" => vec![0xff; 65535],
            "CK-10b" => vec![0xff; 65534],
            "CK-11" => (0..1500_u32).map(|i| i.to_le_bytes()[0]).collect(),
            "CK-12" | "CK-16" => ck_12_data(),
            "CK-22" | "CK-23" => hex(&vector["data"]),
            _ => panic!("{id}: no check for this vector"),
        };
        check_sum(id, &data, word(&vector["sum"]), word(&vector["checksum"]));

        let big_endian = accumulate(&data, u16::from_be_bytes);
        let little_endian = accumulate(&data, u16::from_le_bytes);
        match id {
            "CK-02" => {
                let parts = ["first", "second"].map(|part| {
                    let data = hex(&vector[format!("{part}_data").as_str()]);
                    let sum = Sum::new().add_bytes(&data);
                    assert_eq!(sum.fold(), word(&vector[part]), "{id}: {part}");
                    sum
                });
                let swapped = parts[1].fold().swap_bytes();
                assert_eq!(swapped, word(&vector["second_swapped"]), "{id}");
                let joined = parts[0].join(parts[1]);
                assert_eq!(joined.fold(), word(&vector["sum"]), "{id}: join");
            }
            "CK-16" => {
                let expected = word(&vector["little_endian"]);
                assert_eq!(fold(little_endian), expected, "{id}");
                assert_eq!(Sum::new().add_bytes(&data).fold(), expected.swap_bytes());
            }
            "CK-17" => assert_eq!(big_endian, number(&vector["accumulator"]), "{id}: C-05"),
            "CK-22" => {
                assert_eq!(big_endian, number(&vector["accumulator"]), "{id}");
                let once = (big_endian >> 16) + (big_endian & 0xffff);
                assert_eq!(once, number(&vector["folded_once"]), "{id}: C-02");
            }
            "CK-23" => {
                let expected = number(&vector["little_endian_accumulator"]);
                assert_eq!(little_endian, expected, "{id}: C-02");
            }
            _ => {}
        }
        if let Ok(header) = <[u8; 20]>::try_from(&data[..]) {
            let sum = Sum::new().add_header(&header);
            assert_eq!(sum.fold(), word(&vector["sum"]), "{id}: add_header");
        }
    });
    book.each(MIXED, "CK", ck_in_headers);
}

fn ck_in_headers(id: &str, vector: &Value) {
    match id {
        "CK-14" => {
            let data = hex(&vector["data"]);
            let expected = word(&vector["csum"]);
            check_sum(id, &data, 0x479e, expected);
            let mut header = Ipv4Header::from_bytes(data.try_into().unwrap());
            assert_eq!(
                Sum::new().add_header(header.as_bytes()).checksum(),
                expected
            );
            assert!(!header.verifies(&[]), "{id}: V-05");
            header.fill_checksum(&[]);
            assert_eq!(header.checksum(), expected, "{id}");
            assert!(header.verifies(&[]), "{id}: V-05");
        }
        "CK-15" => {
            let data = ck_12_data();
            let total = word(&vector["total"]);
            let split = usize::try_from(vector["split"].as_u64().unwrap()).unwrap();
            let (head, tail) = data.split_at(split);
            for add in [Sum::add_bytes, Sum::const_add_bytes] {
                let (first, second) = (add(Sum::new(), head), add(Sum::new(), tail));
                assert_eq!(first.fold(), word(&vector["first"]), "{id}");
                assert_eq!(second.fold(), word(&vector["second"]), "{id}");
                assert_eq!(first.join(second).fold(), total, "{id}: C-04");
                assert_eq!(add(first, tail).fold(), total, "{id}: C-04");
            }
            check_sum(id, &data, total, !total);
        }
        "CK-18" => {
            let segment = hex(vector);
            let pseudo = Sum::pseudo_header(A, B, IpProtocol::TCP.0, 20);
            assert_eq!(pseudo.add_bytes(&segment).fold(), 0xffff, "{id}");
            assert_eq!(pseudo.const_add_bytes(&segment).fold(), 0xffff, "{id}");
            let tcp = Tcp::parse(&segment).expect(id);
            assert_eq!(tcp.header().checksum(), 0, "{id}");
            assert!(tcp.verifies(A, B), "{id}: 0 is a checksum in TCP (S-02)");
            assert!(!tcp.verifies(A, A), "{id}");

            let mut bytes = segment.clone();
            bytes[16..18].fill(0xee);
            let (header, options, payload) = TcpHeader::split_mut(&mut bytes).expect(id);
            assert_eq!(header.fill_checksum(A, B, options, payload), Ok(()), "{id}");
            assert_eq!(bytes, segment, "{id}: 0 is written as it is (C-12)");
        }
        "CK-19" | "CK-20" | "CK-21" => {
            let datagram = hex(vector);
            let (source, destination, expected) = match id {
                "CK-19" => (A, B, 0x8aef),
                "CK-20" => (A, B, 0x4f58),
                _ => (Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED, 0xffde),
            };
            let udp = Udp::parse(&datagram).expect(id);
            assert_eq!(udp.header().checksum(), expected, "{id}");
            let status = udp.checksum_status(source, destination);
            assert_eq!(status, UdpChecksum::Valid, "{id}");
            let status = udp.checksum_status(source, R);
            assert_eq!(status, UdpChecksum::Invalid, "{id}");

            let mut bytes = datagram.clone();
            let (header, payload) = UdpHeader::split_mut(&mut bytes).expect(id);
            header.clear_checksum();
            header.fill_checksum(source, destination, payload);
            assert_eq!(bytes, datagram, "{id}");

            let len = udp.header().len();
            bytes[6..8].fill(0);
            let pseudo = Sum::pseudo_header(source, destination, IpProtocol::UDP.0, len);
            for sum in [pseudo.add_bytes(&bytes), pseudo.const_add_bytes(&bytes)] {
                assert_eq!(sum.checksum(), expected, "{id}");
            }
        }
        _ => panic!("{id}: no check for this vector"),
    }
}

/// In constant evaluation for real: these are computed by the compiler.
const CK_01: u16 = const_checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
const CK_05: u16 = const_checksum(&[0x01]);
const INC_01: u16 = update_u16(0xdd2f, 0x5555, 0x3285);
const INC_19: u16 = update_u32(0x1485, 0x0a02_0009, 0xcb00_7102);

#[test]
fn ck_01_ck_05_inc_01_inc_19_in_constants() {
    assert_eq!((CK_01, CK_05), (0x220d, 0xfeff), "CK-01, CK-05");
    assert_eq!((INC_01, INC_19), (0x0000, 0xe28c), "INC-01, INC-19");
}

/// The words that change, with the checksum before and after.
fn check_update(id: &str, before: u16, words: &[(u16, u16)], after: u16) {
    let by_delta = words.iter().fold(Delta::new(), |delta, &(old, new)| {
        delta.replace_u16(old, new)
    });
    assert_eq!(by_delta.apply(before), after, "{id}: Delta (C-10)");
    let one_by_one = words
        .iter()
        .fold(before, |sum, &(old, new)| update_u16(sum, old, new));
    assert_eq!(one_by_one, after, "{id}: update_u16 (C-07)");

    let old = words
        .iter()
        .fold(Sum::new(), |sum, word| sum.add_u16(word.0));
    let new = words
        .iter()
        .fold(Sum::new(), |sum, word| sum.add_u16(word.1));
    let between = Delta::between(old, new);
    assert_eq!(between.apply(before), after, "{id}: Delta::between");
    if let [(first, first_new), (second, second_new)] = *words {
        let [old, new] = [[first, second], [first_new, second_new]]
            .map(|[high, low]| u32::from(high) << 16 | u32::from(low));
        assert_eq!(update_u32(before, old, new), after, "{id}: update_u32");
    }
    // C-11: shifted by one byte the same change is made of swapped words.
    if let [(old, new)] = *words {
        let shifted = update_odd_u16(before, old.swap_bytes(), new.swap_bytes());
        assert_eq!(shifted, after, "{id}: update_odd_u16");
    }
    let as_udp = match (before, after) {
        (0, _) => 0,
        (_, 0) => 0xffff,
        (_, after) => after,
    };
    let patched = UdpHeader::patched(before, by_delta);
    assert_eq!(patched, as_udp, "{id}: as UDP (C-13, C-14)");
}

/// A header whose word at `offset` is `old` and whose checksum field is `checksum`, right or not.
fn header_with(offset: usize, old: u16, checksum: u16) -> Ipv4Header {
    let mut bytes = [0; 20];
    bytes.copy_from_slice(&P[..20]);
    bytes[offset..offset + 2].copy_from_slice(&old.to_be_bytes());
    bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
    Ipv4Header::from_bytes(bytes)
}

pub(crate) fn inc(book: &mut Book) {
    book.each("incremental", "INC", |id, vector| {
        if vector.get("words").is_some() {
            inc_from_the_text(id, vector);
            return;
        }
        let before = word(&vector["hc"]);
        let (old, new) = (word(&vector["m"]), word(&vector["m_new"]));
        let after = word(&vector["eqn3"]);
        assert_eq!(word(&vector["eqn4"]), after, "{id}: the vector");
        check_update(id, before, &[(old, new)], after);
        // C-08: where equation 2 goes wrong, it gives -0 for the +0 that is right.
        let wrong = word(&vector["eqn2_wrong_form"]);
        assert!(
            wrong == after || (wrong, after) == (0xffff, 0),
            "{id}: C-08"
        );

        // The rows that are a TTL or a TOS byte of P, by the header's own setters.
        let [old_high, old_low] = old.to_be_bytes();
        let [new_high, new_low] = new.to_be_bytes();
        if (old_low, new_low) == (0x11, 0x11) {
            let mut header = header_with(8, old, before);
            header.set_ttl(new_high);
            assert_eq!(header.checksum(), after, "{id}: set_ttl");
            let mut header = header_with(8, old, before);
            assert!(header.decrement_ttl(), "{id}");
            assert_eq!(header.checksum(), after, "{id}: decrement_ttl (C-16)");
        }
        if (old_high, new_high) == (0x45, 0x45) {
            let mut header = header_with(0, old, before);
            header.set_ecn(Ecn::from_bits_truncated(new_low));
            assert_eq!(header.checksum(), after, "{id}: set_ecn (C-17)");
            assert_eq!(header.tos(), new_low, "{id}: the vector changes ECN only");
        }
    });
}

fn inc_from_the_text(id: &str, vector: &Value) {
    let before = word(&vector["hc"]);
    let words: Vec<(u16, u16)> = vector["words"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| (word(&pair[0]), word(&pair[1])))
        .collect();
    let delta = words.iter().fold(Delta::new(), |delta, &(old, new)| {
        delta.replace_u16(old, new)
    });
    if let Some(after) = vector.get("eqn3") {
        check_update(id, before, &words, word(after));
    }
    if let Some(udp) = vector.get("udp") {
        let udp = word(udp);
        assert_eq!(UdpHeader::patched(before, delta), udp, "{id}");
        let mut bytes = [0; 8];
        bytes[6..].copy_from_slice(&before.to_be_bytes());
        let (header, _) = UdpHeader::split_mut(&mut bytes).unwrap();
        header.patch(delta);
        assert_eq!(header.checksum(), udp, "{id}: patch");
    }

    let mut p = *P;
    let (header, _, payload) = Ipv4Header::split_mut(&mut p).unwrap();
    match id {
        "INC-19" | "INC-26" => {
            if id == "INC-19" {
                header.set_destination(R);
            } else {
                header.set_source(L);
            }
            assert_eq!(header.checksum(), word(&vector["eqn3"]), "{id}");
            assert!(header.verifies(&[]), "{id}: equals recomputation");
        }
        "INC-20" => {
            let (udp, data) = UdpHeader::split_mut(payload).unwrap();
            assert_eq!(udp.checksum(), before, "{id}");
            assert_eq!(data[..2], [0x69, 0x70], "{id}");
            data[1] = 0x50;
            udp.patch(delta);
            assert_eq!(udp.checksum(), word(&vector["eqn3"]), "{id}");
            let status = Udp::parse(payload).unwrap().checksum_status(A, B);
            assert_eq!(status, UdpChecksum::Valid, "{id}: equals recomputation");
        }
        "INC-21" => {
            header.edit(|edit| {
                edit.set_dscp(Dscp::AF11).set_ttl(63);
            });
            assert_eq!(header.checksum(), word(&vector["eqn3"]), "{id}");
            assert!(header.verifies(&[]), "{id}: equals recomputation");
        }
        "INC-22" => {
            let mut corrupted = header_with(0, 0x452a, before);
            corrupted.set_ecn(Ecn::Ce);
            assert_eq!(corrupted.checksum(), word(&vector["eqn3"]), "{id}: C-15");
            assert!(!corrupted.verifies(&[]), "{id}: an error must survive");
            corrupted.fill_checksum(&[]);
            assert_eq!(corrupted.checksum(), 0x145a, "{id}: the truth");
        }
        "INC-23" | "INC-24" | "INC-25" => {}
        _ => panic!("{id}: no check for this vector"),
    }
}
