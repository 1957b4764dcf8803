//! Streams in every framing and any split, and packets on their way onto one.
#![no_main]

use ipencap_fuzz::one_of;
use ipencap_kit::{generate::from_bytes, laws};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| one_of(
    &[
        |bytes| laws::law_decoder_matches_oracle(&from_bytes(bytes)),
        |bytes| laws::law_frame_matches_oracle(&from_bytes(bytes)),
    ],
    input,
));
