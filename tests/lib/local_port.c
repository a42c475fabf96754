/* One process, one state, no log: see local_port.h. */
#include "tests/lib/local_port_core.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/text.h"

#define RECEIVE_MAX 64
#define ORPHANS_MAX PX_RELEASE_INODES_MAX

/* ---- Applying ---- */

static int64_t wall_time(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now); /* can't fail on Linux */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void apply_slice(struct local_port *p, struct px_slice data,
                        struct store_result *result)
{
    struct raft_entry entry = {
        .pos = {.term = 1, .index = p->last.index + 1},
        .kind = RAFT_ENTRY_COMMAND,
        .data = data,
    };
    int rc = store_apply(p->state, &entry, 1, result, &p->orphans);

    px_assert(rc == 0);
    p->last = entry.pos;
}

static struct px_slice encode(struct local_session *s, struct command *c)
{
    struct px_slice data;

    c->session = s->number;
    c->sequence = ++s->sequence;
    c->floor = c->sequence;
    c->time = wall_time();
    px_assert(command_encode(c, &data) == 0);
    return data;
}

int local_apply(struct local_port *p, struct local_session *s,
                struct command *c, struct store_result *result)
{
    struct px_slice data = encode(s, c);

    apply_slice(p, data, result);
    px_slice_unref(&data);
    return result->rc;
}

static void session_open(struct local_port *p, struct local_session *s,
                         const char *name)
{
    struct command c = {
        .op = COMMAND_SESSION_OPEN,
        .name = {name, strlen(name)},
        .incarnation = (uint64_t)wall_time(), /* grows with each start */
    };
    struct store_result result;
    struct local_session none = {0};
    int rc = local_apply(p, &none, &c, &result);

    px_assert(rc == 0);
    *s = (struct local_session){.number = result.inode};
}

uint64_t local_number(struct local_session *s)
{
    return s->number << STORE_INODE_SESSION_SHIFT | ++s->inodes;
}

/* Unlinked files that are open nowhere are released, and what nobody holds is
 * reaped. */
static void release_orphans(struct local_port *p)
{
    uint64_t closed[ORPHANS_MAX];
    struct command c = {.op = COMMAND_RELEASE, .inodes = closed};
    struct store_result result;
    size_t kept = 0;

    for (size_t i = 0; i < p->orphans.count; i++) {
        uint64_t inode = p->orphans.inodes[i];

        if (c.inode_count < ORPHANS_MAX && !fs_is_open(p->fs, inode))
            closed[c.inode_count++] = inode;
        else
            p->orphans.inodes[kept++] = inode;
    }
    p->orphans.count = kept;
    if (c.inode_count == 0)
        return;
    (void)local_apply(p, &p->own, &c, &result);
    (void)local_apply(p, &p->remote, &c, &result); /* it has nothing open */
}

static void reap(struct local_port *p)
{
    uint64_t inodes[ORPHANS_MAX];
    struct command c = {.op = COMMAND_REAP, .inodes = inodes};
    struct store_result result;
    int count;

    px_assert(store_view_begin(p->view) == 0);
    count = store_view_reapable(p->view, inodes, ORPHANS_MAX);
    store_view_end(p->view);
    px_assert(count >= 0);
    if (count == 0)
        return;
    c.inode_count = (size_t)count;
    (void)local_apply(p, &p->own, &c, &result);
}

/* ---- fs_port ---- */

static px_ns port_now(void *ctx)
{
    const struct local_port *p = ctx;

    return p->now;
}

static int try_read(void *ctx)
{
    const struct local_port *p = ctx;

    return p->reads == LOCAL_READS_DIRECT ? 0 : -EAGAIN;
}

void local_wake(struct local_port *p)
{
    uint64_t one = 1;

    px_assert(write(p->wake_fd, &one, sizeof one) == sizeof one);
}

