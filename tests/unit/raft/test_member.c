/* raft/member.c: members come and go, one at a time (chapter 4). */
#include "tests/unit/raft/unit.h"

#include <errno.h>

#include "base/err.h"
#include "tests/unit/raft/rig.h"

/* ---- One replica ---- */

static void change(struct rig *g, enum raft_change_what what, raft_id id)
{
    struct raft_change c = {.what = what, .id = id};

    rig_change(g, &c);
}

/* The role of @id in the configuration in force; 0: no member. */
static int role_of(const struct rig *g, raft_id id)
{
    struct raft_config_at at;
    int i;

    raft_get_config(g->raft, &at);
    i = raft_config_find(&at.config, id);
    return i < 0 ? 0 : (int)at.config.members[i].role;
}

static raft_index config_index(const struct rig *g)
{
    struct raft_config_at at;

    raft_get_config(g->raft, &at);
    return at.index;
}

/* Everything so far is durable here, and peers 2 and 3 hold it. */
static void settle(struct rig *g)
{
    rig_sync(g);
    rig_accept(g, 2, rig_status(g).last.index);
    rig_accept(g, 3, rig_status(g).last.index);
    rig_applied(g, rig_status(g).commit);
    assert_int_equal(rig_status(g).commit, rig_status(g).last.index);
}

/* Peer 4 is a learner, and holds all. */
static void lead_with_a_learner(struct rig *g)
{
    rig_three_leading(g);
    settle(g);
    change(g, RAFT_ADD, 4);
    assert_int_equal(g->rc, 0);
    settle(g);
    rig_accept(g, 4, rig_status(g).last.index);
    rig_pass(g, RIG_H);
    for (raft_id id = 2; id <= 4; id++)
        rig_beat(g, id, rig_status(g).last.index);
}

/* Nobody has answered a heartbeat yet. */
static void lead_unanswered(struct rig *g)
{
    rig_three_leading(g);
    settle(g);
}

static void lead_in_peace(struct rig *g)
{
    lead_unanswered(g);
    rig_pass(g, RIG_H);
    for (raft_id id = 2; id <= 3; id++)
        rig_beat(g, id, rig_status(g).last.index);
}

static void a_change_is_in_force_before_it_is_committed(void **s)
{
    struct rig *g = *s;

    change(g, RAFT_ADD, 4);
    assert_int_equal(g->rc, 0);
    assert_int_equal(role_of(g, 4), RAFT_LEARNER);
    assert_int_equal(config_index(g), rig_status(g).last.index);
    assert_int_equal(g->out.proposed.index, rig_status(g).last.index);
    assert_true(rig_status(g).commit < config_index(g));
    assert_non_null(
        rig_now(g, 4, RAFT_MSG_APPEND)); /* and it is sent the log */
}

static void what_was_added_follows_the_configuration(void **s)
{
    struct raft_change c = {
        .what = RAFT_ADD,
        .id = 4,
        .added = {.data = (const uint8_t *)"name", .size = 4}};
    struct raft_config config;
    struct rig *g = *s;
    struct px_slice data;
    int size;

    rig_change(g, &c);
    assert_int_equal(g->out.append_count, 1);
    assert_int_equal(g->out.append[0].kind, RAFT_ENTRY_CONFIG);
    data = g->out.append[0].data;
    size = raft_config_decode(data, &config);
    assert_int_equal(config.count, 4);
    assert_int_equal(data.size, (size_t)size + 4);
    assert_memory_equal(data.data + size, "name", 4);
}

static void a_learner_counts_towards_no_majority(void **s)
{
    struct rig *g = *s;
    raft_index commit;

    commit = rig_status(g).commit;
    rig_propose(g, "x", 1);
    rig_accept(g, 4, rig_status(g).last.index);
    rig_sync(g);
    assert_int_equal(rig_status(g).commit, commit); /* us and a learner */
    rig_accept(g, 2, rig_status(g).last.index);
    assert_int_equal(rig_status(g).commit, commit + 1);
}

static void a_learner_is_sent_what_is_committed(void **s)
{
    const struct raft_msg *m;
    struct rig *g = *s;
    raft_index last;

    rig_propose(g, "x", 1);
    last = rig_status(g).last.index;
    assert_non_null(rig_now(g, 2, RAFT_MSG_APPEND));
    assert_null(rig_now(g, 4, RAFT_MSG_APPEND));
    rig_pass(g, RIG_H);
    rig_beat(g, 4, last - 1);
    assert_null(rig_now(g, 4, RAFT_MSG_APPEND));
    rig_sync(g);
    rig_accept(g, 2, last);
    m = rig_now(g, 4, RAFT_MSG_APPEND); /* in the same step */
    assert_non_null(m);
    assert_int_equal(m->append.prev.index, last - 1);
    assert_int_equal(m->append.count, 1);
    assert_int_equal(m->append.commit, last);
}

