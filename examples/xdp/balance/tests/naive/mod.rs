//! Maglev by the pseudocode of the paper (NSDI '16, §3.4), with permutations written out, and turns by weight.

use ipencap_balance::{Member, Slot, State};

fn mixed(number: u32) -> (u64, u64) {
    // SplitMix64, Steele, Lea and Flood, OOPSLA '14.
    let mut z = u64::from(number).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (z >> 32, z & 0xffff_ffff)
}

fn offset_and_skip(identity: u32, len: u64) -> (u64, u64) {
    let (first, second) = mixed(identity);
    ((first * len) >> 32, ((second * (len - 1)) >> 32) + 1)
}

pub(crate) fn table(len: u32, members: &[Member]) -> Vec<Slot> {
    let m = u64::from(len);
    let permutations: Vec<Vec<usize>> = members
        .iter()
        .map(|member| {
            let (offset, skip) = offset_and_skip(member.identity, m);
            (0..m).map(|j| ((offset + j * skip) % m) as usize).collect()
        })
        .collect();

    let mut entry: Vec<Option<usize>> = vec![None; len as usize];
    let greatest = members.iter().map(|m| m.weight).max().unwrap_or(0);
    let mut next = vec![0; members.len()];
    let mut round = 0_u64;
    'population: loop {
        if greatest == 0 {
            break;
        }
        round += 1;
        for (i, member) in members.iter().enumerate() {
            // How many turns it should have had by now, less those before.
            let turns = |round: u64| round * u64::from(member.weight) / u64::from(greatest);
            for _ in turns(round - 1)..turns(round) {
                let mut c = permutations[i][next[i]];
                while entry[c].is_some() {
                    next[i] += 1;
                    c = permutations[i][next[i]];
                }
                entry[c] = Some(i);
                next[i] += 1;
                if entry.iter().all(Option::is_some) {
                    break 'population;
                }
            }
        }
    }

    let is_active = |i: usize| members[i].state == State::Active;
    let stand_in = |place: usize| -> Option<usize> {
        let (_, skip) = offset_and_skip(place as u32, m);
        let hops = (1..=64).map(|hop| (place as u64 + hop * skip) % m);
        let in_front = (1..=m).map(|back| (place as u64 + m - back) % m);
        hops.chain(in_front)
            .filter_map(|slot| entry[slot as usize])
            .find(|&owner| is_active(owner))
    };
    (0..len as usize)
        .map(|place| {
            let owner = entry[place];
            let new = owner
                .filter(|&owner| is_active(owner))
                .or_else(|| stand_in(place));
            let name = |i: Option<usize>| i.map_or(Slot::NONE, |i| members[i].backend);
            let old = owner
                .filter(|&owner| members[owner].state == State::Draining)
                .or(new);
            Slot {
                new_flows: name(new),
                old_flows: name(old),
            }
        })
        .collect()
}
