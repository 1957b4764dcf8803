//! UR, GU, GR and ME: what comes out of UDP, GUE, GRE and minimal encapsulation, by every door.

use ipencap::decap::Access;
use ipencap::decap::{Decapsulate, Minimal, OuterMeta, Receiver};
use ipencap::error::{Reason, Refused};
use ipencap::shim::{Fou, Gre, Gue, SocketShim};
use ipencap::wire::{IpProtocol, Ipv4, Tcp, Udp, UdpChecksum};
use serde_json::Value;

use crate::decapsulation::{Verdict, opened, opened_by_policy};
use crate::oracle::{P, hex};
use crate::{Book, RECEIVED};

/// UR-01 to UR-09 show U-05 to U-09, U-11 and C-24.
#[test]
fn ur_reception_over_udp() {
    ur(&mut Book::open());
}

/// GU-01 to GU-15 show G-01 to G-13.
#[test]
fn gu_reception_of_gue() {
    gu(&mut Book::open());
}

/// GR-01 to GR-08 show.
#[test]
fn gr_reception_of_gre() {
    gr(&mut Book::open());
}

/// ME-01 to ME-03 show M-04, M-05 and M-08.
#[test]
fn me_reception_of_minimal_encapsulation() {
    me(&mut Book::open());
}

/// Accepted is P, whatever the shim; refused is what the vector says.
fn compare(id: &str, vector: &Value, verdict: &Verdict) {
    let desc = vector["desc"].as_str().unwrap();
    // Some name the protocol number behind the reason.
    match vector["result"]
        .as_str()
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
    {
        "ACCEPT" => assert_eq!(*verdict, Ok((P.to_vec(), 0, None)), "{id}: {desc}"),
        reason => {
            let refused = verdict.as_ref().unwrap_err();
            assert_eq!(refused.name(), reason, "{id}: {desc}");
            assert_eq!(refused.layer, 0, "{id}: {desc}");
        }
    }
}

/// What an ordinary socket of the host gets of `packet`: `None` where the host drops it first.
fn through_socket(packet: &[u8]) -> Option<(OuterMeta, &[u8])> {
    let outer = Ipv4::parse(packet).ok()?;
    let header = outer.header();
    let (ports, payload) = match header.protocol() {
        IpProtocol::UDP => {
            let udp = Udp::parse(outer.payload()).ok()?;
            let status = udp.checksum_status(header.source(), header.destination());
            if status == UdpChecksum::Invalid {
                return None;
            }
            let udp_header = udp.header();
            let ports = (udp_header.source_port(), udp_header.destination_port());
            (ports, udp.payload())
        }
        IpProtocol::TCP => {
            let tcp = Tcp::parse(outer.payload()).ok()?;
            if !tcp.verifies(header.source(), header.destination()) {
                return None;
            }
            let tcp_header = tcp.header();
            let ports = (tcp_header.source_port(), tcp_header.destination_port());
            (ports, tcp.payload())
        }
        _ => return None,
    };
    let meta = OuterMeta {
        source: header.source(),
        destination: header.destination(),
        protocol: header.protocol(),
        source_port: ports.0,
        destination_port: ports.1,
        ecn: header.ecn(),
    };
    Some((meta, payload))
}

/// The law of the payload form: inspecting a packet is inspecting its payload with its metadata.
///
/// One thing is beyond a socket: that a datagram has no checksum. Answers whether there was a
/// payload to inspect.
pub(crate) fn check_payload_form<S: SocketShim, A: Access>(
    id: &str,
    receiver: &Receiver<S, A>,
    packet: &[u8],
) -> bool {
    let Some((meta, payload)) = through_socket(packet) else {
        return false;
    };
    let whole = receiver.inspect(packet);
    let by_payload = receiver.inspect_payload(&meta, payload);
    match (whole, by_payload) {
        (Ok(whole), Ok(by_payload)) => {
            let start = payload.as_ptr().addr() - packet.as_ptr().addr();
            assert_eq!(whole.span().start, start + by_payload.span().start, "{id}");
            assert_eq!(whole.span().len, by_payload.span().len, "{id}");
            let rest = |opened: ipencap::decap::Opened| {
                let counts = (opened.slack(), opened.layers(), opened.tag());
                (counts, opened.alarm(), opened.sequence())
            };
            assert_eq!(rest(whole), rest(by_payload), "{id}");
            let mut inside = payload.to_vec();
            let mut outside = packet.to_vec();
            let [inside, outside] = [by_payload.apply(&mut inside), whole.apply(&mut outside)];
            assert_eq!(inside, outside, "{id}: apply");
        }
        (Err(refused), by_payload) if refused.reason == Reason::UdpChecksumRequired => {
            assert!(by_payload.is_ok(), "{id}: {by_payload:?}");
        }
        (whole, by_payload) => assert_eq!(by_payload, whole, "{id}"),
    }
    true
}

/// The verdict on a vector over a shim with sockets, by packet and by payload.
fn over_socket<S: SocketShim>(id: &str, shim: S, packet: &[u8]) -> Verdict {
    opened_by_policy(id, shim, |receiver| {
        let verdict = opened(id, &receiver, packet);
        let reached = check_payload_form(id, &receiver, packet);
        // The host drops what it finds wrong itself, and hands on all the rest.
        let host_drops = [
            Reason::UdpTruncated,
            Reason::UdpBadLength,
            Reason::UdpBadChecksum,
        ];
        let dropped =
            matches!(verdict, Err(Refused { reason, .. }) if host_drops.contains(&reason));
        assert_ne!(reached, dropped, "{id}: {verdict:?}");
        verdict
    })
}

pub(crate) fn ur(book: &mut Book) {
    book.each(RECEIVED, "UR", |id, vector| {
        let fou = match id {
            "UR-02" => Fou::new(5555).requiring_checksum(),
            _ => Fou::new(5555),
        };
        let verdict = over_socket(id, fou, &hex(&vector["packet"]));
        compare(id, vector, &verdict);
    });
}

pub(crate) fn gu(book: &mut Book) {
    book.each(RECEIVED, "GU", |id, vector| {
        let verdict = over_socket(id, Gue::new(), &hex(&vector["packet"]));
        compare(id, vector, &verdict);
    });
}

pub(crate) fn gr(book: &mut Book) {
    book.each(RECEIVED, "GR", |id, vector| {
        let gre = match id {
            "GR-06" => Gre::new().with_checksum(),
            "GR-07" => Gre::new().with_key(0xdead_beef),
            _ => Gre::new(),
        };
        let packet = hex(&vector["packet"]);
        let verdict = opened_by_policy(id, gre, |receiver| opened(id, &receiver, &packet));
        compare(id, vector, &verdict);
    });
}

pub(crate) fn me(book: &mut Book) {
    book.each(RECEIVED, "ME", |id, vector| {
        let packet = hex(&vector["packet"]);
        let verdict = opened_by_policy(id, Minimal, |receiver| opened(id, &receiver, &packet));
        compare(id, vector, &verdict);
    });
}
