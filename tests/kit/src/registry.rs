//! Every encapsulator once. The line of a new one in [`ENCAPSULATORS`] enrols it in every law.

use core::fmt::Debug;

use arbitrary::{Result, Unstructured};
use ipencap::Span;
use ipencap::encap::{Decapsulate, Encapsulate, Layer, Opened, OuterMeta, PerPacket};
use ipencap::error::{EncapError, Refused};
use ipencap::filter::Access;
use ipencap::packet::{Packet, PacketMeta};

use crate::oracle::{NaiveCarrier, NaiveEncapsulator, OuterPolicy, Switches};
use crate::subjects::{
    GreSubject, IpIpSubject, MinEncSubject, StackSubject, TcpSubject, UdpSubject,
};

/// The encapsulators of the library.
pub const ENCAPSULATORS: &[Enrolled] = &[
    Enrolled::new::<IpIpSubject>("IpIp"),
    Enrolled::new::<UdpSubject<0>>("Udp"),
    Enrolled::new::<UdpSubject<2>>("Udp<2>"),
    Enrolled::new::<TcpSubject>("Tcp"),
    Enrolled::new::<GreSubject>("Gre"),
    Enrolled::new::<MinEncSubject>("MinEnc"),
    Enrolled::new::<StackSubject<IpIpSubject, IpIpSubject>>("Stack<IpIp, IpIp>"),
    Enrolled::new::<StackSubject<UdpSubject<0>, IpIpSubject>>("Stack<Udp, IpIp>"),
    Enrolled::new::<StackSubject<TcpSubject, MinEncSubject>>("Stack<Tcp, MinEnc>"),
];

/// An encapsulator in one of its forms, and what is special about the form.
pub type Form = (String, Box<dyn Subject>);

/// An encapsulator by name, with the ways to make one.
#[derive(Clone, Copy, Debug)]
pub struct Enrolled {
    /// Its type's name.
    pub name: &'static str,
    generate: fn(&mut Unstructured<'_>, Wishes) -> Result<Box<dyn Subject>>,
    typical: fn(Endpoints) -> Box<dyn Subject>,
    forms: fn(OuterPolicy) -> Vec<Form>,
}

impl Enrolled {
    /// The encapsulator `S` under this name.
    #[must_use]
    pub const fn new<S: Enrol + 'static>(name: &'static str) -> Self {
        Self {
            name,
            generate: |u, wishes| Ok(Box::new(S::generate(u, wishes)?)),
            typical: |endpoints| Box::new(S::typical(endpoints)),
            forms: |outer| {
                let forms = S::forms(outer).into_iter();
                let boxed =
                    forms.map(|(name, form)| -> (_, Box<dyn Subject>) { (name, Box::new(form)) });
                boxed.collect()
            },
        }
    }

    /// One with arbitrary policies.
    ///
    /// # Errors
    /// None.
    pub fn generate(&self, u: &mut Unstructured<'_>, wishes: Wishes) -> Result<Box<dyn Subject>> {
        (self.generate)(u, wishes)
    }

    /// One with the default policies, for benches and golden bytes.
    #[must_use]
    pub fn typical(&self, endpoints: Endpoints) -> Box<dyn Subject> {
        (self.typical)(endpoints)
    }

    /// One in each of its forms, for golden bytes.
    #[must_use]
    pub fn forms(&self, outer: OuterPolicy) -> Vec<Form> {
        (self.forms)(outer)
    }
}

/// The two ends of a tunnel.
#[derive(Clone, Copy, Debug)]
pub struct Endpoints {
    /// The encapsulator's address.
    pub source: [u8; 4],
    /// The decapsulator's address.
    pub destination: [u8; 4],
}

/// What a generated encapsulator must look like.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// Its ends: unicast addresses.
    pub endpoints: Endpoints,
    /// Whether it may refuse an [ordinary packet](crate::generate::OrdinaryPacket) that is whole
    /// and has an identification and a sequence number.
    pub may_refuse: bool,
}

/// An encapsulator that can be made for a law.
pub trait Enrol: Subject + Sized {
    /// One with arbitrary policies.
    ///
    /// # Errors
    /// None.
    fn generate(u: &mut Unstructured<'_>, wishes: Wishes) -> Result<Self>;

    /// One with the default policies.
    fn typical(endpoints: Endpoints) -> Self;

    /// One in each of the forms that it has besides the policies of its outer header, by name.
    fn forms(outer: OuterPolicy) -> Vec<(String, Self)>;
}

/// An encapsulator under the laws: the real one, and the naive one beside it.
pub trait Subject: Debug {
    /// The encapsulator, by dynamic dispatch.
    fn encapsulator(&self) -> &dyn Encapsulate;

