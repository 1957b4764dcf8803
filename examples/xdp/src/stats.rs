//! The counters of an attached program.

use core::fmt;
use core::net::Ipv4Addr;
use std::path::Path;

use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray};
use ipencap::error::{EncapError, Reason};
use ipencap::wire::IpProtocol;
use ipencap_xdp_maps::{Counter, DROPPED, Place};
use serde_json::json;
use zerocopy::FromBytes;

use crate::Failure;
use crate::attach::{is_there, no_program, pins};
use crate::object::refused;

/// What became of the packets of an interface.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// What happened, and to how many packets, or bytes where it says so.
    pub counters: Vec<(String, u64)>,
    /// Of a balancer: its services, such as `203.0.113.53:53/udp`.
    pub vips: Vec<String>,
    /// Of a balancer: what each backend was sent.
    pub backends: Vec<SentTo>,
}

/// What a backend was sent.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SentTo {
    /// Its address.
    pub address: Ipv4Addr,
    /// Packets.
    pub packets: u64,
    /// Their bytes, without outer headers.
    pub bytes: u64,
}

/// A kind of program, which is told by its maps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Decap,
    Encap,
    Balance,
}

/// Reads the counters of what is attached to an interface.
///
/// # Errors
/// Nothing is attached, or a permission is missing.
pub fn stats(interface: &str) -> Result<Stats, Failure> {
    let pins = pins(interface)?;
    if !is_there(&pins)? {
        return Err(no_program(interface));
    }
    let has = |name| is_there(&pins.join(name));
    let kind = if has("DECAP")? {
        Kind::Decap
    } else if has("SENT")? {
        Kind::Balance
    } else if has("COUNTERS")? {
        Kind::Encap
    } else {
        return Err(Failure::new(format!(
            "{interface} has the program `pass`, which counts nothing"
        )));
    };
    let counters = per_processor::<u64>(&pins, "COUNTERS")?;
    let sums = counters.iter().map(|values| values.iter().sum::<u64>());
    let named = (0..).zip(sums).filter(|&(_, sum)| sum > 0);
    let is_balancer = kind == Kind::Balance;
    Ok(Stats {
        counters: named
            .map(|(number, sum)| (name(number, kind), sum))
            .collect(),
        vips: if is_balancer {
            vips(&pins)?
        } else {
            Vec::new()
        },
        backends: if is_balancer {
            backends(&pins)?
        } else {
            Vec::new()
        },
    })
}

impl Stats {
    /// For programs: JSON.
    #[must_use]
    pub fn json(&self) -> String {
        let counters: serde_json::Map<_, _> = self
            .counters
            .iter()
            .map(|(name, sum)| (name.clone(), (*sum).into()))
            .collect();
        let backends: Vec<_> = self
            .backends
            .iter()
            .map(|sent| {
                json!({
                    "address": sent.address.to_string(),
                    "packets": sent.packets,
                    "bytes": sent.bytes,
                })
            })
            .collect();
        json!({ "counters": counters, "vips": self.vips, "backends": backends }).to_string()
    }
}

/// For people: a table.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.counters.is_empty() {
            writeln!(f, "no packets yet")?;
        }
        for (name, sum) in &self.counters {
            writeln!(f, "{sum:>16}  {name}")?;
        }
        if !self.vips.is_empty() {
            writeln!(f, "\nVIPs")?;
        }
        for vip in &self.vips {
            writeln!(f, "  {vip}")?;
        }
        if !self.backends.is_empty() {
            writeln!(f, "\n{:>16} {:>16}  backend", "packets", "bytes")?;
        }
        for sent in &self.backends {
            writeln!(
                f,
                "{:>16} {:>16}  {}",
                sent.packets, sent.bytes, sent.address
            )?;
        }
        Ok(())
    }
}

fn name(counter: u32, kind: Kind) -> String {
    if counter == Counter::PassedOther as u32 {
        let why = match kind {
            Kind::Decap => "not of the tunnel",
            Kind::Encap => "no tunnel for the destination",
            Kind::Balance => "not to a VIP",
        };
        return format!("passed: {why}");
    }
    if let Some((_, name)) = Counter::ALL.iter().find(|(c, _)| *c as u32 == counter) {
        return (*name).to_owned();
    }
    let number = counter.saturating_sub(DROPPED) as usize;
    let is_it = |(n, _): &(usize, &'static str)| *n == number;
    let reason = if kind == Kind::Decap {
        Reason::NAMES.iter().copied().find(is_it)
    } else {
        EncapError::counters().find(is_it)
    };
    format!("dropped: {}", reason.map_or("?", |(_, name)| name))
}

/// The services, in order.
fn vips(pins: &Path) -> Result<Vec<String>, Failure> {
    let map: HashMap<MapData, [u8; 8], [u32; 2]> =
        HashMap::try_from(open(pins, "VIPS")?).map_err(|error| refused("VIPS", &error))?;
    let mut keys = Vec::new();
    for key in map.keys() {
        keys.push(key.map_err(|error| refused("VIPS", &error))?);
    }
    keys.sort_unstable();
    Ok(keys.into_iter().map(service).collect())
}

/// As a configuration has it, of a key of the map.
fn service([a, b, c, d, high, low, protocol, _]: [u8; 8]) -> String {
    let address = Ipv4Addr::new(a, b, c, d);
    let protocol = match IpProtocol(protocol) {
        IpProtocol::TCP => "tcp",
        _ => "udp",
    };
    match u16::from_be_bytes([high, low]) {
        0 => format!("{address}/{protocol}"),
        port => format!("{address}:{port}/{protocol}"),
    }
}

/// What each backend was sent.
fn backends(pins: &Path) -> Result<Vec<SentTo>, Failure> {
    let places = open(pins, "TUNNELS")?;
    let places: Array<MapData, [u8; size_of::<Place>()]> =
        Array::try_from(places).map_err(|error| refused("TUNNELS", &error))?;
    let mut all = Vec::new();
    for (number, sent) in (0..).zip(per_processor::<[u64; 2]>(pins, "SENT")?) {
        let place = places
            .get(&number, 0)
            .map_err(|error| refused("TUNNELS", &error))?;
        let exit = Place::read_from_bytes(&place).map_or([0; 4], |place| place.settings.exit);
        let sum = |field: usize| sent.iter().map(|sent| sent[field]).sum::<u64>();
        all.push(SentTo {
            address: exit.into(),
            packets: sum(0),
            bytes: sum(1),
        });
    }
    Ok(all)
}

fn open(pins: &Path, name: &str) -> Result<Map, Failure> {
    let data = MapData::from_pin(pins.join(name))
        .map_err(|error| refused(&format!("map {name}"), &error))?;
    Map::from_map_data(data).map_err(|error| refused(&format!("map {name}"), &error))
}

fn per_processor<V: aya::Pod>(pins: &Path, name: &str) -> Result<Vec<Vec<V>>, Failure> {
    let map: PerCpuArray<MapData, V> =
        PerCpuArray::try_from(open(pins, name)?).map_err(|error| refused(name, &error))?;
    map.iter()
        .map(|values| {
            values
                .map(|values| values.to_vec())
                .map_err(|error| refused(name, &error))
        })
        .collect()
}
