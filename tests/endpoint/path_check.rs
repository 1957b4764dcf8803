//! A path that is silent about its MTU, and probes that find it: answered by a stack behind the peer.

use core::net::Ipv4Addr;

use ipencap::decap::{Prefix, PrefixEntry};
use ipencap::encap::Tunnel;
use ipencap::icmp::{IcmpError, Kind};
use ipencap::pmtu::ProberConfig;
use ipencap::shim::Fou;
use ipencap::time::{Duration, Instant};
use ipencap::tunnel::{
    ArrivalEntry, ClosedPort, Echo, Endpoint, EndpointConfig, OnePeer, Path, PathCheck, PathProbe,
    PeerPolicy, PeerSlot, PeerTable, Peers,
};
use ipencap::wire::Ipv4;

use crate::ends::memory;

const HERE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 1);
/// Of FOU.
const OVERHEAD: u16 = 28;
const ECHO: Echo = Echo(7);
const PORT: ClosedPort = ClosedPort(33_434);

/// The naive answer of a stack: to a datagram for a closed port, or to a ping.
fn answer(probe: &[u8]) -> Vec<u8> {
    let ip = Ipv4::parse(probe).unwrap();
    assert_eq!(
        (ip.header().source(), ip.header().destination()),
        (HERE, THERE)
    );
    assert_eq!(usize::from(ip.header().total_len()), probe.len());
    if ip.header().protocol().0 == 1 {
        assert_eq!(sum(ip.payload()), 0xffff, "the checksum of a ping");
        let mut icmp = ip.payload().to_vec();
        assert_eq!(icmp[..2], [8, 0]);
        icmp[0] = 0;
        // The checksum is larger by what the type is less.
        let checksum = u32::from(u16::from_be_bytes([icmp[2], icmp[3]])) + 0x0800;
        let checksum = u16::try_from(checksum % 0xffff).unwrap();
        icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
        [exchanged(&probe[..20]), icmp].concat()
    } else {
        let error = IcmpError::about(probe, Kind::HostUnreachable, THERE).unwrap();
        let mut answer = vec![0; error.len()];
        error.write(probe, &mut answer).unwrap();
        // Port unreachable: code 3, and the checksum is smaller by the difference.
        answer[21] = 3;
        let checksum = u16::from_be_bytes([answer[22], answer[23]]) - 2;
        answer[22..24].copy_from_slice(&checksum.to_be_bytes());
        answer
    }
}

/// The header with the addresses exchanged, which have the same sum.
fn exchanged(header: &[u8]) -> Vec<u8> {
    [&header[..12], &header[16..20], &header[12..16]].concat()
}

fn sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2).map(|pair| match *pair {
        [high, low] => u32::from(u16::from_be_bytes([high, low])),
        _ => u32::from(pair[0]) << 8,
    });
    let sum: u32 = words.sum();
    (sum >> 16) + (sum & 0xffff)
}

type One<'m> = OnePeer<'m, Tunnel<Fou>>;

/// An end, a path, and the stack behind it.
struct Scene<'m, K, P = One<'m>> {
    end: Endpoint<'m, P, ()>,
    check: PathCheck<K>,
    now: Instant,
    /// The longest outer packet that passes.
    carries: u16,
    answers: bool,
    /// What has been sent, by length as outer packets.
    sent: Vec<u16>,
}

impl<'m, K: PathProbe> Scene<'m, K> {
    fn new(paths: &'m mut [Path], behind: &'m [Prefix], check: PathCheck<K>) -> Self {
        Self::with_peers(paths, OnePeer::new(tunnel_to(2), behind), check)
    }
}

/// To 203.0.113 and this byte.
fn tunnel_to(host: u8) -> Tunnel<Fou> {
    let ends = [[198, 51, 100, 1], [203, 0, 113, host]].map(Ipv4Addr::from);
    Tunnel::new(ends[0], ends[1], Fou::new(5555)).unwrap()
}

impl<'m, K: PathProbe, P: Peers> Scene<'m, K, P> {
    const fn with_peers(paths: &'m mut [Path], peers: P, check: PathCheck<K>) -> Self {
        Self {
            end: Endpoint::new(peers, paths, EndpointConfig::DEFAULT),
            check,
            now: Instant::ZERO,
            carries: 1500,
            answers: true,
            sent: Vec::new(),
        }
    }

