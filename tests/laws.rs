//! Every law of the kit under proptest: arbitrary input, and the smallest that breaks the law.
//!
//! Fuzz targets and Miri call the same functions. The seed of a failing input is kept in
//! `laws.regressions` beside this file: commit it.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "a test that panics fails"
)]

use core::fmt::Debug;
use std::collections::BTreeSet;

use ipencap::encap::{Encapsulate, PerPacket};
use ipencap::error::{
    EncapError, Eviction, FragmentError, Ignored, ParseError, PathMtuIgnored, Reason,
    ReassemblyError, Silence,
};
use ipencap::icmp::{self, IcmpError};
use ipencap::pmtu::Effect;
use ipencap_kit::arbitrary::Arbitrary;
use ipencap_kit::generate::{
    DecapCase, EncapCase, ErrorCase, FragmentCase, MssCase, PathCall, PathCase, QuoteCase,
    ReassemblyCase, ReportCase, from_bytes,
};
use ipencap_kit::laws::{self, LAWS};
use ipencap_kit::oracle::{self, Joined, NaiveReassembler};
use ipencap_kit::registry::{ENCAPSULATORS, Endpoints};
use proptest::arbitrary::any;
use proptest::collection::vec;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

/// The longest string of bytes that an input is made from; most inputs need fewer.
const SEED_LEN: usize = 400;

/// Tries `law` on this many inputs, or on as many as `PROPTEST_CASES` says; on a few under Miri.
fn check<T: for<'a> Arbitrary<'a> + Debug>(cases: u32, law: fn(&T)) {
    let mut config = Config::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    config.source_file = Some(file!());
    config.failure_persistence = Some(Box::new(FileFailurePersistence::WithSource("regressions")));
    if cfg!(miri) {
        config.cases = cases / 100 + 1;
        config.failure_persistence = None;
    }
    let inputs = vec(any::<u8>(), 0..=SEED_LEN).prop_map(|bytes| from_bytes::<T>(&bytes));
    let result = TestRunner::new(config).run(&inputs, |input| {
        law(&input);
        Ok(())
    });
    if let Err(broken) = result {
        panic!("{broken}");
    }
}

/// C-01 to C-06.
#[test]
fn c_01_p_12_p_13_checksum_matches_oracle() {
    check(1500, laws::law_checksum_matches_oracle);
}

#[test]
fn p_12_checksum_ignores_word_order() {
    check(500, laws::law_checksum_ignores_word_order);
}

/// C-07, C-09 to C-11.
#[test]
fn p_07_c_15_incremental_equals_full() {
    check(2000, laws::law_incremental_equals_full);
}

#[test]
fn p_07_setters_then_getters() {
    check(1500, laws::law_setters_then_getters);
}

#[test]
fn t24_setters_commute() {
    check(1000, laws::law_setters_commute);
}

#[test]
fn c_12_c_13_c_14_udp_setters_keep_the_checksum() {
    check(1000, laws::law_udp_setters_keep_the_checksum);
}

#[test]
fn s_02_tcp_setters_keep_the_checksum() {
    check(1000, laws::law_tcp_setters_keep_the_checksum);
}

#[test]
fn p_07_icmpv4_setters_keep_the_checksum() {
    check(1000, laws::law_icmpv4_setters_keep_the_checksum);
}

#[test]
fn v_01_to_v_16_parse_matches_oracle() {
    check(2000, laws::law_parse_matches_oracle);
}

#[test]
fn v_08_e_20_parse_never_reads_past_total_len() {
    check(500, laws::law_parse_never_reads_past_total_len);
}

#[test]
fn p_01_no_panic() {
    check(1500, laws::law_no_panic);
}

/// With every policy (N-01, N-07, Q-02, Q-03, F-02), over every carrier and through stacks of
/// them, with the source ports of nested flows (L-05).
#[test]
fn e_01_to_e_23_encap_matches_oracle() {
    check(2000, laws::law_encap_matches_oracle);
}

/// And O-06.
#[test]
fn p_14_overhead_is_exact() {
    check(500, laws::law_overhead_is_exact);
}

/// And F-05.
#[test]
fn e_16_untouched_payload() {
    check(1000, laws::law_untouched_payload);
}

#[test]
fn p_03_e_23_encap_is_all_or_nothing() {
    check(1000, laws::law_encap_is_all_or_nothing);
}

