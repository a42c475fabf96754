/* Where the loop's work meets the disk.
 *
 * Log thread: takes all writes that wait, appends each, and makes them durable
 * with one flush; while it flushes, the next group gathers. A failed write or
 * flush ends the process: nothing that the page cache then says is believed.
 *
 * A full disk does not: whatever found no room, of the log or of the state, has
 * had no effect, and is done again every second until there is some. What was
 * written before it is flushed first. The others go on meanwhile, and raft makes
 * way if it leads (raft/disk.c). Where another state is there to replace the one
 * that has no room, it does. Only the building of such a state does not wait: the
 * process ends, for its start needs no room for the old one.
 *
 * Applying: a small batch that is in memory is applied right here on the loop
 * (about ten microseconds, against two hand-overs of 60-80 each); anything
 * else goes to the apply thread. After an apply on the loop that took longer
 * than APPLY_HERE_NS_MAX (the kernel throttles writers when much is dirty), all
 * go to the thread for APPLY_HERE_PAUSE_FACTOR times as long, so that a slow
 * disk holds the loop for a small share of the time at most. A batch that
 * deletes much is applied here in part, and the rest of it there.
 *
 * A follower learns of a commit with the next entry. That entry's write goes
 * first: where the log thread waits for this processor it is let on, and the
 * disk works while we apply (a whole-file write through the leader takes 7 %
 * less by that).
 *
 * Old entries, for peers far behind, are read on libuv's pool. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/note.h"
#include "node/node_core.h"

#define APPLY_HERE_BYTES_MAX (64u * PX_KIB)
#define APPLY_HERE_WORK_MAX 2048u /* records: some milliseconds */
#define APPLY_HERE_NS_MAX (5 * PX_NS_PER_MS)
#define APPLY_HERE_PAUSE_FACTOR 20
#define APPLY_NOTE_INTERVAL PX_NS_PER_S
#define FULL_PAUSE PX_NS_PER_S
#define BACKGROUND_NICE 10 /* about a tenth of a processor that is wanted */

/* ---- A full disk ---- */

/* On the thread of @w, after something found no room. False: it is not to be
 * done again, for the node stops. *@is_full: since the last attempt. */
static bool wait_for_room(struct node *n, struct worker *w, const char *what,
                          bool *is_full)
{
    if (!*is_full) {
        *is_full = true;
        atomic_fetch_add(&n->full_waits, 1);
        px_note(PX_NOTE_WARN, "disk: full: waiting=%s folder=%s", what,
                n->config.data_dir);
    }
    atomic_fetch_add(&n->full_retries, 1);
    return worker_pause(w, FULL_PAUSE);
}

static void end_wait(struct node *n, const char *what, bool is_full, int rc)
{
    if (!is_full)
        return;
    atomic_fetch_sub(&n->full_waits, 1);
    px_note(PX_NOTE_INFO,
            rc == -ENOSPC ? "disk: full: waits no more=%s"
                          : "disk: has room again: goes_on=%s",
            what);
}

/* ---- The log ---- */

static int flush(struct node *n)
{
    int rc = store_log_sync(n->storage.log);
    px_ns took = px_now() - atomic_exchange(&n->flush_begun, 0);

    atomic_fetch_add_explicit(&n->sync_count, 1, memory_order_relaxed);
    if (took > atomic_load_explicit(&n->sync_ns_max, memory_order_relaxed))
        atomic_store_explicit(&n->sync_ns_max, took, memory_order_relaxed);
    return rc;
}

/* What lies before the write that found no room does not wait for it: votes, and
 * what a leader counts on. */
static int flush_written(struct node *n, struct px_list *written)
{
    int rc;

    if (px_list_empty(written))
        return 0;
    rc = flush(n);
    if (rc == 0)
        worker_give_back(&n->log_worker, written);
    return rc;
}

static int do_patiently(struct node *n, struct px_list *job,
                        struct px_list *written)
{
    bool is_full = false;
    int rc;

