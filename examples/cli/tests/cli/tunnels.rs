//! `ipencap encap` and `ipencap decap`.

use core::net::Ipv4Addr;
use std::fs;

use ipencap::wire::{Ecn, IpProtocol, Ipv4Header};
use serde_json::json;

use crate::files::{Pcap, packets};
use crate::program::ipencap;
use crate::{
    AROUND, Folder, P, RAW, TUNNEL, accounted_for, bundled, changed, hex, packet, raw_capture,
    summary, transform, unwrap, wrap,
};

/// ENC-01 to ENC-10, by what their specifications say.
#[test]
fn a_specification_writes_the_header_it_describes() {
    let with_tos = |tos: u8, checksum: &str| {
        P.replacen("4500", &format!("45{tos:02x}"), 1)
            .replacen("1485", checksum, 1)
    };
    let no_df = P.replacen("4000401114", "0000401154", 1);
    let cases = [
        ("", P.to_owned(), "45000038000040004004d48ac6336401cb007102"),
        (
            "",
            with_tos(0xba, "13cb"),
            "45ba0038000040004004d3d0c6336401cb007102",
        ),
        (
            "ecn=normal",
            with_tos(0x2b, "145a"),
            "452b0038000040004004d45fc6336401cb007102",
        ),
        (
            "ecn=compat",
            with_tos(0x2b, "145a"),
            "45280038000040004004d462c6336401cb007102",
        ),
        (
            "ecn=rfc3168",
            with_tos(0x2b, "145a"),
            "452a0038000040004004d460c6336401cb007102",
        ),
        (
            "ecn=rfc3168,dscp=0",
            with_tos(0x2b, "145a"),
            "45020038000040004004d488c6336401cb007102",
        ),
        (
            "df=set",
            no_df.clone(),
            "45000038000040004004d48ac6336401cb007102",
        ),
        (
            "df=copy,id=48879",
            no_df.clone(),
            "45000038beef00004004559bc6336401cb007102",
        ),
        ("df=copy", no_df, "45000038000100004004"),
        ("id=48879", P.to_owned(), "45000038beef40004004"),
        ("ttl=255", P.to_owned(), "4500003800004000ff04"),
        (
            "ttl=inherit",
            P.replacen("40111485", "07114d85", 1),
            "45000038000040000704",
        ),
    ];
    for (keys, inner, outer) in cases {
        let spec = if keys.is_empty() {
            TUNNEL.to_owned()
        } else {
            format!("{TUNNEL},{keys}")
        };
        let wrapped = wrap(&[&spec], &[&hex(&inner)]);
        assert_eq!(wrapped.len(), 1, "{keys}");
        assert!(
            wrapped[0].starts_with(&hex(outer)),
            "{keys}: {:02x?}",
            wrapped[0]
        );
        assert_eq!(wrapped[0][20..], hex(&inner), "{keys}");
        Ipv4Header::split(&wrapped[0])
            .map(|(header, ..)| assert!(header.verifies(&[])))
            .unwrap();
    }
    // ENC-02: forwarding takes one from the inner TTL.
    let forwarded = wrap(&[&format!("{TUNNEL},forward=yes")], &[&hex(P)]);
    assert_eq!(forwarded[0][20..32], hex("45000024123440003f111585"));
    // ENC-09: nested.
    let nested = wrap(&[TUNNEL, AROUND], &[&hex(P)]);
    let outermost = "4500004c000040004004b6aac0000201c0000202";
    assert_eq!(
        nested[0],
        hex(&format!(
            "{outermost}45000038000040004004d48ac6336401cb007102{P}"
        ))
    );
}

