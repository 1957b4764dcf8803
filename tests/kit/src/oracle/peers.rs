use ipencap::error::PeerError;
use ipencap::tunnel::PeerPolicy;

use super::{
    NaiveCarrier, NaiveEncapsulator, NaiveGre, NaiveIpIp, NaiveMinimal, NaiveTable, NaiveUdp, Net,
    OuterPolicy, validate,
};

/// A tunnel of one layer, both ways.
#[derive(Clone, Debug)]
pub enum NaiveTunnel {
    /// IP-in-IP.
    IpIp(NaiveIpIp),
    /// Over UDP.
    Udp(NaiveUdp),
    /// GRE.
    Gre(NaiveGre),
    /// Minimal encapsulation.
    Minimal(NaiveMinimal),
}

/// Where packets come from, their protocol, the port or key that they go to, and their source port.
pub type NaiveArrival = ([u8; 4], u8, Option<u32>, Option<u16>);

impl NaiveTunnel {
    /// What wraps packets to the peer.
    #[must_use]
    pub fn encapsulator(&self) -> &dyn NaiveEncapsulator {
        match self {
            Self::IpIp(tunnel) => tunnel,
            Self::Udp(tunnel) => tunnel,
            Self::Gre(tunnel) => tunnel,
            Self::Minimal(tunnel) => tunnel,
        }
    }

    /// What opens packets from the peer.
    #[must_use]
    pub fn carrier(&self) -> &dyn NaiveCarrier {
        match self {
            Self::IpIp(tunnel) => tunnel,
            Self::Udp(tunnel) => tunnel,
            Self::Gre(tunnel) => tunnel,
            Self::Minimal(tunnel) => tunnel,
        }
    }

    /// Its outer header.
    #[must_use]
    pub const fn outer(&self) -> &OuterPolicy {
        match self {
            Self::IpIp(NaiveIpIp(outer)) => outer,
            Self::Udp(tunnel) => &tunnel.outer,
            Self::Gre(tunnel) => &tunnel.outer,
            Self::Minimal(tunnel) => &tunnel.outer,
        }
    }

    /// Protocol, and port or key.
    #[must_use]
    pub fn kind(&self) -> (u8, Option<u32>) {
        match self {
            Self::IpIp(_) => (4, None),
            Self::Udp(tunnel) => (17, Some(tunnel.destination_port.into())),
            Self::Gre(tunnel) => (47, tunnel.key),
            Self::Minimal(_) => (55, None),
        }
    }
}

/// Of a valid packet from the network.
#[must_use]
pub fn arrival(packet: &[u8]) -> NaiveArrival {
    let fields = validate(packet, false).unwrap();
    let payload = fields.payload;
    let (number, port) = match (fields.protocol, payload) {
        (6 | 17, [a, b, c, d, ..]) => (
            Some(u32::from(*c) * 256 + u32::from(*d)),
            Some(u16::from_be_bytes([*a, *b])),
        ),
        (47, [flags, version, _, _, rest @ ..])
            if flags & 0x20 != 0 && version.trailing_zeros() >= 3 =>
        {
            // Checksum and offset stand in front of the key (RFC 1701).
            let rest = if flags & 0xc0 == 0 {
                Some(rest)
            } else {
                rest.get(4..)
            };
            match rest {
                Some([a, b, c, d, ..]) => (Some(u32::from_be_bytes([*a, *b, *c, *d])), None),
                _ => (None, None),
            }
        }
        _ => (None, None),
    };
    (fields.source, fields.protocol, number, port)
}

/// A place for a peer: its tunnel and policy, and how many had the place before.
#[derive(Clone, Debug, Default)]
pub struct NaiveSlot {
    /// Who is there.
    pub peer: Option<(NaiveTunnel, PeerPolicy)>,
    /// How many were there before.
    pub generation: u32,
}

/// Place and generation.
pub type NaiveId = (usize, u32);

/// Peers in a list.
#[derive(Clone, Debug)]
pub struct NaivePeers {
    /// All places.
    pub slots: Vec<NaiveSlot>,
    /// How many peers can be found by what they send.
    pub arrivals: usize,
    /// How many own addresses, and ports of these, there may be.
    pub own: usize,
    /// Inner prefixes, with the place of the peer.
    pub prefixes: NaiveTable,
}