/// E-12, C-21 and P-06.
#[test]
fn p_04_emitted_checksums_verify() {
    check(1000, laws::law_emitted_checksums_verify);
}

#[test]
fn t33_dirty_headroom() {
    check(500, laws::law_dirty_headroom);
}

#[test]
fn p_05_doors_agree() {
    check(1000, laws::law_doors_agree);
}

#[test]
fn e_23_p_05_rules_agree() {
    check(2000, laws::law_rules_agree);
}

#[test]
fn e_16_c_20_header_by_value_equals_in_place() {
    check(2000, laws::law_header_by_value_equals_in_place);
}

#[test]
fn p_02_matching_receiver_opens() {
    check(1000, laws::law_matching_receiver_opens);
}

#[test]
fn p_02_p_05_roundtrip() {
    check(1000, laws::law_roundtrip);
}

/// And L-02.
#[test]
fn n_18_nested_inspection_equals_sequential() {
    check(1000, laws::law_nested_inspection_equals_sequential);
}

#[test]
fn p_05_l_02_l_08_stack_is_associative() {
    check(1000, laws::law_stack_is_associative);
}

/// And T-04, T-06, E-06, E-17 and E-18 wherever in a stack.
#[test]
fn l_08_p_05_all_compositions_agree() {
    check(3000, laws::law_all_compositions_agree);
}

/// With what every carrier asks for itself: V-14, N-11, N-14, N-17, U-05 to U-09, U-11, G-01 to
/// G-12, S-01, S-02, S-20, R-01, R-02, R-04, R-06 to R-09, M-04 to M-06, M-08 and C-24.
#[test]
fn p_11_d_01_to_d_23_decap_matches_oracle() {
    check(3000, laws::law_decap_matches_oracle);
}

#[test]
fn d_05_d_22_payload_equals_packet() {
    check(3000, laws::law_payload_equals_packet);
}

#[test]
fn u_01_g_14_payload_form_is_the_packets_payload() {
    check(1000, laws::law_payload_form_is_the_packets_payload);
}

#[test]
fn c_35_payload_train_equals_one_by_one() {
    check(6000, laws::law_payload_train_equals_one_by_one);
}

/// And D-23.
#[test]
fn p_03_t41_decap_is_all_or_nothing() {
    check(1000, laws::law_decap_is_all_or_nothing);
}

/// D-23 and M-07.
#[test]
fn n_12_a_45_inspect_apply_agree() {
    check(1000, laws::law_inspect_apply_agree);
}

#[test]
fn s_12_s_20_s_22_frame_matches_oracle() {
    check(1000, laws::law_frame_matches_oracle);
}

#[test]
fn s_10_to_s_21_decoder_matches_oracle() {
    check(1500, laws::law_decoder_matches_oracle);
}

#[test]
fn o_01_to_o_05_x_01_lengths_match_oracle() {
    check(2000, laws::law_lengths_match_oracle);
}

/// And I-01 to I-05, I-10 to I-16, I-32.
#[test]
fn p_15_icmp_error_matches_oracle() {
    check(4000, laws::law_icmp_error_matches_oracle);
}

/// And I-20: what is validated before the quote.
#[test]
fn i_20_i_34_report_matches_oracle() {
    check(4000, laws::law_report_matches_oracle);
}

#[test]
fn i_20_quotes_match_oracle() {
    check(2000, laws::law_quotes_match_oracle);
}

/// And I-20.
#[test]
fn i_31_tunnels_recognise_their_quotes() {
    check(1000, laws::law_tunnels_recognise_their_quotes);
}

#[test]
fn d_17_prefix_table_matches_oracle() {
    check(1000, laws::law_prefix_table_matches_oracle);
}

#[test]
fn d_01_d_17_edge_table_matches_oracle() {
    check(1000, laws::law_edge_table_matches_oracle);
}

#[test]
fn d_17_peer_table_matches_oracle() {
    check(1000, laws::law_peer_table_matches_oracle);
}

/// And I-06, I-07, I-20 to I-33, F-02, F-05, D-17, A-14 to.
#[test]
fn x_10_i_20_endpoint_matches_oracle() {
    check(3000, laws::law_endpoint_matches_oracle);
}

/// And S-33, P-07.
#[test]
fn s_32_mss_matches_oracle() {
    check(4000, laws::law_mss_matches_oracle);
}

