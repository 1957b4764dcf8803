//! Tables: shares, what moves when backends come and go, and the same tables from a naive Maglev.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::missing_const_for_fn,
    clippy::panic,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "the numbers are small, and a test fails by panicking"
)]

use std::collections::HashMap;

use ipencap_balance::{BuildError, Member, Slot, State, Turn, build, finish, keep_old, table_len};
use proptest::prelude::*;

mod naive;

/// Backends 10.0.0.1 and following, with these weights.
fn members(weights: impl IntoIterator<Item = u16>) -> Vec<Member> {
    let member = |(number, weight)| Member {
        backend: number,
        identity: 0x0a00_0001 + u32::from(number),
        weight,
        state: State::Active,
    };
    (0..).zip(weights).map(member).collect()
}

fn equal(count: usize) -> Vec<Member> {
    members(core::iter::repeat_n(1, count))
}

fn table(len: u32, members: &[Member]) -> Vec<Slot> {
    let mut slots = vec![Slot::EMPTY; len as usize];
    build(
        &mut slots,
        members,
        &mut vec![Turn::default(); members.len()],
    )
    .unwrap();
    slots
}

fn fitting(members: &[Member]) -> Vec<Slot> {
    table(table_len(members), members)
}

/// How many slots each backend has for new flows.
fn counts(slots: &[Slot]) -> HashMap<u16, usize> {
    let mut counts = HashMap::new();
    for slot in slots {
        *counts.entry(slot.new_flows).or_default() += 1;
    }
    counts
}

/// How many slots that are not `left`'s have another backend, in 1/10,000 of the table.
fn moved(before: &[Slot], after: &[Slot], left: u16) -> usize {
    let pairs = before.iter().zip(after);
    let moved = pairs.filter(|(b, a)| b.new_flows != left && a.new_flows != left && b != a);
    moved.count() * 10_000 / before.len()
}

#[test]
fn equal_weights_have_equal_shares() {
    for count in [1, 2, 3, 10, 100, 1000, 10_000] {
        let members = equal(count);
        let slots = fitting(&members);
        let counts = counts(&slots);
        assert_eq!(counts.len(), count, "everybody has a share");
        let (least, most) = (
            counts.values().min().unwrap(),
            counts.values().max().unwrap(),
        );
        assert!(
            most - least <= 1,
            "{count} members: {least} to {most} slots"
        );
        // max / mean <= 1.1
        assert!(most * count * 10 <= slots.len() * 11);
    }
}

#[test]
fn shares_are_as_the_weights() {
    for weights in [
        vec![1, 2, 3, 4],
        vec![100, 1],
        vec![7, 7, 0, 50],
        vec![1; 50],
    ] {
        let members = members(weights);
        let slots = fitting(&members);
        let counts = counts(&slots);
        let total: usize = members
            .iter()
            .map(|member| usize::from(member.weight))
            .sum();
        for member in &members {
            let have = counts.get(&member.backend).copied().unwrap_or(0) as f64;
            let exact = slots.len() as f64 * f64::from(member.weight) / total as f64;
            assert!(
                (have - exact).abs() <= 2.0,
                "{have} slots, not {exact}: {member:?}"
            );
        }
    }
}

/// Removed from the configuration: 1 % of the flows are the backend's, and must move.
#[test]
fn few_others_move_when_a_backend_is_removed() {
    let all = equal(100);
    let before = fitting(&all);
    let (mut worst, mut sum) = (0, 0);
    for leaving in 0..100 {
        let mut rest = all.clone();
        rest.remove(leaving);
        let after = table(before.len() as u32, &rest);
        let moved = moved(&before, &after, all[leaving].backend);
        worst = worst.max(moved);
        sum += moved;
    }
    println!(
        "{} slots: {} of 10,000 move, at worst {worst}",
        before.len(),
        sum / 100
    );
    assert!(worst <= 200, "at most 2 %");
}