/// An identification is counted where a router may need it, each layer for itself.
#[test]
fn identifications_count_from_one_for_each_layer() {
    let inners: Vec<Vec<u8>> = [true, false, false, true, false]
        .map(|df| packet(64, df, b""))
        .into();
    let inners: Vec<&[u8]> = inners.iter().map(Vec::as_slice).collect();
    let ids = |specs: &[&str], at: usize| -> Vec<u16> {
        let wrapped = wrap(specs, &inners);
        wrapped
            .iter()
            .map(|outer| u16::from_be_bytes([outer[at + 4], outer[at + 5]]))
            .collect()
    };
    let copy = format!("{TUNNEL},df=copy");
    let around = format!("{AROUND},df=copy");
    assert_eq!(ids(&[TUNNEL], 0), [0, 0, 0, 0, 0]);
    assert_eq!(ids(&[&copy], 0), [0, 1, 2, 0, 3]);
    assert_eq!(ids(&[&format!("{copy},id=7")], 0), [7, 7, 7, 7, 7]);
    assert_eq!(ids(&[&format!("{TUNNEL},id=7")], 0), [7, 7, 7, 7, 7]);
    assert_eq!(ids(&[&copy, &around], 0), [0, 1, 2, 0, 3]);
    assert_eq!(ids(&[&copy, &around], 20), [0, 1, 2, 0, 3]);
    assert_eq!(ids(&[TUNNEL, &around], 0), [0, 0, 0, 0, 0]);
}

#[test]
fn what_cannot_be_wrapped_is_dropped_under_its_reason() {
    let mut bad_checksum = hex(P);
    bad_checksum[10] ^= 0x80;
    let plain = packet(64, true, b"");
    let no_total_length = changed(&plain, |header| header.set_total_len(0));
    let from = |source: Ipv4Addr| changed(&plain, |header| header.set_source(source));
    let from_exit = from(Ipv4Addr::new(203, 0, 113, 2));
    let own = from(Ipv4Addr::new(198, 51, 100, 1));
    let p = hex(P);
    let cases: [(&str, &[u8], Option<&str>); 13] = [
        ("", &p, None),
        ("", &p[..35], Some("Truncated")),
        ("", &p[..19], Some("Truncated")),
        ("", &bad_checksum, Some("BadChecksum")),
        ("", &no_total_length, Some("BadTotalLength")),
        ("", &packet(0, true, b""), Some("TtlZero")),
        ("", &packet(1, true, b""), None),
        (",forward=yes", &packet(1, true, b""), Some("TtlExpired")),
        ("", &from_exit, Some("LoopToExit")),
        ("", &own, None),
        (",forward=yes", &own, Some("LoopOwnSource")),
        (",mtu=56", &p, None),
        (",mtu=55", &p, Some("FragmentationNeeded")),
    ];
    for (keys, bytes, reason) in cases {
        let pcap = Pcap::new(228).packet(0, 0, bytes).bytes();
        let run = ipencap(
            &["encap", "--tunnel", &format!("{TUNNEL}{keys}"), "-", "-"],
            &pcap,
        );
        let expected = reason.map_or(json!({}), |reason| json!({ reason: 1 }));
        assert_eq!(summary(&run)["dropped"], expected, "{keys} {bytes:02x?}");
    }
    let longest = packet(64, true, &vec![0; 65515 - 20]);
    let too_long = packet(64, true, &vec![0; 65516 - 20]);
    let pcap = Pcap::new(RAW)
        .packet(0, 0, &longest)
        .packet(0, 0, &too_long)
        .bytes();
    let run = ipencap(&["encap", "--tunnel", TUNNEL, "-", "-"], &pcap);
    assert_eq!(summary(&run)["dropped"], json!({ "TooLong": 1 }));
    assert_eq!(packets(&run.stdout)[0].2.len(), 65535);
}

/// the MTU of an outer tunnel limits the whole nest, also where an inner one would be too long.
#[test]
fn the_mtu_of_an_outer_tunnel_limits_the_nest() {
    let pcap = raw_capture(&[packet(64, true, &vec![0; 65500 - 20])]);
    for (keys, reason) in [("", "TooLong"), (",mtu=1500", "FragmentationNeeded")] {
        let around = format!("{AROUND}{keys}");
        let run = ipencap(
            &["encap", "--tunnel", TUNNEL, "--tunnel", &around, "-", "-"],
            &pcap,
        );
        assert_eq!(summary(&run)["dropped"], json!({ reason: 1 }), "{keys}");
    }
    // The first tunnel alone makes it too long for 16 bits.
    let pcap = raw_capture(&[packet(64, true, &vec![0; 65516 - 20])]);
    let around = format!("{AROUND},mtu=1500");
    let run = ipencap(
        &["encap", "--tunnel", TUNNEL, "--tunnel", &around, "-", "-"],
        &pcap,
    );
    assert_eq!(
        summary(&run)["dropped"],
        json!({ "FragmentationNeeded": 1 })
    );
}

