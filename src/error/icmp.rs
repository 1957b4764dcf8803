//! Reasons of [`icmp`](crate::icmp) and [`pmtu`](crate::pmtu).

use core::fmt;

numbered! {
    /// Why no ICMP error is sent about a packet (RFC 1122 §3.2.2, RFC 1812 §4.3.2.7).
    pub enum Silence (12) {
        /// The packet is not a valid IPv4 packet.
        Invalid = 0, "the packet is not valid IPv4; drop it without an ICMP error";
        /// The packet is a fragment other than the first.
        LaterFragment = 1, "the packet is not the first fragment; drop it without an ICMP error";
        /// The packet's source is not one host: 0.0.0.0/8, loopback, multicast, class E or broadcast.
        SourceNotAHost = 2, "the packet's source is not one host; drop it without an ICMP error";
        /// The packet's destination is a multicast address.
        Multicast = 3, "the packet's destination is multicast; drop it without an ICMP error";
        /// The packet's destination is 255.255.255.255.
        Broadcast = 4, "the packet's destination is broadcast; drop it without an ICMP error";
        /// The packet is itself an ICMP error.
        AboutAnError = 5, "the packet is an ICMP error itself; drop it without another";
        /// The packet is an ICMP message of an unknown type, which may be an error.
        UnknownIcmpType = 6, "the packet is ICMP of an unknown type; drop it without an ICMP error";
        /// The packet is an ICMP message that ends before its type.
        IcmpTruncated = 7, "the packet is ICMP without a type; drop it without an ICMP error";
        /// The packet does not exclude fragmentation, so that it does not fit is no reason for an error
        /// (RFC 1191 §4).
        MayBeFragmented = 8, "the packet has no DF flag; fragment it instead";
        /// The MTU to report is below 68 bytes, the least that a link must carry (RFC 791 §3.2, RFC 1191 §3).
        MtuBelowMinimum = 9, "an MTU below 68 cannot be reported; use another link or tunnel";
        /// The address that the error would come from is not one host's.
        NoOwnAddress = 10, "the address to send the ICMP error from is not one host's; pass the receiving interface's";
        /// The quoted packet ends before its header and 8 bytes (RFC 2003 §5).
        QuoteTooShort = 11, "too little of the packet is quoted; answer the next packet that does not get through";
    }
}

numbered! {
    /// Why a received ICMP message has no effect.
    pub enum Ignored (16) {
        /// It is not a valid IPv4 packet (RFC 1812 §5.2.2).
        Invalid = 0, "not a valid IPv4 packet; drop";
        /// It is not ICMP.
        NotIcmp = 1, "not an ICMP message; hand it to its protocol";
        /// It is a fragment.
        Fragment = 2, "ICMP message is a fragment; drop";
        /// Its source cannot be a router or a host (RFC 1812 §5.3.7).
        ReporterNotAHost = 3, "ICMP message does not come from a host; drop";
        /// It is shorter than 8 bytes (RFC 792).
        IcmpTruncated = 4, "ICMP message is truncated; drop";
        /// The ICMP checksum is wrong (RFC 792).
        BadChecksum = 5, "ICMP checksum does not verify; drop";
        /// It is not an error: a query, an answer, or a message of an unknown type.
        NotAnError = 6, "ICMP message is not an error; hand it to the host";
        /// It is a Time Exceeded message with an unknown code.
        UnknownCode = 7, "code of the ICMP error is unknown; drop";
        /// What it quotes is not an IPv4 header.
        QuoteNotIpv4 = 8, "ICMP error does not quote an IPv4 packet; drop";
        /// It quotes less than the header and 8 bytes (RFC 792).
        QuoteTooShort = 9, "ICMP error quotes too little; drop";
        /// It reports an MTU below 68 bytes (RFC 791 §3.2, RFC 1191 §3).
        MtuBelowMinimum = 10, "ICMP error reports an MTU below 68; drop";
        /// Port Unreachable about a carrier without ports (RFC 2003 §4.1).
        PortUnreachable = 11, "port unreachable about a tunnel without ports; do not relay";
        /// Source Route Failed, which is about a route that the inner source did not ask for (RFC 2003 §4.1).
        SourceRouteFailed = 12, "source route failed outside of the inner packet; do not relay";
        /// Source Quench, which is deprecated (RFC 2003 §4.2, RFC 6633).
        SourceQuench = 13, "source quench is deprecated; ignore";
        /// Redirect, which is for the routing of the encapsulator (RFC 2003 §4.3).
        Redirect = 14, "redirect about the outer packet; do not relay";
        /// Parameter Problem, which is about the outer header (RFC 2003 §4.5).
        ParameterProblem = 15, "parameter problem in the outer packet; do not relay";
    }
}

numbered! {
    /// Why a report that a packet was too big does not lower a path MTU.
    ///
    /// Count them: many of [`NeverSent`](Self::NeverSent) and
    /// [`PacketFits`](Self::PacketFits) are a sign of forged reports (RFC 5927 §7.1).
    pub enum PathMtuIgnored (6) {
        /// The path MTU is configured, and reports do not change it.
        Static = 0, "the path MTU is configured; clear the configuration to learn it from reports";
        /// The reported MTU, or the estimate where none was reported, is below 68 bytes, the least that
        /// IPv4 needs (RFC 1191 §3).
        BelowMinimum = 1, "reported MTU is below 68; ignore, no IPv4 link has such an MTU";
        /// The quoted packet is longer than any sent lately (RFC 5927 §7.2).
        NeverSent = 2, "quoted packet is longer than any sent lately; ignore, and suspect a forged report";
        /// The quoted packet is not longer than the reported MTU, so it was not too big (RFC 5927 §7.2).
        PacketFits = 3, "quoted packet fits the reported MTU; ignore, and suspect a forged report";
        /// The reported MTU is not below the path MTU: a report never raises it (RFC 1191 §3).
        NotLower = 4, "reported MTU is not below the path MTU; ignore";
        /// The reported MTU is below the floor, and the path MTU is not above the floor already. Packets of
        /// that length may be lost.
        AtFloor = 5, "reported MTU is below the floor and the path MTU is there already; lower the floor, or clear DF, if packets are lost";
    }
}

const _: () = assert!(size_of::<Silence>() == 1);
const _: () = assert!(size_of::<Ignored>() == 1);
const _: () = assert!(size_of::<PathMtuIgnored>() <= 8);
