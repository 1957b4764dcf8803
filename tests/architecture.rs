//! The shape of the crate: layers, sizes, and what every public type promises.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::string_slice,
    reason = "a test that panics fails"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ipencap::{
    checksum, decap, encap, error, fragment, icmp, mss, mtu, packet, pmtu, shim, stream, time,
    tunnel, wire,
};

/// The layer of every module of the crate's root. Imports point down: to a lower layer, never to the same,
/// unless it is the own module.
///
/// Within the design's layer 1, `packet` stands on `wire`; within its layer 2, `encap` on `decap`
/// ([`encap::Tunnel::receiver`] makes a receiver), and both on `shim`.
const LAYERS: &[(&str, u8)] = &[
    ("error", 0),
    ("checksum", 0),
    ("mtu", 0),
    ("guide", 0),
    ("time", 0),
    ("wire", 1),
    ("packet", 2),
    ("icmp", 3),
    ("fragment", 3),
    ("pmtu", 2),
    ("mss", 3),
    ("shim", 3),
    ("decap", 4),
    ("encap", 5),
    ("stream", 5),
    ("tunnel", 6),
];

/// No file of the library has more lines of code, comments and blank lines not counted. About 300 are
/// wished for.
const MOST_LINES: usize = 400;

fn layer(module: &str) -> Option<u8> {
    LAYERS
        .iter()
        .find_map(|&(name, floor)| (name == module).then_some(floor))
}

/// Every source file of the library with its module path: `encap/any.rs` is `["encap", "any"]`.
fn sources() -> Vec<(PathBuf, Vec<String>)> {
    fn walk(directory: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(&root).unwrap().with_extension("");
            let mut module: Vec<String> = inside
                .iter()
                .map(|part| part.to_str().unwrap().to_owned())
                .collect();
            if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
                module.pop();
            }
            (path, module)
        })
        .collect()
}

/// The source with comments, strings and character literals blanked out, line for line.
fn code_only(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let skipped = literal_or_comment(rest);
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        code.extend(
            rest[..skipped]
                .chars()
                .map(|c| if c == '\n' { '\n' } else { ' ' }),
        );
        rest = &rest[skipped..];
    }
    code
}

/// The length of the literal or comment at the start of `text`, 0 if it is code.
fn literal_or_comment(text: &str) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        let mut depth = 0;
        for (at, _) in text.char_indices() {
            if text[at..].starts_with("/*") {
                depth += 1;
            } else if text[at..].starts_with("*/") {
                depth -= 1;
                if depth == 0 {
                    return at + 2;
                }
            }
        }
        return text.len();
    }
    if text.starts_with("r\"") || text.starts_with("r#\"") {
        let hashes = text[1..].chars().take_while(|&c| c == '#').count();
        let end = format!("\"{}", "#".repeat(hashes));
        let open = 2 + hashes;
        return text[open..]
            .find(&end)
            .map_or(text.len(), |at| open + at + end.len());
    }
    if text.starts_with('"') {
        let mut is_escaped = false;
        for (at, c) in text.char_indices().skip(1) {
            match c {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                '"' => return at + 1,
                _ => {}
            }
        }
        return text.len();
    }
    // A character, not a lifetime: closed by a quote after one character or an escape.
    if let Some(behind) = text.strip_prefix('\'') {
        let mut characters = behind.chars();
        return match (characters.next(), characters.next()) {
            (Some('\\'), _) => behind[2..].find('\'').map_or(0, |at| at + 4),
            (Some(c), Some('\'')) => c.len_utf8() + 2,
            _ => 0,
        };
    }
    0
}

