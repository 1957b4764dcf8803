//! A configuration whose values are right one by one, and not yet as a whole.

use core::net::Ipv4Addr;
use core::time::Duration;

use ipencap::decap::Prefix;
use ipencap::encap::AnyTunnel;
use ipencap::tunnel::{MssPolicy, MtuPolicy};

use crate::config::{Carrier, Config, Interface, Peer};
use crate::layers::Layers;
use crate::place::{Place, Placed, Wrong};
use crate::{judge, warnings};

pub(crate) struct Draft {
    pub(crate) interface: DraftInterface,
    pub(crate) peers: Vec<DraftPeer>,
    /// Where to say that there are no peers.
    pub(crate) place: Place,
}

pub(crate) struct DraftInterface {
    pub(crate) name: Option<String>,
    pub(crate) addresses: Vec<Placed<(Ipv4Addr, u8)>>,
    pub(crate) link_mtu: Option<u16>,
    pub(crate) offload: bool,
    pub(crate) stats_interval: Option<Duration>,
    pub(crate) routes: bool,
}

pub(crate) struct DraftPeer {
    pub(crate) place: Place,
    pub(crate) name: Placed<String>,
    /// The specifications, the first one innermost.
    pub(crate) texts: Vec<Placed<String>>,
    pub(crate) layers: Layers,
    pub(crate) allowed: Vec<Placed<Prefix>>,
    pub(crate) mtu: Placed<MtuPolicy>,
    pub(crate) mss: MssPolicy,
    pub(crate) keepalive: Option<Placed<Duration>>,
    pub(crate) probe: Probe,
}

/// Which inner address is asked to answer.
pub(crate) enum Probe {
    /// The first host in `allowed`.
    Default,
    Off,
    At(Placed<Ipv4Addr>),
}

impl DraftPeer {
    /// The inner address that is asked to answer. Nobody needs to look for the MTU of a connection.
    pub(crate) fn probe(&self) -> Option<Ipv4Addr> {
        match &self.probe {
            Probe::Off => None,
            Probe::At(address) => Some(address.value),
            Probe::Default if matches!(self.layers.carrier, Carrier::Tcp { .. }) => None,
            Probe::Default => self
                .allowed
                .iter()
                .map(|prefix| prefix.value)
                .find(|prefix| prefix.len() == 32)
                .map(Prefix::network),
        }
    }

    /// The layers as the endpoint will have them.
    pub(crate) fn stack(&self) -> &[AnyTunnel] {
        &self.layers.stack
    }

    /// The place of the outermost specification.
    pub(crate) fn outermost(&self) -> Place {
        self.texts.last().map_or(self.place, |text| text.place)
    }
}

impl Draft {
    /// The configuration and warnings, or what is wrong with it as a whole.
    pub(crate) fn complete(self) -> Result<(Config, Vec<Wrong>), Wrong> {
        judge::whole(&self)?;
        let warnings = warnings::all(&self);
        let interface = Interface {
            name: self.interface.name,
            addresses: values(self.interface.addresses),
            link_mtu: self.interface.link_mtu,
            offload: self.interface.offload,
            stats_interval: self.interface.stats_interval,
            routes: self.interface.routes,
        };
        let peers = self.peers.into_iter().map(|peer| Peer {
            probe: peer.probe(),
            name: peer.name.value,
            text: values(peer.texts),
            stack: peer.layers.stack,
            inner_policy: peer.layers.inner_policy,
            carrier: peer.layers.carrier,
            allowed: values(peer.allowed),
            mtu: peer.mtu.value,
            mss: peer.mss,
            keepalive: peer.keepalive.map(|keepalive| keepalive.value),
        });
        let config = Config {
            interface,
            peers: peers.collect(),
        };
        Ok((config, warnings))
    }
}

fn values<T>(placed: Vec<Placed<T>>) -> Vec<T> {
    placed.into_iter().map(|placed| placed.value).collect()
}
