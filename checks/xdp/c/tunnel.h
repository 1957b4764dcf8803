/* The XDP programs in C, written for the comparison: the same maps, the same checks in the same order, the same counters.
 * Plain structs and pointers, as such programs are written. `run.sh` compiles it with clang, -O2. */
#include <linux/bpf.h>
#include <linux/types.h>

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))

static void *(*lookup)(const void *map, const void *key) = (void *)1;
static long (*redirect)(__u32 ifindex, __u64 flags) = (void *)23;
static long (*adjust_head)(struct xdp_md *, int by) = (void *)44;

struct map { __u32 kind, key_size, value_size, max_entries, flags; };

struct eth { __u8 dst[6], src[6]; __u16 kind; } __attribute__((packed));
struct ip {
    __u8 vihl, tos; __u16 len, id, frag; __u8 ttl, protocol; __u16 sum; __u32 src, dst;
} __attribute__((packed));
struct udp { __u16 src, dst, len, sum; } __attribute__((packed));

#ifndef TUNNEL
#define TUNNEL 0 /* 0 IP-in-IP, 1 FOU, 2 GUE */
#endif
#define SHIM (TUNNEL == 0 ? 0 : TUNNEL == 1 ? 8 : 12)
#define PROTOCOL (TUNNEL == 0 ? 4 : 17)
#define HTONS(x) __builtin_bswap16(x)

enum { TAKEN, TAKEN_BYTES, PASSED_OTHER, PASSED_OPTIONS, PASSED_CHECKSUM, PASSED_FRAGMENT, PASSED_SHORT, TOO_LONG,
       HELPER_FAILED, PASSED_TUNNEL, DROPPED = 16 };

SEC("maps") struct map COUNTERS = { BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 128, 0 };

INLINE void count(__u32 counter, __u64 by)
{
    __u64 *value = lookup(&COUNTERS, &counter);
    if (value)
        *value += by;
}

/* The action and the counter. */
#define VERDICT(action, counter) ((action) << 16 | (counter))
#define PASS(why) VERDICT(XDP_PASS, why)
#define DROP(reason) VERDICT(XDP_DROP, DROPPED + (reason))

INLINE int settle(__u32 verdict)
{
    count(verdict & 0xffff, 1);
    return verdict >> 16;
}

INLINE __u32 fold(__u64 sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16);
}

INLINE __u32 header_sum(const void *header)
{
    const __u32 *word = header;
    return fold((__u64)word[0] + word[1] + word[2] + word[3] + word[4]);
}

/* Addresses as they are stored, of a little-endian machine. */
INLINE int is_unicast(__u32 address)
{
    __u8 first = address;
    return first != 0 && first != 127 && first < 224;
}
