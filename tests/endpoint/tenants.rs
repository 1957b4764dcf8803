//! Tenants with equal prefixes, told apart by GRE key or UDP port, over one pair of outer addresses.

use ipencap::encap::Tunnel;
use ipencap::error::Reason;
use ipencap::shim::{Fou, Gre};
use ipencap::tunnel::{
    Cause, EndpointConfig, Event, Inbound, Outbound, PeerId, PeerPolicy, PeerTunnel,
};

use crate::ends::{
    FAR, HERE, Many, NEAR, SAID, START, THERE, between, inner, many, one, prefix, receive, send_as,
    sent,
};

/// A hub with a peer for each tunnel, all with the same inner prefix.
fn hub<T: PeerTunnel + Clone + 'static>(tunnels: &[T]) -> (Many<T>, Vec<PeerId>) {
    let mut hub = many(tunnels.len(), EndpointConfig::DEFAULT);
    let mut ids = vec![];
    for (tenant, tunnel) in (0..).zip(tunnels) {
        let policy = PeerPolicy {
            tenant,
            ..PeerPolicy::DEFAULT
        };
        let id = hub.peers_mut().add(tunnel.clone(), policy).unwrap();
        assert_eq!(hub.peers_mut().allow(id, prefix(FAR)), Ok(None));
        ids.push(id);
    }
    (hub, ids)
}

fn apart<T: PeerTunnel + Clone + 'static>(ours: &[T], theirs: &[T], stranger: T, unlike: Reason) {
    let (mut hub, ids) = hub(ours);
    let back = between([10, 2, 0, 9], [10, 1, 0, 5], 60, true);
    for (tenant, (id, tunnel)) in (0..).zip(ids.iter().zip(theirs)) {
        let mut branch = one(tunnel.clone(), NEAR);
        // Out: by tenant.
        let (verdict, outers) = send_as(&mut hub, START, tenant, &inner(60, true), &SAID);
        assert!(
            matches!(verdict, Outbound::Send { peer, .. } if peer == *id),
            "{verdict:?}"
        );
        let (verdict, _) = receive(&mut branch, START, &outers[0]);
        assert!(matches!(verdict, Inbound::Deliver { .. }), "{verdict:?}");
        // The others' branches do not take it.
        for (other, tunnel) in (0..).zip(theirs) {
            let mut branch = one(tunnel.clone(), NEAR);
            let (_, arrived) = receive(&mut branch, START, &outers[0]);
            assert_eq!(arrived.is_some(), other == tenant);
        }
        // In: by key or port.
        let outer = sent(&mut branch, START, &back);
        let (verdict, arrived) = receive(&mut hub, START, &outer);
        assert!(
            matches!(verdict, Inbound::Deliver { peer, .. } if peer == *id),
            "{verdict:?}"
        );
        assert_eq!(arrived.unwrap(), back);
    }
    // A key or port that nobody has.
    let mut branch = one(stranger, NEAR);
    let outer = sent(&mut branch, START, &back);
    let (verdict, _) = receive(&mut hub, START, &outer);
    if let Event::DroppedInbound(Cause::Refused(refused)) = hub.tally().last() {
        assert_eq!(refused.reason, unlike);
    } else {
        assert_eq!(
            (hub.tally().last(), unlike),
            (Event::HostsOwn, Reason::NotTunnel),
            "{verdict:?}"
        );
    }
    // A tenant that nobody is.
    let (verdict, _) = send_as(&mut hub, START, 99, &inner(60, true), &SAID);
    assert!(
        matches!(
            verdict,
            Outbound::Drop {
                cause: Cause::NoPeer,
                ..
            }
        ),
        "{verdict:?}"
    );
}

/// G-05, D-17.
#[test]
fn g_05_tenants_by_gre_key() {
    let gre = |from, to, key| Tunnel::new(from, to, Gre::new().with_key(key)).unwrap();
    let ours = [1, 2, u32::MAX].map(|key| gre(HERE, THERE, key));
    let theirs = [1, 2, u32::MAX].map(|key| gre(THERE, HERE, key));
    apart(&ours, &theirs, gre(THERE, HERE, 3), Reason::GreKeyMismatch);
}

/// D-17.
#[test]
fn d_17_tenants_by_udp_port() {
    let fou = |from, to, port| Tunnel::new(from, to, Fou::new(port)).unwrap();
    let ours = [5555, 5556, 1].map(|port| fou(HERE, THERE, port));
    let theirs = [5555, 5556, 1].map(|port| fou(THERE, HERE, port));
    // A port at which no tunnel is may be another program's.
    apart(&ours, &theirs, fou(THERE, HERE, 7), Reason::NotTunnel);
}
