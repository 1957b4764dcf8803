//! The configuration file.
//!
//! It is read by hand from toml's tree and not by serde's derive macros: so every complaint has a line and
//! says what to write instead.

use std::fs;
use std::path::Path;

use ipencap::pmtu::PathMtuConfig;
use ipencap::tunnel::{MssPolicy, MtuPolicy};
use ipencap_cli::failure::Failure;
use toml::de::DeTable;

use crate::config::Config;
use crate::draft::{Draft, DraftInterface, DraftPeer, Probe};
use crate::layers::Layers;
use crate::parts;
use crate::place::{Place, Placed, Wrong};
use crate::table::{Lines, Table};
use crate::values;

const INTERFACE_KEYS: [&str; 5] = ["name", "address", "link_mtu", "offload", "stats_interval"];
const PEER_KEYS: [&str; 8] = [
    "name",
    "tunnel",
    "allowed",
    "mtu",
    "mss",
    "reassemble",
    "keepalive",
    "probe",
];

/// Reads a file: the configuration, and warnings. `routes` is no matter of the file, and goes into the
/// configuration as it is.
pub(crate) fn read(path: &Path, routes: bool) -> Result<(Config, Vec<String>), Failure> {
    let bytes = fs::read(path).map_err(|error| {
        Failure::new(format_args!(
            "cannot read {}: {error}: check the path behind --config",
            path.display()
        ))
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..valid).unwrap_or_default();
        let line = String::from_utf8_lossy(before).matches('\n').count();
        Wrong::new(
            Place::Line(line.saturating_add(1)),
            "this is not UTF-8: save the file as UTF-8",
        )
        .failure(Some(path))
    })?;
    let (config, warnings) = draft(&text, routes)
        .and_then(Draft::complete)
        .map_err(|wrong| wrong.failure(Some(path)))?;
    let warnings = warnings.iter().map(|warning| warning.line(Some(path)));
    Ok((config, warnings.collect()))
}

fn draft(text: &str, routes: bool) -> Result<Draft, Wrong> {
    let lines = Lines::of(text);
    match in_parts(text, &lines, routes) {
        Some(draft) => draft,
        None => at_once(text, &lines, routes),
    }
}

/// `None` for a file that has to be read at once: it is not TOML, or it has peers in another form than `[[peer]]`.
fn in_parts(text: &str, lines: &Lines, routes: bool) -> Option<Result<Draft, Wrong>> {
    let parts = parts::cut(text);
    let root = Table::new(DeTable::parse(&parts.rest).ok()?, "the file", lines, 0);
    if root.has("peer") {
        return None;
    }
    let mut draft = match read_root(root, routes) {
        Ok(draft) => draft,
        Err(wrong) => return Some(Err(wrong)),
    };
    for part in parts.peers {
        let begin = part.start;
        let part = DeTable::parse(text.get(part)?).ok()?;
        let mut part = Table::new(part, "the file", lines, begin);
        let peer = part.tables("peer", "[[peer]]").and_then(|mut tables| {
            let table = tables.pop();
            table.map(read_peer).transpose()
        });
        match peer {
            Ok(peer) => draft.peers.extend(peer),
            Err(wrong) => return Some(Err(wrong)),
        }
    }
    Some(Ok(draft))
}

fn at_once(text: &str, lines: &Lines, routes: bool) -> Result<Draft, Wrong> {
    let root = DeTable::parse(text).map_err(|error| {
        let place = lines.place(error.span().map_or(0, |span| span.start));
        Wrong::new(
            place,
            format!("this is not TOML: {}: correct the line", error.message()),
        )
    })?;
    read_root(Table::new(root, "the file", lines, 0), routes)
}

fn read_root(mut root: Table<'_>, routes: bool) -> Result<Draft, Wrong> {
    root.known(&["interface", "peer"])?;
    let interface = root.table("interface", "[interface]")?;
    let peers = root.tables("peer", "[[peer]]")?;
    let place = root.place();
    Ok(Draft {
        interface: read_interface(interface, routes)?,
        peers: peers.into_iter().map(read_peer).collect::<Result<_, _>>()?,
        place,
    })
}

