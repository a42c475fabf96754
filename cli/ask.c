/* See ask.h.
 *
 *        ┌──────────────── pause ◀───────────────┐
 *        ▼                                       │
 *   next address ─▶ dial, hello ─▶ question ─▶ answer: no leader, not now
 *        ▲               │                       │
 *        └──── failed ◀──┘        leader named ──┴─▶ others count
 *                                      │
 *                                      └─▶ dial there */
#include "cli/ask.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/text.h"
#include "cli/dial.h"
#include "net/addr.h"
#include "net/codec.h"

#define PAUSE_MS 200
/* Leaders named one after the other without a pause: two that name each other
 * know of different terms, and soon of the same. */
#define HOPS_MAX 4
/* A node that is there answers a hello at once. */
#define HELLO_MAX (5 * PX_NS_PER_S)

struct asking {
    const struct ask_options *options;
    const struct net_admin *question;
    struct net_admin_reply *reply;
    struct px_text why;
    px_ns deadline;
    size_t next;   /* of the addresses */
    size_t failed; /* tries in a row that came to no answer */
    unsigned hops;
    bool is_answered; /* at least once */
};

/* ---- One node ---- */

struct greeting {
    bool is_ok;
    enum net_refusal reason;
};

static bool take_greeting(void *ctx, const struct net_frame_in *frame)
{
    struct greeting *g = ctx;
    struct net_hello_ok ok;

    g->is_ok = frame->type == NET_FRAME_HELLO_OK;
    if (g->is_ok)
        return net_decode_hello_ok(frame, &ok) == 0;
    return frame->type == NET_FRAME_HELLO_REFUSED &&
           net_decode_hello_refused(frame, &g->reason) == 0;
}

static bool take_reply(void *ctx, const struct net_frame_in *frame)
{
    return frame->type == NET_FRAME_ADMIN_REPLY &&
           net_decode_admin_reply(frame, ctx) == 0;
}

static void forget(struct asking *a)
{
    a->why.used = 0;
    a->why.data[0] = '\0';
}

static int fail(struct asking *a, const char *address, int rc)
{
    forget(a);
    if (rc == -EPROTO)
        px_text_add(&a->why, "%s does not answer as a node does", address);
    else if (rc == -ECONNRESET)
        px_text_add(&a->why, "%s closed the connection", address);
    else if (rc == -ETIMEDOUT)
        px_text_add(&a->why, "%s did not answer in time", address);
    else
        px_text_add(&a->why, "%s: %s", address, px_strerror(rc));
    return rc;
}

/* What may be over in a moment. */
static bool is_passing(enum net_refusal reason)
{
    return reason == NET_REFUSED_NOT_YET || reason == NET_REFUSED_BUSY;
}

static int greet(struct asking *a, struct dial *d, const char *address)
{
    const struct net_hello hello = {
        .version = NET_PROTOCOL_VERSION, .class = NET_ADMIN, .name = "phalanx"};
    struct greeting g;
    int rc = dial_send(d, net_encode_hello(&hello));

    if (rc == 0)
        rc = dial_receive(d, NET_HELLO_HEAD_BYTES_MAX, take_greeting, &g);
    if (rc < 0)
        return fail(a, address, rc);
    if (g.is_ok)
        return 0;
    forget(a);
    px_text_add(&a->why, "%s refuses to be asked: %s", address,
                net_refusal_text(g.reason));
    return is_passing(g.reason) ? -EAGAIN : -ECONNREFUSED;
}

static px_ns earlier(px_ns a, px_ns b)
{
    return a < b ? a : b;
}

/* -PX_EUNKNOWN: from the first byte of the question on, it may have arrived. */
static int put_question(struct asking *a, struct dial *d, const char *address)
{
    int rc = dial_send(d, net_encode_admin(a->question));

    if (rc == 0)
        rc = dial_receive(d, PX_FRAME_HEAD_BYTES_MAX, take_reply, a->reply);
    if (rc == 0)
        return 0;
    rc = fail(a, address, rc);
    return a->question->what == NET_ADMIN_LIST ? rc : -PX_EUNKNOWN;
}

static int ask_node(struct asking *a, const char *address)
{
    px_ns hello_by = earlier(px_now() + HELLO_MAX, a->deadline);
    struct dial d;
    int rc;

    forget(a);
    rc = dial_open(&d, address, hello_by, &a->why);
    if (rc == 0)
        rc = greet(a, &d, address);
    d.deadline = a->deadline;
    if (rc == 0)
        rc = put_question(a, &d, address);
    dial_close(&d);
    return rc;
}

/* ---- The cluster ---- */

static void pause_before(px_ns deadline)
{
    px_ns now = px_now();
    px_ns pause = PAUSE_MS * PX_NS_PER_MS;
    struct timespec t = {0};

    if (now < deadline)
        pause = earlier(pause, deadline - now);
    t.tv_nsec = (long)pause;   /* less than a second */
    (void)nanosleep(&t, NULL); /* shorter, after a signal, will do */
}

/* Nothing came of it, and the same one may have it done in a moment. */
static bool is_not_now(const struct net_admin_reply *r)
{
    return r->rc == -EAGAIN || r->rc == -EBUSY;
}

static bool is_final(const struct net_admin_reply *r)
{
    return r->rc != -PX_ENOTLEADER && !is_not_now(r);
}

static bool names_leader(const struct net_admin_reply *r)
{
    struct net_addr addr;

    return r->rc == -PX_ENOTLEADER &&
           net_addr_parse(r->leader_address, &addr) == 0;
}

/* Whom to ask now, after what the last one has said; waits where that is no
 * more than a moment ago. */
static void choose(struct asking *a, int rc,
                   char address[PX_ADDRESS_BYTES_MAX + 1])
{
    const struct ask_options *o = a->options;

    if (rc == 0 && names_leader(a->reply) && a->hops < HOPS_MAX) {
        a->hops++;
        (void)strcpy(address, a->reply->leader_address); /* of the same size */
        return;
    }
    if (rc == 0 || rc == -EAGAIN || a->failed % o->count == 0) {
        a->hops = 0;
        pause_before(a->deadline);
    }
    if (rc == 0 && a->reply->rc == -EAGAIN)
        return;                                   /* the same one, who leads */
    (void)strcpy(address, o->addresses[a->next]); /* likewise */
    a->next = (a->next + 1) % o->count;
}

/* Nobody was there, at any of the addresses. */
static bool is_hopeless(const struct asking *a, int rc)
{
    return rc < 0 && rc != -EAGAIN && !a->is_answered &&
           a->failed >= a->options->count;
}

static int ask_until(struct asking *a)
{
    char address[PX_ADDRESS_BYTES_MAX + 1];
    int rc;

    (void)strcpy(address, a->options->addresses[0]);
    a->next = 1 % a->options->count;
    for (;;) {
        rc = ask_node(a, address);
        a->failed = rc < 0 ? a->failed + 1 : 0;
        a->is_answered = a->is_answered || rc == 0;
        if (rc == -PX_EUNKNOWN || (rc == 0 && is_final(a->reply)) ||
            is_hopeless(a, rc))
            return rc;
        choose(a, rc, address);
        if (px_now() >= a->deadline)
            return rc;
    }
}

int ask_cluster(const struct ask_options *options,
                const struct net_admin *question, struct net_admin_reply *reply,
                char why[ASK_WHY_BYTES])
{
    struct asking a = {.options = options,
                       .question = question,
                       .reply = reply,
                       .deadline = px_now() + options->timeout};

    px_assert(options->count > 0);
    px_text_init(&a.why, why, ASK_WHY_BYTES);
    return ask_until(&a);
}
