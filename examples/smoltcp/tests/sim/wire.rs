//! The network: two links with a router between them that loses, reorders, duplicates and has an MTU.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::rc::Rc;

use ipencap::icmp::{IcmpError, Kind};
use ipencap::wire::{Ipv4, Ipv4Flags};
use smoltcp::phy::{self, Checksum, Device, DeviceCapabilities, Medium};
use smoltcp::time::{Duration, Instant};

/// The router's own address.
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
const ETHERNET_HEADER: usize = 14;

/// What happens to packets on their way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// How many of a thousand are lost.
    pub(crate) lost: u64,
    /// How many of a thousand come twice.
    pub(crate) duplicated: u64,
    /// How many of a thousand come later than those sent after them.
    pub(crate) reordered: u64,
    /// The longest packet that the router forwards.
    pub(crate) mtu: usize,
    /// Whether the router tells about longer ones with DF.
    pub(crate) icmp: bool,
    /// How many bytes a sender puts on the link in a millisecond, if there is a limit.
    pub(crate) bytes_per_milli: Option<u64>,
}

impl Weather {
    /// Nothing happens.
    pub(crate) const FAIR: Self = Self {
        lost: 0,
        duplicated: 0,
        reordered: 0,
        mtu: 1500,
        icmp: true,
        bytes_per_milli: Some(2_500), // 20 Mbit/s
    };
    /// Enough for TCP to notice.
    pub(crate) const ROUGH: Self = Self {
        lost: 2,
        duplicated: 5,
        reordered: 5,
        ..Self::FAIR
    };
    /// The same, and nobody is told what is too long.
    pub(crate) const SILENT: Self = Self {
        icmp: false,
        ..Self::ROUGH
    };
}

/// What has happened to packets on their way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) too_long: u64,
    pub(crate) fragmented: u64,
    pub(crate) longest: usize,
}

/// One end of the link: how long packets take, and how many wait for being sent.
const DELAY: Duration = Duration::from_millis(10);
const EXTRA_DELAY: Duration = Duration::from_millis(3);
const MOST_WAITING: usize = 16;

#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) weather: Weather,
    pub(crate) tally: Tally,
    random: u64,
    /// By arrival, and by number among those that arrive at once.
    on_the_way: [BTreeMap<(Instant, u64), Vec<u8>>; 2],
    number: u64,
    /// When the last byte of all that waits has left, for each end; when each packet leaves.
    leaving: [Vec<Instant>; 2],
}

impl Wire {
    pub(crate) fn new(seed: u64, weather: Weather) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            weather,
            tally: Tally::default(),
            random: seed,
            on_the_way: [BTreeMap::new(), BTreeMap::new()],
            number: 0,
            leaving: [Vec::new(), Vec::new()],
        }))
    }

    /// When the next packet arrives at either end.
    pub(crate) fn next_arrival(&self) -> Option<Instant> {
        let first =
            |packets: &BTreeMap<(Instant, u64), Vec<u8>>| packets.keys().next().map(|key| key.0);
        self.on_the_way.iter().filter_map(first).min()
    }

    /// The generator `SplitMix64`.
    const fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    const fn happens(&mut self, of_a_thousand: u64) -> bool {
        self.random() % 1000 < of_a_thousand
    }

    /// Whether the sender at this end has room for another packet.
    fn has_room(&mut self, end: usize, now: Instant) -> bool {
        self.leaving[end].retain(|leaves| *leaves > now);
        self.leaving[end].len() < MOST_WAITING
    }

    fn send(&mut self, end: usize, now: Instant, frame: &[u8], medium: Medium) {
        self.tally.sent += 1;
        self.tally.longest = self.tally.longest.max(frame.len());
        let begins = self.leaving[end].last().copied().unwrap_or(now).max(now);
        let nanos = frame.len() as u64 * 1_000_000;
        let micros = self
            .weather
            .bytes_per_milli
            .map_or(0, |bytes| nanos / bytes / 1000);
        let leaves = begins + Duration::from_micros(micros);
        self.leaving[end].push(leaves);

        let header = if medium == Medium::Ethernet {
            ETHERNET_HEADER
        } else {
            0
        };
        let is_ip = header == 0 || frame[12..14] == [8, 0];
        if is_ip && frame.len() - header > self.weather.mtu {
            self.forward_too_long(end, leaves, frame, header);
        } else {
            self.forward(1 - end, leaves, frame);
        }
    }

    /// RFC 1812 §5.2.7.1, §4.2.2.7.
    fn forward_too_long(&mut self, end: usize, leaves: Instant, frame: &[u8], header: usize) {
        let (ethernet, packet) = frame.split_at(header);
        let parsed = Ipv4::parse(packet).expect("a valid outer packet");
        if parsed.header().flags().contains(Ipv4Flags::DF) {
            self.tally.too_long += 1;
            if !self.weather.icmp {
                return;
            }
            let kind = Kind::FragmentationNeeded {
                mtu: self.weather.mtu as u16,
            };
            let error = IcmpError::about(packet, kind, ROUTER).expect("an error is due");
            let mut answer = ethernet.to_vec();
            if header > 0 {
                answer[..12].rotate_left(6);
            }
            answer.resize(header + error.len(), 0);
            error.write(packet, &mut answer[header..]).expect("room");
            self.forward(end, leaves, &answer);
            return;
        }
        self.tally.fragmented += 1;
        let plan = ipencap::fragment::plan(packet, self.weather.mtu as u16).expect("may be split");
        for fragment in plan.fragments(packet).expect("the same packet") {
            let mut piece = ethernet.to_vec();
            piece.resize(header + fragment.len(), 0);
            fragment.write(packet, &mut piece[header..]).expect("room");
            self.forward(1 - end, leaves, &piece);
        }
    }

    fn forward(&mut self, to: usize, leaves: Instant, frame: &[u8]) {
        if self.happens(self.weather.lost) {
            self.tally.lost += 1;
            return;
        }
        let copies = if self.happens(self.weather.duplicated) {
            self.tally.duplicated += 1;
            2
        } else {
            1
        };
        for _ in 0..copies {
            let mut arrives = leaves + DELAY;
            if self.happens(self.weather.reordered) {
                self.tally.reordered += 1;
                arrives += EXTRA_DELAY;
            }
            self.number += 1;
            self.on_the_way[to].insert((arrives, self.number), frame.to_owned());
        }
    }

    fn receive(&mut self, end: usize, now: Instant) -> Option<Vec<u8>> {
        let first = self.on_the_way[end].first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}

