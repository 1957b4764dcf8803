//! Records on which Linux and this crate differ as encapsulators, or of which nothing was sent.

use ipencap::error::{EncapError, ParseError};

/// What this crate does with one packet that entered the tunnel.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ours {
    /// The outer packet that Linux sent, counted from 0.
    Equal(usize),
    /// The same without the bytes behind the inner total length.
    Trimmed(usize),
    /// An outer packet, where Linux sent none.
    Alone,
    /// The outer packet that Linux sent but for DF, which is set.
    KeepsDf(usize),
    /// None, for this reason.
    Refused(EncapError),
    /// None: no tunnel of this crate is made like that, nor opened.
    NotOffered,
}
use Ours::{Alone, Equal, KeepsDf, NotOffered, Refused, Trimmed};

/// Records with a difference, or without an outer packet.
pub(crate) struct Exception {
    pub(crate) ids: &'static [&'static str],
    /// One answer for each packet that entered the tunnel.
    pub(crate) ours: &'static [Ours],
    /// What Linux did, by the traces in the record.
    pub(crate) linux: &'static str,
    pub(crate) why: &'static str,
}

const TOO_BIG: &[Ours] = &[too_big(1480)];

const fn too_big(mtu: u16) -> Ours {
    Refused(EncapError::FragmentationNeeded { mtu })
}

