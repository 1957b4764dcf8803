//! Tunnels as text: `kind,key=value,…`.
//!
//! A kind is one arm in [`Spec::parse`] and one constructor of [`Tunnel`], which takes the keys of
//! its own and says how to wrap and how to recognise a packet. The keys of the outer IPv4 header and
//! of the receiving side are shared.

use core::net::Ipv4Addr;
use core::num::NonZeroU8;
use core::ops::RangeInclusive;
use core::str::FromStr;
use std::sync::Arc;

use ipencap::encap::{
    Carrier, Decapsulate, Decapsulator, DfPolicy, DscpPolicy, EcnPolicy, Encapsulate, IdSource,
    InnerTunnels, IpIp, IpIpCarrier, Role, TtlPolicy,
};
use ipencap::error::{ConfigError, Reason};
use ipencap::filter::{PointToPoint, Prefix};
use ipencap::wire::{Dscp, IpProtocol, Ipv4};

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

/// What makes a tunnel of its kind.
#[derive(Clone)]
struct Tunnel {
    encapsulator: Arc<dyn Encapsulate + Send + Sync>,
    carrier: Arc<dyn Carrier + Send + Sync>,
    /// The encapsulating side's address and the decapsulating side's.
    source: Ipv4Addr,
    destination: Ipv4Addr,
}

impl Spec {
    /// Reads a specification, or says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Keys::split(text)?;
        let tunnel = match keys.kind {
            "ipip" => Tunnel::ipip(&mut keys)?,
            unknown => return Err(format!("there is no tunnel kind '{unknown}'; kinds: ipip")),
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

    pub(crate) fn encapsulator(&self) -> &dyn Encapsulate {
        &*self.tunnel.encapsulator
    }

    /// Whether nobody said which inner sources to accept, so that all are.
    pub(crate) const fn accepts_any_inner(&self) -> bool {
        self.inner.is_empty()
    }

    /// The other end of the tunnel. `layers` is how many layers are opened here from this one
    /// inwards: the packet of a next one is expected, and no loop.
    pub(crate) fn decapsulator(&self, layers: u8) -> impl Decapsulate + '_ {
        let inner = if self.inner.is_empty() {
            &[Prefix::ANY]
        } else {
            self.inner.as_slice()
        };
        let access = PointToPoint::new(self.tunnel.destination, self.tunnel.source, inner);
        let decapsulator = Decapsulator::new(AnyCarrier(&*self.tunnel.carrier), access)
            .with_inner_tunnels(self.inner_tunnels)
            .with_max_depth(layers);
        if self.multicast {
            decapsulator.allowing_multicast()
        } else {
            decapsulator
        }
    }
}

impl Tunnel {
    fn ipip(keys: &mut Keys<'_>) -> Result<Self, String> {
        let Outer {
            source,
            destination,
            ttl,
            dscp,
            ecn,
            df,
            atomic_id,
            role,
            link_mtu,
        } = Outer::take(keys)?;
        let mut ipip = IpIp::new(source, destination)
            .map_err(|error| forbidden(error, source, destination))?
            .with_ttl(ttl)
            .with_dscp(dscp)
            .with_ecn(ecn)
            .with_df(df)
            .with_atomic_identification(atomic_id)
            .with_role(role);
        if let Some(mtu) = link_mtu {
            ipip = ipip.with_link_mtu(mtu);
        }
        let (encapsulator, carrier) = (Arc::new(ipip), Arc::new(IpIpCarrier));
        Ok(Self {
            encapsulator,
            carrier,
            source,
            destination,
        })
    }
}

fn forbidden(error: ConfigError, source: Ipv4Addr, destination: Ipv4Addr) -> String {
    match error {
        ConfigError::ForbiddenSource => format!("src={source}: {error}"),
        ConfigError::ForbiddenDestination => format!("dst={destination}: {error}"),
        _ => error.to_string(),
    }
}

/// A carrier whose kind is only known at run time.
struct AnyCarrier<'s>(&'s dyn Carrier);