    /// Until then, or until nothing more is due.
    fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while let Some(due) = self.check.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            let Some((peer, len)) = self.check.poll(self.now, &mut self.end, 0) else {
                continue;
            };
            let mut probe = vec![0xa5; usize::from(len)];
            self.check.write(&mut probe).unwrap();
            self.sent.push(len + OVERHEAD);
            if self.answers && len + OVERHEAD <= self.carries {
                let answer = answer(&probe);
                assert!(self.check.answers(self.now, &mut self.end, peer, &answer));
            }
        }
        self.now = end;
    }

    /// A packet goes to the peer.
    fn send(&mut self) {
        self.check.on_sent(self.now, &[0; 20]);
    }

    fn path_mtu(&mut self) -> u16 {
        let peer = self.end.peers().at(0).unwrap();
        self.end.path_mtu(self.now, peer).unwrap()
    }
}

const EACH_SECOND: ProberConfig = ProberConfig {
    confirmation_timer: Duration::from_secs(1),
    ..PathCheck::CONFIG
};

fn finds_what_passes<K: PathProbe + Copy>(probes: K) {
    let behind = ["10.2.0.0/16".parse().unwrap()];
    for carries in [1499, 1400, 1280, 1201, 900] {
        let check = PathCheck::with_probes(HERE, THERE, probes);
        let mut paths = [Path::EMPTY];
        let mut scene = Scene::new(&mut paths, &behind, check);
        scene.run(30);
        assert_eq!(scene.path_mtu(), 1500);
        // Seven in 30 s, and the short one at the start.
        assert_eq!(
            scene.sent[..2],
            [PathCheck::<K>::SHORT_LEN + OVERHEAD, 1500]
        );
        assert_eq!(scene.sent.len(), 8);
        scene.carries = carries;
        scene.run(100);
        assert_eq!(scene.path_mtu(), carries);
        // It is confirmed from then on.
        scene.sent.clear();
        scene.run(20);
        assert_eq!(scene.sent, [carries; 4]);
    }
}

#[test]
fn probes_to_a_closed_port_find_what_passes() {
    finds_what_passes(PORT);
}

#[test]
fn pings_find_what_passes() {
    finds_what_passes(ECHO);
}

/// Both ways: a path that is silent again after it was measured.
#[test]
fn a_path_that_becomes_narrower_again_is_measured_again() {
    let behind = [Prefix::ANY];
    let check = PathCheck::with_probes(HERE, THERE, ECHO).with_config(EACH_SECOND);
    let mut paths = [Path::EMPTY];
    let mut scene = Scene::new(&mut paths, &behind, check);
    for carries in [1400, 1300, 700] {
        scene.carries = carries;
        scene.run(60);
        assert_eq!(scene.path_mtu(), carries);
    }
}

#[test]
fn fewer_lost_probes_begin_the_search_sooner() {
    let behind = [Prefix::ANY];
    let lost_until_search = |most_lost: Option<u8>| {
        let check = PathCheck::new(HERE, THERE).with_config(EACH_SECOND);
        let check = most_lost.map_or(check, |most| check.searching_after(most));
        let mut paths = [Path::EMPTY];
        let mut scene = Scene::new(&mut paths, &behind, check);
        scene.carries = 1400;
        scene.run(10);
        let long = scene.sent.iter().filter(|len| **len >= 1200);
        long.take_while(|len| **len == 1500).count()
    };
    assert_eq!(lost_until_search(None), 3);
    assert_eq!(lost_until_search(Some(2)), 2);
    assert_eq!(lost_until_search(Some(1)), 1);
}

/// Nobody wakes for a tunnel that nothing is sent through.
#[test]
fn it_rests_while_nothing_is_sent() {
    let behind = [Prefix::ANY];
    let check = PathCheck::new(HERE, THERE).while_sending();
    let mut paths = [Path::EMPTY];
    let mut scene = Scene::new(&mut paths, &behind, check);
    scene.run(100);
    assert_eq!(scene.sent, []);
    scene.send();
    scene.run(100);
    assert_eq!(
        scene.sent,
        [PathCheck::<ClosedPort>::SHORT_LEN + OVERHEAD, 1500]
    );
    assert_eq!(scene.check.next_deadline(), None);
    // While packets are sent it goes on: one probe in 5 s.
    scene.sent.clear();
    for _ in 0..20 {
        scene.send();
        scene.run(1);
    }
    assert_eq!(scene.sent, [1500; 4]);
    // One whom nobody answers gives up.
    (scene.answers, scene.sent) = (false, Vec::new());
    scene.send();
    scene.run(1000);
    assert!((1..=20).contains(&scene.sent.len()), "{:?}", scene.sent);
    assert_eq!(scene.check.next_deadline(), None);
    assert_eq!(scene.path_mtu(), 1500);
}

