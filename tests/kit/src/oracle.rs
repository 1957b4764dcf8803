//! Naive oracles: the same answers as the library's, by the plainest way.
//!
//! Written from the RFCs and the rule tables, byte by byte; slow and allocating on purpose. Nothing
//! here calls the library: of it only the names of errors and alarms are used, so that answers can
//! be compared. A round trip cannot see a symmetric mistake; these can.

use ipencap::error::{EncapError, ParseError, Reason};
use ipencap::wire::EcnAlarm;

/// The C program of RFC 1071 §4.1, read byte by byte in network order.
#[must_use]
pub fn checksum(data: &[u8]) -> u16 {
    let mut sum = 0u64;
    let mut addr = 0;
    let mut count = data.len();
    while count > 1 {
        sum += u64::from(data[addr]) * 256 + u64::from(data[addr + 1]);
        addr += 2;
        count -= 2;
    }
    if count > 0 {
        sum += u64::from(data[addr]) * 256;
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

/// The sum of the 16-bit words modulo 65535: 0 if the data carries a right checksum, and what is
/// wrong with it otherwise. An incremental update must not change it (P-07).
#[must_use]
pub fn residue(data: &[u8]) -> u16 {
    !checksum(data) % 0xffff
}

/// Whether data with its checksum in place sums to 0xFFFF (C-06).
#[must_use]
pub fn verifies(data: &[u8]) -> bool {
    checksum(data) == 0
}

/// The 16-bit field at `at`.
#[must_use]
pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from(bytes[at]) * 256 + u16::from(bytes[at + 1])
}

/// Writes a 16-bit field at `at`.
pub fn put_u16(bytes: &mut [u8], at: usize, value: u16) {
    [bytes[at], bytes[at + 1]] = value.to_be_bytes();
}

/// The four bytes at `at`.
#[must_use]
pub fn address_at(bytes: &[u8], at: usize) -> [u8; 4] {
    [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]
}

/// How the ECN field of an outer header follows from the inner one, by the numeric value of the
/// inner field: Not-ECT, ECT(1), ECT(0), CE (RFC 6040 figure 3).
pub type EcnRow = [u8; 4];

/// RFC 6040 figure 3, normal mode.
pub const ECN_NORMAL: EcnRow = [0b00, 0b01, 0b10, 0b11];
/// RFC 6040 figure 3, compatibility mode.
pub const ECN_COMPATIBILITY: EcnRow = [0b00, 0b00, 0b00, 0b00];
/// RFC 3168 §9.1.1, full functionality: CE becomes ECT(0).
pub const ECN_RFC3168: EcnRow = [0b00, 0b01, 0b10, 0b10];

/// In [`ECN_DECAPSULATED`]: the packet is dropped.
pub const DROP: u8 = 0xff;

/// RFC 6040 figure 4, indexed by `inner * 4 + outer`.
pub const ECN_DECAPSULATED: [u8; 16] = [0, 0, 0, DROP, 1, 1, 1, 3, 2, 1, 2, 3, 3, 3, 3, 3];

/// The flagged cells of RFC 6040 figure 4: bit `inner * 4 + outer`.
pub const ECN_ALARMS: u16 = 0x204e;

/// The one flagged cell with a single `!`: ECT(1) under ECT(0).
pub const ECN_POSSIBLE: usize = 6;

/// The alarm of a cell of RFC 6040 figure 4.
#[must_use]
pub fn ecn_alarm(inner: u8, outer: u8) -> Option<EcnAlarm> {
    let cell = usize::from(inner) * 4 + usize::from(outer);
    if ECN_ALARMS >> cell & 1 == 0 {
        None
    } else if cell == ECN_POSSIBLE {
        Some(EcnAlarm::Possible)
    } else {
        Some(EcnAlarm::Dangerous)
    }
}

/// A valid IPv4 packet, field by field, as V-01 to V-07 let it through.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    /// Header length with options, in bytes.
    pub header_len: usize,
    /// DSCP and ECN.
    pub tos: u8,
    /// Header and payload, in bytes.
    pub total_len: usize,
    /// The word of flags and fragment offset.
    pub flags_offset: u16,
    /// Hops left.
    pub ttl: u8,
    /// What the payload is.
    pub protocol: u8,
    /// Source address.
    pub source: [u8; 4],
    /// Destination address.
    pub destination: [u8; 4],
    /// The option bytes.
    pub options: &'a [u8],
    /// The payload, up to the total length.
    pub payload: &'a [u8],
    /// Bytes behind the total length.
    pub slack: usize,
}

