//! FOU and GUE without a checksum.

use core::marker::PhantomData;

use ipencap::error::{EncapError, Refused};
use ipencap::packet::{Facts, PerPacket, Rules};
use ipencap::shim::{
    Carried, ChecksumPolicy, Fou, Gue, PortRange, PseudoHeader, Shim, SourcePort, Udp,
};
use ipencap::wire::{IpProtocol, Ipv4};
use ipencap_xdp_maps::Settings;

/// FOU or GUE.
pub trait Kind: Copy {
    /// The library's shim.
    type Shim: Shim;

    /// The shim to a port, from a port.
    fn shim(port: u16, source_port: SourcePort) -> Self::Shim;
}

/// FOU.
#[derive(Clone, Copy, Debug)]
pub struct OverFou;

/// GUE.
#[derive(Clone, Copy, Debug)]
pub struct OverGue;

impl Kind for OverFou {
    type Shim = Fou;

    #[inline(always)]
    fn shim(port: u16, source_port: SourcePort) -> Fou {
        plain(Fou::new(port)).with_source_port(source_port)
    }
}

impl Kind for OverGue {
    type Shim = Gue;

    #[inline(always)]
    fn shim(port: u16, source_port: SourcePort) -> Gue {
        plain(Gue::new().with_destination_port(port)).with_source_port(source_port)
    }
}

#[inline(always)]
fn plain<I: Copy>(udp: Udp<I>) -> Udp<I> {
    udp.with_checksum(ChecksumPolicy::Zero)
}

/// A shim of the library that has no checksum: a constant here. If it lay in a map, the program would have the code for
/// all policies.
#[derive(Clone, Copy, Debug)]
pub struct Plain<K> {
    port: u16,
    /// 0 for the hash of the flow, which comes with the packet.
    source_port: u16,
    kind: PhantomData<K>,
}

impl<K: Kind> Plain<K> {
    /// By these settings.
    #[inline(always)]
    pub fn new(settings: &Settings) -> Self {
        Self {
            port: u16::from_be_bytes(settings.port),
            source_port: u16::from_be_bytes(settings.source_port),
            kind: PhantomData,
        }
    }

    #[inline(always)]
    fn shim(&self) -> K::Shim {
        let source_port = match self.source_port {
            0 => SourcePort::Entropy {
                seed: 0,
                range: PortRange::Dynamic,
            },
            port => SourcePort::Fixed(port),
        };
        K::shim(self.port, source_port)
    }
}

impl<K: Kind> Shim for Plain<K> {
    const PROTOCOL: IpProtocol = IpProtocol::UDP;

    #[inline(always)]
    fn len(&self) -> usize {
        self.shim().len()
    }

    #[inline(always)]
    fn check(&self, inner: &Facts, packet: &PerPacket, rules: Rules) -> Result<(), EncapError> {
        self.shim().check(inner, packet, rules)
    }

    #[inline(always)]
    fn write(
        &self,
        bytes: &mut [u8],
        inner: &Facts,
        packet: &PerPacket,
        pseudo: PseudoHeader,
        rules: Rules,
    ) {
        self.shim().write(bytes, inner, packet, pseudo, rules);
    }

    #[inline(always)]
    fn read(&self, outer: Ipv4<'_>) -> Result<Carried, Refused> {
        self.shim().read(outer)
    }
}