/// The modules of the crate's root that `source`, the file of `module`, names in code: by
/// `crate::`, in a group, or by enough `super::`.
fn named_modules(source: &str, module: &[String]) -> Vec<String> {
    let code = code_only(source);
    let tight: String = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let tight = tight.replace(" ::", "::").replace(":: ", "::");
    let mut roots = Vec::new();
    for (at, _) in tight.match_indices("crate::") {
        // `$crate::` and `pub(in crate::...)` count too; an identifier ending in "crate" does not.
        let before = tight[..at].chars().next_back();
        if !before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            roots.push(&tight[at + "crate::".len()..]);
        }
    }
    let climb = "super::".repeat(module.len());
    for (at, _) in tight.match_indices(&climb) {
        let is_whole = !tight[..at].ends_with("super::");
        if is_whole && !module.is_empty() {
            roots.push(&tight[at + climb.len()..]);
        }
    }
    roots.into_iter().flat_map(first_segments).collect()
}

/// `wire::Ecn` names `wire`; `{error::ParseError, wire::{Ecn, Dscp}}` names `error` and `wire`.
fn first_segments(path: &str) -> Vec<String> {
    let identifier = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|&c| c.is_alphanumeric() || c == '_' || c == '*')
            .collect()
    };
    let Some(group) = path.trim_start().strip_prefix('{') else {
        return vec![identifier(path)];
    };
    let mut depth = 0;
    let mut starts = vec![0];
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => starts.push(at + 1),
            _ => {}
        }
    }
    starts
        .into_iter()
        .map(|start| identifier(&group[start..]))
        .filter(|name| !name.is_empty())
        .collect()
}

/// What is wrong with the imports of `source`, the file of `module`.
fn upward_imports(source: &str, module: &[String]) -> Vec<String> {
    let Some(own) = module.first() else {
        return Vec::new(); // The root re-exports from everywhere; see `lib_rs_holds_no_logic`.
    };
    let Some(own_layer) = layer(own) else {
        return vec![format!("{own} has no layer")];
    };
    named_modules(source, module)
        .into_iter()
        .filter(|other| other != own)
        .filter_map(|other| match layer(&other) {
            None => Some(format!("{own} names crate::{other}, which has no layer")),
            Some(other_layer) if other_layer < own_layer => None,
            Some(_) => Some(format!("{own} names crate::{other}, which is not below")),
        })
        .collect()
}

fn module(path: &str) -> Vec<String> {
    path.split('/').map(str::to_owned).collect()
}

#[test]
fn imports_point_down() {
    let mut files = 0;
    for (path, module) in sources() {
        let source = fs::read_to_string(&path).unwrap();
        let wrong = upward_imports(&source, &module);
        assert!(wrong.is_empty(), "{}: {wrong:?}", path.display());
        files += 1;
    }
    assert!(files >= LAYERS.len(), "only {files} files were read");
}

/// The files inside `module` that `source`, one of them, names by `super::` or its own path. `super::Name` is
/// an item of `mod.rs`, not a file.
fn named_files(source: &str, module: &[String]) -> Vec<String> {
    let [own, _] = module else {
        return Vec::new();
    };
    let code = code_only(source);
    let tight = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut paths = Vec::new();
    for prefix in ["super::".to_owned(), format!("crate::{own}::")] {
        for (at, _) in tight.match_indices(&prefix) {
            if !tight[..at].ends_with("super::") {
                paths.push(&tight[at + prefix.len()..]);
            }
        }
    }
    paths.into_iter().flat_map(first_segments).collect()
}

/// Each file of a module with the files that it names, in an order in which every file stands behind those
/// that it names; what is left where there is none.
fn order_of_files(
    mut imports: Vec<(String, BTreeSet<String>)>,
) -> Result<Vec<String>, Vec<String>> {
    let mut ordered = Vec::new();
    while !imports.is_empty() {
        let is_free = |(_, names): &(String, BTreeSet<String>)| {
            names.iter().all(|name| ordered.contains(name))
        };
        let Some(place) = imports.iter().position(is_free) else {
            return Err(imports.into_iter().map(|(file, _)| file).collect());
        };
        ordered.push(imports.remove(place).0);
    }
    Ok(ordered)
}