static bool is_refusing(const struct local_port *p)
{
    return p->reads == LOCAL_READS_REFUSED || p->reads == LOCAL_READS_TIMED_OUT;
}

static void port_read(void *ctx, struct fs_wait *w)
{
    struct local_port *p = ctx;

    p->asked_deadline = w->deadline;
    if (is_refusing(p) || p->reads == LOCAL_QUARANTINED) {
        w->done(w, is_refusing(p) ? -EAGAIN : -EIO, NULL);
        return;
    }
    px_list_push_back(&p->stuck_reads, &w->link);
    local_wake(p);
}

static void trace_command(struct local_port *p, const struct command *c)
{
    static const char *const ops[] = {
        [COMMAND_CREATE] = "create",   [COMMAND_MKDIR] = "mkdir",
        [COMMAND_SYMLINK] = "symlink", [COMMAND_LINK] = "link",
        [COMMAND_UNLINK] = "unlink",   [COMMAND_RMDIR] = "rmdir",
        [COMMAND_RENAME] = "rename",   [COMMAND_WRITE] = "write",
        [COMMAND_SETATTR] = "setattr", [COMMAND_SET_QUOTA] = "set-quota",
    };
    struct px_text text = {p->trace, sizeof p->trace, strlen(p->trace)};

    px_text_add(&text, "%s%s", text.used == 0 ? "" : " ", ops[c->op]);
    if (c->op == COMMAND_WRITE && (c->flags & COMMAND_CREATES) != 0)
        px_text_add(&text, "+creates");
    if ((c->flags & COMMAND_TRUNCATES) != 0)
        px_text_add(&text, "+truncates");
}

static void port_propose(void *ctx, struct fs_wait *w, struct command *c)
{
    struct local_port *p = ctx;
    struct store_result result;

    p->asked_deadline = w->deadline;
    if (p->reads == LOCAL_QUARANTINED) {
        w->done(w, -EIO, NULL);
        return;
    }
    if (c->inode == 0 && (c->op == COMMAND_CREATE || c->op == COMMAND_MKDIR ||
                          c->op == COMMAND_SYMLINK))
        c->inode = local_number(&p->own);
    switch (p->commands) {
    case LOCAL_COMMANDS_STUCK:
        trace_command(p, c);
        w->command = encode(&p->own, c);
        px_list_push_back(&p->stuck_commands, &w->link);
        return;
    case LOCAL_COMMANDS_REFUSED:
        w->done(w, -EAGAIN, NULL);
        return;
    case LOCAL_COMMANDS_NO_ROOM:
        w->done(w, -ENOSPC, NULL);
        return;
    case LOCAL_COMMANDS_UNKNOWN:
        w->done(w, -PX_EUNKNOWN, NULL);
        return;
    case LOCAL_COMMANDS_APPLIED_UNKNOWN:
    case LOCAL_COMMANDS_APPLY:
        break;
    }
    trace_command(p, c);
    (void)local_apply(p, &p->own, c, &result); /* its rc is in the result */
    if (p->commands == LOCAL_COMMANDS_APPLY)
        w->done(w, 0, &result);
    else
        w->done(w, -PX_EUNKNOWN, NULL);
}

static bool cancel(void *ctx, struct fs_wait *w)
{
    struct local_port *p = ctx;

    p->cancelled++;
    px_list_remove(&w->link);
    px_slice_unref(&w->command); /* never left: it was only queued */
    w->done(w, -EINTR, NULL);
    return true;
}

static struct store_view *view(void *ctx)
{
    struct local_port *p = ctx;

    px_assert(store_view_begin(p->view) == 0);
    return p->view;
}

static uint64_t new_inode(void *ctx)
{
    struct local_port *p = ctx;

    return p->has_session ? local_number(&p->own) : 0;
}

static void released(void *ctx, uint64_t inode)
{
    (void)ctx; /* the loop looks once a turn */
    (void)inode;
}

