//! Every layout of options, up to the full 40 bytes.
//!
//! A layout is a list of lengths; 40 bytes have 2^39. What is read next depends on the bytes that are
//! left and nothing else, so that all of them follow from every first step at every remainder. Covered
//! are
//!
//! * the step: every kind and every length byte in front of every remainder up to 40 bytes, and that
//!   behind it the same is read as from a list that begins there;
//! * every layout of up to 20 bytes, and every one of 40 bytes with at most four options.

use ipencap::decap::{Decapsulate, Receiver};
use ipencap::decap::{PointToPoint, Prefix};
use ipencap::error::{ParseError, Reason};
use ipencap::shim::IpIp;
use ipencap::wire::{HeaderOptions, Ipv4};
use ipencap_kit::oracle::Plain;

use crate::{L, R, inner};

/// An option as it is read: its kind and how many bytes it takes, or that it breaks the list.
type Step = Option<Result<(u8, usize), ParseError>>;

fn first(bytes: &[u8]) -> Step {
    let option = HeaderOptions::new(bytes).next()?;
    Some(option.map(|option| {
        let len = if option.kind() == 1 {
            1
        } else {
            2 + option.data().len()
        };
        (option.kind(), len)
    }))
}

/// RFC 791 §3.1: the end of the list, one byte without operation, or a length within the header.
fn expected_first(bytes: &[u8]) -> Step {
    match *bytes {
        [] | [0, ..] => None,
        [1, ..] => Some(Ok((1, 1))),
        [kind, len, ..] if len >= 2 && usize::from(len) <= bytes.len() => {
            Some(Ok((kind, len.into())))
        }
        [kind, ..] => Some(Err(ParseError::BadOption { kind })),
    }
}

/// What is read from a list that begins `at` bytes into the options: kind and data of each option, and
/// where it stands.
fn placed(
    options: HeaderOptions<'_>,
    at: usize,
) -> impl Iterator<Item = Result<(u8, &[u8], usize), ParseError>> {
    options.map(move |option| {
        let option = option?;
        Ok((option.kind(), option.data(), at + option.offset()))
    })
}

#[test]
fn v_13_s_03_every_step_at_every_remainder() {
    for remainder in 0..=40_usize {
        // What stands behind: options of two bytes.
        let mut bytes: Vec<u8> = (0..remainder).map(|_| 2).collect();
        let kinds = if remainder > 0 { 256 } else { 1 };
        let lengths = if remainder > 1 { 256 } else { 1 };
        for kind in 0..kinds {
            for length in 0..lengths {
                if let Some(byte) = bytes.first_mut() {
                    *byte = u8::try_from(kind).unwrap();
                }
                if let Some(byte) = bytes.get_mut(1) {
                    *byte = u8::try_from(length).unwrap();
                }
                let step = first(&bytes);
                assert_eq!(step, expected_first(&bytes), "{bytes:?}");
                let mut options = HeaderOptions::new(&bytes);
                let _ = options.next();
                match step {
                    Some(Ok((_, len))) => {
                        let behind = HeaderOptions::new(&bytes[len..]);
                        assert!(placed(options, 0).eq(placed(behind, len)), "{bytes:?}");
                    }
                    _ => assert_eq!(options.next(), None, "nothing is read behind an end"),
                }
            }
        }
    }
}

/// Writes the options of a layout; all of `kind` that have room for a length.
pub(crate) fn lay_out(lengths: &[usize], kind: u8, bytes: &mut Vec<u8>) {
    bytes.clear();
    for &len in lengths {
        if len == 1 {
            bytes.push(1);
        } else {
            bytes.extend([kind, u8::try_from(len).unwrap()]);
            bytes.resize(bytes.len() + len - 2, 0xee);
        }
    }
}

/// Whether the options are read in just these lengths.
fn reads(bytes: &[u8], lengths: &[usize]) -> bool {
    let read = HeaderOptions::new(bytes).map(|option| {
        let option = option.ok()?;
        Some(if option.kind() == 1 {
            1
        } else {
            2 + option.data().len()
        })
    });
    read.eq(lengths.iter().copied().map(Some))
}

