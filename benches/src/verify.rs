//! The proof that contenders do the same work: byte for byte what ipencap does, or a panic.

use core::fmt::Debug;

use crate::is_limit;
use crate::packet_work::{Case, PacketContender, REFUSED};

/// Every contender leaves the same buffer and gives the same answer as the first, which is ipencap.
pub fn packet_work<S: Debug>(contenders: &[PacketContender<S>], setup: &S, case: &Case) {
    let label = &case.label;
    let mut expected = None;
    for contender in contenders {
        let name = contender.one.name;
        if is_limit(name) {
            continue;
        }
        let mut buffer = case.buffer.clone();
        let answer = (contender.one.run)(setup, &mut buffer, case.packet);
        assert_ne!(answer, REFUSED, "{name} refuses {label}");
        let (first, expected_answer, expected_buffer) =
            expected.get_or_insert_with(|| (name, answer, buffer.clone()));
        assert_eq!(answer, *expected_answer, "{name} and {first} on {label}");
        let difference = buffer
            .iter()
            .zip(&*expected_buffer)
            .position(|(a, b)| a != b);
        assert_eq!(
            difference, None,
            "{name} and {first} differ on {label} at this byte"
        );
    }
}

/// Every contender refuses the packet of `case` with any one bit of its first header turned.
pub fn refusals<S: Debug>(contenders: &[PacketContender<S>], setup: &S, case: &Case) {
    for contender in contenders {
        let name = contender.one.name;
        if is_limit(name) {
            continue;
        }
        for bit in 0..160 {
            let mut buffer = case.buffer.clone();
            buffer[case.packet.start + bit / 8] ^= 0x80 >> (bit % 8);
            let answer = (contender.one.run)(setup, &mut buffer, case.packet);
            assert_eq!(answer, REFUSED, "{name} accepts with bit {bit} turned");
        }
    }
}

#[cfg(test)]
mod tests {
    use ipencap::Span;

    use super::{Case, packet_work, refusals};
    use crate::contenders::etherparse::Etherparse;
    use crate::contenders::ours::{Encap, Ipip, Setup, Tunnels};
    use crate::contenders::peer;
    use crate::fixtures::{self, Payload};
    use crate::packet_work::{PacketContender, PacketWork, contender};

    /// Right but for one byte of the header: the TTL.
    struct WrongTtl;

    impl PacketWork<Setup> for WrongTtl {
        fn run(setup: &Setup, buffer: &mut [u8], packet: Span) -> usize {
            let start = Encap::<Ipip<1>>::run(setup, buffer, packet);
            buffer[start + 8] ^= 1;
            start
        }
    }

    fn setup() -> Setup {
        let layers = fixtures::layers();
        (layers, Tunnels::new(&layers))
    }

    fn with(other: PacketContender<Setup>) -> Vec<PacketContender<Setup>> {
        vec![contender::<_, Encap<Ipip<1>>>("ipencap"), other]
    }

    fn case() -> Case {
        Case::new("a packet", &fixtures::packet(64, 0, Payload::Udp, 1))
    }

    #[test]
    fn the_same_bytes_pass() {
        let other = contender::<_, peer::Ipip<Etherparse, 1, true>>("etherparse");
        packet_work(&with(other), &setup(), &case());
    }

    #[test]
    #[should_panic(expected = "differ")]
    fn a_wrong_byte_is_seen() {
        packet_work(&with(contender::<_, WrongTtl>("wrong")), &setup(), &case());
    }

    #[test]
    #[should_panic(expected = "accepts")]
    fn a_packet_that_should_be_refused_is_seen() {
        let careless = contender::<_, peer::Ipip<Etherparse, 1, false>>("careless");
        refusals(&with(careless), &setup(), &case());
    }
}
