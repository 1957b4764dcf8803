//! `checks/no-panic`, the program that proves that nothing panics, calls every function that
//! `checks/api/baseline.txt` lists: as `Type::function(…)`, or `<T as Trait>::function(…)` if it is a
//! trait's. A call `helper::<Type>(…)` is one for each trait that `helper` demands of its parameters.
//! Types of the same name in two modules are not told apart.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};

/// `Debug` of what contains an `Ipv4Addr`: core keeps an unwrap for when a width is set.
const ADDRESS: &str = "AnyTunnel Arrival Edge EndpointConfig Facts Flow IcmpError Inbound Inner LayersReceiver \
    MinEnc OnePeer Outbound OuterMeta PathCheck PeerSlot PeerTable PointToPoint Proven Received Report Tunnel TwoWay";
/// `Debug` of more than five fields: core compares how many names and values derive has written.
const MANY_FIELDS: &str = "AnyReceiver Endpoint Fragment Fragments InnerPolicy Ipv4 Ipv4Edit Ipv4Header Ipv4Mut Opened \
    OuterPacket OuterPolicy Path PathMtu PeerPolicy PerPacket Prober Quote QuotedIpv4 Reassembler Receiver Slot Tcp TcpHeader";
/// Nobody has one outside of a `Udp`, or of an `Endpoint`, whose functions call these.
const INSIDE_OTHERS: [&str; 11] = [
    "Around: Access",
    "Around: Clone",
    "Around: Debug",
    "GueInside: Clone",
    "GueInside: Debug",
    "GueInside: Hash",
    "GueInside: InUdp",
    "GueInside: PartialEq",
    "PeerAccess: Access",
    "PeerAccess: Clone",
    "PeerAccess: Debug",
];
/// defmt's own functions panic if a logger is entered twice; those of bitflags' trait are what its
/// inherent functions, which are called, are made of.
const TRAITS: [&str; 2] = ["Flags", "Format"];

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn every_public_function_is_in_the_no_panic_program() {
    let baseline = fs::read_to_string(Path::new(ROOT).join("checks/api/baseline.txt")).unwrap();
    let mut missing = missing(&baseline, &program());
    let types = format!("{ADDRESS} {MANY_FIELDS}");
    let debug = types.split_whitespace().map(|ty| format!("{ty}: Debug"));
    for excluded in debug.chain(INSIDE_OTHERS.map(str::to_owned)) {
        assert!(missing.remove(&excluded), "{excluded} need not be excluded");
    }
    assert!(
        missing.is_empty(),
        "call these, or exclude them with a reason: {missing:#?}"
    );
}

#[test]
fn what_is_not_called_is_reported() {
    for (header, function, name) in [
        ("", "ipencap::wire::made_up(u8) -> u8", "wire::made_up"),
        (
            "impl ipencap::wire::Ecn",
            "ipencap::wire::Ecn::of(u8)",
            "Ecn::of",
        ),
        (
            "impl<'a> ipencap::wire::Udp<'a>",
            "ipencap::wire::Udp<'a>::made_up()",
            "Udp::made_up",
        ),
        (
            "impl core::cmp::Ord for ipencap::wire::Ecn",
            "ipencap::wire::Ecn::cmp()",
            "Ecn: Ord",
        ),
        ("impl ipencap::shim::Shim for ()", "()::read()", "(): Shim"),
        (
            "impl<C: X> ipencap::decap::Access for &C",
            "&C::made_up(&self)",
            "Access::made_up",
        ),
        (
            "pub trait ipencap::shim::Shim",
            "ipencap::shim::Shim::new()",
            "Shim::new",
        ),
    ] {
        let listed = format!("{header}\npub const fn {function}");
        assert_eq!(
            missing(&listed, &program()),
            BTreeSet::from([name.to_owned()])
        );
    }
}