/// The same down to the files of each module: no two need each other.
#[test]
fn imports_inside_a_module_point_down() {
    let all = sources();
    let mut modules = 0;
    for &(root, _) in LAYERS {
        let files: Vec<&(PathBuf, Vec<String>)> = all
            .iter()
            .filter(|(_, module)| module.len() == 2 && module[0] == root)
            .collect();
        let inside: BTreeSet<String> = files.iter().map(|(_, module)| module[1].clone()).collect();
        let imports = files.iter().map(|(path, module)| {
            let source = fs::read_to_string(path).unwrap();
            let named = named_files(&source, module).into_iter();
            let named = named.filter(|name| inside.contains(name) && *name != module[1]);
            (module[1].clone(), named.collect())
        });
        let order = order_of_files(imports.collect());
        assert!(order.is_ok(), "{root}: in a circle are {order:?}");
        println!("{root}: {order:?}");
        modules += usize::from(!inside.is_empty());
    }
    assert!(modules >= 5, "only {modules} modules have files");

    // The control.
    let file = |name: &str, named: &[&str]| {
        let named = named.iter().map(|&name| name.to_owned()).collect();
        (name.to_owned(), named)
    };
    let circle = vec![file("a", &["b"]), file("b", &["c"]), file("c", &["b"])];
    assert_eq!(order_of_files(circle).unwrap_err(), ["a", "b", "c"]);
    let line = vec![file("a", &["b", "c"]), file("b", &["c"]), file("c", &[])];
    assert_eq!(order_of_files(line).unwrap(), ["c", "b", "a"]);
    let planted = "use super::{fold, udp::{bytes_sum, check}}; use crate::shim::policy::PortBits;";
    let named = named_files(planted, &module("shim/tcp"));
    assert_eq!(named, ["fold", "udp", "policy"]);
}

/// The control: what the check must find, and what it must let through.
#[test]
fn imports_that_point_up_or_sideways_are_found() {
    let planted = [
        ("checksum", "use crate::wire::Ecn;"),
        ("checksum", "use crate::error::ParseError;"),
        ("wire/udp", "use crate::encap::Tunnel;"),
        (
            "wire/udp",
            "use crate::{\n    checksum::Sum,\n    packet::{Span, Packet},\n};",
        ),
        ("wire/udp", "use super::super::encap::Tunnel;"),
        ("wire", "use super::packet::Span;"),
        ("packet", "use crate::decap::Prefix;"),
        ("shim/udp", "use crate::decap::Receiver;"),
        ("shim/udp", "use crate::encap::Tunnel;"),
        ("decap", "pub fn f(_: crate :: encap :: Tunnel) {}"),
        ("decap", "use crate::*;"),
        (
            "error",
            "fn f() { let _ = \"//\"; crate::wire::f() } // crate::checksum",
        ),
        (
            "error",
            "fn f<'a>(c: &'a char) -> bool { *c == '\"' && crate::wire::g('\\'') }",
        ),
        ("encap/any", "use crate::tunnel::Endpoint;"),
        ("made_up", ""),
    ];
    for (path, source) in planted {
        let wrong = upward_imports(source, &module(path));
        assert_eq!(wrong.len(), 1, "{path}: {source}: {wrong:?}");
    }
    let lawful = [
        ("wire/udp", "use crate::{checksum::Sum, error::ParseError};"),
        (
            "wire/udp",
            "use super::options::HeaderOptions; use crate::wire::Ecn;",
        ),
        (
            "encap/tunnel",
            "use super::super::decap::Access; use crate::shim::Shim;",
        ),
        (
            "checksum",
            "/// [`UdpHeader`](crate::wire::UdpHeader)\n//! crate::encap\nfn f() {}",
        ),
        (
            "checksum",
            "/* use crate::wire; /* nested */ crate::encap */ fn f() {}",
        ),
        (
            "checksum",
            "const A: &str = \"crate::wire\"; const B: &str = r#\"crate::encap \" \"#;",
        ),
        (
            "checksum",
            "use zerocopy_crate::wire::X; pub(crate) fn f() {}",
        ),
    ];
    for (path, source) in lawful {
        let wrong = upward_imports(source, &module(path));
        assert!(wrong.is_empty(), "{path}: {source}: {wrong:?}");
    }
}