/// E-20: what a frame holds behind the total length is not part of the packet.
#[test]
fn padding_stays_behind() {
    let padded = [hex(P), vec![0; 10]].concat();
    assert_eq!(wrap(&[TUNNEL], &[&padded])[0].len(), 56);
}

#[test]
fn decap_opens_what_its_peer_sent_and_nothing_else() {
    let from_peer = &wrap(&[TUNNEL], &[&hex(P)])[0];
    let cases = [
        (TUNNEL.to_owned(), None),
        (format!("{TUNNEL},inner=10.1.0.0/16"), None),
        (
            format!("{TUNNEL},inner=192.168.0.0/16,inner=10.1.0.5"),
            None,
        ),
        (
            format!("{TUNNEL},inner=10.2.0.0/16"),
            Some("InnerSourceNotAllowed"),
        ),
        (
            "ipip,src=198.51.100.9,dst=203.0.113.2".to_owned(),
            Some("UnknownPeer"),
        ),
        (
            "ipip,src=198.51.100.1,dst=203.0.113.9".to_owned(),
            Some("OuterDstNotLocal"),
        ),
        // What only the sending side needs is checked, and then ignored.
        (
            format!("{TUNNEL},ttl=1,dscp=63,ecn=compat,df=copy,id=1,forward=yes,mtu=1"),
            None,
        ),
    ];
    let pcap = Pcap::new(RAW).packet(5, 6, from_peer).bytes();
    for (spec, reason) in cases {
        let run = ipencap(&["decap", "--tunnel", &spec, "-", "-"], &pcap);
        let expected = reason.map_or(json!({}), |reason| json!({ reason: 1 }));
        assert_eq!(summary(&run)["dropped"], expected, "{spec}");
        if reason.is_none() {
            assert_eq!(packets(&run.stdout), [(5, 6, hex(P))], "{spec}");
        }
        // Who lets everything in is told so, once, in front of the summary.
        let told = run.stderr.lines().any(|line| line.contains("0.0.0.0/0"));
        assert_eq!(told, !spec.contains("inner="), "{}", run.stderr);
    }
    for (at, bit, reason) in [
        (10, 0x80, "OuterBadChecksum"),
        (20 + 10, 0x80, "InnerBadChecksum"),
    ] {
        let mut bytes = from_peer.clone();
        bytes[at] ^= bit;
        let pcap = Pcap::new(RAW).packet(0, 0, &bytes).bytes();
        let run = ipencap(&["decap", "--tunnel", TUNNEL, "-", "-"], &pcap);
        assert_eq!(summary(&run)["dropped"], json!({ reason: 1 }));
    }
}

#[test]
fn groups_and_other_tunnels_pass_as_the_specification_says() {
    let group = Ipv4Addr::new(224, 0, 0, 251);
    let to_group = changed(&packet(64, true, b"mdns"), |header| {
        header.set_destination(group);
    });
    let sixinfour = packet(64, true, b"someone's own 6in4");
    let tunnelled = changed(&sixinfour, |header| header.set_protocol(IpProtocol::IPV6));
    for (inner, keys, reason) in [
        (&to_group, "", Some("InnerMartianDestination")),
        (&to_group, ",multicast=no", Some("InnerMartianDestination")),
        (&to_group, ",multicast=yes", None),
        (&tunnelled, "", None),
        (&tunnelled, ",nested=transit", None),
        (&tunnelled, ",nested=refuse", Some("NestingLimit")),
    ] {
        let outer = &wrap(&[TUNNEL], &[inner])[0];
        let pcap = Pcap::new(RAW).packet(0, 0, outer).bytes();
        let run = ipencap(
            &["decap", "--tunnel", &format!("{TUNNEL}{keys}"), "-", "-"],
            &pcap,
        );
        let expected = reason.map_or(json!({}), |reason| json!({ reason: 1 }));
        assert_eq!(summary(&run)["dropped"], expected, "{keys}");
    }
}