static void a_learner_has_its_reads_answered(void **s)
{
    struct raft_msg m = {.type = RAFT_MSG_READ,
                         .from = 4,
                         .to = 1,
                         .term = 1,
                         .read = {.id = 77}};
    struct rig *g = *s;

    rig_msg(g, m);
    assert_non_null(rig_now(g, 4, RAFT_MSG_READ_REPLY));
}

static void a_learner_that_has_caught_up_becomes_a_voter(void **s)
{
    struct rig *g = *s;

    change(g, RAFT_PROMOTE, 4);
    assert_int_equal(g->rc, 0);
    assert_int_equal(role_of(g, 4), RAFT_VOTER);
    rig_sync(g);
    rig_accept(g, 4, rig_status(g).last.index);
    assert_true(rig_status(g).commit < rig_status(g).last.index); /* 2 of 4 */
    rig_accept(g, 2, rig_status(g).last.index);
    assert_int_equal(rig_status(g).commit, rig_status(g).last.index);
}

/* As the caller is told, who may wonder whom to promote. */
static bool has_caught_up(const struct rig *g, raft_id id)
{
    struct raft_peer_status peers[RAFT_MEMBERS_MAX];
    size_t count = raft_get_peers(g->raft, peers, RAFT_MEMBERS_MAX);

    for (size_t i = 0; i < count; i++) {
        if (peers[i].id == id)
            return peers[i].has_caught_up;
    }
    return false;
}

static void a_learner_that_lacks_much_is_not_promoted(void **s)
{
    struct rig *g = *s;

    for (int i = 0; i < (int)PX_BATCH_ENTRIES_MAX + 1; i++)
        rig_propose(g, "x", 1);
    change(g, RAFT_PROMOTE, 4);
    assert_int_equal(g->rc, -EAGAIN);
    assert_false(has_caught_up(g, 4));
    rig_accept(g, 4, rig_status(g).last.index - PX_BATCH_ENTRIES_MAX);
    assert_true(has_caught_up(g, 4));
    change(g, RAFT_PROMOTE, 4);
    assert_int_equal(g->rc, 0);
}

static void a_learner_that_was_not_heard_of_is_not_promoted(void **s)
{
    struct rig *g = *s;

    for (int i = 0; i < 11; i++) {
        rig_pass(g, RIG_H);
        rig_beat(g, 2, rig_status(g).last.index);
    }
    change(g, RAFT_PROMOTE, 4);
    assert_int_equal(g->rc, -EAGAIN);
}

static void beat_as_faulty(struct rig *g, raft_id id)
{
    const struct raft_msg *m;
    struct raft_msg reply;

    rig_pass(g, RIG_H);
    m = rig_now(g, id, RAFT_MSG_HEARTBEAT);
    assert_non_null(m);
    reply = rig_heartbeat_reply(id, 1, m->heartbeat.stamp, m->heartbeat.round,
                                rig_status(g).last.index);
    reply.heartbeat_reply.is_faulty = true;
    rig_msg(g, reply);
}

/* With two voters, the cluster would be lost with us. */
static void a_learner_that_is_faulty_is_not_promoted(void **s)
{
    struct rig *g = *s;

    beat_as_faulty(g, 4);
    change(g, RAFT_PROMOTE, 4);
    assert_int_equal(g->rc, -EAGAIN);
    assert_false(has_caught_up(g, 4));
    rig_pass(g, RIG_H);
    rig_beat(g, 4, rig_status(g).last.index);
    change(g, RAFT_PROMOTE, 4);
    assert_int_equal(g->rc, 0);
}

static void a_learner_that_has_not_said_whether_it_is_faulty_waits(void **s)
{
    struct rig *g = *s;

    change(g, RAFT_ADD, 4);
    settle(g);
    rig_accept(g, 4, rig_status(g).last.index);
    change(g, RAFT_PROMOTE, 4);
    assert_int_equal(g->rc, -EAGAIN);
    rig_pass(g, RIG_H);
    rig_beat(g, 4, rig_status(g).last.index);
    change(g, RAFT_PROMOTE, 4);
    assert_int_equal(g->rc, 0);
}

