use super::layer::{Layered, TemplateLayer};
use super::{Encapsulate, IpIp, PerPacket, narrowed, no_headroom};
use crate::checksum::Sum;
use crate::error::{ConfigError, EncapError};
use crate::packet::PacketMeta;

/// `N` layers compiled to one value: what a packet costs is judged once, and all headers are written
/// in one pass, the innermost first.
///
/// ```text
///  [layer N - 1]…[layer 1][layer 0][packet]
///  └ one pass ────────────────────┘ read once
/// ```
///
/// Plain data, [`Copy`], and without pointers: 32 bytes for IP-in-IP, at most 64 for FOU. So a load
/// balancer keeps one for each backend, and firmware keeps it in flash. The bytes are those of a
/// [`Stack`](super::Stack), and of one layer after the other.
///
/// | made from | by |
/// |---|---|
/// | one encapsulator | [`single`](Self::single), `const` |
/// | IP-in-IP, `N` times | [`nested`](Self::nested), `const` |
/// | a stack, or a slice of layers known at run time | [`compile`](Self::compile) |
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::encap::{Encapsulate, IpIp, Layer, PerPacket, Stack, Template, Udp};
/// use ipencap::{Span, encap};
///
/// # fn main() -> Result<(), Box<dyn core::error::Error>> {
/// # let packet = *b"\x45\x00\x00\x24\x12\x34\x40\x00\x40\x11\x14\x85\x0a\x01\x00\x05\x0a\x02\x00\x09\
/// #                 \x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";
/// let site = IpIp::new(Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2))?;
/// let wan = Udp::fou(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2), 5555)?;
///
/// // From a stack, or from what a configuration file says.
/// let tunnel = Template::<Layer, 4>::compile(&Stack { outer: wan, inner: site })?;
/// let same = Template::<Layer, 4>::compile([Layer::from(site), Layer::from(wan)].as_slice())?;
/// assert_eq!(tunnel, same);
///
/// let mut buffer = [0; 48 + 36];
/// buffer[48..].copy_from_slice(&packet);
/// let outer = encap(&tunnel, &mut buffer, Span::new(48, 36), &PerPacket::new())?;
/// assert_eq!(outer.len(), 84);
///
/// // In flash.
/// static BACKEND: Template<IpIp, 1> = Template::single(
///     match IpIp::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2)) {
///         Ok(tunnel) => tunnel,
///         Err(_) => panic!("not unicast"),
///     });
/// assert_eq!(BACKEND.overhead(), 20);
/// # Ok(())
/// # }
/// ```
///
/// It takes as much memory as `N` encapsulators: 32 bytes for IP-in-IP, at most 64 for FOU, 96 for a
/// [`Layer`](super::Layer), which may be any of them. Different layers in flash are a `const`
/// [`Stack`](super::Stack): compiling is done at run time, and takes about 500 bytes of stack for each
/// `Layer` on a Cortex-M0+.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Template<L, const N: usize> {
    /// The innermost first. What it calls ordinary, all the others do.
    layers: [L; N],
}

const _: () = assert!(size_of::<Template<IpIp, 1>>() <= 32);
const _: () = assert!(size_of::<Template<super::Udp, 1>>() <= 64);

impl<L> Template<L, 1> {
    /// One layer.
    #[inline]
    pub const fn single(layer: L) -> Self {
        Self { layers: [layer] }
    }
}

impl<const N: usize> Template<IpIp, N> {
    /// IP-in-IP inside IP-in-IP: these layers, the innermost first.
    #[inline]
    pub const fn nested(layers: [IpIp; N]) -> Self {
        Self {
            layers: IpIp::folded_layers(layers),
        }
    }
}

