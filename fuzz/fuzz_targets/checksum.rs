//! Sums, updates and the setters that keep checksums right, against the naive oracle.
#![no_main]

use ipencap_fuzz::one_of;
use ipencap_kit::{generate::from_bytes, laws};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| one_of(
    &[
        |bytes| {
            let case = from_bytes(bytes);
            laws::law_checksum_matches_oracle(&case);
            laws::law_checksum_ignores_word_order(&case);
        },
        |bytes| laws::law_incremental_equals_full(&from_bytes(bytes)),
        |bytes| {
            let case = from_bytes(bytes);
            laws::law_setters_then_getters(&case);
            laws::law_setters_commute(&case);
        },
        |bytes| {
            let case = from_bytes(bytes);
            laws::law_udp_setters_keep_the_checksum(&case);
            laws::law_tcp_setters_keep_the_checksum(&case);
            laws::law_icmpv4_setters_keep_the_checksum(&case);
        },
    ],
    input,
));
