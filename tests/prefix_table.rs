//! Prefix tables and the access list on them: every set of prefixes of a small network, tables of a hundred
//! thousand, peers that come and go, and how often a receiver asks.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

use core::cell::Cell;
use core::net::Ipv4Addr;

use ipencap::decap::{
    Access, Decapsulate, EdgeTable, PointToPoint, Prefix, PrefixEntry, PrefixTable, Receiver,
    decap_nested,
};
use ipencap::encap::{Encapsulate, PerPacket, Tunnel};
use ipencap::error::TableError;
use ipencap::packet::Flow;
use ipencap::shim::IpIp;
use ipencap::wire::{Ecn, IpProtocol, Ipv4Header};
use ipencap::{Span, decap, encap};
use ipencap_kit::oracle::{NaiveTable, Net, Plain};

const L: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const R: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
/// The ends of a tunnel inside the tunnel.
const L_INSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const R_INSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

fn prefix((network, len): Net) -> Prefix {
    Prefix::new(network.into(), len).unwrap()
}

fn parsed(text: &str) -> Prefix {
    text.parse().unwrap()
}

/// The 15 prefixes of 10.0.0.8/29: 0.0.0.0/0 in the place of the /29, 2 of 30 bits, 4 of 31 and 8 hosts.
fn small_network() -> Vec<Net> {
    let mut nets = vec![([0; 4], 0)];
    for len in 30..=32u8 {
        let step = 1 << (32 - len);
        nets.extend((8..16).step_by(step).map(|host| ([10, 0, 0, host], len)));
    }
    nets
}

/// D-17: every set of prefixes of a small network, by every way to make the table, and every address.
#[test]
fn d_17_every_set_of_prefixes_of_a_small_network() {
    let nets = small_network();
    assert_eq!(nets.len(), 15);
    let mut sets = 0u32;
    for set in 0..1u32 << nets.len() {
        let mut naive = NaiveTable {
            capacity: nets.len(),
            ..NaiveTable::default()
        };
        let chosen: Vec<(u32, Net, u32)> = nets
            .iter()
            .enumerate()
            .filter(|(place, _)| set >> place & 1 == 1)
            .map(|(place, net)| (0, *net, u32::try_from(place).unwrap()))
            .collect();
        naive.load(&chosen).unwrap();
        let given = || chosen.iter().map(|&(t, net, v)| (t, prefix(net), v));

        let mut memory = [[PrefixEntry::EMPTY; 15]; 3];
        let mut index = [0; 4];
        let [one_by_one, at_once, rest] = &mut memory;
        let mut one_by_one = PrefixTable::new(one_by_one).with_index(&mut index);
        // From the middle outwards: neither ascending nor descending.
        let len = chosen.len();
        for place in 0..len {
            let place = (len / 2 + place) % len;
            let (tenant, net, value) = chosen[place];
            one_by_one.insert(tenant, prefix(net), value).unwrap();
        }
        let mut at_once = PrefixTable::new(at_once);
        at_once.load(given()).unwrap();
        // What is left of all.
        let mut rest = PrefixTable::new(rest);
        let all = nets.iter().map(|&net| (0, prefix(net), 99));
        rest.load(all).unwrap();
        for (place, &net) in nets.iter().enumerate() {
            if set >> place & 1 == 0 {
                assert_eq!(rest.remove(0, prefix(net)), Some(99));
            } else {
                let value = u32::try_from(place).unwrap();
                assert_eq!(rest.insert(0, prefix(net), value), Ok(Some(99)));
            }
        }

        for host in 6..18 {
            let address = [10, 0, 0, host];
            let expected = naive.longest(0, address).map(|(net, v)| (prefix(net), v));
            for table in [&one_by_one, &at_once, &rest] {
                let found = table.longest_match(0, address.into());
                assert_eq!(found, expected, "{chosen:?} {host}");
            }
        }
        sets += 1;
    }
    assert_eq!(sets, 1 << 15);
}

/// D-17: a prefix in a prefix, 33 deep, with the address beside each.
#[test]
fn d_17_prefixes_of_every_length_around_one_address() {
    let host = u32::from_be_bytes([10, 200, 77, 5]);
    let mut entries = [PrefixEntry::EMPTY; 33];
    let mut table = PrefixTable::new(&mut entries);
    let of_len = |len: u8| {
        let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
        prefix(((host & mask).to_be_bytes(), len))
    };
    for len in (0..=32).rev() {
        table.insert(3, of_len(len), len.into()).unwrap();
    }
    assert_eq!(table.longest(3, Ipv4Addr::from_bits(host)), Some(32));
    for bit in 0..32 {
        // It differs in this bit: all prefixes that end in front of it still hold it.
        let neighbour = Ipv4Addr::from_bits(host ^ 1 << (31 - bit));
        assert_eq!(table.longest(3, neighbour), Some(bit));
        assert_eq!(table.longest(2, neighbour), None);
        assert_eq!(table.longest(4, neighbour), None);
    }
}

