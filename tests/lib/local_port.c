/* One process, one state, no log: see local_port.h. */
#include "tests/lib/local_port.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
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
#define TRACE_BYTES 4096

struct session {
    uint64_t number;
    uint64_t sequence;
    uint64_t inodes;
};

struct local_port {
    struct fs *fs;
    struct store_state *state;
    struct store_view *view;
    struct raft_pos last;
    struct session own;
    struct session remote;
    struct store_orphans orphans;
    bool has_session;
    enum local_reads reads;
    enum local_commands commands;
    struct px_list stuck_reads;    /* fs_wait.link */
    struct px_list stuck_commands; /* and its command encoded */
    unsigned cancelled;
    char trace[TRACE_BYTES];

    pthread_t thread;
    int wake_fd;
    pthread_mutex_t lock; /* guards the three below */
    pthread_cond_t done;
    void (*call)(void *ctx);
    void *call_ctx;
    bool stops; /* guarded by lock */
};

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

static struct px_slice encode(struct session *s, struct command *c)
{
    struct px_slice data;

    c->session = s->number;
    c->sequence = ++s->sequence;
    c->floor = c->sequence;
    c->time = wall_time();
    px_assert(command_encode(c, &data) == 0);
    return data;
}

static int apply(struct local_port *p, struct session *s, struct command *c,
                 struct store_result *result)
{
    struct px_slice data = encode(s, c);

    apply_slice(p, data, result);
    px_slice_unref(&data);
    return result->rc;
}

static void session_open(struct local_port *p, struct session *s,
                         const char *name)
{
    struct command c = {
        .op = COMMAND_SESSION_OPEN,
        .name = {name, strlen(name)},
        .incarnation = (uint64_t)wall_time(), /* grows with each start */
    };
    struct store_result result;
    struct session none = {0};
    int rc = apply(p, &none, &c, &result);

    px_assert(rc == 0);
    *s = (struct session){.number = result.inode};
}

static uint64_t number_of(struct session *s)
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
    (void)apply(p, &p->own, &c, &result);
    (void)apply(p, &p->remote, &c, &result); /* it has nothing open */
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
    (void)apply(p, &p->own, &c, &result);
}

/* ---- fs_port ---- */

static int try_read(void *ctx)
{
    const struct local_port *p = ctx;

    return p->reads == LOCAL_READS_DIRECT ? 0 : -EAGAIN;
}

static void wake(struct local_port *p)
{
    uint64_t one = 1;

    px_assert(write(p->wake_fd, &one, sizeof one) == sizeof one);
}

static void port_read(void *ctx, struct fs_wait *w)
{
    struct local_port *p = ctx;

    if (p->reads == LOCAL_READS_REFUSED) {
        w->done(w, -EAGAIN, NULL);
        return;
    }
    px_list_push_back(&p->stuck_reads, &w->link);
    wake(p);
}

static void trace_command(struct local_port *p, const struct command *c)
{
    static const char *const ops[] = {
        [COMMAND_CREATE] = "create",   [COMMAND_MKDIR] = "mkdir",
        [COMMAND_SYMLINK] = "symlink", [COMMAND_LINK] = "link",
        [COMMAND_UNLINK] = "unlink",   [COMMAND_RMDIR] = "rmdir",
        [COMMAND_RENAME] = "rename",   [COMMAND_WRITE] = "write",
        [COMMAND_SETATTR] = "setattr",
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

    if (c->inode == 0 && (c->op == COMMAND_CREATE || c->op == COMMAND_MKDIR ||
                          c->op == COMMAND_SYMLINK))
        c->inode = number_of(&p->own);
    switch (p->commands) {
    case LOCAL_COMMANDS_STUCK:
        trace_command(p, c);
        w->command = encode(&p->own, c);
        px_list_push_back(&p->stuck_commands, &w->link);
        return;
    case LOCAL_COMMANDS_REFUSED:
        w->done(w, -EAGAIN, NULL);
        return;
    case LOCAL_COMMANDS_UNKNOWN:
        w->done(w, -PX_EUNKNOWN, NULL);
        return;
    case LOCAL_COMMANDS_APPLIED_UNKNOWN:
    case LOCAL_COMMANDS_APPLY:
        break;
    }
    trace_command(p, c);
    (void)apply(p, &p->own, c, &result); /* its rc is in the result */
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

    return p->has_session ? number_of(&p->own) : 0;
}

static void released(void *ctx, uint64_t inode)
{
    (void)ctx; /* the loop looks once a turn */
    (void)inode;
}

static ssize_t status(void *ctx, enum fs_status_file file, char **text_out)
{
    static const char *const words[FS_STATUS_FILES] = {
        [FS_STATUS_STATUS] = "status",
        [FS_STATUS_LEADER] = "leader",
        [FS_STATUS_MEMBERS] = "members",
        [FS_STATUS_HEALTH] = "health",
    };

    (void)ctx;
    return asprintf(text_out, "%s of a local port\n", words[file]);
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

        w->done(w, p->reads == LOCAL_READS_REFUSED ? -EAGAIN : 0, NULL);
    }
}

