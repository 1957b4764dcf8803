//! What is sent: every carrier in every form, with every policy, and nested, around a few inner packets.

use std::collections::BTreeMap;
use std::fmt::Write;

use ipencap::Span;
use ipencap::encap::PerPacket;
use ipencap_kit::oracle::{OuterPolicy, Plain, equation_3, put_u16, u16_at};
use ipencap_kit::registry::{Door, ENCAPSULATORS, Endpoints, Enrolled, Subject};
use ipencap_kit::subjects::{
    FouSubject, GreSubject, IpIpSubject, MinEncSubject, StackSubject, TcpSubject, all_policies,
    single_policies,
};
use serde_json::json;

/// The crate is the peer of the kernel's tunnels.
const ENDPOINTS: Endpoints = Endpoints {
    source: [192, 0, 2, 2],
    destination: [192, 0, 2, 1],
};

/// The kernel's link takes no longer packet.
const LINK_MTU: usize = 1500;

/// Nestings beside those of the registry.
const NESTED: [Enrolled; 8] = [
    Enrolled::new::<Twice<IpIpSubject>>("((Tunnel<IpIp>, Tunnel<IpIp>), Tunnel<IpIp>)"),
    Enrolled::new::<StackSubject<IpIpSubject, Twice<IpIpSubject>>>(
        "(((Tunnel<IpIp>, Tunnel<IpIp>), Tunnel<IpIp>), Tunnel<IpIp>)",
    ),
    Enrolled::new::<Twice<FouSubject>>("((Tunnel<IpIp>, Tunnel<IpIp>), Tunnel<Fou>)"),
    Enrolled::new::<StackSubject<IpIpSubject, FouSubject>>("(Tunnel<Fou>, Tunnel<IpIp>)"),
    Enrolled::new::<StackSubject<IpIpSubject, GreSubject>>("(Tunnel<Gre>, Tunnel<IpIp>)"),
    Enrolled::new::<StackSubject<GreSubject, IpIpSubject>>("(Tunnel<IpIp>, Tunnel<Gre>)"),
    Enrolled::new::<StackSubject<GreSubject, StackSubject<FouSubject, IpIpSubject>>>(
        "((Tunnel<IpIp>, Tunnel<Fou>), Tunnel<Gre>)",
    ),
    Enrolled::new::<StackSubject<GreSubject, StackSubject<TcpSubject, MinEncSubject>>>(
        "((MinEnc, Tunnel<Tcp>), Tunnel<Gre>)",
    ),
];

type Twice<S> = StackSubject<S, StackSubject<IpIpSubject, IpIpSubject>>;

/// How the kernel is set up, and what it gets then.
pub struct Setup {
    pub commands: Vec<String>,
    pub cases: Vec<Case>,
}

/// One packet.
pub struct Case {
    pub encapsulator: String,
    pub form: String,
    pub inner_name: &'static str,
    /// What the crate emitted, or why it refused.
    pub packet: Result<Vec<u8>, &'static str>,
    pub expected: Expected,
    /// Not what the crate emitted but that with a bit flipped: it must be reported.
    pub is_damaged: bool,
}

/// What the kernel is to make of a packet.
#[derive(Clone)]
pub enum Expected {
    /// Its device delivers this, and its router sends it on.
    Inner(Vec<u8>),
    /// Linux cannot open TCP as a carrier (S-05: a connection is not this layer's), but it answers a
    /// segment to a closed port with a reset if every checksum is right, with this sequence number.
    Reset(u32),
    /// Linux has no minimal encapsulation (M-03), and says so if the header is right.
    ProtocolUnreachable,
}

impl Expected {
    /// The rule by which a packet is not expected to be delivered.
    pub fn rule(&self) -> Option<&'static str> {
        match self {
            Self::Inner(_) => None,
            Self::Reset(_) => Some("S-05"),
            Self::ProtocolUnreachable => Some("M-03"),
        }
    }
}

struct Inner {
    name: &'static str,
    bytes: Vec<u8>,
}

