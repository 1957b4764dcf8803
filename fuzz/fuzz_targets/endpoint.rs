//! An endpoint between packets of both sides, with peers that come and go, and its table of peers alone.
#![no_main]

use ipencap_fuzz::one_of;
use ipencap_kit::{generate::from_bytes, laws};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| one_of(
    &[
        |bytes| laws::law_endpoint_matches_oracle(&from_bytes(bytes)),
        |bytes| laws::law_peer_table_matches_oracle(&from_bytes(bytes)),
    ],
    input,
));