/// V-01 to V-07, in this order, the checksum only if `with_checksum`.
///
/// # Errors
/// The first rule that is broken.
pub fn validate(bytes: &[u8], with_checksum: bool) -> Result<Fields<'_>, ParseError> {
    let present = bytes.len();
    let truncated = |need: usize| ParseError::Truncated {
        need: u16::try_from(need).unwrap(),
        have: u16::try_from(present).unwrap_or(u16::MAX),
    };
    if present < 20 {
        return Err(truncated(20)); // V-01
    }
    let version = bytes[0] / 16;
    if version != 4 {
        return Err(ParseError::BadVersion { version }); // V-02
    }
    let ihl = bytes[0] % 16;
    if ihl < 5 {
        return Err(ParseError::BadIhl { ihl }); // V-03
    }
    let header_len = usize::from(ihl) * 4;
    if header_len > present {
        return Err(truncated(header_len)); // V-04
    }
    if with_checksum && !verifies(&bytes[..header_len]) {
        return Err(ParseError::BadChecksum); // V-05
    }
    let total_len = usize::from(u16_at(bytes, 2));
    if total_len < header_len {
        return Err(ParseError::BadTotalLength {
            total_len: u16_at(bytes, 2),
        }); // V-06, V-09
    }
    if total_len > present {
        return Err(truncated(total_len)); // V-07
    }
    Ok(Fields {
        header_len,
        tos: bytes[1],
        total_len,
        flags_offset: u16_at(bytes, 6),
        ttl: bytes[8],
        protocol: bytes[9],
        source: address_at(bytes, 12),
        destination: address_at(bytes, 16),
        options: &bytes[20..header_len],
        payload: &bytes[header_len..total_len],
        slack: present - total_len, // V-08
    })
}

/// The fields of an IPv4 packet to be written, byte by byte.
#[derive(Clone, Debug)]
pub struct Plain {
    /// DSCP and ECN.
    pub tos: u8,
    /// Identification.
    pub identification: u16,
    /// The word of flags and fragment offset.
    pub flags_offset: u16,
    /// Hops left.
    pub ttl: u8,
    /// What the payload is.
    pub protocol: u8,
    /// Source address.
    pub source: [u8; 4],
    /// Destination address.
    pub destination: [u8; 4],
    /// Option bytes: a multiple of 4, at most 40.
    pub options: Vec<u8>,
}

impl Plain {
    /// The packet with this payload, as RFC 791 §3.1 draws it.
    #[must_use]
    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        assert!(self.options.len() <= 40 && self.options.len().is_multiple_of(4));
        let ihl = u8::try_from(5 + self.options.len() / 4).unwrap();
        let total_len = u16::try_from(20 + self.options.len() + payload.len()).unwrap();
        let mut bytes = vec![0x40 | ihl, self.tos];
        bytes.extend(total_len.to_be_bytes());
        bytes.extend(self.identification.to_be_bytes());
        bytes.extend(self.flags_offset.to_be_bytes());
        bytes.extend([self.ttl, self.protocol, 0, 0]);
        bytes.extend(self.source);
        bytes.extend(self.destination);
        bytes.extend(&self.options);
        bytes.extend(payload);
        fill_checksum(&mut bytes);
        bytes
    }
}

/// Writes the right checksum into an IPv4 header, as long as its IHL and the bytes allow.
pub fn fill_checksum(bytes: &mut [u8]) {
    let header_len = (usize::from(bytes[0] % 16) * 4).clamp(20, bytes.len());
    put_u16(bytes, 10, 0);
    let computed = checksum(&bytes[..header_len]);
    put_u16(bytes, 10, computed);
}

/// What changes from packet to packet, as the oracles see it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said {
    /// The packet's number.
    pub ordinal: Option<u32>,
    /// The MTU of the path.
    pub link_mtu: Option<u16>,
}

/// Where an outer identification comes from, if DF follows the inner packet.
#[derive(Clone, Copy, Debug)]
pub enum Ids {
    /// From the packet's number.
    Ordinal,
    /// Always this one.
    Constant(u16),
}

/// An encapsulator by RFC 2003 §3.1, one statement per field.
#[derive(Clone, Debug)]
pub struct Rfc2003 {
    /// Outer source.
    pub source: [u8; 4],
    /// Outer destination.
    pub destination: [u8; 4],
    /// Outer TTL; `None` inherits.
    pub ttl: Option<u8>,
    /// Outer DSCP; `None` copies.
    pub dscp: Option<u8>,
    /// Outer ECN field by inner ECN field.
    pub ecn: EcnRow,
    /// `None` sets DF always; otherwise DF follows, with this identification where it is clear.
    pub df_follows: Option<Ids>,
    /// Identification of packets with DF.
    pub atomic_identification: u16,
    /// A hop on the packet's way: TTL - 1.
    pub forwards: bool,
    /// Lets packets from the tunnel's exit in.
    pub hairpin: bool,
    /// The configured MTU.
    pub link_mtu: Option<u16>,
}

