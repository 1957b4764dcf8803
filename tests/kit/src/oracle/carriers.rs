//! The encapsulations by their RFCs: what stands between the outer IPv4 header and the inner packet,
//! and what a receiver must check of it.

use core::fmt::Debug;

use ipencap::encap::{InnerChecksum, PerPacket};
use ipencap::error::{EncapError, Reason};

use super::decap::{Inside, NaiveCarrier, has_source_route};
use super::encap::{NaiveEncapsulator, OuterPolicy, inner_fields};
use super::flow::{Ports, flow_hash, known_sum_of, source_port};
use super::icmp;
use super::{
    Fields, Plain, address_at, checksum, fill_checksum, put_u16, u16_at, validate, verifies,
};

/// Writes the right checksum into the carrier's own header at the start of an outer payload, where
/// there is one.
pub fn refill(outer: &Plain, payload: &mut [u8]) {
    let pseudo = |len| pseudo_header(outer.source, outer.destination, outer.protocol, len);
    let len = payload.len();
    let (at, covered_len, pseudo) = match outer.protocol {
        17 if len >= 8 && (8..=len).contains(&usize::from(u16_at(payload, 4))) => {
            let datagram_len = usize::from(u16_at(payload, 4));
            (6, datagram_len, pseudo(datagram_len))
        }
        6 if len >= 20 => (16, len, pseudo(len)),
        47 if len >= 8 && payload[0] & 0x80 != 0 => (4, len, vec![]),
        55 if len >= 12 && payload[1] & 0x80 != 0 => (2, 12, vec![]),
        55 if len >= 8 => (2, 8, vec![]),
        _ => return,
    };
    put_u16(payload, at, 0);
    let computed = checksum(&[&pseudo[..], &payload[..covered_len]].concat());
    put_u16(payload, at, computed);
}

fn pseudo_header(source: [u8; 4], destination: [u8; 4], protocol: u8, len: usize) -> Vec<u8> {
    let len = u16::try_from(len).unwrap().to_be_bytes();
    [&source[..], &destination, &[0, protocol], &len].concat()
}

/// The inner packet behind `shim_len` bytes of the outer one's payload.
fn behind(outer: &Fields<'_>, shim_len: usize) -> Inside {
    Inside {
        start: outer.header_len + shim_len,
        bytes: outer.payload[shim_len..].to_vec(),
        sequence: None,
    }
}

/// IP-in-IP (RFC 2003): nothing in between.
#[derive(Clone, Copy, Debug)]
pub struct NaiveIpIp(pub OuterPolicy);

impl NaiveEncapsulator for NaiveIpIp {
    fn overhead(&self) -> usize {
        20
    }

    fn link_mtus(&self) -> Vec<(usize, Option<u16>)> {
        vec![(self.overhead(), self.0.link_mtu)]
    }

    fn objections(&self, inner: &[u8], said: &PerPacket) -> Vec<EncapError> {
        match inner_fields(inner) {
            Ok(fields) => self.0.objections(&fields, said, 20),
            Err(objections) => objections,
        }
    }

    fn outer(&self, inner: &[u8], said: &PerPacket) -> Vec<u8> {
        let carried = self.0.carried(inner);
        self.0.header(&carried, said, 4).packet(&carried)
    }

    fn unquoted(&self, quote: &[u8]) -> Option<Vec<u8>> {
        let is_ours = icmp::agrees(quote, 0, &[Some(0x45)]) && icmp::owns(quote, &self.0, 4);
        is_ours.then(|| icmp::behind(quote, 20))?
    }

    fn hops(&self) -> u8 {
        self.0.forwards.into()
    }
}

impl NaiveCarrier for NaiveIpIp {
    fn protocol(&self) -> u8 {
        4
    }

    fn inside(&self, outer: &Fields<'_>) -> Result<Inside, Reason> {
        Ok(behind(outer, 0))
    }

    fn framed(&self, _outer: &Plain, inner: &[u8]) -> Vec<u8> {
        inner.to_vec()
    }
}

