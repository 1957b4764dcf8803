use arbitrary::{Result, Unstructured};
use ipencap::encap::{Tcp, TcpCarrier};
use ipencap::wire::{LengthPrefix, TcpFlags};

use super::{Layer, ends, generated_outer, typical_outer, with_outer};
use crate::generate::odds;
use crate::oracle::{self, NaiveTcp, OuterPolicy};
use crate::registry::{Endpoints, Enrol, Wishes};

/// [`Tcp`].
pub type TcpSubject = Layer<Tcp, TcpCarrier, NaiveTcp>;

impl TcpSubject {
    fn of(naive: NaiveTcp) -> Self {
        let (source, destination) = ends(&naive.outer);
        let [source_port, destination_port] = naive.ports;
        let mut carrier = TcpCarrier::new(destination_port);
        let tunnel = Tcp::new((source, source_port), (destination, destination_port)).unwrap();
        let mut tunnel = with_outer!(tunnel, naive.outer)
            .with_flags(TcpFlags::from_bits_truncate(naive.flags))
            .with_window(naive.window)
            .with_options(&naive.options)
            .unwrap();
        if let Some(itself) = naive.prefix {
            let framing = if itself == 0 {
                LengthPrefix::Exclusive
            } else {
                LengthPrefix::Inclusive
            };
            tunnel = tunnel.with_framing(framing);
            carrier = carrier.with_framing(framing);
        }
        let outer = naive.outer;
        Self::new(tunnel, carrier, naive, &outer).over_sockets()
    }
}

impl Enrol for TcpSubject {
    fn generate(u: &mut Unstructured<'_>, wishes: Wishes) -> Result<Self> {
        let option_words = if odds(u, 1, 2)? {
            u.int_in_range(0..=10usize)?
        } else {
            0
        };
        Ok(Self::of(NaiveTcp {
            outer: generated_outer(u, wishes)?,
            ports: [u.arbitrary()?, *u.choose(&[443, 4500, 0, 65535])?],
            flags: u.int_in_range(0..=0x1ff)?,
            window: u.arbitrary()?,
            options: (0..option_words * 4)
                .map(|_| u.arbitrary())
                .collect::<Result<_>>()?,
            prefix: *u.choose(&[None, Some(0), Some(2)])?,
        }))
    }

    fn typical(endpoints: Endpoints) -> Self {
        Self::of(NaiveTcp {
            // One connection answers to congestion for all: neither mark nor class is copied (N-02,
            //
            outer: OuterPolicy {
                dscp: Some(0),
                ecn: oracle::ECN_COMPATIBILITY,
                ..typical_outer(endpoints)
            },
            ports: [40000, 443],
            flags: 0x18,
            window: 512,
            options: vec![],
            prefix: None,
        })
    }

    fn forms(outer: OuterPolicy) -> Vec<(String, Self)> {
        let timestamps = [1, 1, 8, 10, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88];
        let mut forms = Vec::new();
        for (options, with) in [(&[][..], "no options"), (&timestamps, "timestamps")] {
            let framings = [
                (None, "bare"),
                (Some(0), "exclusive"),
                (Some(2), "inclusive"),
            ];
            for (prefix, framing) in framings {
                let naive = NaiveTcp {
                    outer,
                    ports: [40000, 443],
                    flags: 0x18,
                    window: 512,
                    options: options.to_vec(),
                    prefix,
                };
                forms.push((format!("{framing}, {with}"), Self::of(naive)));
            }
        }
        forms
    }
}
