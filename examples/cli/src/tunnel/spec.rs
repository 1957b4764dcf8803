//! Tunnels as text: `kind,key=value,…`.
//!
//! A kind is one arm in [`Spec::parse`] and one constructor of [`Spec`], which takes the keys of its
//! own. The keys of the outer IPv4 header and of the receiving side are shared.

use core::fmt;
use core::net::Ipv4Addr;
use core::num::NonZeroU8;
use std::sync::Arc;

use ipencap::decap::{
    Access, Decapsulate, InnerPolicy, InnerTunnels, PointToPoint, Prefix, Receiver,
};
use ipencap::encap::{
    AnyTunnel, DfPolicy, DscpPolicy, EcnPolicy, Encapsulate, IdSource, MinEnc, OuterPolicy, Role,
    TtlPolicy, Tunnel,
};
use ipencap::error::{ConfigError, PrefixError};
use ipencap::packet::Flow;
use ipencap::shim::{
    ChecksumPolicy, Fou, Gre, Gue, GueVariant1, InUdp, IpIp, PortRange, Shim, SourcePort, Tcp, Udp,
};
use ipencap::wire::{Dscp, GueHeader, LengthPrefix};

use super::keys::{Keys, WordOr};
use super::numbers::Numbers;

/// One tunnel, for either end.
#[derive(Clone)]
pub struct Spec {
    kind: String,
    tunnel: AnyTunnel,
    receiver: Arc<dyn Decapsulate + Send + Sync>,
    /// The inner sources that the far end may use; all if empty.
    inner: Vec<Prefix>,
    inner_policy: InnerPolicy,
    numbers: Numbers,
    /// What it puts in front of a packet, outermost first: names and lengths in bytes.
    headers: Vec<(&'static str, usize)>,
}

impl fmt::Debug for Spec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tunnel.fmt(formatter)
    }
}

