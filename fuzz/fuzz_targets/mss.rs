//! SYN segments with options of all kinds, in packets of all kinds, whose MSS is lowered.
#![no_main]

use ipencap_kit::{generate::from_bytes, laws};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| laws::law_mss_matches_oracle(&from_bytes(input)));
