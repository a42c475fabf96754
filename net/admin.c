/* Connections of admins: somebody with a command line, who is no node.
 *
 *   stranger ─▶ quiet ◀──────────────────────────── answering
 *                 │  a question: on_admin, a token      ▲
 *                 └────────▶ asking ────────────────────┘
 *                                     net_admin_reply
 *
 * Anybody who reaches the port can be one: there are at most NET_ADMINS_MAX,
 * each has one question at a time, and one that stays in a state for longer
 * than admin_timeout is closed, be the silence its own or ours. An answer may
 * be longer than what a socket takes at once, so it is written by libuv. */
#include <errno.h>

#include "base/assert.h"
#include "net/core.h"

/* ---- Time ---- */

static void on_admin_timer(uv_timer_t *timer);

static struct net_in *first(const struct net *n)
{
    return px_list_entry(n->admins.next, struct net_in, link);
}

static void arm(struct net *n)
{
    const uint64_t now = uv_now(n->options.loop);
    uint64_t due;

    if (px_list_empty(&n->admins)) {
        (void)uv_timer_stop(&n->admin_timer); /* never fails */
        return;
    }
    due = first(n)->deadline_ms;
    /* Fails while closing, when there is nothing to wait for. */
    (void)uv_timer_start(&n->admin_timer, on_admin_timer,
                         due > now ? due - now : 0, 0);
}

static void on_admin_timer(uv_timer_t *timer)
{
    struct net *n = timer->data;

    while (!px_list_empty(&n->admins) &&
           first(n)->deadline_ms <= uv_now(n->options.loop))
        net_in_close(first(n));
    arm(n);
}

/* @in is in another state from now on: I5, all have the same time for one. */
static void begin_state(struct net_in *in)
{
    struct net *n = in->net;

    px_list_remove(&in->link);
    px_list_push_back(&n->admins, &in->link);
    in->deadline_ms =
        uv_now(n->options.loop) + net_ms(n->options.admin_timeout);
    arm(n);
}

/* ---- Coming and going ---- */

enum net_refusal net_admin_judge(const struct net *n)
{
    if (n->handler.on_admin == NULL)
        return NET_REFUSED_NOT_YET;
    return n->admin_count < NET_ADMINS_MAX ? (enum net_refusal)0
                                           : NET_REFUSED_BUSY;
}

void net_admin_accept(struct net_in *in)
{
    px_assert(in->net->admin_count < NET_ADMINS_MAX);
    in->net->admin_count++;
    in->reader.head_bytes_max = NET_ADMIN_HEAD_BYTES_MAX;
    begin_state(in);
}

void net_admin_gone(struct net_in *in)
{
    px_assert(in->net->admin_count > 0);
    in->net->admin_count--;
    in->token = 0; /* L6 */
    arm(in->net);
}

/* ---- A question, and its answer ---- */

int net_admin_on_frame(struct net_in *in, const struct net_frame_in *frame)
{
    struct net *n = in->net;
    struct net_admin a;
    int rc;

    if (frame->type != NET_FRAME_ADMIN)
        return -EPROTO;
    if (in->token != 0 || in->reply != NULL) /* one at a time */
        return -EPROTO;
    rc = net_decode_admin(frame, &a);
    if (rc < 0)
        return rc;
    in->token = ++n->token_last;
    begin_state(in);
    n->handler.on_admin(n->handler.ctx, in->token, &a);
    return 0;
}

static struct net_in *find_asking(struct net *n, uint64_t token)
{
    px_list_for_each (it, &n->admins) {
        struct net_in *in = px_list_entry(it, struct net_in, link);

        if (token != 0 && in->token == token)
            return in;
    }
    return NULL;
}

static void end_reply(struct net_in *in)
{
    net_frame_free(in->reply);
    in->reply = NULL;
}

static void on_written(uv_write_t *write, int status)
{
    struct net_in *in = write->handle->data;

    end_reply(in);
    if (uv_is_closing((const uv_handle_t *)&in->tcp))
        return;
    if (status < 0)
        net_in_close(in);
    else
        begin_state(in);
}

/* Takes @f, which may be NULL: without memory for it. */
static int write_reply(struct net_in *in, struct net_frame *f)
{
    uv_buf_t piece;
    int rc;

    if (f == NULL)
        return -ENOMEM;
    in->reply = f;
    piece = uv_buf_init((char *)f->lead, (unsigned)f->lead_bytes);
    rc = uv_write(&in->write, (uv_stream_t *)&in->tcp, &piece, 1, on_written);
    if (rc < 0)
        end_reply(in);
    return rc;
}

void net_admin_reply(struct net *n, uint64_t token,
                     const struct net_admin_reply *r)
{
    struct net_in *in = find_asking(n, token);

    if (in == NULL)
        return;
    px_assert(in->reply == NULL); /* it asks, so no answer is under way */
    in->token = 0;
    if (write_reply(in, net_encode_admin_reply(r)) < 0)
        net_in_close(in);
    else
        begin_state(in);
}

/* ---- First and last ---- */

void net_admin_open(struct net *n)
{
    if (n->options.admin_timeout == 0)
        n->options.admin_timeout = NET_ADMIN_TIMEOUT;
    (void)uv_timer_init(n->options.loop, &n->admin_timer); /* never fails */
    n->admin_timer.data = n;
    net_hold(n);
}

static void on_timer_closed(uv_handle_t *handle)
{
    net_release(handle->data);
}

void net_admin_close(struct net *n)
{
    px_assert(px_list_empty(&n->admins));
    uv_close((uv_handle_t *)&n->admin_timer, on_timer_closed);
}
