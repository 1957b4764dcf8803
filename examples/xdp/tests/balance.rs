//! The program `balance` on the bundled capture, and on wrong configurations.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use core::net::Ipv4Addr;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Read;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ipencap::Span;
use ipencap::checksum::Sum;
use ipencap::decap::{Opened, inspect_without_filter};
use ipencap::icmp::{self, ReportKind};
use ipencap::packet::Facts;
use ipencap::shim::{Gue, IpIp};
use ipencap::time::Instant;
use ipencap::wire::{FragmentOffset, IpProtocol, Ipv4, Ipv4Flags, Ipv4Header, TcpFlags, TcpHeader};
use ipencap_balance::{Backend, Balancer, Begun, Tables};
use ipencap_cli::capture::{Reader, link};
use ipencap_xdp::Config;
use ipencap_xdp::balance::{Engine, Layout, Out};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::UdpGsoSegment;
use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};

const WEB: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 80);
const DNS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 53);
const DRAINING: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 14);

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data")
        .join(name)
}

/// A path of its own for each call.
fn scratch(name: &str) -> PathBuf {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{call}-{name}"))
}

fn run(arguments: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_balance"))
        .args(arguments)
        .output()
        .unwrap()
}

fn packets(path: &Path) -> Vec<Vec<u8>> {
    let mut reader = Reader::new(File::open(path).unwrap()).unwrap();
    let mut packets = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        packets.push(
            link::ipv4_packet(record.link_type, record.frame)
                .unwrap()
                .to_vec(),
        );
    }
    packets
}

/// A capture of these packets, which begin with their IPv4 header.
fn capture(packets: &[Vec<u8>]) -> PathBuf {
    const RAW: u32 = 101;
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, RAW] {
        bytes.extend(u32::to_le_bytes(word));
    }
    for packet in packets {
        let len = u32::try_from(packet.len()).unwrap();
        for word in [0, 0, len, len] {
            bytes.extend(u32::to_le_bytes(word));
        }
        bytes.extend(packet);
    }
    let path = scratch("packets.pcap");
    fs::write(&path, bytes).unwrap();
    path
}

/// Balances the bundled capture by the bundled configuration with this tunnel: the report, and what is sent.
fn balanced(tunnel: &str) -> (Value, Vec<Vec<u8>>) {
    balanced_from(&data("clients.pcap"), tunnel)
}