/// Nothing stands in `lib.rs` but documentation, attributes, modules, re-exports, and the one
/// struct that makes the README's examples run.
#[test]
fn lib_rs_holds_no_logic() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let source = fs::read_to_string(path).unwrap();
    for item in items_of_the_root(&source) {
        let is_declaration = item.starts_with("pub mod ") || item.starts_with("pub use ");
        assert!(is_declaration || item == "struct ReadmeExamples", "{item}");
    }
    let modules: BTreeSet<String> = items_of_the_root(&source)
        .iter()
        .filter_map(|item| item.strip_prefix("pub mod ").map(str::to_owned))
        .collect();
    let layers: BTreeSet<String> = LAYERS.iter().map(|&(name, _)| name.to_owned()).collect();
    assert_eq!(modules, layers, "every module has a layer");
    // The control.
    let planted = items_of_the_root("//! docs\n#![no_std]\npub mod wire;\nfn f() { g(); }\n");
    assert_eq!(planted, ["pub mod wire", "fn f() { g()", "}"]);
}

/// Statements at the crate's root, without attributes.
fn items_of_the_root(source: &str) -> Vec<String> {
    let mut code = code_only(source);
    while let Some(start) = code.find("#[").or_else(|| code.find("#![")) {
        let mut depth = 0;
        let len = code[start..]
            .find(|c| {
                depth += i32::from(c == '[') - i32::from(c == ']');
                c == ']' && depth == 0
            })
            .unwrap();
        code.replace_range(start..=start + len, "");
    }
    code.split(';')
        .map(|item| item.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|item| !item.is_empty())
        .collect()
}

fn lines_of_code(source: &str) -> usize {
    let code = code_only(source);
    source
        .lines()
        .zip(code.lines())
        .filter(|(line, code)| {
            // A line inside of a string is code, a line inside of a comment is not.
            !code.trim().is_empty() || line.trim_start().starts_with(['"', '\\'])
        })
        .count()
}

#[test]
fn no_file_is_too_long() {
    let mut longest: Vec<(usize, PathBuf)> = sources()
        .into_iter()
        .map(|(path, _)| (lines_of_code(&fs::read_to_string(&path).unwrap()), path))
        .collect();
    longest.sort();
    longest.reverse();
    for (lines, path) in longest.iter().take(8) {
        println!("{lines:4} {}", path.display());
    }
    for (lines, path) in longest {
        assert!(
            lines <= MOST_LINES,
            "{}: {lines} lines of code",
            path.display()
        );
    }
    // The control.
    let source = "//! one\n\n/// two\nfn f() {\n    // three\n    /* four\n five */ g()\n}\n";
    assert_eq!(lines_of_code(source), 3);
}

