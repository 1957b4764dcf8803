use core::hint::black_box;

use ipencap::decap::{EgressDscp, InnerTunnels};
use ipencap::encap::{DfPolicy, DscpPolicy, EcnPolicy, IdSource, OuterPolicy, Role, TtlPolicy};

use crate::given::ecn;
use crate::helper::{comparable, seen, value};

pub fn call() {
    seen(EcnPolicy::outer(black_box(EcnPolicy::Normal), ecn()));
    seen(<TtlPolicy as Default>::default());
    seen(<DscpPolicy as Default>::default());
    seen(<EcnPolicy as Default>::default());
    seen(<DfPolicy as Default>::default());
    seen(<Role as Default>::default());
    seen(<EgressDscp as Default>::default());
    seen(<InnerTunnels as Default>::default());
    value::<TtlPolicy>(black_box(TtlPolicy::DEFAULT));
    value::<DscpPolicy>(black_box(DscpPolicy::Copy));
    value::<EcnPolicy>(black_box(EcnPolicy::Normal));
    value::<DfPolicy>(black_box(DfPolicy::Set));
    value::<IdSource>(black_box(IdSource::PerPacket));
    value::<Role>(black_box(Role::Originate));
    value::<EgressDscp>(black_box(EgressDscp::Keep));
    value::<InnerTunnels>(black_box(InnerTunnels::Transit));
    seen(<OuterPolicy as Default>::default());
    comparable::<OuterPolicy>(&black_box(OuterPolicy::DEFAULT));
}