impl Rfc2003 {
    /// Every reason why `inner` must not go into the tunnel: the rules give no order beyond V-01
    /// to V-07 coming first.
    #[must_use]
    pub fn objections(&self, inner: &[u8], said: Said) -> Vec<EncapError> {
        let fields = match validate(inner, true) {
            Ok(fields) => fields,
            Err(error) => return vec![EncapError::Inner { error }], // E-01, E-02
        };
        let mut objections = Vec::new();
        if fields.ttl == 0 {
            objections.push(EncapError::TtlZero); // T-06
        }
        if fields.ttl == 1 && self.forwards {
            objections.push(EncapError::TtlExpired); // T-04
        }
        if fields.source == self.destination && !self.hairpin {
            objections.push(EncapError::LoopToExit { layer: 0 }); // E-17
        }
        if fields.source == self.source && self.forwards {
            objections.push(EncapError::LoopOwnSource { layer: 0 }); // E-18
        }
        let outer_len = fields.total_len + 20;
        if outer_len > 65535 {
            let len = u32::try_from(outer_len).unwrap();
            objections.push(EncapError::TooLong { len }); // E-06
        }
        let mtus = [self.link_mtu, said.link_mtu];
        if let Some(mtu) = mtus.into_iter().flatten().min() {
            if outer_len > usize::from(mtu) {
                let mtu = mtu.saturating_sub(20);
                objections.push(EncapError::FragmentationNeeded { mtu }); // RFC 2003 §5.1
            }
        }
        let has_df = fields.flags_offset & 0x4000 != 0;
        if matches!(self.df_follows, Some(Ids::Ordinal)) && !has_df && said.ordinal.is_none() {
            objections.push(EncapError::NoIdentification); // F-02
        }
        objections
    }

    /// The outer packet around a valid `inner` to which there is no objection.
    #[must_use]
    pub fn outer(&self, inner: &[u8], said: Said) -> Vec<u8> {
        let fields = validate(inner, true).unwrap();
        let mut carried = inner[..fields.total_len].to_vec(); // E-20
        if self.forwards {
            // T-03: "decremented ... as a normal IP forwarding would"; the checksum by equation 3.
            let old = u16_at(&carried, 8);
            carried[8] -= 1;
            let new = u16_at(&carried, 8);
            let patched = equation_3(u16_at(&carried, 10), old, new);
            put_u16(&mut carried, 10, patched);
        }
        let inner_has_df = fields.flags_offset & 0x4000 != 0;
        let (df, identification) = match self.df_follows {
            Some(ids) if !inner_has_df => match ids {
                Ids::Ordinal => (false, said.ordinal.unwrap() % 65536),
                Ids::Constant(constant) => (false, u32::from(constant)),
            },
            _ => (true, u32::from(self.atomic_identification)),
        };
        let dscp = self.dscp.unwrap_or(fields.tos / 4);
        let ecn = self.ecn[usize::from(fields.tos % 4)];
        Plain {
            tos: dscp * 4 + ecn,
            identification: u16::try_from(identification).unwrap(),
            flags_offset: if df { 0x4000 } else { 0 }, // E-09
            ttl: self.ttl.unwrap_or(carried[8]),
            protocol: 4,
            source: self.source,
            destination: self.destination,
            options: Vec::new(), // E-15
        }
        .packet(&carried)
    }
}

/// RFC 1624 equation 3, in the arithmetic of the RFC: `HC' = ~(~HC + ~m + m')`.
#[must_use]
pub fn equation_3(checksum: u16, old: u16, new: u16) -> u16 {
    let mut sum = u32::from(!checksum) + u32::from(!old) + u32::from(new);
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

/// An address and a prefix length.
pub type Net = ([u8; 4], u8);

/// Whether `address` lies in `net`, bit by bit.
#[must_use]
pub fn in_net(address: [u8; 4], (network, len): Net) -> bool {
    (0..len).all(|bit| {
        let byte = usize::from(bit / 8);
        let mask = 0x80 >> (bit % 8);
        address[byte] & mask == network[byte] & mask
    })
}

/// A peer of a [`Pipeline`].
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it sends from.
    pub outer: Net,
    /// The inner sources it may use.
    pub inner: Vec<Net>,
    /// What the verdict says of it.
    pub tag: u32,
}

