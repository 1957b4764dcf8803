use core::hint::black_box;

use ipencap::packet::{Packet, PacketBuf};

use crate::given::{bytes, size, span};
use crate::helper::{cloneable, debug, seen};
use crate::packet::borrowed;

pub fn call() {
    owned::<0>();
    owned::<1600>();
}

fn owned<const N: usize>() {
    let mut received = black_box(PacketBuf::<N>::EMPTY);
    PacketBuf::receive(black_box(&mut received), size(), |free| {
        seen(free);
        size()
    });
    seen(PacketBuf::as_slice(black_box(&received)));
    let Some(mut packet) = black_box(PacketBuf::<N>::new(size(), bytes())) else {
        return;
    };
    seen(PacketBuf::headroom(black_box(&packet)));
    seen(PacketBuf::tailroom(black_box(&packet)));
    seen(PacketBuf::as_slice(black_box(&packet)));
    borrowed(&mut black_box(PacketBuf::as_packet(black_box(&mut packet))));
    seen(PacketBuf::with_packet(black_box(&mut packet), |packet| {
        // Any place in any buffer: also one that the owner's buffer does not have.
        *packet = black_box(Packet::new(black_box(&mut []), span()));
        size()
    }));
    seen(PacketBuf::as_slice(black_box(&packet)));
    cloneable::<PacketBuf<N>>(&packet);
    debug::<PacketBuf<N>>(&packet);
}
