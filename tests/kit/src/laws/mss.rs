use ipencap::mss::{self, MIN_MSS};
use ipencap::packet::InnerChecksum;

use crate::generate::{Bytes, MssCase};
use crate::oracle;

/// S-32, S-33, P-07: an MSS is lowered and never raised, all other bytes stay, and the checksum is as right
/// or as wrong as before.
pub fn law_mss_matches_oracle(case: &MssCase) {
    let (before, limit) = (&case.packet.0, case.limit);
    let patch = mss::inspect(before, limit);
    let expected = oracle::clamped(before, limit);
    assert_eq!(patch.is_some(), expected.is_some(), "S-32");
    let (Some(patch), Some(mut expected)) = (patch, expected) else {
        return;
    };
    let (tcp_at, end) = oracle::syn_at(before).unwrap();
    // What is written is the limit, less the headers around the packet of the connection.
    let mut values = oracle::mss_values(before, tcp_at, end).unwrap().into_iter();
    let lowered = values.find(|&at| before[at..at + 2] != expected[at..at + 2]);
    let lowered = oracle::u16_at(&expected, lowered.unwrap());
    assert_eq!(patch.mss(), lowered, "S-33");
    assert!(lowered >= MIN_MSS && lowered <= limit.max(MIN_MSS), "S-33");
    let mut after = before.clone();
    patch.apply(&mut after);
    let checksum = oracle::u16_at(&after, tcp_at + 16);
    oracle::put_u16(&mut expected, tcp_at + 16, checksum);
    assert_eq!(
        Bytes(after.clone()),
        Bytes(expected),
        "all but the checksum"
    );

    let covered_before = oracle::covered_by_tcp(before, tcp_at);
    let covered_after = oracle::covered_by_tcp(&after, tcp_at);
    assert_eq!(
        oracle::residue(&covered_after),
        oracle::residue(&covered_before),
        "P-07"
    );
    if oracle::verifies(&covered_before) {
        assert_eq!(checksum, oracle::tcp_checksum(&covered_after), "P-07");
    }

    // What is lowered is not lowered again.
    assert_eq!(mss::inspect(&after, limit), None);
    let mut again = after.clone();
    patch.apply(&mut again);
    assert_eq!(again, after);

    // A checksum that the hardware will fill in covers only the pseudo-header yet.
    let mut partial = before.clone();
    let patch_partial = patch.with_inner_checksum(InnerChecksum::Partial);
    patch_partial.apply(&mut partial);
    assert_eq!(
        oracle::u16_at(&partial, tcp_at + 16),
        oracle::u16_at(before, tcp_at + 16)
    );
    assert_eq!(
        partial[end.min(tcp_at + 20)..],
        after[end.min(tcp_at + 20)..]
    );

    // Too few bytes for it: nothing changes.
    for len in [0, tcp_at, tcp_at + 19, end - 1] {
        let mut short = before[..len].to_vec();
        patch.apply(&mut short);
        assert_eq!(short, before[..len]);
    }
}
