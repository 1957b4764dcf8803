//! What the fuzz targets share. The laws are those of `tests/kit`, and so are their inputs.

/// Hands the input to one of `kinds`, by its first byte: a case of one type, and the laws about it.
pub fn one_of(kinds: &[fn(&[u8])], input: &[u8]) {
    let (&first, rest) = input.split_first().unwrap_or((&0, &[]));
    kinds[usize::from(first) % kinds.len()](rest);
}
