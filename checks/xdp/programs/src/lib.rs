//! A program, and then the frame as it was.

#![no_std]

use ipencap_xdp_programs::ethernet::{ETHERNET, Ethernet, octets};
use ipencap_xdp_programs::glue::{Action, Context};

/// Runs a program that takes the packet: it moves the start of the frame by `BY` bytes and writes an Ethernet header
/// there. `N` is 14, and `BY` more if that is positive: the end of what was overwritten and must be put back.
#[inline(always)]
pub fn restoring<const BY: i32, const N: usize>(
    context: &mut Context,
    program: impl FnOnce(&mut Context) -> u32,
) -> u32 {
    let Some(saved) = header::<N>(context) else {
        return 0;
    };
    let action = program(context);
    if !context.move_start(-BY) {
        return 0;
    }
    match context
        .frame::<N>()
        .and_then(|frame| frame.get_mut(N - ETHERNET..)?.first_chunk_mut())
    {
        Some(place) => saved.write(place),
        None => return 0,
    }
    action
}

#[inline(always)]
fn header<const N: usize>(context: &mut Context) -> Option<Ethernet> {
    let head = context.frame::<N>()?.first_chunk::<N>()?;
    let last: [u8; ETHERNET] = octets(head, N - ETHERNET);
    Some(Ethernet::read(&last))
}

/// What every program does besides its work: moves the start, and writes an Ethernet header.
#[inline(always)]
pub fn only_moves<const BY: i32>(context: &mut Context, action: Action) -> u32 {
    let Some(head) = context.frame::<ETHERNET>().and_then(|f| f.first_chunk()) else {
        return 0;
    };
    let ethernet = Ethernet::read::<ETHERNET>(head);
    if !context.move_start(BY) {
        return 0;
    }
    match context
        .frame::<ETHERNET>()
        .and_then(|frame| frame.first_chunk_mut())
    {
        Some(place) => ethernet.write(place),
        None => return 0,
    }
    action as u32
}
