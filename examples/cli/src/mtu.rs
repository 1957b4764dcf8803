//! What a tunnel costs: overhead, inner MTU, TCP segment size and efficiency.

use ipencap::encap::Encapsulate;
use ipencap::mtu::{Efficiency, Overhead};
use serde_json::{Value, json};

use crate::failure::{Failure, print};
use crate::tunnel::Spec;

/// A tunnel, or a stack of them, by name.
struct Stack {
    name: String,
    /// Outermost first: names and lengths in bytes.
    headers: Vec<(&'static str, usize)>,
    overhead: Overhead,
    /// The longest outer packet that the tunnels' own `mtu` allows, in bytes: `None` if they have none.
    max_len: Option<u32>,
}

/// The comparison: each kind by its specifications, innermost first.
const KINDS: [(&str, &[&str]); 17] = [
    ("plain", &[]),
    ("minenc, own source", &["minenc,keep_source=no"]),
    ("minenc", &["minenc"]),
    ("ipip", &["ipip"]),
    ("ipip x2", &["ipip", "ipip"]),
    ("ipip x3", &["ipip", "ipip", "ipip"]),
    ("gre", &["gre"]),
    ("gre with key", &["gre,key=1"]),
    ("gre with all", &["gre,key=1,csum=yes,seq=yes"]),
    ("fou", &["fou,dport=5555"]),
    ("gue", &["gue"]),
    ("ipip in fou", &["ipip", "fou,dport=5555"]),
    ("ipip in gue", &["ipip", "gue"]),
    ("tcp", &["tcp,sport=40001,dport=443"]),
    (
        "tcp, timestamps",
        &["tcp,sport=40001,dport=443,timestamps=yes"],
    ),
    (
        "tcp stream",
        &["tcp,sport=40001,dport=443,framing=exclusive"],
    ),
    (
        "tcp stream, ts",
        &["tcp,sport=40001,dport=443,framing=exclusive,timestamps=yes"],
    ),
];

/// `ipencap mtu`: a table, or an array of JSON objects.
pub(crate) fn run(links: &[u32], tunnels: &[Spec], as_json: bool) -> Result<(), Failure> {
    let stacks = if tunnels.is_empty() {
        comparison()?
    } else {
        vec![Stack::of(named(tunnels), tunnels)]
    };
    let links = if links.is_empty() { &[1500] } else { links };
    let text = if as_json {
        let rows = stacks
            .iter()
            .flat_map(|stack| links.iter().map(|&link| stack.json(link)));
        format!("{:#}\n", Value::Array(rows.collect()))
    } else {
        table(&stacks, links)
    };
    print(&text)
}

fn comparison() -> Result<Vec<Stack>, Failure> {
    let ends = ",src=198.51.100.1,dst=203.0.113.2";
    let stack = |&(name, specs): &(&str, &[&str])| {
        let tunnels = specs
            .iter()
            .map(|spec| Spec::parse(&format!("{spec}{ends}")).map_err(Failure::new))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Stack::of(name.to_owned(), &tunnels))
    };
    KINDS.iter().map(stack).collect()
}

/// `ipip in fou`: the innermost first.
fn named(tunnels: &[Spec]) -> String {
    let kinds: Vec<&str> = tunnels.iter().map(Spec::kind).collect();
    kinds.join(" in ")
}

/// The longest outer packet of the stack, where a tunnel's `mtu` limits it.
fn max_len(tunnels: &[Spec]) -> Option<u32> {
    let stack: Vec<_> = tunnels.iter().map(Spec::tunnel).collect();
    let max_len = stack.as_slice().max_len();
    (!stack.is_empty() && max_len < u16::MAX).then_some(max_len.into())
}

impl Stack {
    fn of(name: String, tunnels: &[Spec]) -> Self {
        let outermost_first = || tunnels.iter().rev();
        Self {
            name,
            headers: outermost_first()
                .flat_map(|tunnel| tunnel.headers().iter().copied())
                .collect(),
            overhead: tunnels.iter().fold(Overhead::NONE, |inside, tunnel| {
                Overhead::of_bytes(tunnel.overhead()).around(inside)
            }),
            max_len: max_len(tunnels),
        }
    }

    /// What the link carries of this stack's packets.
    fn usable(&self, link: u32) -> u32 {
        self.max_len.map_or(link, |max_len| link.min(max_len))
    }

    fn json(&self, link: u32) -> Value {
        let usable = self.usable(link);
        json!({
            "name": self.name,
            "link": link,
            "overhead": self.overhead.bytes(),
            "inner_mtu": self.overhead.inner_mtu(usable),
            "tcp_mss": self.overhead.tcp_mss(usable),
            "efficiency": self.overhead.efficiency(usable).map(Efficiency::ratio),
        })
    }

    fn row(&self, link: u32) -> String {
        let or_none = |value: Option<u32>| value.map_or("-".to_owned(), |value| value.to_string());
        let share = |efficiency: Option<Efficiency>| {
            efficiency.map_or("-".to_owned(), |efficiency| {
                format!("{:.2} %", efficiency.ratio() * 100.0)
            })
        };
        let usable = self.usable(link);
        format!(
            "  {:<20} {:>6} {:>9} {:>10} {:>8} {:>11} {:>12}\n",
            self.name,
            link,
            or_none(self.overhead.bytes()),
            or_none(self.overhead.inner_mtu(usable)),
            or_none(self.overhead.tcp_mss(usable)),
            share(self.overhead.efficiency(usable)),
            share(self.overhead.ethernet_efficiency(usable)),
        )
    }

    /// A column a byte; every header begins with a bar.
    fn drawing(&self) -> String {
        let headers = self.headers.iter().map(|&(name, len)| {
            let label: String = name.chars().take(len - 1).collect();
            format!("|{label:<width$}", width = len - 1)
        });
        format!(
            "  {:<20} {}| inner packet\n",
            self.name,
            headers.collect::<String>()
        )
    }
}

fn table(stacks: &[Stack], links: &[u32]) -> String {
    let mut text = format!(
        "  {:<20} {:>6} {:>9} {:>10} {:>8} {:>11} {:>12}\n  {}\n",
        "tunnel",
        "link",
        "overhead",
        "inner MTU",
        "TCP MSS",
        "of packet",
        "of Ethernet",
        "─".repeat(82)
    );
    for stack in stacks {
        for &link in links {
            text += &stack.row(link);
        }
    }
    text += "\nHeaders to scale, a column a byte:\n";
    for stack in stacks {
        text += &stack.drawing();
    }
    text
}
