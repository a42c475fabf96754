/* Each packet is new once: senders number theirs, and a member's last 64 are
 * remembered, as IPsec does (RFC 4303, 3.4.3).
 *
 *     seen   1 0 1 1 0 1 ... 1
 *            │               │
 *          last - 63        last        older than that: counts as seen
 *
 * Most of what a copy can say would be old news, and change nothing anyway.
 * Answers to pings are another matter: a copy could keep up the appearance of
 * life, or of a nack.
 *
 * A sender's earlier runs are over. But one whose disk was emptied begins with
 * low incarnations again, and has to be heard in order to learn its new one:
 * it is, once it is dead here. */
#include "gossip/core.h"

#define WINDOW 64u

bool swim_is_fresh(struct swim_member *m, const struct swim_head *head)
{
    struct swim_replay *r = &m->replay;

    if (head->run != r->run) {
        if (head->run < r->run && swim_is_living(m))
            return false;
        *r = (struct swim_replay){
            .run = head->run, .last = head->number, .seen = 1};
        return true;
    }
    if (head->number > r->last) {
        const uint64_t ahead = head->number - r->last;

        r->seen = ahead < WINDOW ? r->seen << ahead | 1 : 1;
        r->last = head->number;
        return true;
    }
    if (r->last - head->number >= WINDOW ||
        (r->seen >> (r->last - head->number) & 1) != 0)
        return false;
    r->seen |= UINT64_C(1) << (r->last - head->number);
    return true;
}
