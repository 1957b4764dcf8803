//! The configuration: which program, and what stands in its maps.

use core::net::Ipv4Addr;
use std::path::Path;

use ipencap_xdp_maps::{DecapConfig, InnerSource};
use serde::Deserialize;
use zerocopy::IntoBytes;

use crate::balance::Balance;
use crate::{Failure, Object};

/// A program and its maps.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "program", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Config {
    /// Takes packets out of IP-in-IP tunnels.
    DecapIpip(Decap),
    /// Takes packets out of FOU tunnels.
    DecapFou(Decap),
    /// Takes packets out of GUE tunnels.
    DecapGue(Decap),
    /// Spreads flows over backends.
    Balance(Balance),
}

/// The configuration of `decap_*`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Decap {
    /// The outer address of this host.
    pub local: Ipv4Addr,
    /// The UDP port of FOU and GUE.
    #[serde(default)]
    pub port: u16,
    /// Who may send.
    pub peer: Vec<Peer>,
}

/// A peer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Peer {
    /// Its outer address.
    pub outer: Ipv4Addr,
    /// The inner sources that it may use, such as `10.1.0.0/16`.
    pub inner: Vec<Prefix>,
}

/// An address and a length, in bits.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
#[non_exhaustive]
pub struct Prefix {
    /// The address.
    pub address: Ipv4Addr,
    /// The length.
    pub len: u8,
}

impl TryFrom<String> for Prefix {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (address, len) = text.split_once('/').unwrap_or((&text, "32"));
        let address = address
            .parse()
            .map_err(|_| format!("{text}: not an IPv4 address and a prefix length"))?;
        let len = len
            .parse()
            .map_err(|_| format!("{text}: no prefix length"))?;
        ipencap::wire::Prefix::new(address, len).map_err(|error| format!("{text}: {error}"))?;
        Ok(Self { address, len })
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or says something wrong.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text =
            std::fs::read_to_string(path).map_err(|error| Failure::of(path.display(), &error))?;
        toml::from_str(&text).map_err(|error| Failure::of(path.display(), &error))
    }

    /// The name of the program.
    #[must_use]
    pub const fn program(&self) -> &'static str {
        match self {
            Self::DecapIpip(_) => "decap_ipip",
            Self::DecapFou(_) => "decap_fou",
            Self::DecapGue(_) => "decap_gue",
            Self::Balance(_) => "balance",
        }
    }

    /// Fills the maps of the program.
    ///
    /// # Errors
    /// A map has no room.
    pub fn fill(&self, object: &mut Object) -> Result<(), Failure> {
        match self {
            Self::DecapIpip(decap) | Self::DecapFou(decap) | Self::DecapGue(decap) => {
                decap.fill(object)
            }
            Self::Balance(_) => Err(Failure::new(
                "the XDP program `balance` is not there yet: use the program `balance`",
            )),
        }
    }
}

impl Decap {
    /// One peer that may send from any inner source.
    #[must_use]
    pub fn from_anywhere(local: Ipv4Addr, port: u16, peer: Ipv4Addr) -> Self {
        let any = Prefix {
            address: Ipv4Addr::UNSPECIFIED,
            len: 0,
        };
        Self {
            local,
            port,
            peer: vec![Peer {
                outer: peer,
                inner: vec![any],
            }],
        }
    }

    fn fill(&self, object: &mut Object) -> Result<(), Failure> {
        let config = DecapConfig {
            local: self.local.octets(),
            port: self.port.to_be_bytes(),
            reserved: [0; 2],
        };
        object.set("DECAP", 0, bytes::<8>(&config))?;
        // Zero is nobody's number.
        for (number, peer) in (1..).zip(&self.peer) {
            object.insert::<_, u32>("PEERS", peer.outer.octets(), number)?;
            for prefix in &peer.inner {
                let source = InnerSource {
                    prefix_len: 32_u32.saturating_add(prefix.len.into()),
                    peer: number,
                    address: prefix.address.octets(),
                };
                object.allow("INNER", source)?;
            }
        }
        Ok(())
    }
}

/// The bytes of a value of a map, which has `N`.
fn bytes<const N: usize>(value: &(impl IntoBytes + zerocopy::Immutable)) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(value.as_bytes());
    bytes
}
