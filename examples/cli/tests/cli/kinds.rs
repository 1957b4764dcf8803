//! Every kind of tunnel against the vectors of the specification, by its SPEC alone.

use serde_json::{Value, json};

use crate::program::ipencap;
use crate::{P, hex, lines, raw_capture, summary, vectors, wrap};

/// L to R, and around it.
const ENDS: &str = "src=198.51.100.1,dst=203.0.113.2";
const MIDDLE: &str = "ipip,src=192.0.2.1,dst=192.0.2.2";
const OUTERMOST: &str = "ipip,src=198.18.0.1,dst=198.18.0.2";
const UDP: &str = "sport=49443";
const TCP: &str = "sport=40001,dport=443,seq=16909060,ack=168496141";

/// Vectors of the group `encap`, and their tunnels, the innermost first.
fn specified() -> Vec<(&'static str, Vec<String>)> {
    let one = |id, kind_and_keys: &str| (id, vec![format!("{kind_and_keys},{ENDS}")]);
    let fou = |csum| format!("fou,{UDP},dport=5555,csum={csum}");
    vec![
        one("ENC-01", "ipip"),
        one("ENC-02", "ipip,forward=yes"),
        one("ENC-03", "ipip"),
        one("ENC-04a", "ipip,ecn=normal"),
        one("ENC-04b", "ipip,ecn=compat"),
        one("ENC-04c", "ipip,ecn=rfc3168"),
        one("ENC-04d", "ipip,ecn=rfc3168,dscp=0"),
        one("ENC-05a", "ipip,df=set"),
        one("ENC-05b", "ipip,df=copy,id=48879"),
        one("ENC-06", "ipip"),
        one("ENC-07", "ipip"),
        one("ENC-08", "ipip"),
        ("ENC-09", vec![format!("ipip,{ENDS}"), MIDDLE.to_owned()]),
        (
            "ENC-10",
            vec![
                format!("ipip,{ENDS}"),
                MIDDLE.to_owned(),
                OUTERMOST.to_owned(),
            ],
        ),
        one("UDP-01", &fou("full")),
        one("UDP-01", &fou("lco")),
        one("UDP-01", &format!("fou,{UDP},dport=5555")),
        one("UDP-02", &fou("zero")),
        one("UDP-03", &format!("gue,{UDP}")),
        one(
            "UDP-03",
            &format!("gue,{UDP},dport=6080,variant=0,csum=full"),
        ),
        one("UDP-04", &format!("gue,{UDP},variant=1")),
        (
            "UDP-07",
            vec![MIDDLE.to_owned(), format!("{},{ENDS}", fou("lco"))],
        ),
        (
            "UDP-07",
            vec![MIDDLE.to_owned(), format!("{},{ENDS}", fou("full"))],
        ),
        one("UDP-08", &format!("fou,{UDP},dport=60524")),
        one("GRE-01", "gre"),
        one("GRE-02", "gre,csum=yes"),
        one("GRE-03", "gre,key=3735928559,csum=no,seq=no"),
        one("GRE-04", "gre,key=3735928559,csum=yes,seq=yes"),
        (
            "MIN-01",
            vec!["minenc,src=10.1.0.5,dst=203.0.113.2,keep_source=no".to_owned()],
        ),
        one("MIN-02", "minenc"),
        one("MIN-02", "minenc,keep_source=yes,forward=no"),
        one("TCP-01", &format!("tcp,{TCP},framing=exclusive")),
        one(
            "TCP-02",
            &format!("tcp,{TCP},framing=inclusive,ts=287454020:1432778632,timestamps=yes"),
        ),
        one(
            "TCP-02",
            &format!("tcp,{TCP},framing=inclusive,ts=287454020:1432778632,window=512"),
        ),
    ]
}

/// No SPEC says private words or GRE in UDP.
const WITHOUT_SPEC: [&str; 2] = ["UDP-05", "UDP-06"];

#[test]
fn every_kind_writes_the_vectors_of_the_specification() {
    let group = vectors("encap");
    let mut untried: Vec<&String> = group.as_object().unwrap().keys().collect();
    untried.retain(|id| *id != "inner_P" && !WITHOUT_SPEC.contains(&id.as_str()));
    let p = hex(P);
    for (id, specs) in specified() {
        let vector = hex(group[id].as_str().unwrap());
        // Those about the inner packet carry another one than P.
        let inner = match id {
            "ENC-02" => p.clone(),
            _ if id.starts_with("ENC-0") && id < "ENC-09" => vector[20..].to_vec(),
            _ => p.clone(),
        };
        // GRE-04 is number 7, and numbers begin with 0.
        let count = if id == "GRE-04" { 8 } else { 1 };
        let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
        let outers = wrap(&specs, &vec![inner.as_slice(); count]);
        assert_eq!(outers.last().unwrap(), &vector, "{id}: {specs:?}");
        untried.retain(|known| *known != id);
    }
    assert!(untried.is_empty(), "not tried: {untried:?}");
}