/// The figures of the documentation: slots, greatest share in percent of the mean, others that move in 1/1000 on average.
#[test]
fn what_more_slots_are_good_for() {
    let all = equal(100);
    let figures = [1021, 4093, 16_381, 65_521, 262_139].map(|len: u32| {
        let before = table(len, &all);
        let most = *counts(&before).values().max().unwrap();
        let leaving = (0..100).step_by(if len > 100_000 { 20 } else { 5 });
        let count = leaving.clone().count();
        let sum: usize = leaving
            .map(|leaving| {
                let mut rest = all.clone();
                let left = rest.remove(leaving).backend;
                moved(&before, &table(len, &rest), left)
            })
            .sum();
        (len, most * 10_000 / before.len(), sum / count / 10)
    });
    let documented = [
        (1021, 107, 40),
        (4093, 100, 28),
        (16_381, 100, 13),
        (65_521, 100, 5),
        (262_139, 100, 2),
    ];
    assert_eq!(figures, documented);
}

/// Down, in the configuration: nobody else's flow moves, and the table is as before when it comes back.
#[test]
fn no_other_moves_when_backends_go_down_and_come_back() {
    let mut members = members((0..100).map(|number| 1 + number % 3));
    let before = fitting(&members);
    for down in [3, 77, 78, 20] {
        let previous = table(before.len() as u32, &members);
        members[down].state = State::Down;
        let after = table(before.len() as u32, &members);
        for (was, is) in previous.iter().zip(&after) {
            assert!(!is.is_changing());
            assert_ne!(is.new_flows, members[down].backend);
            if was.new_flows != members[down].backend {
                assert_eq!(was, is, "only the flows of the one that went down move");
            }
        }
    }
    for up in [77, 20, 3, 78] {
        let previous = table(before.len() as u32, &members);
        members[up].state = State::Active;
        let after = table(before.len() as u32, &members);
        for (was, is) in previous.iter().zip(&after) {
            assert!(
                was == is || is.new_flows == members[up].backend,
                "only to the one that came back"
            );
        }
    }
    assert_eq!(before, fitting(&members));
}

/// Weight 0 and back.
#[test]
fn the_table_is_as_before_when_a_weight_is_restored() {
    let members = members([5, 5, 5, 5, 10]);
    let before = fitting(&members);
    let mut without = members.clone();
    without[2].weight = 0;
    let after = table(before.len() as u32, &without);
    assert!(!counts(&after).contains_key(&2));
    assert_eq!(before, fitting(&members));
}

#[test]
fn stand_ins_share_by_weight() {
    // Half of them down: the others have twice as many, as even as a random choice is.
    let mut members = equal(100);
    for member in &mut members[..50] {
        member.state = State::Down;
    }
    let slots = fitting(&members);
    let counts = counts(&slots);
    assert_eq!(counts.len(), 50);
    let mean = slots.len() / 50;
    for (&backend, &count) in &counts {
        assert!(backend >= 50);
        assert!(
            count * 10 <= mean * 12 && count * 10 >= mean * 8,
            "{count}, on average {mean}"
        );
    }
}

#[test]
fn drained_backends_keep_connections_and_get_none() {
    let mut members = equal(10);
    let before = fitting(&members);
    members[4].state = State::Draining;
    let after = fitting(&members);
    assert_eq!(before.len(), after.len());
    for (was, is) in before.iter().zip(&after) {
        assert_eq!(is.old_flows, was.new_flows, "old connections stay");
        assert_ne!(is.new_flows, 4, "new flows go elsewhere");
        assert_eq!(is.is_changing(), was.new_flows == 4);
    }
    // The end of it: as if it had gone down.
    let mut ended = after;
    finish(&mut ended);
    members[4].state = State::Down;
    assert_eq!(ended, fitting(&members));
}

#[test]
fn old_connections_stay_through_any_change() {
    let old = equal(20);
    let before = fitting(&old);
    // One leaves, one comes, one has more weight.
    let mut new = old.clone();
    new.remove(7);
    new[3].weight = 4;
    new.push(Member {
        backend: 30,
        identity: 99,
        ..old[0]
    });
    let fresh = table(before.len() as u32, &new);
    let mut after = fresh.clone();
    keep_old(&mut after, &before, |backend| backend != 7);
    for ((was, is), fresh) in before.iter().zip(&after).zip(&fresh) {
        assert_eq!(is.new_flows, fresh.new_flows);
        let expected = if was.new_flows == 7 {
            is.new_flows
        } else {
            was.new_flows
        };
        assert_eq!(is.old_flows, expected);
    }
    finish(&mut after);
    assert_eq!(after, fresh);
}

