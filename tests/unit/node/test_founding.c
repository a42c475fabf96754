/* node/begin.c, keep.c and bootstrap.c together: nodes that found a cluster in a
 * played world (tests/unit/gossip/world.h), all from one seed, and end between
 * any two steps of that. The test plays libuv's pool, the folder, and what begins
 * once the cluster is known:
 *
 *   turn ─▶ keep_identity ─▶ queued ─▶ in the folder ─▶ known to the loop ─▶ turn
 *     └──▶ node_begin ─▶ in the folder ─▶ said by gossip */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/node_core.h"
#include "node/status.h"
#include "tests/unit/gossip/world.h"

#define NODES 5u
#define LOOK (10 * MS)
#define SEEDS 100u
#define CHAOS_STEPS 300u
#define LOSS_PPM 200000u
#define DEATHS_PERCENT 2u /* of a node that runs, at each step */
#define STARTS_PERCENT 5u /* of one that doesn't */

/* What is left when a node ends. */
struct folder {
    bool has_identity;
    struct store_identity identity;
};

struct server {
    struct node node; /* first: the parts are given it alone */
    struct folder folder;
    uv_work_t *work; /* on the pool; NULL: none */
    uv_work_cb job;
    uv_after_work_cb after;
    bool is_written; /* the job was done, which the loop doesn't know yet */
    bool dies;       /* within a step */
};

static struct world world;
static struct server servers[NODES];
static unsigned expected; /* the first so many are told BOOTSTRAP_EXPECT */
static bool is_chaos;
static uint64_t cluster; /* 0: none was founded */

/* How often each happened, in all. */
static struct {
    unsigned founded;
    unsigned promises_lost;    /* the job was queued, and never done */
    unsigned promises_unknown; /* it was done, and the loop never heard */
    unsigned begins_lost;      /* before the folder says that it has begun */
    unsigned begins_unsaid;    /* after */
    unsigned waits_on_promise; /* started again with one */
} counts;

static struct server *server_of(const struct node *n)
{
    return &servers[(const struct server *)(const void *)n - servers];
}

static size_t place_of(const struct node *n)
{
    return (size_t)(server_of(n) - servers);
}

static bool chance(unsigned percent)
{
    return is_chaos && px_rand_below(&world.rand, 100) < percent;
}

/* ---- What the other parts do ---- */

px_ns px_now(void)
{
    return world.now;
}

size_t gossip_members(const struct node *n,
                      const struct swim_member_info **list_out)
{
    static struct swim_member_info list[NODES];

    *list_out = list;
    return swim_get_members(world.nodes[place_of(n)].swim, list, NODES);
}

int uv_queue_work(uv_loop_t *loop, uv_work_t *work, uv_work_cb job,
                  uv_after_work_cb after)
{
    struct server *s = server_of(work->data);

    (void)loop;
    assert_null(s->work);
    s->work = work;
    s->job = job;
    s->after = after;
    s->is_written = false;
    return 0;
}

/* keep.c gives n->folder back: the server. */
static int write_folder(struct store_folder *f,
                        const struct store_identity *identity)
{
    struct folder *folder = &((struct server *)(void *)f)->folder;

    folder->has_identity = true;
    folder->identity = *identity;
    return 0;
}

int store_folder_begin(struct store_folder *f, struct store_identity *identity)
{
    return write_folder(f, identity);
}

int store_folder_update(struct store_folder *f,
                        const struct store_identity *identity)
{
    return write_folder(f, identity);
}

/* The first to found: each of the others would, whoever is down by now. */
static void check_all_promised(const struct store_identity *founder)
{
    assert_int_equal(founder->voter_count, expected);
    for (size_t i = 0; i < expected; i++) {
        const struct folder *f = &servers[i].folder;

        assert_true(f->has_identity);
        assert_int_equal(f->identity.voter_count, expected);
        assert_true(f->identity.cluster == founder->cluster);
    }
}

/* Of a node that has begun, durably: nobody is of another cluster, and nobody
 * joins what was not founded. */
static void check_is_one(const struct store_identity *identity)
{
    if (cluster == 0) {
        check_all_promised(identity);
        cluster = identity->cluster;
        counts.founded++;
    }
    assert_true(identity->cluster == cluster);
}

