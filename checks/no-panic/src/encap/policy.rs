use core::hint::black_box;

use ipencap::decap::{EgressDscp, InnerTunnels};
use ipencap::encap::{
    ChecksumPolicy, DfPolicy, DscpPolicy, EcnPolicy, IdSource, InnerChecksum, PerPacket, PortRange,
    Role, SourcePort, TtlPolicy,
};

use crate::given::{double_word, ecn, per_packet, word};
use crate::helper::{comparable, seen, value};

pub fn call() {
    seen(EcnPolicy::outer(black_box(EcnPolicy::Normal), ecn()));
    seen(PortRange::port(black_box(PortRange::Linux), double_word()));
    seen(<TtlPolicy as Default>::default());
    seen(<DscpPolicy as Default>::default());
    seen(<EcnPolicy as Default>::default());
    seen(<DfPolicy as Default>::default());
    seen(<Role as Default>::default());
    seen(<EgressDscp as Default>::default());
    seen(<InnerTunnels as Default>::default());
    seen(<ChecksumPolicy as Default>::default());
    seen(<InnerChecksum as Default>::default());
    seen(<SourcePort as Default>::default());
    seen(<PortRange as Default>::default());
    value::<TtlPolicy>(black_box(TtlPolicy::DEFAULT));
    value::<DscpPolicy>(black_box(DscpPolicy::Copy));
    value::<EcnPolicy>(black_box(EcnPolicy::Normal));
    value::<DfPolicy>(black_box(DfPolicy::Set));
    value::<IdSource>(black_box(IdSource::PerPacket));
    value::<Role>(black_box(Role::Originate));
    value::<EgressDscp>(black_box(EgressDscp::Keep));
    value::<InnerTunnels>(black_box(InnerTunnels::Transit));
    value::<ChecksumPolicy>(black_box(ChecksumPolicy::Offload));
    value::<InnerChecksum>(black_box(InnerChecksum::Complete));
    value::<SourcePort>(black_box(SourcePort::Fixed(word())));
    value::<PortRange>(black_box(PortRange::Dynamic));

    seen(<PerPacket as Default>::default());
    seen(PerPacket::new());
    seen(PerPacket::with_identification(per_packet(), word()));
    seen(PerPacket::with_sequence(per_packet(), double_word()));
    seen(PerPacket::with_link_mtu(per_packet(), word()));
    seen(PerPacket::with_flow_hash(per_packet(), double_word()));
    seen(PerPacket::with_inner_checksum(
        per_packet(),
        black_box(InnerChecksum::Complete),
    ));
    seen(PerPacket::with_tcp_numbers(
        per_packet(),
        double_word(),
        double_word(),
    ));
    seen(PerPacket::with_segment_len(per_packet(), word()));
    seen(PerPacket::segment_len(&per_packet()));
    seen(PerPacket::identification(&per_packet()));
    seen(PerPacket::sequence(&per_packet()));
    seen(PerPacket::link_mtu(&per_packet()));
    seen(PerPacket::flow_hash(&per_packet()));
    seen(PerPacket::inner_checksum(&per_packet()));
    seen(PerPacket::tcp_numbers(&per_packet()));
    comparable::<PerPacket>(&per_packet());
}
