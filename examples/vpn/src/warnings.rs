//! What a configuration may not have meant.

use ipencap::encap::AnyTunnel;
use ipencap::tunnel::{MtuPolicy, PeerTunnel};

use crate::config::Carrier;
use crate::cost;
use crate::draft::{Draft, DraftPeer, Probe};
use crate::layers::key;
use crate::place::{Place, Wrong};

/// Keys of a TCP layer that a connection has no use for.
const FIELDS_OF_CONNECTION: [&str; 10] = [
    "id",
    "ttl",
    "df",
    "dscp",
    "ecn",
    "seq",
    "ack",
    "window",
    "timestamps",
    "ts",
];

/// All warnings, in the order of the file.
pub(crate) fn all(draft: &Draft) -> Vec<Wrong> {
    let mut warnings = Vec::new();
    unreachable_networks(draft, &mut warnings);
    for peer in &draft.peers {
        let mut warn = |place: Place, text: String| {
            let name = &peer.name.value;
            warnings.push(Wrong::new(place, format!("peer '{name}': {text}")));
        };
        specifications(peer, &mut warn);
        mtus(draft, peer, &mut warn);
        if draft.interface.routes {
            routes(draft, peer, &mut warn);
        }
        pings(draft, peer, &mut warn);
    }
    warnings
}

/// The system routes the network of an address into the device, whether or not somebody is there.
fn unreachable_networks(draft: &Draft, warnings: &mut Vec<Wrong>) {
    for placed in &draft.interface.addresses {
        let (address, len) = placed.value;
        let Some(network) = cost::network(address, len).filter(|_| len < 32) else {
            continue;
        };
        let mut allowed = draft.peers.iter().flat_map(|peer| &peer.allowed);
        let is_known = allowed.any(|prefix| {
            prefix.value.contains(network.network()) || network.contains(prefix.value.network())
        });
        if !is_known {
            warnings.push(Wrong::new(
                placed.place,
                format!(
                    "no peer has any of {network}, the network of address {address}: packets into it will be dropped; write {address}/32, or add it to allowed"
                ),
            ));
        }
    }
}

/// Where a route for `allowed`, of whichever peer, may lead outer packets back into the device.
fn routes(draft: &Draft, peer: &DraftPeer, warn: &mut impl FnMut(Place, String)) {
    let (_, destination) = peer.stack().ends();
    let around = draft
        .peers
        .iter()
        .flat_map(|other| &other.allowed)
        .filter(|prefix| prefix.value.contains(destination))
        .max_by_key(|prefix| prefix.value.len());
    let Some(prefix) = around else {
        return;
    };
    let consequence = if prefix.value.len() == 32 {
        // A tunnel inside of another peer's, perhaps on purpose.
        "so its outer packets go into the device again; take it out unless you mean it, or use --no-routes"
    } else {
        "unless a longer route leads to it by the link, its outer packets go into the device again; add that route, or use --no-routes"
    };
    warn(
        prefix.place,
        format!(
            "dst {destination} is in allowed {}: {consequence}",
            prefix.value
        ),
    );
}

/// Pings go from an address of the device to one behind the peer.
fn pings(draft: &Draft, peer: &DraftPeer, warn: &mut impl FnMut(Place, String)) {
    let has_address = !draft.interface.addresses.is_empty();
    if let (Probe::At(probe), false) = (&peer.probe, has_address) {
        warn(
            probe.place,
            "probe has no effect without an address of the device to ping from: add address"
                .to_owned(),
        );
    }
    let (Some(keepalive), false) = (&peer.keepalive, has_address && peer.probe().is_some()) else {
        return;
    };
    let text = match peer.layers.carrier {
        // A datagram does it.
        Carrier::Udp { .. } => return,
        Carrier::Raw { .. } => {
            "keepalive has no effect, as it pings over a raw socket: set probe to an inner address that answers, and address of the device"
        }
        Carrier::Tcp { .. } => {
            "keepalive has no effect, as the system keeps connections alive: take it out, or set probe"
        }
    };
    warn(keepalive.place, text.to_owned());
}

fn mtus(draft: &Draft, peer: &DraftPeer, warn: &mut impl FnMut(Place, String)) {
    if let (MtuPolicy::Static(mtu), Some(link)) = (peer.mtu.value, draft.interface.link_mtu)
        && mtu > link
    {
        warn(
            peer.mtu.place,
            format!(
                "mtu {mtu} has no effect: it is more than link_mtu {link}; lower the one or raise the other"
            ),
        );
    }
}

fn specifications(peer: &DraftPeer, warn: &mut impl FnMut(Place, String)) {
    for (index, text) in peer.texts.iter().enumerate() {
        let has = |name| key(&text.value, name);
        if let Some(mtu) = has("mtu") {
            warn(
                text.place,
                format!(
                    "mtu={mtu} of a SPEC limits this layer whatever the path carries: use mtu of the peer, or make sure that you mean it"
                ),
            );
        }
        if index > 0 {
            for ignored in ["inner", "multicast", "nested"] {
                if has(ignored).is_some() {
                    warn(
                        text.place,
                        format!("'{ignored}' counts in the first SPEC only: move it there"),
                    );
                }
            }
        }
        let is_outermost = index.saturating_add(1) == peer.texts.len();
        let is_tcp = matches!(peer.stack().get(index), Some(AnyTunnel::Tcp(_)));
        if is_tcp && !is_outermost {
            warn(
                text.place,
                "this tcp layer is inside of another one, so its segments belong to no connection: firewalls on the way may drop them"
                    .to_owned(),
            );
        }
    }
    if let Some(outermost) = peer.texts.last() {
        let mut warn = |text: String| warn(outermost.place, text);
        match peer.layers.carrier {
            Carrier::Raw { .. } => {}
            Carrier::Udp { local, .. } => {
                if key(&outermost.value, "csum") == Some("zero") {
                    warn(
                        "csum=zero has no effect on a UDP socket: the system writes checksums; take it out"
                            .to_owned(),
                    );
                }
                if key(&outermost.value, "sport") == Some("auto") {
                    warn(format!(
                        "sport=auto has no effect on a UDP socket: all flows leave from port {}; take it out, or write sport=N",
                        local.port()
                    ));
                }
                written_by_system(&outermost.value, &["id", "ttl", "df"], &mut warn);
            }
            Carrier::Tcp { .. } => {
                written_by_system(&outermost.value, &FIELDS_OF_CONNECTION, &mut warn);
                if let Some(port) = key(&outermost.value, "sport").filter(|port| *port != "0") {
                    warn(format!(
                        "sport={port} has no effect on a connection: the end that connects does so from any port; write sport=0"
                    ));
                }
            }
        }
    }
}

/// Keys of the outermost layer that the host's socket does not ask for.
fn written_by_system(text: &str, keys: &[&str], warn: &mut impl FnMut(String)) {
    for name in keys {
        if let Some(value) = key(text, name) {
            warn(format!(
                "{name}={value} of the last SPEC has no effect: the system's socket writes that field; take it out"
            ));
        }
    }
}
