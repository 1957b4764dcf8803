use arbitrary::{Result, Unstructured};
use ipencap::encap::Tunnel;
use ipencap::shim::{
    ChecksumPolicy, DirectIpv4, Fou, Gre, GreInUdp, Gue, GueDirect, GueInside, GueVariant1, InUdp,
    PortRange, SourcePort, Udp,
};

use super::{Layer, PayloadForm, RuntimeForm, generated_outer, gre, typical_outer};
use crate::generate::odds;
use crate::oracle::{NaiveUdp, OuterPolicy, Ports, Summed, UdpKind};
use crate::registry::{Endpoints, Enrol, Wishes};

/// An encapsulation over UDP.
pub type UdpSubject<I> = Layer<Tunnel<Udp<I>>, Udp<I>, NaiveUdp>;

/// [`Fou`].
pub type FouSubject = UdpSubject<DirectIpv4>;

/// [`Gue`] with this many private words.
pub type GueSubject<const WORDS: usize> = UdpSubject<GueInside<WORDS>>;

/// [`GueVariant1`].
pub type GueVariant1Subject = UdpSubject<GueDirect>;

/// [`GreInUdp`].
pub type GreInUdpSubject = UdpSubject<Gre>;

/// In what the encapsulations over UDP differ.
pub trait OverUdp: InUdp + 'static {
    /// Whether the receiver understands GUE.
    const RECEIVES_GUE: bool;

    /// Any contents.
    ///
    /// # Errors
    /// None.
    fn generate(u: &mut Unstructured<'_>, outer: OuterPolicy, wishes: Wishes) -> Result<UdpKind>;

    /// All kinds of contents that differ in form, by name; the typical one first.
    fn kinds(outer: OuterPolicy) -> Vec<(String, UdpKind)>;

    /// The shims of sender and receiver.
    fn shims(kind: &UdpKind) -> (Udp<Self>, Udp<Self>);
}

impl OverUdp for DirectIpv4 {
    const RECEIVES_GUE: bool = false;

    fn generate(_u: &mut Unstructured<'_>, _outer: OuterPolicy, _: Wishes) -> Result<UdpKind> {
        Ok(UdpKind::Direct)
    }

    fn kinds(_outer: OuterPolicy) -> Vec<(String, UdpKind)> {
        vec![("FOU".to_owned(), UdpKind::Direct)]
    }

    fn shims(_kind: &UdpKind) -> (Fou, Fou) {
        (Fou::new(0), Fou::new(0))
    }
}

impl<const WORDS: usize> OverUdp for GueInside<WORDS> {
    const RECEIVES_GUE: bool = true;

    fn generate(u: &mut Unstructured<'_>, _outer: OuterPolicy, _: Wishes) -> Result<UdpKind> {
        Ok(UdpKind::Gue(u.arbitrary::<[u32; WORDS]>()?.to_vec()))
    }

    fn kinds(_outer: OuterPolicy) -> Vec<(String, UdpKind)> {
        let name = if WORDS == 0 { "GUE" } else { "GUE words" };
        vec![(name.to_owned(), UdpKind::Gue(vec![0x0102_0304; WORDS]))]
    }

    fn shims(kind: &UdpKind) -> (Gue<WORDS>, Gue<WORDS>) {
        let UdpKind::Gue(words) = kind else {
            panic!("{kind:?} is not GUE")
        };
        let gue = |words: &[u32]| {
            let words: [u32; WORDS] = words.try_into().unwrap();
            Gue::new().with_private_words(words).unwrap()
        };
        // A receiver skips whatever words there are.
        (gue(words), gue(&[0; WORDS]))
    }
}

impl OverUdp for GueDirect {
    const RECEIVES_GUE: bool = true;

    fn generate(_u: &mut Unstructured<'_>, _outer: OuterPolicy, _: Wishes) -> Result<UdpKind> {
        Ok(UdpKind::Direct)
    }

    fn kinds(_outer: OuterPolicy) -> Vec<(String, UdpKind)> {
        vec![("GUE variant 1".to_owned(), UdpKind::Direct)]
    }

    fn shims(_kind: &UdpKind) -> (GueVariant1, GueVariant1) {
        (GueVariant1::new(), GueVariant1::new())
    }
}

impl OverUdp for Gre {
    const RECEIVES_GUE: bool = false;

    /// The receiver may want more or less than is sent.
    fn generate(u: &mut Unstructured<'_>, outer: OuterPolicy, wishes: Wishes) -> Result<UdpKind> {
        let sent = gre::generated(u, outer)?;
        let mut expected = sent;
        if wishes.may_refuse {
            expected.checksum ^= odds(u, 1, 8)?;
            if odds(u, 1, 8)? {
                expected.number = Some(u.arbitrary()?);
                expected.wants_sequence = odds(u, 2, 3)?;
            }
        }
        Ok(UdpKind::Gre { sent, expected })
    }

