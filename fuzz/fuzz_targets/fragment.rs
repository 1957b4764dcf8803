//! Packets that are split, fragments that are joined, and what attackers send in between.
#![no_main]

use ipencap_fuzz::one_of;
use ipencap_kit::{generate::from_bytes, laws};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| one_of(
    &[
        |bytes| {
            let case = from_bytes(bytes);
            laws::law_fragments_match_oracle(&case);
            laws::law_fragments_reassemble(&case);
        },
        |bytes| {
            let case = from_bytes(bytes);
            laws::law_reassembly_matches_oracle(&case);
            laws::law_reassembly_is_bounded(&case);
        },
    ],
    input,
));