pub(crate) const IPIP: &[Exception] = &[
    Exception {
        ids: &["ipip-ttl-inherit-001", "ipip-ttl-1-001", "ipip-ttl-255-001"],
        ours: &[Refused(EncapError::TtlZero)],
        linux: "sent",
        why: "T-06, A-07: an inner TTL of 0 must not travel",
    },
    Exception {
        ids: &["ipip-weird-005"],
        ours: &[Trimmed(0)],
        linux: "sent",
        why: "E-20, A-10: the inner total length ends the packet, not the buffer",
    },
    Exception {
        ids: &["ipip-weird-007"],
        ours: &[Refused(EncapError::Inner {
            error: ParseError::BadVersion { version: 6 },
        })],
        linux: "sent",
        why: "E-01, E-02, A-09: protocol 4 carries version 4",
    },
    Exception {
        ids: &["ipip-weird-009"],
        ours: &[Refused(EncapError::Inner {
            error: ParseError::BadIhl { ihl: 4 },
        })],
        linux: "sent",
        why: "E-01, V-03, A-09: the inner header is validated",
    },
    Exception {
        ids: &["ipip-weird-002"],
        ours: &[Refused(EncapError::Inner {
            error: ParseError::Truncated { need: 20, have: 1 },
        })],
        linux: "ipip_tunnel_xmit, tx_errs",
        why: "E-01, V-01: both refuse",
    },
    Exception {
        ids: &["ipip-weird-003"],
        ours: &[Refused(EncapError::Inner {
            error: ParseError::Truncated { need: 20, have: 19 },
        })],
        linux: "ipip_tunnel_xmit, tx_errs",
        why: "E-01, V-01: both refuse",
    },
    Exception {
        ids: &["fwd-weird-002"],
        ours: &[Refused(EncapError::Inner {
            error: ParseError::Truncated { need: 60, have: 50 },
        })],
        linux: "ip_rcv_core PKT_TOO_SMALL",
        why: "E-01, V-07: both refuse, Linux when it receives",
    },
    Exception {
        ids: &["fwd-ttl-001"],
        ours: &[Refused(EncapError::TtlZero)],
        linux: "ip_forward IP_INHDR, ICMP 11/0",
        why: "T-06: both refuse, Linux when it forwards",
    },
    Exception {
        ids: &["fwd-ttl-002"],
        ours: &[Refused(EncapError::TtlExpired)],
        linux: "ip_forward IP_INHDR, ICMP 11/0",
        why: "T-04: both refuse, Linux when it forwards",
    },
    Exception {
        ids: &["fwd-opts-007", "fwd-opts-008"],
        ours: &[Alone],
        linux: "ip_rcv_finish_core",
        why: "routing: Linux forwards no source route; the tunnel leaves options inside (E-15)",
    },
    Exception {
        ids: &["fwd-opts-010"],
        ours: &[Alone],
        linux: "ip_rcv_finish_core, ICMP 12/0",
        why: "routing: Linux reads options when it forwards, the tunnel does not (V-13, E-15)",
    },
    Exception {
        ids: &["loop-001", "loop-002"],
        ours: &[Alone],
        linux: "ip_tunnel_xmit, tx_errs, tx_colls",
        why: "routing: the route to the tunnel's exit leads into the tunnel (L-04)",
    },
    Exception {
        ids: &["loop-003", "loop-004"],
        ours: &[Alone],
        linux: "ip_tunnel_xmit, tx_errs, tx_carrier",
        why: "routing: no route to the tunnel's exit",
    },
    Exception {
        ids: &["loop-005"],
        ours: &[Alone],
        linux: "ip_tunnel_xmit, tx_errs, tx_carrier",
        why: "link state: the link below the tunnel is down",
    },
    Exception {
        ids: &[
            "ipip-size-026",
            "mtu-pmtudisc-dev1480-direct-005",
            "mtu-nopmtudisc-dev1480-direct-002",
            "mtu-nopmtudisc-dev1480-direct-003",
            "mtu-nopmtudisc-dev1480-direct-005",
            "mtu-nopmtudisc-dev1480-direct-006",
        ],
        ours: TOO_BIG,
        linux: "Message too long",
        why: "I-14: both refuse, Linux with EMSGSIZE before the tunnel",
    },
    Exception {
        ids: &[
            "mtu-pmtudisc-dev1480-fwd-010",
            "mtu-pmtudisc-dev1480-fwd-012",
            "mtu-pmtudisc-dev1480-fwd-013",
            "mtu-pmtudisc-dev1480-fwd-014",
            "mtu-pmtudisc-dev1480-again-001",
            "mtu-pmtudisc-dev1480-again-003",
            "mtu-nopmtudisc-dev1480-fwd-011",
            "mtu-nopmtudisc-dev1480-fwd-014",
            "mtu-nopmtudisc-dev1480-again-001",
            "mtu-nopmtudisc-dev1480-again-003",
        ],
        ours: TOO_BIG,
        linux: "ip_forward PKT_TOO_BIG, ICMP 3/4 1480",
        why: "I-14: both refuse with the same MTU, Linux when it forwards",
    },
    Exception {
        ids: &[
            "mtu-pmtudisc-dev1500-fwd-010",
            "mtu-pmtudisc-dev1500-again-001",
            "mtu-pmtudisc-dev2000-fwd-010",
            "mtu-pmtudisc-dev2000-fwd-011",
            "mtu-pmtudisc-dev2000-fwd-012",
            "mtu-pmtudisc-dev2000-again-001",
            "mtu-pmtudisc-dev2000-again-003",
            "mtu-nopmtudisc-dev1500-fwd-010",
            "mtu-nopmtudisc-dev1500-again-001",
            "mtu-nopmtudisc-dev1500-again-003",
            "mtu-nopmtudisc-dev2000-fwd-010",
            "mtu-nopmtudisc-dev2000-fwd-012",
            "mtu-nopmtudisc-dev2000-fwd-013",
            "mtu-nopmtudisc-dev2000-again-001",
            "mtu-nopmtudisc-dev2000-again-003",
        ],
        ours: TOO_BIG,
        linux: "ip_tunnel_xmit, tx_errs, ICMP 3/4 1480",
        why: "I-14: both refuse with the same MTU",
    },
    Exception {
        ids: &[
            "mtu-pmtudisc-dev1500-direct-006",
            "mtu-pmtudisc-dev2000-direct-006",
            "mtu-pmtudisc-dev2000-direct-008",
            "mtu-nopmtudisc-dev1500-direct-005",
            "mtu-nopmtudisc-dev2000-direct-006",
            "mtu-nopmtudisc-dev2000-direct-007",
        ],
        ours: TOO_BIG,
        linux: "ip_tunnel_xmit, tx_errs",
        why: "I-14: both refuse; Linux says so to nobody where the packet was not forwarded",
    },
    Exception {
        ids: &[
            "mtu-pmtudisc-dev1500-fwd-012",
            "mtu-pmtudisc-dev1500-fwd-014",
            "mtu-nopmtudisc-dev1500-fwd-012",
            "mtu-nopmtudisc-dev1500-fwd-013",
            "mtu-nopmtudisc-dev1500-fwd-014",
        ],
        ours: TOO_BIG,
        linux: "ip_forward PKT_TOO_BIG, ICMP 3/4 1500",
        why: "I-14: both refuse; Linux reports the device's MTU, too high for the path",
    },
    Exception {
        ids: &["mtu-nopmtudisc-dev2000-fwd-014"],
        ours: TOO_BIG,
        linux: "ip_forward PKT_TOO_BIG, ICMP 3/4 2000",
        why: "I-14: both refuse; Linux reports the device's MTU, too high for the path",
    },
    Exception {
        ids: &[
            "mtu-pmtudisc-dev1500-direct-002",
            "mtu-pmtudisc-dev1500-direct-003",
            "mtu-pmtudisc-dev2000-direct-003",
            "mtu-pmtudisc-dev2000-direct-004",
            "mtu-pmtudisc-dev2000-fwd-003",
            "mtu-pmtudisc-dev2000-fwd-004",
            "mtu-pmtudisc-dev2000-fwd-005",
            "mtu-pmtudisc-dev2000-fwd-006",
        ],
        ours: TOO_BIG,
        linux: "ip_fragment, tx_drop",
        why: "A-14: Linux loses it without a word, here the caller learns of it",
    },
    Exception {
        ids: &[
            "mtu-pmtudisc-dev1500-fwd-005",
            "mtu-pmtudisc-dev1500-fwd-006",
            "mtu-pmtudisc-dev1500-fwd-007",
            "mtu-pmtudisc-dev2000-fwd-007",
        ],
        ours: &[too_big(1480), Equal(0)],
        linux: "sent, ip_fragment, tx_drop",
        why: "A-14: of two inner fragments Linux loses the first without a word",
    },
];

