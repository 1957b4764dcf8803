//! The outer IPv4 header that all encapsulators but minimal encapsulation write.

use core::net::Ipv4Addr;

use super::PerPacket;
use super::native::{carrying_add, fold, halves, stored, stored_payload_len, widened};
use super::policy::Role;
use crate::error::{ConfigError, EncapError, ParseError};
use crate::filter::is_unicast;
use crate::packet::{Flow, PacketMeta};
use crate::wire::{IpProtocol, Ipv4Flags, Ipv4Header};
use zerocopy::FromBytes;

mod policies;

pub(super) use policies::outer_policies;

/// Addresses and policies of an outer header, as what they come to: the header but for what follows
/// from the inner packet, with its sum.
///
/// ```text
///  first    45 | constant TOS bits | total length: 0 | identification | DF, fragment offset
///  second   TTL, 0 if inherited | protocol | checksum: all ones | source
///  third    destination                                            all in network byte order
/// ```
///
/// A packet costs the three values that change: TOS, length and checksum. Most tunnels have no
/// [`Switches`] set and need no more.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Outer {
    first: u64,
    second: u64,
    third: u32,
    /// Of these words but for the first four bytes, folded.
    sum: u16,
    /// Of outer packets: the MTU behind the tunnel, or what 16 bits can say.
    max_len: u16,
    /// The same where no [`Switches`] are set; else 0.
    ordinary_max_len: u16,
    /// Of outer packets without DF, unless it is said of each packet.
    identification: u16,
    /// The bits of the inner TOS byte that go out as they are.
    copied_tos: u8,
    switches: Switches,
}

bitflags::bitflags! {
    /// What a packet may need beyond the three values.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    struct Switches: u8 {
        const INHERIT_TTL = 1;
        const COPY_DF = 2;
        const PER_PACKET_IDENTIFICATION = 4;
        const RESET_CE = 8;
        const FORWARD = 16;
        const HAIRPIN = 32;
        /// What stands behind the header is unusual, whatever the packet.
        const UNUSUAL = 64;
    }
}

impl Outer {
    pub(super) const fn new(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: IpProtocol,
    ) -> Result<Self, ConfigError> {
        if !is_unicast(source) {
            return Err(ConfigError::ForbiddenSource);
        }
        if !is_unicast(destination) {
            return Err(ConfigError::ForbiddenDestination);
        }
        let [df_high, df_low] = Ipv4Flags::DF.bits().to_be_bytes();
        let [a, b, c, d] = source.octets();
        Ok(Self {
            first: u64::from_ne_bytes([0x45, 0, 0, 0, 0, 0, df_high, df_low]),
            second: u64::from_ne_bytes([DEFAULT_TTL, protocol.0, 0xff, 0xff, a, b, c, d]),
            third: u32::from_ne_bytes(destination.octets()),
            sum: 0,
            max_len: u16::MAX,
            ordinary_max_len: 0,
            identification: 0,
            copied_tos: 0xff,
            switches: Switches::empty(),
        }
        .completed())
    }

    /// The same with what follows from the other fields.
    const fn completed(self) -> Self {
        let [_, behind]: [u32; 2] = zerocopy::transmute!(self.first);
        Self {
            sum: fold(sum_of(at_start(behind), self.second, self.third)),
            ordinary_max_len: if !self.switches.is_empty() {
                0
            } else if self.max_len < ORDINARY_MAX_LEN {
                self.max_len
            } else {
                ORDINARY_MAX_LEN
            },
            ..self
        }
    }

    pub(super) const fn source(&self) -> Ipv4Addr {
        let [.., a, b, c, d] = self.second.to_ne_bytes();
        Ipv4Addr::new(a, b, c, d)
    }

    pub(super) const fn destination(&self) -> Ipv4Addr {
        let [a, b, c, d] = self.third.to_ne_bytes();
        Ipv4Addr::new(a, b, c, d)
    }

