/* One connection out: dialled, greeted, written to, and dialled again.
 *
 *   IDLE, until the peer's address and our cluster are known
 *      │ dial
 *      ▼
 *             dial             addresses              connected
 *   WAITING ────────▶ RESOLVING ─────────▶ CONNECTING ─────────▶ GREETING
 *      ▲                  │                  ▲    │ failed,        │    │ hello
 *      │    no such name  │    next address  │    │ timed out      │    │ accepted
 *      ├──────────────────┘                  │    │                │    ▼
 *      │                                     │    ▼     refused,   │    UP
 *      └──────────────────────────────────── CLOSING ◀─────────────┴────┘
 *         no address is left, or it was UP              timed out    broken
 *
 * lane_dial, on_resolved, connect_next, on_connect, on_up take the way forward;
 * lane_fail and on_tcp_closed the way back. Another address (net_lane_redial)
 * cuts all of it short: what is under way is broken off, and once libuv has let
 * go of it (on_resolved, on_tcp_closed), the lane dials anew.
 *
 * Numeric addresses don't go through the resolver, and its threads. A lookup
 * has no deadline of ours: it can't be interrupted, and ends by itself.
 *
 * Writing: what was queued in a turn leaves in one writev (uv_try_write), with
 * nothing to call back. What the socket doesn't take is left to uv_write, and
 * all that is queued meanwhile waits behind it. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/note.h"
#include "net/core.h"
#include "net/socket.h"

/* Of answers to a hello. */
#define CHUNK_BYTES 512
static_assert(CHUNK_BYTES >= NET_FRAME_HEADER_BYTES + NET_HELLO_HEAD_BYTES_MAX,
              "an answer fits");

static void connect_next(struct net_lane *l);
static void lane_dial(struct net_lane *l);
static void lane_flush(struct net_lane *l);

static uv_stream_t *stream_of(struct net_lane *l)
{
    return (uv_stream_t *)&l->tcp;
}

static const char *class_text(enum net_class class)
{
    return class == NET_BULK ? "bulk" : "urgent";
}

/* ---- Failing, and waiting ---- */

static void trouble_text(int trouble, char *text, size_t size)
{
    if (trouble < 0)
        (void)uv_strerror_r(trouble, text, size);
    else
        (void)snprintf(text, size, "refused: %s",
                       net_refusal_text((enum net_refusal)trouble));
}

/* One line when the reason changes, not one a dial; and not a second one for
 * the other lane. */
static void note_trouble(struct net_lane *l)
{
    const struct net_peer *p = l->peer;
    enum px_note_level level =
        l->trouble == NET_REFUSED_NOT_YET ? PX_NOTE_INFO : PX_NOTE_WARN;
    char why[128];

    if (l->trouble == l->trouble_told)
        return;
    for (size_t c = 0; c < NET_CLASSES; c++) {
        if (&p->lanes[c] != l && p->lanes[c].trouble_told == l->trouble)
            level = PX_NOTE_DEBUG;
    }
    l->trouble_told = l->trouble;
    trouble_text(l->trouble, why, sizeof why);
    px_note(level, "net: can't reach peer=%s address=%s class=%s why=\"%s\"",
            p->name, p->address, class_text(l->class), why);
}

static void note_lost(struct net_lane *l)
{
    char why[128];

    trouble_text(l->trouble, why, sizeof why);
    px_note(l->class == NET_BULK ? PX_NOTE_INFO : PX_NOTE_DEBUG,
            "net: lost peer=%s address=%s class=%s why=\"%s\"", l->peer->name,
            l->peer->address, class_text(l->class), why);
}

static void on_timer(uv_timer_t *timer);

static void arm(struct net_lane *l, uint64_t ms)
{
    (void)uv_timer_start(&l->timer, on_timer, ms, 0); /* fails while closing */
}

/* Half of the time is fixed, half is chance, so that two nodes that lost each
 * other, or many that lost one, don't dial in step. */
