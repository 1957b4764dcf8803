use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::error::{FragmentError, ParseError};
use crate::packet::Span;
use crate::wire::{HeaderOptions, Ipv4, Ipv4Flags, Ipv4Header, copy, reported_len};

/// The most bytes of options that a header has.
const OPTIONS_LEN: usize = Ipv4Header::MAX_LEN.wrapping_sub(Ipv4Header::LEN);

/// The bit in the kind of an option that has to be in every fragment (RFC 791 §3.1).
const COPIED: u8 = 0x80;

/// Decides how to split `packet`, so that no fragment exceeds `mtu` bytes (RFC 791 §3.2).
///
/// A packet that fits is one fragment: itself. To put the fragments into a tunnel, pass the MTU for inner
/// packets, such as [`inner_mtu`](crate::mtu::Overhead::inner_mtu) of the tunnel's overhead (RFC 2003
/// §5.1). Bytes behind the total length are ignored.
///
/// # Errors
/// [`FragmentError::Packet`] if the packet is invalid. If it does not fit:
/// [`FragmentError::FragmentationNeeded`] with DF, [`FragmentError::ReassembledTooLong`],
/// [`FragmentError::MtuTooSmall`], and [`FragmentError::Packet`] with
/// [`BadOption`](ParseError::BadOption).
///
/// ```
/// use ipencap::fragment::plan;
/// # use core::net::Ipv4Addr;
/// # use ipencap::wire::{Ipv4Flags, Ipv4Header, IpProtocol};
/// # fn main() -> Result<(), Box<dyn core::error::Error>> {
/// # let (source, destination) = (Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9));
/// # let mut header = Ipv4Header::new(source, destination, IpProtocol::UDP, 1500);
/// # header.set_flags(Ipv4Flags::empty());
/// # let mut packet = [0; 1500];
/// # packet[..20].copy_from_slice(header.as_bytes());
/// let plan = plan(&packet, 1480)?; // a packet of 1500 bytes without DF
/// assert_eq!(plan.count(), 2);
///
/// let mut frame = [0; 1480];
/// let mut lens = [0; 2];
/// for (len, fragment) in lens.iter_mut().zip(plan.fragments(&packet)?) {
///     *len = fragment.write(&packet, &mut frame)?.len();
/// }
/// assert_eq!(lens, [1476, 44]);
/// # Ok(())
/// # }
/// ```
#[inline]
pub fn plan(packet: &[u8], mtu: u16) -> Result<Plan, FragmentError> {
    plan_parsed(&Ipv4::parse_by_call(packet)?, mtu)
}

/// [`plan`] for a packet with a valid header.
pub(crate) fn plan_parsed(packet: &Ipv4<'_>, mtu: u16) -> Result<Plan, FragmentError> {
    let header = packet.header();
    let (total_len, header_len) = (header.total_len(), header.header_len());
    let mut plan = Plan {
        mtu,
        total_len,
        header_len,
        later_header_len: header_len,
    };
    if total_len <= mtu {
        return Ok(plan);
    }
    if header.flags().contains(Ipv4Flags::DF) {
        return Err(FragmentError::FragmentationNeeded { mtu });
    }
    if header.exceeds_reassembly() {
        return Err(FragmentError::ReassembledTooLong);
    }
    let need = u16::from(header_len).saturating_add(8);
    if mtu < need {
        return Err(FragmentError::MtuTooSmall { mtu, need });
    }
    plan.later_header_len = copied_header_len(packet.option_bytes())?;
    Ok(plan)
}

/// How to split a packet: lengths only, so it is small and borrows nothing.
///
/// [`plan`] makes it. [`fragments`](Self::fragments) then needs the packet again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Plan {
    mtu: u16,
    total_len: u16,
    header_len: u8,
    /// The length of the header of every fragment but the first, which has all options.
    later_header_len: u8,
}

impl Plan {
    /// The number of fragments, 1 to 8190.
    #[inline]
    #[must_use]
    pub fn count(self) -> u16 {
        if self.is_whole() {
            return 1;
        }
        let first_len = room(self.mtu, self.header_len) & !7;
        let last_room = room(self.mtu, self.later_header_len);
        // What is left for the fragments between the first, and a last one that uses all its room.
        let between = self
            .data_len()
            .saturating_sub(first_len)
            .saturating_sub(last_room);
        let unit = last_room & !7;
        // Never zero: `plan` has seen to it that 8 bytes fit.
        let full = between.checked_div(unit).unwrap_or(0);
        let is_rest = between > full.saturating_mul(unit);
        full.saturating_add(u16::from(is_rest)).saturating_add(2)
    }

