//! What becomes of a packet from the inner side that does not go to its peer as it is.

use super::accept::{Request, clamp};
use super::cause::Cause;
use super::endpoint::{Core, inner_mtu};
use super::peers::{PeerId, Peers};
use super::tally::{Event, Tally};
use super::verdict::Outbound;
use crate::error::EncapError;
use crate::fragment::{self, Plan};
use crate::icmp::{IcmpError, Kind};
use crate::mss::Patch;
use crate::mtu::MIN_MTU;
use crate::packet::{Facts, InnerChecksum, PerPacket};
use crate::wire::{Ipv4, Ipv4Flags};

impl<P: Peers, C: Tally> Core<'_, P, C> {
    /// How to lower the MSS option of a packet to this peer.
    pub(super) fn clamp_outbound(
        &self,
        peer: PeerId,
        packet: &[u8],
        numbered: &PerPacket,
    ) -> Option<Patch> {
        let found = self.peers.get(peer)?;
        let path_mtu = numbered.link_mtu().unwrap_or(u16::MAX);
        clamp(found, path_mtu, packet, numbered.inner_checksum())
    }

    /// The ICMP error that is due because an earlier packet did not get through. It stays due if it must not
    /// be sent to the source of this packet. Strangers can make it due, so it leaves half of the rate to answers.
    pub(super) fn notice(&mut self, peer: PeerId, packet: &[u8]) -> Option<IcmpError> {
        let now = self.now();
        let kind = self.path(peer)?.notice(now)?;
        let error = self.error_about(Some(peer), kind, packet, true).ok();
        if error.is_some() {
            if let Some(path) = self.path(peer) {
                path.forget_notice();
            }
        }
        error
    }

    /// What to do with a packet to this peer that does not go there in one piece, if it need not be dropped.
    pub(super) fn refuse(
        &mut self,
        request: Request<'_>,
        peer: PeerId,
        packet: &[u8],
        verdict: &mut Outbound,
    ) {
        let Outbound::Drop { cause, .. } = verdict else {
            return;
        };
        let (mtu, is_path_mtu) = match *cause {
            Cause::Encap(EncapError::TtlExpired) => {
                return self.answer(packet, Kind::TimeExceeded, verdict);
            }
            Cause::Encap(EncapError::FragmentationNeeded { mtu }) => (mtu, true),
            Cause::Encap(EncapError::TooLong { .. }) => {
                let tunnel = self.peers.get(peer).map(|(tunnel, _)| tunnel);
                let mtu = tunnel.map_or(u16::MAX, |tunnel| inner_mtu(u16::MAX, tunnel));
                (mtu, false)
            }
            _ => return,
        };
        let Ok(parsed) = &Ipv4::parse_by_call(packet) else {
            return;
        };
        let header = parsed.header();
        let has_df = header.flags().contains(Ipv4Flags::DF);
        let segment_len = request.per_packet.segment_len();
        let is_super = segment_len.is_some_and(|len| len < header.total_len());
        if u32::from(mtu) < MIN_MTU {
            *cause = Cause::MtuTooSmall;
        } else if is_super && !(has_df && is_path_mtu) {
            // Where the whole is too long for 16 bits its segments may fit, and no MTU helps.
            *cause = Cause::SegmentTooLong;
        } else if has_df {
            self.answer(packet, Kind::FragmentationNeeded { mtu }, verdict);
        } else if request.per_packet.inner_checksum() == InnerChecksum::Partial {
            // No device sees all bytes that the checksum covers.
            *cause = Cause::Encap(EncapError::PartialChecksum);
        } else {
            let mut per_packet = *request.per_packet;
            if let Some(plan) = self.split(peer, (parsed, mtu), &mut per_packet, cause) {
                *verdict = Outbound::Split {
                    peer,
                    plan,
                    per_packet,
                    clamp: self.clamp_outbound(peer, packet, &per_packet),
                };
            }
        }
    }

    /// How to split a packet that exceeds the inner MTU, if the tunnel takes its fragments. Adds the numbers of
    /// the first to what the caller says, or writes why it is not split.
    fn split(
        &mut self,
        peer: PeerId,
        (packet, mtu): (&Ipv4<'_>, u16),
        numbered: &mut PerPacket,
        refusal: &mut Cause,
    ) -> Option<Plan> {
        let plan = match fragment::plan_parsed(packet, mtu) {
            Ok(plan) => plan,
            Err(error) => {
                *refusal = Cause::Fragment(error);
                return None;
            }
        };
        let mut first = Facts::trusted_by_call(packet.header());
        first.make_first_fragment(plan.first_len());
        let is_numbered = self.number(peer, &first, numbered, refusal);
        if !is_numbered {
            return None;
        }
        self.tally
            .count(Some(peer), Event::Fragments, first.len_with(0));
        Some(plan)
    }

    /// Instead of dropping the packet, an ICMP error to its source, or the reason why there is none.
    pub(super) fn answer(&mut self, packet: &[u8], kind: Kind, verdict: &mut Outbound) {
        let Outbound::Drop { peer, cause } = verdict else {
            return;
        };
        match self.error_about(peer.map(|peer| self.peers.known(peer)), kind, packet, false) {
            Ok(error) => {
                *verdict = Outbound::Answer {
                    peer: *peer,
                    error,
                    cause: *cause,
                }
            }
            Err(silence) => *cause = silence,
        }
    }
}