/* As open.c's note_start does, in one write with what found() has set. */
int node_begin(struct node *n, char *why, size_t why_size)
{
    struct server *s = server_of(n);

    (void)why;
    (void)why_size;
    s->dies = chance(20);
    if (s->dies && chance(50)) {
        counts.begins_lost++;
        return -EIO;
    }
    n->identity.has_log = true;
    n->identity.promise = PX_NS_PER_S;
    assert_int_equal(keep_identity_now(n), 0);
    check_is_one(&s->folder.identity);
    if (s->dies) {
        counts.begins_unsaid++;
        return -EIO;
    }
    n->replica = (struct replica *)n; /* there is one: that is all */
    return 0;
}

void node_end(struct node *n, const char *why)
{
    (void)why;
    assert_true(server_of(n)->dies);
}

void node_fail(struct node *n, const char *why, int rc)
{
    (void)n;
    (void)rc;
    fail_msg("%s", why);
}

/* Of a node that has its cluster, and of pages: not asked here. */
void fault_on_kept(struct fault *f)
{
    (void)f;
}

void gossip_on_kept(struct node *n)
{
    (void)n;
}

json_t *gossip_json(const struct node *n)
{
    (void)n;
    return NULL;
}

char *status_page(json_t *root, size_t flags)
{
    (void)root;
    (void)flags;
    return NULL;
}

/* ---- One node ---- */

static void set_config(struct config *c, size_t i)
{
    const char *name = world.nodes[i].id;

    (void)strcpy(c->node, name); /* of the tests' own, and short */
    (void)strcpy(c->cluster_name, WORLD_LABEL);
    c->id = config_id_of(name);
    c->bootstrap_expect = i < expected ? expected : 0;
    c->tick = 20 * MS;
    c->election_ticks = 12;
}

/* What others would found on, of those whose names are in @identity. */
static uint64_t view_of(const struct store_identity *identity)
{
    struct swim_member_info list[RAFT_MEMBERS_MAX];
    struct swim_bootstrap b;

    for (size_t i = 0; i < identity->voter_count; i++)
        list[i] = (struct swim_member_info){.id = identity->voters[i],
                                            .state = SWIM_ALIVE,
                                            .expect = (uint8_t)expected,
                                            .is_self = i == 0};
    swim_bootstrap(list, identity->voter_count, expected, &b);
    return b.view;
}

/* As node/gossip.c does. What is said binds: the folder has to hold it already. */
static void say(size_t i)
{
    struct server *s = &servers[i];
    const struct store_identity *kept = &s->folder.identity;
    struct swim_about about = world.nodes[i].about;

    about.view = s->node.gossip.view;
    about.cluster = s->node.replica != NULL ? s->node.identity.cluster : 0;
    if (about.view != 0) {
        assert_true(s->folder.has_identity);
        assert_true(kept->voter_count > 0);
        assert_true(about.view == view_of(kept));
    }
    if (memcmp(&about, &world.nodes[i].about, sizeof about) != 0)
        world_say(&world, i, &about);
}

/* As open.c does. */
static void start(size_t i)
{
    struct server *s = &servers[i];
    struct node *n = &s->node;
    bool is_new = !s->folder.has_identity;
    enum bootstrap_start how;
    char why[256];

    memset(n, 0, sizeof *n);
    s->work = NULL;
    s->dies = false;
    set_config(&n->config, i);
    n->folder = (struct store_folder *)(void *)s;
    if (is_new)
        strcpy(n->identity.cluster_name, WORLD_LABEL); /* the draft */
    else
        n->identity = s->folder.identity;
    n->keep.has_identity = !is_new;
    n->keep.durable = n->identity;
    assert_int_equal(bootstrap_start(&n->config, is_new, 1, &n->identity, &how,
                                     why, sizeof why),
                     0);
    assert_int_not_equal(how, BOOTSTRAP_BEGIN); /* which is PEERS' */
    if (how == BOOTSTRAP_RUN) {
        check_is_one(&n->identity);
        n->replica = (struct replica *)n;
    } else if (!is_new) {
        counts.waits_on_promise++;
    }
    world.nodes[i].about.expect = (uint8_t)n->config.bootstrap_expect;
    world.nodes[i].about.view = 0;
    world.nodes[i].about.cluster = n->replica != NULL ? n->identity.cluster : 0;
    world_start(&world, i, 0);
}

