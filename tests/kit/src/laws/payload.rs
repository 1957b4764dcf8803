use ipencap::Span;
use ipencap::decap::OuterMeta;
use ipencap::error::{EncapError, Reason};
use ipencap::packet::Facts;
use ipencap::wire::{IpProtocol, Ipv4, Tcp, Udp, UdpChecksum};

use super::decap::for_each_access;
use super::encap::assert_same_packet;
use super::numbered;
use crate::generate::{Bytes, DecapCase, EncapCase, TrainCase};

/// What a socket of the host would hand over of this packet: ports and payload, if the host finds
/// nothing wrong with its outer headers.
fn received(outer: Ipv4<'_>) -> Option<(u16, u16, &[u8])> {
    let header = outer.header();
    if header.is_fragment() || outer.options().has_source_route() {
        return None;
    }
    let (source, destination) = (header.source(), header.destination());
    match header.protocol() {
        IpProtocol::UDP => {
            let udp = Udp::parse(outer.payload()).ok()?;
            let is_wrong = udp.checksum_status(source, destination) == UdpChecksum::Invalid;
            let ports = (udp.header().source_port(), udp.header().destination_port());
            (!is_wrong).then_some((ports.0, ports.1, udp.payload()))
        }
        IpProtocol::TCP => {
            let tcp = Tcp::parse(outer.payload()).ok()?;
            let ports = (tcp.header().source_port(), tcp.header().destination_port());
            let is_right = tcp.verifies(source, destination);
            is_right.then_some((ports.0, ports.1, tcp.payload()))
        }
        _ => None,
    }
}

/// Inspecting a packet is inspecting its payload with its own metadata, over every carrier that hosts
/// have sockets for.
///
/// What a payload cannot tell: whether a checksum was there (U-06), and the outer DSCP, so that the
/// uniform model leaves the inner one.
pub fn law_payload_equals_packet(case: &DecapCase) {
    for_each_access(case, |access| {
        for (subject, Bytes(packet)) in &case.arrivals {
            let carrier = subject.carrier().unwrap();
            let Ok(outer) = Ipv4::parse(packet) else {
                continue;
            };
            let header = outer.header();
            let is_its_own = header.protocol().0 == carrier.naive().protocol();
            let Some((source_port, destination_port, payload)) =
                received(outer).filter(|_| is_its_own)
            else {
                continue;
            };
            let meta = OuterMeta {
                source: header.source(),
                destination: header.destination(),
                protocol: header.protocol(),
                source_port,
                destination_port,
                ecn: header.ecn(),
            };
            let whole = carrier.receiver(access, case.switches).inspect(packet);
            let by_payload = carrier
                .inspect_payload(access, case.switches, &meta, payload)
                .expect("a carrier over UDP or TCP has it");
            let behind = payload.as_ptr().addr() - packet.as_ptr().addr();
            match (whole, by_payload) {
                (Err(refused), _) if refused.reason == Reason::UdpChecksumRequired => {}
                (Err(refused), Err(same)) => assert_eq!(same, refused),
                (Ok(opened), Ok(same)) => {
                    assert_eq!(same.span().start + behind, opened.span().start);
                    assert_eq!(same.span().len, opened.span().len);
                    assert_eq!(
                        (same.slack(), same.tag(), same.alarm(), same.sequence()),
                        (
                            opened.slack(),
                            opened.tag(),
                            opened.alarm(),
                            opened.sequence()
                        )
                    );
                    let (mut bytes, mut own) = (packet.clone(), payload.to_vec());
                    let inner = opened.apply(&mut bytes).to_vec();
                    let mut delivered = same.apply(&mut own).to_vec();
                    if case.switches.uniform_dscp {
                        let mut other = inner.clone();
                        for inner in [&mut delivered, &mut other] {
                            inner[1] &= 0b11;
                            inner[10..12].fill(0);
                        }
                        assert_eq!(Bytes(delivered), Bytes(other));
                    } else {
                        assert_eq!(Bytes(delivered), Bytes(inner));
                    }
                }
                (whole, by_payload) => panic!("{by_payload:?}, but the packet {whole:?}"),
            }
        }
    });
}

