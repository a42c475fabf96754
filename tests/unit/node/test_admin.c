/* node/admin.c: what is asked of the members of a cluster in one process, and
 * answered. Node i of the world is called "n<i + 1>", and raft's i + 1. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "node/admin.h"
#include "store/members.h"
#include "tests/unit/node/world.h"

#define CLUSTER 77u
#define TIMEOUT PX_NS_PER_S
#define ELECTION (240 * PX_NS_PER_MS)
#define IDS_MAX 40u

/* The admin of one node, and what was answered last. */
struct rig {
    struct world *w;
    size_t node;
    struct admin *admin;
    struct net_admin_reply reply;
    unsigned replies;
    uint64_t token;
    raft_id removed;
    int removed_rc;
    struct swim_member_info seen[4];
    size_t seen_count;
};

static char names[IDS_MAX][8];

static raft_id id_of(const char *name)
{
    return name[0] == 'n' ? strtoull(name + 1, NULL, 10) : 999;
}

static px_ns now(void *ctx)
{
    return ((struct rig *)ctx)->w->now;
}

static void on_reply(void *ctx, uint64_t token, const struct net_admin_reply *r)
{
    struct rig *rig = ctx;

    rig->reply = *r;
    rig->token = token;
    rig->replies++;
}

static bool name_of(void *ctx, raft_id id, const char **name_out,
                    const char **address_out)
{
    (void)ctx;
    assert_in_range(id, 1, IDS_MAX - 1);
    (void)snprintf(names[id], sizeof names[id], "n%u", (unsigned)id);
    *name_out = names[id];
    *address_out = "host:1";
    return true;
}

static bool find(void *ctx, raft_id id, struct swim_member_info *out)
{
    struct rig *rig = ctx;

    for (size_t i = 0; i < rig->seen_count; i++) {
        if (id_of(rig->seen[i].id) == id) {
            *out = rig->seen[i];
            return true;
        }
    }
    return false;
}

static size_t seen(void *ctx, const struct swim_member_info **list_out)
{
    struct rig *rig = ctx;

    *list_out = rig->seen;
    return rig->seen_count;
}

static void members(void *ctx, struct members *out)
{
    struct rig *rig = ctx;
    const struct members_from from = {
        .ctx = rig,
        .replica = rig->w->nodes[rig->node].replica,
        .now = rig->w->now,
        .election = ELECTION,
        .name = name_of,
        .find = find,
    };

    members_get(&from, out);
}

static int was_removed(void *ctx, raft_id id)
{
    struct rig *rig = ctx;

    return rig->removed_rc != 0 ? rig->removed_rc : rig->removed == id;
}

/* At @node of @w, which is ready. */
static void at(struct rig *rig, struct world *w, size_t node)
{
    const struct admin_io io = {
        .ctx = rig,
        .reply = on_reply,
        .members = members,
        .was_removed = was_removed,
        .find = find,
        .seen = seen,
    };
    const struct admin_options options = {
        .replica = w->nodes[node].replica,
        .now = now,
        .id_of = id_of,
        .timeout = TIMEOUT,
        .election = ELECTION,
        .cluster = CLUSTER,
    };

    memset(rig, 0, sizeof *rig);
    rig->w = w;
    rig->node = node;
    assert_int_equal(admin_new(&options, &io, &rig->admin), 0);
}

/* At the leader of @voters voters, with one node more that is nobody yet. */
static void at_leader(struct rig *rig, size_t voters, uint64_t seed)
{
    struct world *w = world_open_voters(voters + 1, voters, seed);

    world_kill(w, voters);
    assert_true(world_ready(w));
    world_start(w, voters);
    at(rig, w, world_leader(w));
}

static void end(struct rig *rig)
{
    struct world *w = rig->w;

    world_close(w); /* what waits is answered */
    admin_free(rig->admin);
}

static void see(struct rig *rig, const char *name, enum swim_state state,
                uint64_t cluster)
{
    rig->seen[rig->seen_count++] = (struct swim_member_info){
        .id = name,
        .state = state,
        .peer = "10.0.0.9:9000",
        .zone = "moon",
        .cluster = cluster,
    };
}

static bool is_answered(struct world *w, void *ctx)
{
    (void)w;
    return ((struct rig *)ctx)->replies > 0;
}