impl NaivePeers {
    /// None, and so many places, arrivals, prefixes, and own addresses and ports.
    #[must_use]
    pub fn new(rooms: [usize; 4]) -> Self {
        Self {
            slots: vec![NaiveSlot::default(); rooms[0]],
            arrivals: rooms[1],
            own: rooms[3],
            prefixes: NaiveTable {
                capacity: rooms[2],
                ..NaiveTable::default()
            },
        }
    }

    /// Everybody, in the order of their places.
    #[must_use]
    pub fn all(&self) -> Vec<(NaiveId, &NaiveTunnel, &PeerPolicy)> {
        let slots = self.slots.iter().enumerate();
        let all = slots.filter_map(|(place, slot)| {
            let (tunnel, policy) = slot.peer.as_ref()?;
            Some(((place, slot.generation), tunnel, policy))
        });
        all.collect()
    }

    /// The one with this handle.
    #[must_use]
    pub fn get(&self, id: NaiveId) -> Option<(&NaiveTunnel, &PeerPolicy)> {
        let mut all = self.all().into_iter();
        let (_, tunnel, policy) = all.find(|(other, ..)| *other == id)?;
        Some((tunnel, policy))
    }

    fn at(&self, place: u32) -> Option<NaiveId> {
        let place = usize::try_from(place).unwrap();
        let mut all = self.all().into_iter().map(|(id, ..)| id);
        all.find(|id| id.0 == place)
    }

    /// What a peer's packets look like.
    fn arrival_of(tunnel: &NaiveTunnel, policy: &PeerPolicy) -> NaiveArrival {
        let (protocol, number) = tunnel.kind();
        (
            tunnel.outer().destination,
            protocol,
            number,
            policy.source_port,
        )
    }