static void no_voter_goes_if_the_others_are_faulty(void **s)
{
    struct rig *g = *s;

    beat_as_faulty(g, 2);
    change(g, RAFT_REMOVE, 3);
    assert_int_equal(g->rc, -EAGAIN);
    change(g, RAFT_REMOVE, 2); /* but that one may */
    assert_int_equal(g->rc, 0);
}

/* Those who have acknowledged something, but not yet answered a heartbeat of
 * this term, may be faulty. */
static void
no_voter_goes_before_the_others_have_said_that_they_are_whole(void **s)
{
    struct rig *g = *s;

    change(g, RAFT_REMOVE, 3);
    assert_int_equal(g->rc, -EAGAIN);
    rig_pass(g, RIG_H);
    rig_beat(g, 2, rig_status(g).last.index);
    change(g, RAFT_REMOVE, 3);
    assert_int_equal(g->rc, 0);
}

static void no_voter_goes_if_the_others_are_not_heard_of(void **s)
{
    struct rig *g = *s;

    for (int i = 0; i < 11; i++) {
        rig_pass(g, RIG_H);
        rig_beat(g, 3, rig_status(g).last.index);
    }
    change(g, RAFT_REMOVE, 3);
    assert_int_equal(g->rc, -EAGAIN);
    change(g, RAFT_REMOVE, 2);
    assert_int_equal(g->rc, 0);
}

/* Both others have just died. Without this the change waits for one of them, and
 * the other is of no use when it is back. */
static void no_voter_goes_once_the_connections_to_the_others_broke(void **s)
{
    struct rig *g = *s;

    rig_unreachable(g, 2);
    rig_unreachable(g, 3);
    change(g, RAFT_REMOVE, 3);
    assert_int_equal(g->rc, -EAGAIN);
    rig_pass(g, RIG_H);
    rig_beat(g, 2, rig_status(g).last.index);
    change(g, RAFT_REMOVE, 3);
    assert_int_equal(g->rc, 0);
}

static void nor_when_they_have_missed_heartbeats(void **s)
{
    struct rig *g = *s;

    rig_pass(g, 2 * RIG_H + 1);
    change(g, RAFT_REMOVE, 3);
    assert_int_equal(g->rc, -EAGAIN);
    rig_beat(g, 2, rig_status(g).last.index);
    change(g, RAFT_REMOVE, 3);
    assert_int_equal(g->rc, 0);
}

static void a_voter_that_was_removed_counts_no_more(void **s)
{
    struct rig *g = *s;

    change(g, RAFT_REMOVE, 3);
    assert_int_equal(g->rc, 0);
    assert_int_equal(role_of(g, 3), 0);
    rig_sync(g);
    rig_msg(g, rig_append_reply(3, 1, rig_status(g).last.index));
    assert_true(rig_status(g).commit < rig_status(g).last.index);
    rig_accept(g, 2, rig_status(g).last.index);
    assert_int_equal(rig_status(g).commit, rig_status(g).last.index);
    rig_pass(g, RIG_H);
    assert_null(rig_now(g, 3, RAFT_MSG_HEARTBEAT));
    assert_non_null(rig_now(g, 2, RAFT_MSG_HEARTBEAT));
}

/* The fault of the single-server change as it was first published. */
static void no_change_before_the_first_commit_of_the_term(void **s)
{
    struct rig *g = *s;

    rig_lead(g);
    change(g, RAFT_ADD, 4);
    assert_int_equal(g->rc, -EAGAIN);
    rig_sync(g);
    rig_accept(g, 2, 1);
    change(g, RAFT_ADD, 4);
    assert_int_equal(g->rc, 0);
}

static void no_change_while_another_is_under_way(void **s)
{
    struct rig *g = *s;

    change(g, RAFT_ADD, 4);
    change(g, RAFT_REMOVE, 3);
    assert_int_equal(g->rc, -EBUSY);
    settle(g);
    change(g, RAFT_REMOVE, 3);
    assert_int_equal(g->rc, 0);
}

static void no_change_while_leadership_is_handed_over(void **s)
{
    struct rig *g = *s;

    rig_pass(g, RIG_H);
    rig_beat(g, 2, rig_status(g).last.index);
    rig_transfer(g, 2);
    change(g, RAFT_ADD, 4);
    assert_int_equal(g->rc, -EAGAIN);
}