    const fn protocol(&self) -> IpProtocol {
        let [_, protocol, ..] = self.second.to_ne_bytes();
        IpProtocol(protocol)
    }

    /// The pseudo-header's sum without its length, folded.
    pub(super) const fn pseudo_sum(&self) -> u16 {
        let [_, _, _, _, a, b, c, d] = self.second.to_ne_bytes();
        let source = halves(u32::from_ne_bytes([a, b, c, d]));
        let protocol = stored(u16::from_be_bytes([0, self.protocol().0]));
        fold(
            source
                .wrapping_add(halves(self.third))
                .wrapping_add(protocol),
        )
    }

    /// What a transport header with a checksum makes all behind the outer header sum to (C-20): the
    /// complement of the pseudo-header.
    #[inline(always)]
    pub(super) const fn transport_sum(&self, outer: &PacketMeta) -> u16 {
        let pseudo = widened(self.pseudo_sum()).wrapping_add(stored_payload_len(outer));
        !u16::from_be(fold(pseudo))
    }

    const fn role(&self) -> Role {
        if self.switches.contains(Switches::FORWARD) {
            Role::Forward
        } else {
            Role::Originate
        }
    }

    /// The longest inner packet that is ordinary under a header of `overhead` bytes; 0 if none is.
    pub(super) const fn ordinary_inner_len(&self, overhead: u16) -> u16 {
        self.ordinary_max_len.saturating_sub(overhead)
    }

    /// The same, which calls no outer packet ordinary that is longer.
    pub(super) const fn with_ordinary_max_len(self, len: u16) -> Self {
        if len < self.ordinary_max_len {
            Self {
                ordinary_max_len: len,
                ..self
            }
        } else {
            self
        }
    }

    /// [`judge_ordinary`](Self::judge_ordinary) of a packet that was found ordinary.
    #[inline(always)]
    pub(super) fn folded(&self, inner: &PacketMeta, overhead: u16) -> PacketMeta {
        self.ordinary(
            inner.tos(),
            inner.len_if_ipv4().wrapping_add(u32::from(overhead)),
        )
    }

    /// What [`judge`](Self::judge) answers where no [`Switches`] ask for more and nothing is refused.
    #[inline(always)]
    pub(super) fn judge_ordinary(
        &self,
        inner: &PacketMeta,
        packet: &PerPacket,
        overhead: u16,
    ) -> Option<PacketMeta> {
        let header = inner.header();
        let len = u64::from(inner.len_if_ipv4()).wrapping_add(u64::from(overhead));
        if header.ttl() == 0 || u32::from_ne_bytes(header.source().octets()) == self.third {
            return None;
        }
        if len > u64::from(self.ordinary_max_len) {
            return None;
        }
        if len > u64::from(packet.max_len()) {
            return None;
        }
        Some(self.ordinary(inner.tos(), u32::try_from(len).ok()?))
    }

    #[inline(always)]
    const fn meta(&self, header: Ipv4Header, len_tos: (u32, u8)) -> PacketMeta {
        let flow = Flow {
            source: self.source(),
            destination: self.destination(),
            protocol: self.protocol(),
            source_port: 0,
            destination_port: 0,
        };
        PacketMeta::composed(header, len_tos, flow)
    }

    /// The header of a packet of this length over an inner one with this TOS byte, where no
    /// [`Switches`] ask for more.
    ///
    /// The checksum is summed from the values: reading back bytes that were just stored costs more
    /// than all of this.
    #[inline]
    const fn ordinary(&self, inner_tos: u8, len: u32) -> PacketMeta {
        let [_, _, high, low] = len.to_be_bytes();
        let varying = u32::from_ne_bytes([0, inner_tos & self.copied_tos, high, low]);
        let first = self.first | at_start(varying);
        let [start, _]: [u32; 2] = zerocopy::transmute!(first);
        // Does not wrap: see `ORDINARY_MAX_LEN`. A carry between the halves counts where it arrives.
        let sum = start.wrapping_add(widened(self.sum));
        let [_, tos, ..] = first.to_ne_bytes();
        self.meta(self.header(first, self.second, sum), (len, tos))
    }