    /// Whether the packet fits, so that its only fragment is the packet itself.
    #[inline]
    #[must_use]
    pub const fn is_whole(self) -> bool {
        self.total_len <= self.mtu
    }

    /// The fragments of `packet`, in the order of their offsets.
    ///
    /// They keep a copy of the header, so the packet may be overwritten while they are made; see
    /// [`Fragment::write_in_place`].
    ///
    /// # Errors
    /// [`FragmentError::Packet`] if `packet` is not IPv4, [`FragmentError::OtherPacket`] if it is not the
    /// packet that was planned.
    #[inline]
    pub fn fragments(self, packet: &[u8]) -> Result<Fragments, FragmentError> {
        let (header, options, _) = Ipv4Header::split(packet)?;
        let is_planned = header.header_len() == self.header_len
            && header.total_len() == self.total_len
            && (self.is_whole() || copied_header_len(options)? == self.later_header_len);
        if !is_planned {
            return Err(FragmentError::OtherPacket);
        }
        Ok(self.fragments_of(packet))
    }

    /// [`fragments`](Self::fragments) of the packet that was planned.
    pub(crate) fn fragments_of(self, packet: &[u8]) -> Fragments {
        let head = Head::of(packet, self.header_len);
        Fragments {
            plan: self,
            flags: head.header().flags(),
            units: head.header().fragment_offset().units(),
            next: Some(0),
            current: Fragment {
                head,
                start: 0,
                len: 0,
            },
        }
    }

    /// The length of the first fragment, in bytes.
    pub(crate) const fn first_len(self) -> u16 {
        if self.is_whole() {
            return self.total_len;
        }
        (room(self.mtu, self.header_len) & !7).saturating_add(widened(self.header_len))
    }

    /// The length of the packet's payload, in bytes.
    const fn data_len(self) -> u16 {
        self.total_len.saturating_sub(widened(self.header_len))
    }
}

/// Bytes of data that fit behind a header.
const fn room(mtu: u16, header_len: u8) -> u16 {
    mtu.saturating_sub(widened(header_len))
}

const fn widened(len: u8) -> u16 {
    u16::from_be_bytes([0, len])
}

/// An iterator over the fragments of a packet; see [`Plan::fragments`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Fragments {
    plan: Plan,
    /// The packet's own: it may be a fragment.
    flags: Ipv4Flags,
    units: u16,
    /// Where the data of the next fragment begins in the payload, in bytes.
    next: Option<u16>,
    /// The last fragment that was made; at first the packet's header.
    current: Fragment,
}

impl Iterator for Fragments {
    type Item = Fragment;

    #[inline]
    fn next(&mut self) -> Option<Fragment> {
        self.advance().copied()
    }
}

impl core::iter::FusedIterator for Fragments {}

impl Fragments {
    /// The next fragment, in place: one is long to copy.
    pub(crate) fn advance(&mut self) -> Option<&Fragment> {
        let at = self.next.take()?;
        let (plan, fragment) = (self.plan, &mut self.current);
        // Behind the first fragment. The lengths may be equal though not all options are copied.
        if at > 0 && fragment.start == widened(plan.header_len) {
            fragment.head.keep_copied(plan.later_header_len);
        }
        let header_len = fragment.head.len();
        let left = plan.data_len().saturating_sub(at);
        let room = room(plan.mtu, header_len);
        let is_last = plan.is_whole() || left <= room;
        let len = if is_last { left } else { room & !7 };
        fragment.start = widened(plan.header_len).saturating_add(at);
        fragment.len = len;
        if !is_last {
            self.next = Some(at.saturating_add(len));
        }
        if !plan.is_whole() {
            let more = if is_last { 0 } else { Ipv4Flags::MF.bits() };
            // `plan` has seen to it that all offsets can be written.
            let units = self.units.saturating_add(at >> 3);
            let total_len = len.saturating_add(widened(header_len));
            fragment
                .head
                .set(total_len, self.flags.bits() | more | units);
        }
        Some(fragment)
    }
}