impl<L: TemplateLayer, const N: usize> Template<L, N> {
    /// The layers of a stack, of a slice, or a single encapsulator.
    ///
    /// Fewer than `N` layers are filled up with the identity, where `L` has one
    /// ([`Layer`](super::Layer) does).
    ///
    /// # Errors
    /// [`ConfigError::TooManyLayers`] above `N`, [`ConfigError::TooFewLayers`] below where there is
    /// no identity.
    #[inline]
    pub fn compile<S: Layered<L> + ?Sized>(layers: &S) -> Result<Self, ConfigError> {
        let mut compiled = [L::IDENTITY; N];
        let mut places = compiled.iter_mut();
        for number in 0..layers.depth() {
            // The identity does nothing wherever it stands: at the end it is out of the way.
            if let Some(layer) = layers.layer(number).filter(|layer| layer.layers() > 0) {
                *places.next().ok_or(ConfigError::TooManyLayers)? = Some(layer);
            }
        }
        let first = compiled.first().copied().flatten();
        let Some(first) = first.filter(|_| compiled.iter().all(Option::is_some)) else {
            return Err(ConfigError::TooFewLayers);
        };
        Ok(Self {
            layers: compiled.map(|layer| layer.unwrap_or(first)),
        }
        .folded())
    }

    /// The same, its first layer calling ordinary what all of them do.
    fn folded(mut self) -> Self {
        let mut room = u16::MAX;
        let mut overhead = 0u16;
        let mut source = None;
        for layer in &self.layers {
            let takes = layer.ordinary_len().saturating_sub(overhead);
            let is_ordinary = source.is_none_or(|source| layer.is_ordinary_from(source));
            room = if is_ordinary { room.min(takes) } else { 0 };
            overhead = overhead.saturating_add(narrowed(layer.overhead()));
            source = layer.outer_source().or(source);
        }
        if let Some(first) = self.layers.first_mut() {
            *first = first.with_ordinary_len(room);
        }
        self
    }

    /// All headers by value, for whoever cannot write in front of the packet: an I/O vector, a
    /// descriptor chain, a ring of headers.
    ///
    /// They stand at the end of the bytes; where `B` is more than the overhead, the first are 0. With
    /// [`Role::Forward`](super::Role::Forward) the inner TTL is the caller's to take down
    /// ([`Ipv4Header::decrement_ttl`](crate::wire::Ipv4Header::decrement_ttl)).
    ///
    /// A checksum over the packet's bytes needs their sum: [`PacketMeta::summed`].
    ///
    /// ```
    /// # use core::net::Ipv4Addr;
    /// # use ipencap::{encap::{IpIp, PerPacket, Template}, packet::PacketMeta};
    /// # use ipencap::wire::{IpProtocol, Ipv4Header};
    /// # fn main() -> Result<(), Box<dyn core::error::Error>> {
    /// # let inner = *Ipv4Header::new(Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9), IpProtocol(253), 20).as_bytes();
    /// # let site = IpIp::new(Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2))?;
    /// # let wan = IpIp::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2))?;
    /// let tunnel = Template::nested([site, wan]);
    /// let headers: [u8; 40] = tunnel.header(&PacketMeta::read(&inner)?, &PerPacket::new())?;
    /// let vectors = [&headers[..], &inner[..]]; // for sendmsg, or the next two descriptors
    /// # let _ = vectors;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`encap`](super::encap); `NoHeadroom` if `B` is less than the overhead;
    /// [`EncapError::UnknownSum`] where a checksum covers bytes whose sum `inner` does not know.
    #[inline]
    pub fn header<const B: usize>(
        &self,
        inner: &PacketMeta,
        packet: &PerPacket,
    ) -> Result<[u8; B], EncapError> {
        let mut bytes = [0; B];
        let mut start = B;
        self.judge(inner, packet)?;
        let overhead = self.overhead();
        if overhead > B {
            return Err(no_headroom(overhead, B));
        }
        let mut outside = overhead;
        let mut inner = *inner;
        for layer in &self.layers {
            if layer.sums_bytes(&inner) {
                return Err(EncapError::UnknownSum);
            }
            outside = outside.saturating_sub(layer.overhead());
            let inside = overhead.saturating_sub(outside.saturating_add(layer.overhead()));
            let outer = layer.judge(&inner, &packet.inside(outside).around(inside))?;
            start = start.saturating_sub(layer.overhead());
            // With the headers inside, of which a forwarding layer takes the TTL down.
            let headers = bytes.get_mut(start..).unwrap_or_default();
            layer.write(headers, &inner, &outer, packet);
            let own = headers.get(..layer.overhead()).unwrap_or_default();
            inner = outer.summed_around(&inner, || Sum::new().add_bytes(own));
        }
        Ok(bytes)
    }

