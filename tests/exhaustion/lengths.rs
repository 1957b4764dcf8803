//! Every length: of the inner packet, for every encapsulator and stack; of a datagram; of what
//! is there of a packet, for every IHL.

use ipencap::Span;
use ipencap::encap::{AnyTunnel, Encapsulate, PerPacket, Rules, Tunnel};
use ipencap::error::{EncapError, ParseError};
use ipencap::packet::Facts;
use ipencap::shim::IpIp;
use ipencap::wire::{IpProtocol, Ipv4Header, Udp};
use ipencap_kit::oracle;
use ipencap_kit::registry::{ENCAPSULATORS, Enrolled};
use ipencap_kit::subjects::{GreSubject, IpIpSubject, MinEncSubject, StackSubject, TcpSubject};

use crate::{
    DATAGRAM, ENDPOINTS, Form, NESTED, decapsulated, default_policy, forms, inner, inner_for, said,
    wrap,
};

/// Nestings of three layers and four.
const DEEP: [Enrolled; 3] = [
    Enrolled::new::<Twice<IpIpSubject>>("IP-in-IP, three times"),
    Enrolled::new::<StackSubject<IpIpSubject, Twice<IpIpSubject>>>("IP-in-IP, four times"),
    Enrolled::new::<StackSubject<GreSubject, StackSubject<TcpSubject, MinEncSubject>>>(
        "MinEnc in TCP in GRE",
    ),
];

/// Around two layers of IP-in-IP.
type Twice<S> = StackSubject<S, StackSubject<IpIpSubject, IpIpSubject>>;

/// An inner header that says this length.
fn header(len: u16) -> Ipv4Header {
    let [source, destination] = [inner().source, inner().destination].map(Into::into);
    Ipv4Header::new(source, destination, IpProtocol(253), len)
}

/// The first of these lengths of which a tunnel says otherwise than E-06 does: the outer packet has so
/// many bytes more, or is too long. Whatever the rules, the decision is the same.
fn misjudged(tunnel: &dyn Encapsulate, mut lengths: impl Iterator<Item = u16>) -> Option<u16> {
    let overhead = u32::try_from(tunnel.overhead()).unwrap();
    lengths.find(|&len| {
        let outer_len = u32::from(len) + overhead;
        let inner = Facts::trusted(&header(len));
        let check = |rules| tunnel.check(&inner, &said(), rules);
        let explained = check(Rules::Explained);
        // The common rules may refuse more.
        let common = check(Rules::Common).ok();
        if check(Rules::All).ok() != explained.ok()
            || common.is_some_and(|outer| Ok(outer) != explained)
        {
            return true;
        }
        match explained {
            Ok(outer) => outer_len > 65535 || outer.len() != outer_len,
            // Of several layers, the one that is too many says how long its packet would be.
            Err(EncapError::TooLong { len: said }) => {
                let shortest = Facts::trusted(&header(20));
                let outer = tunnel.check(&shortest, &crate::said(), Rules::Explained);
                let is_right = said == outer_len || outer.unwrap().layers() > 1 && said < outer_len;
                outer_len <= 65535 || said <= 65535 || !is_right
            }
            Err(_) => true,
        }
    })
}

/// In every form, alone and as the outermost layer of a stack that is chosen at run time: what is said of
/// every length, without a byte written.
#[test]
fn e_06_every_inner_length_is_judged() {
    let deep = DEEP
        .iter()
        .flat_map(|enrolled| enrolled.forms(default_policy()));
    let deep = deep.map(|(name, subject)| Form { name, subject });
    let mut chosen = Vec::new();
    for form in forms(default_policy()).into_iter().chain(deep) {
        if form.name.contains("without source") {
            continue; // M-02: it takes packets from its own address only.
        }
        let wrong = misjudged(form.subject.encapsulator(), 20..=65535);
        assert_eq!(wrong, None, "{}", form.name);
        chosen.extend(form.subject.any_tunnels());
    }
    assert!(chosen.len() > 100, "most forms can be chosen at run time");
    let ends = [[192, 0, 2, 1], [192, 0, 2, 2]];
    let [source, destination] = ends.map(Into::into);
    let ipip = AnyTunnel::from(Tunnel::new(source, destination, IpIp).unwrap());
    for tunnels in chosen {
        for depth in [0, 3] {
            let stack = [vec![ipip; depth], tunnels.clone()].concat();
            let wrong = misjudged(&stack.as_slice(), 20..=65535);
            assert_eq!(wrong, None, "{tunnels:?} around {depth} more");
        }
    }
}

/// The control: a length of 16 bits that wraps around.
#[test]
fn e_06_a_length_that_wraps_around_is_found() {
    struct Wrapping;
    impl Encapsulate for Wrapping {
        fn overhead(&self) -> usize {
            20
        }

        fn check(&self, inner: &Facts, _: &PerPacket, _: Rules) -> Result<Facts, EncapError> {
            let len = u16::try_from(inner.len()).unwrap().wrapping_add(20);
            Ok(Facts::trusted(&header(len)))
        }

        fn write(&self, _: &mut [u8], inner: &Facts, _: &PerPacket, _: Rules) -> Facts {
            *inner
        }
    }
    assert_eq!(misjudged(&Wrapping, 20..=65535), Some(65516));
}

