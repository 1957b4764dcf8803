//! `ipencap stream` and `ipencap unstream`.

use std::fs;

use serde_json::{Value, json};

use crate::files::{Pcap, packets};
use crate::program::{Run, ipencap};
use crate::{
    ETHERNET, Folder, P, accounted_for, bundled, changed, hex, packet, raw_capture, summary,
};

const FRAMINGS: [&str; 3] = ["exclusive", "inclusive", "bare"];
const MAGIC: &[u8] = b"IKETCP";

/// A frame, spelt out.
fn frame(framing: &str, packet: &[u8]) -> Vec<u8> {
    let prefix = match framing {
        "exclusive" => Some(packet.len()),
        "inclusive" => Some(packet.len() + 2),
        _ => None,
    };
    let prefix = prefix.map(|len| (len as u16).to_be_bytes());
    [prefix.as_ref().map_or(&[][..], |prefix| prefix), packet].concat()
}

fn preamble(framing: &str) -> &'static [u8] {
    if framing == "inclusive" { MAGIC } else { b"" }
}

fn stream_of<P: AsRef<[u8]>>(framing: &str, packets: &[P]) -> Vec<u8> {
    packets
        .iter()
        .fold(preamble(framing).to_vec(), |mut stream, packet| {
            stream.extend(frame(framing, packet.as_ref()));
            stream
        })
}

fn stream(framing: &str, stdin: &[u8]) -> Run {
    ipencap(&["stream", "--framing", framing, "-", "-"], stdin)
}

fn unstream(framing: &str, stdin: &[u8]) -> Run {
    ipencap(&["unstream", "--framing", framing, "-", "-"], stdin)
}

/// The packets that come out of a stream, all at time 0, and the summary.
fn taken_out(framing: &str, stream: &[u8]) -> (Vec<Vec<u8>>, Value) {
    let run = unstream(framing, stream);
    let counts = summary(&run);
    assert_eq!(counts["packets"], accounted_for(&counts), "{counts}");
    let packets = packets(&run.stdout);
    assert_eq!(counts["written"], packets.len());
    assert!(packets.iter().all(|packet| (packet.0, packet.1) == (0, 0)));
    let packets = packets.into_iter().map(|packet| packet.2).collect();
    (packets, counts)
}

#[test]
fn the_bundled_capture_is_a_stream_and_comes_back() {
    let folder = Folder::new("stream");
    let (lan, went_in) = bundled();
    let went_in: Vec<Vec<u8>> = went_in.into_iter().map(|packet| packet.2).collect();
    for framing in FRAMINGS {
        let (between, out) = (folder.path("between"), folder.path("out.pcap"));
        let arguments = |command: &str, input, output| {
            let option = ["--framing".into(), framing.into()];
            [&[command.into()], &option[..], &[input, output]].concat()
        };
        let lan = lan.as_os_str();
        let run = ipencap(
            &arguments("stream", lan.into(), between.as_os_str().into()),
            b"",
        );
        let counts = summary(&run);
        assert_eq!(counts["packets"], accounted_for(&counts));
        assert_eq!(counts["written"], went_in.len());
        assert_eq!(run.stderr.lines().count(), 1);
        let bytes = fs::read(&between).unwrap();
        assert!(bytes == stream_of(framing, &went_in), "{framing}");

        let run = ipencap(
            &arguments("unstream", between.into_os_string(), out.as_os_str().into()),
            b"",
        );
        assert_eq!(summary(&run)["written"], went_in.len());
        assert_eq!(run.stderr.lines().count(), 1);
        let written = fs::read(&out).unwrap();
        // Pipes carry the same bytes as files.
        assert!(stream(framing, &fs::read(lan).unwrap()).stdout == bytes);
        assert!(unstream(framing, &bytes).stdout == written);
        assert!(taken_out(framing, &bytes).0 == went_in, "{framing}");
    }
}

/// Reads end anywhere: here packets of all lengths lie across the ends of the buffer.
#[test]
fn long_streams_are_read_in_pieces() {
    let packets: Vec<Vec<u8>> = (0..400)
        .map(|index| packet(64, true, &vec![index as u8; index * 7]))
        .collect();
    for framing in FRAMINGS {
        let run = stream(framing, &raw_capture(&packets));
        assert!(run.stdout == stream_of(framing, &packets), "{framing}");
        assert!(taken_out(framing, &run.stdout).0 == packets, "{framing}");
    }
}