/// And O-01, O-05, A-16, A-17, A-19.
#[test]
fn a_15_path_mtu_matches_oracle() {
    check(4000, laws::law_path_mtu_matches_oracle);
}

#[test]
fn o_07_prober_finds_the_path_mtu() {
    check(1000, laws::law_prober_finds_the_path_mtu);
}

#[test]
fn o_07_prober_raises_only_what_is_confirmed() {
    check(4000, laws::law_prober_raises_only_what_is_confirmed);
}

/// with V-15.
#[test]
fn x_01_to_x_12_p_09_fragments_match_oracle() {
    check(3000, laws::law_fragments_match_oracle);
}

/// And X-29.
#[test]
fn p_09_x_21_fragments_reassemble() {
    check(2000, laws::law_fragments_reassemble);
}

/// And and P-10.
#[test]
fn x_20_to_x_30_reassembly_matches_oracle() {
    check(4000, laws::law_reassembly_matches_oracle);
}

/// And X-30.
#[test]
fn p_10_x_31_reassembly_is_bounded() {
    check(4000, laws::law_reassembly_is_bounded);
}

/// A law that nobody drives holds nothing.
#[test]
fn every_law_is_driven() {
    let here = include_str!("laws.rs");
    for law in LAWS {
        let call = format!(", laws::{});", law.name);
        assert!(
            here.contains(&call),
            "{} has no test in this file",
            law.name
        );
    }
}

/// And one that no fuzz target calls is not fuzzed.
#[test]
fn every_law_has_a_fuzz_target() {
    let targets = [
        include_str!("../fuzz/fuzz_targets/parse.rs"),
        include_str!("../fuzz/fuzz_targets/checksum.rs"),
        include_str!("../fuzz/fuzz_targets/encap.rs"),
        include_str!("../fuzz/fuzz_targets/decap.rs"),
        include_str!("../fuzz/fuzz_targets/roundtrip.rs"),
        include_str!("../fuzz/fuzz_targets/stream.rs"),
        include_str!("../fuzz/fuzz_targets/icmp.rs"),
        include_str!("../fuzz/fuzz_targets/table.rs"),
        include_str!("../fuzz/fuzz_targets/endpoint.rs"),
        include_str!("../fuzz/fuzz_targets/pmtu.rs"),
        include_str!("../fuzz/fuzz_targets/mss.rs"),
        include_str!("../fuzz/fuzz_targets/fragment.rs"),
    ];
    for law in LAWS {
        let call = format!("laws::{}(", law.name);
        let callers = targets.iter().filter(|target| target.contains(&call));
        assert_eq!(callers.count(), 1, "{}", law.name);
    }
}

/// An engine that knows only bytes can run every law, also on none.
#[test]
fn every_law_runs_from_raw_bytes() {
    for law in LAWS {
        (law.run)(b"");
        (law.run)(&seed(1));
    }
}

/// Some bytes that look random, the same in every run.
fn seed(number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..SEED_LEN)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[5]
        })
        .collect()
}

const SEEDS: u64 = if cfg!(miri) { 3 } else { 30_000 };

/// A generator whose packets all fail the first check tests only that check.
#[test]
#[cfg_attr(miri, ignore = "counts need many cases")]
fn generated_arrivals_reach_every_refusal() {
    let mut reasons = BTreeSet::new();
    let mut accepted = 0;
    for number in 0..SEEDS {
        let case: DecapCase = from_bytes(&seed(number));
        for (subject, packet) in &case.arrivals {
            let carrier = subject.carrier().unwrap().naive();
            match oracle::decapsulate(carrier, &case.network, case.switches, &packet.0) {
                Ok(_) => accepted += 1,
                Err(refusal) => {
                    reasons.insert(refusal.reason.index());
                }
            }
        }
    }
    let missing: Vec<_> = Reason::NAMES
        .iter()
        .filter(|(index, _)| !reasons.contains(index))
        .collect();
    assert!(missing.is_empty(), "never reached: {missing:?}");
    assert!(
        accepted > SEEDS / 8,
        "only {accepted} of {SEEDS} are accepted"
    );
}