/// Nothing in the library needs `std`, an allocator or `unsafe`.
#[test]
fn the_library_is_no_std_and_safe() {
    let mut is_no_std = false;
    for (path, module) in sources() {
        let code = code_only(&fs::read_to_string(&path).unwrap());
        let code: String = code.split_whitespace().collect::<Vec<_>>().join(" ");
        for banned in ["std::", "alloc::", "extern crate", "unsafe "] {
            let found = code.match_indices(banned).any(|(at, _)| {
                let before = code[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
            });
            assert!(!found, "{}: {banned}", path.display());
        }
        is_no_std |= module.is_empty() && code.contains("#![no_std]");
    }
    assert!(is_no_std);
}

const fn assert_shared<T: Send + Sync>() {}

/// Calls `assert_shared` for every type, and lists their paths.
macro_rules! shared {
    ($($module:ident :: $Type:ident $(<$($argument:tt),+>)?),+ $(,)?) => {{
        $( assert_shared::<$module::$Type $(<$($argument),+>)?>(); )+
        [$(concat!(stringify!($module), "::", stringify!($Type))),+]
    }};
}

/// For the types that need one.
type AnAccess = decap::PointToPoint<'static>;
type AShim = shim::IpIp;
type AnInUdp = shim::DirectIpv4;
type AFou = shim::Fou;
type ATunnel = encap::AnyTunnel;
type APeer = tunnel::OnePeer<'static, ATunnel>;

#[test]
#[allow(clippy::too_many_lines, reason = "a line for each type")]
fn every_public_type_is_send_and_sync() {
    let mut listed: BTreeSet<&str> = shared! {
        checksum::Delta,
        checksum::Sum,
        decap::EgressDscp,
        decap::Inner<'static>,
        decap::InnerTunnels,
        decap::InnerPolicy,
        decap::Minimal,
        decap::Opened,
        decap::OuterMeta,
        decap::OuterPacket<'static>,
        decap::AnyReceiver<AnAccess>,
        decap::Receiver<AShim, AnAccess>,
        encap::AnyTunnel,
        encap::DfPolicy,
        encap::DscpPolicy,
        encap::EcnPolicy,
        encap::Header<20>,
        encap::IdSource,
        encap::MinEnc,
        encap::OuterPolicy,
        encap::Role,
        encap::TtlPolicy,
        encap::Tunnel<AShim>,
        error::ConfigError,
        error::EncapError,
        error::Eviction,
        error::FragmentAttack,
        error::FragmentError,
        error::Ignored,
        error::ParseError,
        error::PathMtuIgnored,
        error::PeerError,
        error::PrefixError,
        error::ReassemblyError,
        error::Reason,
        error::Refused,
        fragment::Added,
        fragment::Evicted,
        fragment::Fragment,
        fragment::Fragments,
        fragment::Limits,
        fragment::Plan,
        fragment::Reassembler<'static>,
        fragment::Slot,
        fragment::SlotId,
        error::Silence,
        icmp::Bucket,
        icmp::BucketConfig,
        icmp::IcmpError,
        icmp::Kind,
        icmp::Relay,
        icmp::Report<'static>,
        icmp::ReportKind,
        error::TableError,
        decap::Edge<'static>,
        decap::EdgeTable<'static>,
        decap::PrefixEntry,
        decap::PrefixTable<'static>,
        decap::Peer<'static>,
        decap::PointToPoint<'static>,
        wire::Prefix,
        mss::Patch,
        mtu::Efficiency,
        mtu::Overhead,
        packet::Flow,
        packet::Packet<'static>,
        packet::Facts,
        packet::InnerChecksum,
        packet::PerPacket,
        packet::Proven<'static>,
        packet::Quote<'static>,
        packet::Rules,
        packet::Span,
        pmtu::Effect,
        pmtu::PathMtu,
        pmtu::PathMtuConfig,
        pmtu::Phase,
        pmtu::Probe,
        pmtu::Prober,
        pmtu::ProberConfig,
        pmtu::QuotedLen,
        shim::Carried,
        shim::ChecksumPolicy,
        shim::DirectIpv4,
        shim::Fou,
        shim::Gre,
        shim::GreInUdp,
        shim::Gue,
        shim::GueDirect,
        shim::GueInside<0>,
        shim::GueVariant1,
        shim::IpIp,
        shim::PortRange,
        shim::PseudoHeader,
        shim::SequenceWindow,
        shim::SourcePort,
        shim::Tcp,
        shim::Udp<AnInUdp>,
        stream::Decoder<'static>,
        stream::Event<'static>,
        stream::FrameError,
        stream::StreamError,
        stream::StreamFraming,
        time::Duration,
        time::Instant,
        tunnel::Around,
        tunnel::Arrival,
        tunnel::ArrivalEntry,
        tunnel::Cause,
        tunnel::Change,
        tunnel::ClosedPort,
        tunnel::Counters,
        tunnel::Echo,
        tunnel::Endpoint<'static, APeer>,
        tunnel::EndpointConfig,
        tunnel::Event,
        tunnel::Identifications,
        tunnel::Inbound,
        tunnel::LayersReceiver<'static, ATunnel, AnAccess>,
        tunnel::MssPolicy,
        tunnel::MtuPolicy,
        tunnel::OnePeer<'static, ATunnel>,
        tunnel::Outbound,
        tunnel::Path,
        tunnel::PathCheck,
        tunnel::PeerAccess<'static, APeer>,
        tunnel::PeerId,
        tunnel::PeerPolicy,
        tunnel::PeerSlot<ATunnel>,
        tunnel::PeerTable<'static, ATunnel>,
        tunnel::Received<'static>,
        tunnel::TwoWay<AFou>,
        wire::Dscp,
        wire::Ecn,
        wire::EcnAlarm,
        wire::FragmentOffset,
        wire::Gre<'static>,
        wire::GreFlags,
        wire::GreHeader,
        wire::GueHeader,
        wire::GueVariant,
        wire::HeaderOption<'static>,
        wire::HeaderOptions<'static>,
        wire::Icmpv4<'static>,
        wire::Icmpv4Header,
        wire::IpProtocol,
        wire::Ipv4<'static>,
        wire::Ipv4Edit<'static>,
        wire::Ipv4Flags,
        wire::Ipv4Header,
        wire::Ipv4Mut<'static>,
        wire::LengthPrefix,
        wire::MinimalHeader,
        wire::QuotedIpv4<'static>,
        wire::Tcp<'static>,
        wire::TcpFlags,
        wire::TcpHeader,
        wire::Udp<'static>,
        wire::UdpChecksum,
        wire::UdpHeader,
    }
    .into();
    #[cfg(feature = "heapless")]
    assert_shared::<packet::PacketBuf<64>>();
    listed.insert("packet::PacketBuf");

    // The list is complete: it is what the sources declare.
    let declared = declared_types();
    let declared: BTreeSet<&str> = declared.iter().map(String::as_str).collect();
    let differ: Vec<_> = listed.symmetric_difference(&declared).collect();
    assert!(differ.is_empty(), "in one of the two only: {differ:?}");
}

/// Every `pub` struct, enum, union and type alias of the sources, as `module::Name`.
fn declared_types() -> BTreeSet<String> {
    let mut declared = BTreeSet::new();
    for (path, module) in sources() {
        let code = code_only(&fs::read_to_string(&path).unwrap());
        let words: Vec<&str> = code
            .split(|c: char| !c.is_alphanumeric() && !"_$".contains(c))
            .filter(|word| !word.is_empty())
            .collect();
        for declaration in words.windows(3) {
            let [visibility, keyword, name] = declaration else {
                continue;
            };
            let is_type = ["struct", "enum", "union", "type"].contains(keyword);
            // `$Name` is a macro's; what it declares stands where it is called.
            if *visibility == "pub" && is_type && !name.starts_with('$') {
                declared.insert(format!("{}::{name}", module[0]));
            }
        }
    }
    declared
}

#[test]
fn errors_are_small_and_copy() {
    fn assert_error<E: core::error::Error + Copy + Eq + Send + Sync + 'static>() {
        assert!(size_of::<E>() <= 8);
        // A result of nothing costs no more than a word and its tag.
        assert!(size_of::<Result<(), E>>() <= 12);
    }
    assert_error::<error::ParseError>();
    assert_error::<error::EncapError>();
    assert_error::<error::Refused>();
    assert_error::<error::ConfigError>();
    assert_error::<error::PathMtuIgnored>();
    assert_error::<error::FragmentError>();
    assert_error::<error::ReassemblyError>();
    assert_error::<error::Eviction>();
    assert_error::<error::FragmentAttack>();
    assert_error::<error::Silence>();
    assert_error::<error::Ignored>();
    assert_error::<error::TableError>();
    assert_error::<error::PeerError>();
    assert_eq!(size_of::<error::Reason>(), 1);
}

