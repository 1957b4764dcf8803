use core::hint::black_box;

use ipencap::error::{
    ConfigError, EncapError, Eviction, FragmentAttack, FragmentError, Ignored, ParseError,
    PathMtuIgnored, PeerError, PrefixError, Reason, ReassemblyError, Refused, Silence, TableError,
};

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

    let path_mtu_ignored = || black_box(PathMtuIgnored::Static);
    seen(PathMtuIgnored::index(path_mtu_ignored()));
    seen(PathMtuIgnored::name(path_mtu_ignored()));
    display::<PathMtuIgnored>(&path_mtu_ignored());
    value::<PathMtuIgnored>(path_mtu_ignored());
    let silence = || black_box(Silence::Invalid);
    seen(Silence::index(silence()));
    seen(Silence::name(silence()));
    display::<Silence>(&silence());
    value::<Silence>(silence());

    let ignored = || black_box(Ignored::Invalid);
    seen(Ignored::index(ignored()));
    seen(Ignored::name(ignored()));
    display::<Ignored>(&ignored());
    value::<Ignored>(ignored());

    let config_error = || black_box(ConfigError::BadPrefix);
    display::<ConfigError>(&config_error());
    value::<ConfigError>(config_error());

    let prefix_error = || black_box(PrefixError::BadLength);
    display::<PrefixError>(&prefix_error());
    value::<PrefixError>(prefix_error());

    fragments();
}

fn fragments() {
    let fragment_error = || black_box(FragmentError::OtherPacket);
    seen(<FragmentError as From<ParseError>>::from(parse_error()));
    seen(FragmentError::index(fragment_error()));
    seen(FragmentError::name(fragment_error()));
    seen(FragmentError::reason(fragment_error()));
    seen(FragmentError::counter(fragment_error()));
    FragmentError::counters().for_each(seen);
    display::<FragmentError>(&fragment_error());
    value::<FragmentError>(fragment_error());

    let reassembly_error = || black_box(ReassemblyError::Discarded);
    seen(<ReassemblyError as From<ParseError>>::from(parse_error()));
    seen(ReassemblyError::index(reassembly_error()));
    seen(ReassemblyError::name(reassembly_error()));
    seen(ReassemblyError::reason(reassembly_error()));
    seen(ReassemblyError::counter(reassembly_error()));
    ReassemblyError::counters().for_each(seen);
    display::<ReassemblyError>(&reassembly_error());
    value::<ReassemblyError>(reassembly_error());

    let eviction = || black_box(Eviction::TimedOut);
    seen(Eviction::index(eviction()));
    seen(Eviction::name(eviction()));
    display::<Eviction>(&eviction());
    value::<Eviction>(eviction());

    let attack = || black_box(FragmentAttack::TinyFirstFragment);
    seen(FragmentAttack::index(attack()));
    seen(FragmentAttack::name(attack()));
    display::<FragmentAttack>(&attack());
    value::<FragmentAttack>(attack());
    let table_error = || black_box(TableError::Full);
    seen(TableError::index(table_error()));
    seen(TableError::name(table_error()));
    display::<TableError>(&table_error());
    value::<TableError>(table_error());
    let peer_error = || black_box(PeerError::NoPlace);
    seen(PeerError::index(peer_error()));
    seen(PeerError::name(peer_error()));
    display::<PeerError>(&peer_error());
    value::<PeerError>(peer_error());
}