#[test]
fn a_full_table_takes_replacements_only() {
    let mut entries = [PrefixEntry::EMPTY; 2];
    let mut table = PrefixTable::new(&mut entries);
    let (a, b, c) = (parsed("10.0.0.0/8"), parsed("10.1.0.0/16"), Prefix::ANY);
    assert_eq!(table.load([(0, a, 1), (0, a, 2)]), Ok(()));
    assert_eq!(
        (table.len(), table.get(0, a)),
        (1, Some(2)),
        "the last counts"
    );
    assert_eq!(table.load([(0, b, 3), (0, c, 4)]), Err(TableError::Full));
    assert_eq!(table.len(), 1, "nothing has changed");
    assert_eq!(table.insert(0, b, 5), Ok(None));
    assert_eq!(table.insert(0, c, 6), Err(TableError::Full));
    assert_eq!(table.insert(0, a, 7), Ok(Some(2)));
    assert_eq!(
        table.insert(1, a, 8),
        Err(TableError::Full),
        "another tenant"
    );
    assert_eq!(
        table.iter().collect::<Vec<_>>(),
        [(0, a, 7), (0, b, 5)],
        "in ascending order"
    );
    assert_eq!(table.remove(0, c), None);
    assert_eq!(table.capacity(), 2);
}

/// X-20 asks for bounded work; so here: a hundred thousand prefixes are loaded in any order, and found.
#[test]
fn a_hundred_thousand_prefixes() {
    const COUNT: u32 = if cfg!(miri) { 300 } else { 100_000 };
    let len = usize::try_from(COUNT).unwrap();
    let mut entries = vec![PrefixEntry::EMPTY; len + 2];
    let mut index = vec![0; len / 2];
    let mut table = PrefixTable::new(&mut entries).with_index(&mut index);
    // 7919 is prime, so every number comes once.
    let net = |number: u32| {
        let network = Ipv4Addr::from_bits(0x0a00_0000 + (number << 6));
        Prefix::new(network, 26).unwrap()
    };
    let shuffled = (0..COUNT).map(|number| number * 7919 % COUNT);
    table
        .load(shuffled.map(|number| (0, net(number), number)))
        .unwrap();
    assert_eq!(table.insert(0, Prefix::ANY, u32::MAX), Ok(None));
    assert_eq!(
        table.insert(0, parsed("10.0.0.0/8"), u32::MAX - 1),
        Ok(None)
    );
    assert_eq!(
        table.insert(0, parsed("10.0.0.1/32"), 0),
        Err(TableError::Full)
    );
    for number in 0..COUNT {
        let address = Ipv4Addr::from_bits(net(number).network().to_bits() + 63);
        assert_eq!(table.longest(0, address), Some(number));
    }
    let behind = net(COUNT).network();
    assert_eq!(table.longest(0, behind), Some(u32::MAX - 1));
    assert_eq!(table.longest(0, Ipv4Addr::new(9, 0, 0, 1)), Some(u32::MAX));
    assert_eq!(table.longest(0, Ipv4Addr::new(11, 0, 0, 1)), Some(u32::MAX));
    table.retain(|_, _, number| number % 2 == 1);
    assert_eq!(table.longest(0, net(2).network()), Some(u32::MAX));
    assert_eq!(table.longest(0, net(3).network()), Some(3));
}

/// The memory of an `EdgeTable` with room for `N` of each.
struct Memory<const N: usize>([[PrefixEntry; N]; 3]);

impl<const N: usize> Memory<N> {
    const EMPTY: Self = Self([[PrefixEntry::EMPTY; N]; 3]);

    fn table(&mut self) -> EdgeTable<'_> {
        let [addresses, outer, inner] = self.0.each_mut().map(|entries| PrefixTable::new(entries));
        EdgeTable::new(addresses, outer, inner)
    }
}

const fn from(source: Ipv4Addr, port: u16) -> Flow {
    Flow::new(source, R, IpProtocol::UDP).with_ports(port, 5555)
}