fn read_interface(table: Option<Table<'_>>, routes: bool) -> Result<DraftInterface, Wrong> {
    let mut interface = DraftInterface {
        name: None,
        addresses: Vec::new(),
        link_mtu: None,
        offload: true,
        stats_interval: None,
        routes,
    };
    let Some(mut table) = table else {
        return Ok(interface);
    };
    table.known(&INTERFACE_KEYS)?;
    if let Some(name) = table.text("name")? {
        interface.name = Some(name.read(|name| values::interface_name(&name))?.value);
    }
    let addresses = table.texts("address")?;
    for address in addresses.map_or_else(Vec::new, |list| list.value) {
        let address = address.read(|text| values::cidr(&text))?;
        interface.addresses.push(address);
    }
    if let Some(mtu) = table.integer("link_mtu")? {
        let range = values::MIN_MTU..=u16::MAX;
        let mtu = mtu.read(|mtu| values::number("link_mtu", mtu, range))?;
        interface.link_mtu = Some(mtu.value);
    }
    interface.offload = table.boolean("offload")?.unwrap_or(true);
    if let Some(seconds) = table.integer("stats_interval")? {
        let interval = seconds.read(|seconds| values::seconds("stats_interval", seconds))?;
        interface.stats_interval = Some(interval.value);
    }
    Ok(interface)
}

fn read_peer(mut table: Table<'_>) -> Result<DraftPeer, Wrong> {
    let place = table.place();
    // A misspelt key explains a missing one.
    table.known(&PEER_KEYS)?;
    let name = table
        .text("name")?
        .ok_or_else(|| Wrong::new(place, "this peer has no name: add name = \"...\""))?;
    let name = name.read(|name| values::peer_name(&name))?;
    let texts = table.texts("tunnel")?.ok_or_else(|| {
        Wrong::new(
            place,
            format!(
                "peer '{}' has no tunnel: add tunnel = [\"SPEC\"], the innermost first",
                name.value
            ),
        )
    })?;
    let mut layers = Layers::read(&texts.value, texts.place)?;
    let texts = texts.value;
    let list = table.texts("allowed")?;
    let allowed_place = list.as_ref().map_or(place, |list| list.place);
    let mut allowed = Vec::new();
    for text in list.map_or_else(Vec::new, |list| list.value) {
        allowed.push(text.read(|text| values::prefix(&text))?);
    }
    allowed.append(&mut layers.inner);
    if allowed.is_empty() {
        return Err(Wrong::new(
            allowed_place,
            format!(
                "peer '{}' has no allowed: list the networks behind it, or [\"0.0.0.0/0\"] for all",
                name.value
            ),
        ));
    }
    let mtu = match table.number_or_word("mtu", "\"discover\" or a number")? {
        Some(value) => value.read(values::mtu)?,
        None => Placed::new(MtuPolicy::Discover(PathMtuConfig::DEFAULT), place),
    };
    let mss = match table.number_or_word("mss", "\"off\", \"path\" or a number")? {
        Some(value) => value.read(values::mss)?.value,
        None => MssPolicy::default(),
    };
    let keepalive = table.integer("keepalive")?;
    let keepalive = keepalive
        .map(|seconds| seconds.read(|seconds| values::seconds("keepalive", seconds)))
        .transpose()?;
    let probe = match table.text("probe")? {
        None => Probe::Default,
        Some(text) => {
            let probe = text.read(|text| values::probe(&text))?;
            probe.value.map_or(Probe::Off, |address| {
                Probe::At(Placed::new(address, probe.place))
            })
        }
    };
    // The system joins outer fragments itself.
    table.boolean("reassemble")?;
    Ok(DraftPeer {
        place,
        name,
        texts,
        layers,
        allowed,
        mtu,
        mss,
        keepalive,
        probe,
    })
}
