//! The outer IPv4 header of a tunnel: the checks, and the header's composition.

use core::net::Ipv4Addr;

use super::policy::OuterPolicy;
use crate::error::{ConfigError, EncapError, ParseError};
use crate::packet::{Composed, Facts, Figures, PerPacket, Rules};
use crate::shim::{PseudoHeader, fold, halves, widened};
use crate::wire::{IpProtocol, Ipv4Header, is_unicast};

mod words;

/// Addresses and policies of an outer header, as what they come to: the header but for what follows
/// from the packet, with its sum.
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
    /// The same without DF and with the identification that such packets have.
    sum_without_df: u16,
    /// Of outer packets: the MTU behind the tunnel, or what 16 bits can say.
    max_len: u16,
    /// The same where no [`Switches`] are set; else 0.
    common_max_len: u16,
    /// Of outer packets without DF, as it is stored; 0 if it comes with the packet.
    identification: u16,
    /// The pseudo-header's sum without its length.
    pseudo_sum: u16,
    /// The bits of the inner TOS byte that go out as they are.
    copied_tos: u8,
    switches: Switches,
    /// By how much the inner TTL is decremented.
    hops: u8,
    /// The bits of the inner TTL that go out.
    ttl_mask: u8,
    /// All ones where the inner source may be the tunnel's exit, else 0.
    exit_mask: u32,
    /// All ones where it may be the encapsulator, else 0.
    own_mask: u32,
}

const _: () = assert!(size_of::<Outer>() <= 48);

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
        /// Those that change the header.
        const COMPOSED = 1 | 2 | 8;
    }
}

/// The ECN field's bits in the TOS byte.
const ECN: u8 = 0b11;

/// A total length of 0xFFFF, beside TOS bits in one word, is the only one to which adding the sum of
/// the constant words could carry out of 32 bits.
const COMMON_MAX_LEN: u16 = 0xfffe;

/// Whether a quoted header may have options.
#[derive(Clone, Copy, Debug)]
pub(super) enum HeaderLen {
    Fixed,
    Any,
}

/// The bits of a header that do not depend on the packet and that nobody changes on its way.
const COMPARED: [u8; Ipv4Header::LEN] = [
    0xff, 0, 0, 0, 0, 0, 0x1f, 0xff, 0, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
];

/// Why a packet cannot go into a tunnel, without the figures.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    Version,
    Ttl,
    LoopToExit,
    LoopOwnSource,
    Length,
    Identification,
}

impl Outer {
    pub(super) const fn new(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: IpProtocol,
        policy: &OuterPolicy,
    ) -> Result<Self, ConfigError> {
        if !is_unicast(source) {
            return Err(ConfigError::ForbiddenSource);
        }
        if !is_unicast(destination) {
            return Err(ConfigError::ForbiddenDestination);
        }
        Ok(Self::composed(source, destination, protocol, policy))
    }

    pub(super) const fn with_policy(&self, policy: &OuterPolicy) -> Self {
        Self::composed(self.source(), self.destination(), self.protocol(), policy)
    }

    const fn has(&self, switch: Switches) -> bool {
        self.switches.intersects(switch)
    }

    pub(super) const fn source(&self) -> Ipv4Addr {
        let [.., a, b, c, d] = self.second.to_ne_bytes();
        Ipv4Addr::new(a, b, c, d)
    }

    #[inline(always)]
    const fn stored_source(&self) -> u32 {
        let [.., a, b, c, d] = self.second.to_ne_bytes();
        u32::from_ne_bytes([a, b, c, d])
    }

    pub(super) const fn destination(&self) -> Ipv4Addr {
        let [a, b, c, d] = self.third.to_ne_bytes();
        Ipv4Addr::new(a, b, c, d)
    }

    const fn protocol(&self) -> IpProtocol {
        let [_, protocol, ..] = self.second.to_ne_bytes();
        IpProtocol(protocol)
    }

    /// The rules that every packet needs here.
    #[inline(always)]
    pub(super) const fn rules(&self) -> Rules {
        if self.switches.is_empty() {
            Rules::Common
        } else {
            Rules::All
        }
    }