static struct store_usage usage_of(struct local_port *p)
{
    struct store_usage usage;

    px_assert(store_view_begin(p->view) == 0);
    store_view_usage(p->view, &usage);
    store_view_end(p->view);
    return usage;
}

static ssize_t status(void *ctx, enum fs_status_file file, char **text_out)
{
    static const char *const words[FS_STATUS_FILES] = {
        [FS_STATUS_STATUS] = "status",
        [FS_STATUS_LEADER] = "leader",
        [FS_STATUS_MEMBERS] = "members",
        [FS_STATUS_HEALTH] = "health",
    };

    if (file == FS_STATUS_QUOTA)
        return asprintf(text_out, "%llu\n",
                        (unsigned long long)usage_of(ctx).quota);
    return asprintf(text_out, "%s of a local port\n", words[file]);
}

static bool is_ready(void *ctx)
{
    const struct local_port *p = ctx;

    return p->reads != LOCAL_READS_REFUSED && p->reads != LOCAL_QUARANTINED;
}

static bool is_quarantined(void *ctx)
{
    const struct local_port *p = ctx;

    return p->reads == LOCAL_QUARANTINED;
}

/* ---- The loop ---- */

static void finish_reads(struct local_port *p)
{
    struct px_list ready;
    struct px_list *link;

    if (p->reads == LOCAL_READS_STUCK)
        return;
    px_list_init(&ready);
    px_list_splice_back(&ready, &p->stuck_reads);
    while ((link = px_list_pop_front(&ready)) != NULL) {
        struct fs_wait *w = px_list_entry(link, struct fs_wait, link);

        w->done(w, is_refusing(p) ? -EAGAIN : 0, NULL);
    }
}

void local_finish_command(struct local_port *p, bool is_applied)
{
    struct px_list *link = px_list_pop_front(&p->stuck_commands);
    struct fs_wait *w = px_list_entry(link, struct fs_wait, link);
    struct store_result result;

    px_assert(link != NULL);
    if (is_applied)
        apply_slice(p, w->command, &result);
    px_slice_unref(&w->command);
    w->done(w, is_applied ? 0 : -EAGAIN, is_applied ? &result : NULL);
}

/* What was queued is answered as the knob says now. */
static void finish_commands(struct local_port *p)
{
    while ((p->commands == LOCAL_COMMANDS_APPLY ||
            p->commands == LOCAL_COMMANDS_REFUSED) &&
           !px_list_empty(&p->stuck_commands))
        local_finish_command(p, p->commands == LOCAL_COMMANDS_APPLY);
}

static void take_call(struct local_port *p)
{
    px_assert(pthread_mutex_lock(&p->lock) == 0);
    if (p->call != NULL) {
        p->call(p->call_ctx);
        p->call = NULL;
        px_assert(pthread_cond_broadcast(&p->done) == 0);
    }
    px_assert(pthread_mutex_unlock(&p->lock) == 0);
}

static bool has_to_stop(struct local_port *p)
{
    bool stops;

    px_assert(pthread_mutex_lock(&p->lock) == 0);
    stops = p->stops;
    px_assert(pthread_mutex_unlock(&p->lock) == 0);
    return stops;
}

static void take_wakes(struct local_port *p)
{
    uint64_t wakes;

    if (read(p->wake_fd, &wakes, sizeof wakes) < 0)
        return; /* EAGAIN: it was woken by a request */
    take_call(p);
    finish_reads(p);
    finish_commands(p);
}

/* False: the mount is gone. */
static bool turn(struct local_port *p)
{
    struct pollfd fds[] = {
        {.fd = fs_fd(p->fs), .events = POLLIN},
        {.fd = p->wake_fd, .events = POLLIN},
    };
    sigset_t none;

    /* Signals that the caller has blocked come in here, and only here. */
    px_assert(sigemptyset(&none) == 0);
    if (ppoll(fds, 2, NULL, &none) < 0)
        return errno == EINTR;
    if (fds[1].revents != 0)
        take_wakes(p);
    if (fds[0].revents != 0 && fs_receive(p->fs, RECEIVE_MAX) < 0)
        return false;
    if (p->orphans.count > 0 && p->orphans_are == LOCAL_ORPHANS_RELEASED) {
        release_orphans(p);
        reap(p);
    }
    return true;
}

