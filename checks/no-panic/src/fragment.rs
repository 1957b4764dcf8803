use core::hint::black_box;

use ipencap::fragment::{
    self, Added, Evicted, Fragment, Fragments, Limits, Plan, Reassembler, Slot, SlotId,
};
use ipencap::time::{Duration, Instant};
use ipencap::wire::Ipv4;

use crate::given::{byte, bytes, double_word, long_word, size, word};
use crate::helper::{cloneable, seen, value};

pub fn call(buffer: &mut [u8]) {
    split(buffer);
    if let Ok(packet) = Ipv4::parse(bytes()) {
        seen(fragment::check_tcp_fragment(black_box(packet)));
    }
    reassemble(buffer);
}

fn split(buffer: &mut [u8]) {
    let Ok(planned) = black_box(fragment::plan(bytes(), word())) else {
        return;
    };
    seen(Plan::count(planned));
    seen(Plan::is_whole(planned));
    value::<Plan>(planned);
    let Ok(mut fragments) = black_box(Plan::fragments(planned, bytes())) else {
        return;
    };
    cloneable::<Fragments>(&fragments);
    while let Some(fragment) = <Fragments as Iterator>::next(black_box(&mut fragments)) {
        let fragment = black_box(fragment);
        seen(Fragment::header(black_box(&fragment)));
        seen(Fragment::option_bytes(black_box(&fragment)));
        seen(Fragment::body(black_box(&fragment)));
        seen(Fragment::len(black_box(&fragment)));
        let out = black_box(&mut *buffer);
        seen(Fragment::write(black_box(&fragment), bytes(), out));
        let out = black_box(&mut *buffer);
        seen(Fragment::write_in_place(black_box(&fragment), out, size()));
        cloneable::<Fragment>(&fragment);
    }
}

fn reassemble(buffer: &mut [u8]) {
    let instant = || Instant::from_millis(long_word());
    let limits = || Limits {
        timeout: Duration::from_millis(long_word()),
        per_peer: word(),
        min_len: word(),
        max_fragments: byte(),
        max_distance: byte(),
    };
    seen(<Limits as Default>::default());
    value::<Limits>(limits());
    seen(<Slot as Default>::default());
    let mut slots = [Slot::new(); 8];
    cloneable::<Slot>(&slots[0]);
    seen(Reassembler::memory_len(size(), size()));
    let slots = black_box(slots.as_mut_slice());
    let mut reassembler = black_box(Reassembler::new(slots, black_box(buffer), limits()));
    seen(Reassembler::payload_len(black_box(&reassembler)));
    loop {
        let reassembler = black_box(&mut reassembler);
        match black_box(Reassembler::add(
            reassembler,
            instant(),
            double_word(),
            bytes(),
        )) {
            Ok(added) => {
                value::<Added>(added);
                match added {
                    Added::Complete(slot) => {
                        seen(Reassembler::packet(reassembler, black_box(slot)));
                        value::<SlotId>(slot);
                    }
                    Added::Held {
                        evicted: Some(evicted),
                    } => value::<Evicted>(evicted),
                    _ => {}
                }
            }
            Err(_) => break,
        }
        seen(Reassembler::next_deadline(reassembler));
        seen(Reassembler::expire(reassembler, instant()));
    }
}
