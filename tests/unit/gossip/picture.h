/* A member as it is, so that "nothing has changed" can be asserted of all of it:
 * its table, its timers, what it has to tell, what it remembers of others.
 *
 *   picture_take ─▶ swim_step with a packet ─▶ picture_take
 *                                              picture_refusal, _check_refused
 *
 * Nothing may have been due at the time of that step, and swim_check has to have
 * looked before each picture: it remembers what it saw in the members. */
#ifndef TEST_GOSSIP_PICTURE_H
#define TEST_GOSSIP_PICTURE_H

#include "gossip/core.h"

struct picture {
    struct swim_counters counters;
    uint64_t sum; /* over everything else */
};

/* A counter of refusals, by its place in struct swim_counters. */
#define REFUSED(name) offsetof(struct swim_counters, name)
#define NOT_REFUSED SIZE_MAX

void picture_take(const struct swim *s, struct picture *picture_out);
/* Why the packet that came between the two was refused by @s; or NOT_REFUSED. */
size_t picture_refusal(const struct picture *before,
                       const struct picture *after, const struct swim *s,
                       const uint8_t *data, size_t size);
/* Asserts that it has changed nothing, and that this very counter counts it. */
void picture_check_refused(const struct picture *before,
                           const struct picture *after, size_t size,
                           size_t counter);
/* Asserts that there was nothing to refuse. */
void picture_check_sound(const struct swim *s, const uint8_t *data,
                         size_t size);

#endif
