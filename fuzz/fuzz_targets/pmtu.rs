//! What happens to a path, and to a prober: reports true and forged, probes, clocks that jump.
#![no_main]

use ipencap_fuzz::one_of;
use ipencap_kit::{generate::from_bytes, laws};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| one_of(
    &[
        |bytes| laws::law_path_mtu_matches_oracle(&from_bytes(bytes)),
        |bytes| laws::law_prober_finds_the_path_mtu(&from_bytes(bytes)),
        |bytes| laws::law_prober_raises_only_what_is_confirmed(&from_bytes(bytes)),
    ],
    input,
));
