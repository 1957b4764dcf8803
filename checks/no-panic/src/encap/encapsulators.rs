use core::hint::black_box;

use ipencap::encap::{
    self, ChecksumPolicy, DfPolicy, DscpPolicy, EcnPolicy, Encapsulate, Gre, IpIp, MinEnc,
    PerPacket, Role, SourcePort, Stack, Tcp, TtlPolicy, Udp,
};
use ipencap::error::EncapError;
use ipencap::packet::{Packet, PacketMeta, Proven};
use ipencap::wire::{LengthPrefix, TcpFlags};

use crate::given::{address, bytes, double_word, meta, per_packet, size, span, word};
use crate::helper::{comparable, seen, value};

pub fn call(buffer: &mut [u8]) {
    if let Some(tunnel) = ipip() {
        encapsulate::<IpIp>(&tunnel, buffer);
        encapsulate::<&IpIp>(&&tunnel, buffer);
        encapsulate::<dyn Encapsulate>(black_box(&tunnel), buffer);
    }
    if let Some(tunnel) = minimal() {
        encapsulate::<MinEnc>(&tunnel, buffer);
    }
    if let Some(tunnel) = gre() {
        encapsulate::<Gre>(&tunnel, buffer);
    }
    if let Some(tunnel) = tcp() {
        encapsulate::<Tcp>(&tunnel, buffer);
    }
    if let Some(tunnel) = udp(buffer) {
        encapsulate::<Udp<2>>(&tunnel, buffer);
        encapsulate::<Stack<_, _>>(
            &Stack {
                outer: tunnel,
                inner: Custom,
            },
            buffer,
        );
    }
    value::<Stack<(), ()>>(Stack {
        outer: (),
        inner: (),
    });
    seen(<Stack<(), ()> as Default>::default());
    encapsulate::<()>(&(), buffer);
    encapsulate::<Custom>(&Custom, buffer);
    encapsulate::<Stack<_, _>>(
        &Stack {
            outer: Custom,
            inner: Custom,
        },
        buffer,
    );
}

pub fn encapsulate<E: Encapsulate + ?Sized>(tunnel: &E, buffer: &mut [u8]) {
    seen(<E as Encapsulate>::overhead(tunnel));
    seen(<E as Encapsulate>::layers(tunnel));
    seen(<E as Encapsulate>::shares_headers(tunnel));
    seen(<E as Encapsulate>::judge(tunnel, &meta(), &per_packet()));
    seen(<E as Encapsulate>::judge_ordinary(
        tunnel,
        &meta(),
        &per_packet(),
    ));
    let (inner, outer) = (meta(), meta());
    <E as Encapsulate>::write(
        tunnel,
        black_box(&mut *buffer),
        &inner,
        &outer,
        &per_packet(),
    );
    <E as Encapsulate>::write_ordinary(
        tunnel,
        black_box(&mut *buffer),
        &inner,
        &outer,
        &per_packet(),
    );
    seen(<E as Encapsulate>::encap(
        tunnel,
        black_box(&mut *buffer),
        &per_packet(),
    ));
    seen(encap::encap(
        tunnel,
        black_box(&mut *buffer),
        span(),
        &per_packet(),
    ));
    let mut packet = black_box(Packet::new(black_box(&mut *buffer), span()));
    seen(Packet::encap(black_box(&mut packet), tunnel, &per_packet()));
    if let Ok(proven) = black_box(Packet::prove(packet)) {
        seen(Proven::encap(proven, tunnel, &per_packet()));
    }
}

/// What all encapsulators have that write an outer header of their own.
macro_rules! outer_policies {
    ($Type:ident, $tunnel:expr) => {{
        let tunnel = black_box($Type::with_ttl($tunnel, black_box(TtlPolicy::DEFAULT)));
        let tunnel = black_box($Type::with_dscp(tunnel, black_box(DscpPolicy::Copy)));
        let tunnel = black_box($Type::with_ecn(tunnel, black_box(EcnPolicy::Normal)));
        let tunnel = black_box($Type::with_df(tunnel, black_box(DfPolicy::Set)));
        let tunnel = black_box($Type::with_atomic_identification(tunnel, word()));
        let tunnel = black_box($Type::with_role(tunnel, black_box(Role::Originate)));
        let tunnel = black_box($Type::with_link_mtu(tunnel, word()));
        let tunnel = black_box($Type::allowing_hairpin(tunnel));
        seen($Type::source(black_box(&tunnel)));
        seen($Type::destination(black_box(&tunnel)));
        seen($Type::would_loop(black_box(&tunnel), &meta()));
        tunnel
    }};
}

