//! What is wrong with a configuration as a whole. Which peers can be told apart, and whose an inner address
//! is, the library's table of peers decides.

use core::net::Ipv4Addr;
use std::collections::HashMap;

use ipencap::decap::{Prefix, PrefixEntry};
use ipencap::error::PeerError;
use ipencap::tunnel::{ArrivalEntry, PeerId, PeerPolicy, PeerSlot, PeerTable, PeerTunnel, Peers};

use crate::cost;
use crate::draft::{Draft, DraftPeer, Probe};
use crate::place::{Place, Wrong};
use crate::values::MIN_MTU;

pub(crate) fn whole(draft: &Draft) -> Result<(), Wrong> {
    if draft.peers.is_empty() {
        return Err(Wrong::new(
            draft.place,
            "there are no peers: add a [[peer]] with name, tunnel and allowed",
        ));
    }
    addresses(draft)?;
    names(&draft.peers)?;
    for peer in &draft.peers {
        outer_addresses(draft, peer)?;
        inner_mtu(draft, peer)?;
    }
    table(&draft.peers)
}

fn addresses(draft: &Draft) -> Result<(), Wrong> {
    let addresses = &draft.interface.addresses;
    for (index, address) in addresses.iter().enumerate() {
        let before = addresses.iter().take(index);
        if before.clone().any(|other| other.value.0 == address.value.0) {
            return Err(Wrong::new(
                address.place,
                format!("address {} is given twice: take one out", address.value.0),
            ));
        }
    }
    Ok(())
}

fn names(peers: &[DraftPeer]) -> Result<(), Wrong> {
    let mut known: HashMap<&str, Place> = HashMap::new();
    for peer in peers {
        let name = peer.name.value.as_str();
        if let Some(before) = known.insert(name, peer.name.place) {
            return Err(Wrong::new(
                peer.name.place,
                format!(
                    "two peers are named '{name}', the other one at {}: rename one",
                    before.named(None)
                ),
            ));
        }
    }
    Ok(())
}

/// Outer packets must not be led back into the tunnel.
fn outer_addresses(draft: &Draft, peer: &DraftPeer) -> Result<(), Wrong> {
    let (source, destination) = peer.stack().ends();
    for placed in &draft.interface.addresses {
        let (address, len) = placed.value;
        if address == destination {
            return Err(Wrong::new(
                placed.place,
                format!(
                    "address {address} of the device is dst of peer '{}': choose an inner address here, and let dst be the peer's outer one",
                    peer.name.value
                ),
            ));
        }
        if address == source {
            return Err(Wrong::new(
                placed.place,
                format!(
                    "address {address} of the device is src of peer '{}': choose an inner address here, and let src be one of the link's",
                    peer.name.value
                ),
            ));
        }
        if cost::network(address, len).is_some_and(|network| network.contains(destination)) {
            return Err(Wrong::new(
                placed.place,
                format!(
                    "dst {destination} of peer '{}' is in the network of {address}/{len}, so its outer packets would go into the device: choose another network or a longer prefix",
                    peer.name.value
                ),
            ));
        }
    }
    for allowed in &peer.allowed {
        let mut own = draft.interface.addresses.iter().map(|own| own.value.0);
        if let Some(own) = own.find(|own| host(allowed.value) == Some(*own)) {
            return Err(Wrong::new(
                allowed.place,
                format!(
                    "allowed {own}/32 of peer '{}' is an address of this host's device: leave it to the device",
                    peer.name.value
                ),
            ));
        }
        let is_host = host(allowed.value) == Some(destination);
        if is_host && draft.interface.routes {
            return Err(Wrong::new(
                allowed.place,
                format!(
                    "allowed {destination}/32 is dst of peer '{}', so its outer packets would go into the tunnel: take it out, or use --no-routes",
                    peer.name.value
                ),
            ));
        }
    }
    Ok(())
}

/// The address, if the prefix is one.
fn host(prefix: Prefix) -> Option<Ipv4Addr> {
    (prefix.len() == 32).then_some(prefix.network())
}

fn inner_mtu(draft: &Draft, peer: &DraftPeer) -> Result<(), Wrong> {
    let cost = cost::Cost::of(peer.stack(), draft.interface.link_mtu, peer.mtu.value);
    if cost.inner_mtu.is_some_and(|mtu| mtu >= u32::from(MIN_MTU)) {
        return Ok(());
    }
    Err(Wrong::new(
        peer.outermost(),
        format!(
            "peer '{}': {} bytes of headers leave {} of an MTU of {} for inner packets, and IPv4 needs {MIN_MTU}: use fewer layers or a larger MTU",
            peer.name.value,
            cost.overhead,
            u32::from(cost.link).saturating_sub(cost.overhead),
            cost.link
        ),
    ))
}

/// Asks the table that the packets will meet.
fn table(peers: &[DraftPeer]) -> Result<(), Wrong> {
    let prefix_count = peers.iter().map(|peer| peer.allowed.len()).sum();
    let mut slots = vec![PeerSlot::EMPTY; peers.len()];
    let mut arrivals = vec![ArrivalEntry::EMPTY; peers.len()];
    let mut prefixes = vec![PrefixEntry::EMPTY; prefix_count];
    // An address, and a port of it.
    let mut own = vec![PrefixEntry::EMPTY; peers.len().saturating_mul(2)];
    let mut table = PeerTable::new(&mut slots, &mut arrivals, &mut prefixes, &mut own);
    let name_of = |id: PeerId| {
        let index = usize::try_from(id.place()).ok();
        let peer = index.and_then(|index| peers.get(index));
        peer.map_or("", |peer| peer.name.value.as_str())
    };
    let mut ids = Vec::new();
    for peer in peers {
        let id = table.add(peer.stack(), PeerPolicy::DEFAULT);
        let id = id.map_err(|error| not_added(peers, peer, error))?;
        for allowed in &peer.allowed {
            let before = table.allow(id, allowed.value);
            let before = before.map_err(|error| Wrong::new(allowed.place, error.to_string()))?;
            if let Some(before) = before {
                let (name, prefix) = (&peer.name.value, allowed.value);
                let text = if before == id {
                    format!("peer '{name}' has {prefix} in allowed twice: take one out")
                } else {
                    format!(
                        "peers '{}' and '{name}' both have {prefix} in allowed: leave it to one, or give the other a longer prefix",
                        name_of(before)
                    )
                };
                return Err(Wrong::new(allowed.place, text));
            }
        }
        ids.push(id);
    }
    for (peer, &id) in peers.iter().zip(&ids) {
        let Probe::At(probe) = &peer.probe else {
            continue;
        };
        if table.owner(PeerPolicy::DEFAULT.tenant, probe.value) != Some(id) {
            return Err(Wrong::new(
                probe.place,
                format!(
                    "probe {} is not behind peer '{}': choose an address in its allowed, or \"off\"",
                    probe.value, peer.name.value
                ),
            ));
        }
    }
    Ok(())
}

fn not_added(peers: &[DraftPeer], peer: &DraftPeer, error: PeerError) -> Wrong {
    let arrival = peer.stack().arrival();
    let other = peers
        .iter()
        .find(|other| other.stack().arrival() == arrival);
    match (error, other) {
        (PeerError::NotDistinct, Some(other)) => Wrong::new(
            peer.outermost(),
            format!(
                "packets from peers '{}' and '{}' look the same: give one another dst, dport or GRE key",
                other.name.value, peer.name.value
            ),
        ),
        _ => Wrong::new(peer.outermost(), error.to_string()),
    }
}
