//! What lies in front of the IPv4 packet in a captured frame.

const ETHERTYPE_IPV4: u16 = 0x0800;
/// 802.1Q, 802.1ad, and the value that was used for stacked tags before 802.1ad.
const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// `AF_INET`, the one address family on whose number all systems agree.
const FAMILY_IPV4: u32 = 2;

/// Where the IPv4 packet begins in a frame of this link type, or `None` for a frame to pass over.
///
/// The numbers are those of the [registry of link types](https://www.tcpdump.org/linktypes.html).
/// Whether a packet that should be there is any good is not asked here.
#[must_use]
pub fn ipv4_offset(link_type: u32, frame: &[u8]) -> Option<usize> {
    match link_type {
        // NULL: in the byte order of the machine that captured, which the file does not tell; old
        // libpcap on Linux put an EtherType into the last two bytes instead.
        0 => {
            let family = field(frame, 0)?;
            let ipv4 = u32::from_le_bytes(family) == FAMILY_IPV4
                || u32::from_be_bytes(family) == FAMILY_IPV4
                || u16::from_be_bytes(field(frame, 2)?) == ETHERTYPE_IPV4;
            ipv4.then_some(4)
        }
        // LOOP, OpenBSD's: in network byte order.
        108 => (u32::from_be_bytes(field(frame, 0)?) == FAMILY_IPV4).then_some(4),
        // Ethernet.
        1 => behind_ethertype(frame, 12, 14),
        // Linux cooked. libpcap puts a tag back where Ethernet has it, so tags may follow.
        113 => behind_ethertype(frame, 14, 16),
        276 => behind_ethertype(frame, 0, 20),
        // RAW, whose number differs between systems: IPv4 or IPv6, told apart by the version.
        12 | 14 | 101 => (frame.first()? >> 4 == 4).then_some(0),
        // IPV4: nothing else can be there.
        228 => Some(0),
        _ => None,
    }
}

/// The IPv4 packet in a frame with all that follows it, or `None` for a frame to pass over.
#[must_use]
pub fn ipv4_packet(link_type: u32, frame: &[u8]) -> Option<&[u8]> {
    frame.get(ipv4_offset(link_type, frame)?..)
}

/// Follows any number of tags from the type at `at`, with the packet or a tag at `payload`.
fn behind_ethertype(frame: &[u8], at: usize, mut payload: usize) -> Option<usize> {
    let mut ethertype = u16::from_be_bytes(field(frame, at)?);
    while TAGS.contains(&ethertype) {
        ethertype = u16::from_be_bytes(field(frame, payload + 2)?);
        payload += 4;
    }
    (ethertype == ETHERTYPE_IPV4 && payload <= frame.len()).then_some(payload)
}

/// `N` bytes at an offset, if the frame is that long.
fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// What lies in front of the packet, for people.
#[must_use]
pub const fn name(link_type: u32) -> &'static str {
    match link_type {
        0 | 108 => "loopback",
        1 => "Ethernet",
        12 | 14 | 101 | 228 => "no link layer",
        113 | 276 => "Linux cooked",
        _ => "not known here",
    }
}
