//! Counters of what this program looks at. The library's own (`Counters`) have one for every event and cause: 5664 bytes.

use ipencap::tunnel::{Event, PeerId, Tally};

/// Packets by what became of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// From the inner side: sent to the peer.
    pub sent: u32,
    /// From the inner side: answered with an ICMP error.
    pub answered: u32,
    /// From the network: delivered to the inner side.
    pub delivered: u32,
    /// From the network: ICMP errors that were passed on to the inner side.
    pub relayed: u32,
    /// From the network: refused, ignored, or not for the tunnel.
    pub refused: u32,
    /// Anything else.
    pub others: u32,
}

impl Counts {
    /// How many packets have come from the network.
    pub const fn inbound(&self) -> u32 {
        self.delivered + self.relayed + self.refused + self.others
    }
}

impl Tally for Counts {
    fn count(&mut self, _: Option<PeerId>, event: Event, _: usize) {
        let counter = match event {
            Event::Sent => &mut self.sent,
            Event::Answered(_) => &mut self.answered,
            Event::Delivered => &mut self.delivered,
            Event::Relayed => &mut self.relayed,
            Event::DroppedInbound(_) | Event::Ignored(_) | Event::HostsOwn => &mut self.refused,
            _ => &mut self.others,
        };
        *counter = counter.wrapping_add(1);
    }
}