/// Else two ends would go on for ever: what a stack answers to the probes of one would wake the other.
#[test]
fn answers_to_the_peers_probes_do_not_wake_it() {
    let behind = [Prefix::ANY];
    let mut paths = [Path::EMPTY];
    let check = PathCheck::new(HERE, THERE).while_sending();
    let mut scene = Scene::new(&mut paths, &behind, check);
    let (mut to_port, mut ping) = ([0; 28], [0; 28]);
    scene.check.write(&mut to_port).unwrap();
    let pings = PathCheck::with_probes(HERE, THERE, ECHO);
    pings.write(&mut ping).unwrap();
    for inner in [answer(&to_port), answer(&ping)] {
        scene.check.on_sent(scene.now, &inner);
        assert_eq!(scene.check.next_deadline(), None);
    }
    for inner in [&to_port, &ping] {
        let mut check = scene.check;
        check.on_sent(scene.now, inner);
        assert!(check.next_deadline().is_some());
    }
}

/// A search that one packet has begun ends without another.
#[test]
fn it_does_not_rest_in_a_search() {
    let behind = [Prefix::ANY];
    let check = PathCheck::new(HERE, THERE).while_sending();
    let mut paths = [Path::EMPTY];
    let mut scene = Scene::new(&mut paths, &behind, check);
    scene.carries = 1333;
    scene.send();
    scene.run(200);
    assert_eq!(scene.path_mtu(), 1333);
    assert_eq!(scene.check.next_deadline(), None);
}

/// What answers no probe of ours belongs to the inner side.
#[test]
fn the_answers_of_others_are_not_taken() {
    let behind = [Prefix::ANY];
    let mut paths = [Path::EMPTY];
    let mut scene = Scene::new(
        &mut paths,
        &behind,
        PathCheck::with_probes(HERE, THERE, ECHO),
    );
    let peer = scene.end.peers().at(0).unwrap();
    let mut probe = [0; 100];
    scene.check.write(&mut probe).unwrap();
    let right = answer(&probe);
    let spoiled = [
        // Another source, destination, type and identifier; a later fragment; cut; a request of ours that came back.
        exchanged(&right[..20])
            .into_iter()
            .chain(right[20..].iter().copied())
            .collect(),
        with(&right, 20, 8),
        with(&right, 25, 8),
        fragment(&right),
        right[..27].to_vec(),
        probe.to_vec(),
        Vec::new(),
    ];
    for answer in &spoiled {
        let is_taken = scene
            .check
            .answers(Instant::ZERO, &mut scene.end, peer, answer);
        assert!(!is_taken, "{answer:x?}");
    }
    assert!(
        scene
            .check
            .answers(Instant::ZERO, &mut scene.end, peer, &right)
    );

    let mut other = PathCheck::new(HERE, THERE).with_port(5000);
    let mut probe = [0; 100];
    other.write(&mut probe).unwrap();
    let to_port = answer(&probe);
    assert!(
        !scene
            .check
            .answers(Instant::ZERO, &mut scene.end, peer, &to_port)
    );
    let mut to_default = PathCheck::new(HERE, THERE);
    assert!(!to_default.answers(Instant::ZERO, &mut scene.end, peer, &to_port));
    assert!(!other.answers(Instant::ZERO, &mut scene.end, peer, &with(&to_port, 21, 1)));
    assert!(other.answers(Instant::ZERO, &mut scene.end, peer, &to_port));
}

fn with(packet: &[u8], at: usize, value: u8) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[at] = value;
    packet
}

/// The same as a later fragment, with a right header.
fn fragment(packet: &[u8]) -> Vec<u8> {
    let mut packet = with(packet, 7, packet[7] | 1);
    ipencap_kit::oracle::fill_checksum(&mut packet[..20]);
    packet
}

/// The first fragment of a long answer is enough.
#[test]
fn an_answer_in_fragments_counts() {
    let behind = [Prefix::ANY];
    let mut paths = [Path::EMPTY];
    let mut scene = Scene::new(
        &mut paths,
        &behind,
        PathCheck::with_probes(HERE, THERE, ECHO),
    );
    scene.run(0);
    assert_eq!(scene.sent, [PathCheck::<Echo>::SHORT_LEN + OVERHEAD, 1500]);
    let mut probe = vec![0; 1472];
    scene.check.write(&mut probe).unwrap();
    let mut first = answer(&probe)[..1020].to_vec();
    ipencap_kit::oracle::put_u16(&mut first, 2, 1020);
    first[6] = 0x20;
    ipencap_kit::oracle::fill_checksum(&mut first[..20]);
    let peer = scene.end.peers().at(0).unwrap();
    let later = scene.now + Duration::from_secs(9);
    assert!(scene.check.answers(later, &mut scene.end, peer, &first));
    assert_eq!(
        scene.check.next_deadline(),
        Some(later + PathCheck::CONFIG.confirmation_timer)
    );
}

