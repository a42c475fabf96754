/* Random commands, against a model that says what each must answer, and on two
 * replicas that cut the same log into different batches. PX_SEED picks another
 * run; a failure prints the seed that repeats it. */
#include "tests/unit/store/model.h"

#include "base/rand.h"

#define STEPS 12000u
#define BATCH_MAX 64u
#define RELEASED 6

struct world {
    struct px_rand rand;
    struct model model;
    struct fixture one; /* applies each entry alone */
    struct fixture two; /* applies batches */
    uint64_t sequence[MODEL_SESSIONS];
    uint64_t counter;
    char name[2], new_name[2];
    uint64_t released[RELEASED];
    uint8_t bytes[9000];
    /* Not yet applied by `two`, and the answers `one` gave. */
    struct raft_entry entries[BATCH_MAX];
    struct store_result results[BATCH_MAX];
    size_t waiting;
};

static uint64_t below(struct world *w, uint64_t bound)
{
    return px_rand_below(&w->rand, bound);
}

/* Mostly what exists, of any kind, in use or unlinked; now and then nothing. */
static uint64_t any_inode(struct world *w)
{
    for (int tries = 0; tries < 50; tries++) {
        uint64_t inode = w->model.nodes[below(w, MODEL_NODES)].inode;

        if (inode != 0)
            return inode;
    }
    return 12345;
}

static uint64_t any_dir(struct world *w)
{
    for (int tries = 0; tries < 50; tries++) {
        const struct model_node *n =
            &w->model.nodes[below(w, below(w, 2) ? 8 : MODEL_NODES)];

        if (n->inode != 0 && n->type == S_IFDIR)
            return n->inode;
    }
    return below(w, 10) == 0 ? any_inode(w) : ROOT;
}

static struct command_name any_name(struct world *w, char *room)
{
    room[0] = (char)('0' + below(w, MODEL_NAMES));
    return (struct command_name){room, 1};
}

/* A name that is there, in two cases of three. */
static void any_old_name(struct world *w, struct command *c)
{
    for (int tries = 0; tries < 50; tries++) {
        const struct model_node *n = &w->model.nodes[below(w, MODEL_NODES)];
        uint64_t name = below(w, MODEL_NAMES);

        if (n->inode == 0 || n->type != S_IFDIR || n->names[name] < 0)
            continue;
        c->parent = n->inode;
        w->name[0] = (char)('0' + name);
        break;
    }
    if (below(w, 3) == 0)
        c->parent = any_dir(w);
}

static uint64_t new_inode(struct world *w, int who)
{
    return (w->model.session[who] << STORE_INODE_SESSION_SHIFT) + 256 +
           w->counter++;
}

static uint32_t some_of(struct world *w, uint32_t flags)
{
    return flags & (uint32_t)px_rand_next(&w->rand);
}

static void any_data(struct world *w, struct command *c, size_t max)
{
    c->data_size = below(w, 4) == 0 ? below(w, max) : below(w, 300);
    for (size_t i = 0; i < c->data_size; i++)
        w->bytes[i] = (uint8_t)px_rand_next(&w->rand);
    c->data = w->bytes;
}

static const enum command_op ops[] = {
    COMMAND_CREATE,  COMMAND_CREATE,  COMMAND_MKDIR,   COMMAND_MKDIR,
    COMMAND_SYMLINK, COMMAND_LINK,    COMMAND_UNLINK,  COMMAND_UNLINK,
    COMMAND_RMDIR,   COMMAND_RENAME,  COMMAND_RENAME,  COMMAND_RENAME,
    COMMAND_WRITE,   COMMAND_WRITE,   COMMAND_WRITE,   COMMAND_WRITE,
    COMMAND_SETATTR, COMMAND_SETATTR, COMMAND_RELEASE, COMMAND_RELEASE,
    COMMAND_RELEASE, COMMAND_RELEASE,
};

/* Appends are kept below what the model can hold by cutting often. */
static void any_write(struct world *w, struct command *c, int who)
{
    c->flags = some_of(w, COMMAND_CREATES | COMMAND_TRUNCATES);
    if ((c->flags & COMMAND_CREATES) != 0) {
        c->flags |= below(w, 8) == 0 ? COMMAND_EXCLUSIVE : 0u;
        c->inode = new_inode(w, who);
    }
    any_data(w, c, sizeof w->bytes);
    c->offset = below(w, MODEL_BYTES_MAX - sizeof w->bytes);
    if (below(w, 3) == 0) {
        c->flags |= COMMAND_APPENDS | COMMAND_TRUNCATES;
        if (c->data_size < 300 && below(w, 2) == 0)
            c->flags &= ~(uint32_t)COMMAND_TRUNCATES;
    }
}

static void any_release(struct world *w, struct command *c)
{
    uint64_t start = below(w, MODEL_NODES);
    size_t count = 0;

    for (uint64_t i = 0; i < MODEL_NODES && count < RELEASED; i++) {
        const struct model_node *n = &w->model.nodes[(start + i) % MODEL_NODES];

        if (n->inode != 0 && n->links == 0 && below(w, 3) != 0)
            w->released[count++] = n->inode;
    }
    while (count < RELEASED)
        w->released[count++] = any_inode(w);
    c->inodes = w->released;
    c->inode_count = count;
}

static struct command any_command(struct world *w, int who)
{
    struct command c = {.op = ops[below(w, sizeof ops / sizeof ops[0])]};