    /// By how much the inner TTL is decremented.
    #[inline(always)]
    pub(super) const fn hops(&self) -> u8 {
        self.hops
    }

    /// The longest outer packet, in bytes.
    #[inline(always)]
    pub(super) const fn max_len(&self) -> u16 {
        self.max_len
    }

    /// The same header, known to need no more than these rules.
    #[inline(always)]
    const fn under(self, rules: Rules) -> Self {
        match rules {
            Rules::Common => Self {
                switches: Switches::empty(),
                hops: 0,
                ttl_mask: 0,
                max_len: self.common_max_len,
                exit_mask: 0,
                own_mask: u32::MAX,
                ..self
            },
            Rules::All | Rules::Explained | Rules::HeadersOnly => self,
        }
    }

    /// Whether it can stand in front of this packet, which makes `len` bytes in all.
    #[inline(always)]
    pub(super) fn check(
        &self,
        inner: &Facts,
        len: usize,
        packet: &PerPacket,
        rules: Rules,
    ) -> Result<(), Fault> {
        let outer = self.under(rules);
        // Else such a packet is too long.
        if rules.explain() && inner.version() != 4 {
            return Err(Fault::Version);
        }
        if inner.ttl() <= outer.hops {
            return Err(Fault::Ttl);
        }
        if outer.loops_to_exit(inner) {
            return Err(Fault::LoopToExit);
        }
        if outer.loops_from_here(inner) {
            return Err(Fault::LoopOwnSource);
        }
        if outer.exceeds_limits(inner, len, packet, rules) {
            return Err(Fault::Length);
        }
        let per_packet = outer.has(Switches::PER_PACKET_IDENTIFICATION);
        if per_packet && !inner.has_df() && packet.identification().is_none() {
            return Err(Fault::Identification);
        }
        Ok(())
    }

    /// Whether the inner source is the tunnel's exit, which no policy allows.
    #[inline(always)]
    const fn loops_to_exit(&self, inner: &Facts) -> bool {
        (inner.stored_source() ^ self.third) | self.exit_mask == 0
    }

    /// Whether the inner source is the encapsulator, which is not where the packet comes from.
    #[inline(always)]
    const fn loops_from_here(&self, inner: &Facts) -> bool {
        (inner.stored_source() ^ self.stored_source()) | self.own_mask == 0
    }

    #[inline(always)]
    fn exceeds_limits(&self, inner: &Facts, len: usize, packet: &PerPacket, rules: Rules) -> bool {
        let is_too_long =
            len > usize::from(self.max_len) || len > usize::from(packet.max_len(rules));
        is_too_long
            && (rules.are_common() || {
                let read_len = inner
                    .len_with(0)
                    .wrapping_sub(usize::from(inner.overhead()));
                segments_exceed(self.max_len, read_len, len, packet)
            })
    }