/// Without a peer nothing is asked for, and the time goes on: nobody is woken again and again.
#[test]
fn a_target_that_no_peer_has_is_asked_for_later() {
    let behind = ["10.3.0.0/16".parse().unwrap()];
    let mut paths = [Path::EMPTY];
    let mut scene = Scene::new(&mut paths, &behind, PathCheck::new(HERE, THERE));
    assert_eq!(scene.check.poll(Instant::ZERO, &mut scene.end, 0), None);
    let timer = PathCheck::CONFIG.probe_timer;
    assert_eq!(scene.check.next_deadline(), Some(Instant::ZERO + timer));
}

/// An endpoint that never joins fragments checks its paths, too.
#[test]
fn an_endpoint_without_a_reassembler_is_checked() {
    let behind = ["10.2.0.0/16".parse().unwrap()];
    let mut paths = [Path::EMPTY];
    let scene = Scene::new(&mut paths, &behind, PathCheck::new(HERE, THERE));
    let (mut end, mut check) = (scene.end.without_reassembler(), scene.check);
    let (peer, len) = check.poll(Instant::ZERO, &mut end, 0).unwrap();
    let mut probe = vec![0; usize::from(len)];
    check.write(&mut probe).unwrap();
    assert!(check.answers(Instant::ZERO, &mut end, peer, &answer(&probe)));
    assert_eq!(check.next_deadline(), Some(Instant::ZERO));
}

#[test]
fn a_probe_needs_room_for_its_headers() {
    let check = PathCheck::new(HERE, THERE);
    for len in 0..28 {
        assert_eq!(check.write(&mut vec![0; len]), None);
    }
    assert_eq!(check.write(&mut [0; 28]), Some(()));
    assert_eq!(check.write(&mut vec![0; 65_536]), None);
    assert_eq!(
        PathCheck::with_probes(HERE, THERE, ECHO).write(&mut [0; 27]),
        None
    );
}

#[test]
fn memory_is_what_the_documentation_says() {
    assert!(size_of::<Option<PathCheck>>() <= 136);
    assert!(size_of::<Option<PathCheck<Echo>>>() <= 136);
}

/// A probe counts as sent: where a router does report, its report about the first one is believed.
#[test]
fn a_report_about_a_probe_is_believed() {
    let behind = [Prefix::ANY];
    let mut paths = [Path::EMPTY];
    let mut scene = Scene::new(&mut paths, &behind, PathCheck::new(HERE, THERE));
    scene.carries = 1400;
    scene.run(0);
    assert_eq!(scene.sent.last(), Some(&1500));
    let peer = scene.end.peers().at(0).unwrap();
    let _counted = scene.end.reported_mtu(scene.now, peer, 1400);
    assert_eq!(scene.path_mtu(), 1400);
    scene.run(10);
    assert_eq!(scene.sent.last(), Some(&1400));
    assert!(!scene.sent.contains(&1200), "it does not search");
}

/// O-07, RFC 8899 §5.3.3.2. The link's MTU goes down and up: no more than what was confirmed passes for the path's.
#[test]
fn o_07_a_link_that_grows_again_is_no_black_hole() {
    let behind = [Prefix::ANY];
    let mut paths = [Path::EMPTY];
    let mut scene = Scene::new(&mut paths, &behind, PathCheck::new(HERE, THERE));
    scene.carries = 1400;
    scene.run(100);
    assert_eq!(scene.path_mtu(), 1400);
    scene.end.set_link_mtu(scene.now, 1300);
    scene.run(20);
    assert_eq!(scene.path_mtu(), 1300);
    scene.end.set_link_mtu(scene.now, 1500);
    scene.run(10);
    assert!(scene.path_mtu() <= 1400);
    scene.run(100);
    assert_eq!(scene.path_mtu(), 1400);
}

/// O-07. After a search that has ended at the link's MTU, a link that carries more is searched at once: what the path
/// carries is found, be it more or not.
#[test]
fn o_07_a_link_that_grows_is_searched() {
    let behind = [Prefix::ANY];
    for carries in [1500, 1501, 4352, 8999, 9000] {
        let mut paths = [Path::EMPTY];
        let mut scene = Scene::new(&mut paths, &behind, PathCheck::new(HERE, THERE));
        scene.carries = 1400;
        scene.run(100);
        scene.carries = 1500;
        scene.run(700);
        assert_eq!(scene.path_mtu(), 1500);
        scene.carries = carries;
        scene.end.set_link_mtu(scene.now, 9000);
        scene.run(10);
        assert!(scene.path_mtu() <= carries);
        scene.run(100);
        assert_eq!(scene.path_mtu(), carries);
    }
}