static void finish_commands(struct local_port *p)
{
    struct px_list *link;

    while (p->commands == LOCAL_COMMANDS_APPLY &&
           (link = px_list_pop_front(&p->stuck_commands)) != NULL) {
        struct fs_wait *w = px_list_entry(link, struct fs_wait, link);
        struct store_result result;

        apply_slice(p, w->command, &result);
        px_slice_unref(&w->command);
        w->done(w, 0, &result);
    }
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
    if (p->orphans.count > 0) {
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
        .strict_truncate = options->strict_truncate,
        .debug = options->debug,
    };
    struct local_port *p = calloc(1, sizeof *p);
    const struct fs_port port = {
        .ctx = p,
        .try_read = try_read,
        .read = port_read,
        .propose = port_propose,
        .cancel = cancel,
        .view = view,
        .new_inode = new_inode,
        .released = released,
        .status = status,
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
    wake(p);
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

void local_port_call(struct local_port *p, void (*fn)(void *ctx), void *ctx)
{
    px_assert(pthread_mutex_lock(&p->lock) == 0);
    px_assert(p->call == NULL); /* one test thread calls at a time */
    p->call = fn;
    p->call_ctx = ctx;
    wake(p);
    while (p->call != NULL)
        px_assert(pthread_cond_wait(&p->done, &p->lock) == 0);
    px_assert(pthread_mutex_unlock(&p->lock) == 0);
}

/* ---- Knobs ---- */

struct request {
    struct local_port *port;
    enum local_reads reads;
    enum local_commands commands;
    bool has_session;
    struct command *command;
    struct fs_counters counters;
    uint64_t number;
    int rc;
    char *text;
};

static void do_set_reads(void *ctx)
{
    struct request *r = ctx;

    r->port->reads = r->reads;
}

void local_port_set_reads(struct local_port *p, enum local_reads reads)
{
    struct request r = {.port = p, .reads = reads};

    local_port_call(p, do_set_reads, &r);
}

static void do_set_commands(void *ctx)
{
    struct request *r = ctx;

    r->port->commands = r->commands;
}

void local_port_set_commands(struct local_port *p, enum local_commands commands)
{
    struct request r = {.port = p, .commands = commands};

    local_port_call(p, do_set_commands, &r);
}

static void do_stuck(void *ctx)
{
    struct request *r = ctx;

    px_list_for_each (it, &r->port->stuck_reads)
        r->number++;
    px_list_for_each (it, &r->port->stuck_commands)
        r->number++;
}

unsigned local_port_stuck(struct local_port *p)
{
    struct request r = {.port = p};

    local_port_call(p, do_stuck, &r);
    return (unsigned)r.number;
}

static void do_set_session(void *ctx)
{
    struct request *r = ctx;

    r->port->has_session = r->has_session;
}

void local_port_set_session(struct local_port *p, bool has_session)
{
    struct request r = {.port = p, .has_session = has_session};

    local_port_call(p, do_set_session, &r);
}

static void do_apply_remote(void *ctx)
{
    struct request *r = ctx;
    struct store_result result;

    r->rc = apply(r->port, &r->port->remote, r->command, &result);
}

int local_port_apply_remote(struct local_port *p, struct command *c)
{
    struct request r = {.port = p, .command = c};

    local_port_call(p, do_apply_remote, &r);
    return r.rc;
}

static void do_remote_inode(void *ctx)
{
    struct request *r = ctx;

    r->number = number_of(&r->port->remote);
}

uint64_t local_port_remote_inode(struct local_port *p)
{
    struct request r = {.port = p};

    local_port_call(p, do_remote_inode, &r);
    return r.number;
}

static void do_trace(void *ctx)
{
    struct request *r = ctx;

    r->text = strdup(r->port->trace);
    r->port->trace[0] = '\0';
}

char *local_port_trace(struct local_port *p)
{
    struct request r = {.port = p};

    local_port_call(p, do_trace, &r);
    px_assert(r.text != NULL);
    return r.text;
}

static void do_counters(void *ctx)
{
    struct request *r = ctx;

    fs_get_counters(r->port->fs, &r->counters);
}

void local_port_counters(struct local_port *p, struct fs_counters *out)
{
    struct request r = {.port = p};

    local_port_call(p, do_counters, &r);
    *out = r.counters;
}

static void do_cancelled(void *ctx)
{
    struct request *r = ctx;

    r->number = r->port->cancelled;
}

unsigned local_port_cancelled(struct local_port *p)
{
    struct request r = {.port = p};

    local_port_call(p, do_cancelled, &r);
    return (unsigned)r.number;
}

static void do_orphans(void *ctx)
{
    struct request *r = ctx;
    struct store_usage usage;

    px_assert(store_view_begin(r->port->view) == 0);
    store_view_usage(r->port->view, &usage);
    store_view_end(r->port->view);
    r->number = usage.orphans;
}

uint64_t local_port_orphans(struct local_port *p)
{
    struct request r = {.port = p};

    local_port_call(p, do_orphans, &r);
    return r.number;
}

static void do_check(void *ctx)
{
    struct request *r = ctx;

    px_assert(store_view_begin(r->port->view) == 0);
    r->rc = store_view_check(r->port->view);
    store_view_end(r->port->view);
}

int local_port_check(struct local_port *p)
{
    struct request r = {.port = p};

    local_port_call(p, do_check, &r);
    return r.rc;
}
