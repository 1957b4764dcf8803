use ipencap::checksum::{
    Delta, Sum, checksum, const_checksum, update_odd_u16, update_u16, update_u32, verify,
};

use crate::generate::{ChecksumCase, Replacement, UpdateCase};
use crate::oracle;

/// `data` in memory at an address that leaves `alignment` modulo 16.
fn aligned(data: &[u8], alignment: usize) -> (Vec<u8>, usize) {
    let mut memory = vec![0xee; data.len() + 32];
    let to_border = memory.as_ptr().align_offset(16);
    let start = if to_border < 16 {
        to_border + alignment
    } else {
        alignment
    };
    memory[start..start + data.len()].copy_from_slice(data);
    (memory, start)
}

/// C-01 to C-06, P-12, P-13: any data, any alignment, any split, at run time and in constants.
pub fn law_checksum_matches_oracle(case: &ChecksumCase) {
    let (memory, start) = aligned(&case.data.0, case.alignment);
    let data = &memory[start..start + case.data.0.len()];
    let expected = oracle::checksum(data);

    assert_eq!(checksum(data), expected, "in one piece");
    assert_eq!(const_checksum(data), expected, "in constant evaluation");
    assert_eq!(verify(data), oracle::verifies(data), "verification");

    let whole = Sum::new().add_bytes(data);
    assert_eq!(whole.fold(), !expected, "folded");
    assert_eq!(whole.checksum(), expected, "complemented");
    assert_eq!(whole.is_valid(), expected == 0, "validity");

    let (mut added, mut const_added, mut joined) = (Sum::new(), Sum::new(), Sum::new());
    let mut rest = data;
    for &piece in case.pieces.iter().chain([&data.len()]) {
        let (head, tail) = rest.split_at(piece.min(rest.len()));
        added = added.add_bytes(head);
        const_added = const_added.const_add_bytes(head);
        joined = joined.join(Sum::new().add_bytes(head));
        rest = tail;
    }
    assert_eq!(added.checksum(), expected, "in pieces");
    assert_eq!(const_added.checksum(), expected, "in pieces, in constants");
    assert_eq!(joined.checksum(), expected, "joined from sums of pieces");

    if data.len() <= 128 {
        for at in 0..=data.len() {
            let (head, tail) = data.split_at(at);
            let sum = Sum::new().add_bytes(head).add_bytes(tail);
            assert_eq!(sum.checksum(), expected, "split at {at}");
        }
    }

    // The same bytes as values, where they divide into values.
    let mut values = Sum::new();
    let mut words = data.chunks_exact(6);
    for six in words.by_ref() {
        values = values
            .add_u16(oracle::u16_at(six, 0))
            .add_u32(u32::from_be_bytes(oracle::address_at(six, 2)));
    }
    let values = values.add_bytes(words.remainder());
    assert_eq!(values.checksum(), expected, "as values");

    if let Some(header) = data.first_chunk::<20>() {
        let headed = Sum::new().add_header(header).add_bytes(&data[20..]);
        assert_eq!(headed.checksum(), expected, "as a header and the rest");
        let odd = Sum::new().add_bytes(&[0x5a]).add_header(header);
        let bytes = [&[0x5a], &header[..]].concat();
        assert_eq!(
            odd.checksum(),
            oracle::checksum(&bytes),
            "a header at an odd offset"
        );
    }
}

/// P-12: the sum does not know the order of the words.
pub fn law_checksum_ignores_word_order(case: &ChecksumCase) {
    let even = &case.data.0[..case.data.0.len() & !1];
    let mut words: Vec<&[u8]> = even.chunks(2).collect();
    words.reverse();
    let turn = case.alignment.min(words.len());
    words.rotate_left(turn);
    assert_eq!(checksum(&words.concat()), checksum(even));
}