/// GRE (RFC 2784, RFC 2890).
#[derive(Clone, Copy, Debug)]
pub struct NaiveGre {
    /// The outer header.
    pub outer: OuterPolicy,
    /// The key, if there is one.
    pub key: Option<u32>,
    /// Whether there is a checksum.
    pub checksum: bool,
    /// The number of a packet to receive, if packets are numbered.
    pub number: Option<u32>,
    /// Whether the receiver asks for a number.
    pub wants_sequence: bool,
}

impl NaiveGre {
    fn shim_len(&self) -> usize {
        let optional = [self.checksum, self.key.is_some(), self.number.is_some()];
        4 + 4 * optional.into_iter().filter(|&present| present).count()
    }

    /// Header and payload, C, K and S in this order.
    fn shimmed(&self, payload: &[u8], sequence: Option<u32>) -> Vec<u8> {
        let mut flags = 0;
        flags |= if self.checksum { 0x80 } else { 0 };
        flags |= if self.key.is_some() { 0x20 } else { 0 };
        flags |= if sequence.is_some() { 0x10 } else { 0 };
        let mut bytes = vec![flags, 0, 0x08, 0x00];
        if self.checksum {
            bytes.extend([0; 4]);
        }
        for word in [self.key, sequence].into_iter().flatten() {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend(payload);
        if self.checksum {
            let computed = checksum(&bytes); // 0x0000 is written as it is.
            put_u16(&mut bytes, 4, computed);
        }
        bytes
    }

    /// What is the same in the headers of all packets.
    fn constant(&self) -> Vec<Option<u8>> {
        let bytes = self.shimmed(&[], self.number);
        let mut constant: Vec<_> = bytes[..4].iter().copied().map(Some).collect();
        if self.checksum {
            constant.extend([None; 4]);
        }
        let key = self.key.into_iter().flat_map(u32::to_be_bytes);
        constant.extend(key.map(Some));
        constant
    }

    fn objections_of_shim(&self, said: &PerPacket) -> Vec<EncapError> {
        let mut objections = Vec::new();
        if self.checksum && said.inner_checksum() == InnerChecksum::Partial {
            objections.push(EncapError::PartialChecksum); // C-22
        }
        if self.number.is_some() && said.sequence().is_none() {
            objections.push(EncapError::NoSequence);
        }
        objections
    }

    /// The length of the header in front of an IPv4 packet, and its number.
    fn checked(&self, bytes: &[u8]) -> Result<(usize, Option<u32>), Reason> {
        if bytes.len() < 4 {
            return Err(Reason::GreTruncated);
        }
        let flags = u16_at(bytes, 0);
        if flags & 7 != 0 {
            return Err(Reason::GreBadVersion);
        }
        if flags & 0x4c00 != 0 {
            return Err(Reason::GreReservedBits); // R-02; R-03 ignores the rest
        }
        let [has_checksum, has_key, has_sequence] =
            [0x8000, 0x2000, 0x1000].map(|c| flags & c != 0);
        let present = [has_checksum, has_key, has_sequence];
        let len = 4 + 4 * present.into_iter().filter(|&present| present).count();
        if bytes.len() < len {
            return Err(Reason::GreTruncated);
        }
        if has_checksum != self.checksum || (has_checksum && !verifies(bytes)) {
            return Err(Reason::GreBadChecksum);
        }
        let key_at = if has_checksum { 8 } else { 4 };
        let key = has_key.then(|| u32::from_be_bytes(address_at(bytes, key_at)));
        if key != self.key {
            return Err(Reason::GreKeyMismatch);
        }
        if self.wants_sequence && !has_sequence {
            return Err(Reason::GreSequence);
        }
        if u16_at(bytes, 2) != 0x0800 {
            return Err(Reason::GreUnsupportedProtocol);
        }
        // A number that was not asked for is skipped.
        let sequence = (has_sequence && self.wants_sequence)
            .then(|| u32::from_be_bytes(address_at(bytes, len - 4)));
        Ok((len, sequence))
    }
}

impl NaiveEncapsulator for NaiveGre {
    fn overhead(&self) -> usize {
        20 + self.shim_len()
    }