static void ask_at(struct rig *rig, enum net_admin_what what, const char *name,
                   const char *address)
{
    struct net_admin q = {.what = what};

    (void)snprintf(q.name, sizeof q.name, "%s", name);
    (void)snprintf(q.address, sizeof q.address, "%s", address);
    rig->replies = 0;
    admin_ask(rig->admin, 5, &q);
}

static int ask_to(struct rig *rig, enum net_admin_what what, const char *name,
                  const char *address)
{
    ask_at(rig, what, name, address);
    assert_true(world_run(rig->w, 10 * PX_NS_PER_S, is_answered, rig));
    assert_int_equal(rig->replies, 1);
    assert_int_equal(rig->token, 5);
    assert_int_equal(rig->reply.cluster, CLUSTER);
    return rig->reply.rc;
}

static int ask(struct rig *rig, enum net_admin_what what, const char *name)
{
    return ask_to(rig, what, name, "");
}

/* The name of some voter that does not lead. */
static const char *follower(const struct rig *rig)
{
    const char *name, *address;

    (void)name_of(NULL, (rig->node + 1) % 3 + 1, &name, &address);
    return name;
}

static const char *leader(const struct rig *rig)
{
    const char *name, *address;

    (void)name_of(NULL, rig->node + 1, &name, &address);
    return name;
}

static void says(const struct rig *rig, const char *text)
{
    if (strstr(rig->reply.text, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, rig->reply.text);
}

static size_t voters_of(const struct rig *rig, size_t *members_out)
{
    struct members m;
    size_t voters = 0;

    members((void *)(uintptr_t)rig, &m);
    for (size_t i = 0; i < m.config.count; i++)
        voters += m.config.members[i].role == RAFT_VOTER;
    *members_out = m.config.count;
    return voters;
}

/* ---- A member comes ---- */

static void a_node_is_added_learns_and_is_promoted(void **state)
{
    struct rig rig;
    size_t count;

    (void)state;
    at_leader(&rig, 3, 1);
    assert_int_equal(ask_to(&rig, NET_ADMIN_ADD, "n4", "10.0.0.4:9000"), 0);
    says(&rig, "n4 is a learner");
    assert_int_equal(voters_of(&rig, &count), 3);
    assert_int_equal(count, 4);
    assert_true(world_settle(rig.w, PX_NS_PER_S));
    assert_int_equal(ask(&rig, NET_ADMIN_PROMOTE, "n4"), 0);
    says(&rig, "n4 is a voter");
    assert_int_equal(voters_of(&rig, &count), 4);
    end(&rig);
}

/* What the state of @node has of @id: its address, or NULL. */
static const char *kept(struct world *w, size_t node, raft_id id, int *removed)
{
    static struct store_members m;
    struct store_view *v = w->nodes[node].view;
    const char *address = NULL;

    assert_int_equal(store_view_begin(v), 0);
    assert_int_equal(store_view_members(v, &m), 0);
    *removed = store_view_was_removed(v, id);
    store_view_end(v);
    for (size_t i = 0; i < m.count; i++) {
        if (m.list[i].id == id)
            address = m.list[i].address;
    }
    return address;
}

static void names_and_addresses_are_known_to_every_state(void **state)
{
    struct rig rig;
    int removed;

    (void)state;
    at_leader(&rig, 3, 25);
    assert_int_equal(ask_to(&rig, NET_ADMIN_ADD, "n4", "10.0.0.4:9000"), 0);
    assert_true(world_settle(rig.w, PX_NS_PER_S));
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(kept(rig.w, i, 4, &removed), "10.0.0.4:9000");
        assert_int_equal(removed, 0);
        assert_string_equal(kept(rig.w, i, 1, &removed), "host:1");
    }
    assert_int_equal(ask(&rig, NET_ADMIN_REMOVE, "n4"), 0);
    assert_true(world_settle(rig.w, PX_NS_PER_S));
    for (size_t i = 0; i < 3; i++) {
        assert_null(kept(rig.w, i, 4, &removed));
        assert_int_equal(removed, 1);
        assert_string_equal(kept(rig.w, i, 1, &removed), "host:1");
    }
    end(&rig);
}