#[test]
fn nested_tunnels_are_one_after_the_other() {
    let inner = hex(P);
    let both = wrap(&[TUNNEL, AROUND], &[&inner]);
    let first = wrap(&[TUNNEL], &[&inner]);
    assert_eq!(wrap(&[AROUND], &[&first[0]]), both);
    assert_eq!(
        unwrap(&[TUNNEL, AROUND], &[&both[0]]),
        core::slice::from_ref(&inner)
    );
    assert_eq!(unwrap(&[AROUND], &[&both[0]]), first);
    // The layers are expected here, whatever is thought of other people's; the innermost has none.
    let strict = [TUNNEL, AROUND].map(|spec| format!("{spec},nested=refuse"));
    assert_eq!(
        unwrap(&[&strict[0], &strict[1]], &[&both[0]]),
        core::slice::from_ref(&inner)
    );
    // Both layers end at one machine.
    let same_end = [
        "ipip,src=198.51.100.1,dst=203.0.113.2",
        "ipip,src=192.0.2.1,dst=203.0.113.2",
    ];
    let wrapped = wrap(&same_end, &[&inner]);
    assert_eq!(unwrap(&same_end, &[&wrapped[0]]), [inner]);
    // A packet with one layer only is not the next tunnel's.
    let alone = wrap(&[AROUND], &[&hex(P)]);
    let pcap = Pcap::new(RAW).packet(0, 0, &alone[0]).bytes();
    let run = ipencap(
        &["decap", "--tunnel", TUNNEL, "--tunnel", AROUND, "-", "-"],
        &pcap,
    );
    assert_eq!(summary(&run)["dropped"], json!({ "NotTunnel": 1 }));
}

/// N-18: a congestion mark that the outermost header collected reaches the innermost.
#[test]
fn congestion_marks_come_out_of_every_layer() {
    let inner = changed(&packet(64, true, b""), |header| header.set_ecn(Ecn::Ect0));
    let outer = wrap(&[TUNNEL, AROUND], &[&inner]).remove(0);
    let marked = changed(&outer, |header| header.set_ecn(Ecn::Ce));
    let expected = changed(&inner, |header| header.set_ecn(Ecn::Ce));
    assert_eq!(unwrap(&[TUNNEL, AROUND], &[&marked]), [expected]);
}

#[test]
fn the_bundled_capture_comes_back_as_it_was() {
    let folder = Folder::new("bundled");
    let (lan, went_in) = bundled();
    for specs in [&[TUNNEL][..], &[TUNNEL, AROUND]] {
        let (into, out) = (folder.path("into.pcap"), folder.path("out.pcap"));
        let wrapped = summary(&transform("encap", specs, &lan, &into));
        assert_eq!(wrapped["written"], went_in.len());

        // As the default is: packets to groups stay out, and nothing else.
        let opened = summary(&transform("decap", specs, &into, &out));
        let unicast = |packet: &&(u32, u32, Vec<u8>)| packet.2[16] < 224;
        let expected: Vec<_> = went_in.iter().filter(unicast).cloned().collect();
        assert_eq!(packets(&fs::read(&out).unwrap()), expected);
        let groups = went_in.len() - expected.len();
        assert_eq!(
            opened["dropped"],
            json!({ "InnerMartianDestination": groups })
        );

        // With groups allowed: every packet, byte by byte, at its time.
        let specs: Vec<String> = specs
            .iter()
            .map(|spec| format!("{spec},multicast=yes,inner=0.0.0.0/0"))
            .collect();
        let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
        let all = transform("decap", &specs, &into, &out);
        assert_eq!(packets(&fs::read(&out).unwrap()), went_in);
        assert_eq!(all.stderr.lines().count(), 1, "{}", all.stderr);

        for counts in [&wrapped, &opened, &summary(&all)] {
            assert_eq!(counts["packets"], accounted_for(counts));
        }
        assert_eq!(opened["packets"], wrapped["written"]);
    }
}
