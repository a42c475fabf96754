/* Who founds a cluster with whom. See bootstrap.h for why there is only one. */
#include "gossip/bootstrap.h"

#include <string.h>
#include <xxhash.h>

#include "base/assert.h"

static bool is_living(const struct swim_member_info *m)
{
    return m->state == SWIM_ALIVE || m->state == SWIM_SUSPECT;
}

static const struct swim_member_info *
self_of(const struct swim_member_info *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (members[i].is_self)
            return &members[i];
    }
    px_assert_failed("we are in our own table", __FILE__, __LINE__);
}

/* One that has founded with the view @ours already is still one of us; 0: none
 * is. */
static bool is_candidate(const struct swim_member_info *m, uint64_t ours,
                         unsigned expect)
{
    return is_living(m) && expect > 0 && m->expect == expect &&
           (m->cluster == 0 || (ours != 0 && m->view == ours));
}

/* Kept sorted, so that the hash and the voters are the same everywhere. */
static void insert(struct swim_bootstrap *b, const char *id)
{
    size_t at = b->count++;

    if (at >= RAFT_MEMBERS_MAX)
        return; /* too many anyway */
    for (; at > 0 && strcmp(b->ids[at - 1], id) > 0; at--)
        b->ids[at] = b->ids[at - 1];
    b->ids[at] = id;
}

/* By a hash in which near names don't meet, as they do in px_djb2: candidates that
 * see different others would take their views for one. Each is the seed of the
 * next, so that order and borders count. */
static uint64_t view_of(const struct swim_bootstrap *b)
{
    uint64_t view = 0;

    for (size_t i = 0; i < b->count; i++)
        view = XXH64(b->ids[i], strlen(b->ids[i]), view);
    return view != 0 ? view : 1;
}

static void count_candidates(const struct swim_member_info *members,
                             size_t count, uint64_t ours,
                             struct swim_bootstrap *b)
{
    b->count = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_candidate(&members[i], ours, b->expect))
            insert(b, members[i].id);
    }
    b->view = b->count == b->expect && b->expect > 0 ? view_of(b) : 0;
}

static void wait_for(struct swim_bootstrap *b,
                     enum swim_bootstrap_reason reason)
{
    b->verdict = SWIM_BOOTSTRAP_WAIT;
    b->reason = reason;
}

/* A cluster that exists: true if that settles it. */
static bool look_for_cluster(const struct swim_member_info *members,
                             size_t count, uint64_t ours,
                             struct swim_bootstrap *b)
{
    bool is_down = false;

    for (size_t i = 0; i < count; i++) {
        const struct swim_member_info *m = &members[i];

        if (m->cluster == 0 || m->is_self || is_candidate(m, ours, b->expect))
            continue;
        if (!is_living(m)) {
            is_down |= m->state == SWIM_DEAD;
            continue;
        }
        if (b->cluster != 0 && b->cluster != m->cluster) {
            wait_for(b, SWIM_WAITS_FOR_ONE);
            return true;
        }
        b->cluster = m->cluster;
    }
    if (b->cluster == 0 && !is_down)
        return false;
    if (b->cluster != 0)
        b->verdict = SWIM_BOOTSTRAP_JOIN;
    else
        wait_for(b, SWIM_WAITS_FOR_DEAD);
    return true;
}

static bool do_all_announce(const struct swim_member_info *members,
                            size_t count, uint64_t ours,
                            const struct swim_bootstrap *b)
{
    for (size_t i = 0; i < count; i++) {
        if (is_candidate(&members[i], ours, b->expect) &&
            members[i].view != b->view)
            return false;
    }
    return true;
}

static bool do_all_expect(const struct swim_member_info *members, size_t count,
                          unsigned expect)
{
    for (size_t i = 0; i < count; i++) {
        if (is_living(&members[i]) && members[i].cluster == 0 &&
            members[i].expect != 0 && members[i].expect != expect)
            return false;
    }
    return true;
}

void swim_bootstrap(const struct swim_member_info *members, size_t count,
                    unsigned expect, struct swim_bootstrap *out)
{
    const uint64_t announced = self_of(members, count)->view;
    uint64_t ours = announced;

    px_assert(expect <= RAFT_MEMBERS_MAX);
    *out = (struct swim_bootstrap){.expect = expect};
    count_candidates(members, count, ours, out);
    if (out->view != announced) { /* who founded with it founds nothing else */
        ours = 0;
        count_candidates(members, count, ours, out);
    }
    if (look_for_cluster(members, count, ours, out)) {
        if (out->view != announced) /* nothing new, see bootstrap.h */
            out->view = 0;
        return;
    }
    if (expect == 0)
        wait_for(out, SWIM_WAITS_FOR_CLUSTER);
    else if (!do_all_expect(members, count, expect))
        wait_for(out, SWIM_WAITS_FOR_ACCORD);
    else if (out->count < expect)
        wait_for(out, SWIM_WAITS_FOR_MORE);
    else if (out->count > expect)
        wait_for(out, SWIM_WAITS_FOR_FEWER);
    else if (!do_all_announce(members, count, ours, out))
        wait_for(out, SWIM_WAITS_FOR_VIEWS);
    else
        out->verdict = SWIM_BOOTSTRAP_FORM;
}

/* ---- For people ---- */

static void add_ids(const struct swim_bootstrap *b, struct px_text *text)
{
    for (size_t i = 0; i < b->count && i < RAFT_MEMBERS_MAX; i++)
        px_text_add(text, "%s%s", i == 0 ? "" : ", ", b->ids[i]);
}

static void add_reason(const struct swim_bootstrap *b, struct px_text *text)
{
    switch (b->reason) {
    case SWIM_WAITS_FOR_CLUSTER:
        px_text_add(text,
                    "waiting for a member of a cluster: none of the seeds "
                    "has shown one; to found one, set BOOTSTRAP_EXPECT");
        return;
    case SWIM_WAITS_FOR_MORE:
        px_text_add(text, "waiting for %zu more of BOOTSTRAP_EXPECT=%u, here: ",
                    b->expect - b->count, b->expect);
        add_ids(b, text);
        return;
    case SWIM_WAITS_FOR_FEWER:
        px_text_add(text,
                    "waiting: %zu nodes say BOOTSTRAP_EXPECT=%u, stop as many "
                    "as are too many: ",
                    b->count, b->expect);
        add_ids(b, text);
        return;
    case SWIM_WAITS_FOR_VIEWS:
        px_text_add(text, "waiting until all of these see each other: ");
        add_ids(b, text);
        return;
    case SWIM_WAITS_FOR_DEAD:
        px_text_add(text,
                    "waiting for a cluster that exists, and none of whose "
                    "members is reached");
        return;
    case SWIM_WAITS_FOR_ONE:
        px_text_add(text, "waiting: there are two clusters of this name; give "
                          "one of them another CLUSTER");
        return;
    case SWIM_WAITS_FOR_ACCORD:
        px_text_add(
            text,
            "waiting: others have another BOOTSTRAP_EXPECT than %u; set "
            "the same everywhere",
            b->expect);
        return;
    }
}

void swim_bootstrap_text(const struct swim_bootstrap *b, struct px_text *text)
{
    switch (b->verdict) {
    case SWIM_BOOTSTRAP_WAIT:
        add_reason(b, text);
        return;
    case SWIM_BOOTSTRAP_FORM:
        px_text_add(text, "founding a cluster of ");
        add_ids(b, text);
        return;
    case SWIM_BOOTSTRAP_JOIN:
        px_text_add(text, "joining cluster %016llx",
                    (unsigned long long)b->cluster);
        return;
    }
}
