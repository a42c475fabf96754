/* raft/step.c: writes and their order, strangers, time; raft/new.c's rest. */
#include "tests/unit/raft/unit.h"

#include "tests/unit/raft/rig.h"

/* ---- Strangers ---- */

/* Who stands or leads may be one (test_member.c); all else is not for us. */
static void answers_of_strangers_are_not_heard(void **s)
{
    struct rig g;
    struct raft_msg msgs[] = {
        rig_append_reply(2, 9, 1),
        rig_heartbeat_reply(2, 9, 1, 1, 1),
        rig_pre_vote_reply(2, 9, false),
        rig_vote_reply(2, 9, true),
    };

    (void)s;
    rig_start(&g, 1);
    rig_pass(&g, 0);
    rig_sync(&g);
    rig_sync(&g);
    for (size_t i = 0; i < sizeof msgs / sizeof msgs[0]; i++) {
        rig_msg(&g, msgs[i]);
        assert_int_equal(rig_status(&g).role, RAFT_LEADER);
        assert_int_equal(rig_status(&g).term, 1);
        assert_int_equal(g.out.now.count + g.out.after.count, 0);
        assert_int_equal(rig_status(&g).refused, i + 1);
    }
    rig_close(&g);
}

static void messages_to_others_and_from_ourselves_are_not_heard(void **s)
{
    struct raft_msg m = rig_vote(2, 1, POS(0, 0));
    struct rig *g = *s;

    m.to = 3;
    rig_msg(g, m);
    rig_msg(g, rig_vote(1, 1, POS(0, 0)));
    m.to = 1;
    m.type = (enum raft_msg_type)99;
    rig_msg(g, m);
    assert_int_equal(rig_status(g).refused, 3);
    rig_msg(g, rig_heartbeat(2, 0, POS(0, 0), 0, 1)); /* of no term */
    assert_int_equal(rig_status(g).refused, 4);
    assert_int_equal(g->out.now.count + g->out.after.count, 0);
}

static void an_absurd_term_is_not_adopted(void **s)
{
    struct rig *g = *s;

    rig_msg(g, rig_heartbeat(2, UINT64_MAX, POS(0, 0), 0, 1));
    assert_int_equal(rig_status(g).term, 0);
    assert_int_equal(rig_status(g).refused, 1);
}

/* A place that is likely to be near what the replica holds. */
static struct raft_pos random_pos(struct px_rand *rand)
{
    struct raft_pos pos = {.term = px_rand_below(rand, 6),
                           .index = px_rand_below(rand, 10)};

    return px_rand_below(rand, 50) == 0 ? POS(UINT64_MAX, UINT64_MAX) : pos;
}

static uint64_t random_word(struct px_rand *rand)
{
    return px_rand_below(rand, 50) == 0 ? UINT64_MAX : px_rand_below(rand, 10);
}

static void random_append(struct px_rand *rand, struct raft_msg_append *a,
                          struct raft_entry *entries)
{
    a->prev = random_pos(rand);
    a->commit = random_word(rand);
    a->count = px_rand_below(rand, 4);
    a->entries = entries;
    for (size_t i = 0; i < a->count; i++)
        entries[i] = rig_entry(a->prev.term + px_rand_below(rand, 2),
                               a->prev.index + 1 + i);
}

/* Of any type or none, for a replica in @term. */
static struct raft_msg random_msg(struct px_rand *rand, raft_term term,
                                  struct raft_entry *entries)
{
    struct raft_msg m = {
        .type = (enum raft_msg_type)px_rand_below(rand, 13),
        .from = 1 + px_rand_below(rand, 4),
        .to = 1,
        .term = term + (px_rand_below(rand, 30) == 0),
        /* Numbers, in the shape of the message that has most of them. */
        .heartbeat = {.match = random_pos(rand),
                      .commit = random_word(rand),
                      .stamp = random_word(rand),
                      .round = random_word(rand)},
    };

    if (m.type == RAFT_MSG_APPEND)
        random_append(rand, &m.append, entries);
    if (m.type == RAFT_MSG_APPEND_REPLY)
        m.append_reply = (struct raft_msg_append_reply){
            .is_accepted = px_rand_below(rand, 2) == 0,
            .match = random_word(rand),
            .conflict = random_pos(rand)};
    if (m.type == RAFT_MSG_VOTE || m.type == RAFT_MSG_PRE_VOTE)
        m.vote.is_transfer = px_rand_below(rand, 8) == 0;
    if (m.type == RAFT_MSG_VOTE_REPLY || m.type == RAFT_MSG_PRE_VOTE_REPLY)
        m.vote_reply.is_granted = px_rand_below(rand, 2) == 0;
    return m;
}

