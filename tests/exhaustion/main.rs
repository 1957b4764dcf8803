//! Spaces that are finite, walked through to the end: for every encapsulator of the kit's registry, in
//! each of its forms. `tables.rs` does the same for what has nothing to do with a carrier.
//!
//! Where a space is too large for that, the comment above the test says by which reduction it is covered
//! all the same; the reduction's premise is tested beside it.
//!
//! One walk takes longer and is left out: all 2^32 changes of a word, against each checksum of
//! [`update::EDGES`], a minute. `cargo test --release --test exhaustion -- --ignored` runs it.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

use ipencap::Span;
use ipencap::encap::PerPacket;
use ipencap::error::EncapError;
use ipencap_kit::oracle::{
    self, Accepted, NaiveCarrier, Network, OuterPolicy, Peer, Plain, Refusal, Switches,
};
use ipencap_kit::registry::{Door, ENCAPSULATORS, Endpoints, Enrolled, Subject};
use ipencap_kit::subjects::{
    FouSubject, GreSubject, IpIpSubject, StackSubject, TcpSubject, single_policies,
};

mod ecn;
mod flips;
mod layouts;
mod lengths;
mod mss;
mod update;
mod words;

const L: [u8; 4] = [198, 51, 100, 1];
const R: [u8; 4] = [203, 0, 113, 2];

const ENDPOINTS: Endpoints = Endpoints {
    source: L,
    destination: R,
};

/// Nestings beside those of the registry.
const NESTED: [Enrolled; 2] = [
    Enrolled::new::<StackSubject<IpIpSubject, FouSubject>>("(Tunnel<Fou>, Tunnel<IpIp>)"),
    Enrolled::new::<StackSubject<GreSubject, TcpSubject>>("(Tunnel<Tcp>, Tunnel<Gre>)"),
];

/// An encapsulator in one of its forms.
struct Form {
    /// Its encapsulator's name, and the form's.
    name: String,
    subject: Box<dyn Subject>,
}

fn default_policy() -> OuterPolicy {
    let policies = single_policies(ENDPOINTS);
    policies[0].1
}

/// Every encapsulator in each of its forms, with these policies.
fn forms(outer: OuterPolicy) -> Vec<Form> {
    let mut forms = Vec::new();
    for enrolled in ENCAPSULATORS.iter().chain(&NESTED) {
        for (form, subject) in enrolled.forms(outer) {
            let name = format!("{} | {form}", enrolled.name);
            forms.push(Form { name, subject });
        }
    }
    forms
}

/// An ordinary inner header, to be changed.
const fn inner() -> Plain {
    Plain {
        tos: 0,
        identification: 0x1234,
        flags_offset: 0x4000,
        ttl: 64,
        protocol: 17,
        source: [10, 1, 0, 5],
        destination: [10, 2, 0, 9],
        options: vec![],
    }
}

/// A header for forms that cannot keep another source than the tunnel's own (M-02).
fn inner_for(form: &Form) -> Plain {
    let source = if form.name.contains("without source") {
        L
    } else {
        inner().source
    };
    Plain { source, ..inner() }
}

/// A datagram for [`inner`], whose checksum is right.
const DATAGRAM: &[u8] = b"\x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";

const fn said() -> PerPacket {
    PerPacket::new()
        .with_identification(0x0203)
        .with_sequence(0x0001_0200)
        .with_tcp_numbers(0x0102_0304, 0x0a0b_0c0d)
}

/// `packet` wrapped into a form's tunnel; on an error nothing has changed.
fn wrap(form: &Form, packet: &[u8]) -> Result<Vec<u8>, EncapError> {
    let overhead = form.subject.encapsulator().overhead();
    let mut buffer = [&vec![0xa5; overhead], packet].concat();
    let place = Span::new(overhead, packet.len());
    match form
        .subject
        .encap(Door::Function, &mut buffer, place, &said())
    {
        Ok(outer) => Ok(outer.get(&buffer).unwrap().to_vec()),
        Err(error) => {
            assert!(buffer[..overhead].iter().all(|&byte| byte == 0xa5), "E-23");
            assert_eq!(&buffer[overhead..], packet, "E-23");
            Err(error)
        }
    }
}

/// What the rules make of a packet from `L` to `R`.
fn decapsulated(carrier: &dyn NaiveCarrier, packet: &[u8]) -> Result<Accepted, Refusal> {
    let network = Network {
        local: vec![R],
        peers: vec![Peer {
            outer: (L, 32),
            inner: vec![([0; 4], 0)],
            tag: 0,
        }],
        endpoints: vec![],
        ports: vec![],
    };
    let switches = Switches {
        max_depth: 1,
        ..Switches::default()
    };
    oracle::decapsulate(carrier, &network, switches, packet)
}