    while ((rc = log_writer_do(&n->log_writer, job)) == -ENOSPC) {
        rc = flush_written(n, written);
        if (rc < 0)
            return rc;
        if (!wait_for_room(n, &n->log_worker, "log", &is_full))
            return -ECANCELED;
        atomic_store(&n->flush_begun, px_now());
    }
    end_wait(n, "log", is_full, rc);
    return rc;
}

/* What has come back to the loop before is not in @jobs any more. */
static int write_all(struct node *n, struct px_list *jobs)
{
    struct px_list written; /* and not flushed */
    int rc = 0;

    px_list_init(&written);
    atomic_store(&n->flush_begun, px_now());
    while (rc == 0 && !px_list_empty(jobs)) {
        rc = do_patiently(n, jobs->next, &written);
        if (rc == 0)
            px_list_push_back(&written, px_list_pop_front(jobs));
    }
    px_list_splice_back(&written, jobs);
    px_list_splice_back(jobs, &written);
    return rc < 0 ? rc : flush(n);
}

/* Log thread. */
static void log_work(void *ctx, struct px_list *jobs)
{
    struct node *n = ctx;
    int rc;

    if (atomic_load(&n->log_rc) < 0)
        return; /* nothing more is written after a failure */
    rc = write_all(n, jobs);
    if (rc == 0)
        rc = log_writer_cut_head(&n->log_writer);
    if (rc < 0)
        atomic_store(&n->log_rc, rc);
}

static void log_done(void *ctx, struct px_list *jobs)
{
    struct node *n = ctx;
    int rc = atomic_load(&n->log_rc);

    while (!px_list_empty(jobs)) {
        struct px_list *job = px_list_pop_front(jobs);

        if (rc == 0)
            log_writer_done(&n->log_writer, &n->fault, job);
        /* otherwise the replica frees it when it is closed */
    }
    if (rc < 0)
        node_fail(n, "writing the log failed", rc);
}

void disk_write(void *ctx, struct px_list *writes)
{
    struct node *n = ctx;

    worker_give(&n->log_worker, writes);
}

static void give_one(struct node *n, struct px_list *job)
{
    struct px_list jobs;

    px_list_init(&jobs);
    px_list_push_back(&jobs, job);
    worker_give(&n->log_worker, &jobs);
}

void disk_note_loss(void *ctx, raft_index index)
{
    struct node *n = ctx;

    give_one(n, log_writer_loss(&n->log_writer, index));
}

void disk_forget_loss(void *ctx)
{
    struct node *n = ctx;

    give_one(n, log_writer_recovered(&n->log_writer));
}

/* ---- Applying ---- */

static int apply_job(struct node *n, struct replica_apply *job,
                     uint64_t work_max)
{
    int rc = store_apply_some(n->storage.state, job->entries, job->count,
                              work_max, job->results, &job->orphans);

    if (rc > 0)
        job->applied = (size_t)rc;
    return rc;
}

/* A state that was loaded takes this one's place, and its room becomes free, but
 * only between two applies. */
static int apply_patiently(struct node *n, struct replica_apply *job)
{
    bool is_full = false;
    int rc;

    while ((rc = apply_job(n, job, UINT64_MAX)) == -ENOSPC) {
        if (storage_make_room(&n->storage))
            continue;
        if (!wait_for_room(n, &n->apply_worker, "state", &is_full))
            return -ECANCELED;
        if (atomic_load(&n->storage.is_loaded))
            break;
    }
    end_wait(n, "state", is_full, rc);
    return rc;
}

/* Apply thread. */
static void apply_work(void *ctx, struct px_list *jobs)
{
    struct node *n = ctx;
    struct replica_apply *job = n->apply_job;
    int rc = 0;

    px_assert(px_list_entry(jobs->next, struct replica_apply, link) == job);
    if (job->from_log)
        rc = storage_read(&n->storage, job->first, job->last, job->entries);
    if (rc > 0)
        job->count = (size_t)rc;
    n->apply_rc = rc < 0 ? rc : apply_patiently(n, job);
}

