//! The payload form, for sockets: the host writes IPv4 and UDP header, we what stands behind them.

use super::tunnel::Tunnel;
use super::{Encapsulate, no_headroom};
use crate::error::EncapError;
use crate::packet::{Facts, InnerChecksum, PerPacket, Rules};
use crate::shim::{InUdp, Udp};

/// The most segments that Linux takes in one call with `UDP_SEGMENT`.
const MOST_SEGMENTS: usize = 64;

/// The longest UDP payload over IPv4, in bytes.
const MOST_PAYLOAD: usize = 65_507;

impl<I: InUdp> Tunnel<Udp<I>> {
    /// The bytes between the UDP header and the inner packet: 0 for FOU, 4 for GUE.
    #[inline]
    #[must_use]
    pub fn payload_overhead(&self) -> usize {
        self.shim().payload_overhead()
    }

    /// Writes what a UDP socket sends: `frame` is [`payload_overhead`](Self::payload_overhead) free bytes
    /// and the inner packet. It is checked as [`encap`](super::encap()) does, and the facts of the outer
    /// packet come back, for the socket's options.
    ///
    /// Send `payload_overhead()` bytes and the inner total length; bytes behind it are not part of the
    /// datagram. The tunnel's addresses name its ends: they need not be what the socket is bound to.
    /// Where the receiver does not get the outer ECN field
    /// ([`OuterMeta::ecn`](crate::decap::OuterMeta)), use
    /// [`EcnPolicy::Compatibility`](super::EcnPolicy::Compatibility) here and `NotEct` there.
    ///
    /// ```
    /// # use core::net::Ipv4Addr;
    /// use ipencap::encap::{PerPacket, Tunnel};
    /// use ipencap::shim::Gue;
    ///
    /// # fn main() -> Result<(), ipencap::error::EncapError> {
    /// # let packet = *b"\x45\x00\x00\x24\x12\x34\x40\x00\x40\x11\x14\x85\x0a\x01\x00\x05\x0a\x02\x00\x09\
    /// #                 \x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";
    /// let (left, right) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2));
    /// let tunnel = Tunnel::new(left, right, Gue::new()).expect("unicast");
    /// let mut frame = [0; 40];
    /// frame[tunnel.payload_overhead()..].copy_from_slice(&packet);
    /// let outer = tunnel.encap_payload(&mut frame, &PerPacket::new())?;
    /// assert_eq!((outer.len(), &frame[..4]), (68, &[0, 4, 0, 0][..]));
    /// // socket.send_to(&frame, right)
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Any [`EncapError`]; `frame` is unchanged then.
    #[inline]
    pub fn encap_payload(&self, frame: &mut [u8], packet: &PerPacket) -> Result<Facts, EncapError> {
        let inner = self.read_payload(frame)?;
        let outer = self.check_payload(&inner, packet)?;
        self.write_payload(frame, &inner, packet);
        Ok(outer)
    }

    /// The inner packet behind the free bytes.
    fn read_payload(&self, frame: &[u8]) -> Result<Facts, EncapError> {
        let free = self.payload_overhead();
        let inner_packet = frame.get(free..);
        Ok(Facts::read(
            inner_packet.ok_or(no_headroom(free, frame.len()))?,
        )?)
    }

    fn check_payload(&self, inner: &Facts, packet: &PerPacket) -> Result<Facts, EncapError> {
        if packet.inner_checksum() == InnerChecksum::Partial {
            // No device behind an ordinary socket fills it in.
            return Err(EncapError::PartialChecksum);
        }
        self.check(inner, packet, Rules::Explained)
    }

    fn write_payload(&self, frame: &mut [u8], inner: &Facts, packet: &PerPacket) {
        let len = self.payload_overhead().wrapping_add(inner.len_with(0));
        let frame = frame.get_mut(..len).unwrap_or_default();
        self.forward(frame.get_mut(self.payload_overhead()..).unwrap_or_default());
        self.shim().write_inside(frame, inner, packet);
    }

    /// [`encap_payload`](Self::encap_payload) of many packets, for a socket with segmentation offload
    /// (Linux's `UDP_SEGMENT`): one call sends all that is written here.
    ///
    /// ```text
    ///  [free|inner packet][free|inner packet]…[free|shorter one]
    ///  └ segment_len ────┘
    /// ```
    ///
    /// `segments` holds segments of `segment_len` bytes, the last of which may be shorter, each
    /// [`payload_overhead`](Self::payload_overhead) free bytes and an inner packet that fills it. Those at
    /// its start whose outer headers differ in nothing but lengths and checksums are written: at most 64
    /// segments and 65,507 bytes, which is what the system takes. Returns how many bytes they are, to be
    /// sent with a segment size of `segment_len`, and the facts of the first outer packet.
    ///
    /// ```
    /// # use core::net::Ipv4Addr;
    /// # use ipencap::encap::{PerPacket, Tunnel};
    /// # use ipencap::shim::Gue;
    /// # use ipencap::wire::{IpProtocol, Ipv4Header};
    /// # fn main() -> Result<(), Box<dyn core::error::Error>> {
    /// # let inner = *Ipv4Header::new(Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9), IpProtocol(253), 20).as_bytes();
    /// let tunnel = Tunnel::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2), Gue::new())?;
    /// let segment_len = tunnel.payload_overhead() + 20;
    /// let mut segments = [0; 8 * 24];
    /// # for segment in segments.chunks_exact_mut(24) { segment[4..].copy_from_slice(&inner); }
    /// let (len, _) = tunnel.encap_payload_train(&mut segments, segment_len, &PerPacket::new())?;
    /// assert_eq!(len, 8 * segment_len); // one sendmsg with UDP_SEGMENT = segment_len
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`encap_payload`](Self::encap_payload) of the first segment; nothing has changed then.
    #[inline]
    pub fn encap_payload_train(
        &self,
        segments: &mut [u8],
        segment_len: usize,
        packet: &PerPacket,
    ) -> Result<(usize, Facts), EncapError> {
        let (first, others) = match segments.split_at_mut_checked(segment_len) {
            Some(split) => split,
            None => (segments, <&mut [u8]>::default()),
        };
        let first_outer = self.encap_payload(first, packet)?;
        // Less the IPv4 and the UDP header.
        let mut len = Facts::len_with(&first_outer, 0).wrapping_sub(28);
        if len < segment_len || self.shim().numbers_packets() {
            return Ok((len, first_outer));
        }
        for segment in others
            .chunks_mut(segment_len.max(1))
            .take(MOST_SEGMENTS.wrapping_sub(1))
        {
            let next = self.read_payload(segment).and_then(|inner| {
                let outer = self.check_payload(&inner, packet)?;
                Ok((inner, outer))
            });
            let Ok((inner, outer)) = next else { break };
            let fills = inner.len_with(self.payload_overhead()) == segment.len();
            let fits = len.saturating_add(segment.len()) <= MOST_PAYLOAD;
            if !fills || !fits || !outer.has_header_of(&first_outer) {
                break;
            }
            self.write_payload(segment, &inner, packet);
            len = len.wrapping_add(segment.len());
        }
        Ok((len, first_outer))
    }
}
