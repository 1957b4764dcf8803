//! `ipencap draw`.

use serde_json::json;

use crate::files::Pcap;
use crate::program::ipencap;
use crate::{ETHERNET, P, TUNNEL, hex, packet, raw_capture, summary, wrap};

/// The lines of a drawing without frames: the offsets, and what stands in the boxes.
fn drawn(arguments: &[&str], capture: &[u8]) -> (String, Vec<String>) {
    let run = ipencap(&[&["draw"], arguments, &["-"]].concat(), capture);
    let counts = summary(&run);
    assert_eq!(
        (&counts["written"], &counts["dropped"]),
        (&json!(0), &json!({}))
    );
    assert_eq!(run.stderr.lines().count(), 1);
    let text = String::from_utf8(run.stdout).unwrap();
    let (title, boxes) = text.split_once('\n').unwrap();
    let words = |line: &str| {
        let line = line.replace(['│', '┌', '┐', '├', '┤', '└', '┘', '─'], " ");
        let words: Vec<&str> = line.split_whitespace().collect();
        words.join(" ")
    };
    (title.to_owned(), boxes.lines().map(words).collect())
}

#[test]
fn draw_shows_every_layer_with_offset_and_length() {
    let nested = wrap(&[TUNNEL], &[&hex(P)]).remove(0);
    let frame = [&[0; 12][..], &[8, 0], &nested, &[0; 4]].concat();
    let pcap = Pcap::new(ETHERNET).packet(0, 0, &frame).bytes();
    let (title, lines) = drawn(&[], &pcap);
    assert_eq!(
        title,
        "Packet 1 of standard input, 74 bytes; offsets and lengths in bytes:"
    );
    assert_eq!(
        lines,
        [
            "0",
            "Ethernet 14",
            "14",
            "IPv4 198.51.100.1 → 203.0.113.2 20",
            "total 56, TTL 64, DF: IPv4",
            "34",
            "IPv4 10.1.0.5 → 10.2.0.9 20",
            "total 36, TTL 64, DF: UDP",
            "54",
            "UDP 40000 → 53 8",
            "62",
            "payload 8",
            "70",
            "padding 4",
            "74",
        ]
    );
}

#[test]
fn draw_shows_the_tunnel_headers_of_every_kind() {
    let ends = "src=198.51.100.1,dst=203.0.113.2";
    for (spec, header) in [
        ("gre,key=7,seq=yes", "GRE of 0x0800, key 7, number 0 12"),
        ("fou,dport=5555,sport=9", "UDP 9 → 5555 8"),
        ("gue,sport=9", "GUE 4"),
        ("minenc", "minimal 10.1.0.5 → 10.2.0.9 12"),
        ("tcp,sport=9,dport=443", "TCP 9 → 443 20"),
    ] {
        let outer = wrap(&[&format!("{spec},{ends}")], &[&hex(P)]);
        let (_, lines) = drawn(&[], &raw_capture(&outer));
        assert!(lines.iter().any(|line| line == header), "{spec}: {lines:?}");
        let inside = lines
            .iter()
            .any(|line| line == "IPv4 10.1.0.5 → 10.2.0.9 20");
        let is_followed = !spec.starts_with("minenc") && !spec.starts_with("tcp");
        assert_eq!(inside, is_followed, "{spec}: {lines:?}");
    }
    // Other ports when they are said, and then these only.
    let other = wrap(&[&format!("fou,dport=7,{ends}")], &[&hex(P)]);
    let lines = |arguments: &[&str], packet: &[Vec<u8>]| drawn(arguments, &raw_capture(packet)).1;
    assert_eq!(lines(&[], &other).len(), 8);
    assert_eq!(lines(&["--fou-port", "7"], &other).len(), 13);
    let usual = wrap(&[&format!("fou,dport=5555,{ends}")], &[&hex(P)]);
    assert_eq!(lines(&["--gue-port", "7"], &usual).len(), 8);
}

