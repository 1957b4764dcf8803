use core::hint::black_box;

use ipencap::decap;
use ipencap::encap::{Encapsulate, Tunnel};
use ipencap::error::{EncapError, Refused};
use ipencap::packet::{Facts, PerPacket, Rules};
use ipencap::shim::{
    Carried, ChecksumPolicy, DirectIpv4, Fou, Gre, GreInUdp, Gue, GueDirect, GueInside,
    GueVariant1, InUdp, IpIp, PortRange, PseudoHeader, SequenceWindow, Shim, SocketShim,
    SourcePort, Tcp, Udp,
};
use ipencap::wire::{IpProtocol, Ipv4, LengthPrefix, TcpFlags};

use crate::given::{address, bytes, double_word, facts, option, per_packet, rules, size, word};
use crate::helper::{cloneable, comparable, debug, seen, value};

pub fn call(buffer: &mut [u8]) {
    policies();
    seen(<Gre as Default>::default());
    seen(<Gue as Default>::default());
    seen(<GueVariant1 as Default>::default());
    seen(<IpIp as Default>::default());
    seen(<DirectIpv4 as Default>::default());
    seen(<GueDirect as Default>::default());
    value::<IpIp>(IpIp);
    value::<DirectIpv4>(DirectIpv4);
    value::<GueDirect>(GueDirect);
    value::<Gre>(gre());
    comparable::<Tcp>(&tcp());
    comparable::<Udp<DirectIpv4>>(&fou());
    if let Some(gue) = gue_2_words() {
        comparable::<Udp<GueInside<2>>>(&gue);
        shim::<Gue<2>>(&gue, buffer);
        socket_shim::<Gue<2>>(&gue);
    }

    let mut window = black_box(SequenceWindow::new());
    seen(<SequenceWindow as Default>::default());
    seen(SequenceWindow::accept(
        black_box(&mut window),
        double_word(),
    ));
    value::<SequenceWindow>(window);

    shim::<IpIp>(&IpIp, buffer);
    shim::<Gre>(&gre(), buffer);
    shim::<Tcp>(&tcp(), buffer);
    shim::<Udp<DirectIpv4>>(&fou(), buffer);
    shim::<GueVariant1>(&GueVariant1::new(), buffer);
    shim::<GreInUdp>(&gre_in_udp(), buffer);
    shim::<Custom>(&Custom, buffer);
    socket_shim::<Tcp>(&tcp());
    socket_shim::<Udp<Gre>>(&gre_in_udp());
    in_udp::<DirectIpv4>(&DirectIpv4, buffer);
    in_udp::<GueDirect>(&GueDirect, buffer);
    in_udp::<Gre>(&gre(), buffer);

    let carried = || black_box(Carried::behind(size(), size()));
    seen(Carried::moved(carried(), size()));
    seen(Carried::with_sequence(carried(), option(double_word())));
    seen(<Carried as Default>::default());
    value::<Carried>(carried());
}

fn policies() {
    seen(PortRange::port(black_box(PortRange::Linux), double_word()));
    seen(<ChecksumPolicy as Default>::default());
    seen(<SourcePort as Default>::default());
    seen(<PortRange as Default>::default());
    value::<ChecksumPolicy>(black_box(ChecksumPolicy::Offload));
    value::<SourcePort>(black_box(SourcePort::Fixed(word())));
    value::<PortRange>(black_box(PortRange::Dynamic));
}

pub fn gre() -> Gre {
    let gre = black_box(Gre::new());
    let gre = black_box(Gre::with_key(gre, double_word()));
    let gre = black_box(Gre::with_checksum(gre));
    black_box(Gre::with_sequence(gre))
}

pub fn tcp() -> Tcp {
    let tcp = black_box(Tcp::new(word(), word()));
    let flags = black_box(TcpFlags::from_bits_retain(word()));
    let tcp = black_box(Tcp::with_flags(tcp, flags));
    let tcp = black_box(Tcp::with_window(tcp, word()));
    let tcp = black_box(Tcp::with_timestamps(tcp, double_word(), double_word()));
    let tcp = black_box(Tcp::with_options(tcp, bytes())).unwrap_or(tcp);
    let tcp = black_box(Tcp::with_full_checksum(tcp));
    let framing = black_box(LengthPrefix::Inclusive);
    black_box(Tcp::with_framing(tcp, framing))
}

pub fn fou() -> Fou {
    let fou = black_box(Udp::<DirectIpv4>::new(word()));
    let fou = black_box(Udp::to_port(Udp::destination_port(&fou), DirectIpv4));
    let fou = black_box(Udp::with_destination_port(fou, word()));
    let port = black_box(SourcePort::Fixed(word()));
    let fou = black_box(Udp::with_source_port(fou, port));
    let checksum = black_box(ChecksumPolicy::Full);
    let fou = black_box(Udp::with_checksum(fou, checksum));
    seen(Udp::destination_port(black_box(&fou)));
    seen(Udp::payload_overhead(black_box(&fou)));
    black_box(Udp::requiring_checksum(fou))
}

