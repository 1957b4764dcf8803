#include "tunnel.h"

struct settings {
    __u32 local, exit;
    __u16 port, source_port;
    __u32 seed;
    __u16 link_mtu, identification;
    __u8 ttl, dscp, ecn, flags;
};
struct place { struct settings settings; __u64 is_ready; __u64 tunnel[11]; };
struct out { __u32 interface, address; __u8 next_hop[6], own[6], ingress[8]; };
struct route { __u32 prefix_len, address; };

SEC("maps") struct map OUT = { BPF_MAP_TYPE_ARRAY, 4, sizeof(struct out), 1, 0 };
SEC("maps") struct map ROUTES = { BPF_MAP_TYPE_LPM_TRIE, sizeof(struct route), 4, 65536, BPF_F_NO_PREALLOC };
SEC("maps") struct map TUNNELS = { BPF_MAP_TYPE_ARRAY, 4, sizeof(struct place), 1024, 0 };

enum { BAD_CHECKSUM = 0, TRUNCATED = 1, BAD_LENGTH = 2, TTL_ZERO = 3, LOOP = 4, FRAGMENTATION_NEEDED = 5, OWN = 6 };

/* MurmurHash3_x86_32. */
INLINE __u32 murmur(__u32 hash, __u32 word)
{
    word *= 0xcc9e2d51;
    word = word << 15 | word >> 17;
    hash ^= word * 0x1b873593;
    hash = hash << 13 | hash >> 19;
    return hash * 5 + 0xe6546b64;
}

#define HEADERS (14 + 20 + 8)
#define OVERHEAD (20 + SHIM)