/* Of a long start, once a second. */
static void note_progress(struct node *n, const struct replica_apply *job)
{
    raft_index index = job->first + job->applied - 1;
    px_ns now = px_now();

    if (job->from_log && index < job->last &&
        now - n->apply_noted < APPLY_NOTE_INTERVAL)
        return;
    n->apply_noted = now;
    if (job->from_log && index < job->last)
        px_note(PX_NOTE_INFO, "store: applies the log: index=%llu of %llu",
                (unsigned long long)index, (unsigned long long)job->last);
}

static void apply_done(void *ctx, struct px_list *jobs)
{
    struct node *n = ctx;
    struct replica_apply *job = n->apply_job;

    px_list_init(jobs);
    px_list_init(&job->link);
    n->apply_job = NULL;
    note_progress(n, job);
    replica_on_applied(n->replica, job, n->apply_rc);
}

/* False: there is no room, and the thread has to wait for it. */
static bool apply_here(struct node *n, struct replica_apply *job)
{
    px_ns begun = px_now(); /* what it yields, the loop waits too */
    px_ns ended;
    int rc;

    if (worker_is_waiting(&n->log_worker))
        (void)sched_yield(); /* never fails on Linux */
    rc = apply_job(n, job, APPLY_HERE_WORK_MAX);
    if (rc == -ENOSPC)
        return false;
    ended = px_now();
    n->applied_here++;
    if (ended - begun > APPLY_HERE_NS_MAX || job->applied < job->count)
        n->apply_here_after = ended + APPLY_HERE_PAUSE_FACTOR * (ended - begun);
    replica_on_applied(n->replica, job, rc);
    return true;
}

void disk_apply(void *ctx, struct replica_apply *job)
{
    struct node *n = ctx;
    struct px_list jobs;

    if (!job->from_log && job->bytes <= APPLY_HERE_BYTES_MAX &&
        px_now() >= n->apply_here_after && apply_here(n, job))
        return;
    px_assert(n->apply_job == NULL);
    n->apply_job = job;
    n->applied_by_thread++;
    px_list_init(&jobs);
    px_list_push_back(&jobs, &job->link);
    worker_give(&n->apply_worker, &jobs);
}

/* ---- Snapshots: what takes long on one thread, pieces on another ---- */

/* Of the calling thread: what a snapshot costs is taken from what requests
 * leave. */
static void step_back(void)
{
    (void)setpriority(PRIO_PROCESS, 0, BACKGROUND_NICE); /* a kindness only */
}

static void snapshot_work(void *ctx, struct px_list *jobs)
{
    struct node *n = ctx;

    step_back();
    px_list_for_each (it, jobs) {
        struct replica_snapshot_job *job =
            px_list_entry(it, struct replica_snapshot_job, link);

        job->rc = storage_do(&n->storage, job);
    }
}

static void snapshot_done(void *ctx, struct px_list *jobs)
{
    struct node *n = ctx;

    while (!px_list_empty(jobs)) {
        struct replica_snapshot_job *job = px_list_entry(
            px_list_pop_front(jobs), struct replica_snapshot_job, link);

        replica_on_snapshot(n->replica, job, job->rc);
    }
}

void disk_snapshot(void *ctx, struct replica_snapshot_job *job)
{
    struct node *n = ctx;
    bool is_long = job->what == REPLICA_SAVE || job->what == REPLICA_LOAD ||
                   job->what == REPLICA_CLEAN;
    struct px_list jobs;

    px_list_init(&jobs);
    px_list_push_back(&jobs, &job->link);
    worker_give(is_long ? &n->snapshot_worker : &n->piece_worker, &jobs);
}

