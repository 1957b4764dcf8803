use core::hint::black_box;

use ipencap::mss::{self, Patch};
use ipencap::packet::InnerChecksum;

use crate::given::{bytes, word};
use crate::helper::{seen, value};

pub fn call(buffer: &mut [u8]) {
    let Some(patch) = mss::inspect(bytes(), word()) else {
        return;
    };
    let patch = || black_box(patch);
    seen(Patch::with_inner_checksum(
        patch(),
        black_box(InnerChecksum::Partial),
    ));
    seen(Patch::mss(patch()));
    Patch::apply(patch(), black_box(&mut *buffer));
    value::<Patch>(patch());
}