static void back_off(struct net_lane *l)
{
    struct net *n = l->peer->net;
    px_ns wait = n->options.redial_min;

    for (uint32_t i = 0; i < l->failures && wait < n->options.redial_max; i++)
        wait = wait <= n->options.redial_max / 2 ? 2 * wait
                                                 : n->options.redial_max;
    l->state = NET_LANE_WAITING;
    arm(l, net_ms(wait / 2 + px_rand_below(&n->rand, wait / 2 + 1)));
}

static void on_dial_failed(struct net_lane *l)
{
    if (l->failures < UINT32_MAX)
        l->failures++;
    note_trouble(l);
    back_off(l);
}

/* Onwards, after a socket. */
static void go_on(struct net_lane *l, bool was_up)
{
    if (l->redials) {
        lane_dial(l);
    } else if (was_up) {
        note_lost(l);
        back_off(l);
    } else {
        connect_next(l);
    }
}

static void on_tcp_closed(uv_handle_t *handle)
{
    struct net_lane *l = handle->data;
    struct net_peer *p = l->peer;
    struct net *n = p->net;
    const bool is_over = net_peer_is_over(p);
    const bool was_up = l->was_up;

    px_assert(l->state == NET_LANE_CLOSING); /* L4 */
    l->is_writing = false;
    p->dropped += net_queue_clear(&l->queue);
    net_reader_fini(&l->reader);
    net_peer_release(p);
    if (is_over)
        return;
    go_on(l, was_up);
    if (was_up && l->class == NET_BULK)
        n->handler.on_peer_down(n->handler.ctx, p->id);
}

/* The socket is of no use any more; @trouble says why. Frees nothing yet: a
 * write may be under way. */
static void lane_fail(struct net_lane *l, int trouble)
{
    if (l->state == NET_LANE_CLOSING)
        return;
    l->was_up = l->state == NET_LANE_UP;
    l->trouble = trouble;
    l->state = NET_LANE_CLOSING;
    (void)uv_timer_stop(&l->timer); /* never fails */
    uv_close((uv_handle_t *)&l->tcp, on_tcp_closed);
}

static void on_timer(uv_timer_t *timer)
{
    struct net_lane *l = timer->data;

    switch (l->state) {
    case NET_LANE_WAITING:
        lane_dial(l);
        break;
    case NET_LANE_CONNECTING:
    case NET_LANE_GREETING:
        lane_fail(l, -ETIMEDOUT);
        break;
    case NET_LANE_IDLE:
    case NET_LANE_RESOLVING:
    case NET_LANE_UP:
    case NET_LANE_CLOSING:
        break; /* no timer runs */
    }
}

/* ---- Reading the answer to our hello ---- */

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
    struct net_lane *l = handle->data;

    (void)suggested;
    *room = net_reader_room(&l->reader);
}

static void on_up(struct net_lane *l)
{
    struct net *n = l->peer->net;

    px_assert(!net_peer_is_over(l->peer)); /* L3 */
    (void)uv_timer_stop(&l->timer);        /* never fails */
    l->state = NET_LANE_UP;
    l->failures = 0;
    l->trouble = 0;
    l->trouble_told = 0;
    px_note(l->class == NET_BULK ? PX_NOTE_INFO : PX_NOTE_DEBUG,
            "net: connected peer=%s address=%s class=%s", l->peer->name,
            l->peer->address, class_text(l->class));
    if (l->class == NET_BULK)
        n->handler.on_peer_up(n->handler.ctx, l->peer->id);
}

/* 0, or why nothing is sent to who answered so. It may have been dialled before it
 * dials, and is told nothing: what it is sent would hide that its disk was empty. */
static enum net_refusal judge(struct net_lane *l, const struct net_hello_ok *ok)
{
    const struct net_hello_info info = {
        .id = ok->from, .name = l->peer->name, .is_empty = ok->is_empty};

    if (ok->version != NET_PROTOCOL_VERSION)
        return NET_REFUSED_VERSION;
    if (ok->from != l->peer->id)
        return NET_REFUSED_WRONG_NODE;
    return net_ask_handler(l->peer->net, &info);
}