    /// Judges and writes layer by layer, by these two functions. Of several, the outermost is judged
    /// again, too: what was answered before would stay in registers all along.
    #[inline(always)]
    fn each(
        &self,
        frame: &mut [u8],
        inner: &PacketMeta,
        outer: &PacketMeta,
        packet: &PerPacket,
        judge: impl Fn(&L, &PacketMeta, &PerPacket) -> Option<PacketMeta>,
        write: impl Fn(&L, &mut [u8], &PacketMeta, &PacketMeta, &PerPacket),
    ) {
        if let [layer] = self.layers.as_slice() {
            return write(layer, frame, inner, outer, packet);
        }
        let mut outside = self.overhead();
        let mut inner = *inner;
        for layer in &self.layers {
            outside = outside.wrapping_sub(layer.overhead());
            let Some(outer) = judge(layer, &inner, &packet.inside(outside)) else {
                return;
            };
            if let Some((_, frame)) = frame.split_at_mut_checked(outside) {
                write(layer, frame, &inner, &outer, packet);
            }
            inner = outer;
        }
    }
}

impl<L: TemplateLayer, const N: usize> Encapsulate for Template<L, N> {
    #[inline]
    fn overhead(&self) -> usize {
        self.layers
            .iter()
            .fold(0, |sum, layer| layer.overhead().wrapping_add(sum))
    }

    #[inline]
    fn layers(&self) -> u8 {
        self.layers
            .iter()
            .fold(0, |sum: u8, layer| sum.saturating_add(layer.layers()))
    }

    #[inline]
    fn judge(&self, inner: &PacketMeta, packet: &PerPacket) -> Result<PacketMeta, EncapError> {
        let mut outside = self.overhead();
        let (mut layers, mut within) = (0u8, 0u16);
        let mut made = *inner;
        for layer in &self.layers {
            outside = outside.saturating_sub(layer.overhead());
            made = layer
                .judge(&made, &packet.inside(outside).around(usize::from(within)))
                .map_err(|error| error.outside(layers, within))?;
            layers = layers.saturating_add(layer.layers());
            within = within.saturating_add(narrowed(layer.overhead()));
        }
        Ok(made)
    }

    #[inline]
    fn shares_headers(&self) -> bool {
        self.layers.iter().all(L::shares_headers)
    }

    #[inline(always)]
    fn judge_ordinary(&self, inner: &PacketMeta, packet: &PerPacket) -> Option<PacketMeta> {
        let (first, others) = self.layers.split_first()?;
        let outside = self.overhead().wrapping_sub(first.overhead());
        let made = first.judge_ordinary(inner, &packet.inside(outside))?;
        others
            .iter()
            .try_fold(made, |made, layer| layer.judge_folded(&made, packet))
    }

    #[inline]
    fn write(&self, frame: &mut [u8], inner: &PacketMeta, outer: &PacketMeta, packet: &PerPacket) {
        // Else the outermost layers alone might find room.
        if frame.len() < self.overhead() {
            return;
        }
        let judge = |layer: &L, made: &PacketMeta, packet: &PerPacket| {
            // Pure, and already answered once.
            let inside = made.len().saturating_sub(inner.len());
            let inside = usize::try_from(inside).unwrap_or_default();
            layer.judge(made, &packet.around(inside)).ok()
        };
        self.each(frame, inner, outer, packet, judge, L::write);
    }

    #[inline(always)]
    fn write_ordinary(
        &self,
        frame: &mut [u8],
        inner: &PacketMeta,
        outer: &PacketMeta,
        packet: &PerPacket,
    ) {
        self.each(
            frame,
            inner,
            outer,
            packet,
            L::judge_folded,
            L::write_ordinary,
        );
    }
}
