//! Captures byte by byte, in the variants that a reader may meet.

/// Seconds, microseconds and bytes of each packet of a little-endian pcap file.
pub(crate) fn packets(pcap: &[u8]) -> Vec<(u32, u32, Vec<u8>)> {
    let word = |at: usize| u32::from_le_bytes(pcap[at..at + 4].try_into().unwrap());
    assert_eq!(word(0), 0xa1b2_c3d4);
    let mut packets = Vec::new();
    let mut at = 24;
    while at < pcap.len() {
        let len = word(at + 8) as usize;
        assert_eq!(
            word(at + 8),
            word(at + 12),
            "wire length and captured length"
        );
        packets.push((
            word(at),
            word(at + 4),
            pcap[at + 16..at + 16 + len].to_vec(),
        ));
        at += 16 + len;
    }
    packets
}

/// The IPv4 packets of a little-endian Ethernet capture without tags, padding cut off.
pub(crate) fn ethernet_ipv4(pcap: &[u8]) -> Vec<(u32, u32, Vec<u8>)> {
    let frames = packets(pcap).into_iter();
    let ipv4 = frames.filter(|(_, _, frame)| frame[12..14] == [0x08, 0x00]);
    ipv4.map(|(seconds, microseconds, frame)| {
        let total_len = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
        (seconds, microseconds, frame[14..14 + total_len].to_vec())
    })
    .collect()
}

/// A pcap file to be.
pub(crate) struct Pcap {
    big_endian: bool,
    nanoseconds: bool,
    link_type: u32,
    snaplen: u32,
    records: Vec<(u32, u32, Vec<u8>)>,
}

impl Pcap {
    /// As most files are: little-endian, with microseconds.
    pub(crate) const fn new(link_type: u32) -> Self {
        Self {
            big_endian: false,
            nanoseconds: false,
            link_type,
            snaplen: 262_144,
            records: Vec::new(),
        }
    }

    pub(crate) fn variant(self, big_endian: bool, nanoseconds: bool, snaplen: u32) -> Self {
        Self {
            big_endian,
            nanoseconds,
            snaplen,
            ..self
        }
    }

    pub(crate) fn packet(mut self, seconds: u32, fraction: u32, bytes: &[u8]) -> Self {
        self.records.push((seconds, fraction, bytes.to_vec()));
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let word = |value: u32| {
            if self.big_endian {
                value.to_be_bytes()
            } else {
                value.to_le_bytes()
            }
        };
        let magic = if self.nanoseconds {
            0xa1b2_3c4d
        } else {
            0xa1b2_c3d4
        };
        let version = if self.big_endian {
            0x0002_0004
        } else {
            0x0004_0002
        };
        let header = [magic, version, 0, 0, self.snaplen, self.link_type];
        let mut bytes: Vec<u8> = header.into_iter().flat_map(word).collect();
        for (seconds, fraction, packet) in &self.records {
            let len = packet.len() as u32;
            // What was on the wire may have been longer.
            bytes.extend(
                [*seconds, *fraction, len, len + 4]
                    .into_iter()
                    .flat_map(word),
            );
            bytes.extend(packet);
        }
        bytes
    }
}

/// A pcapng file to be, block by block.
pub(crate) struct PcapNg {
    big_endian: bool,
    pub(crate) bytes: Vec<u8>,
}

impl PcapNg {
    pub(crate) const fn new(big_endian: bool) -> Self {
        let bytes = Vec::new();
        Self { big_endian, bytes }
    }

    const fn half(&self, value: u16) -> [u8; 2] {
        if self.big_endian {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        }
    }

    const fn word(&self, value: u32) -> [u8; 4] {
        if self.big_endian {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        }
    }

    fn block(mut self, block_type: u32, mut body: Vec<u8>) -> Self {
        body.resize(body.len().next_multiple_of(4), 0xaa);
        let len = body.len() as u32 + 12;
        let (block_type, len) = (self.word(block_type), self.word(len));
        self.bytes
            .extend([&block_type[..], &len, &body, &len].concat());
        self
    }

    pub(crate) fn section(self) -> Self {
        let mut body = self.word(0x1a2b_3c4d).to_vec();
        body.extend(self.half(1));
        body.extend(self.half(0));
        // The section's length is unknown.
        body.extend([0xff; 8]);
        self.block(0x0a0d_0d0a, body)
    }

    pub(crate) fn interface(
        self,
        link_type: u16,
        snaplen: u32,
        options: &[(u16, Vec<u8>)],
    ) -> Self {
        let mut body = [self.half(link_type), self.half(0)].concat();
        body.extend(self.word(snaplen));
        for (code, value) in options {
            body.extend(self.half(*code));
            body.extend(self.half(value.len() as u16));
            body.extend(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        if !options.is_empty() {
            body.extend([0; 4]);
        }
        self.block(1, body)
    }

    pub(crate) fn name_resolution(self) -> Self {
        self.block(4, vec![0; 4])
    }

    pub(crate) fn enhanced(self, interface: u32, ticks: u64, packet: &[u8]) -> Self {
        let mut body = self.word(interface).to_vec();
        body.extend(self.time_and_lengths(ticks, packet));
        self.block(6, body)
    }

    pub(crate) fn packet_block(self, interface: u16, ticks: u64, packet: &[u8]) -> Self {
        // No drops are known.
        let mut body = [self.half(interface), [0xff; 2]].concat();
        body.extend(self.time_and_lengths(ticks, packet));
        self.block(2, body)
    }

    pub(crate) fn simple(self, packet: &[u8]) -> Self {
        self.simple_of(packet.len() as u32, packet)
    }

    pub(crate) fn simple_of(self, wire_len: u32, captured: &[u8]) -> Self {
        let body = [&self.word(wire_len)[..], captured].concat();
        self.block(3, body)
    }

    fn time_and_lengths(&self, ticks: u64, packet: &[u8]) -> Vec<u8> {
        let len = packet.len() as u32;
        let words = [(ticks >> 32) as u32, ticks as u32, len, len];
        words
            .into_iter()
            .flat_map(|value| self.word(value))
            .chain(packet.iter().copied())
            .collect()
    }
}
