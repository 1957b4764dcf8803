//! One program, and what it did with a packet.

use std::collections::BTreeMap;
use std::path::Path;

use aya::maps::{MapData, PerCpuArray};
use aya::programs::{TestRun as _, TestRunOptions};
use ipencap_xdp::{Failure, Object};
use ipencap_xdp_maps::{COUNTERS, Counter, DROPPED};

use crate::interpreter;

/// The Ethernet header in front of every packet.
pub const ETHERNET: [u8; 14] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];

/// Where it goes to, as a value of a map.
pub const OWN: [u8; 8] = [2, 0, 0, 0, 0, 1, 0, 0];

/// What became of a packet.
#[derive(Debug, PartialEq, Eq)]
pub enum Done {
    /// Opened or wrapped: the action, the Ethernet header and the packet.
    Taken(u32, Vec<u8>, Vec<u8>),
    /// Left to the kernel as it was: the counter's name.
    Passed(&'static str),
    /// Dropped: the number of the reason.
    Dropped(usize),
}

/// An Ethernet header and a packet.
pub type Frame = (Vec<u8>, Vec<u8>);

/// A loaded program.
#[derive(Debug)]
pub struct Program {
    pub object: Object,
}

impl Program {
    pub fn load(folder: &Path, name: &str) -> Result<Self, Failure> {
        Ok(Self {
            object: Object::load(folder, name)?,
        })
    }

    /// The sums of the counters over all processors.
    pub fn counters(&self) -> Result<BTreeMap<u32, u64>, Failure> {
        let map = self.object.map("COUNTERS")?;
        let map: PerCpuArray<&MapData, u64> =
            PerCpuArray::try_from(map).map_err(|error| Failure::of("COUNTERS", &error))?;
        (0..COUNTERS)
            .map(|counter| {
                let values = map
                    .get(&counter, 0)
                    .map_err(|error| Failure::of("COUNTERS", &error))?;
                Ok((counter, values.iter().sum()))
            })
            .collect()
    }

    /// Runs the program on a frame; whether it did this, and counted the packet so.
    pub fn does(
        &mut self,
        ethernet: &[u8],
        packet: &[u8],
        expected: (u32, Counter),
    ) -> Result<bool, Failure> {
        let counter = expected.1 as u32;
        let before = self.counters()?[&counter];
        let (action, _) = self.frame(ethernet, packet)?;
        let more = self.counters()?[&counter] - before;
        Ok((action, more) == (expected.0, 1))
    }

    /// What the program answers a packet with: the Ethernet header and the packet.
    pub fn run_answered(&mut self, packet: &[u8]) -> Result<Option<Frame>, Failure> {
        let before = self.counters()?;
        let (action, out) = self.frame(&ETHERNET, packet)?;
        let after = self.counters()?;
        let answered = Counter::TooLong as u32;
        let is_answer = action == 3 && after[&answered] == before[&answered] + 1;
        Ok(is_answer.then(|| (out[..14].to_vec(), out[14..].to_vec())))
    }

    fn frame(&mut self, ethernet: &[u8], packet: &[u8]) -> Result<(u32, Vec<u8>), Failure> {
        let frame = [ethernet, packet].concat();
        let mut out = vec![0; frame.len() + 256];
        let mut options = TestRunOptions::new();
        options.data_in = Some(&frame);
        options.data_out = Some(&mut out);
        let done = self
            .object
            .program()?
            .test_run(options)
            .map_err(|error| Failure::of("test_run", &error))?;
        out.truncate(usize::try_from(done.data_size_out).unwrap());
        Ok((done.return_value, out))
    }

    /// How many instructions of the program, of the object file in `folder`, are executed for a packet that it takes.
    pub fn executed(&mut self, folder: &Path, packet: &[u8]) -> Result<u64, Failure> {
        let Done::Taken(action, ethernet, bytes) = self.run(packet)? else {
            return Err(Failure::new("the packet is not taken"));
        };
        let path = folder.join(format!("{}.o", self.object.name()));
        let frame = [&ETHERNET[..], packet].concat();
        let ran = interpreter::run(&self.object, &path, self.object.name(), &frame)?;
        let expected = (action, [ethernet, bytes].concat());
        assert_eq!(
            (ran.action, ran.frame),
            expected,
            "the interpreter, and the kernel"
        );
        Ok(ran.instructions)
    }

    /// Runs the program on a packet. Panics where action, bytes and counters contradict each other.
    pub fn run(&mut self, packet: &[u8]) -> Result<Done, Failure> {
        let before = self.counters()?;
        let frame = [&ETHERNET[..], packet].concat();
        let (action, out) = self.frame(&ETHERNET, packet)?;
        let after = self.counters()?;
        let changed: Vec<_> = after
            .iter()
            .filter(|(counter, value)| before[counter] != **value)
            .map(|(&counter, &value)| (counter, value - before[&counter]))
            .collect();
        let (taken, bytes) = (Counter::Taken as u32, Counter::TakenBytes as u32);
        Ok(match (action, &changed[..]) {
            (action @ (2..=4), &[(a, 1), (b, _)]) if (a, b) == (taken, bytes) => {
                Done::Taken(action, out[..14].to_vec(), out[14..].to_vec())
            }
            (2, &[(counter, 1)]) if counter < DROPPED => {
                assert_eq!(out, frame, "passed and changed");
                let name = Counter::ALL.iter().find(|(c, _)| *c as u32 == counter);
                Done::Passed(name.expect("a counter").1)
            }
            (1, &[(counter, 1)]) if counter >= DROPPED => {
                Done::Dropped(usize::try_from(counter - DROPPED).unwrap())
            }
            (action, changed) => panic!("action {action}, counters {changed:?}"),
        })
    }
}
