#include "tests/unit/store/state_fixture.h"

#include <dirent.h>
#include <unistd.h>

#include "raft/config.h"

static void open_state(struct fixture *fx, const char *boot_id, bool distrust,
                       enum store_state_origin expected)
{
    enum store_state_origin origin;
    char why[256];
    struct store_state_options options = {.dir = fx->dir,
                                          .boot_id = boot_id,
                                          .distrust = distrust,
                                          .map_bytes = UINT64_C(1) << 34};
    int rc = store_state_open(&options, &fx->s, &origin, why, sizeof why);

    if (rc < 0)
        fail_msg("open: %d: %s", rc, why);
    assert_int_equal(origin, expected);
    assert_int_equal(store_view_new(fx->s, &fx->v), 0);
    fx->last = store_state_applied(fx->s).index;
}

void fixture_open(struct fixture *fx)
{
    *fx = (struct fixture){.dir = "/tmp/phalanx-state-XXXXXX"};
    assert_non_null(mkdtemp(fx->dir));
    open_state(fx, "boot-1", false, STORE_STATE_NEW);
}

void fixture_close(struct fixture *fx)
{
    int expected = store_state_is_damaged(fx->s) ? -PX_ECORRUPT : 0;

    store_view_free(fx->v);
    assert_int_equal(store_state_close(fx->s), expected);
    fx->v = NULL;
    fx->s = NULL;
}

void fixture_reopen(struct fixture *fx, const char *boot_id, bool distrust,
                    enum store_state_origin origin)
{
    open_state(fx, boot_id, distrust, origin);
}

void fixture_remove(struct fixture *fx)
{
    DIR *dir = opendir(fx->dir);
    char path[512];

    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", fx->dir, e->d_name);
        assert_int_equal(unlink(path), 0);
    }
    closedir(dir);
    assert_int_equal(rmdir(fx->dir), 0);
    free(fx->orphans.inodes);
    fx->orphans = (struct store_orphans){0};
}

int fixture_setup(void **state)
{
    struct fixture *fx = malloc(sizeof *fx);

    assert_non_null(fx);
    fixture_open(fx);
    fx->session = open_session(fx, "node-0", 1);
    *state = fx;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *fx = *state;

    if (fx->s != NULL) {
        check(fx);
        fixture_close(fx);
    }
    fixture_remove(fx);
    free(fx);
    return 0;
}

/* ---- Commands ---- */

uint64_t fresh(struct fixture *fx)
{
    return (fx->session << STORE_INODE_SESSION_SHIFT) + 256 + fx->counter++;
}

struct command_name name_of_text(const char *text)
{
    return (struct command_name){.data = text, .size = strlen(text)};
}

struct store_result run_bare(struct fixture *fx, const struct command *c)
{
    struct raft_entry entry = {.pos = {.term = 1, .index = fx->last + 1},
                               .kind = RAFT_ENTRY_COMMAND};
    struct store_result r;

    assert_int_equal(command_encode(c, &entry.data), 0);
    assert_int_equal(store_apply(fx->s, &entry, 1, &r, &fx->orphans), 0);
    fx->last++;
    px_slice_unref(&entry.data);
    return r;
}

struct store_result run(struct fixture *fx, struct command c)
{
    if (c.session == 0 && c.op != COMMAND_SESSION_OPEN)
        c.session = fx->session;
    if (c.sequence == 0)
        c.sequence = ++fx->sequence;
    if (c.floor == 0)
        c.floor = c.sequence;
    if (c.time == 0)
        c.time = ++fx->time;
    return run_bare(fx, &c);
}

uint64_t open_session(struct fixture *fx, const char *node,
                      uint64_t incarnation)
{
    struct command c = {.op = COMMAND_SESSION_OPEN,
                        .name = name_of_text(node),
                        .incarnation = incarnation};
    struct store_result r = run_bare(fx, &c);

    assert_int_equal(r.rc, 0);
    return r.inode;
}