static void a_change_that_is_under_way_is_not_settled(void **state)
{
    struct rig rig;
    struct members m;

    (void)state;
    at_leader(&rig, 3, 26);
    ask_at(&rig, NET_ADMIN_ADD, "n4", "h:1");
    members(&rig, &m);
    assert_false(m.is_settled);
    assert_true(world_settle(rig.w, PX_NS_PER_S));
    members(&rig, &m);
    assert_true(m.is_settled);
    end(&rig);
}

static void a_node_that_gossip_knows_is_added_by_its_name_alone(void **state)
{
    struct rig rig;

    (void)state;
    at_leader(&rig, 3, 2);
    assert_int_equal(ask(&rig, NET_ADMIN_ADD, "n4"), -EINVAL);
    says(&rig, "say where it is");
    see(&rig, "n4", SWIM_ALIVE, CLUSTER);
    assert_int_equal(ask(&rig, NET_ADMIN_ADD, "n4"), 0);
    end(&rig);
}

static void an_address_has_a_host_and_a_port(void **state)
{
    static const char *const bad[] = {"10.0.0.4", ":9000", "10.0.0.4:0"};
    struct rig rig;

    (void)state;
    at_leader(&rig, 3, 3);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(ask_to(&rig, NET_ADMIN_ADD, "n4", bad[i]), -EINVAL);
        says(&rig, "host:port");
    }
    end(&rig);
}

static void what_is_no_name_is_not_added(void **state)
{
    struct rig rig;

    (void)state;
    at_leader(&rig, 3, 4);
    assert_int_equal(ask_to(&rig, NET_ADMIN_ADD, "", "h:1"), -EINVAL);
    assert_int_equal(ask_to(&rig, NET_ADMIN_ADD, "-x", "h:1"), -EINVAL);
    says(&rig, "is no name");
    end(&rig);
}

static void a_member_is_not_added_again(void **state)
{
    struct rig rig;

    (void)state;
    at_leader(&rig, 3, 5);
    assert_int_equal(ask_to(&rig, NET_ADMIN_ADD, leader(&rig), "h:1"), -EEXIST);
    says(&rig, "is a voter already");
    assert_int_equal(ask_to(&rig, NET_ADMIN_ADD, "n4", "h:1"), 0);
    assert_int_equal(ask_to(&rig, NET_ADMIN_ADD, "n4", "h:1"), -EEXIST);
    says(&rig, "is a learner already");
    end(&rig);
}

static void who_was_removed_is_not_added_again(void **state)
{
    struct rig rig;

    (void)state;
    at_leader(&rig, 3, 6);
    rig.removed = 4;
    assert_int_equal(ask_to(&rig, NET_ADMIN_ADD, "n4", "h:1"), -EPERM);
    says(&rig, "never used again");
    rig.removed_rc = -PX_ECORRUPT;
    assert_int_equal(ask_to(&rig, NET_ADMIN_ADD, "n5", "h:1"), -EIO);
    end(&rig);
}

static void a_node_of_another_cluster_is_not_added(void **state)
{
    struct rig rig;

    (void)state;
    at_leader(&rig, 3, 7);
    see(&rig, "n4", SWIM_ALIVE, CLUSTER + 1);
    assert_int_equal(ask(&rig, NET_ADMIN_ADD, "n4"), -PX_ECLUSTER);
    rig.seen[0].cluster = 0; /* of none yet */
    assert_int_equal(ask(&rig, NET_ADMIN_ADD, "n4"), 0);
    end(&rig);
}

static void there_is_room_for_so_many_members(void **state)
{
    struct rig rig;
    char name[8];

    (void)state;
    at_leader(&rig, 3, 8);
    for (unsigned i = 4; i <= RAFT_MEMBERS_MAX; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        assert_int_equal(ask_to(&rig, NET_ADMIN_ADD, name, "h:1"), 0);
    }
    assert_int_equal(ask_to(&rig, NET_ADMIN_ADD, "n17", "h:1"), -ENOSPC);
    says(&rig, "remove one first");
    end(&rig);
}

/* ---- Votes ---- */

static void a_learner_that_lags_is_not_promoted_yet(void **state)
{
    struct rig rig;

    (void)state;
    at_leader(&rig, 3, 9);
    assert_int_equal(ask_to(&rig, NET_ADMIN_ADD, "n9", "h:1"), 0); /* nobody */
    for (unsigned i = 0; i <= NET_ADMINS_MAX; i++) { /* none stays behind */
        assert_int_equal(ask(&rig, NET_ADMIN_PROMOTE, "n9"), -EAGAIN);
        says(&rig, "n9 has not caught up: it holds the log up to 0 of");
    }
    end(&rig);
}

