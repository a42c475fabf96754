#include "tests/unit/node/world_disk.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/evidence.h"
#include "store/state_core.h"

#define BOOT_ID "one-boot"
#define CLUSTER 1
#define MAP_BYTES (64 * PX_MIB)

static void make_folder(const struct world_node *n, const char *name,
                        char path[128])
{
    (void)snprintf(path, 128, "%s/%s", n->dir, name);
    assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
}

static unsigned newest_generation(const char *state_dir)
{
    unsigned newest = 1;

    for (unsigned g = 1; g < 16; g++) {
        char path[160];

        (void)snprintf(path, sizeof path, "%s/%u", state_dir, g);
        if (access(path, F_OK) == 0)
            newest = g;
    }
    return newest;
}

void world_disk_open(struct world_node *n)
{
    struct storage *s = &n->storage;
    struct store_state_options options = {.boot_id = BOOT_ID,
                                          .map_bytes = MAP_BYTES};
    enum store_state_origin origin;
    char state_dir[128];
    char path[128];
    char name[32];
    char why[256];

    *s = (struct storage){.options = {.boot_id = BOOT_ID, .cluster = CLUSTER}};
    make_folder(n, "snapshot", path);
    assert_int_equal(store_disk_open(path, &s->options.snapshot_disk), 0);
    make_folder(n, "state", state_dir);
    s->options.state_dir = strdup(state_dir);
    assert_non_null(s->options.state_dir);
    s->generation = newest_generation(state_dir);
    (void)snprintf(name, sizeof name, "state/%u", s->generation);
    make_folder(n, name, path);
    options.dir = path;
    assert_int_equal(
        store_state_open(&options, &s->state, &origin, why, sizeof why), 0);
    assert_int_equal(store_view_new(s->state, &n->view), 0);
}

void world_disk_close(struct world_node *n)
{
    store_view_free(n->view);
    store_state_abandon(n->storage.loaded);
    assert_int_equal(store_state_close(n->storage.state), 0);
    store_disk_close(n->storage.options.snapshot_disk);
    free((void *)(uintptr_t)n->storage.options.state_dir); /* a copy of ours */
}

void world_disk_start(struct world_node *n, struct replica_options *options)
{
    struct storage *s = &n->storage;
    char why[256];
    int rc = store_snapshot_find(s->options.snapshot_disk, CLUSTER,
                                 &s->snapshot, why, sizeof why);

    assert_true(rc == 0 || rc == -ENOENT);
    if (rc == -ENOENT)
        s->snapshot = (struct store_snapshot_info){0};
    assert_int_equal(
        evidence_read(s->options.state_dir, &s->divergence, &s->heir), 0);
    options->view = n->view;
    options->snapshot = s->snapshot;
    options->divergence = s->divergence;
}

void world_disk_kill(struct world_node *n)
{
    while (!px_list_empty(&n->jobs)) {
        struct replica_snapshot_job *job = px_list_entry(
            px_list_pop_front(&n->jobs), struct replica_snapshot_job, link);

        px_slice_unref(&job->data);
        free(job);
    }
    while (n->fetch_count > 0)
        free(n->fetches[--n->fetch_count]);
}

void world_disk_fetch(struct world_node *n, struct replica_fetch *job)
{
    assert_true(n->fetch_count < WORLD_NODES_MAX);
    n->fetches[n->fetch_count++] = job;
}

static void fetch(struct world_node *n, struct replica_fetch *job)
{
    int count = 0;

    if (n->fetch_rc < 0) {
        replica_on_fetched(n->replica, job, n->fetch_rc);
        return;
    }
    for (raft_index i = job->want.first;
         i > n->base.index && i <= job->want.last && i <= n->count; i++) {
        job->entries[count] = n->log[i - 1];
        (void)px_slice_ref(job->entries[count++].data);
    }
    replica_on_fetched(n->replica, job, count);
}

bool world_disk_work(struct world_node *n)
{
    struct replica_snapshot_job *job;
    int rc;

    if (n->replica == NULL)
        return false;
    if (n->fetch_count > 0) {
        fetch(n, n->fetches[--n->fetch_count]);
        return true;
    }
    if (px_list_empty(&n->jobs))
        return false;
    job = px_list_entry(px_list_pop_front(&n->jobs),
                        struct replica_snapshot_job, link);
    rc = storage_do(&n->storage, job);
    replica_on_snapshot(n->replica, job, rc);
    return true;
}

struct store_view *world_disk_adopt(struct world_node *n)
{
    store_view_free(n->view);
    assert_int_equal(storage_adopt(&n->storage), 0);
    assert_int_equal(store_view_new(n->storage.state, &n->view), 0);
    return n->view;
}

/* The root gets another owner; sums and all are as if a command had done it. */
void world_diverge(struct world *w, size_t node)
{
    struct store_state *s = w->nodes[node].storage.state;
    struct inode root;

    assert_int_equal(store_apply_begin(s), 0);
    assert_true(store_inode_load(&s->apply.kv, STORE_ROOT_INODE, &root));
    root.rec.uid++;
    store_inode_save(&s->apply.kv, &root);
    assert_int_equal(store_apply_commit(s), 0);
}