/// The same for the way in.
#[test]
#[cfg_attr(miri, ignore = "counts need many cases")]
fn generated_packets_reach_every_objection() {
    let mut objections = BTreeSet::new();
    let mut accepted = 0;
    for number in 0..SEEDS {
        let case: EncapCase = from_bytes(&seed(number));
        for subject in &case.subjects {
            let found = subject.naive().objections(&case.inner.0, &case.packet);
            if case.headroom < subject.encapsulator().overhead() {
                objections.insert("NoHeadroom");
            } else if found.is_empty() {
                accepted += 1;
            }
            objections.extend(found.into_iter().map(EncapError::reason));
        }
    }
    let ipv4 = ParseError::NAMES.iter().filter(|(index, _)| *index < 5);
    let own = EncapError::NAMES
        .iter()
        // Two are for headers by value: `law_header_by_value_equals_in_place`; the last is for sockets:
        // `law_endpoint_matches_oracle`.
        .filter(|(_, name)| !["Inner", "UnknownSum", "NotByValue", "NoPayloadForm"].contains(name));
    let missing: Vec<_> = ipv4
        .chain(own)
        .filter(|(_, name)| !objections.contains(name))
        .collect();
    assert!(missing.is_empty(), "never reached: {missing:?}");
    assert!(
        accepted > SEEDS / 5,
        "only {accepted} of {SEEDS} are accepted"
    );
}

/// The same for ICMP errors, both ways, and for what they quote.
#[test]
#[cfg_attr(miri, ignore = "counts need many cases")]
fn generated_errors_reach_every_silence_and_every_reason_to_ignore() {
    let (mut silences, mut ignored, mut recognised) = (BTreeSet::new(), BTreeSet::new(), [0, 0]);
    let (mut sent, mut read) = (0, 0);
    for number in 0..SEEDS {
        let case: ErrorCase = from_bytes(&seed(number));
        let (bytes, source) = (&case.offending.0, case.source.into());
        let quoted = &bytes[..case.quoted.min(bytes.len())];
        for made in [
            IcmpError::about(bytes, case.kind, source),
            IcmpError::about_quoted(quoted, case.kind, source),
        ] {
            match made {
                Ok(_) => sent += 1,
                Err(silence) => _ = silences.insert(silence.index()),
            }
        }
        let case: ReportCase = from_bytes(&seed(number));
        match icmp::read(&case.packet.0) {
            Ok(report) => {
                read += 1;
                ignored.extend(report.relayed(20).err().map(Ignored::index));
            }
            Err(reason) => _ = ignored.insert(reason.index()),
        }
        if number % 8 == 0 {
            let case: QuoteCase = from_bytes(&seed(number));
            let mut quote = case.nest.layers[0].naive().outer(
                &case.nest.inner.bytes.0,
                &PerPacket::new().with_identification(1).with_sequence(2),
            );
            for (at, bits) in case.changes {
                let at = at % quote.len();
                quote[at] ^= bits;
            }
            let unquoted = case.nest.layers[0].naive().unquoted(&quote);
            recognised[usize::from(unquoted.is_some())] += 1;
        }
    }
    assert_eq!(silences.len(), Silence::COUNT, "{silences:?}");
    assert_eq!(ignored.len(), Ignored::COUNT, "{ignored:?}");
    assert!(sent > SEEDS / 8, "only {sent} of {SEEDS} are sent");
    assert!(read > SEEDS / 8, "only {read} of {SEEDS} are read");
    let [strange, own] = recognised;
    assert!(strange > SEEDS / 32 && own > SEEDS / 32, "{recognised:?}");
}

/// Reports that meet every reason to ignore them, and those that are believed.
#[test]
#[cfg_attr(miri, ignore = "counts need many cases")]
fn generated_reports_reach_every_reason() {
    let (mut reasons, mut believed) = (BTreeSet::new(), 0);
    for number in 0..SEEDS / 10 {
        let case: PathCase = from_bytes(&seed(number));
        let mut naive = oracle::NaivePath::new(case.link_mtu, case.floor, case.raise_after);
        for (clock, call) in case.calls {
            naive.tick(clock);
            match call {
                PathCall::Sent(len) => naive.sent(len),
                PathCall::Report(reported, quoted) => match naive.report(reported, quoted) {
                    Effect::Ignored(reason) => drop(reasons.insert(reason.index())),
                    _ => believed += 1,
                },
                _ => {}
            }
        }
    }
    assert_eq!(reasons.len(), PathMtuIgnored::COUNT, "{reasons:?}");
    assert!(believed > SEEDS / 40, "only {believed} are believed");
}