    fn link_mtus(&self) -> Vec<(usize, Option<u16>)> {
        vec![(self.overhead(), self.outer.link_mtu)]
    }

    fn objections(&self, inner: &[u8], said: &PerPacket) -> Vec<EncapError> {
        match inner_fields(inner) {
            Ok(fields) => {
                let mut objections = self.outer.objections(&fields, said, self.overhead());
                objections.extend(self.objections_of_shim(said));
                objections
            }
            Err(objections) => objections,
        }
    }

    fn outer(&self, inner: &[u8], said: &PerPacket) -> Vec<u8> {
        let carried = self.outer.carried(inner);
        let sequence = self.number.and(said.sequence());
        self.outer
            .header(&carried, said, 47)
            .packet(&self.shimmed(&carried, sequence))
    }

    fn unquoted(&self, quote: &[u8]) -> Option<Vec<u8>> {
        let is_ours = icmp::agrees(quote, 0, &[Some(0x45)])
            && icmp::owns(quote, &self.outer, 47)
            && icmp::agrees(quote, 20, &self.constant());
        is_ours.then(|| icmp::behind(quote, self.overhead()))?
    }

    fn hops(&self) -> u8 {
        self.outer.forwards.into()
    }
}

impl NaiveCarrier for NaiveGre {
    fn protocol(&self) -> u8 {
        47
    }

    fn inside(&self, outer: &Fields<'_>) -> Result<Inside, Reason> {
        let (len, sequence) = self.checked(outer.payload)?;
        Ok(Inside {
            sequence,
            ..behind(outer, len)
        })
    }

    fn framed(&self, _outer: &Plain, inner: &[u8]) -> Vec<u8> {
        self.shimmed(inner, self.number)
    }
}

/// What stands between a UDP header and the inner packet.
#[derive(Clone, Debug)]
pub enum UdpKind {
    /// The packet itself: FOU, or GUE variant 1.
    Direct,
    /// GUE variant 0 with these private words.
    Gue(Vec<u32>),
    /// GRE (RFC 8086).
    Gre {
        /// As the encapsulator writes it.
        sent: NaiveGre,
        /// As the receiver wants it: there may be other senders.
        expected: NaiveGre,
    },
}

/// How a UDP checksum comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summed {
    /// Not at all.
    Zero,
    /// Over all bytes.
    Full,
    /// From the headers, where they tell the sum (C-20).
    Offload,
}

/// Carriers over UDP (RFC 768, the GUE draft, RFC 8086).
#[derive(Clone, Debug)]
pub struct NaiveUdp {
    /// The outer header.
    pub outer: OuterPolicy,
    /// The destination port.
    pub destination_port: u16,
    /// The source port; `None` derives it from the flow.
    pub source_port: Option<u16>,
    /// How a flow hash becomes a port.
    pub ports: Ports,
    /// The seed of the flow hash.
    pub seed: u32,
    /// How its checksum comes about.
    pub checksum: Summed,
    /// What is in between.
    pub kind: UdpKind,
    /// Whether the receiver understands GUE.
    pub receives_gue: bool,
    /// Whether the receiver refuses datagrams without checksum.
    pub requires_checksum: bool,
}

impl NaiveUdp {
    fn shim_len(&self) -> usize {
        match &self.kind {
            UdpKind::Direct => 0,
            UdpKind::Gue(words) => 4 + 4 * words.len(),
            UdpKind::Gre { sent, .. } => sent.shim_len(),
        }
    }

    fn shimmed(&self, payload: &[u8], sequence: Option<u32>) -> Vec<u8> {
        match &self.kind {
            UdpKind::Direct => payload.to_vec(),
            UdpKind::Gue(words) => {
                let mut bytes = vec![u8::try_from(words.len()).unwrap(), 4, 0, 0]; // G-14
                bytes.extend(words.iter().flat_map(|word| word.to_be_bytes()));
                bytes.extend(payload);
                bytes
            }
            UdpKind::Gre { sent, .. } => sent.shimmed(payload, sent.number.and(sequence)),
        }
    }