    /// The header of these words, whose sum over all three is `sum`.
    #[inline]
    const fn header(&self, first: u64, second: u64, sum: u32) -> Ipv4Header {
        let [high, low] = fold(sum).to_ne_bytes();
        // The checksum is all ones so far, -0 to the sum: this makes it the complement.
        let second = second ^ at_start(u32::from_ne_bytes([0, 0, high, low]));
        let words = Words {
            first: first.to_ne_bytes(),
            second: second.to_ne_bytes(),
            third: self.third.to_ne_bytes(),
        };
        Ipv4Header::from_bytes(zerocopy::transmute!(words))
    }

    /// The header in front of `overhead - 20` further bytes and the inner packet, or why there is
    /// none.
    #[cfg_attr(
        not(all(target_os = "none", not(target_pointer_width = "64"))),
        inline(never)
    )]
    pub(super) fn judge(
        &self,
        inner: &PacketMeta,
        packet: &PerPacket,
        overhead: u16,
    ) -> Result<PacketMeta, EncapError> {
        if inner.version() != 4 {
            return Err(ParseError::BadVersion {
                version: inner.version(),
            }
            .into());
        }
        let header = inner.header();
        let inner_ttl = travelling_ttl(header.ttl(), self.role())?;
        self.refuse_loop(header.source())?;
        let max_len = self.max_len.min(packet.max_len());
        let total_len = fitting_len(inner, overhead, max_len, packet.segment_len())?;

        let copied = header.tos() & self.copied_tos;
        // The lower bit of CE, 0b11, without which it is ECT(0).
        let resets = u8::from(self.switches.contains(Switches::RESET_CE));
        let tos = copied ^ (copied & (copied >> 1) & resets);
        let [high, low] = total_len.to_be_bytes();
        let [mut start, mut fragment]: [u32; 2] = zerocopy::transmute!(self.first);
        start |= u32::from_ne_bytes([0, tos, high, low]);
        let copies_df = self.switches.contains(Switches::COPY_DF);
        if copies_df && !header.flags().contains(Ipv4Flags::DF) {
            let [high, low] = self.identification(packet)?.to_be_bytes();
            fragment = u32::from_ne_bytes([high, low, 0, 0]);
        }
        let first = zerocopy::transmute!([start, fragment]);
        let second = if self.switches.contains(Switches::INHERIT_TTL) {
            self.second | at_start(u32::from_ne_bytes([inner_ttl, 0, 0, 0]))
        } else {
            self.second
        };
        let header = self.header(first, second, sum_of(first, second, self.third));
        Ok(self.meta(header, (u32::from(total_len), tos | self.constant_tos())))
    }

    fn refuse_loop(&self, inner_source: Ipv4Addr) -> Result<(), EncapError> {
        let hairpin = self.switches.contains(Switches::HAIRPIN);
        let ends = (self.source(), self.destination());
        refuse_loop(inner_source, ends.0, ends.1, self.role(), hairpin)
    }

    /// Of an outer packet that may be fragmented (F-02).
    fn identification(&self, packet: &PerPacket) -> Result<u16, EncapError> {
        if !self.switches.contains(Switches::PER_PACKET_IDENTIFICATION) {
            return Ok(self.identification);
        }
        packet.identification().ok_or(EncapError::NoIdentification)
    }

    /// Takes the inner TTL down behind the first `overhead` bytes of `frame`, if this hop forwards.
    #[inline]
    pub(super) fn forward(&self, frame: &mut [u8], overhead: usize) {
        if self.role() == Role::Forward {
            take_ttl_down(frame.get_mut(overhead..).unwrap_or_default());
        }
    }

    pub(super) fn would_loop(&self, inner: &PacketMeta, port: Option<u16>) -> bool {
        let header = inner.header();
        self.refuse_loop(header.source()).is_err()
            || (header.protocol() == self.protocol()
                && header.source() == self.source()
                && header.destination() == self.destination()
                && port.is_none_or(|port| inner.flow().destination_port == port))
    }
}