    /// A decapsulator at the other end that takes any inner packet from the encapsulator.
    fn decapsulator(&self) -> &dyn Decapsulate;

    /// [`Door::encap`] by static dispatch.
    ///
    /// # Errors
    /// As the door.
    fn encap(
        &self,
        door: Door,
        buffer: &mut [u8],
        inner: Span,
        packet: &PerPacket,
    ) -> core::result::Result<Span, EncapError>;

    /// The outer header by value, from those that offer it.
    fn header(
        &self,
        _inner: &PacketMeta,
        _packet: &PerPacket,
    ) -> Option<core::result::Result<Vec<u8>, EncapError>> {
        None
    }

    /// The encapsulator as a layer of a template, from those that can be one.
    fn layer(&self) -> Option<Layer> {
        None
    }

    /// The bytes in front of the inner packet in its payload form, from those that have one.
    fn payload_overhead(&self) -> Option<usize> {
        None
    }

    /// The payload form in `frame`, from those that have one.
    fn encap_payload(
        &self,
        _frame: &mut [u8],
        _packet: &PerPacket,
    ) -> Option<core::result::Result<PacketMeta, EncapError>> {
        None
    }

    /// The encapsulator as the rules describe it.
    fn naive(&self) -> &dyn NaiveEncapsulator;

    /// The carrier, of those that are one layer.
    fn carrier(&self) -> Option<&dyn CarrierSubject>;
}

/// One layer as a decapsulator sees it: the real one, and the naive one beside it.
pub trait CarrierSubject {
    /// A decapsulator of this carrier for any network.
    fn receiver<'a>(&self, access: &'a dyn Access, switches: Switches)
    -> Box<dyn Decapsulate + 'a>;

    /// `inspect_without_filter` of this carrier.
    ///
    /// # Errors
    /// As it.
    fn inspect_without_filter(&self, packet: &[u8]) -> core::result::Result<Opened, Refused>;

    /// `Decapsulator::inspect_payload` of [`receiver`](Self::receiver), from those carriers that
    /// have it. Over UDP and TCP all must: the laws insist.
    fn inspect_payload(
        &self,
        access: &dyn Access,
        switches: Switches,
        meta: &OuterMeta,
        payload: &[u8],
    ) -> Option<core::result::Result<Opened, Refused>>;

    /// The carrier as the rules describe it.
    fn naive(&self) -> &dyn NaiveCarrier;
}

/// The doors to an encapsulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// `ipencap::encap`.
    Function,
    /// `Encapsulate::encap`, whose frame begins with the headroom: there must be enough.
    Method,
    /// `Packet::encap`.
    Packet,
    /// `Packet::prove`, then `Proven::encap`.
    Proven,
}

impl Door {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Function, Self::Method, Self::Packet, Self::Proven];

    /// Wraps the packet at `inner` through this door; returns where the outer packet lies.
    ///
    /// # Errors
    /// As the door.
    pub fn encap<E: Encapsulate + ?Sized>(
        self,
        tunnel: &E,
        buffer: &mut [u8],
        inner: Span,
        packet: &PerPacket,
    ) -> core::result::Result<Span, EncapError> {
        let outer_start = inner.start.saturating_sub(tunnel.overhead());
        match self {
            Self::Function => {
                let outer = ipencap::encap(tunnel, buffer, inner, packet)?;
                Ok(Span::new(outer_start, outer.len()))
            }
            Self::Method => {
                let end = inner.end().min(buffer.len());
                let frame = &mut buffer[outer_start..end];
                let outer = tunnel.encap(frame, packet)?;
                Ok(Span::new(
                    outer_start,
                    usize::try_from(outer.len()).unwrap(),
                ))
            }
            Self::Packet => {
                let mut place = Packet::new(buffer, inner);
                let before = place.span();
                let result = place.encap(tunnel, packet);
                if result.is_err() {
                    assert_eq!(
                        place.span(),
                        before,
                        "a failed encapsulation moved the packet"
                    );
                }
                result.map(|()| place.span())
            }
            Self::Proven => {
                let proven = Packet::new(buffer, inner).prove()?;
                let outer = proven.encap(tunnel, packet)?;
                Ok(Span::new(outer_start, outer.len()))
            }
        }
    }
}