/// Whatever is enrolled, typically configured, wraps a packet of every length, and opens it again.
#[test]
fn e_06_e_20_p_02_every_inner_length_is_wrapped_and_opened() {
    let typical = |enrolled: &Enrolled| {
        let name = enrolled.name.to_owned();
        let subject = enrolled.typical(ENDPOINTS);
        Form { name, subject }
    };
    for form in ENCAPSULATORS
        .iter()
        .chain(&NESTED)
        .chain(&DEEP)
        .map(typical)
    {
        let naive = form.subject.naive();
        let overhead = form.subject.encapsulator().overhead();
        let is_opened = !DEEP.iter().any(|deep| deep.name == form.name);
        let mut buffer = vec![0; overhead + 65535];
        for len in 0..=65535_u16 {
            buffer[..overhead].fill(0xa5);
            buffer[overhead..overhead + 20].copy_from_slice(header(len).as_bytes());
            let place = Span::new(overhead, len.into());
            let result = ipencap::encap(form.subject.encapsulator(), &mut buffer, place, &said());
            let most = 65535 - overhead;
            match result {
                Ok(outer) => {
                    assert!(
                        len >= 20 && usize::from(len) <= most,
                        "{}: {len}",
                        form.name
                    );
                    assert_eq!(outer.len(), usize::from(len) + overhead);
                    assert_eq!(
                        oracle::u16_at(outer, 2),
                        len + u16::try_from(overhead).unwrap()
                    );
                    if len < 300 || usize::from(len) + 3 > most || len % 4099 == 0 {
                        let mut inner = header(len).as_bytes().to_vec();
                        inner.resize(len.into(), 0);
                        assert_eq!(outer, naive.outer(&inner, &said()), "{}: {len}", form.name);
                    }
                    if is_opened {
                        let opened = form.subject.decapsulator().inspect(outer).unwrap();
                        assert_eq!(
                            opened.span(),
                            Span::new(overhead, len.into()),
                            "{}",
                            form.name
                        );
                        assert_eq!(opened.slack(), 0);
                    }
                }
                Err(error) => {
                    assert!(
                        len < 20 || usize::from(len) > most,
                        "{}: {len}: {error}",
                        form.name
                    );
                    let inner = &buffer[overhead..overhead + usize::from(len)];
                    assert!(
                        naive.objections(inner, &said()).contains(&error),
                        "{}: {error}",
                        form.name
                    );
                    assert!(buffer[..overhead].iter().all(|&byte| byte == 0xa5), "E-23");
                }
            }
        }
    }
}

/// What is said of every length that a UDP header can say, with so many bytes present.
#[test]
fn u_07_u_08_u_09_u_10_every_length_of_a_datagram() {
    let mut bytes = vec![0x33; 65535 + 7];
    for present in [0, 1, 7, 8, 9, 16, 1480, 65534, 65535, 65535 + 7] {
        for len in 0..=65535_u16 {
            oracle::put_u16(&mut bytes, 4, len);
            let parsed = Udp::parse(&bytes[..present]);
            let have = u16::try_from(present).unwrap_or(u16::MAX);
            let said = usize::from(len);
            if present < 8 {
                assert_eq!(parsed.err(), Some(ParseError::Truncated { need: 8, have }));
            } else if len < 8 {
                assert_eq!(parsed.err(), Some(ParseError::BadUdpLength { len }));
            } else if said > present {
                assert_eq!(
                    parsed.err(),
                    Some(ParseError::Truncated { need: len, have })
                );
            } else {
                let datagram = parsed.unwrap();
                assert_eq!(
                    (datagram.payload().len(), datagram.slack()),
                    (said - 8, present - said)
                );
            }
        }
    }
}

/// D-01, D-09, D-11: of every packet, whatever IHL its outer or inner header says, so many bytes.
#[test]
fn v_03_v_04_d_01_d_09_d_11_every_ihl_of_every_cut_packet() {
    let (mut refused, mut opened) = (0, 0);
    for form in forms(default_policy()) {
        let Some(carrier) = form.subject.carrier() else {
            continue;
        };
        let wrapped = wrap(&form, &inner_for(&form).packet(DATAGRAM)).unwrap();
        let inner_at = wrapped.len() - DATAGRAM.len() - 20;
        for ihl in 0..16 {
            for at in [0, inner_at] {
                let mut changed = wrapped.clone();
                changed[at] = 0x40 | ihl;
                if form.subject.naive().keeps_inner_header() || at == 0 {
                    oracle::fill_checksum(&mut changed[at..]);
                }
                for len in 0..=changed.len() {
                    let mut cut = changed[..len].to_vec();
                    let expected =
                        decapsulated(carrier.naive(), &cut).map(|accepted| accepted.inner.0);
                    let got = ipencap::decap(form.subject.decapsulator(), &mut cut);
                    let got = got.map(|inner| inner.packet.to_vec());
                    *(if got.is_ok() {
                        &mut opened
                    } else {
                        &mut refused
                    }) += 1;
                    let reason = |refusal: &oracle::Refusal| refusal.reason;
                    assert_eq!(
                        got.as_ref().map_err(|refused| refused.reason),
                        expected.as_ref().map_err(reason),
                        "{}: IHL {ihl} at {at}, {len} bytes",
                        form.name
                    );
                }
            }
        }
    }
    assert!(
        opened > 50 && refused > 100_000,
        "{opened} opened, {refused} refused"
    );
}
