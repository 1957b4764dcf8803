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