/// O-07. A path that rested until the age of a report would have raised it is measured again.
#[test]
fn o_07_age_does_not_raise_what_is_probed() {
    let behind = [Prefix::ANY];
    let mut paths = [Path::EMPTY];
    let check = PathCheck::new(HERE, THERE).while_sending();
    let mut scene = Scene::new(&mut paths, &behind, check);
    scene.carries = 1400;
    scene.send();
    scene.run(100);
    assert_eq!(scene.path_mtu(), 1400);
    scene.send();
    scene.run(20);
    let peer = scene.end.peers().at(0).unwrap();
    let _counted = scene.end.reported_mtu(scene.now, peer, 1300);
    assert_eq!(scene.path_mtu(), 1300);
    scene.run(700);
    assert_eq!(scene.path_mtu(), 1500, "nobody asks");
    for _ in 0..20 {
        scene.send();
        scene.run(1);
    }
    assert_eq!(scene.path_mtu(), 1400);
}

/// A table of two.
fn table() -> PeerTable<'static, Tunnel<Fou>> {
    PeerTable::new(
        memory(PeerSlot::EMPTY, 2),
        memory(ArrivalEntry::EMPTY, 2),
        memory(PrefixEntry::EMPTY, 2),
        memory(PrefixEntry::EMPTY, 2),
    )
}

/// O-07. A peer that has moved is at another path: what the search has found on the old one does not hold.
#[test]
fn o_07_another_path_is_measured_anew() {
    let mut table = table();
    let first = table.add(tunnel_to(2), PeerPolicy::DEFAULT).unwrap();
    table.allow(first, Prefix::ANY).unwrap();
    let mut paths = [Path::EMPTY; 2];
    let mut scene = Scene::with_peers(&mut paths, table, PathCheck::new(HERE, THERE));
    scene.carries = 1400;
    scene.run(100);
    assert_eq!(scene.path_mtu(), 1400);
    let peers = scene.end.peers_mut();
    let moved = peers.replace(first, tunnel_to(3), PeerPolicy::DEFAULT);
    assert_ne!(moved, Ok(first));
    scene.carries = 1500;
    scene.run(20);
    assert_eq!(scene.path_mtu(), 1500);
    let peers = scene.end.peers_mut();
    let _moved = peers.replace(moved.unwrap(), tunnel_to(2), PeerPolicy::DEFAULT);
    scene.carries = 1400;
    scene.run(100);
    assert_eq!(scene.path_mtu(), 1400);
}

/// I-20. What another peer sends answers no probe: it would tell of the wrong path, and forge what the right one
/// carries. It is for the inner side.
#[test]
fn i_20_another_peer_does_not_answer() {
    let mut table = table();
    let ours = table.add(tunnel_to(2), PeerPolicy::DEFAULT).unwrap();
    let tenant = PeerPolicy {
        tenant: 1,
        ..PeerPolicy::DEFAULT
    };
    let other = table.add(tunnel_to(3), tenant).unwrap();
    for peer in [ours, other] {
        table.allow(peer, "10.2.0.0/16".parse().unwrap()).unwrap();
    }
    let mut paths = [Path::EMPTY; 2];
    let mut scene = Scene::with_peers(&mut paths, table, PathCheck::new(HERE, THERE));
    scene.carries = 1400;
    let mut probe = vec![0; 1472];
    scene.check.write(&mut probe).unwrap();
    let forged = answer(&probe);
    for _ in 0..60 {
        scene.run(1);
        assert!(
            !scene
                .check
                .answers(scene.now, &mut scene.end, other, &forged)
        );
        assert_eq!(scene.end.path_mtu(scene.now, other), Some(1500));
    }
    assert_eq!(scene.path_mtu(), 1400);
    // It does not keep a peer alive that answers nothing, either.
    (scene.answers, scene.sent) = (false, Vec::new());
    let mut short = [0; 28];
    scene.check.write(&mut short).unwrap();
    let short = answer(&short);
    scene.run(10);
    scene.sent.clear();
    for _ in 0..10 {
        assert!(
            !scene
                .check
                .answers(scene.now, &mut scene.end, other, &short)
        );
        scene.run(1);
    }
    let len = PathCheck::<ClosedPort>::SHORT_LEN + OVERHEAD;
    assert!(scene.sent.iter().all(|sent| *sent == len));
}