static void drop_snapshot_jobs(struct px_list *jobs)
{
    while (!px_list_empty(jobs)) {
        struct replica_snapshot_job *job = px_list_entry(
            px_list_pop_front(jobs), struct replica_snapshot_job, link);

        px_slice_unref(&job->data);
        free(job);
    }
}

static void stop_snapshots(struct worker *w)
{
    if (!w->is_started)
        return;
    worker_stop(w);
    drop_snapshot_jobs(&w->in);
    drop_snapshot_jobs(&w->out);
}

uint64_t disk_log_bytes(void *ctx)
{
    const struct node *n = ctx;

    return store_log_bytes(n->storage.log);
}

uint64_t disk_snapshot_room(void *ctx)
{
    const struct node *n = ctx;

    return storage_snapshot_room(&n->storage);
}

void disk_cut_log(void *ctx, raft_index index)
{
    struct node *n = ctx;

    log_writer_allow_cut(&n->log_writer, index);
}

/* ---- Old entries ---- */

struct fetch {
    uv_work_t work;
    struct node *node;
    struct replica_fetch *job;
    int rc;
};

static void fetch_work(uv_work_t *work)
{
    struct fetch *f = work->data;

    f->rc = storage_read(&f->node->storage, f->job->want.first,
                         f->job->want.last, f->job->entries);
}

static void fetch_done(uv_work_t *work, int status)
{
    struct fetch *f = work->data;
    struct node *n = f->node;
    int rc = status < 0 ? status : f->rc;

    n->pool_jobs--;
    replica_on_fetched(n->replica, f->job, rc);
    free(f);
    if (rc == -PX_ECORRUPT)
        node_fail(n, "reading the log failed", rc);
}

void disk_fetch(void *ctx, struct replica_fetch *job)
{
    struct node *n = ctx;
    struct fetch *f = calloc(1, sizeof *f);

    if (f == NULL)
        goto fail;
    f->work.data = f;
    f->node = n;
    f->job = job;
    if (uv_queue_work(&n->loop, &f->work, fetch_work, fetch_done) < 0)
        goto fail;
    n->pool_jobs++;
    return;
fail:
    free(f);
    free(job);
    node_fail(n, "no memory to read the log", -ENOMEM);
}

/* ---- Life ---- */

int disk_start(struct node *n)
{
    int rc = worker_start(&n->log_worker, &n->loop, n, log_work, log_done);

    if (rc < 0)
        return rc;
    rc = worker_start(&n->apply_worker, &n->loop, n, apply_work, apply_done);
    if (rc < 0)
        return rc;
    rc = worker_start(&n->snapshot_worker, &n->loop, n, snapshot_work,
                      snapshot_done);
    if (rc < 0)
        return rc;
    return worker_start(&n->piece_worker, &n->loop, n, snapshot_work,
                        snapshot_done);
}

void disk_stop(struct node *n)
{
    storage_cancel(&n->storage);
    worker_stop(&n->log_worker);
    worker_stop(&n->apply_worker);
    stop_snapshots(&n->snapshot_worker);
    stop_snapshots(&n->piece_worker);
}

bool disk_is_stuck(const struct node *n)
{
    px_ns patience = n->config.election_ticks * n->config.tick / 2;
    px_ns begun = atomic_load(&n->flush_begun);

    return atomic_load(&n->full_waits) > 0 ||
           (begun != 0 && px_now() >= begun + patience);
}

void disk_get_counters(const struct node *n, struct disk_counters *out)
{
    out->log_syncs = atomic_load_explicit(&n->sync_count, memory_order_relaxed);
    out->log_sync_ns_max =
        atomic_load_explicit(&n->sync_ns_max, memory_order_relaxed);
    out->full_waits = atomic_load(&n->full_waits);
    out->full_retries = atomic_load(&n->full_retries);
    out->flush_begun = atomic_load(&n->flush_begun);
    out->applied_here = n->applied_here;
    out->applied_by_thread = n->applied_by_thread;
}
