//! What is read and written: pcap, pcapng, link layers.

use std::fs;

use serde_json::{Value, json};

use crate::files::{Pcap, PcapNg, packets};
use crate::program::ipencap;
use crate::{ETHERNET, Folder, P, RAW, TUNNEL, hex, lines, summary, through_a_tunnel, transform};

#[test]
fn standard_input_and_output_are_files_too() {
    let folder = Folder::new("stdio");
    let bytes = Pcap::new(RAW).packet(7, 8, &hex(P)).bytes();
    let (input, output) = (folder.write("in.pcap", &bytes), folder.path("out.pcap"));
    assert_eq!(
        transform("encap", &[TUNNEL], &input, &output).status,
        Some(0)
    );
    let run = ipencap(&["encap", "--tunnel", TUNNEL, "-", "-"], &bytes);
    assert_eq!(
        (run.status, &run.stdout),
        (Some(0), &fs::read(&output).unwrap())
    );
    assert_eq!(summary(&run)["written"], 1);
    let run = ipencap(&["dissect", "-"], &run.stdout);
    assert_eq!(lines(&run.stdout)[0]["layers"][1]["src"], "10.1.0.5");
}

#[test]
fn the_output_is_the_pcap_that_was_promised() {
    let empty = ipencap(
        &["encap", "--tunnel", TUNNEL, "-", "-"],
        &Pcap::new(ETHERNET).bytes(),
    );
    let header = hex("d4c3b2a1 0200 0400 00000000 00000000 ffff0000 65000000");
    assert_eq!((empty.status, empty.stdout), (Some(0), header.clone()));
    let counts = json!({"packets": 0, "passed_over": 0, "written": 0, "dropped": {}});
    assert_eq!(
        serde_json::from_str::<Value>(empty.stderr.trim()).unwrap(),
        counts
    );

    let one = Pcap::new(RAW).packet(0x6553_f100, 123_456, &hex(P)).bytes();
    let run = ipencap(&["encap", "--tunnel", TUNNEL, "-", "-"], &one);
    let record = hex(&format!(
        "00f15365 40e20100 38000000 38000000 \
         45000038000040004004d48ac6336401cb007102{P}"
    ));
    assert_eq!(run.stdout, [header, record].concat());
}

#[test]
fn pcap_is_read_in_every_variant() {
    let p = hex(P);
    let expected = vec![
        (1_700_000_000, 123_456, p.clone()),
        (1_700_000_001, 999_999, p.clone()),
    ];
    for big_endian in [false, true] {
        for nanoseconds in [false, true] {
            // FCS lengths, and the flag that they are known; a snaplen below the packets, and wire
            // lengths beyond them.
            for word in [RAW, RAW | 0x3000_0000, RAW | 0xf400_0000] {
                let mut pcap = Pcap::new(word).variant(big_endian, nanoseconds, 8);
                let scale = if nanoseconds { 1000 } else { 1 };
                let rest = if nanoseconds { 789 } else { 0 };
                pcap = pcap.packet(1_700_000_000, 123_456 * scale + rest, &p);
                pcap = pcap.packet(1_700_000_001, 999_999 * scale + rest, &p);
                assert_eq!(
                    through_a_tunnel(&pcap.bytes()),
                    expected,
                    "{big_endian} {nanoseconds}"
                );
            }
        }
    }
}

#[test]
fn pcapng_is_read_in_either_byte_order() {
    let p = hex(P);
    let framed = [&[0; 12][..], &[0x08, 0x00], &p].concat();
    for big_endian in [false, true] {
        let hour = if big_endian {
            3600_i64.to_be_bytes().to_vec()
        } else {
            3600_i64.to_le_bytes().to_vec()
        };
        let ng = PcapNg::new(big_endian)
            .section()
            // Microseconds by default.
            .interface(RAW as u16, 0, &[])
            // Nanoseconds, one hour east, and Ethernet.
            .interface(ETHERNET as u16, 0, &[(9, vec![9]), (14, hour)])
            // 2^-20 seconds, cut at 40 bytes.
            .interface(RAW as u16, 40, &[(9, vec![0x94])])
            .name_resolution()
            .enhanced(0, 1_700_000_000_123_456, &p)
            .enhanced(1, 1_700_000_000_123_456_789, &framed)
            .enhanced(2, (1_700_000_000 << 20) + (1 << 19), &p)
            .packet_block(0, 1_700_000_000_654_321, &p)
            .simple(&p)
            // A second section starts anew.
            .section()
            .interface(ETHERNET as u16, 0, &[])
            .enhanced(0, 1_000_001, &framed);
        let expected = vec![
            (1_700_000_000, 123_456, p.clone()),
            (1_700_003_600, 123_456, p.clone()),
            (1_700_000_000, 500_000, p.clone()),
            (1_700_000_000, 654_321, p.clone()),
            (0, 0, p.clone()),
            (1, 1, p.clone()),
        ];
        assert_eq!(
            through_a_tunnel(&ng.bytes),
            expected,
            "big-endian: {big_endian}"
        );
    }
}

