//! Routes to the peers' networks, through the TUN device.

use core::net::IpAddr;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};

use ipencap::decap::Prefix;
use route_manager::{Route, RouteManager};

use crate::links::Links;

/// The routes that the program has set. The system removes them with the device, and when that goes down.
pub(crate) struct Routes {
    manager: RouteManager,
    index: u32,
    set: Vec<Prefix>,
    links: Links,
}

impl Routes {
    pub(crate) fn new(index: u32) -> io::Result<Self> {
        Ok(Self {
            manager: RouteManager::new()?,
            index,
            set: Vec::new(),
            links: Links::open(index)?,
        })
    }

    /// Adds those that are missing, also those that somebody has removed, and removes those that are left. A
    /// network that another device has a route to is said: its packets do not come into the tunnel.
    pub(crate) fn set(&mut self, wanted: &[Prefix]) -> io::Result<()> {
        let old = core::mem::take(&mut self.set);
        for gone in old.iter().filter(|prefix| !wanted.contains(prefix)) {
            // It may be gone already, with its device or by hand.
            let _ = self.manager.delete(&self.route(*gone));
        }
        let mut there = Vec::new();
        for prefix in wanted {
            match self.manager.add(&self.route(*prefix)) {
                Ok(()) => self.set.push(*prefix),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => there.push(*prefix),
                Err(error) => {
                    return Err(io::Error::new(error.kind(), format!("{prefix}: {error}")));
                }
            }
        }
        if there.is_empty() {
            return Ok(());
        }
        let routes = self.manager.list()?;
        for prefix in there {
            let network = IpAddr::from(prefix.network());
            let is_ours = routes.iter().any(|route| {
                route.if_index() == Some(self.index)
                    && route.destination() == network
                    && route.prefix() == prefix.len()
            });
            if is_ours {
                self.set.push(prefix);
            } else {
                crate::say(&format!(
                    "no route to {prefix} was set: another device has one, so its packets do not come into the \
                     tunnel; remove that route, or name two halves of the network in allowed"
                ));
            }
        }
        Ok(())
    }

    /// What the system has told is read. Returns whether the device has come up again, without its routes.
    pub(crate) fn are_gone(&mut self) -> bool {
        self.links.is_up_again()
    }

    fn route(&self, prefix: Prefix) -> Route {
        Route::new(prefix.network().into(), prefix.len()).with_if_index(self.index)
    }
}

impl AsFd for Routes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.links.as_fd()
    }
}
