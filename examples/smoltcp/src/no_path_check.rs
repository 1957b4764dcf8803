//! In place of [`ipencap::tunnel::PathCheck`] without the feature: there is none, so the compiler leaves out what is done
//! with one.

use ipencap::time::Instant;
use ipencap::tunnel::{Endpoint, PeerId, Peers, Tally};

#[derive(Clone, Copy, Debug)]
pub(crate) enum PathCheck {}

impl PathCheck {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "as the other takes itself"
    )]
    pub(crate) const fn next_deadline(&self) -> Option<Instant> {
        match *self {}
    }

    pub(crate) const fn poll<P: Peers, C: Tally, R>(
        self,
        _: Instant,
        _: &mut Endpoint<'_, P, C, R>,
        _: u32,
    ) -> Option<(PeerId, u16)> {
        match self {}
    }

    pub(crate) const fn write(self, _: &mut [u8]) -> Option<()> {
        match self {}
    }

    pub(crate) const fn answers<P: Peers, C: Tally, R>(
        self,
        _: Instant,
        _: &mut Endpoint<'_, P, C, R>,
        _: PeerId,
        _: &[u8],
    ) -> bool {
        match self {}
    }
}
