use core::fmt::{Binary, Debug, LowerHex, Octal, UpperHex};
use core::hash::Hash;
use core::hint::black_box;
use core::ops::{
    BitAnd, BitAndAssign, BitOr, BitOrAssign, BitXor, BitXorAssign, Not, Sub, SubAssign,
};

use ipencap::wire::{GreFlags, Ipv4Flags, TcpFlags};

use crate::given::word;
use crate::helper::{print, seen, value};

/// What `bitflags!` writes for a type.
macro_rules! bitflags_functions {
    ($Flags:ident) => {
        let flags = || black_box($Flags::empty());
        seen($Flags::all());
        seen($Flags::bits(&flags()));
        seen($Flags::from_bits(word()));
        seen($Flags::from_bits_truncate(word()));
        seen($Flags::from_bits_retain(word()));
        seen($Flags::from_name(name()));
        seen($Flags::is_empty(&flags()));
        seen($Flags::is_all(&flags()));
        seen($Flags::intersects(&flags(), flags()));
        seen($Flags::contains(&flags(), flags()));
        $Flags::insert(black_box(&mut flags()), flags());
        $Flags::remove(black_box(&mut flags()), flags());
        $Flags::toggle(black_box(&mut flags()), flags());
        $Flags::set(black_box(&mut flags()), flags(), black_box(true));
        seen($Flags::intersection(flags(), flags()));
        seen($Flags::union(flags(), flags()));
        seen($Flags::difference(flags(), flags()));
        seen($Flags::symmetric_difference(flags(), flags()));
        seen($Flags::complement(flags()));
        $Flags::iter(&flags()).for_each(|flag| {
            seen(flag);
        });
        $Flags::iter_names(&flags()).for_each(|flag| {
            seen(flag);
        });
    };
}

pub fn call() {
    bitflags_functions!(Ipv4Flags);
    bitflags_functions!(TcpFlags);
    bitflags_functions!(GreFlags);
    traits::<Ipv4Flags>(|| black_box(Ipv4Flags::empty()));
    traits::<TcpFlags>(|| black_box(TcpFlags::empty()));
    traits::<GreFlags>(|| black_box(GreFlags::empty()));
}

/// A flag's name, or not.
fn name() -> &'static str {
    black_box("DF")
}

/// What `bitflags!` implements for the type.
fn traits<
    T: Clone
        + PartialEq
        + Hash
        + Debug
        + Default
        + BitOr<Output = T>
        + BitOrAssign
        + BitXor<Output = T>
        + BitXorAssign
        + BitAnd<Output = T>
        + BitAndAssign
        + Sub<Output = T>
        + SubAssign
        + Not<Output = T>
        + Extend<T>
        + FromIterator<T>
        + IntoIterator<Item = T>
        + Binary
        + Octal
        + LowerHex
        + UpperHex,
>(
    flags: impl Fn() -> T,
) {
    value::<T>(flags());
    seen(<T as Default>::default());
    seen(<T as BitOr>::bitor(flags(), flags()));
    <T as BitOrAssign>::bitor_assign(black_box(&mut flags()), flags());
    seen(<T as BitXor>::bitxor(flags(), flags()));
    <T as BitXorAssign>::bitxor_assign(black_box(&mut flags()), flags());
    seen(<T as BitAnd>::bitand(flags(), flags()));
    <T as BitAndAssign>::bitand_assign(black_box(&mut flags()), flags());
    seen(<T as Sub>::sub(flags(), flags()));
    <T as SubAssign>::sub_assign(black_box(&mut flags()), flags());
    seen(<T as Not>::not(flags()));
    <T as Extend<T>>::extend(black_box(&mut flags()), [flags(), flags()]);
    seen(<T as FromIterator<T>>::from_iter([flags(), flags()]));
    <T as IntoIterator>::into_iter(flags()).for_each(|flag| {
        seen(flag);
    });
    print(|f| <T as Binary>::fmt(black_box(&flags()), f));
    print(|f| <T as Octal>::fmt(black_box(&flags()), f));
    print(|f| <T as LowerHex>::fmt(black_box(&flags()), f));
    print(|f| <T as UpperHex>::fmt(black_box(&flags()), f));
}