/// S-12: an inclusive prefix has no room for the two longest packets.
#[test]
fn the_longest_packets() {
    let longest: Vec<Vec<u8>> = [65_533, 65_534, 65_535]
        .map(|len| packet(64, true, &vec![0; len - 20]))
        .into();
    for framing in FRAMINGS {
        let run = stream(framing, &raw_capture(&longest));
        let fit = if framing == "inclusive" {
            assert_eq!(summary(&run)["dropped"], json!({ "TooLong": 2 }));
            &longest[..1]
        } else {
            assert_eq!(summary(&run)["dropped"], json!({}));
            &longest
        };
        assert!(taken_out(framing, &run.stdout).0 == fit, "{framing}");
    }
}

#[test]
fn only_valid_packets_go_on_a_stream() {
    let p = hex(P);
    let mut bad_checksum = p.clone();
    bad_checksum[10] ^= 0x80;
    let padded = [p.clone(), vec![0xee; 10]].concat();
    let arp = [&[0; 12][..], &[8, 6], &[0; 28]].concat();
    let ethernet = |packet: &[u8]| [&[0; 12][..], &[8, 0], packet].concat();
    let pcap = Pcap::new(ETHERNET)
        .packet(0, 0, &ethernet(&p))
        .packet(0, 0, &arp)
        .packet(0, 0, &ethernet(&bad_checksum))
        .packet(0, 0, &ethernet(&p[..35]))
        .packet(0, 0, &ethernet(&padded))
        .bytes();
    for framing in FRAMINGS {
        let run = stream(framing, &pcap);
        assert_eq!(
            summary(&run),
            json!({
                "packets": 5,
                "passed_over": 1,
                "written": 2,
                "dropped": { "BadChecksum": 1, "Truncated": 1 },
            })
        );
        assert_eq!(run.stdout, stream_of(framing, &[&p, &p]));
        // Nothing at all is a stream too, and written.
        let empty = stream(framing, &Pcap::new(ETHERNET).bytes());
        assert_eq!(summary(&empty)["packets"], 0);
        assert_eq!(empty.stdout, preamble(framing));
    }
}

#[test]
fn a_capture_that_breaks_off_is_streamed_as_far_as_it_goes() {
    let folder = Folder::new("stream-broken");
    let p = hex(P);
    let whole = raw_capture(&[&p, &p, &p]);
    for framing in FRAMINGS {
        let broken = folder.write("broken.pcap", &whole[..whole.len() - 1]);
        let out = folder.path("out");
        let run = ipencap(
            &[
                "stream".as_ref(),
                "--framing".as_ref(),
                framing.as_ref(),
                broken.as_os_str(),
                out.as_os_str(),
            ],
            b"",
        );
        assert_eq!((run.status, run.stderr.lines().count()), (Some(2), 1));
        assert!(run.stderr.contains("broken.pcap"), "{}", run.stderr);
        assert_eq!(fs::read(&out).unwrap(), stream_of(framing, &[&p, &p]));
    }
}

/// S-18: what is there is written; the frame that is not whole is counted.
#[test]
fn a_stream_may_end_anywhere() {
    let two = [hex(P), packet(64, false, b"the second of two")];
    for framing in FRAMINGS {
        let bytes = stream_of(framing, &two);
        let start = preamble(framing).len();
        let first = start + frame(framing, &two[0]).len();
        for end in 0..=bytes.len() {
            let (packets, counts) = taken_out(framing, &bytes[..end]);
            let whole = usize::from(end >= first) + usize::from(end == bytes.len());
            assert_eq!(packets, two[..whole], "{framing}, {end} bytes");
            let is_between = [0, start, first, bytes.len()].contains(&end);
            let dropped = if is_between {
                json!({})
            } else {
                json!({ "Incomplete": 1 })
            };
            assert_eq!(counts["dropped"], dropped, "{framing}, {end} bytes");
        }
    }
}