    /// A fault of [`check`](Self::check) with its figures.
    #[cfg_attr(
        not(all(target_os = "none", not(target_pointer_width = "64"))),
        cold,
        inline(never)
    )]
    pub(super) fn error(
        &self,
        fault: Fault,
        inner: Figures,
        overhead: u16,
        packet: &PerPacket,
    ) -> EncapError {
        let layer = inner.layers;
        match fault {
            Fault::Version => ParseError::BadVersion {
                version: inner.version,
            }
            .into(),
            Fault::Ttl if inner.ttl == 0 => EncapError::TtlZero,
            Fault::Ttl => EncapError::TtlExpired,
            Fault::LoopToExit => EncapError::LoopToExit { layer },
            Fault::LoopOwnSource => EncapError::LoopOwnSource { layer },
            Fault::Identification => EncapError::NoIdentification,
            Fault::Length => {
                let mtu = self.max_len.min(packet.max_len(Rules::All));
                let headers = inner.overhead.saturating_add(overhead);
                let segment_len = packet.segment_len().unwrap_or(u16::MAX);
                let segments_fit = segment_len.saturating_add(headers) <= mtu;
                if mtu == u16::MAX || segments_fit {
                    let len = inner.len.saturating_add(u32::from(overhead));
                    return EncapError::TooLong { len };
                }
                EncapError::FragmentationNeeded {
                    mtu: mtu.saturating_sub(headers),
                }
            }
        }
    }

    /// [`error`](Self::error), which is left out where nobody reads it.
    #[cold]
    #[inline(never)]
    pub(super) fn error_apart(
        &self,
        fault: Fault,
        inner: Figures,
        overhead: u16,
        packet: &PerPacket,
    ) -> EncapError {
        self.error(fault, inner, overhead, packet)
    }

    /// The facts of the outer packet, for the next tunnel around it.
    #[inline(always)]
    pub(super) const fn facts(&self, inner: &Facts, overhead: u16, rules: Rules) -> Facts {
        let outer = self.under(rules);
        let [_, constant_tos, ..] = outer.first.to_ne_bytes();
        let [ttl, ..] = outer.second.to_ne_bytes();
        let mut tos = inner.tos() & outer.copied_tos;
        if outer.has(Switches::RESET_CE) {
            tos = reset_ce(tos);
        }
        let composed = Composed {
            source: outer.source(),
            destination: outer.destination(),
            protocol: outer.protocol(),
            tos: tos | constant_tos,
            ttl: ttl | (inner.ttl().wrapping_sub(outer.hops) & outer.ttl_mask),
            has_df: !outer.has(Switches::COPY_DF) || inner.has_df(),
        };
        inner.inside(composed, overhead)
    }

    /// The header of a packet of `len` bytes in all.
    ///
    /// The checksum is summed from the values: reading back bytes that were just stored costs more
    /// than all of this.
    #[inline(always)]
    pub(super) fn header(
        &self,
        inner: &Facts,
        len: usize,
        packet: &PerPacket,
        rules: Rules,
    ) -> [u8; Ipv4Header::LEN] {
        let outer = self.under(rules);
        let mut tos = inner.tos() & outer.copied_tos;
        let (mut first, mut second) = (outer.first, outer.second);
        let mut sum = widened(outer.sum);
        if outer.has(Switches::COMPOSED) {
            if outer.has(Switches::COPY_DF) && !inner.has_df() {
                let identification = outer.identification_of(packet);
                let [high, low] = identification.to_ne_bytes();
                let [start, _]: [u32; 2] = zerocopy::transmute!(first);
                first = beside(start, u32::from_ne_bytes([high, low, 0, 0]));
                sum = widened(outer.sum_without_df);
                if outer.has(Switches::PER_PACKET_IDENTIFICATION) {
                    sum = sum.wrapping_add(widened(identification));
                }
            }
            if outer.has(Switches::RESET_CE) {
                tos = reset_ce(tos);
            }
            if outer.has(Switches::INHERIT_TTL) {
                let ttl = u32::from_ne_bytes([inner.ttl().wrapping_sub(outer.hops), 0, 0, 0]);
                second |= beside(ttl, 0);
                sum = sum.wrapping_add(ttl);
            }
        }
        let [.., high, low] = len.to_be_bytes();
        let first = first | beside(u32::from_ne_bytes([0, tos, high, low]), 0);
        let [start, _]: [u32; 2] = zerocopy::transmute!(first);
        // The common length limit keeps this from carrying; a carry between the halves counts where it
        // arrives.
        let sum = match rules {
            Rules::Common => start.wrapping_add(sum),
            Rules::All | Rules::Explained | Rules::HeadersOnly => end_around_add(start, sum),
        };
        let [high, low] = fold(sum).to_ne_bytes();
        // The checksum is all ones so far, -0 to the sum: this makes it the complement.
        let second = second ^ beside(u32::from_ne_bytes([0, 0, high, low]), 0);
        zerocopy::transmute!(Words {
            first: first.to_ne_bytes(),
            second: second.to_ne_bytes(),
            third: outer.third.to_ne_bytes(),
        })
    }

    /// Of an outer packet that may be fragmented, as it is stored.
    #[inline(always)]
    fn identification_of(&self, packet: &PerPacket) -> u16 {
        if self.has(Switches::PER_PACKET_IDENTIFICATION) {
            packet.identification().unwrap_or_default().to_be()
        } else {
            self.identification
        }
    }

    /// Decrements the TTL of the inner packet, if this hop forwards.
    #[inline(always)]
    pub(super) fn forward(&self, inner_packet: &mut [u8], rules: Rules) {
        if self.under(rules).has(Switches::FORWARD) {
            decrement_ttl(inner_packet);
        }
    }

    /// The pseudo-header of an outer packet of `len` bytes in all.
    #[inline(always)]
    pub(super) const fn pseudo(&self, len: usize) -> PseudoHeader {
        let [.., high, low] = len.wrapping_sub(Ipv4Header::LEN).to_be_bytes();
        PseudoHeader::new(self.pseudo_sum, u16::from_be_bytes([high, low]))
    }

    /// Whether this header may be the quoted one, as far as that is quoted: the fields that do not depend
    /// on the packet and that nobody changes on its way.
    pub(super) fn matches(&self, quoted: &[u8], header_len: HeaderLen) -> bool {
        let header: [u8; Ipv4Header::LEN] = zerocopy::transmute!(Words {
            first: self.first.to_ne_bytes(),
            second: self.second.to_ne_bytes(),
            third: self.third.to_ne_bytes(),
        });
        let mut compared = match header_len {
            HeaderLen::Fixed => 0xff,
            HeaderLen::Any => 0xf0,
        };
        let mut differ = 0;
        for ((quoted, ours), mask) in quoted.iter().zip(header).zip(&COMPARED) {
            differ |= (quoted ^ ours) & mask & compared;
            compared = 0xff;
        }
        differ == 0
    }

    /// Whether a packet looks as if it came out of this tunnel, or would loop in it (RFC 2003 §3.2).
    pub(super) fn would_loop(&self, inner: &Facts, port: Option<u16>) -> bool {
        let is_own = inner.protocol() == self.protocol()
            && inner.source() == self.source()
            && inner.destination() == self.destination()
            && port.is_none_or(|port| inner.flow().destination_port == port);
        self.loops_to_exit(inner) || self.loops_from_here(inner) || is_own
    }
}

