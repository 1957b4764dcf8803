//! The configuration: which program, and what stands in its maps.

use core::net::Ipv4Addr;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use ipencap_xdp_maps::{
    BalanceConfig, DecapConfig, FORWARD, HAIRPIN, InnerSource, Out, Route, Settings,
};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use serde::Deserialize;
use toml::de::DeTable;

use crate::balance::{Balance, Kind, Layout, Service};
use crate::object::bytes;
use crate::{Failure, Object};

/// A program and its maps.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Config {
    /// Takes packets out of IP-in-IP tunnels.
    DecapIpip(Decap),
    /// Takes packets out of FOU tunnels.
    DecapFou(Decap),
    /// Takes packets out of GUE tunnels.
    DecapGue(Decap),
    /// Leaves every packet to the kernel.
    Pass {},
    /// Puts packets into IP-in-IP tunnels.
    EncapIpip(Encap),
    /// Puts packets into FOU tunnels.
    EncapFou(Encap),
    /// Puts packets into GUE tunnels.
    EncapGue(Encap),
    /// Spreads flows over backends.
    Balance(Balance),
}

/// The key that says what the others are.
#[derive(Deserialize)]
struct Which {
    program: Program,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Program {
    DecapIpip,
    DecapFou,
    DecapGue,
    Pass,
    EncapIpip,
    EncapFou,
    EncapGue,
    Balance,
}

/// The configuration of `pass`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pass {}

/// The configuration of `decap_*`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Decap {
    /// The outer address of this host.
    pub local: Ipv4Addr,
    /// The UDP port of FOU and GUE, which need one.
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

/// The configuration of `encap_*`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Encap {
    /// The outer address of this host.
    pub local: Ipv4Addr,
    /// The UDP port that FOU and GUE packets go to, which need one.
    #[serde(default)]
    pub port: u16,
    /// The longest outer packet, in bytes.
    #[serde(default = "ethernet_mtu")]
    pub mtu: u16,
    /// The outer TTL; 0 for the inner one.
    #[serde(default = "default_ttl")]
    pub ttl: u8,
    /// The seed of the hash that the source ports of FOU and GUE come from.
    #[serde(default)]
    pub seed: u32,
    /// How outer packets leave.
    pub out: OutBy,
    /// The tunnels.
    pub tunnel: Vec<TunnelTo>,
}

/// How outer packets leave.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OutBy {
    /// The interface; without it, that by which the packets have come.
    pub interface: Option<String>,
    /// The Ethernet address of the next hop.
    pub next_hop: Mac,
}

/// One tunnel.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TunnelTo {
    /// Where it ends.
    pub exit: Ipv4Addr,
    /// The inner destinations, such as `10.2.0.0/16`.
    pub inner: Vec<Prefix>,
}

/// An Ethernet address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
#[non_exhaustive]
pub struct Mac(pub [u8; 6]);

impl TryFrom<String> for Mac {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut address = [0; 6];
        let mut parts = text.trim().split(':');
        for byte in &mut address {
            let part = parts.next().unwrap_or_default();
            *byte = u8::from_str_radix(part, 16)
                .map_err(|_| format!("{text}: not an Ethernet address like 02:00:00:00:00:01"))?;
        }
        match parts.next() {
            None => Ok(Self(address)),
            Some(_) => Err(format!("{text}: longer than an Ethernet address")),
        }
    }
}

const fn ethernet_mtu() -> u16 {
    1500
}

const fn default_ttl() -> u8 {
    DEFAULT_TTL
}

/// The outer TTL, in hops.
const DEFAULT_TTL: u8 = 64;

/// The outer DSCP is the inner one.
const COPIED: u8 = 255;

/// What the tunnels add, in bytes.
const IPIP_OVERHEAD: u16 = 20;
const FOU_OVERHEAD: u16 = IPIP_OVERHEAD + 8;
const GUE_OVERHEAD: u16 = FOU_OVERHEAD + 4;

/// The packet that every link carries, in bytes (RFC 791 §3.2).
const SHORTEST_MTU: u16 = 68;