    if (model_is_full(&w->model)) {
        static const enum command_op shrink[] = {COMMAND_RELEASE,
                                                 COMMAND_UNLINK, COMMAND_RMDIR};

        c.op = shrink[below(w, 3)];
    }
    c.session = w->model.session[who];
    c.sequence = ++w->sequence[who];
    c.floor = c.sequence > 20 ? c.sequence - 20 : 0;
    c.time = (int64_t)below(w, 1000000);
    c.parent = any_dir(w);
    c.new_parent = any_dir(w);
    c.name = any_name(w, w->name);
    c.new_name = any_name(w, w->new_name);
    c.inode = any_inode(w);
    switch (c.op) {
    case COMMAND_CREATE:
        c.flags = some_of(w, COMMAND_EXCLUSIVE | COMMAND_TRUNCATES);
        c.inode = new_inode(w, who);
        break;
    case COMMAND_MKDIR:
        c.inode = new_inode(w, who);
        break;
    case COMMAND_SYMLINK:
        c.inode = new_inode(w, who);
        c.data = "some/target";
        c.data_size = 1 + below(w, 11);
        break;
    case COMMAND_RENAME:
        any_old_name(w, &c);
        c.flags =
            below(w, 2) ? 0 : some_of(w, COMMAND_NOREPLACE | COMMAND_EXCHANGE);
        break;
    case COMMAND_WRITE:
        any_write(w, &c, who);
        break;
    case COMMAND_SETATTR:
        c.attrs = COMMAND_SIZE;
        c.offset = below(w, MODEL_BYTES_MAX - 10000);
        break;
    case COMMAND_RELEASE:
        any_release(w, &c);
        break;
    case COMMAND_UNLINK:
    case COMMAND_RMDIR:
        any_old_name(w, &c);
        break;
    case COMMAND_LINK:
    case COMMAND_SESSION_OPEN:
    case COMMAND_REAP:
    case COMMAND_SET_QUOTA:
    case COMMAND_HASH:
        break;
    }
    return c;
}

/* ---- Two replicas ---- */

static void catch_up(struct world *w)
{
    struct store_result results[BATCH_MAX];

    assert_int_equal(
        store_apply(w->two.s, w->entries, w->waiting, results, &w->two.orphans),
        0);
    w->two.last += w->waiting;
    for (size_t i = 0; i < w->waiting; i++) {
        assert_int_equal(results[i].rc, w->results[i].rc);
        assert_int_equal(results[i].inode, w->results[i].inode);
        assert_int_equal(results[i].value, w->results[i].value);
        assert_int_equal(results[i].index, w->results[i].index);
        px_slice_unref(&w->entries[i].data);
    }
    w->waiting = 0;
}

static void queue(struct world *w, const struct command *c,
                  const struct store_result *r)
{
    struct raft_entry *e = &w->entries[w->waiting];

    e->pos = (struct raft_pos){.term = 1, .index = w->one.last};
    e->kind = RAFT_ENTRY_COMMAND;
    assert_int_equal(command_encode(c, &e->data), 0);
    w->results[w->waiting++] = *r;
    if (w->waiting == BATCH_MAX || below(w, 10) == 0)
        catch_up(w);
}

static void step(struct world *w)
{
    int who = (int)below(w, MODEL_SESSIONS);
    struct command c = any_command(w, who);
    uint64_t inode = 0;
    int expected = model_apply(&w->model, &c, who, &inode);
    struct store_result r = run_bare(&w->one, &c);

    assert_int_equal(r.rc, expected);
    if (expected == 0 && inode != 0)
        assert_int_equal(r.inode, inode);
    queue(w, &c, &r);
    if (below(w, 10) == 0) { /* sent again: the same answer, no effect */
        struct store_result again = run_bare(&w->one, &c);

        assert_int_equal(again.rc, expected);
        assert_int_equal(again.inode, r.inode);
        assert_int_equal(again.value, r.value);
        queue(w, &c, &again);
    }
}

static void compare_all(struct world *w)
{
    if (w->waiting > 0)
        catch_up(w);
    model_compare(&w->model, &w->one);
    assert_int_equal(hash_of(&w->one), hash_of(&w->two));
    assert_int_equal(w->one.orphans.count, w->two.orphans.count);
    check(&w->one);
}

static void open_world(struct world *w, uint64_t seed)
{
    static const char *const nodes[MODEL_SESSIONS] = {"node-0", "node-1"};

    memset(w, 0, sizeof *w);
    px_rand_init(&w->rand, seed);
    model_init(&w->model);
    fixture_open(&w->one);
    fixture_open(&w->two);
    for (int i = 0; i < MODEL_SESSIONS; i++) {
        w->model.session[i] = open_session(&w->one, nodes[i], 1);
        assert_int_equal(open_session(&w->two, nodes[i], 1),
                         w->model.session[i]);
    }
}

static void
random_commands_do_what_the_model_says_on_every_replica(void **state)
{
    const char *given = getenv("PX_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : 1;
    struct world *w = malloc(sizeof *w);

    (void)state;
    assert_non_null(w);
    print_message("PX_SEED=%llu repeats this run\n", (unsigned long long)seed);
    open_world(w, seed);
    for (unsigned i = 1; i <= STEPS; i++) {
        step(w);
        if (i % 500 == 0)
            compare_all(w);
    }
    compare_all(w);
    fixture_close(&w->one);
    fixture_close(&w->two);
    fixture_remove(&w->one);
    fixture_remove(&w->two);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            random_commands_do_what_the_model_says_on_every_replica),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
