use core::net::Ipv4Addr;
use core::num::NonZeroU16;

use ipencap::encap::{AnyTunnel, OuterPolicy, Role, Tunnel};
use ipencap::error::ConfigError;
use ipencap::shim::{ChecksumPolicy, Gue, IpIp};
use ipencap::wire::IpProtocol;
use ipencap_balance::{State, Vip};
use serde::Deserialize;

/// The configuration of `balance`: services, and the backends behind them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Balance {
    /// The outer source: an address of this host.
    pub source: Ipv4Addr,
    /// The tunnel to the backends.
    #[serde(default)]
    pub tunnel: Kind,
    /// The UDP port that GUE goes to.
    #[serde(default = "gue_port")]
    pub port: u16,
    /// The MTU of the path to the backends, in bytes.
    #[serde(default = "link_mtu")]
    pub link_mtu: u16,
    /// The seed of the flows' hash: a secret, the same in all balancers that share a VIP.
    pub seed: u32,
    /// Whether the TTL of packets is decremented, as a router does it.
    #[serde(default)]
    pub forward: bool,
    /// How outer packets leave, for the XDP program.
    pub out: Option<crate::OutBy>,
    /// The services.
    pub pool: Vec<PoolConfig>,
}

/// A tunnel to backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kind {
    /// IP-in-IP (RFC 2003).
    #[default]
    Ipip,
    /// GUE, variant 0, without a UDP checksum: the inner packet has one of its own.
    Gue,
}

/// VIPs with the same backends.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PoolConfig {
    /// The VIPs, such as `203.0.113.80:443/tcp`, or `203.0.113.80/udp` for all ports.
    pub vip: Vec<Service>,
    /// The backends, in the same order in all balancers.
    pub backend: Vec<Backend>,
    /// How many slots the table has, a prime. It should stay when backends come and go.
    pub slots: Option<u32>,
}

/// A backend.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Backend {
    /// Where its tunnel ends.
    pub address: Ipv4Addr,
    /// Its share of the flows, relative to the others of the pool.
    #[serde(default = "one")]
    pub weight: u16,
    /// Whether it takes flows.
    #[serde(default, deserialize_with = "state")]
    pub state: State,
}

/// A VIP in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
#[non_exhaustive]
pub struct Service(pub Vip);

impl TryFrom<String> for Service {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = |what| {
            format!("{text}: {what}: write a VIP as 203.0.113.80:443/tcp or 203.0.113.80/udp")
        };
        let (place, protocol) = text.split_once('/').ok_or_else(|| wrong("no protocol"))?;
        let protocol = match protocol {
            "tcp" => IpProtocol::TCP,
            "udp" => IpProtocol::UDP,
            _ => return Err(wrong("not tcp or udp")),
        };
        let (address, port) = match place.split_once(':') {
            Some((address, port)) => {
                let port: NonZeroU16 = port.parse().map_err(|_| wrong("no port"))?;
                (address, port.get())
            }
            None => (place, 0),
        };
        let address = address.parse().map_err(|_| wrong("no IPv4 address"))?;
        Ok(Self(Vip {
            address,
            port,
            protocol,
        }))
    }
}

fn state<'de, D: serde::Deserializer<'de>>(from: D) -> Result<State, D::Error> {
    let text = String::deserialize(from)?;
    match text.as_str() {
        "active" => Ok(State::Active),
        "draining" => Ok(State::Draining),
        "down" => Ok(State::Down),
        _ => Err(serde::de::Error::custom(format!(
            "{text}: no state: write active, draining or down"
        ))),
    }
}

const fn gue_port() -> u16 {
    6080
}

const fn link_mtu() -> u16 {
    1500
}

const fn one() -> u16 {
    1
}

impl Balance {
    /// The tunnel to a backend.
    ///
    /// # Errors
    /// An address is not a host's.
    pub fn tunnel_to(&self, backend: Ipv4Addr) -> Result<AnyTunnel, ConfigError> {
        let policy = OuterPolicy {
            link_mtu: Some(self.link_mtu),
            role: if self.forward {
                Role::Forward
            } else {
                Role::Originate
            },
            // Backends may call services that they belong to.
            hairpin: true,
            ..OuterPolicy::DEFAULT
        };
        Ok(match self.tunnel {
            Kind::Ipip => {
                let tunnel = Tunnel::new(self.source, backend, IpIp)?;
                tunnel.with_policy(policy).into()
            }
            Kind::Gue => {
                let gue = Gue::new()
                    .with_destination_port(self.port)
                    .with_checksum(ChecksumPolicy::Zero);
                let tunnel = Tunnel::new(self.source, backend, gue)?;
                tunnel.with_policy(policy).into()
            }
        })
    }
}
