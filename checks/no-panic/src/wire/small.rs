use core::hint::black_box;

use ipencap::wire::{
    Dscp, Ecn, EcnAlarm, FragmentOffset, HeaderOption, HeaderOptions, IpProtocol, LengthPrefix,
    UdpChecksum,
};

use crate::given::{array, byte, bytes, dscp, ecn, protocol, word};
use crate::helper::{cloneable, debug, display, ordered, seen, value};

pub fn call() {
    seen(Ecn::from_bits_truncated(byte()));
    seen(Ecn::bits(ecn()));
    seen(Ecn::decapsulated(ecn(), ecn()));
    seen(Ecn::alarm(ecn(), ecn()));
    seen(<Ecn as Default>::default());
    display::<Ecn>(&ecn());
    value::<Ecn>(ecn());
    value::<EcnAlarm>(black_box(EcnAlarm::Possible));

    seen(Dscp::new(byte()));
    seen(Dscp::from_tos(byte()));
    seen(Dscp::value(dscp()));
    seen(Dscp::with_ecn(dscp(), ecn()));
    seen(<Dscp as Default>::default());
    display::<Dscp>(&dscp());
    ordered::<Dscp>(&dscp());
    value::<Dscp>(dscp());

    let offset = || black_box(FragmentOffset::ZERO);
    seen(FragmentOffset::from_units(word()));
    seen(FragmentOffset::from_bytes(word()));
    seen(FragmentOffset::from_bits_truncated(word()));
    seen(FragmentOffset::units(offset()));
    seen(FragmentOffset::bytes(offset()));
    seen(<FragmentOffset as Default>::default());
    ordered::<FragmentOffset>(&offset());
    value::<FragmentOffset>(offset());

    seen(IpProtocol::is_tunnel(protocol()));
    display::<IpProtocol>(&protocol());
    ordered::<IpProtocol>(&protocol());
    value::<IpProtocol>(protocol());

    value::<UdpChecksum>(black_box(UdpChecksum::Valid));

    let prefix = || black_box(LengthPrefix::Inclusive);
    seen(LengthPrefix::of(prefix(), word()));
    seen(LengthPrefix::packet_len(prefix(), array()));
    value::<LengthPrefix>(prefix());

    options();
}

fn options() {
    let options = || black_box(HeaderOptions::new(bytes()));
    seen(HeaderOptions::has_source_route(options()));
    let mut rest = options();
    while let Some(option) = black_box(<HeaderOptions<'_> as Iterator>::next(black_box(&mut rest)))
    {
        if let Ok(option) = option {
            seen(HeaderOption::kind(option));
            seen(HeaderOption::data(option));
            seen(HeaderOption::offset(option));
            seen(HeaderOption::len(option));
            value::<HeaderOption<'_>>(option);
        }
    }
    cloneable::<HeaderOptions<'_>>(&options());
    debug::<HeaderOptions<'_>>(&options());
}