/// D-17: a peer's prefix is taken over by another; then the first goes, and the second keeps it.
#[test]
fn d_17_a_prefix_that_was_taken_over_stays() {
    let mut memory = Memory::<4>::EMPTY;
    let mut edge = memory.table();
    let (outer, inner) = (Prefix::host(L), parsed("10.1.0.0/16"));
    let host = Ipv4Addr::new(10, 1, 0, 5);
    assert_eq!(edge.insert_outer(1, outer, None), Ok(None));
    assert_eq!(edge.insert_inner(1, inner), Ok(None));
    assert_eq!(edge.insert_inner(1, parsed("10.3.0.0/16")), Ok(None));
    assert_eq!(edge.insert_outer(2, outer, None), Ok(Some(1)));
    assert_eq!(edge.insert_inner(2, inner), Ok(Some(1)));
    edge.remove_peer(1);
    assert_eq!(edge.peer(from(L, 0)), Some(2));
    assert!(edge.allows_inner(2, host) && !edge.allows_inner(1, host));
    assert_eq!(edge.route(host), Some(2));
    assert_eq!(edge.route(Ipv4Addr::new(10, 3, 0, 5)), None);
    // A successor has another number: what is meant for the first reaches nobody.
    edge.remove_peer(2);
    assert_eq!((edge.peer(from(L, 0)), edge.route(host)), (None, None));
}

/// D-17: with 10.0.0.0/8 a peer may not send from 10.1.0.5 where another has 10.1.0.0/16, until that goes.
#[test]
fn d_17_the_longest_prefix_decides_who_may_send() {
    let mut memory = Memory::<4>::EMPTY;
    let mut edge = memory.table();
    edge.insert_inner(1, parsed("10.0.0.0/8")).unwrap();
    edge.insert_inner(2, parsed("10.1.0.0/16")).unwrap();
    let host = Ipv4Addr::new(10, 1, 0, 5);
    assert!(!edge.allows_inner(1, host) && edge.allows_inner(2, host));
    assert_eq!(edge.remove_inner(parsed("10.1.0.0/16")), Some(2));
    assert!(edge.allows_inner(1, host) && !edge.allows_inner(2, host));
}

/// D-05: peers behind one address translator differ in the port; the longest prefix counts, then the port.
#[test]
fn d_05_outer_prefix_and_port() {
    let mut memory = Memory::<8>::EMPTY;
    let mut edge = memory.table();
    let (host, network) = (Prefix::host(L), parsed("198.51.100.0/24"));
    edge.insert_outer(1, network, None).unwrap();
    assert_eq!(edge.peer(from(L, 4500)), Some(1));
    edge.insert_outer(2, network, Some(4500)).unwrap();
    edge.insert_outer(3, host, Some(4501)).unwrap();
    assert_eq!(edge.peer(from(L, 4499)), Some(1));
    assert_eq!(
        edge.peer(from(L, 4500)),
        Some(2),
        "of equal prefixes that with the port"
    );
    assert_eq!(edge.peer(from(L, 4501)), Some(3));
    edge.insert_outer(4, host, None).unwrap();
    assert_eq!(edge.peer(from(L, 4500)), Some(4), "the longer prefix");
    assert_eq!(edge.peer(from(L, 4501)), Some(3));
    // Port 0 is a port, of those who have none.
    edge.insert_outer(5, host, Some(0)).unwrap();
    assert_eq!(edge.peer(from(L, 0)), Some(5));
    assert_eq!(edge.remove_outer(host, Some(0)), Some(5));
    assert_eq!(edge.peer(from(L, 0)), Some(4));
    assert_eq!(edge.peer(from(Ipv4Addr::new(198, 51, 101, 1), 4500)), None);
}

/// What is in a table before it becomes part of an access list lets nobody in.
#[test]
fn d_07_an_edge_table_begins_without_peers() {
    let mut memory = Memory::<1>::EMPTY;
    let [addresses, outer, inner] = memory.0.each_mut().map(|entries| {
        let mut table = PrefixTable::new(entries);
        table.insert(0, Prefix::ANY, 0).unwrap();
        table
    });
    let edge = EdgeTable::new(addresses, outer, inner);
    assert!(!edge.is_local(R) && !edge.allows_inner(0, L) && !edge.is_endpoint(L));
    assert_eq!(edge.peer(from(L, 0)), None);
}

fn packet(source: Ipv4Addr, ecn: Ecn) -> Vec<u8> {
    let mut plain = Plain::of(253);
    plain.source = source.octets();
    plain.destination = [10, 2, 0, 9];
    let mut packet = plain.packet(b"ipencap!");
    let (header, ..) = Ipv4Header::split_mut(&mut packet).unwrap();
    header.set_ecn(ecn);
    packet
}

