//! All that needs `unsafe`: the packet, the maps and the helpers of the kernel.

#![allow(
    unsafe_code,
    reason = "the kernel's interface is addresses; its verifier refuses a program that may leave them"
)]

use core::marker::PhantomData;
use core::mem::{MaybeUninit, transmute};

use ipencap_xdp_maps::{Place, Sent, Settings, TUNNEL_WORDS};
use zerocopy::FromBytes;

/// What the kernel hands to an XDP program (`struct xdp_md`).
#[repr(C)]
#[derive(Debug)]
pub struct Context {
    data: u32,
    data_end: u32,
    data_meta: u32,
    ingress_ifindex: u32,
    rx_queue_index: u32,
    egress_ifindex: u32,
}

/// What the kernel shall do with a packet (`enum xdp_action`).
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Drop = 1,
    Pass = 2,
    Tx = 3,
    Redirect = 4,
}

impl Context {
    /// The frame, if it has at least `N` bytes. Only these may be read and written.
    #[inline(always)]
    pub fn frame<const N: usize>(&mut self) -> Option<&mut [u8]> {
        // The kernel replaces these loads by loads of pointers.
        let start = self.data as usize as *mut u8;
        let end = self.data_end as usize as *mut u8;
        if start.wrapping_add(N) > end {
            return None;
        }
        let len = (end as usize).wrapping_sub(start as usize);
        if len < N {
            return None;
        }
        // SAFETY: `start..end` is the frame, and belongs to this program until it returns or moves the head, for
        // which it needs `self`. The verifier refuses accesses behind the `N` bytes that were compared.
        Some(unsafe { core::slice::from_raw_parts_mut(start, len) })
    }

    /// The length of the frame, in bytes.
    #[inline(always)]
    #[must_use]
    pub fn len(&self) -> u32 {
        // Not the loads of `frame`: the verifier takes a difference of pointers, not of their halves.
        let start = self.data as usize;
        let end = self.data_end as usize;
        end.wrapping_sub(start) as u32
    }

    /// The interface by which the packet has come.
    #[inline(always)]
    #[must_use]
    pub fn interface(&self) -> u32 {
        self.ingress_ifindex
    }

    /// Moves the start of the frame by `by` bytes, backwards if it is negative. Says whether that worked.
    #[inline(always)]
    #[must_use]
    pub fn move_start(&mut self, by: i32) -> bool {
        // SAFETY: helper 44, `long bpf_xdp_adjust_head(struct xdp_md *, int)`. `self` is borrowed: no slice of the
        // frame is alive.
        unsafe {
            let helper: unsafe extern "C" fn(*mut Self, i32) -> i64 = transmute(44_usize);
            helper(self, by) == 0
        }
    }

    /// Moves the end of the frame by `by` bytes, backwards if it is negative. Says whether that worked.
    #[inline(always)]
    #[must_use]
    pub fn move_end(&mut self, by: i32) -> bool {
        // SAFETY: helper 65, `long bpf_xdp_adjust_tail(struct xdp_md *, int)`; as above.
        unsafe {
            let helper: unsafe extern "C" fn(*mut Self, i32) -> i64 = transmute(65_usize);
            helper(self, by) == 0
        }
    }
}

/// What to return to send a packet out of another interface.
#[inline(always)]
#[must_use]
pub fn redirect(interface: u32) -> u32 {
    // SAFETY: helper 23, `long bpf_redirect(u32 ifindex, u64 flags)`; it takes any numbers.
    unsafe {
        let helper: unsafe extern "C" fn(u32, u64) -> u64 = transmute(23_usize);
        helper(interface, 0) as u32
    }
}

/// A map, as the section `maps` describes it to the loader.
#[repr(C)]
#[derive(Debug)]
pub struct Map<K, V> {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    types: PhantomData<fn(K) -> V>,
}

impl<K: Copy, V> Map<K, V> {
    const fn new(kind: u32, max_entries: u32, flags: u32) -> Self {
        Self {
            kind,
            key_size: size_of::<K>() as u32,
            value_size: size_of::<V>() as u32,
            max_entries,
            flags,
            types: PhantomData,
        }
    }

