//! Runs one job of the instruction counts some times, with a configuration and packets that the
//! compiler does not know.

use core::hint::black_box;
use core::net::Ipv4Addr;

use ipencap::Span;
use ipencap::encap::{
    ChecksumPolicy, Decapsulator, IpIp, PerPacket, Role, SourcePort, Stack, Tcp, Template, Udp,
};
use ipencap::filter::{PointToPoint, Prefix};
use ipencap::packet::{Packet, Proven};
use ipencap::stream::{Decoder, StreamFraming};
use ipencap::wire::{Ecn, IpProtocol, Ipv4Header};

mod jobs;

/// How often a job runs; run.sh divides by it.
const TIMES: usize = 100;

const HEADROOM: usize = 128;

/// A buffer with a packet of `len` bytes behind some room, and where that lies.
fn buffer(len: u16, protocol: u8) -> (&'static mut [u8], Span) {
    let packet_len = usize::from(len);
    let mut bytes = vec![0; HEADROOM + packet_len];
    let (source, destination) = (Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9));
    let header = Ipv4Header::new(source, destination, IpProtocol(protocol), len);
    bytes[HEADROOM..HEADROOM + 20].copy_from_slice(header.as_bytes());
    (Vec::leak(bytes), Span::new(HEADROOM, packet_len))
}

fn proven(len: u16) -> Proven<'static> {
    let (bytes, span) = buffer(len, 6);
    Packet::new(bytes, span).prove().expect("a valid packet")
}

/// The jobs by name. Each makes its packet, and calls one function of `jobs`.
fn job(name: &str) -> Option<Box<dyn Fn()>> {
    let [a, b, c, d] = black_box(["198.51.100.1", "203.0.113.2", "192.0.2.1", "192.0.2.2"])
        .map(|address| address.parse::<Ipv4Addr>().expect("an address"));
    let ipip = black_box(IpIp::new(a, b).expect("unicast"));
    let other = black_box(IpIp::new(c, d).expect("unicast"));
    let forwarding = black_box(ipip.with_role(Role::Forward));
    let entropy = black_box(Udp::fou(a, b, 5555).expect("unicast"));
    let offload = black_box(entropy.with_source_port(SourcePort::Fixed(49152)));
    let zero = black_box(offload.with_checksum(ChecksumPolicy::Zero));
    let tcp = black_box(Tcp::new((a, 40001), (b, 443)).expect("unicast"));
    let sources: &'static [Prefix] = black_box(&[Prefix::ANY]);
    let receiver = black_box(Decapsulator::ipip(PointToPoint::new(b, a, sources)));
    let said: &'static PerPacket = Box::leak(Box::new(black_box(PerPacket::new())));
    let header = black_box([0x45; 20]);
    let outer = move || {
        let (bytes, span) = buffer(64, 6);
        ipencap::encap(&ipip, bytes, span, said).expect("wraps")
    };
    let frame = || {
        let (bytes, span) = buffer(64, 6);
        bytes.split_at_mut(span.start - 2).1
    };

    /// Runs the job on what is made anew each time, and looks at what it answers.
    macro_rules! on {
        ($job:ident, $($argument:expr),+) => {
            Box::new(move || {
                let _ = black_box(jobs::$job($($argument),+));
            })
        };
    }
    macro_rules! wraps {
        ($job:ident, $($argument:expr),+) => {
            Box::new(move || {
                let answer = black_box(jobs::$job($($argument),+));
                assert!(answer.is_ok(), "the job is not done");
            })
        };
    }
    Some(match name {
        "empty_of_header" => on!(empty_of_header, &header),
        "header_sum" => on!(header_sum, &header),
        "empty_of_words" => on!(empty_of_words, black_box(1), black_box(2), black_box(3)),
        "update" => on!(update, black_box(1), black_box(2), black_box(3)),
        "empty_of_header_and_ecn" => on!(
            empty_of_header_and_ecn,
            &mut Ipv4Header::from_bytes(header),
            black_box(Ecn::Ce)
        ),
        "rewrite_ecn" => on!(
            rewrite_ecn,
            &mut Ipv4Header::from_bytes(header),
            black_box(Ecn::Ce)
        ),
        "empty_of_proven" => on!(empty_of_proven, proven(64), &ipip, said),
        "ipip_proven_64" => wraps!(ipip_proven, proven(64), &ipip, said),
        "ipip_proven_1400" => wraps!(ipip_proven, proven(1400), &ipip, said),
        "ipip_proven_forwarding" => wraps!(ipip_proven, proven(64), &forwarding, said),
        "empty_of_buffer" => {
            let (bytes, span) = (|| buffer(64, 6), Span::new(HEADROOM, 64));
            on!(empty_of_buffer, bytes().0, span, &ipip, said)
        }
        "ipip_validated" => {
            let span = Span::new(HEADROOM, 64);
            wraps!(ipip_validated, buffer(64, 6).0, span, &ipip, said)
        }
        "ipip_validated_forwarding" => {
            let span = Span::new(HEADROOM, 64);
            wraps!(ipip_validated, buffer(64, 6).0, span, &forwarding, said)
        }
        "stack_x2" => {
            let stack = black_box(Stack {
                outer: other,
                inner: ipip,
            });
            wraps!(stack_x2, proven(64), &stack, said)
        }
        "template_x2" => {
            let template = black_box(Template::nested([ipip, other]));
            wraps!(template_x2, proven(64), &template, said)
        }
        "template_x3" => {
            let template = black_box(Template::nested([ipip, other, ipip]));
            wraps!(template_x3, proven(64), &template, said)
        }
        "template_x4" => {
            let template = black_box(Template::nested([ipip, other, ipip, other]));
            wraps!(template_x4, proven(64), &template, said)
        }
        "udp_zero" => wraps!(udp, proven(64), &zero, said),
        "udp_offload_64" => wraps!(udp, proven(64), &offload, said),
        "udp_offload_1400" => wraps!(udp, proven(1400), &offload, said),
        "udp_offload_9000" => wraps!(udp, proven(9000), &offload, said),
        "udp_offload_60000" => wraps!(udp, proven(60000), &offload, said),
        "udp_offload_entropy" => wraps!(udp, proven(64), &entropy, said),
        "tcp_offload" => wraps!(tcp, proven(1400), &tcp, said),
        "empty_of_bytes" => on!(empty_of_bytes, outer()),
        "decap_headers" => Box::new(move || {
            assert!(black_box(jobs::decap_headers(outer())).is_some());
        }),
        "empty_of_decap" => on!(empty_of_decap, outer(), &receiver),
        "decap" => wraps!(decap, outer(), &receiver),
        "empty_of_frame" => on!(empty_of_frame, frame()),
        "frame" => wraps!(frame, frame()),
        "empty_of_decoder" | "deframe" => {
            let framing = StreamFraming::Exclusive;
            let stream = framing.frame(frame()).expect("frames").to_vec();
            let is_job = name == "deframe";
            Box::new(move || {
                let mut room = [0; 2048];
                let mut decoder = Decoder::new(black_box(StreamFraming::Exclusive), &mut room);
                let mut input = &stream[..];
                if is_job {
                    assert!(black_box(jobs::deframe(&mut decoder, &mut input)));
                } else {
                    black_box(jobs::empty_of_decoder(&mut decoder, &mut input));
                }
            })
        }
        _ => return None,
    })
}

fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some(job) = job(&name) else {
        eprintln!("no job '{name}'");
        std::process::exit(2);
    };
    for _ in 0..TIMES {
        job();
    }
}
