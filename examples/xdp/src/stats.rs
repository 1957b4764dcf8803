//! The counters of an attached program.

use core::fmt::Write as _;
use core::net::Ipv4Addr;
use std::path::Path;

use aya::maps::{Array, Map, MapData, PerCpuArray};
use ipencap::error::{EncapError, Reason};
use ipencap_xdp_maps::{Counter, DROPPED, Place};
use zerocopy::FromBytes;

use crate::Failure;
use crate::attach::{is_there, no_program, pins};
use crate::object::refused;

/// What became of the packets of an interface, as a table.
///
/// # Errors
/// Nothing is attached, or a permission is missing.
pub fn stats(interface: &str) -> Result<String, Failure> {
    let pins = pins(interface)?;
    if !is_there(&pins)? {
        return Err(no_program(interface));
    }
    let counters = per_processor::<u64>(&pins, "COUNTERS")?;
    let is_decap = pins.join("DECAP").exists();
    let mut table = String::new();
    for (number, values) in (0..).zip(&counters) {
        let sum: u64 = values.iter().sum();
        if sum > 0 {
            let _ = writeln!(table, "{sum:>16}  {}", name(number, is_decap));
        }
    }
    if table.is_empty() {
        table.push_str("no packets yet\n");
    }
    if pins.join("SENT").exists() {
        backends(&pins, &mut table)?;
    }
    Ok(table)
}

fn name(counter: u32, is_decap: bool) -> String {
    if let Some((_, name)) = Counter::ALL.iter().find(|(c, _)| *c as u32 == counter) {
        return (*name).to_owned();
    }
    let number = counter.saturating_sub(DROPPED) as usize;
    let is_it = |(n, _): &(usize, &'static str)| *n == number;
    let reason = if is_decap {
        Reason::NAMES.iter().copied().find(is_it)
    } else {
        EncapError::counters().find(is_it)
    };
    format!("dropped: {}", reason.map_or("?", |(_, name)| name))
}

/// What each backend was sent.
fn backends(pins: &Path, table: &mut String) -> Result<(), Failure> {
    let places = open(pins, "TUNNELS")?;
    let places: Array<MapData, [u8; size_of::<Place>()]> =
        Array::try_from(places).map_err(|error| refused("TUNNELS", &error))?;
    let _ = writeln!(table, "\n{:>16} {:>16}  backend", "packets", "bytes");
    for (number, sent) in (0..).zip(per_processor::<[u64; 2]>(pins, "SENT")?) {
        let place = places
            .get(&number, 0)
            .map_err(|error| refused("TUNNELS", &error))?;
        let exit = Place::read_from_bytes(&place).map_or([0; 4], |place| place.settings.exit);
        let sum = |field: usize| sent.iter().map(|sent| sent[field]).sum::<u64>();
        let _ = writeln!(
            table,
            "{:>16} {:>16}  {}",
            sum(0),
            sum(1),
            Ipv4Addr::from(exit)
        );
    }
    Ok(())
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