pub(crate) const FOU: &[Exception] = &[
    Exception {
        ids: &["fou-sp4444-025", "fou-sp4444-csum-025", "fou-auto-csum-025"],
        ours: &[too_big(1472)],
        linux: "Message too long",
        why: "I-14: both refuse, Linux with EMSGSIZE before the tunnel",
    },
    Exception {
        ids: &[
            "fou-sp4444-fwd-004",
            "fou-sp4444-csum-fwd-004",
            "fou-auto-fwd-004",
            "fou-auto-csum-fwd-004",
        ],
        ours: &[too_big(1472)],
        linux: "ip_forward PKT_TOO_BIG, ICMP 3/4 1472",
        why: "I-14: both refuse with the same MTU, Linux when it forwards",
    },
    Exception {
        ids: &[
            "fou-sp4444-nopm-mtu1500-005",
            "fou-sp4444-nopm-mtu1500-006",
            "fou-sp4444-csum-nopm-mtu1500-005",
            "fou-auto-csum-nopm-mtu1500-005",
            "fou-auto-csum-nopm-mtu1500-006",
        ],
        ours: &[too_big(1472)],
        linux: "ip_tunnel_xmit, tx_errs, ICMP 3/4 1472",
        why: "I-14: both refuse with the same MTU",
    },
];

pub(crate) const GUE: &[Exception] = &[
    Exception {
        ids: &["gue-sp4444-csum-025", "gue-auto-025", "gue-auto-csum-025"],
        ours: &[too_big(1468)],
        linux: "Message too long",
        why: "I-14: both refuse, Linux with EMSGSIZE before the tunnel",
    },
    Exception {
        ids: &["gue-sp4444-fwd-004"],
        ours: &[too_big(1468)],
        linux: "ip_forward PKT_TOO_BIG, ICMP 3/4 1468",
        why: "I-14: both refuse with the same MTU, Linux when it forwards",
    },
    Exception {
        ids: &[
            "gue-sp4444-nopm-mtu1500-004",
            "gue-sp4444-nopm-mtu1500-005",
            "gue-sp4444-nopm-mtu1500-006",
            "gue-sp4444-csum-nopm-mtu1500-004",
            "gue-sp4444-csum-nopm-mtu1500-005",
            "gue-sp4444-csum-nopm-mtu1500-006",
            "gue-auto-nopm-mtu1500-004",
            "gue-auto-nopm-mtu1500-005",
            "gue-auto-nopm-mtu1500-006",
            "gue-auto-csum-nopm-mtu1500-004",
            "gue-auto-csum-nopm-mtu1500-005",
            "gue-auto-csum-nopm-mtu1500-006",
        ],
        ours: &[too_big(1468)],
        linux: "ip_tunnel_xmit, tx_errs, ICMP 3/4 1468",
        why: "I-14: both refuse with the same MTU",
    },
    Exception {
        ids: &[
            "gue-sp4444-csum-remcsum-nopm-mtu1500-004",
            "gue-sp4444-csum-remcsum-nopm-mtu1500-005",
            "gue-sp4444-csum-remcsum-nopm-mtu1500-006",
        ],
        ours: &[too_big(1468)],
        linux: "ip_tunnel_xmit, tx_errs, ICMP 3/4 1460",
        why: "I-14: both refuse; Linux keeps 8 bytes free for remote checksum offload (G-13)",
    },
    Exception {
        ids: &["gue-sp4444-csum-remcsum-025"],
        ours: &[Alone],
        linux: "Message too long",
        why: "G-13: it fits; Linux keeps 8 bytes free for remote checksum offload, which is not done here",
    },
    Exception {
        ids: &["gue-sp4444-csum-remcsum-fwd-004"],
        ours: &[Alone],
        linux: "ip_forward PKT_TOO_BIG, ICMP 3/4 1460",
        why: "G-13: it fits; Linux keeps 8 bytes free for remote checksum offload, which is not done here",
    },
];

