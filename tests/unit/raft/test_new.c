/* raft/new.c: options that contradict themselves, and what a replica says. */
#include "tests/unit/raft/unit.h"

#include <errno.h>

#include "tests/unit/raft/rig.h"

static int open_rc(const struct rig *g)
{
    struct raft *r = NULL;
    int rc = raft_new(&g->options, &r);

    assert_true((rc == 0) == (r != NULL));
    raft_free(r);
    return rc;
}

/* Sound options of a replica with a log, to be spoilt. */
static struct rig *sound(struct rig *g)
{
    rig_init(g, 3);
    rig_log(g, (raft_term[]){1, 1, 2, 5, 0});
    g->options.applied = 2;
    g->options.runs = g->runs;
    assert_int_equal(open_rc(g), 0);
    return g;
}

/* @change spoils g, or its options o. */
#define assert_refused(change)                        \
    do {                                              \
        struct rig g;                                 \
        struct raft_options *o = &sound(&g)->options; \
        change;                                       \
        (void)o;                                      \
        assert_int_equal(open_rc(&g), -EINVAL);       \
    } while (0)

static void options_that_contradict_themselves_are_refused(void **s)
{
    (void)s;
    assert_refused(o->id = 0);
    assert_refused(o->heartbeat = 0);
    assert_refused(o->heartbeat = o->election / 4 + 1);
    assert_refused(o->election = UINT64_MAX);
    assert_refused(o->clock_drift_ppm = 1000000);
    assert_refused(o->is_first_boot = true); /* with a log */
}

static void a_configuration_that_contradicts_itself_is_refused(void **s)
{
    (void)s;
    assert_refused(o->config.count = RAFT_MEMBERS_MAX + 1);
    assert_refused(o->config.members[1].id = 1); /* twice */
    assert_refused(o->config.members[1].id = 0);
    assert_refused(o->config.members[1].role = (enum raft_member_role)3);
}

static void a_log_that_contradicts_itself_is_refused(void **s)
{
    (void)s;
    assert_refused(o->applied = 5);   /* beyond the log */
    assert_refused(o->hard.term = 4); /* older than the log */
    assert_refused(o->run_count = 0); /* entries of no term */
    assert_refused(o->last = 0);      /* terms of no entry */
    assert_refused(o->last = 3);      /* a run behind the end */
    assert_refused(g.runs[0].first = 2);
    assert_refused(g.runs[1].first = 1);
    assert_refused(g.runs[1].term = 1);
    assert_refused(g.runs[0].term = 0);
}

/* Entries 11 .. 13 behind a base of term 2. */
static struct rig *sound_behind_base(struct rig *g)
{
    rig_init(g, 3);
    rig_base(g, POS(2, 10));
    rig_log(g, (raft_term[]){2, 2, 5, 0});
    assert_int_equal(open_rc(g), 0);
    return g;
}

/* As assert_refused. */
#define assert_refused_behind_base(change)      \
    do {                                        \
        struct rig g;                           \
        struct raft_options *o;                 \
        o = &sound_behind_base(&g)->options;    \
        change;                                 \
        (void)o;                                \
        assert_int_equal(open_rc(&g), -EINVAL); \
    } while (0)

static void a_base_that_contradicts_the_log_is_refused(void **s)
{
    (void)s;
    assert_refused_behind_base(o->applied = 9); /* that state is gone */
    assert_refused_behind_base(o->base.term = 0);
    assert_refused_behind_base(o->base.index = 0);
    assert_refused_behind_base(o->base.index = 11); /* a run begins at it */
    assert_refused_behind_base(o->base.index = 9);  /* a gap behind it */
    assert_refused_behind_base(o->base.term = 3);   /* newer than the log */
    assert_refused_behind_base(o->run_count = 0);
    assert_refused_behind_base(o->last = 10);
    assert_refused_behind_base(o->hard.term = 1);
    assert_refused_behind_base(o->is_first_boot = true);
}

/* Nothing but a base: the commit index is at it, and so is the log's end. */
static void a_restart_begins_at_its_base(void **s)
{
    struct rig g;

    (void)s;
    rig_init(&g, 3);
    rig_base(&g, POS(4, 70));
    rig_open(&g);
    assert_int_equal(rig_status(&g).commit, 70);
    assert_int_equal(rig_status(&g).applied, 70);
    assert_int_equal(rig_status(&g).durable, 70);
    assert_int_equal(rig_status(&g).base.index, 70);
    assert_int_equal(rig_status(&g).last.index, 70);
    assert_int_equal(rig_status(&g).last.term, 4);
    rig_pass(&g, 0);
    assert_int_equal(g.out.commit, 70);
    rig_close(&g);
}

static void the_status_says_what_the_options_said(void **s)
{
    struct raft_status status;
    struct rig g;

    (void)s;
    sound(&g);
    g.options.hard = (struct raft_hard_state){.term = 7, .voted_for = 3};
    rig_open(&g);
    status = rig_status(&g);
    assert_int_equal(status.id, 1);
    assert_int_equal(status.role, RAFT_FOLLOWER);
    assert_int_equal(status.term, 7);
    assert_int_equal(status.voted_for, 3);
    assert_int_equal(status.leader, 0);
    assert_int_equal(status.last.index, 4);
    assert_int_equal(status.last.term, 5);
    assert_int_equal(status.durable, 4);
    assert_int_equal(status.commit, 2);
    assert_int_equal(status.applied, 2);
    assert_false(status.can_serve);
    rig_close(&g);
}

static void peers_are_told_without_ourselves(void **s)
{
    struct raft_peer_status peers[4];
    struct rig g;

    (void)s;
    rig_start(&g, 3);
    rig_lead_and_commit(&g);
    assert_int_equal(raft_get_peers(g.raft, peers, 1), 2);
    assert_int_equal(raft_get_peers(g.raft, peers, 4), 2);
    assert_int_equal(peers[0].id, 2);
    assert_int_equal(peers[1].id, 3);
    assert_int_equal(peers[1].match, 1);
    assert_int_equal(peers[1].next, 2);
    assert_true(peers[1].heard == g.now);
    rig_close(&g);
}

static void freeing_nothing_is_harmless(void **s)
{
    (void)s;
    raft_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(options_that_contradict_themselves_are_refused),
        unit(a_configuration_that_contradicts_itself_is_refused),
        unit(a_log_that_contradicts_itself_is_refused),
        unit(a_base_that_contradicts_the_log_is_refused),
        unit(a_restart_begins_at_its_base),
        unit(the_status_says_what_the_options_said),
        unit(peers_are_told_without_ourselves),
        unit(freeing_nothing_is_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