pub fn gre_in_udp() -> GreInUdp {
    let gre_in_udp = black_box(GreInUdp::new(gre()));
    let checksum = black_box(ChecksumPolicy::Full);
    black_box(Udp::with_checksum(gre_in_udp, checksum))
}

pub fn gue_2_words() -> Option<Gue<2>> {
    black_box(Udp::with_private_words(Gue::new(), black_box([1, 2]))).ok()
}

fn shim<S: Shim>(shim: &S, buffer: &mut [u8]) {
    seen(<S as Shim>::is_empty(shim));
    seen(<S as Shim>::tunnel_port(shim));
    seen(<S as Shim>::matches_quote(shim, bytes()));
    if let Ok(outer) = black_box(Ipv4::parse(bytes())) {
        seen(<S as Shim>::read(shim, outer));
        seen(<S as Shim>::reopens(shim, outer));
    }
    seen(decap::inspect_without_filter(shim, bytes()));
    // Only a tunnel makes the pseudo-header of the functions that want one.
    if let Ok(tunnel) = black_box(Tunnel::new(address(), address(), Called(*shim))) {
        seen(Encapsulate::check(
            &tunnel,
            &facts(),
            &per_packet(),
            rules(),
        ));
        Encapsulate::write(&tunnel, black_box(buffer), &facts(), &per_packet(), rules());
    }
}

fn socket_shim<S: SocketShim>(shim: &S) {
    seen(<S as SocketShim>::read_payload(shim, word(), bytes()));
}

fn in_udp<I: InUdp>(inside: &I, buffer: &mut [u8]) {
    seen(<I as InUdp>::len(inside));
    seen(<I as InUdp>::is_empty(inside));
    seen(<I as InUdp>::numbers_packets(inside));
    seen(<I as InUdp>::matches_quote(inside, bytes()));
    seen(<I as InUdp>::check(
        inside,
        &facts(),
        &per_packet(),
        rules(),
    ));
    seen(<I as InUdp>::write(
        inside,
        black_box(buffer),
        &facts(),
        &per_packet(),
    ));
    seen(<I as InUdp>::read(inside, bytes()));
}

/// A shim that calls another, which knows nothing of its arguments then.
#[derive(Clone, Copy)]
struct Called<S>(S);

impl<S: Shim> Shim for Called<S> {
    const PROTOCOL: IpProtocol = S::PROTOCOL;

    fn len(&self) -> usize {
        <S as Shim>::len(black_box(&self.0))
    }

    fn prefix_len(&self) -> usize {
        <S as Shim>::prefix_len(black_box(&self.0))
    }

    fn rules(&self) -> Rules {
        <S as Shim>::rules(black_box(&self.0))
    }

    fn check(&self, inner: &Facts, packet: &PerPacket, _: Rules) -> Result<(), EncapError> {
        <S as Shim>::check(&self.0, black_box(inner), black_box(packet), rules())
    }

    fn outer_facts(
        &self,
        outer: Facts,
        inner: &Facts,
        packet: &PerPacket,
        pseudo: PseudoHeader,
        _: Rules,
    ) -> Facts {
        seen(PseudoHeader::sum(black_box(pseudo)));
        seen(<PseudoHeader as PartialEq>::eq(&pseudo, black_box(&pseudo)));
        cloneable::<PseudoHeader>(&pseudo);
        debug::<PseudoHeader>(&pseudo);
        let (inner, packet) = (black_box(inner), black_box(packet));
        <S as Shim>::outer_facts(&self.0, outer, inner, packet, black_box(pseudo), rules())
    }

    fn write(
        &self,
        _: &mut [u8],
        inner: &Facts,
        packet: &PerPacket,
        pseudo: PseudoHeader,
        _: Rules,
    ) {
        let (inner, packet) = (black_box(inner), black_box(packet));
        let mut memory = [0; 64];
        let bytes = black_box(memory.as_mut_slice());
        <S as Shim>::write(&self.0, bytes, inner, packet, black_box(pseudo), rules());
    }

    fn read(&self, outer: Ipv4<'_>) -> Result<Carried, Refused> {
        <S as Shim>::read(&self.0, outer)
    }
}

/// A user's own shim, which answers anything and overrides nothing.
#[derive(Clone, Copy, PartialEq, Hash)]
pub struct Custom;

impl Shim for Custom {
    const PROTOCOL: IpProtocol = IpProtocol(99);

    fn len(&self) -> usize {
        size()
    }

    fn write(&self, bytes: &mut [u8], _: &Facts, _: &PerPacket, _: PseudoHeader, _: Rules) {
        seen(bytes);
    }

    fn read(&self, _outer: Ipv4<'_>) -> Result<Carried, Refused> {
        black_box(Ok(Carried::behind(size(), size())))
    }
}

impl SocketShim for Custom {
    fn read_payload(&self, _destination_port: u16, _payload: &[u8]) -> Result<Carried, Refused> {
        black_box(Ok(Carried::behind(size(), size())))
    }
}
