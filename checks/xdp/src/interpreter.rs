//! An interpreter that counts: the kernel says how many instructions a program has and how many its verifier has
//! followed, but not how many it executes. The maps are the kernel's; what the program has done with the packet must be
//! what it does in the kernel.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "registers are 64 bits, and hold whatever an instruction makes of them"
)]

use std::collections::HashMap;
use std::path::Path;

use aya::Pod;
use aya::maps::lpm_trie::Key;
use aya::maps::{Array, LpmTrie, Map, MapData, MapError};
use ipencap_xdp::{Failure, Object};
use ipencap_xdp_maps::{BalanceConfig, DecapConfig, Out, Place, Sent};
use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, SymbolIndex};

/// What a program did.
#[derive(Debug)]
pub struct Ran {
    /// So many instructions were executed. A constant of 64 bits is one.
    pub instructions: u64,
    /// What it returned.
    pub action: u32,
    /// The frame behind it.
    pub frame: Vec<u8>,
}

/// Room in front of the frame, as the kernel has it.
const HEADROOM: u32 = 256;
const STACK: u32 = 512;
/// More than any program executes: a loop would be a mistake of this interpreter.
const MOST: u64 = 100_000;

/// Where memory lies: the place of a region in the upper half of an address, and in the lower that of the byte in it.
const fn address(region: usize, offset: u32) -> u64 {
    (region as u64) << 32 | offset as u64
}

const CONTEXT: usize = 1;
const STACK_REGION: usize = 2;
const FRAME: usize = 3;
/// Not memory: the number of a map in the lower half.
const MAP: usize = 0xffff;

struct KnownMap {
    name: String,
    key_size: usize,
}

struct Machine<'o> {
    object: &'o Object,
    maps: Vec<KnownMap>,
    /// The first is for the null pointer, the second for the context, which has no bytes.
    regions: Vec<Vec<u8>>,
    /// The regions of values that were looked up.
    values: HashMap<(usize, Vec<u8>), usize>,
    registers: [u64; 11],
    start: u32,
    end: u32,
}

/// Runs the program `name` of the object file at `path`, loaded as `object`, on a frame.
pub fn run(object: &Object, path: &Path, name: &str, frame: &[u8]) -> Result<Ran, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::of(path.display(), &error))?;
    let file: ElfFile64<'_> =
        ElfFile64::parse(&bytes[..]).map_err(|error| Failure::of(path.display(), &error))?;
    let missing = || Failure::new(format!("{}: no program {name}", path.display()));
    let mut memory = vec![0; HEADROOM as usize];
    memory.extend(frame);
    memory.resize(memory.len() + 512, 0);
    let mut machine = Machine {
        object,
        maps: Vec::new(),
        regions: vec![vec![], vec![], vec![0; STACK as usize], memory],
        values: HashMap::new(),
        registers: [0; 11],
        start: HEADROOM,
        end: HEADROOM + u32::try_from(frame.len()).expect("a frame"),
    };
    let symbol = file
        .symbols()
        .find(|symbol| symbol.name() == Ok(name))
        .ok_or_else(missing)?;
    let section = file
        .section_by_index(symbol.section_index().ok_or_else(missing)?)
        .expect("the program's section");
    let first = symbol.address() as usize;
    let mut code: Vec<[u8; 8]> = section.data().expect("code")[first..][..symbol.size() as usize]
        .chunks_exact(8)
        .map(|word| word.try_into().expect("eight bytes"))
        .collect();
    for (at, relocation) in section.relocations() {
        let place = (at as usize).wrapping_sub(first) / 8;
        if let (Some([low, high]), RelocationTarget::Symbol(target)) =
            (code.get_mut(place..place + 2), relocation.target())
        {
            let addend = u32::from_le_bytes(low[4..].try_into().expect("four bytes"));
            let constant = machine.constant(&file, target, addend);
            low[4..].copy_from_slice(&(constant as u32).to_le_bytes());
            high[4..].copy_from_slice(&((constant >> 32) as u32).to_le_bytes());
        }
    }
    machine.registers[1] = address(CONTEXT, 0);
    machine.registers[10] = address(STACK_REGION, STACK);
    let instructions = machine.execute(&code)?;
    Ok(Ran {
        instructions,
        action: machine.registers[0] as u32,
        frame: machine.regions[FRAME][machine.start as usize..machine.end as usize].to_vec(),
    })
}

