#include "tunnel.h"

struct config { __u32 local; __u16 port, reserved; };
struct inner_key { __u32 prefix_len, peer, address; };

SEC("maps") struct map DECAP = { BPF_MAP_TYPE_ARRAY, 4, sizeof(struct config), 1, 0 };
SEC("maps") struct map PEERS = { BPF_MAP_TYPE_HASH, 4, 4, 65536, 0 };
SEC("maps") struct map INNER = { BPF_MAP_TYPE_LPM_TRIE, sizeof(struct inner_key), 4, 65536, BPF_F_NO_PREALLOC };

/* The library's numbers. */
enum {
    OUTER_TRUNCATED = 0, OUTER_BAD_CHECKSUM = 3, OUTER_BAD_LENGTH = 4, OUTER_MARTIAN = 5, UNKNOWN_PEER = 6,
    INNER_TRUNCATED = 7, INNER_BAD_CHECKSUM = 8, INNER_BAD_LENGTH = 9, INNER_TTL_ZERO = 10, INNER_MARTIAN_SOURCE = 11,
    INNER_SOURCE_LOCAL = 12, INNER_EQUALS_OUTER = 13, INNER_NOT_ALLOWED = 14, INNER_MARTIAN_DESTINATION = 15,
    LOOP_TO_PEER = 16, NESTING_LIMIT = 17, ECN_DROP = 18, UDP_BAD_LENGTH = 19, GUE_CONTROL = 20, GUE_FLAGS = 21,
    GUE_PROTO = 22,
};

INLINE int is_tunnel(__u8 protocol)
{
    return protocol == 4 || protocol == 41 || protocol == 47 || protocol == 55 || protocol == 94 || protocol == 98 ||
           protocol == 137;
}

/* RFC 6040, figure 4; 4 is "drop". Rows: the inner field; columns: the outer one. */
INLINE __u8 decap_ecn(__u8 inner, __u8 outer)
{
    if (inner == outer || inner == 3 || outer == 0)
        return inner;
    if (inner == 0)
        return outer == 3 ? 4 : 0;
    if (outer == 3)
        return 3;
    return 1; /* ECT(0) inside and ECT(1) outside, or the other way round */
}

#define HEADERS (14 + 20 + SHIM + 20 + 4)