/// The first with a tunnel in it, else the first, or the one that is asked for.
#[test]
fn draw_chooses_the_packet_that_was_asked_for() {
    let plain = packet(9, true, b"payload");
    let nested = wrap(&[TUNNEL], &[&hex(P)]).remove(0);
    let title = |arguments: &[&str], packets: &[&[u8]]| drawn(arguments, &raw_capture(packets)).0;
    assert!(title(&[], &[&plain, &nested, &nested]).starts_with("Packet 2 "));
    assert!(title(&[], &[&plain, &plain]).starts_with("Packet 1 "));
    assert!(title(&["--packet", "3"], &[&plain, &nested, &plain]).starts_with("Packet 3 "));
    for (number, says) in [("4", "4"), ("0", "0"), ("x", "x")] {
        let run = ipencap(
            &["draw", "--packet", number, "-"],
            &raw_capture(&[&plain, &nested]),
        );
        let lines = run.stderr.lines().count();
        assert_eq!((run.status, lines, run.stdout.len()), (Some(2), 1, 0));
        assert!(run.stderr.contains("--packet") && run.stderr.contains(says));
    }
    let (title, lines) = drawn(&[], &raw_capture::<&[u8]>(&[]));
    assert_eq!(
        (title.as_str(), lines.len()),
        ("standard input has no packets.", 0)
    );
}

#[test]
fn draw_counts_what_it_has_read() {
    let arp = [&[0; 12][..], &[8, 6], &[0; 28]].concat();
    let frame = [&[0; 12][..], &[8, 0], &hex(P)].concat();
    let nested = [
        &[0; 12][..],
        &[8, 0],
        &wrap(&[TUNNEL], &[&hex(P)]).remove(0),
    ]
    .concat();
    let frames = [&arp, &frame, &nested, &arp];
    let capture = frames
        .iter()
        .fold(Pcap::new(ETHERNET), |pcap, frame| pcap.packet(0, 0, frame));
    let capture = capture.bytes();
    let counts = |arguments: &[&str]| {
        let counts = summary(&ipencap(&[&["draw"], arguments, &["-"]].concat(), &capture));
        (counts["packets"].clone(), counts["passed_over"].clone())
    };
    assert_eq!(counts(&[]), (json!(3), json!(1)));
    assert_eq!(counts(&["--packet", "1"]), (json!(1), json!(1)));
    assert_eq!(counts(&["--packet", "4"]), (json!(4), json!(2)));
    let none = summary(&ipencap(&["draw", "-"], &raw_capture::<&[u8]>(&[])));
    assert_eq!(none["packets"], 0);
}

#[test]
fn draw_shows_what_cannot_be_read_as_it_is() {
    // A frame without IPv4, a header that is none, and a datagram to 5555 that is no tunnel.
    let arp = [&[0; 12][..], &[8, 6], &[0; 28]].concat();
    let pcap = Pcap::new(ETHERNET).packet(0, 0, &arp).bytes();
    let (_, lines) = drawn(&[], &pcap);
    assert_eq!(lines[1], "no IPv4 packet behind link type 1 (Ethernet) 42");
    let bad = [&[0; 12][..], &[8, 0], &[0x65; 20]].concat();
    let (_, lines) = drawn(&[], &Pcap::new(ETHERNET).packet(0, 0, &bad).bytes());
    assert!(lines.iter().any(|line| line == "BadVersion 0"), "{lines:?}");
    let mut datagram = hex(P);
    datagram[22..24].copy_from_slice(&5555_u16.to_be_bytes());
    let (_, lines) = drawn(&[], &raw_capture(&[&datagram]));
    assert!(
        !lines.iter().any(|line| line.starts_with("Bad")),
        "{lines:?}"
    );
    // Fragments and bad checksums are said.
    let mut fragment = hex(P);
    fragment[6..8].copy_from_slice(&0x2003_u16.to_be_bytes());
    let (_, lines) = drawn(&[], &raw_capture(&[&fragment]));
    assert!(
        lines.contains(&"total 36, TTL 64, id 4660, MF, from 24, bad checksum: UDP".to_owned()),
        "{lines:?}"
    );
}