struct store_result run_config(struct fixture *fx, const void *bytes,
                               size_t size)
{
    const struct raft_entry entry = {
        .pos = {.term = 1, .index = fx->last + 1},
        .kind = RAFT_ENTRY_CONFIG,
        .data = {.data = (const uint8_t *)bytes, .size = size}};
    struct store_result r;

    assert_int_equal(store_apply(fx->s, &entry, 1, &r, &fx->orphans), 0);
    fx->last++;
    return r;
}

struct store_result change_members(struct fixture *fx,
                                   const struct raft_config *config,
                                   const struct store_change *change)
{
    uint8_t bytes[RAFT_CONFIG_BYTES_MAX + PX_COMMAND_HEAD_BYTES_MAX];
    size_t size = raft_config_encode(config, bytes);
    struct px_slice added = {0};

    if (change != NULL)
        assert_int_equal(store_change_encode(change, &added), 0);
    assert_true(added.size <= PX_COMMAND_HEAD_BYTES_MAX);
    if (added.size > 0)
        memcpy(bytes + size, added.data, added.size);
    size += added.size;
    px_slice_unref(&added);
    return run_config(fx, bytes, size);
}

struct command make_create(struct fixture *fx, uint64_t parent,
                           const char *name)
{
    return (struct command){.op = COMMAND_CREATE,
                            .parent = parent,
                            .name = name_of_text(name),
                            .inode = fresh(fx),
                            .mode = S_IFREG | 0644};
}

struct command make_mkdir(struct fixture *fx, uint64_t parent, const char *name)
{
    return (struct command){.op = COMMAND_MKDIR,
                            .parent = parent,
                            .name = name_of_text(name),
                            .inode = fresh(fx),
                            .mode = S_IFDIR | 0755};
}

struct command make_symlink(struct fixture *fx, uint64_t parent,
                            const char *name, const char *target)
{
    return (struct command){.op = COMMAND_SYMLINK,
                            .parent = parent,
                            .name = name_of_text(name),
                            .inode = fresh(fx),
                            .data = target,
                            .data_size = strlen(target)};
}

struct command make_link(uint64_t inode, uint64_t parent, const char *name)
{
    return (struct command){.op = COMMAND_LINK,
                            .inode = inode,
                            .new_parent = parent,
                            .new_name = name_of_text(name)};
}

struct command make_unlink(uint64_t parent, const char *name)
{
    return (struct command){
        .op = COMMAND_UNLINK, .parent = parent, .name = name_of_text(name)};
}

struct command make_rmdir(uint64_t parent, const char *name)
{
    return (struct command){
        .op = COMMAND_RMDIR, .parent = parent, .name = name_of_text(name)};
}

struct command make_rename(uint64_t parent, const char *name,
                           uint64_t new_parent, const char *new_name,
                           uint32_t flags)
{
    return (struct command){.op = COMMAND_RENAME,
                            .flags = flags,
                            .parent = parent,
                            .name = name_of_text(name),
                            .new_parent = new_parent,
                            .new_name = name_of_text(new_name)};
}

struct command make_write(uint64_t inode, uint64_t offset, const void *data,
                          size_t size, uint32_t flags)
{
    return (struct command){.op = COMMAND_WRITE,
                            .flags = flags,
                            .inode = inode,
                            .offset = offset,
                            .data = data,
                            .data_size = size};
}

struct command make_truncate(uint64_t inode, uint64_t size)
{
    return (struct command){.op = COMMAND_SETATTR,
                            .inode = inode,
                            .attrs = COMMAND_SIZE,
                            .offset = size};
}

struct command make_release(const uint64_t *inodes, size_t count)
{
    return (struct command){
        .op = COMMAND_RELEASE, .inodes = inodes, .inode_count = count};
}

struct command make_reap(const uint64_t *inodes, size_t count, uint32_t flags)
{
    return (struct command){.op = COMMAND_REAP,
                            .flags = flags,
                            .inodes = inodes,
                            .inode_count = count};
}

uint64_t do_create(struct fixture *fx, uint64_t parent, const char *name)
{
    struct store_result r = run(fx, make_create(fx, parent, name));

    assert_int_equal(r.rc, 0);
    return r.inode;
}