    /// How this packet's checksum comes about: GRE in UDP insists for fragments (U-16).
    fn summed(&self, inner: &Fields<'_>) -> Summed {
        match (self.checksum, &self.kind) {
            (Summed::Zero, UdpKind::Gre { .. }) if inner.is_fragment() => Summed::Full,
            (summed, _) => summed,
        }
    }

    fn datagram(header: &Plain, ports: [u16; 2], payload: &[u8]) -> Vec<u8> {
        let len = u16::try_from(8 + payload.len()).unwrap();
        let fields = [ports[0], ports[1], len, 0].map(u16::to_be_bytes).concat();
        let mut datagram = [&fields[..], payload].concat();
        let pseudo = pseudo_header(header.source, header.destination, 17, datagram.len());
        let computed = checksum(&[&pseudo[..], &datagram].concat());
        put_u16(
            &mut datagram,
            6,
            if computed == 0 { 0xffff } else { computed },
        ); // U-03
        datagram
    }

    /// The length of what is in front of an IPv4 packet, and its number.
    fn checked(&self, payload: &[u8]) -> Result<(usize, Option<u32>), Reason> {
        match &self.kind {
            UdpKind::Gre { expected, .. } => expected.checked(payload),
            _ if self.receives_gue => checked_gue_len(payload).map(|len| (len, None)),
            _ => Ok((0, None)),
        }
    }
}

/// The length of a GUE header in front of an IPv4 packet.
fn checked_gue_len(payload: &[u8]) -> Result<usize, Reason> {
    let Some(&first) = payload.first() else {
        return Err(Reason::GueTruncated); // G-01
    };
    match first / 64 {
        0 => {}
        1 if first / 16 == 4 => return Ok(0),
        1 => return Err(Reason::GueBadVariant1Version), // G-03
        _ => return Err(Reason::GueBadVersion),         // G-04
    }
    let len = 4 + 4 * usize::from(first % 32);
    if payload.len() < len {
        return Err(Reason::GueTruncated); // G-01, G-06
    }
    if first & 0x20 != 0 {
        return Err(Reason::GueControl); // G-05
    }
    if u16_at(payload, 2) != 0 {
        return Err(Reason::GueUnknownFlags); // G-07
    }
    match payload[1] {
        4 => Ok(len), // G-08: surplus bytes are skipped
        0 => Err(Reason::GueProtoZero),
        59 => Err(Reason::GueNoNextHeader),
        _ => Err(Reason::UnsupportedInnerProtocol),
    }
}

impl NaiveEncapsulator for NaiveUdp {
    fn overhead(&self) -> usize {
        28 + self.shim_len()
    }

    fn link_mtus(&self) -> Vec<(usize, Option<u16>)> {
        vec![(self.overhead(), self.outer.link_mtu)]
    }

    fn objections(&self, inner: &[u8], said: &PerPacket) -> Vec<EncapError> {
        let fields = match inner_fields(inner) {
            Ok(fields) => fields,
            Err(objections) => return objections,
        };
        let mut objections = self.outer.objections(&fields, said, self.overhead());
        let needs_bytes = match self.summed(&fields) {
            Summed::Zero => false,
            Summed::Full => true,
            Summed::Offload => known_sum_of(inner).is_none(),
        };
        if needs_bytes && said.inner_checksum() == InnerChecksum::Partial {
            objections.push(EncapError::PartialChecksum); // C-22
        }
        if let UdpKind::Gre { sent, .. } = &self.kind {
            objections.extend(sent.objections_of_shim(said));
        }
        objections
    }

