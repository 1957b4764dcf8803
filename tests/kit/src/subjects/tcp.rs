use arbitrary::{Result, Unstructured};
use ipencap::encap::Tunnel;
use ipencap::shim::Tcp;
use ipencap::wire::{LengthPrefix, TcpFlags};

use super::{Layer, generated_outer, typical_outer};
use crate::generate::odds;
use crate::oracle::{self, NaiveTcp, OuterPolicy};
use crate::registry::{Endpoints, Enrol, Wishes};

/// [`Tcp`].
pub type TcpSubject = Layer<Tunnel<Tcp>, Tcp, NaiveTcp>;

impl TcpSubject {
    fn of(naive: NaiveTcp) -> Self {
        let [source_port, destination_port] = naive.ports;
        let mut received = Tcp::new(0, destination_port);
        let mut sent = Tcp::new(source_port, destination_port)
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
            sent = sent.with_framing(framing);
            received = received.with_framing(framing);
        }
        let outer = naive.outer;
        Self::of_tunnel(&outer, sent, received, naive).over_sockets()
    }
}

impl Enrol for TcpSubject {
    type Tunnel = Tunnel<Tcp>;

    fn tunnel(&self) -> Self::Tunnel {
        self.encapsulator
    }

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