/// The policy of these vectors: the peer is L, and 10.1.0.0/16 is behind it.
#[test]
fn every_kind_opens_what_the_vectors_say_and_nothing_else() {
    let group = vectors("udp_gue_gre_min_rx");
    let mut tried = 0;
    for (id, vector) in group.as_object().unwrap() {
        let kind = match id.as_str() {
            // No SPEC requires a checksum.
            "UR-02" => continue,
            "GR-06" => "gre,csum=yes",
            "GR-07" => "gre,key=1",
            _ if id.starts_with("UR") => "fou,dport=5555",
            _ if id.starts_with("GU") => "gue",
            _ if id.starts_with("GR") => "gre",
            _ => "minenc",
        };
        let spec = format!("{kind},{ENDS},inner=10.1.0.0/16");
        let packet = hex(vector["packet"].as_str().unwrap());
        let run = ipencap(
            &["decap", "--tunnel", &spec, "-", "-"],
            &raw_capture(&[packet]),
        );
        let counts = summary(&run);
        // Behind some reasons stands the value at fault.
        let result = vector["result"].as_str().unwrap();
        let expected = match result.split(' ').next().unwrap() {
            "ACCEPT" => json!({}),
            reason => json!({ reason: 1 }),
        };
        assert_eq!(counts["dropped"], expected, "{id}: {spec}");
        tried += 1;
    }
    assert_eq!(tried, group.as_object().unwrap().len() - 1);
}

/// Keys that must agree at both ends.
#[test]
fn the_ends_of_a_tunnel_must_agree() {
    let tcp = "tcp,sport=40001,dport=443";
    for (sent, expected, reason) in [
        ("fou,dport=5555", "fou,dport=5556", "NotTunnel"),
        ("gue", "gue,dport=6081", "NotTunnel"),
        ("gue", "fou,dport=6080", "InnerBadVersion"),
        ("gre", "gre,key=1", "GreKeyMismatch"),
        ("gre,key=1", "gre", "GreKeyMismatch"),
        ("gre,key=1", "gre,key=2", "GreKeyMismatch"),
        ("gre", "gre,csum=yes", "GreBadChecksum"),
        ("gre,csum=yes", "gre", "GreBadChecksum"),
        ("gre", "gre,seq=yes", "GreSequence"),
        ("gre", "ipip", "NotTunnel"),
        ("minenc", "gre", "NotTunnel"),
        (tcp, "tcp,sport=40001,dport=444", "NotTunnel"),
    ] {
        let (sent, expected) = (format!("{sent},{ENDS}"), format!("{expected},{ENDS}"));
        let outer = wrap(&[&sent], &[&hex(P)]).remove(0);
        let run = ipencap(
            &["decap", "--tunnel", &expected, "-", "-"],
            &raw_capture(&[outer]),
        );
        assert_eq!(summary(&run)["dropped"], json!({ reason: 1 }), "{expected}");
    }
    // And those that need not.
    for (sent, expected) in [
        ("gue,variant=1", "gue"),
        ("gue", "gue,variant=1"),
        ("gue,variant=1,dport=5555", "fou,dport=5555"),
        (
            "fou,dport=5555,csum=zero,sport=7",
            "fou,dport=5555,csum=full,sport=auto",
        ),
        ("gre,seq=yes", "gre"),
        ("minenc", "minenc,keep_source=no"),
        (
            "tcp,sport=40001,dport=443,timestamps=yes,window=1,seq=9,ack=9",
            "tcp,sport=7,dport=443",
        ),
    ] {
        let (sent, expected) = (format!("{sent},{ENDS}"), format!("{expected},{ENDS}"));
        let outer = wrap(&[&sent], &[&hex(P)]).remove(0);
        assert_eq!(
            crate::unwrap(&[&expected], &[&outer]),
            [hex(P)],
            "{expected}"
        );
    }
    // A length prefix of the other kind does not fit the segment.
    let inclusive = wrap(&[&format!("{tcp},framing=inclusive,{ENDS}")], &[&hex(P)]);
    let exclusive = format!("{tcp},framing=exclusive,{ENDS}");
    let run = ipencap(
        &["decap", "--tunnel", &exclusive, "-", "-"],
        &raw_capture(&inclusive),
    );
    assert_eq!(summary(&run)["dropped"], json!({ "TcpTruncated": 1 }));
}