/// One fragment of a packet: its header by value, and where its data is in the packet.
#[derive(Clone, Copy, Debug)]
pub struct Fragment {
    head: Head,
    /// Where the data begins in the packet, and its length, in bytes.
    start: u16,
    len: u16,
}

impl Fragment {
    /// The fixed header, with the right checksum.
    #[inline]
    #[must_use]
    pub const fn header(&self) -> &Ipv4Header {
        self.head.header()
    }

    /// The options behind the fixed header, 0 to 40 bytes: all in the first fragment, and only those with
    /// the copied flag in the others (RFC 791 §3.1).
    #[inline]
    #[must_use]
    pub fn option_bytes(&self) -> &[u8] {
        self.head.bytes().get(Ipv4Header::LEN..).unwrap_or_default()
    }

    /// Where the data of this fragment is in the packet.
    #[inline]
    #[must_use]
    pub fn body(&self) -> Span {
        Span::new(usize::from(self.start), usize::from(self.len))
    }

    /// The length of header and data, in bytes. At most the MTU.
    #[inline]
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "no fragment is empty")]
    pub fn len(&self) -> usize {
        usize::from(self.len).wrapping_add(usize::from(self.head.len()))
    }

    /// Writes the fragment to the start of `out` and returns it. `packet` is the packet that is split.
    ///
    /// # Errors
    /// [`FragmentError::NoRoom`] if `out` is shorter than [`len`](Self::len), [`FragmentError::Packet`] if
    /// `packet` ends before the data.
    #[inline]
    pub fn write<'o>(
        &self,
        packet: &[u8],
        out: &'o mut [u8],
    ) -> Result<&'o mut [u8], FragmentError> {
        let cut = ParseError::Truncated {
            need: self.start.saturating_add(self.len),
            have: reported_len(packet.len()),
        };
        let body = self.body().get(packet).ok_or(cut)?;
        let no_room = FragmentError::NoRoom {
            need: reported_len(self.len()),
            have: reported_len(out.len()),
        };
        let out = out.get_mut(..self.len()).ok_or(no_room)?;
        let to = self.write_header(out);
        copy(body, to);
        Ok(out)
    }

    /// Writes the header directly in front of the data, where that is in `buffer`, and returns the place of
    /// the fragment. The packet that is split begins at `packet_start`.
    ///
    /// ```text
    ///  packet        [·· headroom ··|header|data 0     |data 1     |data 2 ]
    ///  fragment 0    [·· headroom ··|header|data 0     |
    ///  fragment 1    [······· headroom ···········|header|data 1   |          over data 0
    ///  fragment 2    [······· headroom ·······················|header|data 2 ]
    /// ```
    ///
    /// Take the fragments in order, and be done with each before the next is written: its header overwrites
    /// data of the one before. All bytes in front of a fragment are free for tunnels, so each has more room
    /// than the one before, and the first has the packet's.
    ///
    /// ```
    /// use core::net::Ipv4Addr;
    /// use ipencap::encap::{Encapsulate, PerPacket, Tunnel};
    /// use ipencap::{Span, encap, fragment, shim::IpIp};
    /// # use ipencap::wire::{Ipv4Flags, Ipv4Header, IpProtocol};
    /// # fn main() -> Result<(), Box<dyn core::error::Error>> {
    /// # let (source, destination) = (Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9));
    /// # let mut header = Ipv4Header::new(source, destination, IpProtocol::UDP, 1500);
    /// # header.set_flags(Ipv4Flags::empty());
    /// # let mut buffer = [0; 1600];
    /// # buffer[40..60].copy_from_slice(header.as_bytes());
    /// # let mut sent = Vec::new();
    /// # let mut send = |packet: &[u8]| sent.push(packet.len());
    /// let tunnel = Tunnel::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2), IpIp)?;
    /// let packet = Span::new(40, 1500); // in `buffer`
    /// let bytes = packet.get(&buffer).ok_or("no packet")?;
    /// let fragments = fragment::plan(bytes, 1500 - 20)?.fragments(bytes)?;
    /// for fragment in fragments {
    ///     let inner = fragment.write_in_place(&mut buffer, packet.start)?;
    ///     send(encap(&tunnel, &mut buffer, inner, &PerPacket::new())?);
    /// }
    /// assert_eq!(sent, [1496, 64]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`FragmentError::NoRoom`] if `buffer` ends before the data does.
    #[inline]
    pub fn write_in_place(
        &self,
        buffer: &mut [u8],
        packet_start: usize,
    ) -> Result<Span, FragmentError> {
        let header_len = u16::from(self.head.len());
        // The header is at most as long as that of the packet, which ends where the data of the first begins.
        let start = packet_start.saturating_add(usize::from(self.start.saturating_sub(header_len)));
        let span = Span::new(start, self.len());
        let no_room = FragmentError::NoRoom {
            need: reported_len(span.end()),
            have: reported_len(buffer.len()),
        };
        let bytes = span.get_mut(buffer).ok_or(no_room)?;
        self.write_header(bytes);
        Ok(span)
    }

    /// Writes the header to the start of `out`, and returns what is behind.
    fn write_header<'o>(&self, out: &'o mut [u8]) -> &'o mut [u8] {
        let header = self.head.bytes();
        copy(header, out);
        out.get_mut(header.len()..).unwrap_or_default()
    }
}