impl Spec {
    /// Reads a specification.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Keys::split(text)?;
        let spec = match keys.kind {
            "ipip" => Self::new(&mut keys, IpIp, &[])?,
            "fou" => Self::fou(&mut keys)?,
            "gue" => Self::gue(&mut keys)?,
            "gre" => Self::gre(&mut keys)?,
            "tcp" => Self::tcp(&mut keys)?,
            "minenc" => Self::minenc(&mut keys)?,
            unknown => {
                return Err(format!(
                    "there is no tunnel kind '{unknown}'; kinds: ipip, fou, gue, gre, tcp, minenc"
                ));
            }
        };
        keys.finish()?;
        Ok(spec)
    }

    /// The word that it begins with.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What it puts in front of a packet, in bytes.
    #[must_use]
    pub fn overhead(&self) -> usize {
        self.tunnel.overhead()
    }

    /// What it puts in front of a packet, outermost first: names and lengths in bytes.
    #[must_use]
    pub fn headers(&self) -> &[(&'static str, usize)] {
        &self.headers
    }

    /// The sending end.
    #[must_use]
    pub const fn tunnel(&self) -> AnyTunnel {
        self.tunnel
    }

    /// The other end of the tunnel.
    pub(super) fn receiver(&self) -> &dyn Decapsulate {
        &*self.receiver
    }

    /// What the first packet is numbered by.
    pub(super) const fn numbers(&self) -> Numbers {
        self.numbers
    }

    /// Whether nobody said which inner sources to accept, so that all are.
    #[must_use]
    pub const fn accepts_any_inner(&self) -> bool {
        self.inner.is_empty()
    }

    /// The inner sources that it says to accept.
    #[must_use]
    pub fn inner(&self) -> &[Prefix] {
        &self.inner
    }

    /// What else it says of inner packets that come out.
    #[must_use]
    pub const fn inner_policy(&self) -> InnerPolicy {
        self.inner_policy
    }

    /// A tunnel with this shim, whose headers are those named; those without a length are absent.
    fn new<S>(
        keys: &mut Keys<'_>,
        shim: S,
        shim_headers: &[(&'static str, usize)],
    ) -> Result<Self, String>
    where
        S: Shim + Send + Sync + 'static,
        AnyTunnel: From<Tunnel<S>>,
    {
        let peer = Peer::take(keys)?;
        let tunnel = peer.named(Tunnel::new(peer.source, peer.destination, shim))?;
        let tunnel = tunnel.with_policy(outer_policy(keys, tunnel.policy())?);
        let headers = [("IPv4", 20)].iter().chain(shim_headers);
        let inner_policy = inner_policy(keys)?;
        Ok(Self {
            kind: keys.kind.to_owned(),
            tunnel: tunnel.into(),
            inner: peer.inner.clone(),
            inner_policy,
            receiver: Arc::new(tunnel.receiver(peer).with_inner_policy(inner_policy)),
            numbers: Numbers::default(),
            headers: headers.copied().filter(|(_, len)| *len > 0).collect(),
        })
    }

    fn fou(keys: &mut Keys<'_>) -> Result<Self, String> {
        let port = keys.required("dport", 1..=u16::MAX)?;
        let fou = udp(Fou::new(port), keys)?;
        Self::new(keys, fou, &[("UDP", 8)])
    }

    fn gue(keys: &mut Keys<'_>) -> Result<Self, String> {
        let port = keys
            .number("dport", 1..=u16::MAX)?
            .unwrap_or(GueHeader::PORT);
        if keys.number("variant", 0..=1u8)? == Some(1) {
            let gue = udp(GueVariant1::new().with_destination_port(port), keys)?;
            Self::new(keys, gue, &[("UDP", 8)])
        } else {
            let gue = udp(Gue::new().with_destination_port(port), keys)?;
            Self::new(keys, gue, &[("UDP", 8), ("GUE", GueHeader::LEN)])
        }
    }

    fn gre(keys: &mut Keys<'_>) -> Result<Self, String> {
        let mut gre = Gre::new();
        if let Some(key) = keys.number("key", 0..=u32::MAX)? {
            gre = gre.with_key(key);
        }
        if keys.choice("csum", false, &YES_NO)? {
            gre = gre.with_checksum();
        }
        if keys.choice("seq", false, &YES_NO)? {
            gre = gre.with_sequence();
        }
        Self::new(keys, gre, &[("GRE", Shim::len(&gre))])
    }

    fn tcp(keys: &mut Keys<'_>) -> Result<Self, String> {
        let source_port = keys.required("sport", 0..=u16::MAX)?;
        let port = keys.required("dport", 1..=u16::MAX)?;
        let window = keys.number("window", 0..=u16::MAX)?.unwrap_or(512);
        let mut tcp = Tcp::new(source_port, port)
            .with_window(window)
            .with_full_checksum();
        if let Some((value, echo_reply)) = keys.timestamps()? {
            tcp = tcp.with_timestamps(value, echo_reply);
        }
        let header_len = tcp.len();
        if let Some(framing) = keys.choice("framing", None, &FRAMING)? {
            tcp = tcp.with_framing(framing);
        }
        let prefix_len = tcp.len() - header_len;
        let numbers = Numbers::of_stream(
            keys.number("seq", 0..=u32::MAX)?.unwrap_or(0),
            keys.number("ack", 0..=u32::MAX)?.unwrap_or(0),
            prefix_len,
        );
        let headers = [("TCP", header_len), ("length", prefix_len)];
        Ok(Self {
            numbers,
            ..Self::new(keys, tcp, &headers)?
        })
    }

    fn minenc(keys: &mut Keys<'_>) -> Result<Self, String> {
        let peer = Peer::take(keys)?;
        let minenc = peer
            .named(MinEnc::new(peer.source, peer.destination))?
            .with_role(keys.choice("forward", Role::Originate, &ROLE)?);
        let minenc = if keys.choice("keep_source", true, &YES_NO)? {
            minenc
        } else {
            minenc.without_source()
        };
        let inner_policy = inner_policy(keys)?;
        Ok(Self {
            kind: keys.kind.to_owned(),
            tunnel: minenc.into(),
            inner: peer.inner.clone(),
            inner_policy,
            receiver: Arc::new(Receiver::minimal(peer).with_inner_policy(inner_policy)),
            numbers: Numbers::default(),
            headers: vec![("minimal", minenc.overhead())],
        })
    }
}

/// The encapsulating side, as the other one knows it.
struct Peer {
    source: Ipv4Addr,
    /// The decapsulating side's own address.
    destination: Ipv4Addr,
    /// The inner sources it may use; all if empty.
    inner: Vec<Prefix>,
}

impl Peer {
    fn take(keys: &mut Keys<'_>) -> Result<Self, String> {
        Ok(Self {
            source: keys.address("src", Ipv4Addr::new(192, 0, 2, 1))?,
            destination: keys.address("dst", Ipv4Addr::new(192, 0, 2, 2))?,
            inner: keys
                .take_all("inner")
                .map(|text| prefix(text).map_err(|error| format!("inner={error}")))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Names the key with the address that a tunnel cannot have.
    fn named<T>(&self, tunnel: Result<T, ConfigError>) -> Result<T, String> {
        tunnel.map_err(|error| match error {
            ConfigError::ForbiddenSource => format!("src={}: {error}", self.source),
            ConfigError::ForbiddenDestination => format!("dst={}: {error}", self.destination),
            _ => error.to_string(),
        })
    }

    const fn access(&self) -> PointToPoint<'_> {
        let inner = if self.inner.is_empty() {
            &[Prefix::ANY]
        } else {
            self.inner.as_slice()
        };
        PointToPoint::new(self.destination, self.source, inner)
    }
}

impl Access for Peer {
    fn is_local(&self, address: Ipv4Addr) -> bool {
        self.access().is_local(address)
    }

    fn peer(&self, outer: Flow) -> Option<u32> {
        self.access().peer(outer)
    }

    fn allows_inner(&self, peer: u32, inner_source: Ipv4Addr) -> bool {
        self.access().allows_inner(peer, inner_source)
    }
}

/// What the receiving side lets out of the tunnel.
fn inner_policy(keys: &mut Keys<'_>) -> Result<InnerPolicy, String> {
    Ok(InnerPolicy {
        inner_tunnels: keys.choice("nested", InnerTunnels::Transit, &NESTED)?,
        allows_multicast: keys.choice("multicast", false, &YES_NO)?,
        ..InnerPolicy::DEFAULT
    })
}

/// The keys of an outer IPv4 header.
fn outer_policy(keys: &mut Keys<'_>, defaults: OuterPolicy) -> Result<OuterPolicy, String> {
    let identification = keys.number("id", 0..=u16::MAX)?;
    let ids = identification.map_or(IdSource::PerPacket, IdSource::Constant);
    let df = [("set", DfPolicy::Set), ("copy", DfPolicy::Copy(ids))];
    let hops = NonZeroU8::MIN..=NonZeroU8::MAX;
    Ok(OuterPolicy {
        ttl: match keys.word_or_number("ttl", "inherit", hops)? {
            Some(WordOr::Word) => TtlPolicy::Inherit,
            Some(WordOr::Number(hops)) => TtlPolicy::Fixed(hops),
            None => defaults.ttl,
        },
        dscp: match keys.word_or_number("dscp", "copy", 0..=63)? {
            Some(WordOr::Word) => DscpPolicy::Copy,
            Some(WordOr::Number(value)) => {
                Dscp::new(value).map_or(defaults.dscp, DscpPolicy::Fixed)
            }
            None => defaults.dscp,
        },
        ecn: keys.choice("ecn", defaults.ecn, &ECN)?,
        df: keys.choice("df", defaults.df, &df)?,
        atomic_identification: identification.unwrap_or(defaults.atomic_identification),
        role: keys.choice("forward", defaults.role, &ROLE)?,
        link_mtu: keys.number("mtu", 1..=u16::MAX)?,
        ..defaults
    })
}

/// The keys that all UDP tunnels share.
fn udp<I: InUdp>(udp: Udp<I>, keys: &mut Keys<'_>) -> Result<Udp<I>, String> {
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

/// `address/length`, or one address.
///
/// # Errors
/// What is wrong with it.
pub fn prefix(text: &str) -> Result<Prefix, String> {
    match text.parse() {
        Ok(address) => Ok(Prefix::host(address)),
        Err(_) => text
            .parse()
            .map_err(|error: PrefixError| format!("{text}: {error}")),
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
