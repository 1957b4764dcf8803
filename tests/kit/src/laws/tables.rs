use core::net::Ipv4Addr;

use ipencap::decap::{Access, Edge, EdgeTable, Peer, PrefixEntry, PrefixTable};
use ipencap::error::TableError;
use ipencap::packet::Flow;
use ipencap::wire::{IpProtocol, Prefix};

use crate::generate::{Change, EdgeCase, EdgeChange, PrefixCase};
use crate::oracle::{NaiveTable, Net};

/// What memory of a table may hold before.
fn dirty(capacity: usize) -> Vec<PrefixEntry> {
    let mut entries = vec![PrefixEntry::EMPTY; capacity];
    let mut table = PrefixTable::new(&mut entries);
    for number in 0..3 {
        let _ = table.insert(number, Prefix::ANY, 99);
    }
    entries
}

fn prefix((network, len): Net) -> Prefix {
    Prefix::new(network.into(), len).expect("a prefix")
}

/// D-17: a prefix table answers as a list that is searched from end to end, whatever has been put in,
/// replaced and taken out before, with an index of any length and without.
pub fn law_prefix_table_matches_oracle(case: &PrefixCase) {
    let (mut entries, mut index) = (dirty(case.capacity), vec![77; case.index_len]);
    let mut table = PrefixTable::new(&mut entries).with_index(&mut index);
    let mut naive = NaiveTable {
        capacity: case.capacity,
        ..NaiveTable::default()
    };
    assert_eq!(table.capacity(), case.capacity);
    check_lookups(&table, &naive, case);
    for change in &case.changes {
        match change {
            &Change::Insert(tenant, net, value) => assert_eq!(
                table.insert(tenant, prefix(net), value),
                naive.insert(tenant, net, value),
            ),
            &Change::Remove(tenant, net) => {
                assert_eq!(table.remove(tenant, prefix(net)), naive.remove(tenant, net));
            }
            &Change::RemoveValue(value) => {
                table.retain(|_, _, other| other != value);
                naive.remove_value(value);
            }
            Change::Load(prefixes) => {
                let given = prefixes.iter().map(|&(t, net, v)| (t, prefix(net), v));
                assert_eq!(table.load(given), naive.load(prefixes));
            }
            Change::Clear => {
                table.clear();
                naive.prefixes.clear();
            }
        }
        check_lookups(&table, &naive, case);
    }
}

fn check_lookups(table: &PrefixTable<'_>, naive: &NaiveTable, case: &PrefixCase) {
    let nets = |(tenant, prefix, value): (u32, Prefix, u32)| {
        (tenant, (prefix.network().octets(), prefix.len()), value)
    };
    assert_eq!(table.iter().map(nets).collect::<Vec<_>>(), naive.sorted());
    assert_eq!(table.len(), naive.prefixes.len());
    assert_eq!(table.is_empty(), naive.prefixes.is_empty());
    let mut lookups = case.lookups.clone();
    for &(tenant, net, value) in &naive.prefixes {
        assert_eq!(table.get(tenant, prefix(net)), Some(value));
        // The ends of every prefix, and what is beside them.
        let first = u32::from_be_bytes(net.0);
        let last = first | u32::MAX.checked_shr(net.1.into()).unwrap_or(0);
        for address in [first, last, first.wrapping_sub(1), last.wrapping_add(1)] {
            lookups.push((tenant, address.to_be_bytes()));
        }
    }
    for (tenant, address) in lookups {
        let expected = naive.longest(tenant, address);
        let longest = table.longest_match(tenant, address.into());
        assert_eq!(
            longest,
            expected.map(|(net, value)| (prefix(net), value)),
            "{tenant} {address:?}"
        );
        let value = expected.map(|(_, value)| value);
        assert_eq!(table.longest(tenant, address.into()), value);
        let host = Prefix::host(address.into());
        assert_eq!(table.get(tenant, host), naive.get(tenant, (address, 32)));
    }
}

/// The same answers from lists.
struct NaiveEdge {
    local: NaiveTable,
    endpoints: NaiveTable,
    /// The tenant is the port, and one more; 0 for any.
    outer: NaiveTable,
    inner: NaiveTable,
}