/// A tunnel is plain data: the compiler makes it, flash keeps it.
#[test]
fn tunnels_are_const_and_small() {
    use core::net::Ipv4Addr;
    use encap::{AnyTunnel, Encapsulate, OuterPolicy, Role, Tunnel};
    use shim::{Fou, Gre, Gue, IpIp, Tcp};

    const L: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
    const R: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
    const fn valid<T: Copy>(tunnel: Result<T, error::ConfigError>) -> T {
        match tunnel {
            Ok(tunnel) => tunnel,
            Err(_) => panic!("not unicast"),
        }
    }
    const ROUTER: OuterPolicy = OuterPolicy {
        role: Role::Forward,
        ..OuterPolicy::DEFAULT
    };
    const IPIP: Tunnel<IpIp> = valid(Tunnel::new(L, R, IpIp)).with_policy(ROUTER);
    const WORDS: Gue<2> = valid(Gue::new().with_private_words([1, 2]));

    static FOUR: [Tunnel<IpIp>; 4] = [IPIP; 4];
    static DATAGRAM: Tunnel<Fou> = valid(Tunnel::new(L, R, Fou::new(5555)));
    static SEGMENT: Tunnel<Tcp> = valid(Tunnel::new(L, R, Tcp::new(1, 2)));
    static KEYED: Tunnel<Gre> = valid(Tunnel::new(L, R, Gre::new().with_key(7)));
    static PRIVATE: Tunnel<Gue<2>> = valid(Tunnel::new(L, R, WORDS));
    static MIXED: [AnyTunnel; 2] = [AnyTunnel::IpIp(IPIP), AnyTunnel::Fou(DATAGRAM)];

    const { assert!(size_of::<Tunnel<IpIp>>() == 48) };
    const { assert!(size_of::<[Tunnel<IpIp>; 4]>() == 4 * 48) };
    const { assert!(size_of::<Tunnel<Fou>>() <= 88) };
    const { assert!(size_of::<Tunnel<Gre>>() <= 64) };
    const { assert!(size_of::<Tunnel<Tcp>>() <= 112) };
    const { assert!(size_of::<AnyTunnel>() <= 120) };
    const { assert!(size_of::<IpIp>() == 0) };

    // Made at run time they are the same.
    let made = Tunnel::new(L, R, IpIp).unwrap().with_policy(ROUTER);
    assert_eq!([made; 4], FOUR);
    assert_eq!(AnyTunnel::from(made), MIXED[0]);
    assert_eq!(AnyTunnel::from(DATAGRAM), MIXED[1]);
    let tunnels: [&dyn Encapsulate; 6] = [&FOUR, &DATAGRAM, &SEGMENT, &KEYED, &PRIVATE, &MIXED];
    let overheads = tunnels.map(Encapsulate::overhead);
    assert_eq!(overheads, [80, 28, 40, 28, 40, 48]);
}