const DEFAULT_TTL: u8 = 64;

/// A total length of 0xFFFF, beside TOS bits in one word, is the only one to which adding the sum of
/// the constant words could carry out of 32 bits.
const ORDINARY_MAX_LEN: u16 = 0xfffe;

/// An IPv4 header, as it is stored.
#[derive(zerocopy::IntoBytes, zerocopy::Immutable)]
#[repr(C)]
struct Words {
    first: [u8; 8],
    second: [u8; 8],
    third: [u8; 4],
}

/// The first four bytes of eight, the others being 0.
#[inline]
const fn at_start(word: u32) -> u64 {
    let [a, b, c, d] = word.to_ne_bytes();
    u64::from_ne_bytes([a, b, c, d, 0, 0, 0, 0])
}

/// The sum of the words of a header, as they are stored.
const fn sum_of(first: u64, second: u64, third: u32) -> u32 {
    let [a, b]: [u32; 2] = zerocopy::transmute!(first);
    let [c, d]: [u32; 2] = zerocopy::transmute!(second);
    let (sum, carry) = carrying_add(a, b, false);
    let (sum, carry) = carrying_add(sum, c, carry);
    let (sum, carry) = carrying_add(sum, d, carry);
    let (sum, carry) = carrying_add(sum, third, carry);
    if carry { sum.wrapping_add(1) } else { sum }
}

#[cold]
#[inline(never)]
fn take_ttl_down(inner_packet: &mut [u8]) {
    if let Ok((header, _)) = Ipv4Header::mut_from_prefix(inner_packet) {
        // `judge` has refused the TTLs that cannot be taken down.
        let _: bool = header.decrement_ttl();
    }
}

/// The TTL with which the inner packet travels on (T-03 to T-06).
pub(super) const fn travelling_ttl(ttl: u8, role: Role) -> Result<u8, EncapError> {
    let hops = match role {
        Role::Forward => 1,
        Role::Originate => 0,
    };
    if ttl > hops {
        Ok(ttl.wrapping_sub(hops))
    } else if ttl == 0 {
        Err(EncapError::TtlZero)
    } else {
        Err(EncapError::TtlExpired)
    }
}

/// E-17 and E-18.
pub(super) fn refuse_loop(
    inner_source: Ipv4Addr,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    role: Role,
    hairpin: bool,
) -> Result<(), EncapError> {
    if inner_source == destination && !hairpin {
        Err(EncapError::LoopToExit { layer: 0 })
    } else if inner_source == source && role == Role::Forward {
        Err(EncapError::LoopOwnSource { layer: 0 })
    } else {
        Ok(())
    }
}

/// The outer total length, if 16 bits and the link can take it (E-06, I-14).
pub(super) fn fitting_len(
    inner: &PacketMeta,
    overhead: u16,
    max_len: u16,
    segment_len: Option<u16>,
) -> Result<u16, EncapError> {
    let outer_len = inner.len_if_ipv4().saturating_add(u32::from(overhead));
    // Of a super-packet each segment must fit the link, and all of it 16 bits.
    let is_cut_to_fit = segment_len.is_some_and(|len| len.saturating_add(overhead) <= max_len);
    if outer_len <= u32::from(if is_cut_to_fit { u16::MAX } else { max_len }) {
        let [_, _, high, low] = outer_len.to_be_bytes();
        return Ok(u16::from_be_bytes([high, low]));
    }
    Err(if is_cut_to_fit || max_len == u16::MAX {
        EncapError::TooLong {
            len: inner.len().saturating_add(u32::from(overhead)),
        }
    } else {
        EncapError::FragmentationNeeded {
            mtu: max_len.saturating_sub(overhead),
        }
    })
}
