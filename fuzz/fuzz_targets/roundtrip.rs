//! Up to four tunnels, of any carriers, around one packet and off it again.
#![no_main]

use ipencap_kit::{generate::from_bytes, laws};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let case = from_bytes(input);
    laws::law_roundtrip(&case);
    laws::law_matching_receiver_opens(&case);
    laws::law_nested_inspection_equals_sequential(&case);
    laws::law_stack_is_associative(&case);
});