/// Who chooses a tunnel at run time holds it behind a reference.
#[test]
fn traits_are_dyn_compatible() {
    let source = core::net::Ipv4Addr::new(198, 51, 100, 1);
    let destination = core::net::Ipv4Addr::new(203, 0, 113, 2);
    let access: &(dyn decap::Access + Sync) =
        &decap::PointToPoint::new(destination, source, &[decap::Prefix::ANY]);
    assert!(access.is_local(destination));
    let ipip = encap::Tunnel::new(source, destination, shim::IpIp).unwrap();
    let tunnel: &(dyn encap::Encapsulate + Sync) = &ipip;
    assert_eq!(tunnel.overhead(), 20);
    // An access behind a reference is an access, and so are the other two.
    let receiver = ipip.receiver(access);
    let receivers: [&dyn decap::Decapsulate; 2] = [&receiver, &&receiver];
    let inner = *wire::Ipv4Header::new(
        core::net::Ipv4Addr::new(10, 1, 0, 5),
        core::net::Ipv4Addr::new(10, 2, 0, 9),
        wire::IpProtocol::UDP,
        20,
    )
    .as_bytes();
    for tunnel in [tunnel, &tunnel] {
        let mut buffer = [&[0; 20], &inner[..]].concat();
        let span = ipencap::Span::new(20, 20);
        let outer = encap(tunnel, &mut buffer, span, &encap::PerPacket::new()).unwrap();
        for receiver in receivers {
            assert_eq!(decap(receiver, outer).unwrap().packet, inner);
        }
    }
}
