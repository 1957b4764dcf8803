use core::hint::black_box;

use ipencap::decap::OuterMeta;
use ipencap::tunnel::{
    Arrival, ArrivalEntry, Cause, Change, Counters, EndpointConfig, Event, Identifications,
    MssPolicy, MtuPolicy, Path, PeerId, PeerPolicy, Received, Tally,
};
use ipencap::wire::Ipv4;

use crate::given::{address, bytes, double_word, ecn, long_word, option, protocol, size, word};
use crate::helper::{cloneable, comparable, debug, display, ordered, seen, value};

pub fn peer_id() -> PeerId {
    PeerId::new(double_word(), double_word())
}

pub fn meta() -> OuterMeta {
    OuterMeta {
        source: address(),
        destination: address(),
        protocol: protocol(),
        source_port: word(),
        destination_port: word(),
        ecn: ecn(),
    }
}

pub fn policy() -> PeerPolicy {
    black_box(PeerPolicy::DEFAULT)
}

pub fn config() -> EndpointConfig {
    black_box(EndpointConfig::DEFAULT)
}

pub fn arrival() -> Arrival {
    let arrival = Arrival::new(address(), protocol(), option(double_word()));
    black_box(Arrival::with_source_port(arrival, option(word())))
}

pub fn call() {
    if let Ok(packet) = Ipv4::parse(bytes()) {
        seen(Arrival::of(black_box(packet)));
    }
    seen(Arrival::of_payload(&meta()));
    let arrival = arrival();
    seen(Arrival::source(&arrival));
    seen(Arrival::protocol(&arrival));
    seen(Arrival::number(&arrival));
    seen(Arrival::source_port(&arrival));
    comparable::<Arrival>(&arrival);
    ordered::<Arrival>(&arrival);
    let entry = black_box(ArrivalEntry::EMPTY);
    cloneable::<ArrivalEntry>(&entry);
    seen(<ArrivalEntry as PartialEq>::eq(&entry, black_box(&entry)));
    debug::<ArrivalEntry>(&entry);

    seen(PeerId::place(peer_id()));
    seen(PeerId::generation(peer_id()));
    value::<PeerId>(peer_id());
    ordered::<PeerId>(&peer_id());
    seen(<PeerPolicy as Default>::default());
    comparable::<PeerPolicy>(&policy());
    seen(<MssPolicy as Default>::default());
    value::<MssPolicy>(policy().mss);
    value::<MtuPolicy>(policy().mtu);
    seen(<EndpointConfig as Default>::default());
    comparable::<EndpointConfig>(&config());
    cloneable::<Path>(&black_box(Path::EMPTY));
    seen(<Path as Default>::default());

    let keyed = black_box(Identifications::keyed(long_word()));
    let keyed = black_box(Identifications::with_shard(keyed, word(), word()));
    seen(Identifications::of(&keyed, double_word(), word()));
    value::<Identifications>(keyed);

    let payload = bytes();
    let meta = meta();
    let received = black_box(Received::new(&meta, payload));
    cloneable::<Received<'_>>(&received);
    counters();
}

fn counters() {
    let cause = || black_box(Cause::NoPeer);
    seen(Cause::index(cause()));
    seen(Cause::name(cause()));
    Cause::counters().for_each(seen);
    display::<Cause>(&cause());
    value::<Cause>(cause());
    let event = || black_box(Event::Answered(cause()));
    seen(Event::index(event()));
    seen(Event::name(event()));
    Event::counters().for_each(seen);
    value::<Event>(event());
    let change = black_box(Change::Silent { peer: peer_id() });
    cloneable::<Change>(&change);
    seen(<Change as PartialEq>::eq(&change, black_box(&change)));
    debug::<Change>(&change);
    let mut counters = black_box(Counters::new());
    seen(<Counters as Default>::default());
    seen(Counters::packets(&counters, event()));
    seen(Counters::bytes(&counters, event()));
    seen(Counters::outbound(&counters));
    seen(Counters::inbound(&counters));
    Counters::merge(&mut counters, black_box(&Counters::new()));
    Counters::iter(&counters).for_each(seen);
    seen(<Counters as Clone>::clone(&counters));
    seen(<Counters as PartialEq>::eq(&counters, black_box(&counters)));
    debug::<Counters>(&counters);
    let peer = || option(peer_id());
    <Counters as Tally>::count(&mut counters, peer(), event(), size());
    <&mut Counters as Tally>::count(&mut &mut counters, peer(), event(), size());
    <() as Tally>::count(&mut (), peer(), event(), size());
}
