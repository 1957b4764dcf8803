//! Tunnels as text: `kind,key=value,…`.
//!
//! A kind is one arm in [`Spec::parse`] and one constructor of [`Tunnel`], which takes the keys of
//! its own and says how to wrap and how to recognise a packet. The keys of the outer IPv4 header and
//! of the receiving side are shared.

use core::net::Ipv4Addr;
use core::num::NonZeroU8;
use std::sync::Arc;

use ipencap::decap::{Carrier, Decapsulate, InnerTunnels, Receiver};
use ipencap::decap::{PointToPoint, Prefix};
use ipencap::encap::{
    ChecksumPolicy, DfPolicy, DscpPolicy, EcnPolicy, Encapsulate, Gre, GreCarrier, IdSource, IpIp,
    IpIpCarrier, MinEnc, PortRange, Role, SourcePort, Tcp, TcpCarrier, TtlPolicy, Udp, UdpCarrier,
};
use ipencap::error::ConfigError;
use ipencap::wire::{Dscp, GueHeader, LengthPrefix};

use super::keys::{Keys, WordOr, number};

/// One tunnel, for either end.
#[derive(Clone)]
pub(crate) struct Spec {
    kind: String,
    tunnel: Tunnel,
    /// Inner sources that the decapsulating side accepts; empty if none was given.
    inner: Vec<Prefix>,
    multicast: bool,
    inner_tunnels: InnerTunnels,
}

/// Makes the receiver at the other end.
type Open = dyn for<'a> Fn(PointToPoint<'a>, Allowed) -> Box<dyn Decapsulate + 'a> + Send + Sync;

/// What the receiving side allows of inner packets.
#[derive(Clone, Copy)]
struct Allowed {
    multicast: bool,
    tunnels: InnerTunnels,
    layers: u8,
}

impl Allowed {
    fn set<C, A>(self, receiver: Receiver<C, A>) -> Receiver<C, A> {
        let receiver = receiver
            .with_inner_tunnels(self.tunnels)
            .with_max_depth(self.layers);
        if self.multicast {
            receiver.allowing_multicast()
        } else {
            receiver
        }
    }
}

/// What makes a tunnel of its kind.
#[derive(Clone)]
struct Tunnel {
    encapsulator: Arc<dyn Encapsulate + Send + Sync>,
    /// The receiver at the other end, for whom this access allows.
    receiver: Arc<Open>,
    /// The encapsulating side's address and the decapsulating side's.
    source: Ipv4Addr,
    destination: Ipv4Addr,
    numbering: Numbering,
    /// What it puts in front of a packet, outermost first: names and lengths in bytes.
    headers: Vec<(&'static str, usize)>,
}

/// How the packets of a tunnel are counted.
#[derive(Clone, Copy)]
pub(super) enum Numbering {
    /// Those that may be fragmented, for their identification.
    Fragmentable,
    /// All, for GRE's sequence number, and apart from it those that may be fragmented.
    Gre { sequence: u32 },
    /// By the bytes of a TCP stream.
    Tcp {
        sequence: u32,
        acknowledgment: u32,
        headers_len: u32,
    },
}

impl Spec {
    /// Reads a specification, or says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Keys::split(text)?;
        let tunnel = match keys.kind {
            "ipip" => Tunnel::ipip(&mut keys)?,
            "fou" => Tunnel::fou(&mut keys)?,
            "gue" => Tunnel::gue(&mut keys)?,
            "gre" => Tunnel::gre(&mut keys)?,
            "tcp" => Tunnel::tcp(&mut keys)?,
            "minenc" => Tunnel::minenc(&mut keys)?,
            unknown => {
                return Err(format!(
                    "there is no tunnel kind '{unknown}'; kinds: ipip, fou, gue, gre, tcp, minenc"
                ));
            }
        };
        let spec = Self {
            kind: keys.kind.to_owned(),
            tunnel,
            inner: keys
                .take_all("inner")
                .map(prefix)
                .collect::<Result<_, _>>()?,
            multicast: keys.choice("multicast", false, &YES_NO)?,
            inner_tunnels: keys.choice("nested", InnerTunnels::Transit, &NESTED)?,
        };
        keys.finish()?;
        Ok(spec)
    }

    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    /// What it puts in front of a packet, in bytes.
    pub(crate) fn overhead(&self) -> usize {
        self.tunnel.encapsulator.overhead()
    }

    pub(super) fn encapsulator(&self) -> &dyn Encapsulate {
        &*self.tunnel.encapsulator
    }