impl Carrier for AnyCarrier<'_> {
    fn protocol(&self) -> IpProtocol {
        self.0.protocol()
    }

    fn shim_len(&self, outer: Ipv4<'_>) -> Result<usize, Reason> {
        self.0.shim_len(outer)
    }

    fn reopens(&self, inner: Ipv4<'_>) -> bool {
        self.0.reopens(inner)
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
    fn take(keys: &mut Keys<'_>) -> Result<Self, String> {
        let identification = keys.number("id", 0..=u16::MAX)?;
        let ids = identification.map_or(IdSource::Ordinal, IdSource::Constant);
        let ttl = match keys.word_or_number("ttl", "inherit", 1..=u8::MAX)? {
            Some(WordOr::Word) => TtlPolicy::Inherit,
            Some(WordOr::Number(hops)) => {
                NonZeroU8::new(hops).map_or(TtlPolicy::DEFAULT, TtlPolicy::Fixed)
            }
            None => TtlPolicy::DEFAULT,
        };
        let dscp = match keys.word_or_number("dscp", "copy", 0..=63)? {
            Some(WordOr::Number(value)) => Dscp::new(value).map(DscpPolicy::Fixed),
            Some(WordOr::Word) | None => None,
        };
        Ok(Self {
            source: keys.address("src")?,
            destination: keys.address("dst")?,
            ttl,
            dscp: dscp.unwrap_or_default(),
            ecn: keys.choice("ecn", EcnPolicy::Normal, &ECN)?,
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

enum WordOr<T> {
    Word,
    Number(T),
}

/// The keys of a specification that nobody has asked for yet.
struct Keys<'t> {
    kind: &'t str,
    left: Vec<(&'t str, &'t str)>,
}

impl<'t> Keys<'t> {
    fn split(text: &'t str) -> Result<Self, String> {
        let mut items = text.split(',');
        let kind = items.next().unwrap_or_default();
        let mut left: Vec<(&str, &str)> = Vec::new();
        for item in items {
            let Some((key, value)) = item.split_once('=') else {
                return Err(format!("'{item}' is not key=value"));
            };
            if key != "inner" && left.iter().any(|&(known, _)| known == key) {
                return Err(format!("'{key}' is given twice"));
            }
            left.push((key, value));
        }
        Ok(Self { kind, left })
    }

    fn finish(&self) -> Result<(), String> {
        self.left.first().map_or(Ok(()), |(key, _)| {
            Err(format!("'{}' has no key '{key}'", self.kind))
        })
    }

    fn take(&mut self, key: &str) -> Option<&'t str> {
        let index = self.left.iter().position(|&(known, _)| known == key)?;
        Some(self.left.remove(index).1)
    }

    fn take_all(&mut self, key: &'static str) -> impl Iterator<Item = &'t str> {
        self.left
            .extract_if(.., move |&mut (known, _)| known == key)
            .map(|(_, value)| value)
    }

    fn address(&mut self, key: &str) -> Result<Ipv4Addr, String> {
        let value = self
            .take(key)
            .ok_or_else(|| format!("'{key}' is missing"))?;
        value
            .parse()
            .map_err(|_| format!("{key}={value}: expected an IPv4 address"))
    }

    fn number<T: Number>(
        &mut self,
        key: &str,
        range: RangeInclusive<T>,
    ) -> Result<Option<T>, String> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        match number(value, &range) {
            Some(number) => Ok(Some(number)),
            None => Err(format!(
                "{key}={value}: expected {} to {}",
                range.start(),
                range.end()
            )),
        }
    }

    fn word_or_number<T: Number>(
        &mut self,
        key: &str,
        word: &str,
        range: RangeInclusive<T>,
    ) -> Result<Option<WordOr<T>>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(value) if value == word => Ok(Some(WordOr::Word)),
            Some(value) => match number(value, &range) {
                Some(number) => Ok(Some(WordOr::Number(number))),
                None => Err(format!(
                    "{key}={value}: expected {word}, or {} to {}",
                    range.start(),
                    range.end()
                )),
            },
        }
    }

    fn choice<T: Copy>(
        &mut self,
        key: &str,
        default: T,
        choices: &[(&str, T)],
    ) -> Result<T, String> {
        let Some(value) = self.take(key) else {
            return Ok(default);
        };
        let found = choices.iter().find(|(name, _)| *name == value);
        found.map(|&(_, choice)| choice).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            format!("{key}={value}: expected {}", names.join(" or "))
        })
    }
}

trait Number: FromStr + PartialOrd + core::fmt::Display {}
impl<T: FromStr + PartialOrd + core::fmt::Display> Number for T {}

/// Digits only: no sign, no space.
fn number<T: Number>(text: &str, range: &RangeInclusive<T>) -> Option<T> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|number| range.contains(number))
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
