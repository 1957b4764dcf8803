//! The groups of answers, and how many of each were right.

use core::fmt::Arguments;

use crate::{arrivals, checksums, departures};

/// Says something, and counts what was compared.
pub struct Report<'a> {
    say: &'a mut dyn FnMut(Arguments<'_>),
    right: u32,
    wrong: u32,
}

impl Report<'_> {
    pub fn expect(&mut self, is_right: bool, what: Arguments<'_>) {
        if is_right {
            self.right += 1;
            return;
        }
        self.wrong += 1;
        // The first few are enough to see.
        if self.wrong <= 10 {
            (self.say)(format_args!("WRONG: {what}\n"));
        }
    }

    /// One group of answers.
    fn group(&mut self, name: &str, check: fn(&mut Self)) {
        let before = self.right;
        check(self);
        let right = self.right - before;
        (self.say)(format_args!("{name}: {right} right\n"));
        // A group that compares nothing proves nothing.
        self.wrong += u32::from(right == 0);
    }
}

/// Whether this machine gives the known answers.
pub fn check(say: &mut dyn FnMut(Arguments<'_>)) -> bool {
    let mut report = Report {
        say,
        right: 0,
        wrong: 0,
    };
    report.group("checksums", checksums::check);
    report.group("golden packets, in every way", departures::check_golden);
    report.group("limits", departures::check_limits);
    report.group("stacks", departures::check_stacks);
    report.group("the kernel's packets", arrivals::check_kernel);
    report.group("ECN pairs", arrivals::check_ecn);
    report.group("flipped bits", arrivals::check_flipped);
    let (right, wrong) = (report.right, report.wrong);
    (report.say)(format_args!("{right} right, {wrong} wrong\n"));
    wrong == 0
}
