//! A packet, valid or not, on its way into every encapsulator, by every door; into templates; in
//! trains; and what tunnels make of lengths.
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
            laws::law_payload_form_is_the_packets_payload(&case);
        },
        |bytes| laws::law_template_equals_stack(&from_bytes(bytes)),
        |bytes| laws::law_batch_equals_one_by_one(&from_bytes(bytes)),
        |bytes| laws::law_lengths_match_oracle(&from_bytes(bytes)),
    ],
    input,
));