/// S-13, S-14, S-21: then nothing behind it can be read.
#[test]
fn a_fatal_frame_ends_the_stream() {
    let p = hex(P);
    let framed = |framing: &str, bad: &[u8]| {
        [
            preamble(framing),
            &frame(framing, &p),
            bad,
            &frame(framing, &p),
        ]
        .concat()
    };
    for (framing, bad) in [
        ("exclusive", &[0, 0][..]),
        ("inclusive", &[0, 0]),
        ("inclusive", &[0, 1]),
        ("bare", &[0x65, 0, 0, 20]),
        ("bare", &[0x44, 0, 0, 20]),
        ("bare", &[0x45, 0, 0, 19]),
        ("bare", &[0x46, 0, 0, 20]),
    ] {
        let (packets, counts) = taken_out(framing, &framed(framing, bad));
        assert_eq!(packets, core::slice::from_ref(&p), "{framing} {bad:?}");
        assert_eq!(
            counts,
            json!({
                "packets": 2,
                "passed_over": 0,
                "written": 1,
                "dropped": { "BadFrameLength": 1 },
            }),
            "{framing} {bad:?}"
        );
    }
    // Without a prefix, a header that is broken cannot be trusted to say where the next one begins.
    let mut broken = p.clone();
    broken[10] ^= 0x80;
    let (packets, counts) = taken_out("bare", &framed("bare", &broken));
    assert_eq!((packets.len(), &counts["packets"]), (1, &json!(2)));
    assert_eq!(counts["dropped"], json!({ "BadFrameLength": 1 }));
    for bytes in [&b"IKETCPX"[..5], b"IKETCQ", b"iketcp", &[0, 38]] {
        let stream = [bytes, &frame("inclusive", &p)].concat();
        let (packets, counts) = taken_out("inclusive", &stream);
        assert_eq!(packets.len(), 0);
        assert_eq!(counts["dropped"], json!({ "BadMagic": 1 }), "{bytes:?}");
    }
}

/// S-15, S-16, S-20: frames that carry no packet, or a broken one, and the stream goes on.
#[test]
fn what_is_no_packet_is_passed_over_or_dropped() {
    let p = hex(P);
    let padded = [p.clone(), vec![0; 4]].concat();
    let mut bad_checksum = p.clone();
    bad_checksum[10] ^= 0x80;
    let ipv6 = hex(&P.replacen("45", "65", 1));
    let no_ttl = changed(&p, |header| header.set_ttl(0));
    for framing in ["exclusive", "inclusive"] {
        let (packets, counts) = taken_out(
            framing,
            &stream_of(
                framing,
                &[&p, &padded, &bad_checksum, &ipv6, &p[..1].to_vec(), &no_ttl],
            ),
        );
        // A TTL of 0 is the tunnel's affair, not the framing's.
        assert_eq!(packets, [p.clone(), no_ttl.clone()], "{framing}");
        assert_eq!(
            counts["dropped"],
            json!({
                "BadChecksum": 1,
                "BadVersion": 1,
                "InnerLengthMismatch": 1,
                "Truncated": 1,
            })
        );
    }
    let keepalives = [
        MAGIC,
        &[0, 2],
        &frame("inclusive", &p),
        &[0, 3, 0xff],
        &[0, 2],
    ]
    .concat();
    let (packets, counts) = taken_out("inclusive", &keepalives);
    assert_eq!(packets, [p]);
    assert_eq!(
        counts,
        json!({ "packets": 4, "passed_over": 3, "written": 1, "dropped": {} })
    );
}

/// A stream read with the wrong framing is not taken for packets.
#[test]
fn the_wrong_framing_finds_no_packet() {
    let p = hex(P);
    for written in FRAMINGS {
        let bytes = stream_of(written, &[&p, &p]);
        for read in FRAMINGS.into_iter().filter(|read| *read != written) {
            let (packets, counts) = taken_out(read, &bytes);
            assert_eq!(packets.len(), 0, "{written} read as {read}");
            assert_ne!(counts["dropped"], json!({}), "{written} read as {read}");
        }
    }
}

#[test]
fn wrong_arguments_of_streams_are_one_line_and_status_2() {
    let folder = Folder::new("stream-arguments");
    let p = hex(P);
    let input = folder.write("in", &raw_capture(&[&p]));
    let old = folder.write("old", b"precious");
    let (input, old) = (input.to_str().unwrap(), old.to_str().unwrap());
    let here = folder.0.to_str().unwrap();
    for command in ["stream", "unstream"] {
        for (arguments, says) in [
            (&[command, input, old][..], "--framing"),
            (&[command, "--framing", "none", input, old], "none"),
            (&[command, "--framing", "rfc4571", input, old], "rfc4571"),
            (&[command, "--framing", "bare", input], "OUT"),
            (&[command, "--framing", "bare", input, input], "in"),
            (
                &[command, "--framing", "bare", "/nowhere/at/all", old],
                "/nowhere/at/all",
            ),
            (&[command, "--framing", "bare", here, old], here),
            (&[command, "--framing", "bare", input, here], here),
        ] {
            let run = ipencap(arguments, b"");
            assert_eq!(
                (run.status, run.stderr.lines().count(), run.stdout.len()),
                (Some(2), 1, 0),
                "{arguments:?}: {}",
                run.stderr
            );
            assert!(run.stderr.contains(says), "no {says} in {}", run.stderr);
            assert_eq!(fs::read(old).unwrap(), b"precious", "{arguments:?}");
            assert_eq!(fs::read(input).unwrap(), raw_capture(&[&p]));
        }
    }
}