/// P-07, C-07, C-10, C-11, C-15: an update equals a recomputation, and a wrong checksum stays wrong
/// by the same amount.
pub fn law_incremental_equals_full(case: &UpdateCase) {
    let mut data = case.data.0.clone();
    let field = |data: &[u8]| oracle::u16_at(data, 0);
    let recomputed = |data: &[u8]| oracle::checksum(&[&[0, 0], &data[2..]].concat());
    // With nothing but zeros around the field the two encodings of zero are not the same (C-09).
    let has_ones = |data: &[u8]| data[2..].iter().any(|&byte| byte != 0);

    let first = field(&data);
    let residue = oracle::residue(&data);
    let is_canonical = recomputed(&data) == first;
    let mut stays_nonzero = has_ones(&data);
    let mut gathered = Delta::new();
    for &edit in &case.edits {
        let before = field(&data);
        let edit = Edit::of(edit, &data);
        data[edit.at..edit.at + edit.new.len()].copy_from_slice(&edit.new);
        stays_nonzero &= has_ones(&data);

        let after = edit.gather(Delta::new()).apply(before);
        assert_eq!(edit.by_function(before), after, "the function for {edit:?}");
        gathered = edit.gather(gathered);
        assert_eq!(
            gathered.apply(first),
            after,
            "one fold differs from several"
        );

        oracle::put_u16(&mut data, 0, after);
        assert_eq!(
            oracle::residue(&data),
            residue,
            "{edit:?} changed the error"
        );
        if residue == 0 && stays_nonzero {
            assert!(verify(&data), "no longer verifies after {edit:?}");
        }
    }
    if is_canonical && stays_nonzero {
        assert_eq!(
            field(&data),
            recomputed(&data),
            "an update differs from a recomputation"
        );
    }
}

/// A [`Replacement`] in certain data, behind the checksum field.
#[derive(Debug)]
struct Edit {
    at: usize,
    old: Vec<u8>,
    new: Vec<u8>,
    is_run: bool,
}

impl Edit {
    fn of(replacement: Replacement, data: &[u8]) -> Self {
        let place = |place: u16, width: usize| 2 + usize::from(place) % (data.len() - 1 - width);
        let (at, new) = match replacement {
            Replacement::Word(at, new) => (place(at, 2), new.to_be_bytes().to_vec()),
            Replacement::Double(at, new) => (place(at, 4), new.to_be_bytes().to_vec()),
            Replacement::Nothing(at) => {
                let at = place(at, 2);
                (at, data[at..at + 2].to_vec())
            }
            Replacement::Zeros(at) => (place(at, 2), vec![0, 0]),
            Replacement::Ones(at) => (place(at, 2), vec![0xff, 0xff]),
            Replacement::Run(at, len, fill) => {
                let at = place(at, 2) & !1;
                let len = u8::try_from(data.len() - at).unwrap_or(u8::MAX).min(len);
                (at, (0..len).map(|i| fill.wrapping_mul(i | 1)).collect())
            }
        };
        Self {
            at,
            old: data[at..at + new.len()].to_vec(),
            new,
            is_run: matches!(replacement, Replacement::Run(..)),
        }
    }

    /// Old and new value, widened; how many bytes they have, and whether they stand at an odd offset.
    fn values(&self) -> (u32, u32, usize, bool) {
        let value = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |value, &byte| value << 8 | u32::from(byte))
        };
        (
            value(&self.old),
            value(&self.new),
            self.new.len(),
            self.at % 2 == 1,
        )
    }

    fn gather(&self, delta: Delta) -> Delta {
        if self.is_run {
            let [old, new] = [&self.old, &self.new].map(|bytes| Sum::new().add_bytes(bytes).fold());
            return delta.replace_u16(old, new);
        }
        let (old, new, len, is_odd) = self.values();
        let [narrow_old, narrow_new] =
            [old, new].map(|value| u16::try_from(value & 0xffff).unwrap());
        match (len, is_odd) {
            (2, false) => delta.replace_u16(narrow_old, narrow_new),
            (2, true) => delta.replace_odd_u16(narrow_old, narrow_new),
            (_, false) => delta.replace_u32(old, new),
            (_, true) => delta.replace_odd_u32(old, new),
        }
    }

    /// The new checksum by the function for one change.
    fn by_function(&self, checksum: u16) -> u16 {
        if self.is_run {
            let [old, new] = [&self.old, &self.new].map(|bytes| Sum::new().add_bytes(bytes));
            return Delta::between(old, new).apply(checksum);
        }
        let (old, new, len, is_odd) = self.values();
        let [narrow_old, narrow_new] =
            [old, new].map(|value| u16::try_from(value & 0xffff).unwrap());
        match (len, is_odd) {
            (2, false) => update_u16(checksum, narrow_old, narrow_new),
            (2, true) => update_odd_u16(checksum, narrow_old, narrow_new),
            (_, false) => update_u32(checksum, old, new),
            (_, true) => Delta::new().replace_odd_u32(old, new).apply(checksum),
        }
    }
}