static void a_voter_is_not_promoted(void **state)
{
    struct rig rig;

    (void)state;
    at_leader(&rig, 3, 10);
    assert_int_equal(ask(&rig, NET_ADMIN_PROMOTE, leader(&rig)), -EEXIST);
    assert_int_equal(ask(&rig, NET_ADMIN_PROMOTE, follower(&rig)), -EEXIST);
    says(&rig, "is a voter already");
    end(&rig);
}

static void who_is_no_member_is_neither_promoted_nor_removed(void **state)
{
    static const enum net_admin_what what[] = {
        NET_ADMIN_PROMOTE, NET_ADMIN_REMOVE, NET_ADMIN_TRANSFER};
    struct rig rig;

    (void)state;
    at_leader(&rig, 3, 11);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ask(&rig, what[i], "n30"), -ENOENT);
        says(&rig, "no member is called \"n30\"");
    }
    end(&rig);
}

/* ---- A member goes ---- */

static void a_follower_is_removed(void **state)
{
    struct rig rig;
    size_t count;

    (void)state;
    at_leader(&rig, 3, 12);
    assert_int_equal(ask(&rig, NET_ADMIN_REMOVE, follower(&rig)), 0);
    says(&rig, "never used again");
    assert_int_equal(voters_of(&rig, &count), 2);
    end(&rig);
}

static void a_leader_hands_over_before_it_is_removed(void **state)
{
    struct rig rig, other;
    char old[8];
    size_t count;

    (void)state;
    at_leader(&rig, 3, 13);
    (void)snprintf(old, sizeof old, "%s", leader(&rig));
    assert_int_equal(ask(&rig, NET_ADMIN_REMOVE, old), -PX_ENOTLEADER);
    assert_string_not_equal(rig.reply.leader, old);
    assert_string_not_equal(rig.reply.leader, "");
    assert_string_equal(rig.reply.leader_address, "host:1");
    assert_int_equal(voters_of(&rig, &count), 3);
    at(&other, rig.w, (size_t)id_of(rig.reply.leader) - 1);
    assert_true(world_settle(rig.w, PX_NS_PER_S));
    assert_int_equal(ask(&other, NET_ADMIN_REMOVE, old), 0);
    assert_int_equal(voters_of(&other, &count), 2);
    admin_free(other.admin);
    end(&rig);
}

static void a_leader_that_nobody_follows_is_not_removed(void **state)
{
    struct rig rig;
    size_t count;

    (void)state;
    at_leader(&rig, 3, 27);
    world_cut(rig.w, rig.node, true);
    assert_int_equal(ask(&rig, NET_ADMIN_REMOVE, leader(&rig)), -PX_EUNKNOWN);
    assert_int_equal(voters_of(&rig, &count), 3);
    end(&rig);
}

static void the_only_voter_is_not_removed(void **state)
{
    struct rig rig;

    (void)state;
    at_leader(&rig, 1, 14);
    assert_int_equal(ask(&rig, NET_ADMIN_REMOVE, "n1"), -EINVAL);
    says(&rig, "the only voter");
    end(&rig);
}

static bool is_down_known(struct world *w, void *ctx)
{
    struct rig *rig = ctx;
    struct members m;
    size_t silent = 0;

    (void)w;
    members(rig, &m);
    for (size_t i = 0; i < m.peer_count; i++)
        silent += m.peers[i].heard + ELECTION < rig->w->now;
    return silent == 1;
}

static void a_voter_stays_when_the_others_would_be_no_majority(void **state)
{
    struct rig rig;
    size_t down, count;
    char name[8];

    (void)state;
    at_leader(&rig, 3, 15);
    down = (rig.node + 1) % 3;
    world_kill(rig.w, down);
    assert_true(world_run(rig.w, 10 * PX_NS_PER_S, is_down_known, &rig));
    (void)snprintf(name, sizeof name, "n%zu", (rig.node + 2) % 3 + 1);
    assert_int_equal(ask(&rig, NET_ADMIN_REMOVE, name), -EAGAIN);
    says(&rig, "2 of 3 voters answer");
    assert_int_equal(ask(&rig, NET_ADMIN_REMOVE, leader(&rig)), -EAGAIN);
    (void)snprintf(name, sizeof name, "n%zu", down + 1);
    assert_int_equal(ask(&rig, NET_ADMIN_REMOVE, name), 0);
    assert_int_equal(voters_of(&rig, &count), 2);
    end(&rig);
}