pub(crate) const GRE: &[Exception] = &[
    Exception {
        ids: &[
            "gre-gue-001",
            "gre-gue-002",
            "gre-gue-004",
            "gre-gue-005",
            "gre-gue-007",
            "gre-gue-009",
            "gre-gue-010",
            "gre-gue-011",
            "gre-gue-012",
            "gre-gue-013",
        ],
        ours: &[NotOffered],
        linux: "sent",
        why: "G-12, G-14: GUE carries IPv4 here, not GRE",
    },
    Exception {
        ids: &["gre-ignore-df-004", "gre-ignore-df-008"],
        ours: &[KeepsDf(0)],
        linux: "sent",
        why: "F-09, A-13: an inner DF is never dropped",
    },
    Exception {
        ids: &["gre-ignore-df-mtu2000-007", "gre-ignore-df-mtu2000-008"],
        ours: &[too_big(1476)],
        linux: "sent",
        why: "F-09, A-13: nor is a packet with DF sent in fragments",
    },
    Exception {
        ids: &["gre-fwd-004", "gre-ignore-df-005"],
        ours: &[too_big(1476)],
        linux: "ip_forward PKT_TOO_BIG, ICMP 3/4 1476",
        why: "I-14: both refuse with the same MTU, Linux when it forwards",
    },
    Exception {
        ids: &["gre-key-fwd-004", "gre-csum-fwd-004"],
        ours: &[too_big(1472)],
        linux: "ip_forward PKT_TOO_BIG, ICMP 3/4 1472",
        why: "I-14: both refuse with the same MTU, Linux when it forwards",
    },
];

pub(crate) const NEST: &[Exception] = &[
    Exception {
        ids: &[
            "depth-007",
            "depth-008",
            "depth-009",
            "depth-010",
            "depth-011",
            "depth-012",
            "depth-013",
            "depth-014",
            "depth-019",
        ],
        ours: &[Alone],
        linux: "ip_tunnel_xmit",
        why: "L-06, A-43: Linux stops at three devices, a stack is as deep as it is written",
    },
    Exception {
        ids: &["nest2-inh-024", "nest2-fix-024"],
        ours: &[too_big(1460)],
        linux: "Message too long",
        why: "I-14: both refuse, Linux with EMSGSIZE before the tunnel",
    },
    Exception {
        ids: &["nest3-inh-024"],
        ours: &[too_big(1440)],
        linux: "Message too long",
        why: "I-14: both refuse, Linux with EMSGSIZE before the tunnel",
    },
    Exception {
        ids: &["nest2-inh-fwd-004", "nest2-fix-fwd-004"],
        ours: &[too_big(1460)],
        linux: "ip_forward PKT_TOO_BIG, ICMP 3/4 1460",
        why: "I-14: both refuse with the same MTU, Linux when it forwards",
    },
    Exception {
        ids: &[
            "nest3-inh-fwd-004",
            "nest3-fix-fwd-004",
            "nest3-nopm-fwd-004",
        ],
        ours: &[too_big(1440)],
        linux: "ip_forward PKT_TOO_BIG, ICMP 3/4 1440",
        why: "I-14: both refuse with the same MTU, Linux when it forwards",
    },
];
