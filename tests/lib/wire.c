/* Packets under way are slots, and a heap of the slots' numbers, the next one to
 * arrive on top:
 *
 *   slots   [ packet | packet | free | packet | ... ]
 *   heap    [ 3 | 0 | 1 | -- free -- 2 | ... ]          count: 3
 *
 * Numbers behind the heap's end are those of free slots. */
#include "tests/lib/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rand.h"

struct wire {
    struct wire_options options;
    struct px_rand rand;
    uint64_t serial;
    px_ns newest[WIRE_HOSTS_MAX][WIRE_HOSTS_MAX]; /* due, of those in order */
    size_t count;
    uint32_t heap[WIRE_PACKETS_MAX];
    struct wire_packet slots[WIRE_PACKETS_MAX];
};

struct wire *wire_new(const struct wire_options *options)
{
    struct wire *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->options = *options;
    px_rand_init(&w->rand, options->seed);
    for (uint32_t i = 0; i < WIRE_PACKETS_MAX; i++)
        w->heap[i] = i;
    return w;
}

void wire_free(struct wire *w)
{
    free(w);
}

/* ---- The heap ---- */

static bool is_before(const struct wire *w, size_t a, size_t b)
{
    const struct wire_packet *x = &w->slots[w->heap[a]];
    const struct wire_packet *y = &w->slots[w->heap[b]];

    return x->due < y->due || (x->due == y->due && x->serial < y->serial);
}

static void swap(struct wire *w, size_t a, size_t b)
{
    uint32_t slot = w->heap[a];

    w->heap[a] = w->heap[b];
    w->heap[b] = slot;
}

static void rise(struct wire *w, size_t at)
{
    while (at > 0 && is_before(w, at, (at - 1) / 2)) {
        swap(w, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static void sink(struct wire *w, size_t at)
{
    for (;;) {
        size_t first = at;

        for (size_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
            if (child < w->count && is_before(w, child, first))
                first = child;
        }
        if (first == at)
            return;
        swap(w, at, first);
        at = first;
    }
}

/* ---- Packets ---- */

static px_ns draw_delay(struct wire *w, int from, int to)
{
    px_ns delay = w->options.delays[from][to];

    return delay +
           px_rand_below(&w->rand, delay * w->options.jitter_percent / 100 + 1);
}

enum wire_fate wire_put(struct wire *w, px_ns now, int from, int to,
                        bool is_udp, const void *packet, size_t size)
{
    px_ns due = now + draw_delay(w, from, to);
    struct wire_packet *p;

    if (size > WIRE_PACKET_BYTES_MAX)
        return WIRE_OVERSIZED;
    if (is_udp && px_rand_below(&w->rand, 1000) < w->options.udp_loss_permille)
        return WIRE_LOST;
    if (w->count == WIRE_PACKETS_MAX)
        return WIRE_FULL;
    if (!is_udp && due < w->newest[from][to])
        due = w->newest[from][to];
    if (!is_udp)
        w->newest[from][to] = due;
    p = &w->slots[w->heap[w->count]];
    p->due = due;
    p->serial = w->serial++;
    p->to = to;
    p->size = size;
    memcpy(p->bytes, packet, size);
    rise(w, w->count++);
    return WIRE_CARRIED;
}

px_ns wire_next(const struct wire *w)
{
    return w->count > 0 ? w->slots[w->heap[0]].due : PX_NS_NEVER;
}

const struct wire_packet *wire_take(struct wire *w, px_ns now)
{
    if (wire_next(w) > now || w->count == 0)
        return NULL;
    w->count--;
    swap(w, 0, w->count);
    sink(w, 0);
    return &w->slots[w->heap[w->count]];
}