/// Of what the public interface lists, what is not among the `calls`: `module::function`,
/// `Type::function`, `Trait::function` or `Type: Trait`.
fn missing(interface: &str, calls: &BTreeSet<String>) -> BTreeSet<String> {
    let (mut owner, mut of_trait, mut wanted) = (String::new(), "", BTreeSet::new());
    let lines: Vec<_> = interface.lines().map(without_generics).collect();
    for line in &lines {
        if let Some((_, path)) = line.split_once(" fn ") {
            let (of, name) = path[..path[2..].find('(').unwrap() + 2]
                .rsplit_once("::")
                .unwrap();
            if of_trait.is_empty() || of != owner {
                wanted.insert(format!("{}::{name}", last(of)));
            } else if !TRAITS.contains(&of_trait) {
                wanted.insert(format!("{of_trait}::{name}"));
                if !line.contains(&format!("::{of_trait}::")) {
                    wanted.insert(format!("{}: {of_trait}", last(of)));
                }
            }
        } else if let Some((of, ty)) = line.split_once(" for ") {
            (owner, of_trait) = (ty.split(" where").next().unwrap().to_owned(), last(of));
        } else if let Some((_, name)) = line.split_once(" trait ") {
            let name = name.split(": ").next().unwrap();
            (owner, of_trait) = (name.to_owned(), last(name));
        } else if line.starts_with("impl") {
            of_trait = "";
        }
    }
    // What the root exports is listed in its module too.
    wanted.retain(|name| !name.starts_with("ipencap::"));
    wanted.difference(calls).cloned().collect()
}

/// The last part of a path; `&`, `[` or `()`.
fn last(path: &str) -> &str {
    match path {
        // Also that of two parameters.
        _ if path.starts_with('(') => "()",
        _ if path.starts_with(['&', '[']) => &path[..1],
        _ => path.rsplit("::").next().unwrap(),
    }
}

fn without_generics(line: &str) -> String {
    let (mut depth, mut before) = (0, ' ');
    let mut keep = |c: char| {
        let closes = c == '>' && before != '-';
        before = c;
        depth += i32::from(c == '<') - i32::from(closes);
        depth == 0 && !closes
    };
    line.chars().filter(|&c| keep(c)).collect()
}

#[derive(Default)]
struct Program {
    calls: BTreeSet<String>,
    /// The traits that a helper demands of its parameters, and the types it is given.
    demands: BTreeMap<String, Vec<Vec<String>>>,
    given: Vec<(String, Vec<String>)>,
}

impl<'ast> Visit<'ast> for Program {
    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        let mut names = path
            .path
            .segments
            .iter()
            .rev()
            .map(|part| part.ident.to_string());
        let (name, of) = (names.next().unwrap(), names.next().unwrap_or_default());
        if let Some(own) = &path.qself {
            self.calls.insert(format!("{}: {of}", type_name(&own.ty)));
        }
        self.calls.insert(format!("{of}::{name}"));
        if let syn::PathArguments::AngleBracketed(types) =
            &path.path.segments.last().unwrap().arguments
        {
            let types = types.args.iter().map(|given| match given {
                syn::GenericArgument::Type(ty) => type_name(ty),
                _ => String::new(),
            });
            self.given.push((name, types.collect()));
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        let demands = function.sig.generics.type_params().map(|parameter| {
            let traits = parameter.bounds.iter().filter_map(|bound| match bound {
                syn::TypeParamBound::Trait(bound) => bound.path.segments.last(),
                _ => None,
            });
            traits.map(|of_trait| of_trait.ident.to_string()).collect()
        });
        self.demands
            .insert(function.sig.ident.to_string(), demands.collect());
        visit::visit_item_fn(self, function);
    }
}

fn type_name(ty: &syn::Type) -> String {
    match ty {
        syn::Type::Path(path) => path.path.segments.last().unwrap().ident.to_string(),
        syn::Type::Reference(_) => "&".to_owned(),
        syn::Type::Slice(_) | syn::Type::Array(_) => "[".to_owned(),
        syn::Type::Tuple(_) => "()".to_owned(),
        _ => String::new(),
    }
}

/// What `checks/no-panic` calls.
fn program() -> BTreeSet<String> {
    let mut program = Program::default();
    let mut folders = vec![Path::new(ROOT).join("checks/no-panic/src")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(path).unwrap();
            program.visit_file(&syn::parse_file(&text).unwrap());
            // Its macros call functions of the type that they are given first.
            for written in text.split("macro_rules! ").skip(1) {
                let (name, body) = written.split_once(" {").unwrap();
                let body = body.split("\n}\n").next().unwrap();
                for call in text.split(&format!("{name}!(")).skip(1) {
                    let ty = call.split([',', ')']).next().unwrap();
                    let functions = body
                        .split('$')
                        .filter_map(|text| text.split_once("::")?.1.split_once('('));
                    program
                        .calls
                        .extend(functions.map(|(name, _)| format!("{ty}::{name}")));
                }
            }
        }
    }
    for (helper, types) in &program.given {
        for (ty, traits) in types
            .iter()
            .zip(program.demands.get(helper).into_iter().flatten())
        {
            program
                .calls
                .extend(traits.iter().map(|of_trait| format!("{ty}: {of_trait}")));
        }
    }
    program.calls
}
