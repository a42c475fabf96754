#include "tests/unit/store/snapshot_fixture.h"

#include <unistd.h>

#include "base/rand.h"

const struct raft_config snapshot_config = {
    .count = 2, .members = {{7, RAFT_VOTER}, {9, RAFT_LEARNER}}};

int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    void *fx;

    assert_non_null(w);
    if (fixture_setup(&fx) != 0)
        return -1;
    w->fx = fx;
    memory_disk_init(&w->m);
    *state = w;
    return 0;
}

int world_teardown(void **state)
{
    struct world *w = *state;
    void *fx = w->fx;

    memory_disk_fini(&w->m);
    free(w);
    return fixture_teardown(&fx);
}

/* Member 5 comes and goes; those of snapshot_config stay. */
static void plant_members(struct fixture *fx)
{
    struct raft_config more = snapshot_config;
    struct store_change c = {.count = 2, .list = {{.id = 5}, {.id = 7}}};

    (void)strcpy(c.list[0].name, "node-5");
    (void)strcpy(c.list[0].address, "[::5]:9000");
    (void)strcpy(c.list[1].name, "node-7");
    more.members[more.count++] = (struct raft_member){5, RAFT_LEARNER};
    assert_int_equal(change_members(fx, &more, &c).rc, 0);
    assert_int_equal(change_members(fx, &snapshot_config, NULL).rc, 0);
}

void plant(struct fixture *fx, unsigned mib)
{
    static uint8_t bytes[PX_MIB];
    struct px_rand rand;
    uint64_t dir = do_mkdir(fx, ROOT, "dir");
    uint64_t f = do_create(fx, dir, "file");
    uint64_t orphan = do_create(fx, ROOT, "orphan");

    px_rand_init(&rand, 1);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)px_rand_next(&rand);
    assert_int_equal(run(fx, make_symlink(fx, dir, "link", "../target")).rc, 0);
    assert_int_equal(run(fx, make_link(f, ROOT, "hard")).rc, 0);
    assert_int_equal(run(fx, make_unlink(ROOT, "orphan")).rc, 0);
    do_write(fx, orphan, 0, "kept while open", 15);
    do_write(fx, f, EXTENT, "garbage", 7);
    do_truncate(fx, f, 1);
    do_write(fx, f, EXTENT, "far", 3);
    plant_members(fx);
    for (unsigned i = 0; i < mib; i++)
        do_write(fx, f, (uint64_t)i * sizeof bytes, bytes, sizeof bytes);
}

int try_save(struct world *w, struct store_snapshot_info *info)
{
    const struct store_snapshot_save_options options = {
        .disk = &w->m.disk, .stamp = STAMP, .config = snapshot_config};

    return store_snapshot_save(w->fx->s, &options, info);
}

struct store_snapshot_info save(struct world *w)
{
    struct store_snapshot_info info;

    assert_int_equal(try_save(w, &info), 0);
    return info;
}

struct memory_file *file_of(struct world *w, raft_index index)
{
    char name[STORE_SNAPSHOT_NAME_BYTES];
    struct memory_file *f;

    store_snapshot_name(index, name);
    f = memory_disk_find(&w->m, name);
    assert_non_null(f);
    return f;
}

int verify(struct world *w, const char *name)
{
    struct store_snapshot_info info;

    return store_snapshot_verify(&w->m.disk, name, STAMP, NULL, &info, w->why,
                                 sizeof w->why);
}

int load(struct world *w, const char *name, const char *dir)
{
    return store_snapshot_load(&w->m.disk, name, STAMP, dir, "boot-1", NULL,
                               NULL, w->why, sizeof w->why);
}

void load_and_open(struct world *w, const char *name, struct fixture *loaded)
{
    *loaded = (struct fixture){.dir = "/tmp/phalanx-state-XXXXXX"};
    assert_non_null(mkdtemp(loaded->dir));
    if (load(w, name, loaded->dir) < 0)
        fail_msg("load: %s", w->why);
    fixture_reopen(loaded, "boot-2", false, STORE_STATE_KEPT);
}
