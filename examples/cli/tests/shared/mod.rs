//! Captures for the tests that take any.

use std::path::{Path, PathBuf};

/// The bundled capture, and other people's in the folder that `IPENCAP_CAPTURES` names.
pub(crate) fn captures() -> Vec<PathBuf> {
    let mut captures = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("data/lan.pcap")];
    let folder = std::env::var_os("IPENCAP_CAPTURES").map(PathBuf::from);
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else {
        println!("skipped: IPENCAP_CAPTURES names no folder; only the bundled capture is taken");
        return captures;
    };
    let entries = folder.read_dir().unwrap();
    captures.extend(entries.map(|entry| entry.unwrap().path()).filter(|file| {
        let extension = file.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("pcap" | "pcapng" | "cap"))
    }));
    captures
}
