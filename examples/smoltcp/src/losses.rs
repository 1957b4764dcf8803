/// What a device has lost by itself, of which the endpoint's [`Tally`](ipencap::tunnel::Tally) cannot know: packets. Each
/// counter wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Losses {
    /// Packets from the inner stack that were empty, or longer than a [`Buffer`](crate::Buffer) without the tunnel's headers.
    /// smoltcp sends none.
    pub too_long_from_inner: u32,
    /// Packets from the network that were longer than a [`Buffer`](crate::Buffer).
    pub too_long_from_network: u32,
    /// Packets from the network that came while all buffers to the inner stack were full.
    pub no_room_for_inner: u32,
    /// ICMP errors to the inner stack for which there was no buffer, or only too short ones.
    pub no_room_for_error: u32,
    /// Packets that the endpoint had counted as sent, but that could not be wrapped, or not all of their fragments: their
    /// peer was removed in the meantime, or replaced by one with longer headers.
    pub not_wrapped: u32,
    /// Outer packets and datagrams that the outer stack's socket never takes: they are longer than its buffer, or the
    /// socket is not bound.
    pub never_taken: u32,
}

impl Losses {
    /// All zero.
    pub(crate) const NONE: Self = Self {
        too_long_from_inner: 0,
        too_long_from_network: 0,
        no_room_for_inner: 0,
        no_room_for_error: 0,
        not_wrapped: 0,
        never_taken: 0,
    };
}

/// One more.
pub(crate) const fn count(counter: &mut u32) {
    *counter = counter.wrapping_add(1);
}