    /// Own addresses, and ports at which tunnels receive, of these tunnels.
    fn own_of<'t>(
        tunnels: impl Iterator<Item = &'t NaiveTunnel>,
    ) -> std::collections::BTreeSet<([u8; 4], Option<u32>)> {
        let own = tunnels.flat_map(|tunnel| {
            let address = tunnel.outer().source;
            let port = match tunnel.kind() {
                (17, Some(port)) => Some(port),
                _ => None,
            };
            [(address, None), (address, port)]
        });
        own.collect()
    }

    /// Adds a peer.
    ///
    /// # Errors
    /// Why not.
    pub fn add(&mut self, tunnel: NaiveTunnel, policy: PeerPolicy) -> Result<NaiveId, PeerError> {
        let all = self.all();
        let new = Self::arrival_of(&tunnel, &policy);
        if all.iter().any(|(_, t, p)| Self::arrival_of(t, p) == new) {
            return Err(PeerError::NotDistinct);
        }
        let free = self.slots.iter().position(|slot| slot.peer.is_none());
        let place = free.ok_or(PeerError::NoPlace)?;
        let tunnels = all.iter().map(|(_, tunnel, _)| *tunnel);
        if Self::own_of(tunnels.chain([&tunnel])).len() > self.own {
            return Err(PeerError::OwnFull);
        }
        if all.len() >= self.arrivals {
            return Err(PeerError::NoPlace);
        }
        let slot = &mut self.slots[place];
        slot.peer = Some((tunnel, policy));
        Ok((place, slot.generation))
    }

    /// Gives a peer another tunnel and policy.
    ///
    /// # Errors
    /// Why not.
    pub fn replace(
        &mut self,
        id: NaiveId,
        tunnel: NaiveTunnel,
        policy: PeerPolicy,
    ) -> Result<NaiveId, PeerError> {
        let (_, old) = self.get(id).ok_or(PeerError::NoPeer)?;
        if old.tenant != policy.tenant {
            return Err(PeerError::OtherTenant);
        }
        let all = self.all();
        let new = Self::arrival_of(&tunnel, &policy);
        let mut others = all.iter().filter(|(other, ..)| *other != id);
        if others.any(|(_, t, p)| Self::arrival_of(t, p) == new) {
            return Err(PeerError::NotDistinct);
        }
        let others = all.iter().filter(|(other, ..)| *other != id);
        let tunnels = others.map(|(_, tunnel, _)| *tunnel);
        if Self::own_of(tunnels.chain([&tunnel])).len() > self.own {
            return Err(PeerError::OwnFull);
        }
        let slot = &mut self.slots[id.0];
        slot.peer = Some((tunnel, policy));
        slot.generation += 1;
        Ok((id.0, slot.generation))
    }

    /// Removes a peer with its prefixes. Whether it was there.
    pub fn remove(&mut self, id: NaiveId) -> bool {
        if self.get(id).is_none() {
            return false;
        }
        self.prefixes.remove_value(u32::try_from(id.0).unwrap());
        let slot = &mut self.slots[id.0];
        slot.peer = None;
        slot.generation += 1;
        true
    }

    /// Gives a prefix to a peer; who had it.
    ///
    /// # Errors
    /// Why not.
    pub fn allow(&mut self, id: NaiveId, net: Net) -> Result<Option<NaiveId>, PeerError> {
        let (_, policy) = self.get(id).ok_or(PeerError::NoPeer)?;
        let place = u32::try_from(id.0).unwrap();
        let before = self.prefixes.insert(policy.tenant, net, place);
        let before = before.map_err(|_| PeerError::PrefixesFull)?;
        Ok(before.and_then(|place| self.at(place)))
    }

    /// Takes a prefix from a peer. Whether it had it.
    pub fn disallow(&mut self, id: NaiveId, net: Net) -> bool {
        let Some((_, policy)) = self.get(id) else {
            return false;
        };
        let tenant = policy.tenant;
        let has = self.prefixes.get(tenant, net) == Some(u32::try_from(id.0).unwrap());
        if has {
            self.prefixes.remove(tenant, net);
        }
        has
    }

    /// Whose an inner address is.
    #[must_use]
    pub fn owner(&self, tenant: u32, address: [u8; 4]) -> Option<NaiveId> {
        let (_, place) = self.prefixes.longest(tenant, address)?;
        self.at(place)
    }

    /// Who sends such packets: who sends from this port alone, or who does from any.
    #[must_use]
    pub fn sender(&self, (source, protocol, number, port): NaiveArrival) -> Option<NaiveId> {
        let all = self.all();
        let of = |port| {
            let wanted = (source, protocol, number, port);
            let mut all = all.iter();
            let found = all.find(|(_, t, p)| Self::arrival_of(t, p) == wanted);
            found.map(|(id, ..)| *id)
        };
        port.and_then(|port| of(Some(port))).or_else(|| of(None))
    }

    /// All at this outer address, in the order of protocol, number and port.
    #[must_use]
    pub fn with_outer_address(&self, address: [u8; 4]) -> Vec<NaiveId> {
        let all = self.all().into_iter();
        let mut there: Vec<_> = all
            .map(|(id, tunnel, policy)| (Self::arrival_of(tunnel, policy), id))
            .filter(|((source, ..), _)| *source == address)
            .collect();
        there.sort_unstable();
        there.into_iter().map(|(_, id)| id).collect()
    }

    /// Our own addresses.
    #[must_use]
    pub fn local(&self) -> Vec<[u8; 4]> {
        let all = self.all();
        all.iter()
            .map(|(_, tunnel, _)| tunnel.outer().source)
            .collect()
    }

    /// Where tunnels receive: addresses, protocols and ports.
    #[must_use]
    pub fn ports(&self) -> Vec<([u8; 4], u8, u16)> {
        let all = self.all().into_iter();
        let ports = all.filter_map(|(_, tunnel, _)| match tunnel.kind() {
            (17, Some(port)) => Some((tunnel.outer().source, 17, u16::try_from(port).unwrap())),
            _ => None,
        });
        ports.collect()
    }

    /// Whether a tunnel receives at this port of this address.
    #[must_use]
    pub fn listens(&self, address: [u8; 4], protocol: u8, port: u16) -> bool {
        self.ports().contains(&(address, protocol, port))
    }
}