static void what_can_not_be_is_refused(void **s)
{
    struct rig *g = *s;

    change(g, RAFT_REMOVE, 1); /* ourselves: hand over first */
    assert_int_equal(g->rc, -EINVAL);
    change(g, RAFT_ADD, 0);
    assert_int_equal(g->rc, -EINVAL);
    change(g, RAFT_ADD, 3);
    assert_int_equal(g->rc, -EEXIST);
    change(g, RAFT_PROMOTE, 3);
    assert_int_equal(g->rc, -EEXIST);
    change(g, RAFT_PROMOTE, 9);
    assert_int_equal(g->rc, -ENOENT);
    change(g, RAFT_REMOVE, 9);
    assert_int_equal(g->rc, -ENOENT);
    for (raft_id id = 4; id <= RAFT_MEMBERS_MAX; id++) {
        change(g, RAFT_ADD, id);
        assert_int_equal(g->rc, 0);
        settle(g);
    }
    change(g, RAFT_ADD, 99);
    assert_int_equal(g->rc, -ENOSPC);
}

static void only_a_leader_changes_members(void **s)
{
    struct rig *g = *s;

    change(g, RAFT_ADD, 4);
    assert_int_equal(g->rc, -PX_ENOTLEADER);
}

/* ---- On a follower ---- */

static struct raft_entry config_entry(raft_term term, raft_index index,
                                      raft_id id)
{
    static uint8_t bytes[8][RAFT_CONFIG_BYTES_MAX];
    struct raft_config config = {.count = 4,
                                 .members = {{1, RAFT_VOTER},
                                             {2, RAFT_VOTER},
                                             {3, RAFT_VOTER},
                                             {id, RAFT_VOTER}}};
    uint8_t *b = bytes[index % 8];
    size_t size = raft_config_encode(&config, b);

    return (struct raft_entry){.pos = POS(term, index),
                               .kind = RAFT_ENTRY_CONFIG,
                               .data = {.data = b, .size = size}};
}

static void a_follower_takes_it_when_it_is_appended(void **s)
{
    struct raft_entry e = config_entry(1, 1, 4);
    struct rig *g = *s;

    rig_msg(g, rig_append(2, 1, POS(0, 0), 0, &e, 1));
    assert_int_equal(role_of(g, 4), RAFT_VOTER);
    assert_int_equal(rig_status(g).commit, 0);
}

static void a_cut_takes_it_back(void **s)
{
    struct raft_entry e[] = {config_entry(1, 1, 4), config_entry(1, 2, 5)};
    struct raft_entry other = rig_entry(2, 2);
    struct rig *g = *s;

    rig_msg(g, rig_append(2, 1, POS(0, 0), 0, e, 2));
    assert_int_equal(role_of(g, 5), RAFT_VOTER);
    assert_int_equal(role_of(g, 4), 0);
    rig_msg(g, rig_append(3, 2, POS(1, 1), 0, &other, 1));
    assert_int_equal(role_of(g, 5), 0);
    assert_int_equal(role_of(g, 4), RAFT_VOTER);
    assert_int_equal(config_index(g), 1);
}

/* In one step, so that only the count tells. */
static void one_that_takes_the_place_of_another_is_news(void **s)
{
    struct raft_entry e = config_entry(1, 1, 4);
    struct raft_entry other = config_entry(2, 1, 5);
    struct rig *g = *s;
    uint64_t changes;

    rig_msg(g, rig_append(2, 1, POS(0, 0), 0, &e, 1));
    changes = rig_status(g).config_changes;
    rig_msg(g, rig_append(3, 2, POS(0, 0), 0, &other, 1));
    assert_int_equal(role_of(g, 5), RAFT_VOTER);
    assert_int_equal(config_index(g), 1);
    assert_true(rig_status(g).config_changes > changes);
    changes = rig_status(g).config_changes;
    rig_pass(g, RIG_H);
    assert_int_equal(rig_status(g).config_changes, changes);
}

static void a_config_that_can_not_be_is_refused(void **s)
{
    struct raft_entry e = config_entry(1, 1, 3); /* twice */
    struct rig *g = *s;

    rig_msg(g, rig_append(2, 1, POS(0, 0), 0, &e, 1));
    assert_int_equal(rig_status(g).last.index, 0);
    assert_int_equal(rig_status(g).refused, 1);
}

/* A leader, or a candidate, may be a member that we don't know of yet (4.1). */
static void a_stranger_is_followed_and_voted_for(void **s)
{
    struct rig *g = *s;

    rig_msg(g, rig_vote(9, 1, POS(0, 0)));
    assert_int_equal(rig_status(g).voted_for, 9);
    rig_msg(g, rig_heartbeat(9, 1, POS(0, 0), 0, 1));
    assert_int_equal(rig_status(g).leader, 9);
}

