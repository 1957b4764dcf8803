//! Prefixes and peers that come, change and go, and who is found in between.
#![no_main]

use ipencap_fuzz::one_of;
use ipencap_kit::{generate::from_bytes, laws};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| one_of(
    &[
        |bytes| laws::law_prefix_table_matches_oracle(&from_bytes(bytes)),
        |bytes| laws::law_edge_table_matches_oracle(&from_bytes(bytes)),
    ],
    input,
));