void local_port_run(struct local_port *p, const volatile int *stop)
{
    while (*stop == 0 && turn(p))
        ;
}

void local_port_follow(struct local_port *p)
{
    p->reads = LOCAL_READS_WAIT;
}

static void *serve(void *ctx)
{
    struct local_port *p = ctx;

    while (!has_to_stop(p) && turn(p))
        ;
    return NULL;
}

static bool may_open(void *ctx, uint64_t inode)
{
    const struct local_port *p = ctx;

    (void)inode; /* all of them are alike */
    return p->orphans_are == LOCAL_ORPHANS_HELD;
}

/* ---- From outside ---- */

int local_port_open(const struct local_port_options *options,
                    struct local_port **port_out, char *why, size_t why_size)
{
    const struct store_state_options state = {
        .dir = options->state_dir,
        .boot_id = "local-port",
    };
    const struct fs_options fs = {
        .mountpoint = options->mountpoint,
        .request_timeout = LOCAL_REQUEST_TIMEOUT,
        .strict_truncate = options->strict_truncate,
        .debug = options->debug,
    };
    struct local_port *p = calloc(1, sizeof *p);
    const struct fs_port port = {
        .ctx = p,
        .now = port_now,
        .try_read = try_read,
        .read = port_read,
        .propose = port_propose,
        .cancel = cancel,
        .view = view,
        .new_inode = new_inode,
        .released = released,
        .status = status,
        .is_ready = is_ready,
        .may_open = may_open,
        .is_quarantined = is_quarantined,
    };
    enum store_state_origin origin;
    int rc;

    px_assert(p != NULL);
    px_list_init(&p->stuck_reads);
    px_list_init(&p->stuck_commands);
    px_assert(pthread_mutex_init(&p->lock, NULL) == 0);
    px_assert(pthread_cond_init(&p->done, NULL) == 0);
    p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    px_assert(p->wake_fd >= 0);
    rc = store_state_open(&state, &p->state, &origin, why, why_size);
    if (rc < 0)
        goto fail;
    rc = store_view_new(p->state, &p->view);
    if (rc < 0)
        goto fail;
    p->last = store_state_applied(p->state);
    p->has_session = true;
    session_open(p, &p->own, "local");
    session_open(p, &p->remote, "remote");
    rc = fs_open(&fs, &port, &p->fs, why, why_size);
    if (rc < 0)
        goto fail;
    *port_out = p;
    return 0;
fail:
    local_port_close(p);
    return rc;
}

int local_port_start(struct local_port *p)
{
    return -pthread_create(&p->thread, NULL, serve, p);
}

void local_port_stop(struct local_port *p)
{
    px_assert(pthread_mutex_lock(&p->lock) == 0);
    p->stops = true;
    px_assert(pthread_mutex_unlock(&p->lock) == 0);
    local_wake(p);
    px_assert(pthread_join(p->thread, NULL) == 0);
}

void local_port_close(struct local_port *p)
{
    p->reads = LOCAL_READS_DIRECT;
    p->commands = LOCAL_COMMANDS_APPLY;
    finish_reads(p);
    finish_commands(p);
    fs_close(p->fs);
    store_view_free(p->view);
    if (p->state != NULL)
        px_assert(store_state_close(p->state) == 0);
    free(p->orphans.inodes);
    px_assert(close(p->wake_fd) == 0);
    px_assert(pthread_cond_destroy(&p->done) == 0);
    px_assert(pthread_mutex_destroy(&p->lock) == 0);
    free(p);
}