fn port_of(tenant: u32) -> Option<u16> {
    let port = tenant.checked_sub(1)?;
    Some(port.try_into().expect("a port"))
}

fn tenant_of(port: Option<u16>) -> u32 {
    port.map_or(0, |port| u32::from(port) + 1)
}

impl NaiveEdge {
    fn peer(&self, source: [u8; 4], port: u16) -> Option<u32> {
        let any_port = self.outer.longest(0, source);
        let with_port = self.outer.longest(tenant_of(Some(port)), source);
        // Of two equal ones `max_by_key` takes the last.
        let longest = any_port.into_iter().chain(with_port);
        longest
            .max_by_key(|((_, len), _)| *len)
            .map(|(_, peer)| peer)
    }

    /// Whether no outer packet can come from two of the peers.
    fn is_distinct(&self) -> bool {
        let outer = &self.outer.prefixes;
        (0..outer.len()).all(|a| {
            (0..a).all(|b| {
                let ((port_a, net_a, _), (port_b, net_b, _)) = (outer[a], outer[b]);
                let meet = port_a == port_b || port_a == 0 || port_b == 0;
                let (a, b) = (prefix(net_a), prefix(net_b));
                !meet || !(a.contains(b.network()) || b.contains(a.network()))
            })
        })
    }
}

fn change(table: &mut EdgeTable<'_>, naive: &mut NaiveEdge, change: &EdgeChange) {
    match change {
        &EdgeChange::Local(is_ours, net) | &EdgeChange::Endpoint(is_ours, net) => {
            let is_local = matches!(change, EdgeChange::Local(..));
            let total = naive.local.prefixes.len() + naive.endpoints.prefixes.len();
            let list = if is_local {
                &mut naive.local
            } else {
                &mut naive.endpoints
            };
            let is_new = list.get(0, net).is_none();
            if is_ours {
                // Both share their memory.
                let expected = if is_new && total == list.capacity {
                    Err(TableError::Full)
                } else {
                    list.insert(0, net, 0).map(|_| ())
                };
                let got = if is_local {
                    table.insert_local(prefix(net))
                } else {
                    table.insert_endpoint(prefix(net))
                };
                assert_eq!(got, expected);
            } else {
                let got = if is_local {
                    table.remove_local(prefix(net))
                } else {
                    table.remove_endpoint(prefix(net))
                };
                assert_eq!(got, list.remove(0, net).is_some());
            }
        }
        &EdgeChange::InsertOuter(peer, net, port) => assert_eq!(
            table.insert_outer(peer, prefix(net), port),
            naive.outer.insert(tenant_of(port), net, peer),
        ),
        &EdgeChange::RemoveOuter(net, port) => assert_eq!(
            table.remove_outer(prefix(net), port),
            naive.outer.remove(tenant_of(port), net),
        ),
        &EdgeChange::InsertInner(peer, net) => assert_eq!(
            table.insert_inner(peer, prefix(net)),
            naive.inner.insert(0, net, peer),
        ),
        &EdgeChange::RemoveInner(net) => {
            assert_eq!(table.remove_inner(prefix(net)), naive.inner.remove(0, net));
        }
        &EdgeChange::RemovePeer(peer) => {
            table.remove_peer(peer);
            naive.outer.remove_value(peer);
            naive.inner.remove_value(peer);
        }
        EdgeChange::LoadOuter(peers) => {
            let naive_peers: Vec<_> = peers
                .iter()
                .map(|&(peer, net, port)| (tenant_of(port), net, peer))
                .collect();
            let peers = peers
                .iter()
                .map(|&(peer, net, port)| (peer, prefix(net), port));
            assert_eq!(table.load_outer(peers), naive.outer.load(&naive_peers));
        }
        EdgeChange::LoadInner(peers) => {
            let naive_peers: Vec<_> = peers.iter().map(|&(peer, net)| (0, net, peer)).collect();
            let peers = peers.iter().map(|&(peer, net)| (peer, prefix(net)));
            assert_eq!(table.load_inner(peers), naive.inner.load(&naive_peers));
        }
    }
}