impl Machine<'_> {
    /// What an instruction has that refers to this symbol: a map, or a place among constants.
    fn constant(&mut self, file: &ElfFile64<'_>, target: SymbolIndex, addend: u32) -> u64 {
        let symbol = file.symbol_by_index(target).expect("a symbol");
        let section = symbol.section_index().expect("the symbol's section");
        let section = file.section_by_index(section).expect("a section");
        let data = section.data().expect("the section's bytes");
        let at = symbol.address() as usize;
        if section.name() != Ok("maps") {
            self.regions.push(data.to_vec());
            return address(self.regions.len() - 1, addend + at as u32);
        }
        // Its kind, and then the size of its keys.
        let key_size = u32::from_le_bytes(data[at + 4..at + 8].try_into().expect("four bytes"));
        self.maps.push(KnownMap {
            name: symbol.name().expect("a map's name").to_owned(),
            key_size: key_size as usize,
        });
        address(MAP, self.maps.len() as u32 - 1)
    }

    fn execute(&mut self, code: &[[u8; 8]]) -> Result<u64, Failure> {
        let mut place = 0_usize;
        let mut count = 0;
        loop {
            let [opcode, registers, offset_low, offset_high, immediate @ ..] = code[place];
            let offset = i16::from_le_bytes([offset_low, offset_high]);
            let immediate = i32::from_le_bytes(immediate);
            let (to, from) = (usize::from(registers & 15), usize::from(registers >> 4));
            place += 1;
            count += 1;
            if count > MOST {
                return Err(Failure::new("the program does not end"));
            }
            // The size of a load or store.
            let size = [4, 2, 1, 8][usize::from(opcode >> 3 & 3)];
            let operand = if opcode & 8 == 0 {
                i64::from(immediate) as u64
            } else {
                self.registers[from]
            };
            match opcode & 7 {
                0 if opcode == 0x18 => {
                    let high = u32::from_le_bytes(code[place][4..].try_into().expect("four bytes"));
                    self.registers[to] = u64::from(high) << 32 | u64::from(immediate as u32);
                    place += 1;
                }
                1 if opcode >> 5 == 3 => {
                    let at = moved(self.registers[from], offset);
                    self.registers[to] = self.load(at, size);
                }
                2 | 3 if opcode >> 5 == 3 => {
                    let value = match opcode & 7 {
                        2 => i64::from(immediate) as u64,
                        _ => self.registers[from],
                    };
                    let at = moved(self.registers[to], offset);
                    self.place(at, size)
                        .copy_from_slice(&value.to_le_bytes()[..size]);
                }
                4 if opcode >> 4 == 0xd => {
                    self.registers[to] = swapped(self.registers[to], opcode & 8 != 0, immediate);
                }
                4 => {
                    let word = alu32(opcode >> 4, self.registers[to] as u32, operand as u32).into();
                    self.registers[to] = word;
                }
                7 => self.registers[to] = alu64(opcode >> 4, self.registers[to], operand),
                5 if opcode == 0x95 => return Ok(count),
                5 if opcode == 0x85 => self.registers[0] = self.call(immediate)?,
                kind @ (5 | 6) => {
                    let (left, right) = if kind == 5 {
                        (self.registers[to], operand)
                    } else {
                        let left = self.registers[to] as u32;
                        (left.into(), u64::from(operand as u32))
                    };
                    let signed = if kind == 5 {
                        (left as i64, right as i64)
                    } else {
                        (i64::from(left as i32), i64::from(right as i32))
                    };
                    if jumps(opcode >> 4, (left, right), signed) {
                        place = place.wrapping_add_signed(offset.into());
                    }
                }
                _ => panic!(
                    "an instruction that no program here has: {:x?}",
                    code[place - 1]
                ),
            }
        }
    }

    fn load(&mut self, at: u64, size: usize) -> u64 {
        if at >> 32 == CONTEXT as u64 {
            // Four bytes, which the kernel replaces by a pointer.
            return match at as u32 {
                0 | 8 => address(FRAME, self.start),
                4 => address(FRAME, self.end),
                _ => 1,
            };
        }
        let mut bytes = [0; 8];
        bytes[..size].copy_from_slice(self.place(at, size));
        u64::from_le_bytes(bytes)
    }

    fn place(&mut self, at: u64, size: usize) -> &mut [u8] {
        &mut self.regions[(at >> 32) as usize][at as u32 as usize..][..size]
    }

    fn call(&mut self, helper: i32) -> Result<u64, Failure> {
        let [_, first, second, ..] = self.registers;
        Ok(match helper {
            1 => self.look_up(first as u32 as usize, second)?,
            // The time, in nanoseconds.
            5 => 1 << 40,
            // A redirection.
            23 => 4,
            44 => {
                self.start = self.start.wrapping_add(second as u32);
                0
            }
            65 => {
                self.end = self.end.wrapping_add(second as u32);
                0
            }
            _ => panic!("a helper that no program here calls: {helper}"),
        })
    }

    fn look_up(&mut self, map: usize, key: u64) -> Result<u64, Failure> {
        let key_size = self.maps[map].key_size;
        let key = self.place(key, key_size).to_vec();
        if let Some(&region) = self.values.get(&(map, key.clone())) {
            return Ok(address(region, 0));
        }
        let name = &self.maps[map].name;
        let Some(value) =
            value(self.object, name, &key).map_err(|error| Failure::of(name, &error))?
        else {
            return Ok(0);
        };
        self.regions.push(value);
        let region = self.regions.len() - 1;
        self.values.insert((map, key), region);
        Ok(address(region, 0))
    }
}