    /// What it puts in front of a packet, outermost first: names and lengths in bytes.
    pub(crate) fn headers(&self) -> &[(&'static str, usize)] {
        &self.tunnel.headers
    }

    pub(super) const fn numbering(&self) -> Numbering {
        self.tunnel.numbering
    }

    /// Whether nobody said which inner sources to accept, so that all are.
    pub(crate) const fn accepts_any_inner(&self) -> bool {
        self.inner.is_empty()
    }

    /// The other end of the tunnel. `layers` is how many layers are opened here from this one
    /// inwards: the packet of a next one is expected, and no loop.
    pub(super) fn decapsulator(&self, layers: u8) -> impl Decapsulate + '_ {
        let inner = if self.inner.is_empty() {
            &[Prefix::ANY]
        } else {
            self.inner.as_slice()
        };
        let access = PointToPoint::new(self.tunnel.destination, self.tunnel.source, inner);
        let allowed = Allowed {
            multicast: self.multicast,
            tunnels: self.inner_tunnels,
            layers,
        };
        (self.tunnel.receiver)(access, allowed)
    }
}

/// Gives an encapsulator the policies of its outer header.
macro_rules! with_policies {
    ($encapsulator:expr, $outer:expr) => {{
        let outer = &$outer;
        let encapsulator = $encapsulator
            .map_err(|error| forbidden(error, outer.source, outer.destination))?
            .with_ttl(outer.ttl)
            .with_dscp(outer.dscp)
            .with_ecn(outer.ecn)
            .with_df(outer.df)
            .with_atomic_identification(outer.atomic_id)
            .with_role(outer.role);
        match outer.link_mtu {
            Some(mtu) => encapsulator.with_link_mtu(mtu),
            None => encapsulator,
        }
    }};
}