/// A Simple Packet Block does not say how much was captured: the interface's snaplen does.
#[test]
fn a_simple_packet_block_is_cut_at_the_snaplen() {
    let ng = PcapNg::new(false)
        .section()
        .interface(RAW as u16, 22, &[])
        .simple_of(36, &hex(P)[..22]);
    let run = ipencap(&["dissect", "-"], &ng.bytes);
    // 22 bytes and 2 of padding: the padding is no part of the UDP header.
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert_eq!(lines(&run.stdout)[0]["layers"].as_array().unwrap().len(), 1);
}

#[test]
fn frames_beyond_64_kib_are_read() {
    let mut frame = [&[0; 12][..], &[0x08, 0x00], &hex(P)].concat();
    frame.resize(100_000, 0xee);
    let pcap = Pcap::new(ETHERNET)
        .packet(1, 2, &frame)
        .packet(3, 4, &frame[..50])
        .bytes();
    assert_eq!(through_a_tunnel(&pcap), [(1, 2, hex(P)), (3, 4, hex(P))]);
}

#[test]
fn a_file_that_breaks_off_is_used_as_far_as_it_goes() {
    let folder = Folder::new("broken");
    let p = hex(P);
    let pcap = Pcap::new(RAW)
        .packet(1, 0, &p)
        .packet(2, 0, &p)
        .packet(3, 0, &p)
        .bytes();
    let ng = PcapNg::new(false)
        .section()
        .interface(RAW as u16, 0, &[])
        .enhanced(0, 1, &p)
        .enhanced(0, 2, &p)
        .enhanced(0, 3, &p)
        .bytes;
    // In the data, in the header, and in the first byte of the third record.
    for cut in [1, 35, 36, 40, 51] {
        for (bytes, whole) in [(&pcap, 2), (&ng, 2)] {
            let broken = folder.write("broken.pcap", &bytes[..bytes.len() - cut]);
            let output = folder.path("out.pcap");
            let run = transform("encap", &[TUNNEL], &broken, &output);
            assert_eq!(run.status, Some(2), "cut by {cut}");
            let last = run.stderr.lines().last().unwrap();
            assert!(
                last.contains("broken.pcap") && last.contains("packet 2"),
                "{last}"
            );
            assert!(serde_json::from_str::<Value>(last).is_err(), "{last}");
            assert_eq!(
                packets(&fs::read(&output).unwrap()).len(),
                whole,
                "cut by {cut}"
            );
            let run = ipencap(&["dissect".as_ref(), broken.as_os_str()], b"");
            assert_eq!((run.status, lines(&run.stdout).len()), (Some(2), whole));
            assert!(run.stderr.lines().last().unwrap().contains("broken.pcap"));
        }
    }
    // A packet of an interface that was never described.
    let stray = PcapNg::new(false).section().enhanced(0, 1, &p);
    let run = ipencap(&["dissect", "-"], &stray.bytes);
    assert_eq!((run.status, run.stderr.lines().count()), (Some(2), 1));
    assert!(run.stderr.contains("interface 0"), "{}", run.stderr);
}