    /// A hash table.
    #[must_use]
    pub const fn hash(max_entries: u32) -> Self {
        Self::new(1, max_entries, 0)
    }

    /// A trie of prefixes; the kernel allocates its nodes as they come.
    #[must_use]
    pub const fn trie(max_entries: u32) -> Self {
        Self::new(11, max_entries, 1)
    }

    /// The address of a value.
    #[inline(always)]
    fn find(&'static self, key: &K) -> *mut V {
        let mut place = MaybeUninit::<K>::uninit();
        // SAFETY: helper 1, `void *bpf_map_lookup_elem(struct bpf_map *, const void *key)`. The loader puts the map's
        // own address in the place of `self`; key and value have the sizes that `new` has noted. The key is written as
        // a whole: pieces of it would lie at odd places, which the verifier does not take on the stack.
        unsafe {
            place.as_mut_ptr().write_volatile(*key);
            let helper: unsafe extern "C" fn(*const Self, *const K) -> *mut V = transmute(1_usize);
            helper(self, place.as_ptr())
        }
    }

    /// A copy of the value of a key.
    #[inline(always)]
    #[must_use]
    pub fn get(&'static self, key: &K) -> Option<V>
    where
        V: Copy + FromBytes,
    {
        let value = self.find(key);
        if value.is_null() {
            return None;
        }
        // SAFETY: not null, so a value of this map. The loader may be writing it: a copy may be half old, as with
        // any map, and every pattern of bytes is a `V`: it is `FromBytes`.
        Some(unsafe { value.read() })
    }
}

/// A turn of this processor, which is not over before it is taken.
#[derive(Debug)]
pub struct Turn {
    last: *mut u64,
    now: u64,
}

impl Turn {
    /// Takes it: the next comes after the pause.
    #[inline(always)]
    pub fn take(self) {
        // SAFETY: `Map::turn` has found it not null: this processor's own value.
        unsafe { self.last.write(self.now) }
    }
}

/// A value of a map that holds a tunnel: the layout of [`Place`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Kept<T: Copy> {
    settings: Settings,
    is_ready: u64,
    tunnel: Padded<T>,
}

#[repr(C)]
#[derive(Clone, Copy)]
union Padded<T: Copy> {
    tunnel: T,
    size: [u64; TUNNEL_WORDS],
}

impl<T: Copy> Map<u32, Kept<T>> {
    /// The settings of a tunnel, and the tunnel that [`keep`](Self::keep) has made of them.
    #[inline(always)]
    #[must_use]
    pub fn kept(&'static self, key: u32) -> Option<(&'static Settings, &'static T)> {
        let place = self.find(&key);
        if place.is_null() {
            return None;
        }
        // SAFETY: not null, so a value of this map, which is zeros or what `keep` has written: the same type, by the
        // same compilation. The loader writes to no place that a route leads to.
        unsafe {
            if (*place).is_ready == 0 {
                return None;
            }
            Some((&(*place).settings, &(*place).tunnel.tunnel))
        }
    }

    /// Makes the tunnel of a place from its settings. Says whether there is one.
    #[inline(always)]
    pub fn keep(&'static self, key: u32, make: impl FnOnce(&Settings) -> Option<T>) -> bool {
        const { assert!(size_of::<Kept<T>>() == size_of::<Place>()) };
        let place = self.find(&key);
        if place.is_null() {
            return false;
        }
        // SAFETY: not null, so a value of this map; no route leads to it yet, so nobody else reads it.
        unsafe {
            let Some(tunnel) = make(&(*place).settings) else {
                return false;
            };
            (*place).tunnel.tunnel = tunnel;
            (*place).is_ready = 1;
        }
        true
    }
}

impl<V> Map<u32, V> {
    /// An array.
    #[must_use]
    pub const fn array(max_entries: u32) -> Self {
        Self::new(2, max_entries, 0)
    }
}

