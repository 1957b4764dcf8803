//! No token of the device below is taken unless a packet is sent with it, and nothing is lost while there is none.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::std_instead_of_core,
    reason = "a test may panic"
)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::rc::Rc;

use ipencap::decap::Prefix;
use ipencap::encap::Tunnel;
use ipencap::shim::IpIp;
use ipencap::tunnel::{Counters, Endpoint, EndpointConfig, Event, Inbound, OnePeer, Path};
use ipencap::wire::{IpProtocol, Ipv4Flags, Ipv4Header};
use ipencap_smoltcp::{Buffer, Losses, TunnelDevice};
use proptest::prelude::*;
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium, TxToken as _};
use smoltcp::time::Instant;

const HERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const PATH_MTU: u16 = 700;

/// A device that has a token only now and then, and nothing to receive.
#[derive(Default)]
struct Scarce {
    /// Whether there is a token, for each time that one is asked for; then always.
    offers: VecDeque<bool>,
    taken: usize,
    sent: Rc<RefCell<Vec<Vec<u8>>>>,
}

struct Token(Rc<RefCell<Vec<Vec<u8>>>>);

impl phy::TxToken for Token {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.borrow_mut().push(frame);
        result
    }
}

struct Nothing;

impl phy::RxToken for Nothing {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&[])
    }
}

impl Device for Scarce {
    type RxToken<'a> = Nothing;
    type TxToken<'a> = Token;

    fn receive(&mut self, _: Instant) -> Option<(Nothing, Token)> {
        None
    }

    fn transmit(&mut self, _: Instant) -> Option<Token> {
        if !self.offers.pop_front().unwrap_or(true) {
            return None;
        }
        self.taken += 1;
        Some(Token(Rc::clone(&self.sent)))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1500;
        capabilities
    }
}

/// A packet from the inner stack, good or bad.
#[derive(Clone, Debug)]
struct Sent {
    len: usize,
    df: bool,
    to: Ipv4Addr,
    ttl_is_zero: bool,
    is_junk: bool,
}

fn sent() -> impl Strategy<Value = Sent> {
    let to = prop_oneof![
        4 => Just(Ipv4Addr::new(10, 2, 0, 9)),
        1 => Just(Ipv4Addr::new(192, 168, 0, 1)), // no peer
        1 => Just(Ipv4Addr::new(224, 0, 0, 1)),
    ];
    let seldom = || prop::bool::weighted(0.1);
    (20..=1600_usize, any::<bool>(), to, seldom(), seldom()).prop_map(
        |(len, df, to, ttl_is_zero, is_junk)| Sent {
            len,
            df,
            to,
            ttl_is_zero,
            is_junk,
        },
    )
}

impl Sent {
    fn write(&self, packet: &mut [u8]) {
        if self.is_junk {
            packet.fill(0xa5);
            return;
        }
        let from = Ipv4Addr::new(10, 1, 0, 5);
        let mut header = Ipv4Header::new(from, self.to, IpProtocol(253), self.len as u16);
        if !self.df {
            header.set_flags(Ipv4Flags::empty());
        }
        if self.ttl_is_zero {
            header.set_ttl(0);
        }
        packet[..20].copy_from_slice(header.as_bytes());
    }
}

proptest! {
    // What fails is printed in full.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_token_sends(
        packets in prop::collection::vec(sent(), 1..40),
        offers in prop::collection::vec(any::<bool>(), 0..40),
        slots in 1..4_usize,
    ) {
        let prefixes = ["10.2.0.0/16".parse().unwrap()];
        let tunnel = Tunnel::new(HERE, THERE, IpIp).unwrap();
        let mut paths = [Path::EMPTY];
        let config = EndpointConfig { icmp_source: Some(Ipv4Addr::new(10, 1, 0, 1)), ..EndpointConfig::DEFAULT };
        let endpoint = Endpoint::new(OnePeer::new(tunnel, &prefixes), &mut paths, config)
            .with_tally(Counters::new());
        let mut outgoing = vec![Buffer::<1500>::EMPTY; slots];
        let mut incoming = [Buffer::EMPTY; 1];
        let now = Instant::ZERO;
        let below = Scarce { offers: offers.into(), ..Scarce::default() };
        let sent = Rc::clone(&below.sent);
        let mut device = TunnelDevice::new(below, endpoint, &mut outgoing, &mut incoming, now).unwrap();
        let peer = ipencap::tunnel::PeerId::new(0, 0);
        let _ = device.queue_mut().endpoint_mut().local_mtu(ipencap::time::Instant::ZERO, peer, PATH_MTU);

        let mut taken = 0;
        let mut answers = 0_u64;
        for packet in &packets {
            // The inner stack tries again until there is room.
            let token = loop {
                // It hears of answers first.
                if let Some((rx, _)) = device.receive(now) {
                    answers += 1;
                    phy::RxToken::consume(rx, |answer| assert!(!answer.is_empty()));
                }
                if let Some(token) = device.transmit(now) {
                    break token;
                }
            };
            token.consume(packet.len, |bytes| {
                // One that is longer than the device's MTU has no room for all of its bytes.
                if bytes.len() >= 20 {
                    packet.write(bytes);
                }
            });
            taken += 1;
        }
        while device.queue().can_send() {
            device.flush(now);
        }
        while let Some((rx, _)) = device.receive(now) {
            answers += 1;
            phy::RxToken::consume(rx, |answer| assert!(!answer.is_empty()));
        }

        // Every token that was taken was used.
        let sent = sent.borrow();
        prop_assert_eq!(device.below().taken, sent.len());

        // Every packet is accounted for.
        let losses = *device.queue().losses();
        let tally = device.queue().endpoint().tally();
        prop_assert_eq!(tally.outbound() + u64::from(losses.too_long_from_inner), taken);
        let fragments = tally.packets(Event::Fragments);
        prop_assert_eq!(tally.packets(Event::Sent) + fragments, sent.len() as u64);
        let answered: u64 = tally.iter().filter(|(event, ..)| *event == "Answered").map(|(.., count)| count).sum();
        prop_assert_eq!(answered, answers + u64::from(losses.no_room_for_error));
        let mut others = losses;
        others.too_long_from_inner = 0;
        others.no_room_for_error = 0;
        prop_assert_eq!(others, Losses::default());

        // And what was sent is what the other end takes.
        let prefixes = [Prefix::new(Ipv4Addr::new(10, 1, 0, 0), 16).unwrap()];
        let tunnel = Tunnel::new(THERE, HERE, IpIp).unwrap();
        let mut paths = [Path::EMPTY];
        let mut other = Endpoint::new(OnePeer::new(tunnel, &prefixes), &mut paths, EndpointConfig::DEFAULT);
        for frame in sent.iter() {
            prop_assert!(frame.len() <= usize::from(PATH_MTU));
            let verdict = other.receive(ipencap::time::Instant::ZERO, &mut frame.clone());
            let is_delivered = matches!(verdict, Inbound::Deliver { .. });
            prop_assert!(is_delivered, "{verdict:?}");
        }
    }
}
