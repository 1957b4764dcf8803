//! Path MTUs after a report: the table of the specification, with both floors.

use ipencap::pmtu::{Effect, PathMtu, PathMtuConfig, QuotedLen};
use ipencap::time::Instant;
use serde_json::Value;

use crate::Book;

/// And O-01, O-05, A-16, A-17.
#[test]
fn a_15_reports_of_too_big_packets() {
    reports(&mut Book::open());
}

fn length(value: &Value) -> u16 {
    value.as_u64().unwrap().try_into().unwrap()
}

/// A cell: a number, or a dash where nothing changes.
fn cell(value: &Value) -> Option<u16> {
    let text = value.as_str().unwrap();
    (text != "—").then(|| text.parse().unwrap())
}

pub(crate) fn reports(book: &mut Book) {
    book.each_row("ptb", |name, row| {
        let columns = [
            (552, "new_pmtu", "inner_mtu"),
            (68, "new_pmtu_floor68", "inner_mtu_floor68"),
        ];
        for (floor, new_pmtu, inner_mtu) in columns {
            let now = Instant::ZERO;
            let quoted = QuotedLen {
                total_len: length(&row["quoted_total_len"]),
                header_len: 20,
            };
            let config = PathMtuConfig {
                floor,
                ..PathMtuConfig::DEFAULT
            };
            let mut path = PathMtu::new(length(&row["current_tunnel_pmtu"]), config);
            let before = path;
            path.sent(now, quoted.total_len);
            let report = path.on_report(now, length(&row["reported_mtu"]), quoted);

            let overhead = usize::from(length(&row["overhead"]));
            let Some(new_pmtu) = cell(&row[new_pmtu]) else {
                assert!(matches!(report, Effect::Ignored(_)), "{name}: {report:?}");
                assert_eq!(path.get(now), before.get(now), "{name}: {floor}");
                continue;
            };
            assert_eq!(path.get(now), new_pmtu, "{name}: A-15, A-16, floor {floor}");
            let inner_mtu = cell(&row[inner_mtu]).unwrap();
            assert_eq!(path.inner_mtu(now, overhead), inner_mtu, "{name}: A-17");
            let is_below = row["note"].as_str().unwrap().contains("floored") && floor == 552;
            let expected = if is_below {
                Effect::BelowFloor { mtu: new_pmtu }
            } else {
                Effect::Lowered { mtu: new_pmtu }
            };
            assert_eq!(report, expected, "{name}: floor {floor}");
        }
    });
}