/// The same with another capture.
fn balanced_from(capture: &Path, tunnel: &str) -> (Value, Vec<Vec<u8>>) {
    let text = fs::read_to_string(data("balance.toml")).unwrap();
    let config = scratch(&format!("{tunnel}.toml"));
    fs::write(&config, text.replace("\"ipip\"", &format!("\"{tunnel}\""))).unwrap();
    let sent = scratch(&format!("{tunnel}.pcap"));
    let output = run(&[
        Path::new("--config"),
        &config,
        Path::new("--capture"),
        capture,
        Path::new("--write"),
        &sent,
        Path::new("--json"),
    ]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report = serde_json::from_slice(&output.stdout).unwrap();
    (report, packets(&sent))
}

/// The backend of an outer packet, and the packet inside.
fn opened(outer: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let to = Facts::read(outer).unwrap().destination();
    let opened = match Facts::read(outer).unwrap().protocol() {
        IpProtocol::IPENCAP => inspect_without_filter(&IpIp, outer),
        IpProtocol::UDP => inspect_without_filter(&Gue::new(), outer),
        _ => return None,
    };
    let span = opened.as_ref().map(Opened::span).unwrap();
    Some((to, span.get(outer).unwrap()))
}

fn is_fragment(packet: &[u8]) -> bool {
    Facts::read(packet).unwrap().is_fragment()
}

#[test]
fn every_packet_arrives_at_a_backend_of_its_flow() {
    for tunnel in ["ipip", "gue"] {
        let (report, sent) = balanced(tunnel);
        let all = packets(&data("clients.pcap"));
        assert_eq!(report["packets"], all.len());
        assert_eq!(report["passed_no_vip"], 1);
        assert_eq!(report["dropped"], serde_json::json!({ "BadChecksum": 1 }));

        // What goes in comes out, in order, but for those that are treated otherwise.
        let mut inner: Vec<_> = sent.iter().filter_map(|outer| opened(outer)).collect();
        inner.retain(|(_, packet)| !is_fragment(packet));
        let expected = all.iter().filter(|packet| {
            packet.len() <= 1400
                && Facts::read(packet).is_ok_and(|facts| {
                    !facts.is_fragment() && [WEB, DNS].contains(&facts.destination())
                })
        });
        assert!(
            inner
                .iter()
                .map(|(_, packet)| *packet)
                .eq(expected.map(|packet| &packet[..]))
        );

        // One backend for a flow, and for the errors about it; those of its VIP.
        let mut backends = HashMap::new();
        let mut errors = 0;
        for &(backend, packet) in &inner {
            let facts = Facts::read(packet).unwrap();
            let flow = if facts.protocol() == IpProtocol::ICMP {
                errors += 1;
                let quoted = icmp::read(packet).unwrap();
                let quoted = Ipv4::parse_quoted(quoted.quote().packet()).unwrap();
                ipencap::packet::Flow::of_quoted(quoted).unwrap().reversed()
            } else {
                facts.flow()
            };
            let known = *backends.entry(flow).or_insert(backend);
            assert_eq!(backend, known, "{flow:?}");
            assert_eq!(backend.octets()[3] < 50, flow.destination == WEB);
            assert_ne!(backend.octets()[3], 55, "it is down");
        }
        assert_eq!(errors, 40);

        // The report says the same.
        for entry in report["backends"].as_array().unwrap() {
            let address: Ipv4Addr = entry["address"].as_str().unwrap().parse().unwrap();
            let of_it = sent
                .iter()
                .filter_map(|outer| opened(outer))
                .filter(|(to, _)| *to == address);
            let (count, bytes) = of_it.fold((0, 0), |(n, bytes), (_, packet)| {
                (n + 1, bytes + packet.len())
            });
            assert_eq!(entry["packets"], count);
            assert_eq!(entry["bytes"], bytes);
        }
    }
}

#[test]
fn the_draining_backend_gets_no_connection_that_begins() {
    let (_, sent) = balanced("ipip");
    let mut began = HashSet::new();
    let mut kept = 0;
    for (backend, packet) in sent.iter().filter_map(|outer| opened(outer)) {
        let facts = Facts::read(packet).unwrap();
        if facts.protocol() != IpProtocol::TCP {
            continue;
        }
        let (tcp, ..) = TcpHeader::split(&packet[20..]).unwrap();
        if tcp.flags().contains(TcpFlags::SYN) {
            began.insert(facts.flow());
        }
        assert!(backend != DRAINING || !began.contains(&facts.flow()));
        kept += u32::from(backend == DRAINING);
    }
    assert!(
        kept > 10,
        "it keeps the connections that it has: {kept} packets"
    );
}

#[test]
fn too_long_is_answered_with_the_mtu_or_split() {
    for (tunnel, mtu) in [("ipip", 1480), ("gue", 1468)] {
        let (report, sent) = balanced(tunnel);
        assert_eq!(
            (&report["answered_too_long"], &report["sent_in_fragments"]),
            (&1.into(), &1.into())
        );
        let answers: Vec<_> = sent
            .iter()
            .filter(|packet| opened(packet).is_none())
            .collect();
        let [answer] = answers[..] else {
            panic!("{} answers", answers.len());
        };
        let report = icmp::read(answer).unwrap();
        assert_eq!(report.kind(), ReportKind::FragmentationNeeded { mtu });
        assert_eq!(report.reporter(), WEB, "the address that the client knows");
        assert_eq!(
            Facts::read(answer).unwrap().destination(),
            report.quote().header().unwrap().source()
        );

        let fragments: Vec<_> = sent
            .iter()
            .filter_map(|outer| opened(outer))
            .filter(|(_, packet)| is_fragment(packet))
            .collect();
        assert!(sent.iter().all(|packet| packet.len() <= 1500));
        // The client's own two, and the two of the datagram that was split.
        assert_eq!(fragments.len(), 4);
        let bodies = fragments[..2].iter().map(|(_, packet)| &packet[20..]);
        let all = packets(&data("clients.pcap"));
        let whole = all
            .iter()
            .find(|packet| packet.len() == 1500 && packet[9] == 17);
        assert_eq!(bodies.collect::<Vec<_>>().concat(), whole.unwrap()[20..]);
        for pair in fragments.chunks(2) {
            assert_eq!(pair[0].0, pair[1].0, "both go to one backend");
        }
    }
}

/// A client sends a datagram in fragments that are as long as its link allows, and an ICMP error without DF that is
/// too long.
#[test]
fn what_may_not_be_answered_is_split() {
    let client = Ipv4Addr::new(10, 0, 0, 7);
    let datagram: Vec<u8> = (0..4008_u16).map(|at| at.to_le_bytes()[0]).collect();
    let mut all = Vec::new();
    for (place, body) in datagram.chunks(1480).enumerate() {
        let len = u16::try_from(20 + body.len()).unwrap();
        let mut header = Ipv4Header::new(client, DNS, IpProtocol::UDP, len);
        let is_last = (place + 1) * 1480 >= datagram.len();
        header.set_flags(if is_last {
            Ipv4Flags::empty()
        } else {
            Ipv4Flags::MF
        });
        let units = u16::try_from(place * 185).unwrap();
        header.set_fragment_offset(FragmentOffset::from_units(units).unwrap());
        all.push([header.as_bytes(), body].concat());
    }
    // About an answer of the VIP's to the client.
    let mut answer = Ipv4Header::new(DNS, client, IpProtocol::UDP, 1472);
    answer.set_flags(Ipv4Flags::empty());
    let mut message = vec![3, 3, 0, 0, 0, 0, 0, 0];
    message.extend(answer.as_bytes());
    message.extend([0, 53, 200, 0, 5, 0xac, 0, 0]);
    message.resize(1480, 0);
    let sum = ipencap::checksum::checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut header = Ipv4Header::new(client, DNS, IpProtocol::ICMP, 1500);
    header.set_flags(Ipv4Flags::empty());
    all.push([header.as_bytes(), &message[..]].concat());

    for tunnel in ["ipip", "gue"] {
        let (report, sent) = balanced_from(&capture(&all), tunnel);
        assert_eq!(report["sent_in_fragments"], 3, "{report}");
        assert_eq!(report["dropped_without_answer"], 0);
        let mut bodies = [vec![0; datagram.len()], vec![0; message.len()]];
        let mut backends = [HashSet::new(), HashSet::new()];
        for outer in &sent {
            assert!(outer.len() <= 1500);
            let (backend, packet) = opened(outer).unwrap();
            let header = Ipv4::parse(packet).unwrap().header();
            let which = usize::from(header.protocol() == IpProtocol::ICMP);
            let start = usize::from(header.fragment_offset().bytes());
            bodies[which][start..start + packet.len() - 20].copy_from_slice(&packet[20..]);
            backends[which].insert(backend);
        }
        assert!(bodies == [datagram.clone(), message.clone()]);
        assert_eq!(backends.map(|backends| backends.len()), [1, 1]);
    }
}

/// Clients share the rates of ICMP errors, but which of them do is secret.
#[test]
fn a_client_cannot_choose_whose_answers_it_uses_up() {
    let Config::Balance(config) = Config::read(&data("balance.toml")).unwrap() else {
        panic!("it is of the balancer");
    };
    let layout = Layout::new(&config).unwrap();
    let mut backends: Vec<_> = layout
        .backends
        .iter()
        .map(|&address| Backend::new(config.tunnel_to(address).unwrap()))
        .collect();
    // Their addresses have the same upper bits after a multiplication by 2^32 / phi.
    let (victim, attacker) = ("10.0.0.1".parse().unwrap(), "10.0.3.220".parse().unwrap());
    let place = |client: Ipv4Addr| client.to_bits().wrapping_mul(0x9e37_79b1) >> 22;
    assert_eq!(place(victim), place(attacker));

    let mut unanswered = 0;
    for key in 0..64_u64 {
        let mut entries = Vec::new();
        let balancer = Balancer {
            tables: Tables {
                vips: layout.vips(&mut entries).unwrap(),
                slots: &layout.slots,
                begun: Begun::new(&mut []),
                seed: config.seed,
            },
            backends: &mut backends,
        };
        let mut engine = Engine::new(balancer, key.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut is_answered = |client| {
            let mut buffer = vec![0; Engine::HEADROOM];
            buffer.extend(Ipv4Header::new(client, DNS, IpProtocol::UDP, 1500).as_bytes());
            buffer.resize(Engine::HEADROOM + 1500, 0);
            let mut answers = 0;
            let span = Span::new(Engine::HEADROOM, 1500);
            engine.take(Instant::from_millis(1000), &mut buffer, span, |out| {
                answers += u32::from(matches!(out, Out::Client(_)));
            });
            answers == 1
        };
        let used_up = (0..1000).filter(|_| is_answered(attacker)).count();
        assert!(used_up > 0 && !is_answered(attacker));
        unanswered += u32::from(!is_answered(victim));
    }
    assert!(unanswered < 4, "{unanswered} of 64");
}

#[test]
fn the_table_is_for_people() {
    let output = run(&[
        Path::new("--config"),
        &data("balance.toml"),
        Path::new("--capture"),
        &data("clients.pcap"),
    ]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let (report, _) = balanced("ipip");
    for entry in report["backends"].as_array().unwrap() {
        let address = entry["address"].as_str().unwrap();
        let line = text.lines().find(|line| line.starts_with(address)).unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(
            words[1..3],
            [entry["packets"].to_string(), entry["bytes"].to_string()]
        );
    }
    assert!(text.contains("1 answered too long"));
}

#[test]
fn wrong_configurations_are_explained() {
    let right = fs::read_to_string(data("balance.toml")).unwrap();
    for (from, to, said) in [
        ("\"balance\"", "\"decap_ipip\"", "unknown field"),
        ("seed =", "sed =", "unknown field `sed`"),
        ("seed = 0x5eed1e55", "", "missing field `seed`"),
        ("203.0.113.80:443/tcp", "203.0.113.80:443", "no protocol"),
        ("203.0.113.80:443/tcp", "203.0.113.80:0/tcp", "no port"),
        ("203.0.113.80:443/tcp", "203.0.113/tcp", "no IPv4 address"),
        (
            "203.0.113.80:443/tcp",
            "203.0.113.80:443/sctp",
            "not tcp or udp",
        ),
        (
            "203.0.113.53/udp",
            "203.0.113.80:80/tcp",
            "stands in pool 1 and in pool 2",
        ),
        (
            "\"draining\"",
            "\"drained\"",
            "write active, draining or down",
        ),
        (
            "192.0.2.12",
            "192.0.2.11",
            "has the backend 192.0.2.11 twice",
        ),
        (
            "192.0.2.12",
            "224.0.0.1",
            "the tunnel from 198.51.100.1 to 224.0.0.1",
        ),
        (
            "[[pool]]\nvip = [\"203.0.113.80:",
            "[[pool]]\nslots = 1000\nvip = [\"203.0.113.80:",
            "not prime",
        ),
        ("\"ipip\"", "\"gre\"", "unknown variant `gre`"),
    ] {
        assert!(right.contains(from), "{from}");
        let path = scratch("wrong.toml");
        fs::write(&path, right.replacen(from, to, 1)).unwrap();
        let output = run(&[
            Path::new("--config"),
            &path,
            Path::new("--capture"),
            &data("clients.pcap"),
        ]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(said), "{to}: {text}");
        assert!(text.contains("wrong.toml"), "it names the file: {text}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn wrong_arguments_are_explained() {
    let config = data("balance.toml");
    let capture = data("clients.pcap");
    for (arguments, said) in [
        (vec![], "required"),
        (vec![Path::new("--config"), &config], "--capture"),
        (
            vec![
                Path::new("--config"),
                &config,
                Path::new("--capture"),
                Path::new("/nonexistent"),
            ],
            "cannot read /nonexistent",
        ),
        (
            vec![
                Path::new("--config"),
                Path::new("/nonexistent"),
                Path::new("--capture"),
                &capture,
            ],
            "/nonexistent",
        ),
        (
            vec![
                Path::new("--config"),
                &config,
                Path::new("--capture"),
                &capture,
                Path::new("--write"),
                &capture,
            ],
            "it is the input",
        ),
    ] {
        let output = run(&arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(said), "{text}");
    }
}

/// Two network namespaces: of the balancer, where the script goes on, and of a client, which has the addresses of the
/// backends too.
const NAMESPACES: &str = r#"
    set -e
    ip link set lo up
    unshare --net sleep 60 & client=$!
    trap 'kill $client' EXIT
    sleep 0.3
    ip link add b0 type veth peer name c0
    ip link set c0 netns $client
    ip address add 10.9.0.2/24 dev b0
    ip link set b0 up
    ip route add 192.0.2.0/24 via 10.9.0.1
    in_client() { nsenter --target $client --net "$@"; }
    in_client ip link set lo up
    in_client ip address add 10.9.0.1/24 dev c0
    in_client ip address add 192.0.2.53/32 dev lo
    in_client ip address add 192.0.2.54/32 dev lo
    in_client ip link set c0 up
    in_client ip route add 203.0.113.0/24 via 10.9.0.2
    in_client bash -c 'echo 0 | tee /proc/sys/net/ipv4/conf/*/rp_filter' > /dev/null
    help() { in_client env HELPER=$1 "$TEST" --exact --ignored helper; }
"#;

/// Runs a script in network namespaces, if that can be done here: what it prints, and its errors.
fn in_namespaces(script: &str, received: &Path) -> Option<(Value, String)> {
    let can = Command::new("unshare").args(["--net", "true"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        println!("skipped: network namespaces need root and util-linux");
        return None;
    }
    let output = Command::new("unshare")
        .args(["--net", "bash", "-c", &[NAMESPACES, script].concat()])
        .env("BALANCE", env!("CARGO_BIN_EXE_balance"))
        .env("CONFIG", data("balance.toml"))
        .env("TEST", std::env::current_exe().unwrap())
        .env("RECEIVED", received)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    let report = serde_json::from_slice(&output.stdout);
    Some((report.unwrap(), errors))
}

/// What the scripts run in the client's namespace.
#[test]
#[ignore = "the tests with network namespaces run it"]
fn helper() {
    match std::env::var("HELPER").as_deref() {
        Ok("receive") => receive(Path::new(&std::env::var_os("RECEIVED").unwrap())),
        Ok("send") => send_merged(),
        _ => println!("this is no test of its own"),
    }
}

/// Writes a capture of the IP-in-IP packets that arrive, until none has for a while.
fn receive(to: &Path) {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(4))).unwrap();
    socket.set_recv_buffer_size(1 << 22).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(4)))
        .unwrap();
    let mut received = Vec::new();
    let mut buffer = vec![0; 65_536];
    while let Ok(len) = (&socket).read(&mut buffer) {
        received.push(buffer[..len].to_vec());
    }
    fs::rename(capture(&received), to).unwrap();
}

/// A client sends 200 datagrams over a veth pair to a VIP, and one that is too long. The veth pair leaves UDP checksums
/// unfinished.
#[test]
fn a_device_is_balanced() {
    let script = r#"
        help receive > /dev/null & receiver=$!
        "$BALANCE" --config "$CONFIG" --device b0 --packets 201 --seconds 20 --json & balance=$!
        sleep 1
        in_client bash -c 'for port in $(seq 1 200); do echo x > /dev/udp/203.0.113.53/$port; done'
        in_client bash -c 'head -c 1470 /dev/zero > /dev/udp/203.0.113.53/7'
        wait $balance
        wait $receiver
    "#;
    let path = scratch("received.pcap");
    let Some((report, errors)) = in_namespaces(script, &path) else {
        return;
    };
    assert_eq!(report["sent"], 200, "{report} {errors}");
    let too_long = [&report["answered_too_long"], &report["sent_in_fragments"]];
    assert_eq!(
        too_long
            .iter()
            .filter_map(|count| count.as_u64())
            .sum::<u64>(),
        1,
        "{report}"
    );
    let shares = report["backends"].as_array().unwrap().iter();
    let of: Vec<_> = shares
        .map(|backend| backend["packets"].as_u64().unwrap())
        .collect();
    assert!(
        of[4] > 60 && of[5] > 60,
        "both active backends of the pool: {report}"
    );
    assert_eq!((of[..4].iter().sum::<u64>(), of[6]), (0, 0));
    assert!(!errors.contains("did not send"), "{errors}");

    let received = packets(&path);
    let mut ports = HashSet::new();
    let mut arrived = [0; 2];
    for outer in received.iter().filter(|outer| outer.len() == 50) {
        let facts = Facts::read(outer).unwrap();
        assert_eq!(facts.source(), Ipv4Addr::new(198, 51, 100, 1));
        let (backend, packet) = opened(outer).unwrap();
        arrived[usize::from(backend.octets()[3] - 53)] += 1;
        let facts = Facts::read(packet).unwrap();
        let client = Ipv4Addr::new(10, 9, 0, 1);
        assert_eq!((facts.source(), facts.destination()), (client, DNS));
        assert_eq!((facts.ttl(), &packet[28..]), (64, &b"x\n"[..]));
        let udp = Sum::pseudo_header(client, DNS, 17, 10).add_bytes(&packet[20..]);
        assert!(udp.is_valid(), "the UDP checksum of {packet:02x?}");
        ports.insert(facts.flow().destination_port);
    }
    assert_eq!(arrived, [of[4], of[5]]);
    assert_eq!(ports, (1..=200).collect());
}

/// Sends ten datagrams as one packet, which the device is to split, and then five more.
fn send_merged() {
    let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
    setsockopt(&socket, UdpGsoSegment, &1400).unwrap();
    let payload = vec![0xa5; 14_000];
    assert_eq!(socket.send_to(&payload, (DNS, 53)).unwrap(), 14_000);
    for _ in 0..5 {
        assert_eq!(socket.send_to(&payload[..1400], (DNS, 53)).unwrap(), 1400);
    }
}

/// Else the ten would arrive as one datagram in fragments.
#[test]
fn packets_that_a_device_has_merged_are_dropped() {
    let script = r#"
        "$BALANCE" --config "$CONFIG" --device b0 --packets 6 --seconds 20 --json & balance=$!
        sleep 1
        help send > /dev/null
        wait $balance
    "#;
    let Some((report, errors)) = in_namespaces(script, Path::new("/dev/null")) else {
        return;
    };
    assert_eq!(report["dropped_merged"], 1, "{report}");
    assert_eq!(
        (&report["sent"], &report["packets"]),
        (&5.into(), &6.into())
    );
    assert!(errors.contains("ethtool -K b0 gro off"), "{errors}");
}