    fn outer(&self, inner: &[u8], said: &PerPacket) -> Vec<u8> {
        let carried = self.outer.carried(inner);
        let header = self.outer.header(&carried, said, 17);
        let hash = said
            .flow_hash()
            .unwrap_or_else(|| flow_hash(inner, self.seed));
        let source = self
            .source_port
            .unwrap_or_else(|| source_port(self.ports, hash));
        let ports = [source, self.destination_port];
        let payload = self.shimmed(&carried, said.sequence());
        let mut datagram = Self::datagram(&header, ports, &payload);
        match self.summed(&validate(inner, true).unwrap()) {
            Summed::Zero => put_u16(&mut datagram, 6, 0), // U-04
            Summed::Full => {}
            Summed::Offload => {
                // C-20, C-21: the checksum as if the inner one were right.
                if let Some(corrected) = known_sum_of(&carried) {
                    let shim = &payload[..self.shim_len()];
                    let right = Self::datagram(&header, ports, &[shim, &corrected].concat());
                    put_u16(&mut datagram, 6, u16_at(&right, 6));
                }
            }
        }
        header.packet(&datagram)
    }

    fn unquoted(&self, quote: &[u8]) -> Option<Vec<u8>> {
        let constant = match &self.kind {
            UdpKind::Direct => vec![],
            UdpKind::Gue(_) => self.shimmed(&[], None).into_iter().map(Some).collect(),
            UdpKind::Gre { sent, .. } => sent.constant(),
        };
        let [high, low] = self.destination_port.to_be_bytes();
        let is_port = |port| match self.source_port {
            Some(fixed) => port == fixed,
            None => icmp::may_be_port(self.ports, port),
        };
        let is_ours = icmp::agrees(quote, 0, &[Some(0x45)])
            && icmp::owns(quote, &self.outer, 17)
            && (quote.len() < 22 || is_port(u16_at(quote, 20)))
            && icmp::agrees(quote, 22, &[Some(high), Some(low)])
            && icmp::agrees(quote, 28, &constant);
        is_ours.then(|| icmp::behind(quote, self.overhead()))?
    }

    fn hops(&self) -> u8 {
        self.outer.forwards.into()
    }
}

impl NaiveCarrier for NaiveUdp {
    fn protocol(&self) -> u8 {
        17
    }

    fn inside(&self, outer: &Fields<'_>) -> Result<Inside, Reason> {
        let payload = outer.payload;
        if payload.len() < 8 {
            return Err(Reason::UdpTruncated);
        }
        let len = usize::from(u16_at(payload, 4));
        if len < 8 {
            return Err(Reason::UdpBadLength); // U-07, U-10
        }
        if len > payload.len() {
            return Err(Reason::UdpTruncated); // U-08
        }
        if u16_at(payload, 2) != self.destination_port {
            return Err(Reason::NotTunnel); // D-04, U-11
        }
        let datagram = &payload[..len]; // U-09
        if u16_at(datagram, 6) == 0 {
            if self.requires_checksum {
                return Err(Reason::UdpChecksumRequired); // U-06
            }
        } else {
            let pseudo = pseudo_header(outer.source, outer.destination, 17, len);
            if !verifies(&[&pseudo[..], datagram].concat()) {
                return Err(Reason::UdpBadChecksum); // U-05
            }
        }
        let (shim_len, sequence) = self.checked(&datagram[8..])?;
        Ok(Inside {
            start: outer.header_len + 8 + shim_len,
            bytes: datagram[8 + shim_len..].to_vec(),
            sequence,
        })
    }

    fn reopens(&self, inner: &Fields<'_>) -> bool {
        inner.protocol == 17 && goes_to_port(inner, self.destination_port, 8)
    }

    fn framed(&self, outer: &Plain, inner: &[u8]) -> Vec<u8> {
        let ports = [self.source_port.unwrap_or(0xc123), self.destination_port];
        let payload = match &self.kind {
            UdpKind::Gre { expected, .. } => expected.shimmed(inner, expected.number),
            _ => self.shimmed(inner, None),
        };
        let mut datagram = Self::datagram(outer, ports, &payload);
        if self.checksum == Summed::Zero {
            put_u16(&mut datagram, 6, 0);
        }
        datagram
    }
}