/// The length of the header of every fragment but the first: [`Options::copied`], of which it needs no copy.
fn copied_header_len(options: &[u8]) -> Result<u8, ParseError> {
    let mut len = 23u8;
    let mut options = HeaderOptions::new(options);
    while let Some(option) = options.step() {
        let option = match option {
            Ok(option) => option,
            Err(kind) => return Err(ParseError::BadOption { kind }),
        };
        if option.kind() & COPIED != 0 {
            len = len.saturating_add(u8::try_from(option.len()).unwrap_or(u8::MAX));
        }
    }
    Ok(len & !3)
}

/// A header with its options by value, as long as its IHL says.
// In words: 32-bit processors copy it in fewer instructions.
#[derive(Clone, Copy, Debug)]
#[repr(align(4))]
struct Head([u8; Ipv4Header::MAX_LEN]);

/// The same as fields.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Parts {
    header: Ipv4Header,
    options: [u8; OPTIONS_LEN],
}

impl Head {
    /// The first `len` bytes of a packet, which begins with a header of that length.
    fn of(packet: &[u8], len: u8) -> Self {
        // Byte by byte: that links no function to clear memory.
        let header = packet.get(..usize::from(len)).unwrap_or_default();
        let byte = |place| header.get(place).copied().unwrap_or_default();
        Self(core::array::from_fn(byte))
    }

    const fn header(&self) -> &Ipv4Header {
        let parts: &Parts = zerocopy::transmute_ref!(&self.0);
        &parts.header
    }

    const fn len(&self) -> u8 {
        self.header().header_len()
    }

    fn bytes(&self) -> &[u8] {
        let len = usize::from(self.len());
        self.0.get(..len).unwrap_or_default()
    }

    /// Keeps of the options those that every fragment has, and end-of-list bytes up to `len` bytes in all (RFC
    /// 791 §3.1). They were read before: none is invalid.
    #[cold]
    fn keep_copied(&mut self, len: u8) {
        let end = usize::from(self.len());
        let (mut from, mut to) = (Ipv4Header::LEN, Ipv4Header::LEN);
        loop {
            let rest = self.0.get(from..end).unwrap_or_default();
            let Some(Ok(option)) = HeaderOptions::new(rest).step() else {
                break;
            };
            let (is_copied, next) = (
                option.kind() & COPIED != 0,
                from.saturating_add(option.len()),
            );
            while from < next {
                let byte = self.0.get(from).copied().unwrap_or_default();
                from = from.saturating_add(1);
                if is_copied {
                    if let Some(place) = self.0.get_mut(to) {
                        *place = byte;
                    }
                    to = to.saturating_add(1);
                }
            }
        }
        self.0.get_mut(to..).unwrap_or_default().fill(0);
        let [version_ihl, ..] = &mut self.0;
        *version_ihl = 0x40 | (len >> 2);
    }

    /// Sets total length, flags and offset, and computes the checksum anew.
    fn set(&mut self, total_len: u16, flags_offset: u16) {
        let len = usize::from(self.len());
        let bytes = self.0.get_mut(..len).unwrap_or_default();
        Ipv4Header::set_fragment(bytes, total_len, flags_offset);
    }
}