/// The headers of one flow all have one source port, of the range that RFC 8086 names.
#[test]
fn an_automatic_source_port_follows_the_inner_flow() {
    let flow = |port: u16| {
        let mut packet = hex(P);
        packet[20..22].copy_from_slice(&port.to_be_bytes());
        packet
    };
    let flows: Vec<Vec<u8>> = (40_000..40_064).map(flow).collect();
    let flows: Vec<&[u8]> = flows.iter().map(Vec::as_slice).collect();
    for kind in ["fou,dport=5555", "gue", "gue,variant=1,sport=auto"] {
        let ports = |outers: Vec<Vec<u8>>| -> Vec<u16> {
            outers
                .iter()
                .map(|outer| u16::from_be_bytes([outer[20], outer[21]]))
                .collect()
        };
        let spec = format!("{kind},{ENDS}");
        let mut first = ports(wrap(&[&spec], &flows));
        assert_eq!(first, ports(wrap(&[&spec], &flows)), "the ports are stable");
        assert!(first.iter().all(|port| *port >= 49_152));
        first.sort_unstable();
        first.dedup();
        assert!(first.len() > 56, "{} ports for 64 flows", first.len());
    }
    let fixed = format!("fou,dport=5555,sport=0,{ENDS}");
    assert_eq!(wrap(&[&fixed], &[&hex(P)])[0][20..22], [0, 0]);
}

/// What `dissect` shows of an outer packet, with the ports of its tunnels.
#[test]
fn dissect_follows_the_layers_that_encap_wrote() {
    let ipip = "ipip,src=192.0.2.1,dst=192.0.2.2";
    for (specs, expected) in [
        (vec!["ipip"], "ipv4@0 ipv4@20 udp@40"),
        (vec!["fou,dport=5555"], "ipv4@0 udp@20 ipv4@28 udp@48"),
        (vec!["fou,dport=5556"], "ipv4@0 udp@20"),
        (vec!["gue"], "ipv4@0 udp@20 ipv4@32 udp@52"),
        (vec!["gue,variant=1"], "ipv4@0 udp@20 ipv4@28 udp@48"),
        (vec!["gre"], "ipv4@0 gre@20 ipv4@24 udp@44"),
        (
            vec!["gre,key=7,csum=yes,seq=yes"],
            "ipv4@0 gre@20 ipv4@36 udp@56",
        ),
        (vec!["tcp,sport=1,dport=5555"], "ipv4@0 tcp@20"),
        (vec!["minenc"], "ipv4@0"),
        (
            vec!["ipip", "fou,dport=5555"],
            "ipv4@0 udp@20 ipv4@28 ipv4@48 udp@68",
        ),
        (
            vec!["fou,dport=5555", "gue", "gre", "ipip"],
            "ipv4@0 ipv4@20 gre@40 ipv4@44 udp@64 ipv4@76 udp@96 ipv4@104 udp@124",
        ),
        (
            vec!["gue", "tcp,sport=1,dport=2", "gre"],
            "ipv4@0 gre@20 ipv4@24 tcp@44",
        ),
    ] {
        let specs: Vec<String> = (1..)
            .zip(specs)
            .map(|(layer, spec)| format!("{spec},src=198.51.100.{layer},dst=203.0.113.{layer}"))
            .collect();
        let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
        let outer = wrap(&specs, &[&hex(P)]).remove(0);
        let run = ipencap(
            &["dissect", "-", "--fou-port", "5555", "--gue-port=6080"],
            &raw_capture(&[outer]),
        );
        let line = lines(&run.stdout).remove(0);
        let layers = line["layers"].as_array().unwrap();
        let shown: Vec<String> = layers
            .iter()
            .map(|layer| format!("{}@{}", layer["t"].as_str().unwrap(), layer["off"]))
            .collect();
        assert_eq!(shown.join(" "), expected, "{specs:?}");
        let bad = |layer: &&Value| layer["ck_status"] == "bad";
        assert_eq!(layers.iter().find(bad), None, "{specs:?}");
    }
    // Several ports of a kind, and one that is none.
    let fou = format!("fou,dport=5556,{ENDS}");
    let outer = raw_capture(&wrap(&[ipip, &fou], &[&hex(P)]));
    let run = ipencap(&["dissect", "--fou-port=1", "--fou-port=5556", "-"], &outer);
    assert_eq!(lines(&run.stdout)[0]["layers"].as_array().unwrap().len(), 5);
    let run = ipencap(&["dissect", "--gue-port=5556", "-"], &outer);
    assert_eq!(
        lines(&run.stdout)[0]["layers"].as_array().unwrap().len(),
        5,
        "without a GUE header it is GUE, variant 1"
    );
    let run = ipencap(&["dissect", "--fou-port=65536", "-"], &outer);
    assert_eq!((run.status, run.stderr.lines().count()), (Some(2), 1));
}