/// One of each kind that the encapsulators treat in a way of its own; all are such as a router sends on.
fn inner_packets(overhead: usize) -> Vec<Inner> {
    let plain = |tos, flags_offset, ttl, protocol| Plain {
        tos,
        identification: 0x1234,
        flags_offset,
        ttl,
        protocol,
        source: [10, 9, 0, 1],
        destination: [10, 1, 0, 2],
        options: vec![],
    };
    // These checksums are right for the addresses above, but for the one that is absent and the fragments'.
    let datagram = &transport(17, b"\x9c\x40\x00\x35\x00\x10\0\0ipencap!", 6);
    let unsummed = b"\x9c\x40\x00\x35\x00\x10\x00\x00ipencap!";
    let segment = &transport(
        6,
        b"\x9c\x40\x00\x50\x00\x00\x00\x01\x00\x00\x00\x00\x50\x10\x00\x00\0\0\0\0odd",
        16,
    );
    let echo = b"\x08\x00\x19\x2d\x00\x01\x00\x01ping";
    let long: Vec<u8> = (0..LINK_MTU - 20 - overhead)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect();
    let with_options = Plain {
        options: vec![0x94, 4, 0, 0, 1, 1, 1, 0],
        ..plain(0x28, 0x4000, 64, 17)
    };
    let nested = plain(0, 0x4000, 64, 17).packet(datagram);
    let inner = |name, header: &Plain, payload: &[u8]| Inner {
        name,
        bytes: header.packet(payload),
    };
    let df = 0x4000;
    vec![
        inner("UDP", &plain(0, df, 64, 17), datagram),
        inner(
            "UDP, no checksum, AF11, ECT(0), no DF",
            &plain(0x2a, 0, 2, 17),
            unsummed,
        ),
        inner("TCP, EF, CE, TTL 2", &plain(0xbb, df, 2, 6), segment),
        inner("TCP, ECT(1), no DF", &plain(1, 0, 64, 6), segment),
        inner("TTL 1", &plain(0, df, 1, 17), datagram),
        inner("ICMP, no DF, TTL 255", &plain(0, 0, 255, 1), echo),
        inner("first fragment, CE", &plain(3, 0x2000, 64, 17), datagram),
        inner(
            "later fragment, ECT(0)",
            &plain(2, 0x0002, 64, 17),
            b"eight by",
        ),
        inner("options", &with_options, datagram),
        inner("header only", &plain(0x48, df, 64, 253), b""),
        inner("as long as the link takes", &plain(0, df, 64, 253), &long),
        inner("IP-in-IP of somebody else", &plain(0, df, 63, 4), &nested),
    ]
}

/// `bytes` with the checksum that they have between the inner addresses.
fn transport(protocol: u8, bytes: &[u8], checksum_at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let len = u8::try_from(bytes.len()).unwrap();
    let pseudo = [10, 9, 0, 1, 10, 1, 0, 2, 0, protocol, 0, len];
    let checksum = ipencap_kit::oracle::checksum(&[&pseudo[..], &bytes].concat());
    put_u16(&mut bytes, checksum_at, checksum);
    bytes
}

/// What of `inner` comes out again: the TTL is less where it was a hop.
fn arriving(inner: &[u8], hops: u8) -> Vec<u8> {
    let mut arriving = inner.to_vec();
    for _ in 0..hops {
        let old = u16_at(&arriving, 8);
        arriving[8] -= 1;
        let patched = equation_3(u16_at(&arriving, 10), old, u16_at(&arriving, 8));
        put_u16(&mut arriving, 10, patched);
    }
    arriving
}

/// `Fou` of `(Tunnel<IpIp>, Tunnel<Fou>)`: the last one named is the outermost.
fn outermost_shim(encapsulator: &str) -> &str {
    // The kit's run-time mix.
    if encapsulator == "[AnyTunnel; 2]" {
        return "GreInUdp";
    }
    let last = encapsulator.rsplit("Tunnel<").next().unwrap_or_default();
    let array = last.trim_end_matches(')').trim_end_matches("; 2]");
    array.strip_suffix('>').unwrap_or(array)
}

/// The commands that make the kernel the other end of a form, by the words in its name. Nested tunnels have an address of their own;
/// GRE devices differ by what they insist on.
fn commands(encapsulator: &str, form: &str) -> Vec<String> {
    let outer = outermost_shim(encapsulator);
    let mut gre = String::new();
    if ["Gre", "GreInUdp"].contains(&outer) {
        for (word, option) in [
            ("key", " key 0xdeadbeef"),
            ("checksum", " icsum ocsum"),
            ("sequence", " iseq oseq"),
        ] {
            if form.split([' ', ',']).any(|of_form| of_form == word) {
                gre += option;
            }
        }
    }
    let over_udp = match outer {
        "GreInUdp" => "ipproto 47",
        "Gue" | "Gue<2>" | "GueVariant1" => "gue",
        _ => "ipproto 4",
    };
    let (outermost, nested) = ("local 192.0.2.1", "local 192.0.2.130");
    let mut commands = vec![format!("fou add port 5555 {over_udp}")];
    for (device, kind, local, options) in [
        ("t0", "ipip", outermost, ""),
        ("t1", "ipip", nested, ""),
        ("g0", "gre", outermost, &gre[..]),
        ("g1", "gre", nested, ""),
    ] {
        commands.push(format!(
            "link add {device} type {kind} {local} remote 192.0.2.2{options}"
        ));
        commands.push(format!("link set {device} up"));
    }
    commands
}

/// The name of a form, with that of its policy.
type Configurations = Vec<(String, Box<dyn Subject>)>;

