use core::hint::black_box;

use ipencap::error::{ConfigError, EncapError, ParseError, PrefixError, Reason, Refused};

use crate::given::{byte, parse_error};
use crate::helper::{display, seen, value};

pub fn call() {
    seen(ParseError::index(parse_error()));
    seen(ParseError::name(parse_error()));
    display::<ParseError>(&parse_error());
    value::<ParseError>(parse_error());

    let encap_error = || black_box(EncapError::TtlZero);
    seen(<EncapError as From<ParseError>>::from(parse_error()));
    seen(EncapError::index(encap_error()));
    seen(EncapError::name(encap_error()));
    seen(EncapError::reason(encap_error()));
    seen(EncapError::counter(encap_error()));
    EncapError::counters().for_each(seen);
    display::<EncapError>(&encap_error());
    value::<EncapError>(encap_error());

    let reason = || black_box(Reason::NotTunnel);
    seen(Reason::index(reason()));
    seen(Reason::name(reason()));
    display::<Reason>(&reason());
    value::<Reason>(reason());

    let refused = || black_box(Refused::new(reason()));
    seen(Refused::outer(parse_error()));
    seen(Refused::inner(parse_error()));
    seen(Refused::inside(refused(), byte()));
    seen(Refused::truncated(reason(), parse_error()));
    seen(Refused::name(refused()));
    display::<Refused>(&refused());
    value::<Refused>(refused());

    let config_error = || black_box(ConfigError::BadPrefix);
    display::<ConfigError>(&config_error());
    value::<ConfigError>(config_error());

    let prefix_error = || black_box(PrefixError::BadLength);
    display::<PrefixError>(&prefix_error());
    value::<PrefixError>(prefix_error());
}
