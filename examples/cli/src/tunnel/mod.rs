//! Tunnels by their specifications: into them and out of them.
//!
//! All of the program's calls of the library's `encap`, `decap` and `Endpoint` stand in this folder.

use ipencap::Span;
use ipencap::decap::Decapsulate;
use ipencap::encap::{Encapsulate, PerPacket};
use ipencap::error::{EncapError, Refused};

use crate::packets::Change;

mod end;
mod keys;
mod numbers;
mod spec;

pub(crate) use end::{End, Event, Memory, Outcome, Policy};
use numbers::Numbered;
pub use spec::{Spec, prefix};

/// Wraps packets by some tunnels, the first one innermost.
pub(crate) struct Wrap {
    tunnels: Vec<Numbered>,
    buffer: Vec<u8>,
}

impl Wrap {
    pub(crate) fn new(tunnels: &[Spec]) -> Self {
        Self {
            tunnels: Numbered::stack(tunnels),
            buffer: Vec::new(),
        }
    }

    /// What all the tunnels together put in front of a packet, in bytes.
    pub(crate) fn overhead(&self) -> usize {
        self.tunnels.overhead()
    }
}

impl Change for Wrap {
    fn change(&mut self, packet: &[u8]) -> Result<&[u8], &'static str> {
        let headroom = self.overhead();
        self.buffer.resize(headroom, 0);
        self.buffer.extend_from_slice(packet);
        let inner = Span::new(headroom, packet.len());
        let tunnels = self.tunnels.as_slice();
        match ipencap::encap(tunnels, &mut self.buffer, inner, &PerPacket::new()) {
            Ok(outer) => Ok(outer),
            Err(error) => Err(EncapError::reason(error)),
        }
    }
}

/// Takes packets out of some tunnels, the last one first.
pub(crate) struct Unwrap<'s> {
    tunnels: Vec<&'s dyn Decapsulate>,
    buffer: Vec<u8>,
}

impl<'s> Unwrap<'s> {
    pub(crate) fn new(tunnels: &'s [Spec]) -> Self {
        Self {
            tunnels: tunnels.iter().map(Spec::receiver).collect(),
            buffer: Vec::new(),
        }
    }
}

impl Change for Unwrap<'_> {
    fn change(&mut self, packet: &[u8]) -> Result<&[u8], &'static str> {
        self.buffer.clear();
        self.buffer.extend_from_slice(packet);
        match ipencap::decap(self.tunnels.as_slice(), &mut self.buffer) {
            Ok(inner) => Ok(inner.packet),
            Err(refused) => Err(Refused::name(refused)),
        }
    }
}
