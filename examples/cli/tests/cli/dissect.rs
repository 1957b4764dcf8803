//! `ipencap dissect`.

use ipencap::wire::{FragmentOffset, IpProtocol, Ipv4Flags};
use serde_json::{Value, json};

use crate::files::Pcap;
use crate::program::ipencap;
use crate::{ETHERNET, P, TUNNEL, changed, hex, lines, packet, summary, wrap};

#[test]
fn dissect_lists_the_fields_of_every_layer() {
    let nested = &wrap(&[TUNNEL], &[&hex(P)])[0];
    let pcap = Pcap::new(ETHERNET).packet(0, 0, &[&[0; 12][..], &[8, 6]].concat());
    let frame = [&[0; 12][..], &[8, 0], nested].concat();
    let run = ipencap(&["dissect", "-"], &pcap.packet(0, 0, &frame).bytes());
    let text = String::from_utf8(run.stdout.clone()).unwrap();
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            r#"{"n":1,"layers":[]}"#,
            concat!(
                r#"{"n":2,"layers":["#,
                r#"{"t":"ipv4","off":14,"hlen":20,"tos":0,"tlen":56,"id":0,"rf":0,"df":1,"mf":0,"#,
                r#""fo":0,"ttl":64,"proto":4,"ck":54410,"src":"198.51.100.1","dst":"203.0.113.2","#,
                r#""ck_status":"good","depth":1},"#,
                r#"{"t":"ipv4","off":34,"hlen":20,"tos":0,"tlen":36,"id":4660,"rf":0,"df":1,"mf":0,"#,
                r#""fo":0,"ttl":64,"proto":17,"ck":5253,"src":"10.1.0.5","dst":"10.2.0.9","#,
                r#""ck_status":"good","depth":2},"#,
                r#"{"t":"udp","off":54,"sport":40000,"dport":53,"ulen":16,"ck":44262}]}"#
            )
        ]
    );
    let counts = json!({"packets": 2, "passed_over": 1, "written": 0, "dropped": {}});
    assert_eq!(summary(&run), counts);
}

#[test]
fn dissect_shows_what_is_there() {
    let layers = |bytes: &[u8]| -> Vec<String> {
        let run = ipencap(
            &["dissect", "-"],
            &Pcap::new(228).packet(0, 0, bytes).bytes(),
        );
        let line = lines(&run.stdout).remove(0);
        let name = |layer: &Value| match layer["t"].as_str().unwrap() {
            "error" => format!("{}@{}", layer["reason"].as_str().unwrap(), layer["off"]),
            "ipv4" => format!(
                "ipv4@{}:{}",
                layer["off"],
                layer["ck_status"].as_str().unwrap()
            ),
            other => format!("{other}@{}", layer["off"]),
        };
        line["layers"]
            .as_array()
            .unwrap()
            .iter()
            .map(name)
            .collect()
    };
    let nested = wrap(&[TUNNEL], &[&hex(P)]).remove(0);
    assert_eq!(layers(&nested), ["ipv4@0:good", "ipv4@20:good", "udp@40"]);
    // Total lengths of 0, below the header and beyond the packet.
    for total_len in [0, 19, 60000] {
        let bytes = changed(&nested, |header| header.set_total_len(total_len));
        assert_eq!(
            layers(&bytes),
            ["ipv4@0:good", "ipv4@20:good", "udp@40"],
            "{total_len}"
        );
    }
    // A total length that ends within the inner packet's headers.
    for (total_len, expected) in [
        (47, &["ipv4@0:good", "ipv4@20:good"][..]),
        (48, &["ipv4@0:good", "ipv4@20:good", "udp@40"]),
        (39, &["ipv4@0:good", "Truncated@20"]),
        (20, &["ipv4@0:good", "Truncated@20"]),
    ] {
        let bytes = changed(&nested, |header| header.set_total_len(total_len));
        assert_eq!(layers(&bytes), expected, "{total_len}");
    }
    // A first fragment is followed, a later one is not.
    let first = changed(&nested, |header| header.set_flags(Ipv4Flags::MF));
    assert_eq!(layers(&first), ["ipv4@0:good", "ipv4@20:good", "udp@40"]);
    let offset = FragmentOffset::from_units(1).unwrap();
    assert_eq!(
        layers(&changed(&nested, |header| header.set_fragment_offset(offset))),
        ["ipv4@0:good"]
    );
    // A bad checksum is said and no more.
    let mut bytes = nested.clone();
    bytes[10] ^= 1;
    assert_eq!(layers(&bytes), ["ipv4@0:bad", "ipv4@20:good", "udp@40"]);
    // Headers that cannot be walked.
    for (at, value, expected) in [
        (20, 0x65, "BadVersion@20"),
        (20, 0x44, "BadIhl@20"),
        (20, 0x4f, "Truncated@20"),
    ] {
        let mut bytes = nested.clone();
        bytes[at] = value;
        assert_eq!(layers(&bytes), ["ipv4@0:good", expected]);
    }
    // Transport headers: whole, or not at all.
    for (protocol, least, name) in [
        (IpProtocol::UDP, 8, "udp@20"),
        (IpProtocol::TCP, 20, "tcp@20"),
        (IpProtocol::ICMP, 4, "icmp@20"),
    ] {
        let zeros = packet(64, true, &[0; 20]);
        let bytes = changed(&zeros, |header| header.set_protocol(protocol));
        assert_eq!(layers(&bytes[..20 + least]), ["ipv4@0:good", name]);
        assert_eq!(layers(&bytes[..20 + least - 1]), ["ipv4@0:good"]);
    }
    // Ten tunnels deep.
    let mut deep = hex(P);
    for _ in 0..10 {
        deep = wrap(&[TUNNEL], &[&deep]).remove(0);
    }
    assert_eq!(layers(&deep).len(), 12);
}