/// Whether a packet's transport header, of `header_len` bytes at least, goes to `port`. A later
/// fragment has none (trap T28).
fn goes_to_port(packet: &Fields<'_>, port: u16, header_len: usize) -> bool {
    !packet.is_later_fragment()
        && packet.payload.len() >= header_len
        && u16_at(packet.payload, 2) == port
}

/// A TCP segment around the packet (RFC 9293, and the length prefixes of RFC 4571 and RFC 9329).
#[derive(Clone, Debug)]
pub struct NaiveTcp {
    /// The outer header.
    pub outer: OuterPolicy,
    /// Source and destination port.
    pub ports: [u16; 2],
    /// The flags.
    pub flags: u16,
    /// The window.
    pub window: u16,
    /// The option bytes, a multiple of 4.
    pub options: Vec<u8>,
    /// What a length prefix says beyond the packet's length: nothing, or 2; `None` without prefix.
    pub prefix: Option<usize>,
}

impl NaiveTcp {
    fn segment(&self, header: &Plain, numbers: (u32, u32), payload: &[u8]) -> Vec<u8> {
        let mut segment = self.ports.map(u16::to_be_bytes).concat();
        segment.extend(numbers.0.to_be_bytes());
        segment.extend(numbers.1.to_be_bytes());
        let words = u16::try_from(5 + self.options.len() / 4).unwrap();
        segment.extend((words << 12 | self.flags).to_be_bytes());
        segment.extend(self.window.to_be_bytes());
        segment.extend([0; 4]);
        segment.extend(&self.options);
        if let Some(itself) = self.prefix {
            let len = u16::try_from((payload.len() + itself) % 65536).unwrap();
            segment.extend(len.to_be_bytes());
        }
        segment.extend(payload);
        let pseudo = pseudo_header(header.source, header.destination, 6, segment.len());
        let computed = checksum(&[&pseudo[..], &segment].concat());
        put_u16(&mut segment, 16, computed); // S-02: 0x0000 as it is
        segment
    }
}

impl NaiveEncapsulator for NaiveTcp {
    fn overhead(&self) -> usize {
        40 + self.options.len() + if self.prefix.is_some() { 2 } else { 0 }
    }

    fn link_mtus(&self) -> Vec<(usize, Option<u16>)> {
        vec![(self.overhead(), self.outer.link_mtu)]
    }

    fn objections(&self, inner: &[u8], said: &PerPacket) -> Vec<EncapError> {
        match inner_fields(inner) {
            Ok(fields) => {
                let mut objections = self.outer.objections(&fields, said, self.overhead());
                let is_partial = said.inner_checksum() == InnerChecksum::Partial;
                if is_partial && known_sum_of(inner).is_none() {
                    objections.push(EncapError::PartialChecksum); // C-22
                }
                objections
            }
            Err(objections) => objections,
        }
    }

    fn outer(&self, inner: &[u8], said: &PerPacket) -> Vec<u8> {
        let carried = self.outer.carried(inner);
        let header = self.outer.header(&carried, said, 6);
        let mut segment = self.segment(&header, said.tcp_numbers(), &carried);
        if let Some(corrected) = known_sum_of(&carried) {
            let right = self.segment(&header, said.tcp_numbers(), &corrected);
            put_u16(&mut segment, 16, u16_at(&right, 16));
        }
        header.packet(&segment)
    }

    fn unquoted(&self, quote: &[u8]) -> Option<Vec<u8>> {
        let ports = self.ports.map(u16::to_be_bytes).concat();
        let ports: Vec<_> = ports.into_iter().map(Some).collect();
        let words = 5 + self.options.len() / 4;
        let is_ours = icmp::agrees(quote, 0, &[Some(0x45)])
            && icmp::owns(quote, &self.outer, 6)
            && icmp::agrees(quote, 20, &ports)
            && (quote.len() <= 32 || usize::from(quote[32] / 16) == words);
        is_ours.then(|| icmp::behind(quote, self.overhead()))?
    }