impl Map<u32, Sent> {
    /// An array of sums for each processor.
    #[must_use]
    pub const fn sums(max_entries: u32) -> Self {
        Self::new(6, max_entries, 0)
    }

    /// Adds a packet to a sum of this processor.
    #[inline(always)]
    pub fn add_packet(&'static self, key: u32, bytes: u64) {
        let sent = self.find(&key);
        if !sent.is_null() {
            // SAFETY: not null, so this processor's own sum, which no other program changes meanwhile.
            unsafe {
                (*sent).packets = (*sent).packets.wrapping_add(1);
                (*sent).bytes = (*sent).bytes.wrapping_add(bytes);
            }
        }
    }
}

impl<K: Copy, V> Map<K, V> {
    /// A hash table that forgets what was not used for longest.
    #[must_use]
    pub const fn recent(max_entries: u32) -> Self {
        Self::new(9, max_entries, 0)
    }

    /// Sets the value of a key.
    #[inline(always)]
    pub fn set(&'static self, key: &K, value: &V) {
        // SAFETY: helper 2, `long bpf_map_update_elem(struct bpf_map *, const void *, const void *, u64 flags)`; key and
        // value have the sizes that `new` has noted. It fails where there is no room.
        unsafe {
            let helper: unsafe extern "C" fn(*const Self, *const K, *const V, u64) -> i64 =
                transmute(2_usize);
            helper(self, key, value, 0);
        }
    }
}

impl Map<u32, u64> {
    /// A turn of this processor, if the last was so many nanoseconds ago.
    #[inline(always)]
    #[must_use]
    pub fn turn(&'static self, key: u32, pause: u64) -> Option<Turn> {
        let last = self.find(&key);
        if last.is_null() {
            return None;
        }
        // SAFETY: helper 5, `u64 bpf_ktime_get_ns(void)`; not null, so this processor's own value.
        unsafe {
            let helper: unsafe extern "C" fn() -> u64 = transmute(5_usize);
            let now = helper();
            (now.wrapping_sub(last.read()) >= pause).then_some(Turn { last, now })
        }
    }

    /// An array of counters for each processor.
    #[must_use]
    pub const fn counters(max_entries: u32) -> Self {
        Self::new(6, max_entries, 0)
    }

    /// Adds to a counter of this processor.
    #[inline(always)]
    pub fn add(&'static self, counter: u32, by: u64) {
        let value = self.find(&counter);
        if !value.is_null() {
            // SAFETY: not null, so this processor's own counter, which no other program changes meanwhile.
            unsafe { value.write(value.read().wrapping_add(by)) }
        }
    }
}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn a_panic_is_reachable() -> !;
    }
    // SAFETY: nothing has this name: a program that could panic is refused when it is loaded.
    unsafe { a_panic_is_reachable() }
}

/// Declares a map where the loader looks for it.
#[macro_export]
macro_rules! map {
    ($name:ident: $kind:ty = $map:expr) => {
        // SAFETY (of the attributes): the only symbol of this name in the object, and a map as the section has them.
        #[unsafe(no_mangle)]
        #[unsafe(link_section = "maps")]
        static $name: $kind = $map;
    };
}

/// Makes an XDP program of this name of a function from the [`Context`] to what the kernel shall do.
#[macro_export]
macro_rules! xdp {
    ($name:ident = $program:expr) => {
        // SAFETY (of the attributes): the only symbols of these names in the object.
        #[unsafe(no_mangle)]
        #[unsafe(link_section = "xdp")]
        extern "C" fn $name(context: &mut $crate::glue::Context) -> u32 {
            let program: fn(&mut $crate::glue::Context) -> u32 = $program;
            program(context)
        }
    };
}

/// The licence of an object, which the kernel asks for. It offers some helpers to programs under the GPL only; these
/// are not used.
#[macro_export]
macro_rules! license {
    () => {
        // SAFETY (of the attributes): the only symbol of this name in the object.
        #[unsafe(no_mangle)]
        #[unsafe(link_section = "license")]
        static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
    };
}