/* "Never assert what came from a peer": whatever a member says, it stops
 * nobody. raft_check looks after every message. */
static void no_message_of_a_member_stops_the_replica(void **s)
{
    struct raft_entry entries[4];
    struct px_rand rand;
    struct rig g;
    uint64_t led = 0;

    (void)s;
    for (uint64_t seed = 0; seed < 300; seed++) {
        px_rand_init(&rand, seed);
        rig_start(&g, 3);
        if (seed % 2 == 0)
            rig_lead(&g);
        for (uint64_t i = 0; i < 300; i++) {
            rig_msg(&g, random_msg(&rand, rig_status(&g).term, entries));
            if (px_rand_below(&rand, 4) == 0)
                rig_sync(&g);
            if (px_rand_below(&rand, 20) == 0)
                rig_pass(&g, px_rand_below(&rand, RIG_E));
            if (px_rand_below(&rand, 8) == 0)
                rig_propose(&g, "x", 2);
            if (px_rand_below(&rand, 8) == 0)
                rig_read(&g, i + 1);
            led += rig_status(&g).role == RAFT_LEADER;
        }
        rig_close(&g);
    }
    assert_true(led > 5000); /* it has been through all roles */
}

/* ---- Writes ---- */

static void writes_are_numbered_from_one_without_gaps(void **s)
{
    struct rig g;

    (void)s;
    rig_start(&g, 1);
    rig_pass(&g, 0);
    assert_int_equal(g.out.write.seq, 1);
    rig_sync(&g);
    assert_int_equal(g.out.write.seq, 2);
    rig_pass(&g, 1);
    assert_int_equal(g.out.write.seq, 0);
    assert_null(g.out.hard);
    rig_sync(&g);
    rig_propose(&g, "x", 1);
    assert_int_equal(g.out.write.seq, 3);
    rig_close(&g);
}

static void a_durable_write_covers_those_before_it(void **s)
{
    struct rig g;

    (void)s;
    rig_start(&g, 1);
    rig_pass(&g, 0);
    rig_sync(&g);
    rig_propose(&g, "x", 1);
    rig_propose(&g, "y", 1);
    rig_sync(&g);
    assert_int_equal(rig_status(&g).durable, 3);
    assert_int_equal(g.out.commit, 3);
    rig_close(&g);
}

static void a_write_that_ends_late_does_not_take_the_newer_back(void **s)
{
    struct raft_write first;
    struct rig g;

    (void)s;
    rig_start(&g, 1);
    rig_pass(&g, 0);
    rig_sync(&g);
    rig_propose(&g, "x", 1);
    first = g.write;
    rig_propose(&g, "y", 1);
    rig_sync(&g);
    rig_write_done(&g, first);
    assert_int_equal(rig_status(&g).durable, 3);
    rig_close(&g);
}

/* The disk ends a write whose entries have been cut from the log meanwhile. */
static void a_write_that_was_cut_meanwhile_makes_nothing_durable(void **s)
{
    struct raft_entry old[] = {rig_entry(1, 1), rig_entry(1, 2)};
    struct raft_entry new[] = {rig_entry(2, 1)};
    struct raft_write first;
    struct rig *g = *s;

    rig_msg(g, rig_append(2, 1, POS(0, 0), 0, old, 2));
    first = g->write;
    rig_msg(g, rig_append(3, 2, POS(0, 0), 0, new, 1));
    rig_write_done(g, first);
    assert_int_equal(rig_status(g).durable, 0);
    rig_sync(g);
    assert_int_equal(rig_status(g).durable, 1);
}

/* ... and have come back since: between the two, the disk holds the cut. */
static void a_write_that_was_cut_and_restored_is_not_yet_durable(void **s)
{
    struct raft_entry old[] = {rig_entry(1, 1), rig_entry(1, 2)};
    struct raft_entry other[] = {rig_entry(2, 1)};
    struct raft_write first;
    struct rig *g = *s;

    rig_msg(g, rig_append(2, 1, POS(0, 0), 0, old, 2));
    first = g->write;
    rig_msg(g, rig_append(3, 2, POS(0, 0), 0, other, 1));
    rig_msg(g, rig_append(2, 3, POS(0, 0), 0, old, 2));
    rig_write_done(g, first);
    assert_int_equal(rig_status(g).durable, 0);
    rig_sync(g);
    assert_int_equal(rig_status(g).durable, 2);
}

