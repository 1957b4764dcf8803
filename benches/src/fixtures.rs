//! Inputs: packets, tunnels, rings. All of it is data at run time.

use core::hint::black_box;
use core::net::Ipv4Addr;
use std::fs;

/// Bytes from one packet to the next in a ring: a frame of 2048 with room in front, and no power of
/// two, so that packets spread over the sets of a cache.
pub const STRIDE: usize = 2176;

/// Where the inner packet starts in its slot of a ring.
pub const START: usize = 128;

/// One layer of a tunnel, as everybody is told it.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    /// The encapsulator's address.
    pub source: Ipv4Addr,
    /// The decapsulator's address.
    pub destination: Ipv4Addr,
    /// The outer TTL.
    pub ttl: u8,
    /// Of UDP or TCP, where there is one.
    pub source_port: u16,
    /// Of UDP or TCP, where there is one.
    pub destination_port: u16,
    /// TCP's sequence number.
    pub sequence: u32,
    /// TCP's acknowledgment number.
    pub acknowledgment: u32,
    /// TCP's window.
    pub window: u16,
}

/// The layers of a tunnel of depth 4, innermost first. Shallower ones take the first of them.
///
/// Through `black_box`: a compiler that knew the addresses would compute the headers at build time,
/// and the figures would say nothing.
pub fn layers() -> [Layer; 4] {
    black_box([1, 2, 3, 4]).map(|place| Layer {
        source: Ipv4Addr::new(198, 51, 100, place),
        destination: Ipv4Addr::new(203, 0, 113, place),
        ttl: 64,
        source_port: 0xc123,
        destination_port: 5555,
        sequence: 0x0102_0304,
        acknowledgment: 0x0506_0708,
        window: 512,
    })
}

/// A small generator of numbers that look random and are the same in every run (xorshift64*).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator with this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }
}

/// Bytes without a pattern.
pub fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..len).map(|_| random.next_u32() as u8).collect()
}

/// What the inner packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A UDP datagram with its checksum: an outer checksum follows from the headers.
    Udp,
    /// A UDP datagram without a checksum: an outer checksum needs all bytes.
    UdpUnchecked,
    /// A TCP segment.
    Tcp,
}

/// An IPv4 packet of `len` bytes from 10.1.0.0/16 to 10.2.0.0/16; flow and content follow from `seed`.
pub fn packet(len: usize, tos: u8, payload: Payload, seed: u64) -> Vec<u8> {
    let mut packet = bytes(len, seed);
    let (header, transport) = packet.split_at_mut(20);
    let [a, b, c, d, ..] = Random::new(!seed).next_u64().to_be_bytes();
    let total_len = u16::try_from(len).expect("a packet's length").to_be_bytes();
    let protocol = if payload == Payload::Tcp { 6 } else { 17 };
    header.copy_from_slice(&[
        0x45,
        tos,
        total_len[0],
        total_len[1],
        0x12,
        0x34,
        0x40,
        0,
        63,
        protocol,
        0,
        0, //
        10,
        1,
        a,
        b,
        10,
        2,
        c,
        d,
    ]);
    let checksum = !plain_sum(header, 0);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());

    let transport_len = transport.len() as u16;
    let pseudo = plain_sum(
        &header[12..20],
        u32::from(protocol) + u32::from(transport_len),
    );
    let at = match payload {
        Payload::Tcp => {
            transport[12] = 0x50;
            16
        }
        Payload::Udp | Payload::UdpUnchecked => {
            transport[4..6].copy_from_slice(&transport_len.to_be_bytes());
            6
        }
    };
    transport[at..at + 2].fill(0);
    if payload != Payload::UdpUnchecked {
        let checksum = match !plain_sum(transport, u32::from(pseudo)) {
            0 => 0xffff,
            checksum => checksum,
        };
        transport[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    }
    packet
}