static int on_hello_ok(struct net_lane *l, const struct net_frame_in *frame)
{
    struct net *n = l->peer->net;
    enum net_refusal reason;
    struct net_hello_ok ok;
    int rc = net_decode_hello_ok(frame, &ok);

    if (rc < 0)
        return rc;
    reason = judge(l, &ok);
    if (reason != 0) {
        lane_fail(l, (int)reason);
        return 0;
    }
    if (n->handler.on_peer_hello != NULL)
        n->handler.on_peer_hello(n->handler.ctx, l->peer->id, ok.is_empty);
    if (l->state == NET_LANE_GREETING) /* L4: else the handler has ended it */
        on_up(l);
    return 0;
}

static int on_hello_refused(struct net_lane *l,
                            const struct net_frame_in *frame)
{
    struct net *n = l->peer->net;
    enum net_refusal reason;
    int rc = net_decode_hello_refused(frame, &reason);

    if (rc < 0)
        return rc;
    lane_fail(l, (int)reason);
    if (n->handler.on_refused != NULL)
        n->handler.on_refused(n->handler.ctx, l->peer->id, reason);
    return 0;
}

static int on_frame(void *ctx, const struct net_frame_in *frame)
{
    struct net_lane *l = ctx;

    if (l->state == NET_LANE_GREETING && frame->type == NET_FRAME_HELLO_OK)
        return on_hello_ok(l, frame);
    if (l->state == NET_LANE_GREETING && frame->type == NET_FRAME_HELLO_REFUSED)
        return on_hello_refused(l, frame);
    return -EPROTO; /* nobody else speaks on a connection that we dialled */
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *room)
{
    struct net_lane *l = stream->data;
    int rc = (int)count;

    (void)room;
    if (count > 0) {
        rc = net_reader_advance(&l->reader, (size_t)count);
        if (rc == -EPROTO && l->state != NET_LANE_CLOSING)
            l->peer->net->counters.frames_bad++;
    }
    if (rc < 0)
        lane_fail(l, rc == UV_EOF ? -ECONNRESET : rc);
}

/* ---- Dialling ---- */

static void greet(struct net_lane *l)
{
    const struct net *n = l->peer->net;
    struct net_hello hello = {.version = NET_PROTOCOL_VERSION,
                              .cluster = n->options.cluster,
                              .from = n->options.id,
                              .to = l->peer->id,
                              .class = l->class,
                              .election = n->options.election,
                              .is_empty = n->options.is_empty};
    struct net_frame *f;

    (void)strcpy(hello.name, n->name); /* of the same size */
    f = net_encode_hello(&hello);
    if (f == NULL) {
        lane_fail(l, -ENOMEM);
        return;
    }
    l->state = NET_LANE_GREETING;
    arm(l, net_ms(n->options.dial_timeout));
    px_assert(px_list_empty(&l->queue.frames)); /* I1 */
    (void)net_queue_push(&l->queue, f);         /* has room, being empty */
    lane_flush(l);
}

static void on_connect(uv_connect_t *connect, int status)
{
    struct net_lane *l = connect->handle->data;
    uv_os_fd_t fd;
    int rc = status;

    if (l->state == NET_LANE_CLOSING)
        return; /* cancelled */
    if (rc == 0)
        rc = uv_fileno((uv_handle_t *)&l->tcp, &fd);
    if (rc == 0)
        rc = net_reader_init(&l->reader, CHUNK_BYTES, on_frame, l);
    if (rc == 0)
        rc = uv_read_start(stream_of(l), on_room, on_read);
    if (rc < 0) {
        lane_fail(l, rc);
        return;
    }
    net_socket_tune(fd, l->peer->net->options.dial_timeout);
    greet(l);
}