    fn kinds(outer: OuterPolicy) -> Vec<(String, UdpKind)> {
        let options = gre::all_options(outer).into_iter();
        let kinds = options.map(|(name, sent)| {
            let expected = sent;
            let name = match name.as_str() {
                "plain" => "GRE".to_owned(),
                options => format!("GRE {options}"),
            };
            (name, UdpKind::Gre { sent, expected })
        });
        kinds.collect()
    }

    fn shims(kind: &UdpKind) -> (GreInUdp, GreInUdp) {
        let UdpKind::Gre { sent, expected } = kind else {
            panic!("{kind:?} is not GRE")
        };
        let received = gre::received(expected);
        (GreInUdp::new(gre::sent(sent)), GreInUdp::new(received))
    }
}

impl<I: OverUdp> UdpSubject<I> {
    fn of(naive: NaiveUdp) -> Self {
        let (sent, received) = I::shims(&naive.kind);
        let sent = sent
            .with_destination_port(naive.destination_port)
            .with_source_port(match naive.source_port {
                Some(port) => SourcePort::Fixed(port),
                None => SourcePort::Entropy {
                    seed: naive.seed,
                    range: match naive.ports {
                        Ports::Dynamic => PortRange::Dynamic,
                        Ports::DynamicFolded => PortRange::DynamicFolded,
                        Ports::Linux => PortRange::Linux,
                        Ports::Glb => PortRange::Glb,
                    },
                },
            })
            .with_checksum(match naive.checksum {
                Summed::Zero => ChecksumPolicy::Zero,
                Summed::Full => ChecksumPolicy::Full,
                Summed::Offload => ChecksumPolicy::Offload,
            });
        let mut received = received.with_destination_port(naive.destination_port);
        if naive.requires_checksum {
            received = received.requiring_checksum();
        }
        let outer = naive.outer;
        Self::of_tunnel(&outer, sent, received, naive)
            .over_sockets()
            .with_payload_form(PayloadForm {
                overhead: Tunnel::<Udp<I>>::payload_overhead,
                encap: Tunnel::<Udp<I>>::encap_payload,
                train: Tunnel::<Udp<I>>::encap_payload_train,
            })
    }

    fn typical_of(outer: OuterPolicy, kind: UdpKind) -> NaiveUdp {
        NaiveUdp {
            outer,
            destination_port: 5555,
            source_port: None,
            ports: Ports::Dynamic,
            seed: 0,
            checksum: Summed::Offload,
            kind,
            receives_gue: I::RECEIVES_GUE,
            requires_checksum: false,
        }
    }
}

impl<I: OverUdp> Enrol for UdpSubject<I>
where
    Tunnel<Udp<I>>: RuntimeForm,
{
    type Tunnel = Tunnel<Udp<I>>;

    fn tunnel(&self) -> Self::Tunnel {
        self.encapsulator
    }

    fn generate(u: &mut Unstructured<'_>, wishes: Wishes) -> Result<Self> {
        let outer = generated_outer(u, wishes)?;
        let kind = I::generate(u, outer, wishes)?;
        let checksum =
            *u.choose(&[Summed::Zero, Summed::Full, Summed::Offload, Summed::Offload])?;
        let is_summed = checksum != Summed::Zero;
        Ok(Self::of(NaiveUdp {
            outer,
            destination_port: *u.choose(&[5555, 6080, 4754, 53, 0])?,
            source_port: if odds(u, 1, 2)? {
                Some(u.arbitrary()?)
            } else {
                None
            },
            ports: *u.choose(&[
                Ports::Dynamic,
                Ports::DynamicFolded,
                Ports::Linux,
                Ports::Glb,
            ])?,
            seed: u.arbitrary()?,
            checksum,
            receives_gue: I::RECEIVES_GUE,
            kind,
            requires_checksum: (is_summed || wishes.may_refuse) && odds(u, 1, 3)?,
        }))
    }

    fn typical(endpoints: Endpoints) -> Self {
        let outer = typical_outer(endpoints);
        let kind = I::kinds(outer).remove(0).1;
        Self::of(Self::typical_of(outer, kind))
    }

    fn forms(outer: OuterPolicy) -> Vec<(String, Self)> {
        // Each checksum with the default port, each port with the default checksum.
        let choices = [
            ("offload", Summed::Offload, None, Ports::Dynamic),
            ("full", Summed::Full, None, Ports::Dynamic),
            ("zero", Summed::Zero, None, Ports::Dynamic),
            ("folded port", Summed::Offload, None, Ports::DynamicFolded),
            ("port of Linux", Summed::Offload, None, Ports::Linux),
            ("port of GLB", Summed::Offload, None, Ports::Glb),
            ("fixed port", Summed::Offload, Some(0xc123), Ports::Dynamic),
        ];
        let mut forms = Vec::new();
        for (kind_name, kind) in I::kinds(outer) {
            for (choice, checksum, source_port, ports) in choices {
                let naive = NaiveUdp {
                    source_port,
                    ports,
                    checksum,
                    ..Self::typical_of(outer, kind.clone())
                };
                forms.push((format!("{kind_name}, {choice}"), Self::of(naive)));
            }
        }
        forms
    }
}
