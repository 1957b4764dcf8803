//! A packet that arrives at decapsulators of every carrier.
#![no_main]

use ipencap_kit::{generate::from_bytes, laws};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let case = from_bytes(input);
    laws::law_decap_matches_oracle(&case);
    laws::law_decap_is_all_or_nothing(&case);
    laws::law_inspect_apply_agree(&case);
    laws::law_payload_equals_packet(&case);
});
