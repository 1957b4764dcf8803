//! ICMP errors about any packet, ICMP errors that arrive, and packets of tunnels in their quotes.
#![no_main]

use ipencap_fuzz::one_of;
use ipencap_kit::{generate::from_bytes, laws};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| one_of(
    &[
        |bytes| laws::law_icmp_error_matches_oracle(&from_bytes(bytes)),
        |bytes| laws::law_report_matches_oracle(&from_bytes(bytes)),
        |bytes| {
            let case = from_bytes(bytes);
            laws::law_quotes_match_oracle(&case);
            laws::law_tunnels_recognise_their_quotes(&case);
        },
    ],
    input,
));