/// Whether a packet is too long that exceeds this MTU or that of the link: not a super-packet whose
/// segments fit, if 16 bits can say its length. It had `read_len` bytes, and has `len` with headers.
#[cfg_attr(
    not(all(target_os = "none", not(target_pointer_width = "64"))),
    cold,
    inline(never)
)]
fn segments_exceed(max_len: u16, read_len: usize, len: usize, packet: &PerPacket) -> bool {
    match packet.segment_len() {
        Some(segment_len) if u16::try_from(len).is_ok() => {
            // A segment gets the headers that the packet gets.
            let excess = read_len.saturating_sub(usize::from(segment_len));
            let max_len = max_len.min(packet.max_len(Rules::All));
            len.saturating_sub(excess) > usize::from(max_len)
        }
        _ => true,
    }
}

/// CE becomes ECT(0), the others stay (RFC 3168 §9.1.1).
#[inline(always)]
const fn reset_ce(tos: u8) -> u8 {
    tos ^ (tos & (tos >> 1) & 1)
}

/// Two words beside each other, in the order of their bytes.
#[inline(always)]
const fn beside(first: u32, second: u32) -> u64 {
    zerocopy::transmute!([first, second])
}

#[inline(always)]
const fn end_around_add(left: u32, right: u32) -> u32 {
    if cfg!(target_arch = "bpf") {
        // The kernel's verifier follows both ways of a carry. There is none of sums of halves.
        return halves(left).wrapping_add(halves(right));
    }
    let (sum, carry) = left.overflowing_add(right);
    if carry { sum.wrapping_add(1) } else { sum }
}

/// An IPv4 header, as it is stored.
#[derive(zerocopy::IntoBytes, zerocopy::Immutable)]
#[repr(C)]
struct Words {
    first: [u8; 8],
    second: [u8; 8],
    third: [u8; 4],
}

#[inline(always)]
fn decrement_ttl(inner_packet: &mut [u8]) {
    use zerocopy::FromBytes;
    if let Ok((header, _)) = Ipv4Header::mut_from_prefix(inner_packet) {
        // The checks have refused TTLs that cannot be decremented.
        let _: bool = header.decrement_ttl();
    }
}