/* ---- Leadership ---- */

static void leadership_goes_to_whom_it_is_said_to(void **state)
{
    struct rig rig;
    char to[8];

    (void)state;
    at_leader(&rig, 3, 16);
    (void)snprintf(to, sizeof to, "%s", follower(&rig));
    assert_int_equal(ask(&rig, NET_ADMIN_TRANSFER, to), 0);
    assert_string_equal(rig.reply.leader, to);
    assert_int_equal(world_leader(rig.w) + 1, id_of(to));
    end(&rig);
}

static void without_a_name_leadership_goes_to_some_other_voter(void **state)
{
    struct rig rig;
    size_t before;

    (void)state;
    at_leader(&rig, 3, 24);
    before = rig.node;
    assert_int_equal(ask(&rig, NET_ADMIN_TRANSFER, ""), 0);
    assert_int_not_equal(world_leader(rig.w), before);
    assert_int_equal(world_leader(rig.w) + 1, id_of(rig.reply.leader));
    end(&rig);
}

static void the_only_voter_can_not_hand_over(void **state)
{
    struct rig rig;

    (void)state;
    at_leader(&rig, 1, 28);
    assert_int_equal(ask(&rig, NET_ADMIN_TRANSFER, ""), -EINVAL);
    says(&rig, "the only voter");
    end(&rig);
}

static void leadership_is_not_handed_to_a_learner(void **state)
{
    struct rig rig;

    (void)state;
    at_leader(&rig, 3, 17);
    assert_int_equal(ask_to(&rig, NET_ADMIN_ADD, "n4", "h:1"), 0);
    assert_int_equal(ask(&rig, NET_ADMIN_TRANSFER, "n4"), -EINVAL);
    says(&rig, "promote it first");
    end(&rig);
}

static void who_leads_already_is_told_so(void **state)
{
    struct rig rig;

    (void)state;
    at_leader(&rig, 3, 18);
    assert_int_equal(ask(&rig, NET_ADMIN_TRANSFER, leader(&rig)), 0);
    says(&rig, "leads already");
    end(&rig);
}

/* ---- Who is asked ---- */

static void a_follower_says_who_leads_and_where(void **state)
{
    static const enum net_admin_what what[] = {
        NET_ADMIN_ADD, NET_ADMIN_PROMOTE, NET_ADMIN_REMOVE, NET_ADMIN_TRANSFER};
    struct rig rig;
    char name[8];

    (void)state;
    at_leader(&rig, 3, 19);
    (void)snprintf(name, sizeof name, "%s", leader(&rig));
    rig.node = (rig.node + 1) % 3;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(ask_to(&rig, what[i], "n4", "h:1"), -PX_ENOTLEADER);
        assert_string_equal(rig.reply.leader, name);
        assert_string_equal(rig.reply.leader_address, "host:1");
        says(&rig, "leads: ask it at host:1");
    }
    end(&rig);
}

static void any_node_lists_the_members_and_who_is_there_besides(void **state)
{
    struct rig rig;
    unsigned leaders = 0, selves = 0;
    size_t other; /* than the leader, and the one that is asked */
    char name[8];

    (void)state;
    at_leader(&rig, 3, 20);
    other = (rig.node + 2) % 3;
    (void)snprintf(name, sizeof name, "n%zu", other + 1);
    see(&rig, "n4", SWIM_ALIVE, CLUSTER);
    see(&rig, leader(&rig), SWIM_ALIVE, CLUSTER);
    see(&rig, name, SWIM_DEAD, CLUSTER);
    see(&rig, "n5", SWIM_DEAD, CLUSTER);
    rig.node = (rig.node + 1) % 3;
    assert_int_equal(ask(&rig, NET_ADMIN_LIST, ""), 0);
    assert_int_equal(rig.reply.count, 4);
    for (size_t i = 0; i < 3; i++) {
        const struct net_admin_member *m = &rig.reply.list[i];

        assert_int_equal(id_of(m->name), i + 1);
        assert_int_equal(m->role, RAFT_VOTER);
        leaders += m->is_leader;
        selves += m->is_self;
    }
    assert_int_equal(leaders, 1);
    assert_int_equal(selves, 1);
    assert_true(rig.reply.list[rig.node].is_self);
    assert_true(rig.reply.list[rig.node].is_alive);
    assert_false(rig.reply.list[other].is_alive);
    assert_string_equal(rig.reply.list[other].zone, "moon");
    assert_string_equal(rig.reply.list[3].name, "n4");
    assert_int_equal(rig.reply.list[3].role, 0);
    assert_true(rig.reply.list[3].is_alive);
    end(&rig);
}