fn moved(base: u64, offset: i16) -> u64 {
    base.wrapping_add_signed(offset.into())
}

/// A copy of a value of the kernel's map. Sums of processors are 0: no program's way depends on them.
fn value(object: &Object, name: &str, key: &[u8]) -> Result<Option<Vec<u8>>, MapError> {
    let map = object
        .maps()
        .find(|(known, _)| *known == name)
        .expect("a map of the program's")
        .1;
    match name {
        "COUNTERS" => Ok(Some(vec![0; 8])),
        "SENT" => Ok(Some(vec![0; size_of::<Sent>()])),
        "OUT" => of_array::<{ size_of::<Out>() }>(map, key),
        "DECAP" => of_array::<{ size_of::<DecapConfig>() }>(map, key),
        "BALANCE" => of_array::<{ size_of::<BalanceConfig>() }>(map, key),
        "TUNNELS" => of_array::<{ size_of::<Place>() }>(map, key),
        "SLOTS" => of_array::<4>(map, key),
        "PEERS" => of_table::<4, 4>(map, key),
        "VIPS" => of_table::<8, 8>(map, key),
        "ROUTES" => of_trie::<4>(map, key),
        "INNER" => of_trie::<8>(map, key),
        _ => panic!("a map that no measured program asks: {name}"),
    }
}

fn of_array<const N: usize>(map: &Map, key: &[u8]) -> Result<Option<Vec<u8>>, MapError>
where
    [u8; N]: Pod,
{
    let array: Array<&MapData, [u8; N]> = map.try_into()?;
    let place = u32::from_ne_bytes(key.try_into().expect("an array's key"));
    found(array.get(&place, 0))
}

fn of_table<const K: usize, const V: usize>(
    map: &Map,
    key: &[u8],
) -> Result<Option<Vec<u8>>, MapError>
where
    [u8; K]: Pod,
    [u8; V]: Pod,
{
    let table: aya::maps::HashMap<&MapData, [u8; K], [u8; V]> = map.try_into()?;
    found(table.get(&key.try_into().expect("a table's key"), 0))
}

/// Of a trie whose keys are so long, and whose values are numbers.
fn of_trie<const K: usize>(map: &Map, key: &[u8]) -> Result<Option<Vec<u8>>, MapError>
where
    [u8; K]: Pod,
{
    let trie: LpmTrie<&MapData, [u8; K], [u8; 4]> = map.try_into()?;
    let (len, data) = key.split_first_chunk().expect("a trie's key");
    let data = data.try_into().expect("a trie's key");
    found(trie.get(&Key::new(u32::from_ne_bytes(*len), data), 0))
}

fn found<const N: usize>(value: Result<[u8; N], MapError>) -> Result<Option<Vec<u8>>, MapError> {
    match value {
        Ok(value) => Ok(Some(value.to_vec())),
        Err(MapError::KeyNotFound | MapError::OutOfBounds { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn alu64(operation: u8, left: u64, right: u64) -> u64 {
    match operation {
        0 => left.wrapping_add(right),
        1 => left.wrapping_sub(right),
        2 => left.wrapping_mul(right),
        3 => left.checked_div(right).unwrap_or_default(),
        4 => left | right,
        5 => left & right,
        6 => left.wrapping_shl(right as u32),
        7 => left.wrapping_shr(right as u32),
        8 => left.wrapping_neg(),
        9 => left.checked_rem(right).unwrap_or(left),
        10 => left ^ right,
        11 => right,
        12 => (left as i64).wrapping_shr(right as u32) as u64,
        _ => panic!("an operation that no program here has: {operation}"),
    }
}

fn alu32(operation: u8, left: u32, right: u32) -> u32 {
    match operation {
        6 => left.wrapping_shl(right),
        12 => (left as i32).wrapping_shr(right) as u32,
        7 => left.wrapping_shr(right),
        _ => alu64(operation, left.into(), right.into()) as u32,
    }
}

/// The lower bits of a word, which this little-endian machine swaps if they shall be big-endian.
const fn swapped(word: u64, to_big_endian: bool, bits: i32) -> u64 {
    let unused = 64 - bits.cast_unsigned();
    if to_big_endian {
        word.swap_bytes() >> unused
    } else {
        word << unused >> unused
    }
}

fn jumps(condition: u8, (left, right): (u64, u64), signed: (i64, i64)) -> bool {
    match condition {
        0 => true,
        1 => left == right,
        2 => left > right,
        3 => left >= right,
        4 => left & right != 0,
        5 => left != right,
        6 => signed.0 > signed.1,
        7 => signed.0 >= signed.1,
        10 => left < right,
        11 => left <= right,
        12 => signed.0 < signed.1,
        13 => signed.0 <= signed.1,
        _ => panic!("a condition that no program here has: {condition}"),
    }
}