/// SYN segments with an MSS that is to be lowered, and others.
#[test]
#[cfg_attr(miri, ignore = "counts need many cases")]
fn generated_segments_are_often_lowered() {
    let case = |number| from_bytes::<MssCase>(&seed(number));
    let is_lowered = |case: &MssCase| oracle::clamped(&case.packet.0, case.limit).is_some();
    let lowered = (0..SEEDS / 10).map(case).filter(is_lowered).count();
    let cases = usize::try_from(SEEDS / 10).unwrap_or(0);
    assert!((cases / 20..cases / 2).contains(&lowered), "{lowered}");
}

/// The same for fragments: every reason to refuse a packet or a fragment, and all that may become of it.
#[test]
#[cfg_attr(miri, ignore = "counts need many cases")]
fn generated_fragments_reach_every_reason() {
    let (mut splits, mut refused) = (BTreeSet::new(), BTreeSet::new());
    let (mut split, mut complete, mut duplicates) = (0, 0, 0);
    let mut evicted = BTreeSet::new();
    for number in 0..SEEDS {
        let case: FragmentCase = from_bytes(&seed(number));
        match oracle::fragments(&case.packet.0, case.mtu) {
            Ok(fragments) => split += u64::from(fragments.len() > 1),
            Err(error) => {
                splits.insert(error.reason());
            }
        }
        let case: ReassemblyCase = from_bytes(&seed(number));
        let mut naive = NaiveReassembler::new(case.limits, case.payload_len.into());
        for arriving in &case.arriving {
            match naive.add(arriving.now, arriving.peer, &arriving.bytes.0) {
                Ok(Joined::Held(reason)) => evicted.extend(reason.map(Eviction::name)),
                Ok(Joined::Duplicate) => duplicates += 1,
                Ok(Joined::Complete(_)) => complete += 1,
                Err(error) => {
                    refused.insert(error.reason());
                }
            }
        }
    }
    let expected = |names: &[(usize, &'static str)], not: &[&str]| -> BTreeSet<&str> {
        let ipv4 = ParseError::NAMES.iter().filter(|(index, _)| *index < 5);
        let all = ipv4.chain(names).map(|(_, name)| *name);
        all.filter(|name| !not.contains(name)).collect()
    };
    // Of writing a fragment, not of planning: the law asks for them.
    let not = ["Packet", "NoRoom", "OtherPacket"];
    let mut all = expected(FragmentError::NAMES, &not);
    all.insert("BadOption");
    assert_eq!(splits, all);
    assert_eq!(refused, expected(ReassemblyError::NAMES, &["Packet"]));
    assert_eq!(evicted, BTreeSet::from(["Overtaken", "TimedOut"]));
    assert!(split > SEEDS / 4, "only {split} of {SEEDS} are split");
    assert!(complete > SEEDS / 4, "only {complete} are complete");
    assert!(duplicates > SEEDS / 8, "only {duplicates} arrive twice");
}

/// `law_all_compositions_agree` compares those that are among the tunnels chosen at run time. These are
/// not: private words have a length that is known at compile time.
#[test]
fn l_08_every_encapsulator_has_a_form_at_run_time() {
    let ends = Endpoints {
        source: [198, 51, 100, 1],
        destination: [203, 0, 113, 2],
    };
    let without = ENCAPSULATORS.iter().filter(|enrolled| {
        let subject = enrolled.typical(ends);
        match subject.any_tunnels() {
            Some(any) => {
                assert_eq!(any.len(), usize::from(subject.decapsulator().layers()));
                let overhead = subject.encapsulator().overhead();
                assert_eq!(any.as_slice().overhead(), overhead, "{}", enrolled.name);
                false
            }
            None => true,
        }
    });
    let names: Vec<_> = without.map(|enrolled| enrolled.name).collect();
    assert_eq!(names, ["Tunnel<Gue<2>>"]);
}

/// Two lines of the registry must not be the same encapsulator under two names, or under one.
#[test]
fn registry_names_are_unique() {
    let names: BTreeSet<_> = ENCAPSULATORS.iter().map(|enrolled| enrolled.name).collect();
    assert_eq!(names.len(), ENCAPSULATORS.len());
}
