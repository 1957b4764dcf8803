//! The laws: plain functions that panic where the library breaks one.
//!
//! A law's documentation begins with the ids of the rules it checks.

use crate::generate::from_bytes;
use ipencap::encap::PerPacket;

mod composition;
mod decap;
mod encap;
mod endpoint;
mod fragment;
mod icmp;
mod lengths;
mod mss;
mod nest;
mod parse;
mod payload;
mod pmtu;
mod rules;
mod setters;
mod stream;
mod sums;
mod tables;

pub use composition::law_all_compositions_agree;
pub use decap::{law_decap_is_all_or_nothing, law_decap_matches_oracle, law_inspect_apply_agree};
pub use encap::{
    law_dirty_headroom, law_doors_agree, law_emitted_checksums_verify, law_encap_is_all_or_nothing,
    law_encap_matches_oracle, law_overhead_is_exact, law_untouched_payload,
};
pub use endpoint::{law_endpoint_matches_oracle, law_peer_table_matches_oracle};
pub use fragment::{
    law_fragments_match_oracle, law_fragments_reassemble, law_reassembly_is_bounded,
    law_reassembly_matches_oracle,
};
pub use icmp::{
    law_icmp_error_matches_oracle, law_quotes_match_oracle, law_report_matches_oracle,
    law_tunnels_recognise_their_quotes,
};
pub use lengths::law_lengths_match_oracle;
pub use mss::law_mss_matches_oracle;
pub use nest::{
    law_matching_receiver_opens, law_nested_inspection_equals_sequential, law_roundtrip,
    law_stack_is_associative,
};
pub use parse::{law_no_panic, law_parse_matches_oracle, law_parse_never_reads_past_total_len};
pub use payload::{
    law_payload_equals_packet, law_payload_form_is_the_packets_payload,
    law_payload_train_equals_one_by_one,
};
pub use pmtu::{
    law_path_mtu_matches_oracle, law_prober_finds_the_path_mtu,
    law_prober_raises_only_what_is_confirmed,
};
pub use rules::{law_header_by_value_equals_in_place, law_rules_agree};
pub use setters::{
    law_icmpv4_setters_keep_the_checksum, law_setters_commute, law_setters_then_getters,
    law_tcp_setters_keep_the_checksum, law_udp_setters_keep_the_checksum,
};
pub use stream::{law_decoder_matches_oracle, law_frame_matches_oracle};
pub use sums::{
    law_checksum_ignores_word_order, law_checksum_matches_oracle, law_incremental_equals_full,
};

pub use tables::{law_edge_table_matches_oracle, law_prefix_table_matches_oracle};

/// A law by name, for engines that know only bytes.
#[derive(Clone, Copy, Debug)]
pub struct Law {
    /// The function's name.
    pub name: &'static str,
    /// Generates an input and calls the function.
    pub run: fn(&[u8]),
}

macro_rules! laws {
    ($($name:ident),+ $(,)?) => {
        /// All of them.
        pub const LAWS: &[Law] = &[
            $(Law { name: stringify!($name), run: |bytes| $name(&from_bytes(bytes)) }),+
        ];
    };
}

laws! {
    law_checksum_matches_oracle,
    law_checksum_ignores_word_order,
    law_incremental_equals_full,
    law_setters_then_getters,
    law_setters_commute,
    law_udp_setters_keep_the_checksum,
    law_tcp_setters_keep_the_checksum,
    law_icmpv4_setters_keep_the_checksum,
    law_parse_matches_oracle,
    law_parse_never_reads_past_total_len,
    law_no_panic,
    law_encap_matches_oracle,
    law_overhead_is_exact,
    law_untouched_payload,
    law_encap_is_all_or_nothing,
    law_emitted_checksums_verify,
    law_dirty_headroom,
    law_doors_agree,
    law_rules_agree,
    law_header_by_value_equals_in_place,
    law_roundtrip,
    law_matching_receiver_opens,
    law_nested_inspection_equals_sequential,
    law_stack_is_associative,
    law_all_compositions_agree,
    law_decap_matches_oracle,
    law_decap_is_all_or_nothing,
    law_payload_equals_packet,
    law_payload_form_is_the_packets_payload,
    law_payload_train_equals_one_by_one,
    law_inspect_apply_agree,
    law_frame_matches_oracle,
    law_decoder_matches_oracle,
    law_lengths_match_oracle,
    law_icmp_error_matches_oracle,
    law_report_matches_oracle,
    law_quotes_match_oracle,
    law_tunnels_recognise_their_quotes,
    law_prefix_table_matches_oracle,
    law_edge_table_matches_oracle,
    law_peer_table_matches_oracle,
    law_endpoint_matches_oracle,
    law_mss_matches_oracle,
    law_path_mtu_matches_oracle,
    law_prober_finds_the_path_mtu,
    law_prober_raises_only_what_is_confirmed,
    law_fragments_match_oracle,
    law_fragments_reassemble,
    law_reassembly_matches_oracle,
    law_reassembly_is_bounded,
}

/// What the caller says of packet `number` of a tunnel: by it, whatever is counted.
fn numbered(number: u32) -> PerPacket {
    let [_, _, high, low] = number.to_be_bytes();
    PerPacket::new()
        .with_identification(u16::from_be_bytes([high, low]))
        .with_sequence(number)
}