/// The payload form is what stands behind the UDP header of the packet, with the same answer; but for
/// a partial inner checksum, which no device behind a socket fills in (C-22).
pub fn law_payload_form_is_the_packets_payload(case: &EncapCase) {
    for subject in &case.subjects {
        let Some(free) = subject.payload_overhead() else {
            continue;
        };
        let tunnel = subject.encapsulator();
        let overhead = tunnel.overhead();
        let mut frame = vec![0xa5; free];
        frame.extend(&case.inner.0);
        let before = frame.clone();
        let formed = subject.encap_payload(&mut frame, &case.packet).unwrap();

        let mut whole = vec![0xa5; overhead];
        whole.extend(&case.inner.0);
        let place = Span::new(overhead, case.inner.0.len());
        let answer = ipencap::encap(tunnel, &mut whole, place, &case.packet);
        let answer = answer.map(|outer| Facts::read(outer).unwrap());
        match (formed, answer) {
            (Ok(facts), Ok(outer)) => {
                assert_same_packet(&facts, &outer);
                assert_eq!(Bytes(frame), Bytes(whole[overhead - free..].to_vec()));
            }
            (Err(EncapError::PartialChecksum), Ok(_)) => {
                assert_eq!(
                    case.packet.inner_checksum(),
                    ipencap::encap::InnerChecksum::Partial
                );
                assert_eq!(Bytes(frame), Bytes(before));
            }
            (Err(error), Err(same)) => {
                let partial = EncapError::PartialChecksum;
                let headroom = matches!(error, EncapError::NoHeadroom { .. });
                assert!(!headroom, "there was enough");
                assert!(error == same || error == partial, "{error:?}, but {same:?}");
                assert_eq!(Bytes(frame), Bytes(before));
            }
            (formed, answer) => {
                let valid = Facts::read(&case.inner.0);
                panic!("{formed:?}, but {answer:?} for {valid:?}")
            }
        }
    }
}

/// C-35: what a socket with segmentation offload sends are the datagrams that are sent one by one, with
/// the same outer headers, and no more of them than one call takes.
pub fn law_payload_train_equals_one_by_one(case: &TrainCase) {
    let Some(free) = case.tunnel.payload_overhead() else {
        return;
    };
    let segment_len = free + case.packets[0].0.len();
    let mut segments = Vec::new();
    for Bytes(packet) in &case.packets {
        segments.extend(vec![0xa5; free]);
        segments.extend(packet);
    }
    let before = segments.clone();
    let said = numbered(case.ordinal);
    let encap = |frame: &mut [u8]| case.tunnel.encap_payload(frame, &said).unwrap();
    let train = case
        .tunnel
        .encap_payload_train(&mut segments, segment_len, &said)
        .unwrap();
    let (taken, outer) = match train {
        Ok(taken) => taken,
        Err(error) => {
            let mut first = before[..segment_len].to_vec();
            assert_eq!(encap(&mut first).err(), Some(error));
            assert_eq!(Bytes(segments), Bytes(before));
            return;
        }
    };
    assert_eq!(
        Bytes(segments[taken..].to_vec()),
        Bytes(before[taken..].to_vec())
    );
    assert!(taken.div_ceil(segment_len) <= 64 && (taken <= 65_507 || taken == segment_len));
    for (segment, original) in segments[..taken]
        .chunks(segment_len)
        .zip(before[..taken].chunks(segment_len))
    {
        let mut single = original.to_vec();
        let facts = encap(&mut single).unwrap();
        assert_eq!(Bytes(segment.to_vec()), Bytes(single));
        let tell = |facts: &Facts| (facts.tos(), facts.ttl(), facts.has_df(), facts.flow());
        assert_eq!(tell(&outer), tell(&facts));
    }
}