fn is_long_enough(key: &str, mtu: u16, overhead: u16) -> Result<(), String> {
    let least = SHORTEST_MTU.saturating_add(overhead);
    if mtu >= least {
        return Ok(());
    }
    Err(format!(
        "{key} = {mtu} is too short: the tunnel adds {overhead} bytes to packets of at least {SHORTEST_MTU}, so {key} \
         is {least} or more"
    ))
}

fn is_port(port: u16) -> Result<(), String> {
    if port > 0 {
        return Ok(());
    }
    Err("`port` is missing or 0: FOU and GUE need the UDP port".to_owned())
}

const fn is_host(address: Ipv4Addr) -> bool {
    !address.is_multicast()
        && !address.is_unspecified()
        && !address.is_loopback()
        && !address.is_broadcast()
}

/// The MTU of an interface, in bytes. `/sys` may be that of another network namespace, so `ip` is asked; where there is
/// none, nobody knows.
fn mtu_of(interface: &str) -> Option<u16> {
    let mut ip = Command::new("ip");
    let said = ip.args(["-o", "link", "show", "dev", interface]).output();
    let said = String::from_utf8(said.ok()?.stdout).ok()?;
    let mut words = said.split(' ').skip_while(|&word| word != "mtu").skip(1);
    let mtu: u32 = words.next()?.parse().ok()?;
    Some(u16::try_from(mtu).unwrap_or(u16::MAX))
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
        let config = Self::parse(&text).map_err(|error| Failure::of(path.display(), &error))?;
        let checked = config.check();
        checked.map_err(|told| Failure::new(format!("{}: {told}", path.display())))?;
        Ok(config)
    }

    /// What its types do not exclude.
    fn check(&self) -> Result<(), String> {
        match self {
            Self::DecapIpip(decap) => decap.check(),
            Self::DecapFou(decap) | Self::DecapGue(decap) => {
                is_port(decap.port)?;
                decap.check()
            }
            Self::EncapIpip(encap) => encap.check(IPIP_OVERHEAD),
            Self::EncapFou(encap) => {
                is_port(encap.port)?;
                encap.check(FOU_OVERHEAD)
            }
            Self::EncapGue(encap) => {
                is_port(encap.port)?;
                encap.check(GUE_OVERHEAD)
            }
            Self::Balance(balance) => balance.check(),
            Self::Pass {} => Ok(()),
        }
    }

    /// Reads the program first: of an enum that `program` tags, errors would not have the line.
    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        let Which { program } = toml::from_str(text)?;
        let mut table = DeTable::parse(text)?;
        let _is_read = table.get_mut().remove("program");
        let rest = toml::Deserializer::from(table);
        let config = match program {
            Program::DecapIpip => Decap::deserialize(rest).map(Self::DecapIpip),
            Program::DecapFou => Decap::deserialize(rest).map(Self::DecapFou),
            Program::DecapGue => Decap::deserialize(rest).map(Self::DecapGue),
            Program::Pass => Pass::deserialize(rest).map(|Pass {}| Self::Pass {}),
            Program::EncapIpip => Encap::deserialize(rest).map(Self::EncapIpip),
            Program::EncapFou => Encap::deserialize(rest).map(Self::EncapFou),
            Program::EncapGue => Encap::deserialize(rest).map(Self::EncapGue),
            Program::Balance => Balance::deserialize(rest).map(Self::Balance),
        };
        config.map_err(|mut error| {
            error.set_input(Some(text));
            error
        })
    }

    /// The name of the program.
    #[must_use]
    pub const fn program(&self) -> &'static str {
        match self {
            Self::DecapIpip(_) => "decap_ipip",
            Self::DecapFou(_) => "decap_fou",
            Self::DecapGue(_) => "decap_gue",
            Self::Pass {} => "pass",
            Self::EncapIpip(_) => "encap_ipip",
            Self::EncapFou(_) => "encap_fou",
            Self::EncapGue(_) => "encap_gue",
            Self::Balance(balance) => match balance.tunnel {
                Kind::Ipip => "balance_ipip",
                Kind::Gue => "balance_gue",
            },
        }
    }

    /// Loads the program, with maps as long as this needs.
    ///
    /// # Errors
    /// As [`Object::load`], and what the tables of a balancer may have.
    pub fn load(&self, objects: &Path) -> Result<Object, Failure> {
        self.load_as(objects, self.program())
    }

    /// The same of another program with these maps.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_as(&self, objects: &Path, name: &str) -> Result<Object, Failure> {
        self.load_with(objects, name, &[])
    }

    /// [`load`](Self::load), with the maps that the program shares with the one before it, which are pinned in `pins`.
    pub(crate) fn load_keeping(&self, objects: &Path, pins: &Path) -> Result<Object, Failure> {
        let pinned: Vec<_> = self
            .kept()
            .iter()
            .map(|&name| (name, pins.join(name)))
            .collect();
        self.load_with(objects, self.program(), &pinned)
    }

    /// The maps that stay when a program of the same kind is replaced: what it has learnt, not what was configured.
    pub(crate) const fn kept(&self) -> &'static [&'static str] {
        match self {
            Self::Balance(_) => &["BEGUN", "COUNTERS", "ERRORS"],
            Self::Pass {} => &[],
            _ => &["COUNTERS"],
        }
    }

    /// The map that only programs of this kind have.
    pub(crate) const fn own_map(&self) -> Option<&'static str> {
        match self {
            Self::DecapIpip(_) | Self::DecapFou(_) | Self::DecapGue(_) => Some("DECAP"),
            Self::EncapIpip(_) | Self::EncapFou(_) | Self::EncapGue(_) => Some("ROUTES"),
            Self::Balance(_) => Some("BEGUN"),
            Self::Pass {} => None,
        }
    }

    fn load_with(
        &self,
        objects: &Path,
        name: &str,
        pinned: &[(&str, PathBuf)],
    ) -> Result<Object, Failure> {
        let sizes = match self {
            Self::Balance(balance) => {
                let layout = Layout::new(balance)?;
                let backends = layout.backends.len().max(1) as u32;
                let slots = layout.slots.len().max(1) as u32;
                vec![("SLOTS", slots), ("TUNNELS", backends), ("SENT", backends)]
            }
            _ => Vec::new(),
        };
        Object::load_with(objects, name, &sizes, pinned)
    }

    /// Fills the maps of the program, which will be attached to `interface`.
    ///
    /// # Errors
    /// A map has no room, or an address does not fit its purpose.
    pub fn fill(&self, object: &mut Object, interface: &str) -> Result<(), Failure> {
        match self {
            Self::DecapIpip(decap) | Self::DecapFou(decap) | Self::DecapGue(decap) => {
                decap.fill(object)
            }
            Self::Pass {} => Ok(()),
            Self::EncapIpip(encap) | Self::EncapFou(encap) | Self::EncapGue(encap) => {
                encap.fill(object, interface)
            }
            Self::Balance(balance) => fill_balance(balance, object, interface),
        }
    }
}