/// Every form with the default policies, the first with each other policy; IP-in-IP with every set of them.
fn configurations(enrolled: &Enrolled) -> Configurations {
    let mut configurations: Configurations = vec![("typical".into(), enrolled.typical(ENDPOINTS))];
    let mut add = |policy: &str, outer: OuterPolicy, forms: usize| {
        let chosen = enrolled.forms(outer).into_iter().take(forms);
        configurations.extend(chosen.map(|(form, subject)| (format!("{form}, {policy}"), subject)));
    };
    for (policy, outer) in single_policies(ENDPOINTS) {
        add(
            policy,
            outer,
            if policy == "default" { usize::MAX } else { 1 },
        );
    }
    if enrolled.name == "Tunnel<IpIp>" {
        for outer in all_policies(ENDPOINTS) {
            add("a set of policies", outer, 1);
        }
    }
    configurations
}

/// All setups with their packets.
pub fn plan() -> Vec<Setup> {
    let mut setups: BTreeMap<Vec<String>, Vec<Case>> = BTreeMap::new();
    for enrolled in ENCAPSULATORS.iter().chain(&NESTED) {
        for (form, subject) in configurations(enrolled) {
            let cases = setups.entry(commands(enrolled.name, &form)).or_default();
            for inner in inner_packets(subject.encapsulator().overhead()) {
                let case = case(enrolled.name, &form, &*subject, &inner, cases.len());
                cases.push(case);
            }
        }
    }
    let setups = setups.into_iter();
    let mut setups: Vec<_> = setups
        .map(|(commands, cases)| Setup { commands, cases })
        .collect();
    for setup in &mut setups {
        plant_damage(&mut setup.cases);
    }
    setups
}

fn case(
    encapsulator: &str,
    form: &str,
    subject: &dyn Subject,
    inner: &Inner,
    number: usize,
) -> Case {
    let gre_sequence = u32::try_from(number).unwrap();
    let identification = u16::try_from(number % 65_536).unwrap().wrapping_add(3);
    let (sequence, acknowledgment) = (0x0102_0304, 0x0a0b_0c03 + gre_sequence);
    let said = PerPacket::new()
        .with_identification(identification)
        .with_sequence(gre_sequence)
        .with_tcp_numbers(sequence, acknowledgment);
    let overhead = subject.encapsulator().overhead();
    let mut buffer = [&vec![0xa5; overhead], &inner.bytes[..]].concat();
    let place = Span::new(overhead, inner.bytes.len());
    let packet = match subject.encap(Door::Function, &mut buffer, place, &said) {
        Ok(outer) => Ok(outer.get(&buffer).unwrap().to_vec()),
        Err(error) => Err(error.reason()),
    };
    let expected = if encapsulator.contains("Tcp") {
        Expected::Reset(acknowledgment)
    } else if encapsulator.contains("MinEnc") {
        Expected::ProtocolUnreachable
    } else {
        let hops = packet.as_ref().map_or(0, |_| subject.naive().hops());
        Expected::Inner(arriving(&inner.bytes, hops))
    };
    Case {
        encapsulator: encapsulator.to_owned(),
        form: form.to_owned(),
        inner_name: inner.name,
        packet,
        expected,
        is_damaged: false,
    }
}

/// The control: of each encapsulator in a setup one packet with a bit of its outer checksum flipped, and
/// one with its last bit; the latter no kernel can notice that does not look into the packet (M-03).
fn plant_damage(cases: &mut Vec<Case>) {
    let mut damaged: BTreeMap<String, [Case; 2]> = BTreeMap::new();
    for case in cases.iter() {
        let Ok(packet) = &case.packet else { continue };
        let flipped = |at: usize| {
            let mut packet = packet.clone();
            packet[at] ^= 1;
            Case {
                encapsulator: case.encapsulator.clone(),
                form: case.form.clone(),
                inner_name: case.inner_name,
                packet: Ok(packet),
                expected: case.expected.clone(),
                is_damaged: true,
            }
        };
        let both = || [flipped(11), flipped(packet.len() - 1)];
        damaged
            .entry(case.encapsulator.clone())
            .or_insert_with(both);
    }
    for [header, payload] in damaged.into_values() {
        let is_unnoticed = matches!(payload.expected, Expected::ProtocolUnreachable);
        cases.push(header);
        cases.extend((!is_unnoticed).then_some(payload));
    }
}

/// Prints the plan for the guest: what it expects stays here.
pub fn emit(plan: &[Setup]) {
    for setup in plan {
        println!("{}", json!({ "setup": setup.commands }));
        for packet in setup
            .cases
            .iter()
            .filter_map(|case| case.packet.as_ref().ok())
        {
            println!("{}", json!({ "packet": hex(packet) }));
        }
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
