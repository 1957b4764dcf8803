use ipencap::mtu::{MIN_MTU, Overhead, fragment_count};

use crate::generate::{LengthCase, Part};
use crate::oracle;

/// O-01 to O-05, X-01: lengths and MTUs as counting byte by byte makes them, however the layers are
/// bracketed.
pub fn law_lengths_match_oracle(case: &LengthCase) {
    let layers = case.parts.iter().map(|part| match *part {
        Part::Bytes(bytes) => Overhead::of(bytes),
        Part::Padding(alignment) => Overhead::padding(alignment),
        Part::ClampedPadding(alignment, mtu) => Overhead::clamped_padding(alignment, mtu),
    });
    let inside_out = layers
        .clone()
        .fold(Overhead::NONE, |inner, outer| outer.around(inner));
    let outside_in = layers.rev().fold(Overhead::NONE, Overhead::around);

    let is_padding = |part: &&Part| !matches!(part, Part::Bytes(_));
    let paddings = case.parts.iter().filter(is_padding).count();
    // Four paddings are kept apart.
    let outer_len = |len: u32| {
        oracle::outer_len(&case.parts, len.into())
            .filter(|_| paddings <= 4)
            .map(|len| u32::try_from(len).unwrap())
    };
    for overhead in [inside_out, outside_in] {
        assert_eq!(overhead.outer_len(case.len), outer_len(case.len));
        assert_eq!(overhead.link_mtu(case.len), outer_len(case.len), "O-03");
        let added = outer_len(case.len).map(|len| len - case.len);
        assert_eq!(overhead.added_len(case.len), added);
        if paddings == 0 {
            assert_eq!(overhead.bytes(), outer_len(0));
        } else {
            assert_eq!(overhead.bytes(), None);
        }

        let link = case.len.min(65_535);
        let fits = |len: u32| outer_len(len).is_some_and(|outer_len| outer_len <= link);
        let mtu = overhead.inner_mtu(case.len);
        match mtu {
            Some(mtu) => assert!(mtu >= MIN_MTU && fits(mtu) && !fits(mtu + 1), "O-01: {mtu}"),
            None => assert!(!fits(MIN_MTU), "O-05"),
        }
        assert_eq!(overhead.tcp_mss(case.len), mtu.map(|mtu| mtu - 40), "O-02");
        let with_timestamps = overhead.tcp_payload_len(case.len, 12);
        assert_eq!(with_timestamps, mtu.map(|mtu| mtu - 52), "S-31");

        match overhead.max_inner_len() {
            Some(len) => assert!(
                outer_len(len).is_some() && outer_len(len + 1).is_none(),
                "O-04"
            ),
            None => assert_eq!(outer_len(0), None, "O-04"),
        }

        // A longer packet is never shorter outside, and takes no wider a link than the MTU's.
        if let (Some(shorter), Some(longer)) = (
            overhead.outer_len(case.len),
            overhead.outer_len(case.len.saturating_add(1)),
        ) {
            assert!(shorter <= longer, "O-03");
        }
        let wider = overhead.inner_mtu(case.len.saturating_add(1));
        assert!(wider >= mtu, "O-01: {mtu:?} but {wider:?} one byte wider");
    }

    let (header_len, mtu) = (case.header_len, case.len);
    assert_eq!(
        fragment_count(case.total_len, header_len, mtu),
        oracle::fragment_count(case.total_len, header_len, mtu),
        "X-01"
    );
}