#[test]
fn one_of_many_is_enough() {
    let mut members = equal(1000);
    for member in &mut members {
        member.state = State::Down;
    }
    assert!(fitting(&members).iter().all(|&slot| slot == Slot::EMPTY));
    members[500].state = State::Active;
    assert!(fitting(&members).iter().all(|&slot| slot == Slot::of(500)));
    assert!(table(61, &[]).iter().all(|&slot| slot == Slot::EMPTY));
}

#[test]
fn what_cannot_be_built() {
    let members = equal(10);
    let mut turns = vec![Turn::default(); 10];
    let mut slots = vec![Slot::of(5); 100];
    for len in [0, 1, 4, 9, 25, 100] {
        let result = build(&mut slots[..len], &members, &mut turns);
        assert_eq!(result, Err(BuildError::LenNotPrime), "{len}");
    }
    assert_eq!(
        build(&mut slots[..7], &members, &mut turns),
        Err(BuildError::TooManyMembers)
    );
    assert_eq!(
        build(&mut slots[..11], &members, &mut turns[..9]),
        Err(BuildError::TooFewTurns)
    );
    let none = Member {
        backend: Slot::NONE,
        ..members[0]
    };
    assert_eq!(
        build(&mut slots[..11], &[none], &mut turns),
        Err(BuildError::BackendNumber)
    );
    assert!(slots.iter().all(|&slot| slot == Slot::of(5)), "unchanged");
    for len in [2, 3, 5, 7, 11, 13, 97] {
        assert_eq!(
            build(&mut slots[..len], &members[..1], &mut turns),
            Ok(()),
            "{len}"
        );
    }
}

#[test]
fn lengths_are_prime_and_fit() {
    let mut shorter = 0;
    for count in [
        0, 1, 2, 5, 6, 20, 100, 327, 328, 655, 1000, 10_000, 41_000, 65_000,
    ] {
        let members = equal(count);
        let len = table_len(&members);
        assert!(len as usize >= (count * 100).min(4_194_301));
        assert!(
            (2..2048)
                .take_while(|n| n * n <= len)
                .all(|n| !u32::is_multiple_of(len, n)),
            "{len} is prime"
        );
        assert!(len >= shorter, "longer for more");
        shorter = len;
    }
    // The lightest has 100 slots.
    let uneven = members([1, 99, 100]);
    assert_eq!(table_len(&uneven), 32_749);
    let slots = fitting(&uneven);
    assert!(counts(&slots)[&0] >= 100);
}

fn arbitrary_members() -> impl Strategy<Value = Vec<Member>> {
    let member = (any::<u32>(), 0..20_u16, 0..8_u8).prop_map(|(identity, weight, state)| {
        let state = match state {
            0 => State::Draining,
            1 | 2 => State::Down,
            _ => State::Active,
        };
        (identity, weight, state)
    });
    proptest::collection::vec(member, 0..60).prop_map(|list| {
        (0..)
            .zip(list)
            .map(|(number, (identity, weight, state))| Member {
                backend: 1000 - number,
                identity,
                weight,
                state,
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn tables_are_as_the_naive_ones(members in arbitrary_members(), len in prop::sample::select(vec![61_u32, 67, 127, 509, 1021])) {
        prop_assert_eq!(table(len, &members), naive::table(len, &members));
    }

    #[test]
    fn one_change_of_state_moves_no_other_flow(members in arbitrary_members(), which: prop::sample::Index, to in 0..3_u8) {
        prop_assume!(!members.is_empty());
        let mut changed = members.clone();
        let member = &mut changed[which.index(members.len())];
        let (was_active, backend) = (member.state == State::Active, member.backend);
        member.state = [State::Active, State::Draining, State::Down][usize::from(to)];
        let is_active = member.state == State::Active;
        let (before, after) = (table(1021, &members), table(1021, &changed));
        let few_active = |members: &[Member]| {
            let of = |member: &Member| usize::from(member.weight);
            let all: usize = members.iter().map(of).sum();
            members.iter().filter(|m| m.state == State::Active).map(of).sum::<usize>() * 4 < all
        };
        // Where hardly anybody is active, stand-ins may change for one who comes in front.
        prop_assume!(!few_active(&members) && !few_active(&changed));
        for (was, is) in before.iter().zip(&after) {
            let mine = if was_active { was.new_flows } else { is.new_flows };
            prop_assert!(was.new_flows == is.new_flows || (mine == backend && was_active != is_active));
        }
    }
}
