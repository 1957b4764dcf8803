use core::hint::black_box;

use ipencap::decap::{EdgeTable, PrefixEntry, PrefixTable};

use super::access::access;
use crate::given::{address, double_word, option, prefix, size, word, words};
use crate::helper::{debug, seen};

pub fn call() {
    let entry = black_box(PrefixEntry::EMPTY);
    seen(<PrefixEntry as Clone>::clone(&entry));
    seen(<PrefixEntry as PartialEq>::eq(&entry, black_box(&entry)));
    debug::<PrefixEntry>(&entry);

    let mut memory = [[entry; 8]; 3];
    let mut indexes = [[0; 8]; 3];
    let [addresses, outer, inner] = &mut memory;
    let [index, more, rest] = &mut indexes;
    let mut table = PrefixTable::new(black_box(&mut addresses[..]));
    table = PrefixTable::with_index(table, black_box(&mut index[..]));
    prefixes(&mut table);
    let outer = PrefixTable::with_index(PrefixTable::new(outer), black_box(more));
    let inner = PrefixTable::with_index(PrefixTable::new(inner), black_box(rest));
    let edge = EdgeTable::new(table, outer, inner);
    peers(&mut black_box(EdgeTable::with_tunnel_ports(edge, words())));
}

fn prefixes(table: &mut PrefixTable<'_>) {
    seen(PrefixTable::len(table));
    seen(PrefixTable::is_empty(table));
    seen(PrefixTable::capacity(table));
    seen(PrefixTable::insert(
        table,
        double_word(),
        prefix(),
        double_word(),
    ));
    let given = || (0..size()).map(|_| (double_word(), prefix(), double_word()));
    seen(PrefixTable::load(table, given()));
    seen(PrefixTable::get(table, double_word(), prefix()));
    seen(PrefixTable::longest(table, double_word(), address()));
    seen(PrefixTable::longest_match(table, double_word(), address()));
    PrefixTable::iter(table).for_each(seen);
    PrefixTable::retain(table, |tenant, prefix, number| {
        black_box((tenant, prefix, number)).2 == double_word()
    });
    seen(PrefixTable::remove(table, double_word(), prefix()));
    debug::<PrefixTable<'_>>(table);
    PrefixTable::clear(table);
}

fn peers(edge: &mut EdgeTable<'_>) {
    seen(EdgeTable::insert_local(edge, prefix()));
    seen(EdgeTable::insert_endpoint(edge, prefix()));
    let port = option(word());
    seen(EdgeTable::insert_outer(edge, double_word(), prefix(), port));
    seen(EdgeTable::insert_inner(edge, double_word(), prefix()));
    let outer = (0..size()).map(|_| (double_word(), prefix(), option(word())));
    seen(EdgeTable::load_outer(edge, outer));
    let inner = (0..size()).map(|_| (double_word(), prefix()));
    seen(EdgeTable::load_inner(edge, inner));
    access::<EdgeTable<'_>>(edge);
    seen(EdgeTable::route(edge, address()));
    debug::<EdgeTable<'_>>(edge);
    EdgeTable::remove_peer(edge, double_word());
    seen(EdgeTable::remove_inner(edge, prefix()));
    seen(EdgeTable::remove_outer(edge, prefix(), option(word())));
    seen(EdgeTable::remove_endpoint(edge, prefix()));
    seen(EdgeTable::remove_local(edge, prefix()));
}