INLINE __u32 program(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    if (data + HEADERS > end)
        return PASS(PASSED_SHORT);
    struct eth *eth = data;
    struct ip *ip = data + 14;
    if (eth->kind != HTONS(0x0800))
        return PASS(PASSED_OTHER);
    struct route key = { 32, ip->dst };
    __u32 zero = 0, *number = lookup(&ROUTES, &key);
    if (!number)
        return PASS(PASSED_OTHER);
    struct place *place = lookup(&TUNNELS, number);
    if (!place || !place->is_ready)
        return PASS(PASSED_OTHER);
    struct settings *tunnel = &place->settings;
    if (TUNNEL && ip->protocol == 4)
        return PASS(PASSED_TUNNEL);
    struct out *out = lookup(&OUT, &zero);
    if (!out || *(__u64 *)eth->dst << 16 != *(__u64 *)out->ingress << 16)
        return PASS(PASSED_OTHER);
    if (ip->vihl != 0x45)
        return PASS(PASSED_OPTIONS);

    __u32 total = HTONS(ip->len), have = end - data - 14;
    if (header_sum(ip) != 0xffff)
        return DROP(BAD_CHECKSUM);
    if (total < 20)
        return DROP(BAD_LENGTH);
    if (total > have)
        return DROP(TRUNCATED);
    if (!ip->ttl || (tunnel->flags & 1 && ip->ttl == 1))
        return DROP(TTL_ZERO);
    if (ip->src == tunnel->exit && !(tunnel->flags & 2))
        return DROP(LOOP);
    if (ip->src == tunnel->local && tunnel->flags & 1)
        return DROP(OWN);
    if (total + OVERHEAD > tunnel->link_mtu)
        return DROP(FRAGMENTATION_NEEDED);

    __u16 source_port = tunnel->source_port;
    if (TUNNEL && !source_port) {
        __u32 *ports = (void *)(ip + 1), pair = 0;
        if ((ip->protocol == 6 || ip->protocol == 17) && !(ip->frag & HTONS(0x3fff)) && total >= 24)
            pair = *ports;
        __u32 hash = murmur(tunnel->seed, ip->src);
        hash = murmur(hash, ip->dst);
        hash = murmur(hash, pair);
        hash = murmur(hash, (__u32)ip->protocol << 24) ^ 16;
        hash = (hash ^ hash >> 16) * 0x85ebca6b;
        hash = (hash ^ hash >> 13) * 0xc2b2ae35;
        hash ^= hash >> 16;
        source_port = HTONS(0xc000 | (hash & 0x3fff));
    }
    __u8 ecn = ip->tos & 3;
    if (tunnel->ecn == 1)
        ecn = 0;
    else if (tunnel->ecn == 2 && ecn == 3)
        ecn = 2;
    __u8 dscp = tunnel->dscp == 255 ? ip->tos & 0xfc : tunnel->dscp << 2;
    struct ip outer = {
        .vihl = 0x45, .tos = dscp | ecn, .len = HTONS(total + OVERHEAD), .id = tunnel->identification,
        .frag = HTONS(0x4000), .ttl = tunnel->ttl ? tunnel->ttl : ip->ttl - (tunnel->flags & 1), .protocol = PROTOCOL,
        .src = tunnel->local, .dst = tunnel->exit,
    };
    outer.sum = ~fold((__u64)0x45 + ((__u32)outer.tos << 8) + outer.len + outer.id + outer.frag + outer.ttl +
                      (PROTOCOL << 8) + outer.src + outer.dst);
    if (tunnel->flags & 1) {
        ip->ttl--;
        ip->sum = fold((__u64)ip->sum + 1);
    }
    struct udp udp = { source_port, tunnel->port, HTONS(total + SHIM), 0 };

    __u32 interface = ctx->ingress_ifindex;
    if (adjust_head(ctx, -OVERHEAD))
        return VERDICT(XDP_DROP, HELPER_FAILED);
    data = (void *)(long)ctx->data, end = (void *)(long)ctx->data_end;
    if (data + 14 + OVERHEAD > end)
        return VERDICT(XDP_DROP, HELPER_FAILED);
    eth = data;
    __builtin_memcpy(eth->dst, out->next_hop, 6);
    __builtin_memcpy(eth->src, out->own, 6);
    eth->kind = HTONS(0x0800);
    *(struct ip *)(data + 14) = outer;
    if (TUNNEL)
        *(struct udp *)(data + 14 + 20) = udp;
    if (TUNNEL == 2)
        *(__u32 *)(data + 14 + 28) = 0x0400;
    count(TAKEN_BYTES, total);
    if (!out->interface || out->interface == interface)
        return VERDICT(XDP_TX, TAKEN);
    return VERDICT(redirect(out->interface, 0), TAKEN);
}

/* The program, and then the frame as it was: so one packet serves for all runs. The action of the program. */
#ifdef BENCH
INLINE int run(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    if (data + 14 > end)
        return XDP_ABORTED;
    struct eth saved = *(struct eth *)data;
    int action;
    if (BENCH == 1)
        action = settle(program(ctx));
    else {
        if (adjust_head(ctx, -OVERHEAD))
            return XDP_ABORTED;
        data = (void *)(long)ctx->data, end = (void *)(long)ctx->data_end;
        if (data + 14 > end)
            return XDP_ABORTED;
        *(struct eth *)data = saved;
        action = XDP_TX;
    }
    if (adjust_head(ctx, OVERHEAD))
        return XDP_ABORTED;
    data = (void *)(long)ctx->data, end = (void *)(long)ctx->data_end;
    if (data + 14 > end)
        return XDP_ABORTED;
    *(struct eth *)data = saved;
    return action;
}
#else
INLINE int run(struct xdp_md *ctx)
{
    return settle(program(ctx));
}
#endif

SEC("xdp") int NAME(struct xdp_md *ctx)
{
    return run(ctx);
}

/* The loader runs it for each tunnel; there is nothing to compose. */
SEC("xdp") int compose(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    if (data + 14 > end)
        return XDP_DROP;
    __u32 number = *(__u32 *)data;
    struct place *place = lookup(&TUNNELS, &number);
    if (!place)
        return XDP_DROP;
    place->is_ready = 1;
    return XDP_PASS;
}

SEC("license") char LICENSE[] = "Dual MIT/GPL";