    fn stream_len(&self, inner_len: usize) -> Option<usize> {
        Some(inner_len + if self.prefix.is_some() { 2 } else { 0 })
    }

    fn hops(&self) -> u8 {
        self.outer.forwards.into()
    }
}

impl NaiveCarrier for NaiveTcp {
    fn protocol(&self) -> u8 {
        6
    }

    fn inside(&self, outer: &Fields<'_>) -> Result<Inside, Reason> {
        let segment = outer.payload;
        if segment.len() < 20 {
            return Err(Reason::TcpTruncated);
        }
        let header_len = usize::from(segment[12] / 16) * 4;
        if header_len < 20 {
            return Err(Reason::TcpBadOffset); // S-01
        }
        if header_len > segment.len() {
            return Err(Reason::TcpTruncated);
        }
        if u16_at(segment, 2) != self.ports[1] {
            return Err(Reason::NotTunnel); // D-04
        }
        let pseudo = pseudo_header(outer.source, outer.destination, 6, segment.len());
        if !verifies(&[&pseudo[..], segment].concat()) {
            return Err(Reason::TcpBadChecksum); // S-02
        }
        let Some(itself) = self.prefix else {
            return Ok(behind(outer, header_len));
        };
        let framed = &segment[header_len..];
        if framed.len() < 2 {
            return Err(Reason::TcpTruncated); // S-18
        }
        let said = usize::from(u16_at(framed, 0));
        let there = framed.len() - 2;
        if said >= itself && said - itself > there {
            return Err(Reason::TcpTruncated); // S-18
        }
        if said < itself || said - itself != there {
            return Err(Reason::InnerLengthMismatch); // S-20
        }
        Ok(behind(outer, header_len + 2))
    }

    fn reopens(&self, inner: &Fields<'_>) -> bool {
        let words = inner.payload.get(12).map_or(0, |offset| offset / 16);
        let header_len = usize::from(words) * 4;
        inner.protocol == 6 && words >= 5 && goes_to_port(inner, self.ports[1], header_len.max(20))
    }

    fn relays_ecn(&self) -> bool {
        false // N-17
    }

    fn is_framed(&self) -> bool {
        true // S-20
    }

    fn framed(&self, outer: &Plain, inner: &[u8]) -> Vec<u8> {
        self.segment(outer, (1, 2), inner)
    }
}

/// Minimal encapsulation (RFC 2004): the one header, changed, and a smaller one behind it.
#[derive(Clone, Copy, Debug)]
pub struct NaiveMinimal {
    /// Addresses, role and MTU; the rest does not apply (M-06).
    pub outer: OuterPolicy,
    /// The S bit.
    pub keeps_source: bool,
}

impl NaiveMinimal {
    fn shim(&self, protocol: u8, destination: [u8; 4], source: [u8; 4]) -> Vec<u8> {
        let flags = if self.keeps_source { 0x80 } else { 0 };
        let mut shim = vec![protocol, flags, 0, 0];
        shim.extend(destination);
        if self.keeps_source {
            shim.extend(source);
        }
        let computed = checksum(&shim);
        put_u16(&mut shim, 2, computed);
        shim
    }
}

impl NaiveEncapsulator for NaiveMinimal {
    fn overhead(&self) -> usize {
        if self.keeps_source { 12 } else { 8 }
    }

    fn link_mtus(&self) -> Vec<(usize, Option<u16>)> {
        vec![(self.overhead(), self.outer.link_mtu)]
    }

    fn objections(&self, inner: &[u8], said: &PerPacket) -> Vec<EncapError> {
        let fields = match inner_fields(inner) {
            Ok(fields) => fields,
            Err(objections) => return objections,
        };
        let mut objections = self
            .outer
            .objections_to_travel(&fields, said, self.overhead());
        if fields.is_fragment() {
            objections.push(EncapError::Fragment); // M-01
        }
        if has_source_route(fields.options) {
            objections.push(EncapError::SourceRoute); // V-14: M-03 leaves the route in the outer header
        }
        if !self.keeps_source && fields.source != self.outer.source {
            objections.push(EncapError::SourceNotKept); // M-02
        }
        objections
    }