INLINE __u32 program(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    __u32 zero = 0;
    struct config *config = lookup(&DECAP, &zero);
    if (!config)
        return PASS(PASSED_OTHER);
    if (data + HEADERS > end)
        return PASS(PASSED_SHORT);
    struct eth *eth = data;
    struct ip *outer = data + 14, *inner = data + 14 + 20 + SHIM;
    struct udp *udp = data + 14 + 20;
    if (eth->kind != HTONS(0x0800) || outer->protocol != PROTOCOL || outer->dst != config->local)
        return PASS(PASSED_OTHER);
    if (TUNNEL && udp->dst != config->port)
        return PASS(PASSED_OTHER);
    __u32 found = 0, allowed = 0, *value = lookup(&PEERS, &outer->src);
    if (value)
        found = *value;
    struct inner_key key = { 64, found, inner->src };
    value = lookup(&INNER, &key);
    if (value)
        allowed = *value;
    if (TUNNEL && udp->sum)
        return PASS(PASSED_CHECKSUM);
    if (outer->vihl != 0x45 || inner->vihl != 0x45)
        return PASS(PASSED_OPTIONS);
    __u8 *gue = data + 14 + 20 + 8;
    if (TUNNEL == 2 && (gue[0] & ~0x20))
        return PASS(PASSED_OPTIONS);

    __u32 have = end - data - 14, total = HTONS(outer->len);
    if (header_sum(outer) != 0xffff)
        return DROP(OUTER_BAD_CHECKSUM);
    if (total < 20)
        return DROP(OUTER_BAD_LENGTH);
    if (total > have)
        return DROP(OUTER_TRUNCATED);
    if (outer->frag & HTONS(0x3fff))
        return PASS(PASSED_FRAGMENT);
    if (!is_unicast(outer->dst))
        return PASS(PASSED_OTHER);
    if (!is_unicast(outer->src) || outer->src == config->local)
        return DROP(OUTER_MARTIAN);
    if (!found)
        return DROP(UNKNOWN_PEER);
    have = total - 20;
    if (TUNNEL) {
        __u32 len = HTONS(udp->len);
        if (total < 28 || len < 8 || len > have)
            return DROP(UDP_BAD_LENGTH);
        have = len - 8;
    }
    if (TUNNEL == 2) {
        if (have < 4)
            return DROP(UDP_BAD_LENGTH);
        if (gue[0] & 0x20)
            return DROP(GUE_CONTROL);
        if (gue[2] || gue[3])
            return DROP(GUE_FLAGS);
        if (gue[1] != 4)
            return DROP(GUE_PROTO);
        have -= 4;
    }
    total = HTONS(inner->len);
    if (have < 20)
        return DROP(INNER_TRUNCATED);
    if (header_sum(inner) != 0xffff)
        return DROP(INNER_BAD_CHECKSUM);
    if (total < 20)
        return DROP(INNER_BAD_LENGTH);
    if (total > have)
        return DROP(INNER_TRUNCATED);
    if (!inner->ttl)
        return DROP(INNER_TTL_ZERO);
    if (!is_unicast(inner->src))
        return DROP(INNER_MARTIAN_SOURCE);
    if (inner->src == config->local)
        return DROP(INNER_SOURCE_LOCAL);
    if (inner->src == outer->src && inner->dst == outer->dst)
        return DROP(INNER_EQUALS_OUTER);
    if (!allowed)
        return DROP(INNER_NOT_ALLOWED);
    if (!is_unicast(inner->dst))
        return DROP(INNER_MARTIAN_DESTINATION);
    if (inner->dst == outer->src)
        return DROP(LOOP_TO_PEER);
    if (inner->dst == config->local) {
        if (is_tunnel(inner->protocol))
            return DROP(NESTING_LIMIT);
        if (TUNNEL && inner->protocol == 17 && !(inner->frag & HTONS(0x1fff)) &&
            ((struct udp *)(inner + 1))->dst == config->port)
            return DROP(NESTING_LIMIT);
    }
    __u8 ecn = decap_ecn(inner->tos & 3, outer->tos & 3);
    if (ecn == 4)
        return DROP(ECN_DROP);
    if (ecn != (inner->tos & 3)) {
        __u16 before = *(__u16 *)inner;
        inner->tos = (inner->tos & 0xfc) | ecn;
        __u16 after = *(__u16 *)inner;
        inner->sum = ~fold((__u64)(__u16)~inner->sum + (__u16)~before + after);
    }

    struct eth saved = *eth;
    if (adjust_head(ctx, 20 + SHIM))
        return VERDICT(XDP_DROP, HELPER_FAILED);
    data = (void *)(long)ctx->data, end = (void *)(long)ctx->data_end;
    if (data + 14 + 20 > end)
        return VERDICT(XDP_DROP, HELPER_FAILED);
    *(struct eth *)data = saved;
    count(TAKEN_BYTES, total);
    return PASS(TAKEN);
}

/* The program, and then the frame as it was: so one packet serves for all runs. The action of the program. */
#ifdef BENCH
INLINE int run(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    if (data + 14 + 20 + SHIM > end)
        return XDP_ABORTED;
    struct eth saved = *(struct eth *)(data + 20 + SHIM);
    struct eth eth = *(struct eth *)data;
    int action;
    if (BENCH == 1)
        action = settle(program(ctx));
    else {
        if (adjust_head(ctx, 20 + SHIM))
            return XDP_ABORTED;
        data = (void *)(long)ctx->data, end = (void *)(long)ctx->data_end;
        if (data + 14 > end)
            return XDP_ABORTED;
        *(struct eth *)data = eth;
        action = XDP_PASS;
    }
    if (adjust_head(ctx, -(20 + SHIM)))
        return XDP_ABORTED;
    data = (void *)(long)ctx->data, end = (void *)(long)ctx->data_end;
    if (data + 14 + 20 + SHIM > end)
        return XDP_ABORTED;
    *(struct eth *)(data + 20 + SHIM) = saved;
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

SEC("license") char LICENSE[] = "Dual MIT/GPL";