static void who_knows_of_no_members_waits_to_be_told(void **s)
{
    struct raft_entry e = config_entry(1, 1, 9);
    struct rig *g = *s;

    rig_init(g, 3);
    g->options.config.count = 0;
    rig_open(g);
    rig_pass(g, 10 * RIG_E);
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    assert_true(g->out.deadline == PX_NS_NEVER);
    rig_msg(g, rig_append(2, 1, POS(0, 0), 0, &e, 1));
    assert_int_equal(role_of(g, 1), RAFT_VOTER);
    rig_sync(g);
    rig_pass(g, 2 * RIG_E);
    assert_int_equal(rig_status(g).role, RAFT_PRE_CANDIDATE);
}

static void after_a_restart_the_newest_in_the_log_is_in_force(void **s)
{
    struct raft_config_at configs[2] = {{.index = 2}, {.index = 4}};
    struct rig *g = *s;

    rig_init(g, 3);
    rig_log(g, (const raft_term[]){1, 1, 1, 1, 0});
    g->options.config_count = 2;
    g->options.configs = configs;
    configs[0].config = g->options.config;
    configs[1].config = g->options.config;
    configs[1].config.members[2].id = 7;
    rig_open(g);
    assert_int_equal(role_of(g, 7), RAFT_VOTER);
    assert_int_equal(role_of(g, 3), 0);
    assert_int_equal(config_index(g), 4);
}

static void a_snapshot_brings_its_members(void **s)
{
    struct raft_config config;
    struct rig *g = *s;

    config = g->options.config;
    config.members[2].id = 7;
    rig_follow(g, 2, 5);
    rig_installing(g, 5);
    rig_sync(g);
    rig_installed_as(g, POS(4, 30), &config);
    assert_true(g->out.is_installed);
    assert_int_equal(role_of(g, 7), RAFT_VOTER);
    assert_int_equal(role_of(g, 3), 0);
}

static void nothing(struct rig *g)
{
    (void)g; /* the test begins by itself */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_unit(a_change_is_in_force_before_it_is_committed, lead_in_peace),
        rig_unit(what_was_added_follows_the_configuration, lead_in_peace),
        rig_unit(a_learner_counts_towards_no_majority, lead_with_a_learner),
        rig_unit(a_learner_is_sent_what_is_committed, lead_with_a_learner),
        rig_unit(a_learner_has_its_reads_answered, lead_with_a_learner),
        rig_unit(a_learner_that_has_caught_up_becomes_a_voter,
                 lead_with_a_learner),
        rig_unit(a_learner_that_lacks_much_is_not_promoted,
                 lead_with_a_learner),
        rig_unit(a_learner_that_was_not_heard_of_is_not_promoted,
                 lead_with_a_learner),
        rig_unit(a_learner_that_is_faulty_is_not_promoted, lead_with_a_learner),
        rig_unit(a_learner_that_has_not_said_whether_it_is_faulty_waits,
                 lead_in_peace),
        rig_unit(no_voter_goes_if_the_others_are_faulty, lead_in_peace),
        rig_unit(no_voter_goes_before_the_others_have_said_that_they_are_whole,
                 lead_unanswered),
        rig_unit(no_voter_goes_if_the_others_are_not_heard_of, lead_in_peace),
        rig_unit(no_voter_goes_once_the_connections_to_the_others_broke,
                 lead_in_peace),
        rig_unit(nor_when_they_have_missed_heartbeats, lead_in_peace),
        rig_unit(a_voter_that_was_removed_counts_no_more, lead_in_peace),
        rig_unit(no_change_before_the_first_commit_of_the_term, rig_three),
        rig_unit(no_change_while_another_is_under_way, lead_in_peace),
        rig_unit(no_change_while_leadership_is_handed_over, lead_in_peace),
        rig_unit(what_can_not_be_is_refused, lead_in_peace),
        rig_unit(only_a_leader_changes_members, rig_three),
        rig_unit(a_follower_takes_it_when_it_is_appended, rig_three),
        rig_unit(a_cut_takes_it_back, rig_three),
        rig_unit(one_that_takes_the_place_of_another_is_news, rig_three),
        rig_unit(a_config_that_can_not_be_is_refused, rig_three),
        rig_unit(a_stranger_is_followed_and_voted_for, rig_three),
        rig_unit(who_knows_of_no_members_waits_to_be_told, nothing),
        rig_unit(after_a_restart_the_newest_in_the_log_is_in_force, nothing),
        rig_unit(a_snapshot_brings_its_members, rig_three),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
