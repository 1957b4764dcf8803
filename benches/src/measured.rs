//! What criterion has measured, read from its folder.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Groups by name.
pub type Groups = BTreeMap<String, Group>;

/// The benchmarks of one group.
#[derive(Debug, Default)]
pub struct Group {
    /// Row, contender, times.
    pub rows: BTreeMap<RowKey, BTreeMap<String, Times>>,
    /// Whether the times are of one packet of a batch.
    pub by_packet: bool,
}

/// How long one call took, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Half of the samples took longer.
    pub median: f64,
    /// The shortest sample: what is left when others keep the machine busy.
    pub least: f64,
}

/// Rows in the order of the first number in their names, if there is one.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey(pub u64, pub String);

impl RowKey {
    /// The key of the row with this name.
    pub fn new(name: &str) -> Self {
        let digits: String = name
            .chars()
            .skip_while(|c| !c.is_ascii_digit())
            .take_while(char::is_ascii_digit)
            .collect();
        // `beyond L2` comes behind `64 hot`.
        let order = if name.starts_with("beyond") {
            u64::MAX
        } else {
            digits.parse().unwrap_or(0)
        };
        Self(order, name.to_owned())
    }
}

/// Everything that lies in criterion's folder.
///
/// # Errors
/// A file that cannot be read, or is not criterion's.
pub fn all() -> Result<Groups, Box<dyn Error>> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    );
    all_in(&target.join("criterion"))
}

/// Everything that lies in this folder of criterion's.
///
/// # Errors
/// As [`all`].
pub fn all_in(folder: &Path) -> Result<Groups, Box<dyn Error>> {
    let mut groups = Groups::new();
    collect(folder, &mut groups)?;
    Ok(groups)
}

/// Reads every `new/` folder below `folder`.
fn collect(folder: &Path, groups: &mut Groups) -> Result<(), Box<dyn Error>> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry?.path();
        if path.ends_with("new") {
            read(&path, groups)?;
        } else if path.is_dir() {
            collect(&path, groups)?;
        }
    }
    Ok(())
}

fn read(folder: &Path, groups: &mut Groups) -> Result<(), Box<dyn Error>> {
    let json = |name| -> Result<Value, Box<dyn Error>> {
        Ok(serde_json::from_str(&fs::read_to_string(
            folder.join(name),
        )?)?)
    };
    let (benchmark, estimates) = (json("benchmark.json")?, json("estimates.json")?);
    let sample = json("sample.json")?;
    let text = |key: &str| benchmark[key].as_str().unwrap_or("").to_owned();
    let median = estimates["median"]["point_estimate"]
        .as_f64()
        .ok_or("no median")?;
    let list = |key: &str| sample[key].as_array().cloned().unwrap_or_default();
    let each = list("times").into_iter().zip(list("iters"));
    let each = each.filter_map(|(times, calls)| Some(times.as_f64()? / calls.as_f64()?));
    let least = each.fold(median, f64::min);
    let elements = benchmark["throughput"]["Elements"].as_f64();
    let by_packet = |time: f64| time / elements.unwrap_or(1.0);
    let group = groups.entry(text("group_id")).or_default();
    group.by_packet |= elements.is_some();
    group
        .rows
        .entry(RowKey::new(&text("value_str")))
        .or_default()
        .insert(
            text("function_id"),
            Times {
                median: by_packet(median),
                least: by_packet(least),
            },
        );
    Ok(())
}