static void a_cut_takes_the_durable_index_back(void **s)
{
    struct raft_entry old[] = {rig_entry(1, 1), rig_entry(1, 2),
                               rig_entry(1, 3)};
    struct raft_entry new[] = {rig_entry(2, 2), rig_entry(2, 3),
                               rig_entry(2, 4)};
    struct rig *g = *s;

    rig_msg(g, rig_append(2, 1, POS(0, 0), 0, old, 3));
    rig_sync(g);
    assert_int_equal(rig_status(g).durable, 3);
    rig_msg(g, rig_append(3, 2, POS(1, 1), 0, new, 3));
    assert_int_equal(rig_status(g).durable, 1);
}

/* ---- raft_committed ---- */

static void committed_entries_come_in_bounded_batches(void **s)
{
    struct px_slice big = {.owner = px_buf_new(PX_ENTRY_BYTES_MAX)};
    struct raft_proposal proposal = {.kind = RAFT_ENTRY_COMMAND};
    struct raft_in in = {.type = RAFT_IN_PROPOSE,
                         .propose = {.list = &proposal, .count = 1}};
    struct raft_entry out[16];
    struct rig g;

    (void)s;
    proposal.data = px_slice_of(big.owner, 0, PX_ENTRY_BYTES_MAX);
    rig_start(&g, 1);
    rig_pass(&g, 0);
    rig_sync(&g);
    in.now = g.now;
    for (int i = 0; i < 10; i++)
        assert_int_equal(raft_step(g.raft, &in, &g.out), 0);
    g.write = g.out.write;
    rig_sync(&g);
    assert_int_equal(g.out.commit, 11);
    assert_int_equal(raft_committed(g.raft, 1, out, 16),
                     1 + PX_BATCH_BYTES_MAX / PX_ENTRY_BYTES_MAX);
    assert_int_equal(raft_committed(g.raft, 2, out, 2), 2);
    assert_int_equal(out[0].pos.index, 2);
    assert_int_equal(raft_committed(g.raft, 12, out, 16), 0);
    rig_close(&g);
    px_slice_unref(&big);
}

static void after_a_restart_older_entries_are_read_from_the_log(void **s)
{
    struct raft_entry out[4];
    struct rig g;

    (void)s;
    rig_init(&g, 1);
    rig_log(&g, (raft_term[]){1, 1, 1, 0});
    g.options.applied = 1;
    rig_open(&g);
    rig_pass(&g, 0);
    assert_int_equal(g.out.commit, 1);
    rig_sync(&g);
    rig_sync(&g);
    assert_int_equal(g.out.commit, 4);
    assert_int_equal(raft_committed(g.raft, 2, out, 4), 0);
    assert_int_equal(raft_committed(g.raft, 4, out, 4), 1);
    rig_applied(&g, 3);
    rig_applied(&g, 4);
    rig_close(&g);
}

/* ---- Time and order ---- */

static void the_same_inputs_make_the_same_outputs(void **s)
{
    struct rig a, b;

    (void)s;
    rig_start(&a, 3);
    rig_start(&b, 3);
    rig_lead_and_commit(&a);
    rig_lead_and_commit(&b);
    rig_propose(&a, "x", 2);
    rig_propose(&b, "x", 2);
    assert_true(a.out.deadline == b.out.deadline);
    assert_int_equal(a.out.now.count, b.out.now.count);
    for (size_t i = 0; i < a.out.now.count; i++) {
        struct raft_msg x = a.out.now.list[i];
        struct raft_msg y = b.out.now.list[i];

        x.append.entries = NULL;
        y.append.entries = NULL;
        assert_memory_equal(&x, &y, sizeof x);
    }
    rig_close(&a);
    rig_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(answers_of_strangers_are_not_heard),
        rig_unit(messages_to_others_and_from_ourselves_are_not_heard,
                 rig_three),
        rig_unit(an_absurd_term_is_not_adopted, rig_three),
        unit(no_message_of_a_member_stops_the_replica),
        unit(writes_are_numbered_from_one_without_gaps),
        unit(a_durable_write_covers_those_before_it),
        unit(a_write_that_ends_late_does_not_take_the_newer_back),
        rig_unit(a_write_that_was_cut_meanwhile_makes_nothing_durable,
                 rig_three),
        rig_unit(a_write_that_was_cut_and_restored_is_not_yet_durable,
                 rig_three),
        rig_unit(a_cut_takes_the_durable_index_back, rig_three),
        unit(committed_entries_come_in_bounded_batches),
        unit(after_a_restart_older_entries_are_read_from_the_log),
        unit(the_same_inputs_make_the_same_outputs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