impl Encap {
    fn check(&self, overhead: u16) -> Result<(), String> {
        is_long_enough("mtu", self.mtu, overhead)?;
        let inner = self.tunnel.iter().flat_map(|tunnel| &tunnel.inner);
        match repeated(inner.map(|prefix| (prefix.address, prefix.len))) {
            None => Ok(()),
            Some((address, len)) => Err(format!("{address}/{len} is listed twice in `inner`")),
        }
    }
}

impl Balance {
    fn check(&self) -> Result<(), String> {
        for &Service(vip) in self.pool.iter().flat_map(|pool| &pool.vip) {
            if !is_host(vip.address) {
                return Err(format!(
                    "the VIP {}: not the address of a host",
                    vip.address
                ));
            }
        }
        match self.tunnel {
            Kind::Ipip => is_long_enough("link_mtu", self.link_mtu, IPIP_OVERHEAD),
            Kind::Gue => {
                is_port(self.port)?;
                is_long_enough("link_mtu", self.link_mtu, GUE_OVERHEAD)
            }
        }
    }
}

/// The first that is there already.
fn repeated<T: Ord + Copy>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let mut seen = BTreeSet::new();
    all.find(|&one| !seen.insert(one))
}

impl Decap {
    fn check(&self) -> Result<(), String> {
        match repeated(self.peer.iter().map(|peer| peer.outer)) {
            None => Ok(()),
            Some(outer) => Err(format!(
                "{outer} is `outer` of two peers: list its inner sources in one"
            )),
        }
    }

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

