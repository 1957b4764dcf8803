//! Inputs for the laws of prefix tables: prefixes that enclose each other, put in, replaced and taken out.

use arbitrary::{Arbitrary, Result, Unstructured};

use super::odds;
use crate::oracle::Net;

/// One change of a table.
#[derive(Clone, Debug)]
pub enum Change {
    /// A prefix is put in.
    Insert(u32, Net, u32),
    /// A prefix is taken out.
    Remove(u32, Net),
    /// All prefixes with this number are taken out.
    RemoveValue(u32),
    /// Many are put in.
    Load(Vec<(u32, Net, u32)>),
    /// All are taken out.
    Clear,
}

/// A table, its changes, and addresses to look up after each.
#[derive(Clone, Debug)]
pub struct PrefixCase {
    /// How many prefixes it has room for.
    pub capacity: usize,
    /// How long its index is, 0 for none.
    pub index_len: usize,
    /// The changes, one after the other.
    pub changes: Vec<Change>,
    /// Tenant and address.
    pub lookups: Vec<(u32, [u8; 4])>,
}

/// One change of who may send what.
#[derive(Clone, Debug)]
pub enum EdgeChange {
    /// An address becomes ours or is no more.
    Local(bool, Net),
    /// An address becomes an endpoint or is none any more.
    Endpoint(bool, Net),
    /// A peer sends from here, and from this port or any.
    InsertOuter(u32, Net, Option<u16>),
    /// Nobody sends from here any more.
    RemoveOuter(Net, Option<u16>),
    /// A peer uses these inner sources.
    InsertInner(u32, Net),
    /// Nobody uses them any more.
    RemoveInner(Net),
    /// A peer goes.
    RemovePeer(u32),
    /// Many outer prefixes at once.
    LoadOuter(Vec<(u32, Net, Option<u16>)>),
    /// Many inner prefixes at once.
    LoadInner(Vec<(u32, Net)>),
}

/// A table of peers, its changes, and what to ask after each.
#[derive(Clone, Debug)]
pub struct EdgeCase {
    /// How many entries each of its tables has room for.
    pub capacity: usize,
    /// How long the index of each is, 0 for none.
    pub index_len: usize,
    /// The changes, one after the other.
    pub changes: Vec<EdgeChange>,
    /// Addresses and source ports.
    pub lookups: Vec<([u8; 4], u16)>,
}

/// An address of few, so that they meet.
fn address(u: &mut Unstructured<'_>) -> Result<[u8; 4]> {
    let mut address = [0; 4];
    for octet in &mut address {
        *octet = *u.choose(&[10, 0, 1, 128, 255])?;
    }
    Ok(address)
}

fn net(u: &mut Unstructured<'_>) -> Result<Net> {
    let len = if odds(u, 1, 2)? {
        *u.choose(&[8, 0, 9, 15, 16, 24, 31, 32])?
    } else {
        u.int_in_range(0..=32)?
    };
    let address = u32::from_be_bytes(address(u)?);
    let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
    Ok(((address & mask).to_be_bytes(), len))
}

fn tenant(u: &mut Unstructured<'_>) -> Result<u32> {
    Ok(*u.choose(&[0, 0, 0, 1, 7, u32::MAX])?)
}

fn port(u: &mut Unstructured<'_>) -> Result<Option<u16>> {
    Ok(*u.choose(&[None, None, Some(0), Some(4500), Some(u16::MAX)])?)
}

fn number(u: &mut Unstructured<'_>) -> Result<u32> {
    u.int_in_range(1..=5)
}

fn list<T>(
    u: &mut Unstructured<'_>,
    most: u8,
    mut item: impl FnMut(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let len = u.int_in_range(0..=most)?;
    (0..len).map(|_| item(u)).collect()
}

fn room(u: &mut Unstructured<'_>) -> Result<(usize, usize)> {
    let capacity = *u.choose(&[40, 8, 1, 0])?;
    let index_len = *u.choose(&[0, 1, 2, 16, 33, 300])?;
    Ok((capacity, index_len))
}

impl<'a> Arbitrary<'a> for PrefixCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let (capacity, index_len) = room(u)?;
        let changes = list(u, 24, |u| {
            Ok(match u.int_in_range(0..=9u8)? {
                0..=5 => Change::Insert(tenant(u)?, net(u)?, number(u)?),
                6 => Change::Remove(tenant(u)?, net(u)?),
                7 => Change::RemoveValue(number(u)?),
                8 if odds(u, 1, 4)? => Change::Clear,
                _ => Change::Load(list(u, 20, |u| Ok((tenant(u)?, net(u)?, number(u)?)))?),
            })
        })?;
        Ok(Self {
            capacity,
            index_len,
            changes,
            lookups: list(u, 12, |u| Ok((tenant(u)?, address(u)?)))?,
        })
    }
}

impl<'a> Arbitrary<'a> for EdgeCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let (capacity, index_len) = room(u)?;
        let changes = list(u, 24, |u| {
            Ok(match u.int_in_range(0..=13u8)? {
                0..=3 => EdgeChange::InsertOuter(number(u)?, net(u)?, port(u)?),
                4..=7 => EdgeChange::InsertInner(number(u)?, net(u)?),
                8 => EdgeChange::RemoveOuter(net(u)?, port(u)?),
                9 => EdgeChange::RemoveInner(net(u)?),
                10 => EdgeChange::RemovePeer(number(u)?),
                11 => EdgeChange::LoadOuter(list(u, 12, |u| Ok((number(u)?, net(u)?, port(u)?)))?),
                12 => EdgeChange::LoadInner(list(u, 12, |u| Ok((number(u)?, net(u)?)))?),
                _ if odds(u, 1, 2)? => EdgeChange::Endpoint(odds(u, 2, 3)?, net(u)?),
                _ => EdgeChange::Local(odds(u, 2, 3)?, net(u)?),
            })
        })?;
        let port = |u: &mut Unstructured<'_>| Ok(*u.choose(&[0, 4500, 4501, u16::MAX])?);
        Ok(Self {
            capacity,
            index_len,
            changes,
            lookups: list(u, 12, |u| Ok((address(u)?, port(u)?)))?,
        })
    }
}
