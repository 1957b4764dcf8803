//! internet-checksum: sums and incremental updates.

/// The checksum of `bytes`.
#[inline(never)]
pub fn checksum(bytes: &[u8]) -> u16 {
    u16::from_be_bytes(internet_checksum::checksum(bytes))
}

/// A 16-bit word changes.
#[inline(never)]
pub fn update(checksum: u16, old: u16, new: u16) -> u16 {
    u16::from_be_bytes(internet_checksum::update(
        checksum.to_be_bytes(),
        &old.to_be_bytes(),
        &new.to_be_bytes(),
    ))
}

/// Another ToS, by an incremental update.
#[inline(never)]
pub fn set_tos(packet: &mut [u8], tos: u8) {
    let header = packet.first_chunk_mut::<20>().expect("20 bytes");
    let checksum = [header[10], header[11]];
    let checksum = internet_checksum::update(checksum, &header[..2], &[header[0], tos]);
    header[1] = tos;
    header[10..12].copy_from_slice(&checksum);
}