    /// Fills the maps of the program.
    ///
    /// # Errors
    /// A map has no room.
    pub fn fill(&self, object: &mut Object) -> Result<(), Failure> {
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

impl Encap {
    fn fill(&self, object: &mut Object, interface: &str) -> Result<(), Failure> {
        let out = self.out.resolve(interface, self.local, ("mtu", self.mtu))?;
        object.set_out(&out)?;
        for (number, tunnel) in (1..).zip(&self.tunnel) {
            let settings = Settings {
                local: self.local.octets(),
                exit: tunnel.exit.octets(),
                port: self.port.to_be_bytes(),
                seed: self.seed,
                link_mtu: self.mtu,
                ttl: self.ttl,
                dscp: COPIED,
                flags: FORWARD,
                ..Settings::default()
            };
            object.keep("TUNNELS", number, &settings)?;
            for prefix in &tunnel.inner {
                let route = Route {
                    prefix_len: prefix.len.into(),
                    address: prefix.address.octets(),
                };
                object.route("ROUTES", route, number)?;
            }
        }
        Ok(())
    }
}

impl OutBy {
    /// `longest` is the key that has the length of the longest outer packet, and its value.
    fn resolve(
        &self,
        attached: &str,
        address: Ipv4Addr,
        longest: (&str, u16),
    ) -> Result<Out, Failure> {
        let leaves = self.interface.as_deref().unwrap_or(attached);
        let missing = || Failure::new(format!("there is no interface {leaves}"));
        let number = if_nametoindex(leaves).map_err(|_| missing())?;
        let own = ethernet_address(leaves)?;
        let (key, longest) = longest;
        if let Some(mtu) = mtu_of(leaves).filter(|&mtu| mtu < longest) {
            return Err(Failure::new(format!(
                "{key} is {longest}, but {leaves} carries {mtu} bytes: longer packets would be lost"
            )));
        }
        Ok(Out {
            interface: if leaves == attached { 0 } else { number },
            address: address.octets(),
            next_hop: self.next_hop.0,
            own,
            ingress: padded(ethernet_address(attached)?),
        })
    }
}

fn ethernet_address(interface: &str) -> Result<[u8; 6], Failure> {
    getifaddrs()
        .map_err(|error| Failure::of("interfaces", &error))?
        .filter(|address| address.interface_name == interface)
        .find_map(|address| address.address?.as_link_addr()?.addr())
        .ok_or_else(|| Failure::new(format!("{interface} has no Ethernet address")))
}

/// An Ethernet address, as a value of a map.
fn padded(address: [u8; 6]) -> [u8; 8] {
    let mut value = [0; 8];
    for (to, from) in value.iter_mut().zip(address) {
        *to = from;
    }
    value
}

/// Fills the maps of a load balancer.
fn fill_balance(config: &Balance, object: &mut Object, interface: &str) -> Result<(), Failure> {
    let out = config.out.as_ref().ok_or_else(|| {
        Failure::new(
            "the XDP program needs a section [out], with the Ethernet address of the next hop",
        )
    })?;
    let out = out.resolve(interface, config.source, ("link_mtu", config.link_mtu))?;
    object.set_out(&out)?;
    object.set_balance(&BalanceConfig {
        seed: config.seed,
        own: out.ingress,
    })?;
    let layout = Layout::new(config)?;
    for (number, backend) in (0..).zip(&layout.backends) {
        let settings = Settings {
            local: config.source.octets(),
            exit: backend.octets(),
            port: config.port.to_be_bytes(),
            link_mtu: config.link_mtu,
            ttl: DEFAULT_TTL,
            dscp: COPIED,
            flags: if config.forward {
                FORWARD | HAIRPIN
            } else {
                HAIRPIN
            },
            ..Settings::default()
        };
        object.keep("TUNNELS", number, &settings)?;
    }
    for (place, slot) in (0..).zip(&layout.slots) {
        object.set("SLOTS", place, [slot.new_flows, slot.old_flows])?;
    }
    for (vip, pool) in &layout.vips {
        object.insert("VIPS", vip.to_bytes(), [pool.first(), pool.len()])?;
    }
    Ok(())
}