/// Who may send what.
#[derive(Clone, Debug)]
pub struct Network {
    /// Our own addresses.
    pub local: Vec<[u8; 4]>,
    /// Peers, the first that fits counts.
    pub peers: Vec<Peer>,
    /// Other tunnel endpoints.
    pub endpoints: Vec<[u8; 4]>,
}

/// The switches of a decapsulator.
#[derive(Clone, Copy, Debug, Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "switches are independent of each other"
)]
pub struct Switches {
    /// Inner multicast destinations pass.
    pub multicast: bool,
    /// Inner class E addresses pass.
    pub class_e: bool,
    /// Inner packets to the peer itself pass.
    pub to_peer: bool,
    /// The inner packet must fill the carrier's payload.
    pub exact_length: bool,
    /// Inner packets from an address to itself are refused.
    pub no_land: bool,
    /// Inner tunnel protocols are refused outright.
    pub refuse_tunnels: bool,
    /// The inner DSCP becomes the outer one.
    pub uniform_dscp: bool,
    /// How many layers may be opened.
    pub max_depth: u8,
}

/// A refusal: the reason, and bytes needed and present where it is a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The first check that failed.
    pub reason: Reason,
    /// Bytes needed and present, or zeros.
    pub need_have: (u16, u16),
}

/// What a decapsulator accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Where the inner packet begins.
    pub start: usize,
    /// The inner packet as it is delivered.
    pub inner: Vec<u8>,
    /// Bytes of the carrier's payload behind it.
    pub slack: usize,
    /// The ECN alarm.
    pub alarm: Option<EcnAlarm>,
    /// The peer's tag.
    pub tag: u32,
}

/// A carrier as the oracle needs it: its protocol, and the length of its shim, checked naively.
pub trait NaiveCarrier {
    /// The outer protocol.
    fn protocol(&self) -> u8;