/* Dials the next address of this round; waits when there is none. */
static void connect_next(struct net_lane *l)
{
    struct net *n = l->peer->net;
    const struct sockaddr *address;
    int rc;

    px_assert(!net_peer_is_over(l->peer)); /* L3 */
    if (l->address_next == l->address_count) {
        on_dial_failed(l);
        return;
    }
    address = (const struct sockaddr *)&l->addresses[l->address_next++];
    (void)uv_tcp_init(n->options.loop, &l->tcp); /* opens nothing yet */
    l->tcp.data = l;
    net_peer_hold(l->peer);
    l->state = NET_LANE_CONNECTING;
    arm(l, net_ms(n->options.dial_timeout));
    rc = uv_tcp_connect(&l->connect, &l->tcp, address, on_connect);
    if (rc < 0)
        lane_fail(l, rc);
}

static void keep_addresses(struct net_lane *l, const struct addrinfo *found)
{
    l->address_count = 0;
    for (; found != NULL && l->address_count < NET_ADDRESSES_MAX;
         found = found->ai_next) {
        px_assert(found->ai_addrlen <= sizeof l->addresses[0]);
        memcpy(&l->addresses[l->address_count++], found->ai_addr,
               found->ai_addrlen);
    }
}

static void on_resolved(uv_getaddrinfo_t *lookup, int status,
                        struct addrinfo *found)
{
    struct net_lane *l = lookup->data;
    const bool is_over = net_peer_is_over(l->peer);

    px_assert(l->state == NET_LANE_RESOLVING);
    if (status == 0)
        keep_addresses(l, found);
    uv_freeaddrinfo(found);
    net_peer_release(l->peer);
    if (is_over)
        return;
    if (l->redials) {
        lane_dial(l);
        return;
    }
    if (status < 0) {
        l->trouble = status;
        on_dial_failed(l);
        return;
    }
    connect_next(l);
}

static bool is_numeric(struct net_lane *l)
{
    const struct net_addr *addr = &l->peer->addr;
    struct sockaddr_storage *a = &l->addresses[0];

    return uv_ip4_addr(addr->host, addr->port, (struct sockaddr_in *)a) == 0 ||
           uv_ip6_addr(addr->host, addr->port, (struct sockaddr_in6 *)a) == 0;
}

/* Is there an address, and a cluster that the hello can name? */
static bool can_dial(const struct net_lane *l)
{
    return l->peer->addr.port != 0 && l->peer->net->options.cluster != 0;
}

static void lane_dial(struct net_lane *l)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICSERV};
    struct net *n = l->peer->net;
    char port[sizeof "65535"];
    int rc;

    l->redials = false;
    if (!can_dial(l)) {
        l->state = NET_LANE_IDLE;
        return;
    }
    l->peer->dials++;
    l->address_count = 0;
    l->address_next = 0;
    if (is_numeric(l)) {
        l->address_count = 1;
        connect_next(l);
        return;
    }
    (void)snprintf(port, sizeof port, "%u", (unsigned)l->peer->addr.port);
    l->state = NET_LANE_RESOLVING;
    rc = uv_getaddrinfo(n->options.loop, &l->lookup, on_resolved,
                        l->peer->addr.host, port, &hints);
    if (rc < 0) {
        l->trouble = rc;
        on_dial_failed(l);
        return;
    }
    l->lookup.data = l;
    net_peer_hold(l->peer);
}

void net_lane_redial(struct net_lane *l)
{
    px_assert(!net_peer_is_over(l->peer)); /* L3 */
    l->failures = 0;
    l->trouble_told = 0;
    switch (l->state) {
    case NET_LANE_IDLE:
    case NET_LANE_WAITING:
        (void)uv_timer_stop(&l->timer); /* never fails */
        lane_dial(l);
        return;
    case NET_LANE_RESOLVING:
        /* Too late if it is running; then it ends by itself. */
        (void)uv_cancel((uv_req_t *)&l->lookup);
        break;
    case NET_LANE_CONNECTING:
    case NET_LANE_GREETING:
    case NET_LANE_UP:
        lane_fail(l, -ECANCELED);
        break;
    case NET_LANE_CLOSING:
        break;
    }
    l->redials = true;
}

