//! The MTU of a path: learnt from reports of routers, or found with probes.
//!
//! A tunnel sends its outer packets with DF, so a router that cannot forward one drops it and reports the MTU
//! of the next link (ICMP 3/4). [`PathMtu`] keeps what follows from that for one destination (RFC 1191). The
//! MTU for inner packets is smaller by the tunnel's overhead (RFC 2003 §5.1).
//!
//! ```
//! use ipencap::pmtu::{PathMtu, PathMtuConfig, QuotedLen, Effect};
//! use ipencap::time::{Duration, Instant};
//!
//! let mut path = PathMtu::new(1500, PathMtuConfig::DEFAULT);
//! let start = Instant::ZERO;
//! path.sent(start, 1500);
//!
//! // A router reports an MTU of 1400 and quotes the packet of 1500 bytes.
//! let quoted = QuotedLen { total_len: 1500, header_len: 20 };
//! assert_eq!(path.on_report(start, 1400, quoted), Effect::Lowered { mtu: 1400 });
//! assert_eq!(path.inner_mtu(start, 20), 1380); // IP-in-IP
//!
//! // Ten minutes later the whole MTU of the link is tried again.
//! let later = path.next_deadline().unwrap();
//! assert_eq!(later, start + Duration::from_secs(600));
//! assert_eq!(path.poll(later), Some(1500));
//! ```
//!
//! # Which reports are believed
//!
//! Anyone can forge a report. It is believed if the quoted packet is longer than the reported MTU and not
//! longer than what was [sent](PathMtu::sent) lately. It never raises the path MTU, and never lowers it below
//! a floor (552 bytes by default). DF stays set: a sender that clears it at a small MTU can be made to send
//! fragments (RFC 5927 §7.2). That the report quotes a packet of this tunnel is for the caller to check.
//!
//! # When the path MTU is raised
//!
//! Ten minutes after the last report, to the MTU of the link in one step (RFC 1191 §6.3). If the path is
//! still narrow, that costs one packet, and its report gives the exact value again. Going up the plateaus one
//! by one (RFC 1191 §7.1) would cost as many packets where there are reports, and take longer where the path
//! has become wider. Where there are none, use a [`Prober`].
//!
//! # Paths without reports
//!
//! Many networks drop ICMP. A [`Prober`] finds the MTU of such a path by sending packets of chosen lengths
//! that the other end must confirm (RFC 8899).
//!
//! Neither sends anything, reads a clock or waits. A clock that runs backwards is taken to stand still.

mod path;
mod prober;

pub use path::{Effect, PathMtu, PathMtuConfig, QuotedLen};
pub use prober::{Phase, Probe, Prober, ProberConfig};

use crate::time::Duration;

/// The MTUs of common links, in descending order: the estimates where a router reports no MTU (RFC 1191
/// §7).
pub const PLATEAUS: [u16; 11] = [
    65_535, 32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296, 68,
];

/// The floor of a path MTU by default, in bytes: no report lowers it further. It is that of Linux.
pub const DEFAULT_FLOOR: u16 = 552;

/// How long after the last report a path MTU is raised, by default (RFC 1191 §3).
pub const RAISE_AFTER: Duration = Duration::from_secs(600);

/// The shortest time after a report until a path MTU may be raised (RFC 1191 §3).
pub const MIN_RAISE_AFTER: Duration = Duration::from_secs(300);

/// How long after a raise that succeeded the next may follow (RFC 1191 §3: at least one minute, two are
/// recommended).
pub const RAISE_INTERVAL: Duration = Duration::from_secs(120);

/// The smallest packet that a prober sends, in bytes: `MIN_PLPMTU` of IPv4 (RFC 8899 §5.1.2, RFC 791 §3.2).
pub const MIN_PLPMTU: u16 = 68;

/// The length that a prober expects every path to carry, in bytes (RFC 8899 §5.1.2).
pub const BASE_PLPMTU: u16 = 1200;

/// The length with which a search by RFC 4821 would start, in bytes (RFC 4821 §7: `eff_pmtu`). A
/// [`Prober`] starts at [`BASE_PLPMTU`].
pub const EFF_PMTU_START: u16 = 1400;

/// How many probes of one length are lost before the path is taken not to carry it (RFC 8899 §5.1.2).
pub const MAX_PROBES: u8 = 3;

/// How long a prober waits for a confirmation, by default. RFC 8899 §5.1.1 asks for more than 15 seconds.
pub const PROBE_TIMER: Duration = Duration::from_secs(16);

/// The shortest time that a prober may wait for a confirmation (RFC 8899 §5.1.1).
pub const MIN_PROBE_TIMER: Duration = Duration::from_secs(1);

/// How long after a search a prober looks for a larger MTU (RFC 8899 §5.1.1).
pub const PMTU_RAISE_TIMER: Duration = Duration::from_secs(600);

/// How long a prober rests until it confirms the path MTU again, by default. RFC 8899 §5.1.1 leaves the value
/// open, below [`PMTU_RAISE_TIMER`].
pub const CONFIRMATION_TIMER: Duration = Duration::from_secs(60);
