/* The local port from outside: each knob is turned on the serving thread. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tests/lib/local_port_core.h"

void local_port_call(struct local_port *p, void (*fn)(void *ctx), void *ctx)
{
    px_assert(pthread_mutex_lock(&p->lock) == 0);
    px_assert(p->call == NULL); /* one test thread calls at a time */
    p->call = fn;
    p->call_ctx = ctx;
    local_wake(p);
    while (p->call != NULL)
        px_assert(pthread_cond_wait(&p->done, &p->lock) == 0);
    px_assert(pthread_mutex_unlock(&p->lock) == 0);
}

struct request {
    struct local_port *port;
    enum local_reads reads;
    enum local_commands commands;
    enum local_orphans orphans;
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

static void do_finish_one(void *ctx)
{
    struct request *r = ctx;

    local_finish_command(r->port, true);
}

void local_port_finish_one(struct local_port *p)
{
    struct request r = {.port = p};

    local_port_call(p, do_finish_one, &r);
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

static void do_set_now(void *ctx)
{
    struct request *r = ctx;

    r->port->now = r->number;
}

void local_port_set_now(struct local_port *p, px_ns now)
{
    struct request r = {.port = p, .number = now};

    local_port_call(p, do_set_now, &r);
}

static void do_asked_deadline(void *ctx)
{
    struct request *r = ctx;

    r->number = r->port->asked_deadline;
}

px_ns local_port_asked_deadline(struct local_port *p)
{
    struct request r = {.port = p};

    local_port_call(p, do_asked_deadline, &r);
    return r.number;
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

    r->rc = local_apply(r->port, &r->port->remote, r->command, &result);
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

    r->number = local_number(&r->port->remote);
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

static void do_set_orphans(void *ctx)
{
    struct request *r = ctx;

    r->port->orphans_are = r->orphans;
}

void local_port_set_orphans(struct local_port *p, enum local_orphans orphans)
{
    struct request r = {.port = p, .orphans = orphans};

    local_port_call(p, do_set_orphans, &r);
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
