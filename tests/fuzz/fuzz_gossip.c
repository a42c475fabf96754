/* Bytes from anywhere, through the whole of gossip.
 *
 *   byte 0    bit 0: mend length, checksum and label first, so that the handlers
 *             are reached; bit 1: on a stream; bit 2: at once, or later; bit 3:
 *             what that time makes due comes after the packet, not before it
 *   byte 1-2  how long the packet is, and the packet; then the next
 *
 * Whatever comes, every invariant holds, and what goes out can be read. A packet
 * is sound, or changes nothing at all, and one counter says why. Run as
 *   fuzz_gossip -max_len=8192 CORPUS_DIR */
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "tests/unit/gossip/picture.h"

#define LABEL "test"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct swim *open_swim(void)
{
    struct swim_options o = {
        .id = "node-1",
        .label = LABEL,
        .about = {.gossip = {.ip = {[15] = 1}, .port = 1}, .peer = "h:1"},
        .settings = swim_settings_of_tick(20 * PX_NS_PER_MS),
        .incarnation = 1,
        .now = PX_NS_PER_S,
    };
    struct swim *s = NULL;

    px_assert(swim_new(&o, &s) == 0);
    return s;
}

static void check_out(const struct swim_out *out)
{
    for (size_t i = 0; i < out->packet_count; i++) {
        const struct swim_packet_out *p = &out->packets[i];
        struct swim_reader r;

        px_assert(swim_read_packet(&r, p->data, p->size) == 0);
        px_assert(r.head.type >= SWIM_STATE_ASK ||
                  p->size <= SWIM_PACKET_BYTES_MAX);
    }
}

/* True: it had nothing to say. */
static bool step(struct swim *s, struct swim_in *in)
{
    struct swim_out out;
    bool is_quiet;

    in->now = s->now > in->now ? s->now : in->now;
    (void)swim_step(s, in, &out); /* out of memory is fine, too */
    swim_check(s);
    check_out(&out);
    is_quiet = out.packet_count == 0 && out.event_count == 0 &&
               out.reserve == 0 && !out.wants_seeds;
    if (out.reserve > 0)
        (void)step(s, &(struct swim_in){.type = SWIM_IN_RESERVED,
                                        .reserved = out.reserve});
    return is_quiet;
}

/* Until nothing is due. */
static void settle(struct swim *s, px_ns now)
{
    while (!step(s, &(struct swim_in){.type = SWIM_IN_TICK, .now = now}))
        continue;
}

/* Gives a packet what only a sound sender knows. */
static void mend(uint8_t *data, size_t size)
{
    const uint32_t magic = SWIM_MAGIC;
    const uint32_t bytes = (uint32_t)size;
    uint64_t sum;

    if (size < SWIM_AT_TEXTS + sizeof LABEL)
        return;
    memcpy(data, &magic, sizeof magic);
    data[SWIM_AT_VERSION] = SWIM_VERSION;
    memcpy(data + SWIM_AT_BYTES, &bytes, sizeof bytes);
    memset(data + SWIM_AT_ZERO, 0, 4);
    data[SWIM_AT_TEXTS] = sizeof LABEL - 1;
    memcpy(data + SWIM_AT_TEXTS + 1, LABEL, sizeof LABEL - 1);
    sum = XXH3_64bits_withSeed(data + SWIM_AT_RUN, size - SWIM_AT_RUN,
                               XXH3_64bits(data, SWIM_AT_CHECKSUM));
    memcpy(data + SWIM_AT_CHECKSUM, &sum, sizeof sum);
}

/* While nothing is due. */
static void judge(struct swim *s, struct swim_in *in)
{
    const uint8_t *data = in->packet.data;
    const size_t size = in->packet.size;
    struct picture before;
    struct picture after;
    bool is_quiet;
    size_t counter;

    picture_take(s, &before);
    is_quiet = step(s, in);
    picture_take(s, &after);
    counter = picture_refusal(&before, &after, s, data, size);
    if (counter == NOT_REFUSED) {
        picture_check_sound(s, data, size);
        return;
    }
    px_assert(is_quiet);
    picture_check_refused(&before, &after, size, counter);
}

static void feed(struct swim *s, const uint8_t *data, size_t size,
                 unsigned flags)
{
    struct swim_in in = {.type = SWIM_IN_PACKET};
    uint8_t *copy = malloc(size > 0 ? size : 1); /* its end is guarded */

    px_assert(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    if ((flags & 1) != 0)
        mend(copy, size);
    in.now = s->now + ((flags & 4) != 0 ? 400 * PX_NS_PER_MS : 0);
    in.packet.data = copy;
    in.packet.size = size;
    in.packet.from = (struct swim_addr){.ip = {[15] = 2}, .port = 2};
    in.packet.is_stream = (flags & 2) != 0;
    if ((flags & 8) != 0) {
        (void)step(s, &in);
    } else {
        settle(s, in.now);
        judge(s, &in);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct swim *s = open_swim();

    while (size >= 3) {
        const unsigned flags = data[0];
        size_t bytes = data[1] | (size_t)data[2] << 8;

        data += 3;
        size -= 3;
        bytes = bytes < size ? bytes : size;
        feed(s, data, bytes, flags);
        data += bytes;
        size -= bytes;
    }
    (void)step(s, &(struct swim_in){.type = SWIM_IN_TICK,
                                    .now = s->now + 60 * PX_NS_PER_S});
    swim_free(s);
    return 0;
}
