//! A packet, valid or not, on its way into every encapsulator, by every door and all rules; into
//! stacks; as trains of payloads; and what tunnels make of lengths.
#![no_main]

use ipencap_fuzz::one_of;
use ipencap_kit::{generate::from_bytes, laws};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| one_of(
    &[
        |bytes| {
            let case = from_bytes(bytes);
            laws::law_encap_matches_oracle(&case);
            laws::law_overhead_is_exact(&case);
            laws::law_untouched_payload(&case);
            laws::law_encap_is_all_or_nothing(&case);
            laws::law_emitted_checksums_verify(&case);
            laws::law_dirty_headroom(&case);
            laws::law_doors_agree(&case);
            laws::law_rules_agree(&case);
            laws::law_header_by_value_equals_in_place(&case);
            laws::law_payload_form_is_the_packets_payload(&case);
        },
        |bytes| laws::law_all_compositions_agree(&from_bytes(bytes)),
        |bytes| laws::law_payload_train_equals_one_by_one(&from_bytes(bytes)),
        |bytes| laws::law_lengths_match_oracle(&from_bytes(bytes)),
    ],
    input,
));