/// Calls `check` with every list of lengths that fills `len` bytes, of `most` options at most.
pub(crate) fn layouts(
    len: usize,
    most: usize,
    list: &mut Vec<usize>,
    check: &mut impl FnMut(&[usize]),
) {
    if len == 0 {
        check(list);
    } else if list.len() < most {
        for next in 1..=len {
            list.push(next);
            layouts(len - next, most, list, check);
            list.pop();
        }
    }
}

#[test]
fn v_13_s_03_every_layout() {
    let (mut count, mut bytes) = (0, Vec::new());
    for (len, most) in (0..=20).map(|len| (len, 20)).chain([(40, 4)]) {
        layouts(len, most, &mut Vec::new(), &mut |lengths| {
            lay_out(lengths, 148, &mut bytes);
            assert!(reads(&bytes, lengths), "{lengths:?}");
            count += 1;
        });
    }
    // 2^(n - 1) for each n, the empty one, and 39 choose 0 to 3.
    assert_eq!(count, (1 << 20) + 1 + 39 + 741 + 9139);
}

/// D-08: the source route is found wherever it stands, as long as what is in front of it can be read; in
/// every header length.
#[test]
fn v_14_d_08_source_route_in_every_layout() {
    static ANY: [Prefix; 1] = [Prefix::ANY];
    let receiver = Receiver::new(IpIp, PointToPoint::new(R.into(), L.into(), &ANY));
    let mut header = Plain {
        protocol: 4,
        source: L,
        destination: R,
        ..inner()
    };
    let payload = inner().packet(b"payload");
    let (mut refused, mut opened) = (0, 0);
    for words in 0..=10 {
        // Up to three options; one after the other is the route.
        layouts(words * 4, 3, &mut Vec::new(), &mut |lengths| {
            for route in (0..lengths.len()).filter(|&route| lengths[route] >= 2) {
                for kind in [131, 137, 7] {
                    lay_out(lengths, 148, &mut header.options);
                    let at = lengths[..route].iter().sum::<usize>();
                    header.options[at] = kind;
                    let packet = header.packet(&payload);
                    let is_route = kind != 7;
                    assert_eq!(
                        Ipv4::parse(&packet).unwrap().options().has_source_route(),
                        is_route
                    );
                    let reason = receiver
                        .inspect(&packet)
                        .err()
                        .map(|refused| refused.reason);
                    assert_eq!(
                        reason,
                        is_route.then_some(Reason::OuterSourceRoute),
                        "{lengths:?}"
                    );
                    *(if is_route { &mut refused } else { &mut opened }) += 1;
                    // Behind an end of the list it is none.
                    if at > 0 {
                        header.options[0] = 0;
                        let packet = header.packet(&payload);
                        assert!(receiver.inspect(&packet).is_ok());
                    }
                }
            }
        });
    }
    assert!(
        refused > 1000 && opened * 2 == refused,
        "{refused} and {opened}"
    );
}

/// The control: a reader that takes a length of 0 or 1 for one byte, and one that reads beyond the end.
#[test]
fn v_13_wrong_readers_are_found() {
    let lenient = |bytes: &[u8]| match *bytes {
        [kind, len, ..] if kind > 1 && len < 2 => Some(Ok((kind, 1))),
        _ => expected_first(bytes),
    };
    let beyond = |bytes: &[u8]| match *bytes {
        [kind, len, ..] if kind > 1 && len >= 2 => Some(Ok((kind, usize::from(len)))),
        _ => expected_first(bytes),
    };
    let wrong: [fn(&[u8]) -> Step; 2] = [lenient, beyond];
    for wrong in wrong {
        let differs = |length: u8| wrong(&[148, length, 2, 2]) != first(&[148, length, 2, 2]);
        assert!((0..=255).any(differs));
    }
    assert!(!reads(&[148, 4, 0, 0], &[2, 2]) && !reads(&[148, 4, 0, 0], &[4, 1]));
}