    /// The bytes between outer header and inner packet.
    ///
    /// # Errors
    /// The carrier's own reasons.
    fn shim_len(&self, outer: &Fields<'_>) -> Result<usize, Reason>;

    /// Whether an inner packet to us would be opened by this carrier again.
    fn reopens(&self, inner: &Fields<'_>) -> bool {
        inner.protocol == self.protocol()
    }
}

fn refuse(reason: Reason) -> Refusal {
    Refusal {
        reason,
        need_have: (0, 0),
    }
}

/// An invalid header as a refusal: `[truncated, version, IHL, checksum, total length]`.
fn refuse_header(error: ParseError, reasons: [Reason; 5]) -> Refusal {
    match error {
        ParseError::Truncated { need, have } => Refusal {
            reason: reasons[0],
            need_have: (need, have),
        },
        ParseError::BadVersion { .. } => refuse(reasons[1]),
        ParseError::BadIhl { .. } => refuse(reasons[2]),
        ParseError::BadChecksum => refuse(reasons[3]),
        ParseError::BadTotalLength { .. } => refuse(reasons[4]),
        other => panic!("an IPv4 header has no {other:?}"),
    }
}

/// 0/8, 127/8, 224/4, 240/4 with the broadcast address (D-06).
#[must_use]
pub fn is_martian(address: [u8; 4]) -> bool {
    address[0] == 0 || address[0] == 127 || address[0] >= 224
}

fn is_multicast(address: [u8; 4]) -> bool {
    address[0] / 16 == 14
}

/// 240/4 without the broadcast address.
fn is_class_e(address: [u8; 4]) -> bool {
    address[0] / 16 == 15 && address != [255; 4]
}

/// Whether LSRR or SSRR is found before the options end or break (V-13, V-14).
#[must_use]
pub fn has_source_route(options: &[u8]) -> bool {
    let mut at = 0;
    while at < options.len() {
        match options[at] {
            0 => return false,
            1 => at += 1,
            kind => {
                let Some(&length) = options.get(at + 1) else {
                    return false;
                };
                let length = usize::from(length);
                if length < 2 || at + length > options.len() {
                    return false;
                }
                if kind == 131 || kind == 137 {
                    return true;
                }
                at += length;
            }
        }
    }
    false
}

/// The decapsulation pipeline D-01 to D-23, line by line.
///
/// # Errors
/// The first check that fails.
#[allow(
    clippy::too_many_lines,
    reason = "the rules in their order, as the table has them"
)]
pub fn decapsulate(
    carrier: &dyn NaiveCarrier,
    network: &Network,
    switches: Switches,
    packet: &[u8],
) -> Result<Accepted, Refusal> {
    use Reason as R;
    let is_local = |address: [u8; 4]| network.local.contains(&address);

    // D-01, D-02
    let outer = validate(packet, true).map_err(|error| {
        refuse_header(
            error,
            [
                R::OuterTruncated,
                R::OuterBadVersion,
                R::OuterBadIhl,
                R::OuterBadChecksum,
                R::OuterBadTotalLength,
            ],
        )
    })?;
    // D-03
    if outer.flags_offset & 0x3fff != 0 {
        return Err(refuse(R::OuterFragment));
    }
    // D-04
    if outer.protocol != carrier.protocol() {
        return Err(refuse(R::NotTunnel));
    }
    // D-05: the local set is unicast, whatever was put into it.
    if !is_local(outer.destination) || is_martian(outer.destination) {
        return Err(refuse(R::OuterDstNotLocal));
    }
    // D-06
    if is_martian(outer.source) || is_local(outer.source) {
        return Err(refuse(R::OuterMartianSource));
    }
    // D-07
    let Some(peer) = network
        .peers
        .iter()
        .find(|peer| in_net(outer.source, peer.outer))
    else {
        return Err(refuse(R::UnknownPeer));
    };
    // D-08
    if has_source_route(outer.options) {
        return Err(refuse(R::OuterSourceRoute));
    }
    // D-09, D-10
    let shim_len = carrier.shim_len(&outer).map_err(refuse)?;
    let start = outer.header_len + shim_len;
    // D-11
    let bytes = &packet[start..outer.total_len];
    let inner = validate(bytes, true).map_err(|error| {
        refuse_header(
            error,
            [
                R::InnerTruncated,
                R::InnerBadVersion,
                R::InnerBadIhl,
                R::InnerBadChecksum,
                R::InnerBadTotalLength,
            ],
        )
    })?;
    // D-12
    if switches.exact_length && inner.slack != 0 {
        return Err(refuse(R::InnerLengthMismatch));
    }
    // D-13
    if inner.ttl == 0 {
        return Err(refuse(R::InnerTtlZero));
    }
    // D-14
    if is_martian(inner.source) && !(switches.class_e && is_class_e(inner.source)) {
        return Err(refuse(R::InnerMartianSource));
    }
    // D-15
    if is_local(inner.source) {
        return Err(refuse(R::InnerSourceIsLocal));
    }
    // D-16
    if (inner.source, inner.destination) == (outer.source, outer.destination) {
        return Err(refuse(R::InnerEqualsOuter));
    }
    // D-17
    if !peer.inner.iter().any(|&net| in_net(inner.source, net)) {
        return Err(refuse(R::InnerSourceNotAllowed));
    }
    // D-18
    let may_go = !is_martian(inner.destination)
        || (switches.multicast && is_multicast(inner.destination))
        || (switches.class_e && is_class_e(inner.destination));
    if !may_go {
        return Err(refuse(R::InnerMartianDestination));
    }
    // D-19
    if (inner.destination == outer.source && !switches.to_peer)
        || network.endpoints.contains(&inner.destination)
    {
        return Err(refuse(R::LoopToPeer));
    }
    // D-20
    let is_tunnel = [4, 41, 47, 55, 137].contains(&inner.protocol);
    let reopened = is_local(inner.destination) && (is_tunnel || carrier.reopens(&inner));
    if (reopened || (switches.refuse_tunnels && is_tunnel)) && switches.max_depth <= 1 {
        return Err(refuse(R::NestingLimit));
    }
    // D-21
    let cell = usize::from(inner.tos % 4) * 4 + usize::from(outer.tos % 4);
    let ecn = ECN_DECAPSULATED[cell];
    if ecn == DROP {
        return Err(refuse(R::EcnDrop));
    }
    // D-22
    if switches.no_land && inner.source == inner.destination {
        return Err(refuse(R::InnerSourceEqualsDestination));
    }
    // D-23
    let dscp = if switches.uniform_dscp {
        outer.tos / 4
    } else {
        inner.tos / 4
    };
    let mut delivered = bytes[..inner.total_len].to_vec();
    let tos = dscp * 4 + ecn;
    if tos != inner.tos {
        let old = u16_at(&delivered, 0);
        delivered[1] = tos;
        let patched = equation_3(u16_at(&delivered, 10), old, u16_at(&delivered, 0));
        put_u16(&mut delivered, 10, patched);
    }
    Ok(Accepted {
        start,
        inner: delivered,
        slack: inner.slack,
        alarm: ecn_alarm(inner.tos % 4, outer.tos % 4),
        tag: peer.tag,
    })
}
