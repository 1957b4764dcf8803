use core::hint::black_box;

use ipencap::icmp::{self, Bucket, BucketConfig, IcmpError, Kind, Relay, Report, ReportKind};
use ipencap::time::Instant;

use crate::given::{address, bytes, long_word, size, word};
use crate::helper::{cloneable, comparable, seen, value};

pub fn call(buffer: &mut [u8]) {
    outgoing(buffer);
    received();
    let config = black_box(BucketConfig {
        per_second: word(),
        burst: word(),
        key: long_word(),
    });
    let mut bucket = black_box(Bucket::new(config));
    let now = black_box(Instant::ZERO);
    seen(Bucket::take(black_box(&mut bucket), now));
    seen(Bucket::take_spare(black_box(&mut bucket), now));
    value::<BucketConfig>(config);
    value::<Bucket>(bucket);
}

fn outgoing(buffer: &mut [u8]) {
    let kind = || black_box(Kind::FragmentationNeeded { mtu: word() });
    seen(Kind::message_type(kind()));
    seen(Kind::code(kind()));
    value::<Kind>(kind());
    seen(IcmpError::about_quoted(bytes(), kind(), address()));
    let Ok(error) = black_box(IcmpError::about(bytes(), kind(), address())) else {
        return;
    };
    let error = black_box(IcmpError::with_quote_len(error, word()));
    let error = black_box(IcmpError::with_identification(error, word()));
    seen(IcmpError::kind(black_box(&error)));
    seen(IcmpError::source(black_box(&error)));
    seen(IcmpError::destination(black_box(&error)));
    seen(IcmpError::quote_len(black_box(&error)));
    seen(IcmpError::len(black_box(&error)));
    seen(IcmpError::header(black_box(&error), bytes()));
    seen(IcmpError::write(
        black_box(&error),
        bytes(),
        black_box(buffer),
    ));
    comparable::<IcmpError>(&error);
}

fn received() {
    let Ok(report) = black_box(icmp::read(bytes())) else {
        return;
    };
    seen(Report::kind(black_box(&report)));
    seen(Report::reporter(black_box(&report)));
    seen(Report::quote(black_box(&report)));
    seen(Report::quoted_len(black_box(&report)));
    seen(Report::relayed(black_box(&report), size()));
    cloneable::<Report<'_>>(&report);
    value::<ReportKind>(Report::kind(&report));
    value::<Relay>(black_box(Relay::TakeNote));
}