    fn outer(&self, inner: &[u8], _said: &PerPacket) -> Vec<u8> {
        // M-03: the original header, changed.
        let mut packet = self.outer.carried(inner);
        let header_len = usize::from(packet[0] % 16) * 4;
        let payload = packet.split_off(header_len);
        let shim = self.shim(packet[9], address_at(&packet, 16), address_at(&packet, 12));
        packet[9] = 55;
        packet[12..16].copy_from_slice(&self.outer.source);
        packet[16..20].copy_from_slice(&self.outer.destination);
        let total_len = u16::try_from(header_len + shim.len() + payload.len()).unwrap();
        put_u16(&mut packet, 2, total_len);
        fill_checksum(&mut packet);
        [packet, shim, payload].concat()
    }

    fn unquoted(&self, quote: &[u8]) -> Option<Vec<u8>> {
        if !icmp::owns(quote, &self.outer, 55) {
            return None;
        }
        let Some(first) = quote.first() else {
            return Some(vec![]);
        };
        let shim_at = usize::from(first % 16) * 4;
        let behind = shim_at + self.overhead();
        let flags = quote.get(shim_at + 1);
        if flags.is_some_and(|flags| (flags / 128 == 1) != self.keeps_source) {
            return None;
        }
        let Some(shim) = quote.get(shim_at..behind) else {
            return Some(vec![]);
        };
        if !verifies(shim) {
            return None;
        }
        let mut packet = [&quote[..shim_at], &quote[behind..]].concat();
        let total_len = usize::from(u16_at(quote, 2)).saturating_sub(self.overhead());
        put_u16(&mut packet, 2, u16::try_from(total_len).unwrap());
        packet[9] = shim[0];
        packet[16..20].copy_from_slice(&shim[4..8]);
        if self.keeps_source {
            packet[12..16].copy_from_slice(&shim[8..12]);
        }
        Some(packet)
    }

    fn hops(&self) -> u8 {
        self.outer.forwards.into()
    }

    fn keeps_inner_header(&self) -> bool {
        false
    }

    fn is_transparent(&self) -> bool {
        true
    }
}

impl NaiveCarrier for NaiveMinimal {
    fn protocol(&self) -> u8 {
        55
    }

    fn inside(&self, outer: &Fields<'_>) -> Result<Inside, Reason> {
        let payload = outer.payload;
        if payload.len() < 8 {
            return Err(Reason::MinTruncated); // M-08
        }
        let shim_len = if payload[1] & 0x80 == 0 { 8 } else { 12 };
        if payload.len() < shim_len {
            return Err(Reason::MinTruncated);
        }
        if !verifies(&payload[..shim_len]) {
            return Err(Reason::MinBadChecksum); // M-04; M-05 ignores the reserved bits
        }
        // M-07
        let source = if shim_len == 12 {
            address_at(payload, 8)
        } else {
            outer.source
        };
        let restored = Plain {
            tos: outer.tos,
            identification: outer.identification,
            flags_offset: outer.flags_offset,
            ttl: outer.ttl,
            protocol: payload[0],
            source,
            destination: address_at(payload, 4),
            options: outer.options.to_vec(),
        };
        Ok(Inside {
            start: shim_len,
            bytes: restored.packet(&payload[shim_len..]),
            sequence: None,
        })
    }

    fn relays_ecn(&self) -> bool {
        false // M-06: there is only one ECN field
    }

    fn framed(&self, _outer: &Plain, inner: &[u8]) -> Vec<u8> {
        // An inner packet that is none has nothing that could be taken apart.
        let Some((header, _)) = inner.split_first_chunk::<20>() else {
            return inner.to_vec();
        };
        let shim = self.shim(header[9], address_at(header, 16), address_at(header, 12));
        [&shim[..], &inner[20..]].concat()
    }
}