#[test]
fn every_link_type_leads_to_its_ipv4_packet() {
    let p = hex(P);
    let raw_v6 = hex(&P.replacen("45", "60", 1));
    let after = |header: &str| [hex(header), p.clone()].concat();
    let ethernet = |types: &str| after(&format!("020000000001 020000000002 {types}"));
    let sll = |protocol: &str| after(&format!("0000 0001 0006 020000000001 0000 {protocol}"));
    let sll2 = |protocol: &str| {
        after(&format!(
            "{protocol} 0000 00000002 0001 00 06 020000000001 0000"
        ))
    };
    // Link type, frame, and where the packet begins in it; None is passed over.
    let cases: Vec<(u32, Vec<u8>, Option<usize>)> = vec![
        (ETHERNET, ethernet("0800"), Some(14)),
        (ETHERNET, ethernet("8100 0001 0800"), Some(18)),
        (ETHERNET, ethernet("88a8 0001 8100 0002 0800"), Some(22)),
        (
            ETHERNET,
            ethernet("9100 0001 9100 0002 8100 0003 88a8 0004 0800"),
            Some(30),
        ),
        (ETHERNET, ethernet("86dd"), None),
        (ETHERNET, ethernet("0806"), None),
        (ETHERNET, ethernet("8100 0001 86dd"), None),
        (ETHERNET, ethernet("8847 00000140"), None),
        (ETHERNET, ethernet("8864 11000000002e 0021"), None),
        (ETHERNET, ethernet("0026 aaaa03000000 0800"), None),
        (ETHERNET, hex("020000000001 020000000002 08"), None),
        (
            ETHERNET,
            hex("020000000001 020000000002 8100 0001 08"),
            None,
        ),
        (12, p.clone(), Some(0)),
        (14, p.clone(), Some(0)),
        (RAW, p.clone(), Some(0)),
        (RAW, raw_v6.clone(), None),
        (RAW, Vec::new(), None),
        (228, p.clone(), Some(0)),
        (0, after("02000000"), Some(4)),
        (0, after("00000002"), Some(4)),
        (0, after("1e000000"), None),
        (0, after("00000800"), Some(4)),
        (0, hex("020000"), None),
        (108, after("00000002"), Some(4)),
        (108, after("02000000"), None),
        (108, after("00000018"), None),
        (113, sll("0800"), Some(16)),
        (113, sll("86dd"), None),
        (113, hex("0000 0001 0006 020000000001 0000 08"), None),
        (276, sll2("0800"), Some(20)),
        (276, sll2("86dd"), None),
        (
            276,
            hex("0800 0000 00000002 0001 00 06 020000000001 00"),
            None,
        ),
        (9, after("ff03 0021"), None),
        (104, after("0f00 0800"), None),
        (147, p.clone(), None),
    ];
    for (link_type, frame, start) in cases {
        let bytes = Pcap::new(link_type).packet(0, 0, &frame).bytes();
        let what = format!("link type {link_type}, frame {frame:02x?}");
        let run = ipencap(&["dissect", "-"], &bytes);
        let layers = &lines(&run.stdout)[0]["layers"];
        let counts = summary(&run);
        assert_eq!(
            layers[0]["off"].as_u64(),
            start.map(|start| start as u64),
            "{what}"
        );
        assert_eq!(counts["passed_over"], u64::from(start.is_none()), "{what}");
        let run = ipencap(&["encap", "--tunnel", TUNNEL, "-", "-"], &bytes);
        let wrapped = packets(&run.stdout);
        assert_eq!(wrapped.len(), usize::from(start.is_some()), "{what}");
        assert!(
            wrapped.iter().all(|(_, _, outer)| outer[20..] == p),
            "{what}"
        );
    }
    // Where IPv4 was announced, what is there is tried, be it nothing at all.
    for (link_type, frame, reason) in [
        (ETHERNET, hex("020000000001 020000000002 0800"), "Truncated"),
        (228, Vec::new(), "Truncated"),
        (228, raw_v6, "BadVersion"),
    ] {
        let bytes = Pcap::new(link_type).packet(0, 0, &frame).bytes();
        let run = ipencap(&["encap", "--tunnel", TUNNEL, "-", "-"], &bytes);
        assert_eq!(summary(&run)["dropped"], json!({ reason: 1 }));
        let run = ipencap(&["dissect", "-"], &bytes);
        let off = frame.len().min(14);
        let off = if link_type == 228 { 0 } else { off };
        let error = json!([{ "t": "error", "off": off, "reason": reason }]);
        assert_eq!(lines(&run.stdout)[0]["layers"], error);
    }
}
