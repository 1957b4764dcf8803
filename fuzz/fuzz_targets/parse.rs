//! Every parser, on packets with up to two faults and on anything at all.
#![no_main]

use ipencap_fuzz::one_of;
use ipencap_kit::{generate::from_bytes, laws};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| one_of(
    &[
        |bytes| laws::law_parse_matches_oracle(&from_bytes(bytes)),
        |bytes| laws::law_parse_never_reads_past_total_len(&from_bytes(bytes)),
        |bytes| laws::law_no_panic(&from_bytes(bytes)),
    ],
    input,
));