void net_lane_hurry(struct net_lane *l)
{
    /* After a success the wait is short anyway, and must not be cut shorter:
     * two nodes whose connections break at once would hurry each other on. */
    if (l->state != NET_LANE_WAITING || l->failures == 0)
        return;
    l->failures = 0;
    arm(l, 0);
}

/* ---- Writing ---- */

static void on_sent(struct net_lane *l, size_t bytes)
{
    l->peer->bytes_out += bytes;
    l->peer->frames_out += net_queue_drop(&l->queue, bytes);
}

static void on_written(uv_write_t *write, int status)
{
    struct net_lane *l = write->handle->data;

    if (l->state == NET_LANE_CLOSING)
        return; /* the queue goes when the socket has */
    l->is_writing = false;
    if (status < 0) {
        lane_fail(l, status);
        return;
    }
    on_sent(l, l->writing_bytes);
    lane_flush(l);
}

static void write_rest(struct net_lane *l, const uv_buf_t *pieces,
                       unsigned count, size_t bytes)
{
    int rc = uv_write(&l->write, stream_of(l), pieces, count, on_written);

    if (rc < 0) {
        lane_fail(l, rc);
        return;
    }
    l->is_writing = true;
    l->writing_bytes = bytes;
}

static void lane_flush(struct net_lane *l)
{
    uv_buf_t pieces[IOV_MAX];

    while (l->queue.count > 0 && !l->is_writing) {
        size_t bytes;
        unsigned count = net_queue_gather(&l->queue, pieces, IOV_MAX, &bytes);
        int rc = uv_try_write(stream_of(l), pieces, count);

        if (rc < 0 && rc != UV_EAGAIN) {
            lane_fail(l, rc);
            return;
        }
        if (rc > 0)
            on_sent(l, (size_t)rc);
        if (rc > 0 && (size_t)rc == bytes)
            continue;
        count = net_queue_gather(&l->queue, pieces, IOV_MAX, &bytes);
        write_rest(l, pieces, count, bytes);
        return;
    }
}

void net_lane_flush(struct net_lane *l)
{
    if (l->state == NET_LANE_UP)
        lane_flush(l);
}

int net_lane_send(struct net_lane *l, struct net_frame *f)
{
    int rc = l->state == NET_LANE_UP ? net_queue_push(&l->queue, f) : -ENOTCONN;

    if (rc < 0) {
        l->peer->dropped++;
        net_frame_free(f);
    }
    return rc;
}

/* ---- First and last ---- */

void net_lane_init(struct net_lane *l, struct net_peer *p, enum net_class class)
{
    l->peer = p;
    l->class = class;
    l->state = NET_LANE_IDLE;
    net_queue_init(&l->queue);
}

void net_lane_start(struct net_lane *l)
{
    struct net *n = l->peer->net;

    (void)uv_timer_init(n->options.loop, &l->timer); /* never fails */
    l->timer.data = l;
    net_peer_hold(l->peer);
    lane_dial(l);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct net_lane *l = handle->data;

    net_peer_release(l->peer);
}

void net_lane_close(struct net_lane *l)
{
    switch (l->state) {
    case NET_LANE_RESOLVING:
        /* Too late if it is running; then it ends by itself. */
        (void)uv_cancel((uv_req_t *)&l->lookup);
        break;
    case NET_LANE_CONNECTING:
    case NET_LANE_GREETING:
    case NET_LANE_UP:
        lane_fail(l, -ECANCELED);
        break;
    case NET_LANE_IDLE:
    case NET_LANE_WAITING:
    case NET_LANE_CLOSING:
        break;
    }
    uv_close((uv_handle_t *)&l->timer, on_timer_closed);
}

void net_lane_fini(struct net_lane *l)
{
    (void)net_queue_clear(&l->queue); /* nobody counts any more */
    net_reader_fini(&l->reader);
}