uint64_t do_mkdir(struct fixture *fx, uint64_t parent, const char *name)
{
    struct store_result r = run(fx, make_mkdir(fx, parent, name));

    assert_int_equal(r.rc, 0);
    return r.inode;
}

void do_write(struct fixture *fx, uint64_t inode, uint64_t offset,
              const void *data, size_t size)
{
    assert_int_equal(run(fx, make_write(inode, offset, data, size, 0)).rc, 0);
}

void do_truncate(struct fixture *fx, uint64_t inode, uint64_t size)
{
    assert_int_equal(run(fx, make_truncate(inode, size)).rc, 0);
}

/* ---- Looks ---- */

int stat_rc(struct fixture *fx, uint64_t inode)
{
    struct store_inode ignored;
    int rc;

    assert_int_equal(store_view_begin(fx->v), 0);
    rc = store_view_inode(fx->v, inode, &ignored);
    store_view_end(fx->v);
    return rc;
}

struct store_inode stat_of(struct fixture *fx, uint64_t inode)
{
    struct store_inode i;

    assert_int_equal(store_view_begin(fx->v), 0);
    assert_int_equal(store_view_inode(fx->v, inode, &i), 0);
    store_view_end(fx->v);
    return i;
}

uint64_t lookup(struct fixture *fx, uint64_t parent, const char *name)
{
    struct store_inode i;
    int rc;

    assert_int_equal(store_view_begin(fx->v), 0);
    rc = store_view_lookup(fx->v, parent, name_of_text(name), &i);
    store_view_end(fx->v);
    if (rc == -ENOENT)
        return 0;
    assert_int_equal(rc, 0);
    return i.inode;
}

struct store_usage usage_of(struct fixture *fx)
{
    struct store_usage usage;

    assert_int_equal(store_view_begin(fx->v), 0);
    store_view_usage(fx->v, &usage);
    store_view_end(fx->v);
    return usage;
}

uint64_t hash_of(struct fixture *fx)
{
    raft_index index;
    uint64_t hash, kept;

    assert_int_equal(store_view_begin(fx->v), 0);
    assert_int_equal(store_view_hash(fx->v, &hash), 0);
    store_view_state_hash(fx->v, &index, &kept);
    store_view_end(fx->v);
    assert_int_equal(kept, hash);
    assert_int_equal(store_state_hash(fx->s, &kept).index, index);
    assert_int_equal(kept, hash);
    return hash;
}

void check(struct fixture *fx)
{
    assert_int_equal(store_view_begin(fx->v), 0);
    assert_int_equal(store_view_check(fx->v), 0);
    store_view_end(fx->v);
}

size_t reapable(struct fixture *fx, uint64_t *inodes, size_t max)
{
    int count;

    assert_int_equal(store_view_begin(fx->v), 0);
    count = store_view_reapable(fx->v, inodes, max);
    store_view_end(fx->v);
    assert_true(count >= 0);
    return (size_t)count;
}

void assert_bytes(struct fixture *fx, uint64_t inode, uint64_t offset,
                  const void *expected, size_t size)
{
    char *found = malloc(size + 1);

    assert_non_null(found);
    assert_int_equal(store_view_begin(fx->v), 0);
    assert_int_equal(store_view_read(fx->v, inode, offset, found, size), size);
    store_view_end(fx->v);
    assert_memory_equal(found, expected, size);
    free(found);
}

void assert_zeros(struct fixture *fx, uint64_t inode, uint64_t offset,
                  size_t size)
{
    char *zeros = calloc(1, size + 1);

    assert_non_null(zeros);
    assert_bytes(fx, inode, offset, zeros, size);
    free(zeros);
}

void reap_all(struct fixture *fx)
{
    uint64_t inodes[PX_RELEASE_INODES_MAX];
    size_t count;

    while ((count = reapable(fx, inodes, PX_RELEASE_INODES_MAX)) > 0)
        assert_int_equal(run(fx, make_reap(inodes, count, 0)).rc, 0);
}
