//! The policies of an outer header as words, and back.

use core::net::Ipv4Addr;
use core::num::NonZeroU8;

use super::{COMMON_MAX_LEN, ECN, Outer, Switches, beside};
use crate::encap::policy::{
    DfPolicy, DscpPolicy, EcnPolicy, IdSource, OuterPolicy, Role, TtlPolicy,
};
use crate::shim::{fold, halves, stored, widened};
use crate::wire::{Dscp, Ecn, IpProtocol, Ipv4Flags};

impl Outer {
    pub(super) const fn composed(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: IpProtocol,
        policy: &OuterPolicy,
    ) -> Self {
        let mut switches = Switches::empty();
        let (ttl, ttl_mask) = match policy.ttl {
            TtlPolicy::Fixed(ttl) => (ttl.get(), 0),
            TtlPolicy::Inherit => {
                switches = switches.union(Switches::INHERIT_TTL);
                (0, 0xff)
            }
        };
        let (copied_dscp, constant_tos) = match policy.dscp {
            DscpPolicy::Copy => (!ECN, 0),
            DscpPolicy::Fixed(dscp) => (0, dscp.with_ecn(Ecn::NotEct)),
        };
        let copied_ecn = match policy.ecn {
            EcnPolicy::Normal => ECN,
            EcnPolicy::Compatibility => 0,
            EcnPolicy::Rfc3168 => {
                switches = switches.union(Switches::RESET_CE);
                ECN
            }
        };
        let identification = match policy.df {
            DfPolicy::Set => 0,
            DfPolicy::Copy(IdSource::Constant(identification)) => {
                switches = switches.union(Switches::COPY_DF);
                identification.to_be()
            }
            DfPolicy::Copy(IdSource::PerPacket) => {
                switches = switches
                    .union(Switches::COPY_DF)
                    .union(Switches::PER_PACKET_IDENTIFICATION);
                0
            }
        };
        let hops = match policy.role {
            Role::Originate => 0,
            Role::Forward => {
                switches = switches.union(Switches::FORWARD);
                1
            }
        };
        if policy.hairpin {
            switches = switches.union(Switches::HAIRPIN);
        }
        let max_len = match policy.link_mtu {
            Some(mtu) => mtu,
            None => u16::MAX,
        };
        let [df_high, df_low] = Ipv4Flags::DF.bits().to_be_bytes();
        let [id_high, id_low] = policy.atomic_identification.to_be_bytes();
        let [a, b, c, d] = source.octets();
        let fragment = [id_high, id_low, df_high, df_low];
        let start = [0x45, constant_tos, 0, 0];
        let third = u32::from_ne_bytes(destination.octets());
        let addresses = halves(u32::from_ne_bytes([a, b, c, d])).wrapping_add(halves(third));
        let others =
            halves(u32::from_ne_bytes([ttl, protocol.0, 0xff, 0xff])).wrapping_add(addresses);
        let with_df = others.wrapping_add(halves(u32::from_ne_bytes(fragment)));
        Self {
            first: beside(u32::from_ne_bytes(start), u32::from_ne_bytes(fragment)),
            second: u64::from_ne_bytes([ttl, protocol.0, 0xff, 0xff, a, b, c, d]),
            third,
            sum: fold(with_df),
            sum_without_df: fold(others.wrapping_add(widened(identification))),
            max_len,
            common_max_len: if !switches.is_empty() {
                0
            } else if max_len < COMMON_MAX_LEN {
                max_len
            } else {
                COMMON_MAX_LEN
            },
            identification,
            pseudo_sum: fold(addresses.wrapping_add(stored(u16::from_be_bytes([0, protocol.0])))),
            copied_tos: copied_dscp | copied_ecn,
            switches,
            hops,
            ttl_mask,
            exit_mask: if policy.hairpin { u32::MAX } else { 0 },
            own_mask: match policy.role {
                Role::Originate => u32::MAX,
                Role::Forward => 0,
            },
        }
    }

    /// The policies that it was made from.
    pub(in crate::encap) const fn policy(&self) -> OuterPolicy {
        let [ttl, ..] = self.second.to_ne_bytes();
        let [_, tos, _, _, id_high, id_low, ..] = self.first.to_ne_bytes();
        OuterPolicy {
            ttl: match NonZeroU8::new(ttl) {
                Some(ttl) => TtlPolicy::Fixed(ttl),
                None => TtlPolicy::Inherit,
            },
            dscp: if self.copied_tos & !ECN == 0 {
                DscpPolicy::Fixed(Dscp::from_tos(tos))
            } else {
                DscpPolicy::Copy
            },
            ecn: if self.copied_tos & ECN == 0 {
                EcnPolicy::Compatibility
            } else if self.has(Switches::RESET_CE) {
                EcnPolicy::Rfc3168
            } else {
                EcnPolicy::Normal
            },
            df: if !self.has(Switches::COPY_DF) {
                DfPolicy::Set
            } else if self.has(Switches::PER_PACKET_IDENTIFICATION) {
                DfPolicy::Copy(IdSource::PerPacket)
            } else {
                DfPolicy::Copy(IdSource::Constant(u16::from_be(self.identification)))
            },
            atomic_identification: u16::from_be_bytes([id_high, id_low]),
            role: if self.has(Switches::FORWARD) {
                Role::Forward
            } else {
                Role::Originate
            },
            link_mtu: match self.max_len {
                u16::MAX => None,
                mtu => Some(mtu),
            },
            hairpin: self.has(Switches::HAIRPIN),
        }
    }
}