static void end(size_t i)
{
    struct server *s = &servers[i];

    if (s->work != NULL && s->is_written)
        counts.promises_unknown++;
    else if (s->work != NULL)
        counts.promises_lost++;
    s->work = NULL;
    world_kill(&world, i);
}

/* The pool writes, or the loop hears that it did. */
static void run_pool(struct server *s)
{
    uv_work_t *work = s->work;

    if (work == NULL)
        return;
    if (!s->is_written) {
        s->job(work);
        s->is_written = true;
        return;
    }
    s->work = NULL; /* it may be queued once more */
    s->after(work, 0);
}

static void turn(size_t i)
{
    struct server *s = &servers[i];

    run_pool(s);
    if (begin_is_waiting(&s->node))
        begin_turn(&s->node);
    if (s->dies)
        end(i);
    else
        say(i);
}

static bool is_up(size_t i)
{
    return world.nodes[i].swim != NULL;
}

/* ---- Worlds ---- */

static void open_world(uint64_t seed)
{
    const struct world_options o = world_lan(NODES, seed);

    memset(servers, 0, sizeof servers);
    cluster = 0;
    expected = (unsigned)(2 + seed % (NODES - 1)); /* to NODES */
    world_open(&world, &o);
    for (size_t i = 0; i < NODES; i++)
        start(i);
}

static void step(size_t i)
{
    if (!is_up(i) && (!is_chaos || chance(STARTS_PERCENT)))
        start(i);
    else if (is_up(i) && chance(DEATHS_PERCENT))
        end(i);
    if (is_up(i))
        turn(i);
}

/* Everything goes wrong. */
static void play_chaos(void)
{
    is_chaos = true;
    world.options.loss_ppm = LOSS_PPM;
    for (unsigned k = 0; k < CHAOS_STEPS; k++) {
        if (chance(10))
            world.nodes[px_rand_below(&world.rand, NODES)].side =
                (int)px_rand_below(&world.rand, 2);
        for (size_t i = 0; i < NODES; i++)
            step(i);
        world_run(&world, px_rand_below(&world.rand, 50) * MS);
    }
    is_chaos = false;
    world.options.loss_ppm = 0;
    for (size_t i = 0; i < NODES; i++)
        world.nodes[i].side = 0;
}

static bool have_all_begun(void)
{
    for (size_t i = 0; i < NODES; i++) {
        if (!is_up(i) || begin_is_waiting(&servers[i].node))
            return false;
    }
    return true;
}

/* Until all have found each other: the dead are asked now and then, and who is
 * in a minority of its own is told when it meets one of the others. */
static px_ns bound(void)
{
    return 2 * swim_detection_bound(&world.options.settings, NODES, false);
}

static px_ns wait_all_begun(void)
{
    const px_ns begin = world.now;

    while (!have_all_begun() && world.now - begin <= bound()) {
        for (size_t i = 0; i < NODES; i++)
            step(i);
        world_run(&world, LOOK);
    }
    return world.now - begin;
}

/* A view is announced once it is in the folder (say), and whoever has begun is of
 * the one cluster (check_is_one): both are looked at in each step. */
static void one_cluster_is_founded_whoever_ends_between_two_steps(void **state)
{
    (void)state;
    memset(&counts, 0, sizeof counts);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        px_ns took;

        open_world(seed);
        play_chaos();
        took = wait_all_begun();
        if (took > bound())
            fail_msg("seed %u: no cluster of all", (unsigned)seed);
        world_close(&world);
    }
    assert_int_equal(counts.founded, SEEDS);
    assert_true(counts.promises_lost > 0); /* or nothing was proved */
    assert_true(counts.promises_unknown > 0);
    assert_true(counts.begins_lost > 0);
    assert_true(counts.begins_unsaid > 0);
    assert_true(counts.waits_on_promise > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_cluster_is_founded_whoever_ends_between_two_steps),
    };

    px_note_init(PX_NOTE_ERROR, "-");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