/// RFC 2637 puts a length and a call where others have the key; with IPv4 inside it is a key.
#[test]
fn dissect_shows_the_key_of_gre_version_1() {
    for (protocol, key) in [("0800", json!(0x1122_3344)), ("880b", Value::Null)] {
        let gre = format!("2001{protocol} 11223344");
        let header = "4500002400004000402fd463c6336401cb007102";
        let packet = [hex(header), hex(&gre), vec![0; 8]].concat();
        let run = ipencap(
            &["dissect", "-"],
            &Pcap::new(228).packet(0, 0, &packet).bytes(),
        );
        let layers = &lines(&run.stdout)[0]["layers"];
        assert_eq!(layers[1]["t"], "gre", "{layers}");
        assert_eq!(layers[1]["key"], key, "{layers}");
    }
}

/// RFC 1701: the routing bit makes room for a checksum and an offset, and the key comes behind them.
#[test]
fn dissect_shows_the_key_of_gre_with_the_routing_bit() {
    let packet = hex(
        "4500005000004000402fd447c6336401cb00710260000800000000001122334408000004c000024d000000004500002412344000401114850a0100050a0200099c4000350010ace66970656e63617021",
    );
    let run = ipencap(
        &["dissect", "-"],
        &Pcap::new(228).packet(0, 0, &packet).bytes(),
    );
    let layers = &lines(&run.stdout)[0]["layers"];
    assert_eq!(layers[1]["t"], "gre", "{layers}");
    assert_eq!(layers[1]["key"], 0x1122_3344, "{layers}");
    assert_eq!(layers[1]["seq"], Value::Null, "{layers}");
    assert_eq!(layers[2]["t"], "ipv4", "{layers}");
    assert_eq!(layers[2]["off"], 44, "{layers}");
    assert_eq!(layers[2]["ck_status"], "good", "{layers}");
    assert_eq!(layers[3]["t"], "udp", "{layers}");
}

/// A GRE header whose optional fields are cut, or whose routing field is none, is shown as far as it is there.
#[test]
fn dissect_shows_what_is_there_of_a_cut_gre_header() {
    for (gre, flags) in [("20000800 11", 0x2000), ("40000800 45000024", 0x4000)] {
        let gre = hex(gre);
        let mut packet = hex("4500002400004000402fd463c6336401cb007102");
        packet[3] = (20 + gre.len()) as u8;
        let packet = [packet, gre].concat();
        let run = ipencap(
            &["dissect", "-"],
            &Pcap::new(228).packet(0, 0, &packet).bytes(),
        );
        let layers = &lines(&run.stdout)[0]["layers"];
        assert_eq!(layers.as_array().unwrap().len(), 2, "{layers}");
        let gre = &layers[1];
        assert_eq!((&gre["t"], &gre["off"]), (&json!("gre"), &json!(20)));
        assert_eq!(
            (&gre["gre_flags"], &gre["proto"]),
            (&json!(flags), &json!(0x800))
        );
        assert_eq!(
            (&gre["key"], &gre["seq"], &gre["ck"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
    }
}
