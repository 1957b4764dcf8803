use core::hint::black_box;

use ipencap::checksum::{self, Delta, Sum};

use crate::given::{address, array, byte, bytes, double_word, word};
use crate::helper::{cloneable, debug, seen};

pub fn call() {
    seen(checksum::checksum(bytes()));
    seen(checksum::verify(bytes()));
    seen(checksum::const_checksum(bytes()));
    seen(checksum::update_u16(word(), word(), word()));
    seen(checksum::update_u32(word(), double_word(), double_word()));
    seen(checksum::update_odd_u16(word(), word(), word()));

    let sum = || black_box(Sum::new());
    seen(<Sum as Default>::default());
    seen(Sum::pseudo_header(address(), address(), byte(), word()));
    seen(Sum::add_bytes(sum(), bytes()));
    seen(Sum::add_header(sum(), &array()));
    seen(Sum::const_add_bytes(sum(), bytes()));
    seen(Sum::add_u16(sum(), word()));
    seen(Sum::add_u32(sum(), double_word()));
    seen(Sum::join(sum(), sum()));
    seen(Sum::fold(sum()));
    seen(Sum::checksum(sum()));
    seen(Sum::is_valid(sum()));
    cloneable::<Sum>(&sum());
    debug::<Sum>(&sum());

    let delta = || black_box(Delta::new());
    seen(<Delta as Default>::default());
    seen(Delta::between(sum(), sum()));
    seen(Delta::replace_u16(delta(), word(), word()));
    seen(Delta::replace_u32(delta(), double_word(), double_word()));
    seen(Delta::replace_odd_u16(delta(), word(), word()));
    seen(Delta::replace_odd_u32(
        delta(),
        double_word(),
        double_word(),
    ));
    seen(Delta::apply(delta(), word()));
    cloneable::<Delta>(&delta());
    debug::<Delta>(&delta());
}
