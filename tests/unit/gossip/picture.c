#include "tests/unit/gossip/picture.h"

#include <string.h>

#include <xxhash.h>

static void add(XXH3_state_t *sum, const void *data, size_t size)
{
    px_assert(XXH3_64bits_update(sum, data, size) == XXH_OK);
}

static void add_member(XXH3_state_t *sum, const struct swim_member *m)
{
    add(sum, m, sizeof *m);
    add(sum, m->id, strlen(m->id));
    add(sum, m->news.peer, strlen(m->news.peer));
    add(sum, m->news.zone, strlen(m->news.zone));
}

/* Left out is what each step sets anew: its number and time, and its draft. */
void picture_take(const struct swim *s, struct picture *picture_out)
{
    const uint8_t *bytes = (const uint8_t *)s;
    XXH3_state_t *sum = XXH3_createState();

    px_assert(sum != NULL);
    px_assert(XXH3_64bits_reset(sum) == XXH_OK);
    add(sum, bytes, offsetof(struct swim, step));
    add(sum, bytes + offsetof(struct swim, deadline),
        offsetof(struct swim, counters) - offsetof(struct swim, deadline));
    add(sum, bytes + offsetof(struct swim, self),
        offsetof(struct swim, state_bytes) - offsetof(struct swim, self));
    for (size_t i = 0; i < s->member_count; i++)
        add_member(sum, s->members[i]);
    *picture_out = (struct picture){.counters = s->counters,
                                    .sum = XXH3_64bits_digest(sum)};
    (void)XXH3_freeState(sum); /* never fails */
}

static uint64_t *at(struct swim_counters *counters, size_t counter)
{
    return (uint64_t *)(void *)((char *)counters + counter);
}

size_t picture_refusal(const struct picture *before,
                       const struct picture *after, const struct swim *s,
                       const uint8_t *data, size_t size)
{
    static const size_t refusals[] = {REFUSED(malformed),   REFUSED(corrupt),
                                      REFUSED(version),     REFUSED(label),
                                      REFUSED(misdirected), REFUSED(replayed),
                                      REFUSED(own)};
    struct swim_counters old = before->counters;
    struct swim_counters new = after->counters;
    struct swim_reader r;

    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        if (*at(&old, refusals[i]) != *at(&new, refusals[i]))
            return refusals[i];
    }
    /* That counter is also for news of us, which a sound packet brings. */
    if (swim_read_packet(&r, data, size) == 0 &&
        strcmp(r.head.from, s->self->id) == 0)
        return REFUSED(namesakes);
    return NOT_REFUSED;
}

void picture_check_refused(const struct picture *before,
                           const struct picture *after, size_t size,
                           size_t counter)
{
    struct swim_counters counters = before->counters;

    counters.packets_in++;
    counters.bytes_in += size;
    ++*at(&counters, counter);
    px_assert(memcmp(&counters, &after->counters, sizeof counters) == 0);
    px_assert(before->sum == after->sum);
}

void picture_check_sound(const struct swim *s, const uint8_t *data, size_t size)
{
    struct swim_reader r;

    px_assert(swim_read_packet(&r, data, size) == 0);
    px_assert(strcmp(r.head.label, s->label) == 0);
    px_assert(strcmp(r.head.from, s->self->id) != 0);
    px_assert(r.head.to[0] == '\0' || strcmp(r.head.to, s->self->id) == 0);
}
