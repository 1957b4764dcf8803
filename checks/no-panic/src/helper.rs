//! What many types have in common. A call `helper::<Type>(…)` counts as a call of the functions of all
//! traits that the helper demands of its type parameter.

use core::fmt::{self, Debug, Display, Formatter, Write};
use core::hash::{Hash, Hasher};
use core::hint::black_box;

/// Where results go: nothing of them may be left out.
pub fn seen<T>(result: T) {
    black_box(result);
}

/// What most types derive.
pub fn value<T: Clone + PartialEq + Hash + Debug>(value: T) {
    comparable::<T>(&value);
    debug::<T>(&value);
}

/// [`value`] for a type whose `Debug` is excluded.
pub fn comparable<T: Clone + PartialEq + Hash>(value: &T) {
    cloneable::<T>(value);
    seen(<T as PartialEq>::eq(black_box(value), black_box(value)));
    <T as Hash>::hash(black_box(value), &mut Anything);
}

pub fn cloneable<T: Clone>(value: &T) {
    seen(<T as Clone>::clone(black_box(value)));
}

pub fn ordered<T: PartialOrd + Ord>(value: &T) {
    seen(<T as PartialOrd>::partial_cmp(
        black_box(value),
        black_box(value),
    ));
    seen(<T as Ord>::cmp(black_box(value), black_box(value)));
}

pub fn debug<T: Debug>(value: &T) {
    print(|f| <T as Debug>::fmt(black_box(value), black_box(f)));
}

pub fn display<T: Display>(value: &T) {
    print(|f| <T as Display>::fmt(black_box(value), black_box(f)));
}

/// Runs a formatting function with any options a caller may set.
pub fn print(function: impl Fn(&mut Formatter<'_>) -> fmt::Result) {
    let by = By(function);
    seen(write!(Anything, "{by} {by:#} {by:?<+#042.17x?}"));
}

struct By<F>(F);

impl<F: Fn(&mut Formatter<'_>) -> fmt::Result> Display for By<F> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        (self.0)(f)
    }
}

impl<F: Fn(&mut Formatter<'_>) -> fmt::Result> Debug for By<F> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        (self.0)(f)
    }
}

/// A writer that may fail, and a hasher that may answer anything.
struct Anything;

impl Write for Anything {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        seen(text);
        black_box(Ok(()))
    }
}

impl Hasher for Anything {
    fn write(&mut self, bytes: &[u8]) {
        seen(bytes);
    }

    fn finish(&self) -> u64 {
        black_box(0)
    }
}
