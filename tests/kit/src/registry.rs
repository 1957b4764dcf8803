//! Every encapsulator once. The line of a new one in [`ENCAPSULATORS`] enrols it in every law.

use core::fmt::Debug;

use arbitrary::{Result, Unstructured};
use ipencap::Span;
use ipencap::decap::Access;
use ipencap::decap::{Decapsulate, Opened, OuterMeta};
use ipencap::encap::{AnyTunnel, Encapsulate, PerPacket};
use ipencap::error::{EncapError, Refused};
use ipencap::packet::{Facts, Packet};

use crate::oracle::{NaiveCarrier, NaiveEncapsulator, OuterPolicy, Switches};
use crate::subjects::{
    AnyTunnels, Array, FouSubject, GreInUdpSubject, GreSubject, GueSubject, GueVariant1Subject,
    IpIpSubject, MinEncSubject, RuntimeForm, StackSubject, TcpSubject,
};

/// The encapsulators of the library.
pub const ENCAPSULATORS: &[Enrolled] = &[
    Enrolled::new::<IpIpSubject>("Tunnel<IpIp>"),
    Enrolled::new::<FouSubject>("Tunnel<Fou>"),
    Enrolled::new::<GueSubject<0>>("Tunnel<Gue>"),
    Enrolled::new::<GueSubject<2>>("Tunnel<Gue<2>>"),
    Enrolled::new::<GueVariant1Subject>("Tunnel<GueVariant1>"),
    Enrolled::new::<GreInUdpSubject>("Tunnel<GreInUdp>"),
    Enrolled::new::<TcpSubject>("Tunnel<Tcp>"),
    Enrolled::new::<GreSubject>("Tunnel<Gre>"),
    Enrolled::new::<MinEncSubject>("MinEnc"),
    Enrolled::new::<StackSubject<IpIpSubject, IpIpSubject>>("(Tunnel<IpIp>, Tunnel<IpIp>)"),
    Enrolled::new::<StackSubject<FouSubject, IpIpSubject>>("(Tunnel<IpIp>, Tunnel<Fou>)"),
    Enrolled::new::<StackSubject<TcpSubject, MinEncSubject>>("(MinEnc, Tunnel<Tcp>)"),
    Enrolled::new::<StackSubject<FouSubject, FouSubject, Array>>("[Tunnel<Fou>; 2]"),
    Enrolled::new::<StackSubject<GreInUdpSubject, GreSubject, AnyTunnels>>("[AnyTunnel; 2]"),
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
pub trait Enrol: Subject + Sized + 'static {
    /// The encapsulator's type.
    type Tunnel: RuntimeForm;

    /// The encapsulator.
    fn tunnel(&self) -> Self::Tunnel;

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

    /// The same encapsulator as a stack of [`AnyTunnel`]s, the innermost first, if it has that form.
    fn any_tunnels(&self) -> Option<Vec<AnyTunnel>>;

    /// A decapsulator at the other end that takes any inner packet from the encapsulator.
    fn decapsulator(&self) -> &dyn Decapsulate;

    /// The one that is made from the encapsulator: `Tunnel::receiver`.
    fn matching_receiver(&self) -> Box<dyn Decapsulate + '_>;

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

    /// The bytes in front of the inner packet in its payload form, from those that have one.
    fn payload_overhead(&self) -> Option<usize> {
        None
    }

    /// The payload form in `frame`, from those that have one.
    fn encap_payload(
        &self,
        _frame: &mut [u8],
        _packet: &PerPacket,
    ) -> Option<core::result::Result<Facts, EncapError>> {
        None
    }

    /// `Tunnel::encap_payload_train`, from those that have a payload form.
    fn encap_payload_train(
        &self,
        _segments: &mut [u8],
        _segment_len: usize,
        _packet: &PerPacket,
    ) -> Option<core::result::Result<(usize, Facts), EncapError>> {
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

    /// `Receiver::inspect_payload` of [`receiver`](Self::receiver), from those carriers that
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
    /// `Packet::wrap`.
    Packet,
    /// `Packet::prove`, then `Proven::wrap`.
    Proven,
}

impl Door {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Function, Self::Packet, Self::Proven];

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
            Self::Packet => {
                let mut place = Packet::new(buffer, inner);
                let before = place.span();
                let result = place.wrap(tunnel, packet);
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
                let outer = proven.wrap(tunnel, packet)?;
                Ok(Span::new(outer_start, outer.len()))
            }
        }
    }
}
