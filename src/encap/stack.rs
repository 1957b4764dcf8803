//! Several tunnels as one: tuples, arrays and slices, the innermost first.

use super::Encapsulate;
use crate::error::EncapError;
use crate::packet::{Facts, PerPacket, Quote, Rules};

/// No tunnel: the identity.
impl Encapsulate for () {
    #[inline(always)]
    fn overhead(&self) -> usize {
        0
    }

    #[inline(always)]
    fn check(
        &self,
        inner: &Facts,
        _packet: &PerPacket,
        _rules: Rules,
    ) -> Result<Facts, EncapError> {
        Ok(*inner)
    }

    #[inline(always)]
    fn write(&self, _frame: &mut [u8], inner: &Facts, _packet: &PerPacket, _rules: Rules) -> Facts {
        *inner
    }

    #[inline]
    fn inside_quote<'q>(&self, quote: Quote<'q>) -> Option<Quote<'q>> {
        Some(quote)
    }
}

/// Two tunnels, the inner one first: packets go into it, and its outer packets into the second.
///
/// ```text
///  [1's headers][0's headers][packet]
///  └ overhead: the sum ─────┘
/// ```
impl<I: Encapsulate, O: Encapsulate> Encapsulate for (I, O) {
    #[inline(always)]
    fn overhead(&self) -> usize {
        self.0.overhead().wrapping_add(self.1.overhead())
    }

    #[inline(always)]
    fn rules(&self) -> Rules {
        match self.0.rules() {
            Rules::Common => self.1.rules(),
            rules => rules,
        }
    }

    #[inline]
    fn max_len(&self) -> u16 {
        outermost_max_len(self.0.max_len(), &self.1)
    }

    #[inline]
    fn inside_quote<'q>(&self, quote: Quote<'q>) -> Option<Quote<'q>> {
        self.0.inside_quote(self.1.inside_quote(quote)?)
    }

    #[inline(always)]
    fn check(&self, inner: &Facts, packet: &PerPacket, rules: Rules) -> Result<Facts, EncapError> {
        let checked = match self.0.check(inner, packet, rules) {
            Ok(middle) => self.1.check(&middle, packet, rules),
            Err(error) => Err(error),
        };
        checked.map_err(|error| self.tightest(error, inner.overhead(), packet, rules))
    }

    #[inline(always)]
    fn write(&self, frame: &mut [u8], inner: &Facts, packet: &PerPacket, rules: Rules) -> Facts {
        if frame.len() < self.overhead() {
            return *inner;
        }
        let Some((_, inside)) = frame.split_at_mut_checked(self.1.overhead()) else {
            return *inner;
        };
        let middle = self.0.write(inside, inner, packet, rules);
        self.1.write(frame, &middle, packet, rules)
    }
}

/// Tunnels, the innermost first.
impl<T: Encapsulate> Encapsulate for [T] {
    #[inline(always)]
    fn overhead(&self) -> usize {
        let mut overhead = 0usize;
        for tunnel in self {
            overhead = overhead.wrapping_add(tunnel.overhead());
        }
        overhead
    }

    #[inline(always)]
    fn rules(&self) -> Rules {
        for tunnel in self {
            if !matches!(tunnel.rules(), Rules::Common) {
                return Rules::All;
            }
        }
        Rules::Common
    }

    #[inline]
    fn max_len(&self) -> u16 {
        let mut max_len = u16::MAX;
        for tunnel in self {
            max_len = outermost_max_len(max_len, tunnel);
        }
        max_len
    }

    #[inline]
    fn inside_quote<'q>(&self, quote: Quote<'q>) -> Option<Quote<'q>> {
        let mut quote = quote;
        for tunnel in self.iter().rev() {
            quote = tunnel.inside_quote(quote)?;
        }
        Some(quote)
    }

    #[inline(always)]
    fn check(&self, inner: &Facts, packet: &PerPacket, rules: Rules) -> Result<Facts, EncapError> {
        let mut facts = *inner;
        for tunnel in self {
            match tunnel.check(&facts, packet, rules) {
                Ok(outer) => facts = outer,
                Err(error) => return Err(self.tightest(error, inner.overhead(), packet, rules)),
            }
        }
        Ok(facts)
    }

    #[inline(always)]
    fn write(&self, frame: &mut [u8], inner: &Facts, packet: &PerPacket, rules: Rules) -> Facts {
        let mut facts = *inner;
        let mut outside = self.overhead();
        if outside > frame.len() {
            return facts;
        }
        for tunnel in self {
            outside = outside.wrapping_sub(tunnel.overhead());
            if let Some((_, frame)) = frame.split_at_mut_checked(outside) {
                facts = tunnel.write(frame, &facts, packet, rules);
            }
        }
        facts
    }
}

/// Tunnels, the innermost first.
impl<T: Encapsulate, const N: usize> Encapsulate for [T; N] {
    #[inline(always)]
    fn overhead(&self) -> usize {
        self.as_slice().overhead()
    }

    #[inline(always)]
    fn rules(&self) -> Rules {
        self.as_slice().rules()
    }

    #[inline]
    fn max_len(&self) -> u16 {
        self.as_slice().max_len()
    }

    #[inline]
    fn inside_quote<'q>(&self, quote: Quote<'q>) -> Option<Quote<'q>> {
        self.as_slice().inside_quote(quote)
    }

    #[inline(always)]
    fn check(&self, inner: &Facts, packet: &PerPacket, rules: Rules) -> Result<Facts, EncapError> {
        self.as_slice().check(inner, packet, rules)
    }

    #[inline(always)]
    fn write(&self, frame: &mut [u8], inner: &Facts, packet: &PerPacket, rules: Rules) -> Facts {
        self.as_slice().write(frame, inner, packet, rules)
    }
}

/// The longest packet that leaves `outer`, where the longest that enters it is `max_len` bytes.
fn outermost_max_len<T: Encapsulate>(max_len: u16, outer: &T) -> u16 {
    let overhead = u16::try_from(outer.overhead()).unwrap_or(u16::MAX);
    max_len.saturating_add(overhead).min(outer.max_len())
}

trait Tightest: Encapsulate {
    /// The error with the MTU that all tunnels leave: the one that refuses need not be the tightest.
    #[inline(always)]
    fn tightest(
        &self,
        error: EncapError,
        within: u16,
        packet: &PerPacket,
        rules: Rules,
    ) -> EncapError {
        match error {
            _ if !rules.explain() => error,
            EncapError::FragmentationNeeded { .. } | EncapError::TooLong { .. } => {
                self.limited(error, within, packet)
            }
            error => error,
        }
    }

    #[cold]
    #[inline(never)]
    fn limited(&self, error: EncapError, within: u16, packet: &PerPacket) -> EncapError {
        // 65535 is no MTU, but no packet is longer.
        let limit = self.max_len().min(packet.max_len(Rules::All));
        let overhead = u16::try_from(self.overhead()).unwrap_or(u16::MAX);
        let fits = limit.saturating_sub(overhead).saturating_sub(within);
        match error {
            EncapError::FragmentationNeeded { mtu } => {
                EncapError::FragmentationNeeded { mtu: mtu.min(fits) }
            }
            // A super-packet is compared with an MTU by its segments, with 16 bits as a whole.
            error if limit == u16::MAX || packet.segment_len().is_some() => error,
            _ => EncapError::FragmentationNeeded { mtu: fits },
        }
    }
}

impl<T: Encapsulate + ?Sized> Tightest for T {}