/// D-01, D-17: an `EdgeTable` answers as lists do that are searched from end to end, and as the `Edge` with
/// the same peers, as long as no two of them send from the same addresses.
pub fn law_edge_table_matches_oracle(case: &EdgeCase) {
    let mut memory = [(); 3].map(|()| (dirty(case.capacity), vec![77; case.index_len]));
    let [addresses, outer, inner] = memory
        .each_mut()
        .map(|(entries, index)| PrefixTable::new(entries).with_index(index));
    let mut table = EdgeTable::new(addresses, outer, inner).with_tunnel_ports(&[5555]);
    let list = || NaiveTable {
        capacity: case.capacity,
        ..NaiveTable::default()
    };
    let mut naive = NaiveEdge {
        local: list(),
        endpoints: list(),
        outer: list(),
        inner: list(),
    };
    for step in &case.changes {
        change(&mut table, &mut naive, step);
        check_edge(&table, &naive, case);
    }
}

fn check_edge(table: &EdgeTable<'_>, naive: &NaiveEdge, case: &EdgeCase) {
    let allowed = |peer: u32| -> Vec<Prefix> {
        let own = naive.inner.prefixes.iter().filter(|entry| entry.2 == peer);
        own.map(|&(_, net, _)| prefix(net)).collect()
    };
    let inner: Vec<Vec<Prefix>> = (0..=6).map(allowed).collect();
    let peers = naive.outer.prefixes.iter().map(|&(tenant, net, peer)| {
        let inner = &inner[usize::try_from(peer).unwrap()];
        let entry = Peer::new(prefix(net), inner).with_tag(peer);
        port_of(tenant).map_or(entry, |port| entry.with_source_port(port))
    });
    // Those of whom no packet can come keep their inner prefixes.
    let nowhere = Prefix::host(Ipv4Addr::BROADCAST);
    let silent = (1..=5).map(|peer| {
        let inner = &inner[usize::try_from(peer).unwrap()];
        Peer::new(nowhere, inner).with_source_port(1).with_tag(peer)
    });
    let peers: Vec<Peer<'_>> = peers.chain(silent).collect();
    let edge = Edge::new(&[], &peers);

    let mut lookups = case.lookups.clone();
    let all = [&naive.local, &naive.endpoints, &naive.outer, &naive.inner];
    for &(tenant, (network, _), _) in all.iter().flat_map(|list| &list.prefixes) {
        lookups.push((network, port_of(tenant).unwrap_or(4501)));
    }
    for (address, port) in lookups {
        let ip = Ipv4Addr::from(address);
        assert_eq!(
            table.is_local(ip),
            naive.local.longest(0, address).is_some()
        );
        assert_eq!(
            table.is_endpoint(ip),
            naive.endpoints.longest(0, address).is_some()
        );
        assert_eq!(
            table.are_local(ip, Ipv4Addr::LOCALHOST),
            (table.is_local(ip), table.is_local(Ipv4Addr::LOCALHOST))
        );
        let outer = Flow::new(ip, Ipv4Addr::LOCALHOST, IpProtocol::UDP).with_ports(port, 5555);
        let peer = table.peer(outer);
        assert_eq!(peer, naive.peer(address, port), "{address:?} {port}");
        let owner = naive.inner.longest(0, address).map(|(_, peer)| peer);
        assert_eq!(table.route(ip), owner);
        for peer in 0..=6 {
            let is_allowed = table.allows_inner(peer, ip);
            assert_eq!(is_allowed, owner == Some(peer), "{peer} {address:?}");
            assert_eq!(table.tag(peer), peer);
            for (place, entry) in (0u32..).zip(&peers) {
                if edge.tag(place) == peer {
                    assert_eq!(edge.allows_inner(place, ip), is_allowed, "{entry:?}");
                }
            }
        }
        if naive.is_distinct() {
            let tag = edge.peer(outer).map(|place| edge.tag(place));
            assert_eq!(tag, peer, "as Edge: {address:?} {port}");
        }
    }
    let anywhere = [192, 0, 2, 1].into();
    assert!(table.is_tunnel_port(anywhere, IpProtocol::UDP, 5555));
    assert!(!table.is_tunnel_port(anywhere, IpProtocol::UDP, 5556));
}