/// The fields of a GRE layer, with and without its optional ones.
#[test]
fn dissect_shows_a_gre_header() {
    let gre_of = |keys: &str| {
        let outer = wrap(&[&format!("gre{keys},{ENDS}")], &[&hex(P)]);
        let run = ipencap(&["dissect", "-"], &raw_capture(&outer));
        lines(&run.stdout)[0]["layers"][1].clone()
    };
    assert_eq!(
        gre_of(""),
        json!({"t": "gre", "off": 20, "gre_flags": 0, "proto": 2048, "key": null, "seq": null, "ck": null})
    );
    assert_eq!(
        gre_of(",key=7,seq=yes"),
        json!({"t": "gre", "off": 20, "gre_flags": 0x3000, "proto": 2048, "key": 7, "seq": 0, "ck": null})
    );
    assert_eq!(
        gre_of(",csum=yes"),
        json!({"t": "gre", "off": 20, "gre_flags": 0x8000, "proto": 2048, "key": null, "seq": null, "ck": 0x8c31})
    );
}

/// GUE control messages, and packets that are not IPv4, end the walk behind the UDP header.
#[test]
fn dissect_does_not_look_behind_other_gue_packets() {
    let gue = wrap(&[&format!("gue,csum=zero,{ENDS}")], &[&hex(P)]).remove(0);
    for (at, value) in [(28, 0x20), (28, 0x80), (28, 0x60), (29, 41), (28, 0x1f)] {
        let mut packet = gue.clone();
        packet[at] = value;
        let run = ipencap(
            &["dissect", "--gue-port", "6080", "-"],
            &raw_capture(&[packet]),
        );
        let layers = &lines(&run.stdout)[0]["layers"];
        assert_eq!(layers.as_array().unwrap().len(), 2, "{at}: {value:#x}");
    }
}

/// Each kind's defaults, where the contract gives them: what is not said is as if it were.
#[test]
fn what_is_not_said_is_the_default() {
    let outer_keys = "ttl=64,dscp=copy,ecn=normal,df=set,forward=no";
    // DSCP and ECN are there to be copied, or not.
    let mut inner = hex(P);
    inner[1] = 0x2a;
    let inner = crate::changed(&inner, |header| header.fill_checksum(&[]));
    for (short, long) in [
        ("ipip".to_owned(), format!("ipip,{outer_keys}")),
        (
            "fou,dport=5555".to_owned(),
            format!("fou,dport=5555,{outer_keys},sport=auto,csum=lco"),
        ),
        (
            "gue".to_owned(),
            format!("gue,dport=6080,variant=0,{outer_keys},sport=auto,csum=lco"),
        ),
        (
            "gre".to_owned(),
            format!("gre,{outer_keys},csum=no,seq=no"),
        ),
        (
            "tcp,sport=1,dport=2".to_owned(),
            "tcp,sport=1,dport=2,ttl=64,dscp=0,ecn=compat,df=set,forward=no,seq=0,ack=0,window=512,timestamps=no,framing=none".to_owned(),
        ),
        (
            "minenc".to_owned(),
            "minenc,forward=no,keep_source=yes".to_owned(),
        ),
        (
            "tcp,sport=1,dport=2,timestamps=yes".to_owned(),
            "tcp,sport=1,dport=2,ts=0:0".to_owned(),
        ),
    ] {
        let (short, long) = (format!("{short},{ENDS}"), format!("{long},{ENDS}"));
        assert_eq!(wrap(&[&short], &[&inner]), wrap(&[&long], &[&inner]), "{short}");
    }
    let tos = |spec: &str| wrap(&[&format!("{spec},{ENDS}")], &[&inner])[0][1];
    assert_eq!(tos("gre"), 0x2a);
    assert_eq!(tos("tcp,sport=1,dport=2"), 0);
    assert_eq!(tos("tcp,sport=1,dport=2,dscp=copy,ecn=normal"), 0x2a);
    // Flags PSH and ACK.
    let tcp = wrap(&[&format!("tcp,sport=1,dport=2,{ENDS}")], &[&inner]).remove(0);
    assert_eq!(tcp[20..40][13], 0x18);
}
