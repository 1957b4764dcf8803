use core::fmt;

/// An `Option<u16>` in plain bits: as an enum it would be taken apart and put together again on the hot
/// path.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct OptionalSum(u32);

impl OptionalSum {
    pub(super) const UNKNOWN: Self = Self(u32::MAX);

    #[inline]
    pub(super) const fn new(sum: Option<u16>) -> Self {
        match sum {
            Some(sum) => {
                let [high, low] = sum.to_be_bytes();
                Self(u32::from_be_bytes([0, 0, high, low]))
            }
            None => Self::UNKNOWN,
        }
    }

    #[inline]
    pub(super) const fn get(self) -> Option<u16> {
        if self.0 == Self::UNKNOWN.0 {
            return None;
        }
        let [_, _, high, low] = self.0.to_be_bytes();
        Some(u16::from_be_bytes([high, low]))
    }
}

impl fmt::Debug for OptionalSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}