impl Tunnel {
    fn new(
        ends: (Ipv4Addr, Ipv4Addr),
        encapsulator: impl Encapsulate + Send + Sync + 'static,
        carrier: impl Carrier + Copy + Send + Sync + 'static,
        headers: &[(&'static str, usize)],
    ) -> Self {
        let receiver: Arc<Open> =
            Arc::new(move |access, allowed| Box::new(allowed.set(Receiver::new(carrier, access))));
        Self::received_by(ends, encapsulator, receiver, headers)
    }

    fn received_by(
        (source, destination): (Ipv4Addr, Ipv4Addr),
        encapsulator: impl Encapsulate + Send + Sync + 'static,
        receiver: Arc<Open>,
        headers: &[(&'static str, usize)],
    ) -> Self {
        // Absent parts are given with no length.
        let headers = headers
            .iter()
            .copied()
            .filter(|(_, len)| *len > 0)
            .collect();
        Self {
            headers,
            encapsulator: Arc::new(encapsulator),
            receiver,
            source,
            destination,
            numbering: Numbering::Fragmentable,
        }
    }

    fn ipip(keys: &mut Keys<'_>) -> Result<Self, String> {
        let outer = Outer::take(keys, Outer::IP_DEFAULTS)?;
        let ipip = with_policies!(IpIp::new(outer.source, outer.destination), outer);
        Ok(Self::new(outer.ends(), ipip, IpIpCarrier, &[("IPv4", 20)]))
    }

    fn fou(keys: &mut Keys<'_>) -> Result<Self, String> {
        let outer = Outer::take(keys, Outer::IP_DEFAULTS)?;
        let port = keys
            .number("dport", 1..=u16::MAX)?
            .ok_or("'dport' is missing")?;
        let fou = with_policies!(Udp::fou(outer.source, outer.destination, port), outer);
        Ok(Self::new(
            outer.ends(),
            udp(fou, keys)?,
            UdpCarrier::fou(port),
            &[("IPv4", 20), ("UDP", 8)],
        ))
    }

    fn gue(keys: &mut Keys<'_>) -> Result<Self, String> {
        let outer = Outer::take(keys, Outer::IP_DEFAULTS)?;
        let port = keys
            .number("dport", 1..=u16::MAX)?
            .unwrap_or(GueHeader::PORT);
        let (source, destination) = outer.ends();
        let has_header = keys.number("variant", 0..=1u8)? != Some(1);
        let gue = if has_header {
            with_policies!(Udp::gue(source, destination), outer)
        } else {
            with_policies!(Udp::gue_variant_1(source, destination), outer)
        };
        let gue = udp(gue.with_destination_port(port), keys)?;
        let carrier = UdpCarrier::gue().with_destination_port(port);
        let header_len = if has_header { GueHeader::LEN } else { 0 };
        let headers = [("IPv4", 20), ("UDP", 8), ("GUE", header_len)];
        Ok(Self::new(outer.ends(), gue, carrier, &headers))
    }

    fn gre(keys: &mut Keys<'_>) -> Result<Self, String> {
        let outer = Outer::take(keys, Outer::IP_DEFAULTS)?;
        let mut gre = with_policies!(Gre::new(outer.source, outer.destination), outer);
        let mut carrier = GreCarrier::new();
        if let Some(key) = keys.number("key", 0..=u32::MAX)? {
            (gre, carrier) = (gre.with_key(key), carrier.with_key(key));
        }
        if keys.choice("csum", false, &YES_NO)? {
            (gre, carrier) = (gre.with_checksum(), carrier.with_checksum());
        }
        let mut numbering = Numbering::Fragmentable;
        if keys.choice("seq", false, &YES_NO)? {
            (gre, carrier) = (gre.with_sequence(), carrier.with_sequence());
            numbering = Numbering::Gre { sequence: 0 };
        }
        Ok(Self {
            numbering,
            ..Self::new(
                outer.ends(),
                gre,
                carrier,
                &[("IPv4", 20), ("GRE", gre.overhead() - 20)],
            )
        })
    }

    fn tcp(keys: &mut Keys<'_>) -> Result<Self, String> {
        let outer = Outer::take(keys, Outer::TCP_DEFAULTS)?;
        let source_port = keys
            .number("sport", 0..=u16::MAX)?
            .ok_or("'sport' is missing")?;
        let port = keys
            .number("dport", 1..=u16::MAX)?
            .ok_or("'dport' is missing")?;
        let tcp = Tcp::new((outer.source, source_port), (outer.destination, port));
        let mut tcp = with_policies!(tcp, outer)
            .with_window(keys.number("window", 0..=u16::MAX)?.unwrap_or(512));
        let mut carrier = TcpCarrier::new(port);
        let mut headers_len = 40;
        if let Some((value, echo_reply)) = keys.timestamps()? {
            tcp = tcp.with_timestamps(value, echo_reply);
            headers_len += 12;
        }
        if let Some(framing) = keys.choice("framing", None, &FRAMING)? {
            (tcp, carrier) = (tcp.with_framing(framing), carrier.with_framing(framing));
        }
        let prefix_len = tcp.overhead() - headers_len;
        let headers = [
            ("IPv4", 20),
            ("TCP", headers_len - 20),
            ("length", prefix_len),
        ];
        let numbering = Numbering::Tcp {
            sequence: keys.number("seq", 0..=u32::MAX)?.unwrap_or(0),
            acknowledgment: keys.number("ack", 0..=u32::MAX)?.unwrap_or(0),
            headers_len: headers_len as u32,
        };
        Ok(Self {
            numbering,
            ..Self::new(outer.ends(), tcp, carrier, &headers)
        })
    }

    fn minenc(keys: &mut Keys<'_>) -> Result<Self, String> {
        let (source, destination) = (keys.address("src")?, keys.address("dst")?);
        let minenc = MinEnc::new(source, destination)
            .map_err(|error| forbidden(error, source, destination))?
            .with_role(keys.choice("forward", Role::Originate, &ROLE)?);
        let keeps_source = keys.choice("keep_source", true, &YES_NO)?;
        let minenc = if keeps_source {
            minenc
        } else {
            minenc.without_source()
        };
        let receiver: Arc<Open> =
            Arc::new(|access, allowed| Box::new(allowed.set(Receiver::minimal(access))));
        Ok(Self::received_by(
            (source, destination),
            minenc,
            receiver,
            &[("minimal", minenc.overhead())],
        ))
    }
}

/// The keys that all UDP tunnels share.
fn udp(udp: Udp, keys: &mut Keys<'_>) -> Result<Udp, String> {
    let source_port = match keys.word_or_number("sport", "auto", 0..=u16::MAX)? {
        Some(WordOr::Number(port)) => SourcePort::Fixed(port),
        Some(WordOr::Word) | None => SourcePort::Entropy {
            seed: 0,
            range: PortRange::Dynamic,
        },
    };
    let checksum = keys.choice("csum", ChecksumPolicy::Offload, &UDP_CHECKSUM)?;
    Ok(udp.with_source_port(source_port).with_checksum(checksum))
}

fn forbidden(error: ConfigError, source: Ipv4Addr, destination: Ipv4Addr) -> String {
    match error {
        ConfigError::ForbiddenSource => format!("src={source}: {error}"),
        ConfigError::ForbiddenDestination => format!("dst={destination}: {error}"),
        _ => error.to_string(),
    }
}

const YES_NO: [(&str, bool); 2] = [("yes", true), ("no", false)];
const NESTED: [(&str, InnerTunnels); 2] = [
    ("transit", InnerTunnels::Transit),
    ("refuse", InnerTunnels::Refuse),
];
const ECN: [(&str, EcnPolicy); 3] = [
    ("normal", EcnPolicy::Normal),
    ("compat", EcnPolicy::Compatibility),
    ("rfc3168", EcnPolicy::Rfc3168),
];
const UDP_CHECKSUM: [(&str, ChecksumPolicy); 3] = [
    ("lco", ChecksumPolicy::Offload),
    ("full", ChecksumPolicy::Full),
    ("zero", ChecksumPolicy::Zero),
];
const FRAMING: [(&str, Option<LengthPrefix>); 3] = [
    ("none", None),
    ("exclusive", Some(LengthPrefix::Exclusive)),
    ("inclusive", Some(LengthPrefix::Inclusive)),
];
const ROLE: [(&str, Role); 2] = [("yes", Role::Forward), ("no", Role::Originate)];
const COPY_DF: [(&str, bool); 2] = [("set", false), ("copy", true)];

/// The keys of an outer IPv4 header.
struct Outer {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    ttl: TtlPolicy,
    dscp: DscpPolicy,
    ecn: EcnPolicy,
    df: DfPolicy,
    atomic_id: u16,
    role: Role,
    link_mtu: Option<u16>,
}

impl Outer {
    /// DSCP and ECN unless said.
    const IP_DEFAULTS: (DscpPolicy, EcnPolicy) = (DscpPolicy::Copy, EcnPolicy::Normal);
    const TCP_DEFAULTS: (DscpPolicy, EcnPolicy) =
        (DscpPolicy::Fixed(Dscp::DEFAULT), EcnPolicy::Compatibility);

    const fn ends(&self) -> (Ipv4Addr, Ipv4Addr) {
        (self.source, self.destination)
    }

    fn take(keys: &mut Keys<'_>, defaults: (DscpPolicy, EcnPolicy)) -> Result<Self, String> {
        let identification = keys.number("id", 0..=u16::MAX)?;
        let ids = identification.map_or(IdSource::PerPacket, IdSource::Constant);
        let ttl = match keys.word_or_number("ttl", "inherit", 1..=u8::MAX)? {
            Some(WordOr::Word) => TtlPolicy::Inherit,
            Some(WordOr::Number(hops)) => {
                NonZeroU8::new(hops).map_or(TtlPolicy::DEFAULT, TtlPolicy::Fixed)
            }
            None => TtlPolicy::DEFAULT,
        };
        let dscp = match keys.word_or_number("dscp", "copy", 0..=63)? {
            Some(WordOr::Number(value)) => Dscp::new(value).map(DscpPolicy::Fixed),
            Some(WordOr::Word) => Some(DscpPolicy::Copy),
            None => None,
        };
        Ok(Self {
            source: keys.address("src")?,
            destination: keys.address("dst")?,
            ttl,
            dscp: dscp.unwrap_or(defaults.0),
            ecn: keys.choice("ecn", defaults.1, &ECN)?,
            df: if keys.choice("df", false, &COPY_DF)? {
                DfPolicy::Copy(ids)
            } else {
                DfPolicy::Set
            },
            atomic_id: identification.unwrap_or(0),
            role: keys.choice("forward", Role::Originate, &ROLE)?,
            link_mtu: keys.number("mtu", 1..=u16::MAX)?,
        })
    }
}

/// `address/length`, or one address.
fn prefix(text: &str) -> Result<Prefix, String> {
    let complaint = |why: &dyn core::fmt::Display| format!("inner={text}: {why}");
    let (address, len) = text.split_once('/').unwrap_or((text, "32"));
    let address = address
        .parse()
        .map_err(|_| complaint(&"expected an IPv4 prefix, such as 10.1.0.0/16"))?;
    let len = number(len, &(0..=32)).ok_or_else(|| complaint(&ConfigError::BadPrefix))?;
    Prefix::new(address, len).map_err(|error| complaint(&error))
}