static void a_leader_that_is_cut_off_does_not_know_the_outcome(void **state)
{
    struct rig rig;

    (void)state;
    at_leader(&rig, 3, 21);
    world_cut(rig.w, rig.node, true);
    assert_int_equal(ask_to(&rig, NET_ADMIN_ADD, "n4", "h:1"), -PX_EUNKNOWN);
    says(&rig, "see the list of members");
    end(&rig);
}

static void one_change_at_a_time_and_the_next_is_told_so(void **state)
{
    struct rig rig;

    (void)state;
    at_leader(&rig, 3, 22);
    ask_at(&rig, NET_ADMIN_ADD, "n4", "h:1");
    assert_int_equal(rig.replies, 0);
    ask_at(&rig, NET_ADMIN_ADD, "n5", "h:1");
    assert_int_equal(rig.replies, 1);
    assert_int_equal(rig.reply.rc, -EBUSY);
    says(&rig, "another change is under way");
    end(&rig);
}

static void what_is_under_way_at_the_end_is_answered(void **state)
{
    struct rig rig;

    (void)state;
    at_leader(&rig, 3, 23);
    ask_at(&rig, NET_ADMIN_TRANSFER, follower(&rig), "");
    assert_int_equal(rig.replies, 0);
    replica_stop(rig.w->nodes[rig.node].replica);
    assert_int_equal(rig.replies, 1);
    assert_int_equal(rig.reply.rc, -PX_EUNKNOWN);
    end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_is_added_learns_and_is_promoted),
        cmocka_unit_test(names_and_addresses_are_known_to_every_state),
        cmocka_unit_test(a_change_that_is_under_way_is_not_settled),
        cmocka_unit_test(a_node_that_gossip_knows_is_added_by_its_name_alone),
        cmocka_unit_test(an_address_has_a_host_and_a_port),
        cmocka_unit_test(what_is_no_name_is_not_added),
        cmocka_unit_test(a_member_is_not_added_again),
        cmocka_unit_test(who_was_removed_is_not_added_again),
        cmocka_unit_test(a_node_of_another_cluster_is_not_added),
        cmocka_unit_test(there_is_room_for_so_many_members),
        cmocka_unit_test(a_learner_that_lags_is_not_promoted_yet),
        cmocka_unit_test(a_voter_is_not_promoted),
        cmocka_unit_test(who_is_no_member_is_neither_promoted_nor_removed),
        cmocka_unit_test(a_follower_is_removed),
        cmocka_unit_test(a_leader_hands_over_before_it_is_removed),
        cmocka_unit_test(a_leader_that_nobody_follows_is_not_removed),
        cmocka_unit_test(the_only_voter_is_not_removed),
        cmocka_unit_test(a_voter_stays_when_the_others_would_be_no_majority),
        cmocka_unit_test(leadership_goes_to_whom_it_is_said_to),
        cmocka_unit_test(without_a_name_leadership_goes_to_some_other_voter),
        cmocka_unit_test(the_only_voter_can_not_hand_over),
        cmocka_unit_test(leadership_is_not_handed_to_a_learner),
        cmocka_unit_test(who_leads_already_is_told_so),
        cmocka_unit_test(a_follower_says_who_leads_and_where),
        cmocka_unit_test(any_node_lists_the_members_and_who_is_there_besides),
        cmocka_unit_test(a_leader_that_is_cut_off_does_not_know_the_outcome),
        cmocka_unit_test(one_change_at_a_time_and_the_next_is_told_so),
        cmocka_unit_test(what_is_under_way_at_the_end_is_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
