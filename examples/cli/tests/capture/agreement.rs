//! What pcap-parser reads of every capture is what we read.

use std::fs::{self, File};
use std::path::Path;

use ipencap_cli::capture::Timestamp;
use pcap_parser::{Block, PcapBlockOwned, PcapError, create_reader};

use crate::{Packets, read, shared};

#[test]
fn another_reader_finds_the_same_packets() {
    let mut packets = 0;
    for capture in shared::captures() {
        let (ours, end) = read(&fs::read(&capture).unwrap());
        let name = capture.display();
        assert!(end.is_ok(), "{name}: {}", end.unwrap_err());
        let theirs = theirs(&capture);
        assert_eq!(ours.len(), theirs.len(), "{name}");
        for (number, (ours, theirs)) in (1..).zip(ours.iter().zip(&theirs)) {
            assert_eq!(ours, theirs, "{name}, packet {number}");
        }
        packets += ours.len();
    }
    println!("{packets} packets compared");
    assert!(packets > 100);
}

fn theirs(capture: &Path) -> Packets {
    let mut reader = create_reader(1 << 20, File::open(capture).unwrap()).unwrap();
    let mut packets = Vec::new();
    let (mut file, mut interfaces) = (None, Vec::new());
    let time = |seconds, microseconds| Timestamp {
        seconds,
        microseconds,
    };
    loop {
        let consumed = match reader.next() {
            Ok((consumed, block)) => {
                match block {
                    PcapBlockOwned::LegacyHeader(header) => file = Some(header),
                    PcapBlockOwned::Legacy(record) => {
                        let header = file.as_ref().expect("a file header comes first");
                        let nanoseconds = header.is_nanosecond_precision();
                        let unit = if nanoseconds { 1000 } else { 1 };
                        let link_type = header.network.0.cast_unsigned() & 0x0fff_ffff;
                        packets.push((
                            link_type,
                            time(record.ts_sec, record.ts_usec / unit),
                            record.data.to_vec(),
                        ));
                    }
                    PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                        interfaces.push((
                            interface.linktype.0.cast_unsigned(),
                            interface.ts_resolution().expect("a resolution"),
                            interface.snaplen,
                        ));
                    }
                    PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                        let (link_type, resolution, _) = interfaces[packet.if_id as usize];
                        let (seconds, fraction) = packet.decode_ts(0, resolution);
                        let microseconds = u64::from(fraction) * 1_000_000 / resolution;
                        packets.push((
                            link_type,
                            time(seconds, microseconds as u32),
                            packet.data[..packet.caplen as usize].to_vec(),
                        ));
                    }
                    PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                        let (link_type, _, snaplen) = interfaces[0];
                        let limit = if snaplen == 0 { u32::MAX } else { snaplen };
                        let len = packet.origlen.min(limit) as usize;
                        let bytes = packet.data[..len].to_vec();
                        packets.push((link_type, time(0, 0), bytes));
                    }
                    PcapBlockOwned::NG(_) => {}
                }
                consumed
            }
            Err(PcapError::Eof) => return packets,
            Err(PcapError::Incomplete(_)) => {
                reader.refill().expect("a file that can be read");
                continue;
            }
            Err(error) => panic!("{}: {error:?}", capture.display()),
        };
        reader.consume(consumed);
    }
}