fn ipip() -> Option<IpIp> {
    let tunnel = black_box(IpIp::new(address(), address())).ok()?;
    let tunnel = outer_policies!(IpIp, tunnel);
    seen(IpIp::header(black_box(&tunnel), &meta(), &per_packet()));
    comparable::<IpIp>(&tunnel);
    Some(tunnel)
}

fn minimal() -> Option<MinEnc> {
    let tunnel = black_box(MinEnc::new(address(), address())).ok()?;
    let tunnel = black_box(MinEnc::without_source(tunnel));
    let tunnel = black_box(MinEnc::with_role(tunnel, black_box(Role::Originate)));
    let tunnel = black_box(MinEnc::with_link_mtu(tunnel, word()));
    comparable::<MinEnc>(&tunnel);
    Some(tunnel)
}

fn gre() -> Option<Gre> {
    let tunnel = black_box(Gre::new(address(), address())).ok()?;
    let tunnel = black_box(Gre::with_key(tunnel, double_word()));
    let tunnel = black_box(Gre::with_checksum(tunnel));
    let tunnel = black_box(Gre::with_sequence(tunnel));
    let tunnel = outer_policies!(Gre, tunnel);
    comparable::<Gre>(&tunnel);
    Some(tunnel)
}

fn tcp() -> Option<Tcp> {
    let tunnel = black_box(Tcp::new((address(), word()), (address(), word()))).ok()?;
    let flags = black_box(TcpFlags::from_bits_retain(word()));
    let tunnel = black_box(Tcp::with_flags(tunnel, flags));
    let tunnel = black_box(Tcp::with_window(tunnel, word()));
    let tunnel = black_box(Tcp::with_options(tunnel, bytes())).ok()?;
    let tunnel = black_box(Tcp::with_timestamps(tunnel, double_word(), double_word()));
    let tunnel = black_box(Tcp::with_framing(
        tunnel,
        black_box(LengthPrefix::Inclusive),
    ));
    let tunnel = outer_policies!(Tcp, tunnel);
    comparable::<Tcp>(&tunnel);
    Some(tunnel)
}

fn udp(buffer: &mut [u8]) -> Option<Udp<2>> {
    seen(Udp::gue(address(), address()));
    seen(Udp::gue_variant_1(address(), address()));
    seen(Udp::gre(address(), address(), black_box(None)));
    let tunnel = black_box(Udp::fou(address(), address(), word())).ok()?;
    let tunnel = black_box(Udp::with_destination_port(tunnel, word()));
    let tunnel = black_box(Udp::with_source_port(
        tunnel,
        black_box(SourcePort::Fixed(word())),
    ));
    let tunnel = black_box(Udp::with_checksum(tunnel, black_box(ChecksumPolicy::Full)));
    let words = black_box([1, 2]);
    let tunnel = black_box(Udp::with_private_words(tunnel, words)).ok()?;
    let tunnel = outer_policies!(Udp, tunnel);
    seen(Udp::payload_overhead(black_box(&tunnel)));
    seen(Udp::encap_payload(
        black_box(&tunnel),
        black_box(&mut *buffer),
        &per_packet(),
    ));
    seen(Udp::encap_payload_train(
        black_box(&tunnel),
        black_box(buffer),
        size(),
        &per_packet(),
    ));
    comparable::<Udp<2>>(&tunnel);
    Some(tunnel)
}

/// A user's own encapsulator, which answers anything and overrides nothing.
struct Custom;

impl Encapsulate for Custom {
    fn overhead(&self) -> usize {
        size()
    }

    fn judge(&self, _inner: &PacketMeta, _packet: &PerPacket) -> Result<PacketMeta, EncapError> {
        black_box(Ok(meta()))
    }

    fn write(&self, frame: &mut [u8], _: &PacketMeta, _: &PacketMeta, _: &PerPacket) {
        seen(frame);
    }
}
