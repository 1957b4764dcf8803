//! What a stack costs: overhead, inner MTU, TCP segment size.

use core::net::Ipv4Addr;

use ipencap::decap::Prefix;
use ipencap::encap::{AnyTunnel, Encapsulate};
use ipencap::mtu::Overhead;
use ipencap::tunnel::MtuPolicy;

/// The MTU of a link that has not been asked yet.
const USUAL_LINK: u16 = 1500;

/// In bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// The longest outer packet.
    pub(crate) link: u16,
    pub(crate) overhead: u32,
    pub(crate) inner_mtu: Option<u32>,
    pub(crate) tcp_mss: Option<u32>,
}

impl Cost {
    /// `stack` is as the endpoint has it.
    pub(crate) fn of(stack: &[AnyTunnel], link_mtu: Option<u16>, policy: MtuPolicy) -> Self {
        let path = match policy {
            MtuPolicy::Static(mtu) => mtu,
            _ => u16::MAX,
        };
        // The layers have limits of their own.
        let link = link_mtu
            .unwrap_or(USUAL_LINK)
            .min(path)
            .min(stack.max_len());
        let overhead = Overhead::of_bytes(stack.overhead());
        Self {
            link,
            overhead: overhead.bytes().unwrap_or(u32::MAX),
            inner_mtu: overhead.inner_mtu(u32::from(link)),
            tcp_mss: overhead.tcp_mss(u32::from(link)),
        }
    }
}

/// The network that an address with this length is in.
pub(crate) fn network(address: Ipv4Addr, len: u8) -> Option<Prefix> {
    let host_bits = u32::MAX.checked_shr(u32::from(len)).unwrap_or_default();
    let network = Ipv4Addr::from(u32::from(address) & !host_bits);
    Prefix::new(network, len).ok()
}