/// The device at one end, which counts its tokens.
#[derive(Debug)]
pub(crate) struct Link {
    wire: Rc<RefCell<Wire>>,
    end: usize,
    medium: Medium,
    mtu: usize,
    taken: u64,
    used: Rc<RefCell<u64>>,
}

impl Link {
    pub(crate) fn new(wire: &Rc<RefCell<Wire>>, end: usize, medium: Medium) -> Self {
        Self {
            wire: Rc::clone(wire),
            end,
            medium,
            mtu: 1500,
            taken: 0,
            used: Rc::default(),
        }
    }
}

impl Link {
    /// The same with another MTU.
    pub(crate) const fn with_mtu(mut self, mtu: usize) -> Self {
        self.mtu = mtu;
        self
    }

    /// Tokens that were taken to send with, and those that were used.
    pub(crate) fn tokens(&self) -> (u64, u64) {
        (self.taken, *self.used.borrow())
    }
}

impl Device for Link {
    type RxToken<'a> = RxToken;
    type TxToken<'a> = TxToken;

    fn receive(&mut self, now: Instant) -> Option<(RxToken, TxToken)> {
        let frame = self.wire.borrow_mut().receive(self.end, now)?;
        Some((RxToken(frame), self.token(now)))
    }

    fn transmit(&mut self, now: Instant) -> Option<TxToken> {
        if !self.wire.borrow_mut().has_room(self.end, now) {
            return None;
        }
        self.taken += 1;
        Some(self.token(now))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = self.medium;
        capabilities.max_transmission_unit = match self.medium {
            Medium::Ethernet => self.mtu + ETHERNET_HEADER,
            Medium::Ip => self.mtu,
        };
        // As hardware that checks and fills in what it finds: only of outer packets.
        capabilities.checksum.ipv4 = Checksum::Both;
        capabilities
    }
}

impl Link {
    fn token(&self, now: Instant) -> TxToken {
        TxToken {
            wire: Rc::clone(&self.wire),
            end: self.end,
            medium: self.medium,
            now,
            used: Rc::clone(&self.used),
        }
    }
}

pub(crate) struct RxToken(Vec<u8>);

impl phy::RxToken for RxToken {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

pub(crate) struct TxToken {
    wire: Rc<RefCell<Wire>>,
    end: usize,
    medium: Medium,
    now: Instant,
    used: Rc<RefCell<u64>>,
}

impl phy::TxToken for TxToken {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        *self.used.borrow_mut() += 1;
        self.wire
            .borrow_mut()
            .send(self.end, self.now, &frame, self.medium);
        result
    }
}