/// The folded sum of big-endian words, two bytes at a time: nobody's code but the RFC's.
pub fn plain_sum(bytes: &[u8], start: u32) -> u16 {
    let mut sum = start;
    for word in bytes.chunks(2) {
        sum += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// Packets at a stride, walked through in windows as a card's ring is.
#[derive(Debug)]
pub struct Ring {
    /// All slots.
    pub bytes: Vec<u8>,
    next: usize,
}

impl Ring {
    /// `count` slots, each with a packet of `len` bytes of a flow of its own, behind [`START`] bytes.
    ///
    /// Contents and ports repeat after 4096 packets, addresses do not.
    pub fn new(count: usize, len: usize) -> Self {
        assert!(START + len <= STRIDE, "the packet fits its slot");
        let templates: Vec<_> = (0..count.min(4096))
            .map(|seed| packet(len, 0xb8, Payload::Udp, seed as u64))
            .collect();
        let mut random = Random::new(7);
        let mut bytes = vec![0; count * STRIDE];
        for (place, slot) in bytes.chunks_exact_mut(STRIDE).enumerate() {
            let target = &mut slot[START..START + len];
            target.copy_from_slice(&templates[place % templates.len()]);
            if place >= templates.len() {
                let [a, b, c, d, ..] = random.next_u64().to_be_bytes();
                readdress(target, [a, b], [c, d]);
            }
        }
        Self { bytes, next: 0 }
    }

    /// How many packets it holds.
    pub fn count(&self) -> usize {
        self.bytes.len() / STRIDE
    }

    /// The next `count` slots. At the end it starts anew, so `count` should divide the ring.
    #[inline]
    pub fn window(&mut self, count: usize) -> &mut [u8] {
        let len = count * STRIDE;
        if self.next + len > self.bytes.len() {
            self.next = 0;
        }
        let start = self.next;
        self.next += len;
        &mut self.bytes[start..start + len]
    }
}

/// Other host parts in the addresses of a packet, and its checksums set right.
fn readdress(packet: &mut [u8], source: [u8; 2], destination: [u8; 2]) {
    let old = plain_sum(&packet[12..20], 0);
    packet[14..16].copy_from_slice(&source);
    packet[18..20].copy_from_slice(&destination);
    let new = plain_sum(&packet[12..20], 0);
    for at in [10, 26] {
        // RFC 1624, equation 3
        let checksum = u16::from_be_bytes([packet[at], packet[at + 1]]);
        let words = [!checksum, !old, new].map(u16::to_be_bytes).concat();
        let mut checksum = !plain_sum(&words, 0);
        if at == 26 && checksum == 0 {
            checksum = 0xffff;
        }
        packet[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// The sizes of the first core's caches in bytes: (L2, L3), as the system tells them, or usual ones.
pub fn cache_sizes() -> (usize, usize) {
    let size = |level: &str| {
        (0..8).find_map(|index| {
            let folder = format!("/sys/devices/system/cpu/cpu0/cache/index{index}");
            let read = |name| fs::read_to_string(format!("{folder}/{name}")).ok();
            if read("level")?.trim() != level {
                return None;
            }
            let size = read("size")?;
            let kibibytes: usize = size.trim().strip_suffix('K')?.parse().ok()?;
            Some(kibibytes << 10)
        })
    };
    (size("2").unwrap_or(1 << 20), size("3").unwrap_or(32 << 20))
}

/// The number of packets of a ring that a cache of this size does not hold.
///
/// What counts is what is touched, not the memory from end to end: two lines of 64 bytes a packet,
/// the new header's and the old one's. Twice the cache, in whole windows of 4096 packets; never more
/// than a quarter of the memory that is free.
pub fn packets_beyond(cache: usize) -> usize {
    let wanted = (2 * cache / 128).next_multiple_of(4096);
    let available = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text
                .lines()
                .find(|line| line.starts_with("MemAvailable:"))?;
            let kibibytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
            Some(kibibytes << 10)
        })
        .unwrap_or(4 << 30);
    let affordable = available / 4 / STRIDE / 4096 * 4096;
    if affordable < wanted {
        eprintln!("too little free memory for a ring of {wanted} packets: it has {affordable}");
    }
    wanted.min(affordable).max(4096)
}