fn wrapped(tunnel: &dyn Encapsulate, packet: &[u8]) -> Vec<u8> {
    let overhead = tunnel.overhead();
    let mut buffer = [&vec![0; overhead], packet].concat();
    let place = Span::new(overhead, packet.len());
    encap(tunnel, &mut buffer, place, &PerPacket::new())
        .unwrap()
        .to_vec()
}

/// The access of a tunnel, and how often it was asked who sent a packet, and whether an inner source is
/// allowed.
struct Counted<'a> {
    access: PointToPoint<'a>,
    peer: Cell<u32>,
    allows_inner: Cell<u32>,
    are_local: Cell<u32>,
}

impl<'a> Counted<'a> {
    const fn new(access: PointToPoint<'a>) -> Self {
        Self {
            access,
            peer: Cell::new(0),
            allows_inner: Cell::new(0),
            are_local: Cell::new(0),
        }
    }

    /// The peer, the inner source, and pairs of addresses asked for.
    fn take(&self) -> [u32; 3] {
        [&self.peer, &self.allows_inner, &self.are_local].map(Cell::take)
    }
}

impl Access for Counted<'_> {
    fn is_local(&self, address: Ipv4Addr) -> bool {
        self.access.is_local(address)
    }

    fn are_local(&self, source: Ipv4Addr, destination: Ipv4Addr) -> (bool, bool) {
        self.are_local.set(self.are_local.get() + 1);
        self.access.are_local(source, destination)
    }

    fn peer(&self, outer: Flow) -> Option<u32> {
        self.peer.set(self.peer.get() + 1);
        self.access.peer(outer)
    }

    fn allows_inner(&self, peer: u32, inner_source: Ipv4Addr) -> bool {
        self.allows_inner.set(self.allows_inner.get() + 1);
        self.access.allows_inner(peer, inner_source)
    }
}

/// A receiver searches its peers once for each layer of a packet that it opens, whatever it writes, and
/// however layers nest.
#[test]
fn a_receiver_looks_a_peer_up_once() {
    const ONCE: [u32; 3] = [1, 1, 2];
    let (inner, inside) = ([parsed("10.1.0.0/16")], [Prefix::host(L_INSIDE)]);
    let host = Ipv4Addr::new(10, 1, 0, 5);
    let access = Counted::new(PointToPoint::new(R, L, &inner));
    let receiver = Receiver::new(IpIp, &access);
    let tunnel = Tunnel::new(L, R, IpIp).unwrap();
    let open = |packet: &[u8]| decap(&receiver, &mut packet.to_vec()).map(|_| ());

    for (inner_ecn, outer_ecn) in [
        (Ecn::NotEct, Ecn::NotEct),
        (Ecn::Ect0, Ecn::Ect0),
        (Ecn::Ect0, Ecn::Ce),
        (Ecn::Ect0, Ecn::Ect1),
    ] {
        let mut outer = wrapped(&tunnel, &packet(host, inner_ecn));
        let (header, ..) = Ipv4Header::split_mut(&mut outer).unwrap();
        header.set_ecn(outer_ecn);
        open(&outer).unwrap();
        assert_eq!(access.take(), ONCE, "{inner_ecn:?} {outer_ecn:?}");
    }

    // Two layers.
    let outer_access = Counted::new(PointToPoint::new(R, L, &inside));
    let inner_access = Counted::new(PointToPoint::new(R_INSIDE, L_INSIDE, &inner));
    let outer_receiver = Receiver::new(IpIp, &outer_access);
    let inner_receiver = Receiver::new(IpIp, &inner_access);
    let inner_tunnel = Tunnel::new(L_INSIDE, R_INSIDE, IpIp).unwrap();
    let two = wrapped(&(inner_tunnel, tunnel), &packet(host, Ecn::NotEct));
    let layers = (inner_receiver, outer_receiver);
    assert_eq!(decap(&layers, &mut two.clone()).unwrap().opened.layers(), 2);
    assert_eq!((outer_access.take(), inner_access.take()), (ONCE, ONCE));
    let array = [layers.0, layers.1];
    decap(&array, &mut two.clone()).unwrap();
    assert_eq!((outer_access.take(), inner_access.take()), (ONCE, ONCE));
    let tunnels: [&dyn Decapsulate; 2] = [&layers.0, &layers.1];
    decap_nested(&tunnels, &mut two.clone(), 4).unwrap();
    assert_eq!((outer_access.take(), inner_access.take()), (ONCE, ONCE));
}
