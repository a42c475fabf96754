/* Connections in. In the life of a write: the leader's entries arrive here, and
 * so do the followers' answers.
 *
 *   on_connection          hello accepted
 *  ──────────────▶ stranger ────────────▶ accepted: frames to the handler
 *                     │ │                        │ broken, a bad frame,
 *                     │ └─ of an admin: admin.c  │ dialled anew by the peer,
 *                     │ refused, no hello        │ removed
 *                     │ in time, too many        │
 *                     └────────▶ closing ◀───────┘
 *
 * A stranger can make us hold one chunk, and no more: until its hello is
 * accepted, longer frames and bodies are refused unread. When there are too
 * many strangers the oldest goes, so that idle ones can't keep a peer out. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/note.h"
#include "net/core.h"
#include "net/socket.h"

/* One read(2): large enough for hundreds of small frames. */
#define CHUNK_BYTES (64u * PX_KIB)
#define ACCEPT_RETRY_MS 100

static void on_hello_timer(uv_timer_t *timer);
static void accept_one(struct net *n);

/* ---- Closing ---- */

static void on_in_closed(uv_handle_t *handle)
{
    struct net_in *in = handle->data;
    struct net *n = in->net;

    px_assert(in->peer == NULL);  /* L3: it may be freed by now */
    px_assert(in->reply == NULL); /* its write has been called back */
    net_reader_fini(&in->reader);
    free(in);
    net_release(n);
}

static bool is_closing(const struct net_in *in)
{
    return uv_is_closing((const uv_handle_t *)&in->tcp) != 0;
}

void net_in_close(struct net_in *in)
{
    if (is_closing(in))
        return;
    px_list_remove(&in->link);
    if (!in->is_accepted)
        in->net->stranger_count--;
    else if (in->class == NET_ADMIN)
        net_admin_gone(in);
    if (in->peer != NULL) {
        px_assert(in->peer->in[in->class - 1] == in); /* I3 */
        in->peer->in[in->class - 1] = NULL;
        in->peer = NULL; /* L3: it may go before we do */
    }
    uv_close((uv_handle_t *)&in->tcp, on_in_closed);
}

static void close_all(struct px_list *list)
{
    while (!px_list_empty(list))
        net_in_close(px_list_entry(list->next, struct net_in, link));
}

void net_listen_drop(struct net_peer *p)
{
    for (size_t c = 0; c < NET_CLASSES; c++) {
        if (p->in[c] != NULL)
            net_in_close(p->in[c]);
    }
}

/* ---- Hellos ---- */

/* Once for each stranger and reason, as far as we remember them; the oldest is
 * forgotten for a new one, but not soon. */
static void note_refused(struct net *n, const struct net_hello *hello,
                         enum net_refusal reason)
{
    const struct net_noted now = {hello->from, reason, uv_now(n->options.loop)};
    struct net_noted *slot = &n->noted[n->noted_count % NET_REFUSALS_NOTED_MAX];
    const size_t known = n->noted_count < NET_REFUSALS_NOTED_MAX
                             ? n->noted_count
                             : NET_REFUSALS_NOTED_MAX;

    for (size_t i = 0; i < known; i++) {
        if (n->noted[i].from == now.from && n->noted[i].reason == now.reason)
            return;
    }
    if (known == NET_REFUSALS_NOTED_MAX &&
        now.at_ms - slot->at_ms < NET_REFUSALS_NOTED_MS)
        return;
    *slot = now;
    n->noted_count++;
    px_note(reason == NET_REFUSED_NOT_YET ? PX_NOTE_INFO : PX_NOTE_WARN,
            "net: refused a hello from=%s id=%016" PRIx64 " why=\"%s\"",
            hello->name, hello->from, net_refusal_text(reason));
}

/* 0, or why not. A node that is no peer any more is told of its removal, not
 * that it is unknown: so the handler is asked first. */
static enum net_refusal judge(struct net *n, const struct net_hello *hello)
{
    const struct net_hello_info info = {
        .id = hello->from, .name = hello->name, .is_empty = hello->is_empty};
    enum net_refusal reason;

    if (hello->version != NET_PROTOCOL_VERSION)
        return NET_REFUSED_VERSION;
    if (hello->class == NET_ADMIN)
        return net_admin_judge(n);
    if (n->options.cluster == 0)
        return NET_REFUSED_NOT_YET;
    if (hello->cluster != n->options.cluster)
        return NET_REFUSED_CLUSTER;
    if (hello->to != n->options.id)
        return NET_REFUSED_WRONG_NODE;
    reason = net_ask_handler(n, &info);
    if (reason != 0)
        return reason;
    if (net_peer_find(n, hello->from) == NULL)
        return NET_REFUSED_UNKNOWN_NODE;
    if (hello->election != n->options.election)
        return NET_REFUSED_ELECTION;
    return (enum net_refusal)0;
}

/* An answer fits in an empty socket's buffer, always; if it doesn't, something
 * is wrong with the connection. Takes @f. */
static int answer(struct net_in *in, struct net_frame *f)
{
    uv_buf_t piece;
    int rc;

    if (f == NULL)
        return -ENOMEM;
    piece = uv_buf_init((char *)f->lead, (unsigned)f->lead_bytes);
    rc = uv_try_write((uv_stream_t *)&in->tcp, &piece, 1);
    if (rc >= 0)
        rc = (size_t)rc == f->bytes ? 0 : -EPIPE;
    net_frame_free(f);
    return rc;
}

/* To when the oldest stranger's time is up, or a late accept is due. */
static void arm_hello_timer(struct net *n)
{
    const uint64_t now = uv_now(n->options.loop);
    uint64_t due = UINT64_MAX;

    if (!px_list_empty(&n->strangers))
        due =
            px_list_entry(n->strangers.next, struct net_in, link)->deadline_ms;
    if (n->is_accept_late && due > now + ACCEPT_RETRY_MS)
        due = now + ACCEPT_RETRY_MS;
    if (due == UINT64_MAX)
        (void)uv_timer_stop(&n->hello_timer); /* never fails */
    else /* fails while closing, when there is nothing to wait for */
        (void)uv_timer_start(&n->hello_timer, on_hello_timer,
                             due > now ? due - now : 0, 0);
}

static void leave_strangers(struct net_in *in, enum net_class class)
{
    struct net *n = in->net;

    px_list_remove(&in->link);
    n->stranger_count--;
    in->is_accepted = true;
    in->class = class;
    arm_hello_timer(n);
}

/* From a stranger to a peer's connection; an older one of the same class is
 * left over from before the peer's restart, or from a broken path. */
static void accept_peer(struct net_in *in, const struct net_hello *hello)
{
    struct net *n = in->net;
    struct net_peer *p = net_peer_find(n, hello->from);
    struct net_in *before = p->in[hello->class - 1];

    px_assert(!net_peer_is_over(p)); /* L3 */
    if (before != NULL)
        net_in_close(before);
    leave_strangers(in, hello->class);
    px_list_push_back(&n->accepted, &in->link);
    in->peer = p;
    in->reader.head_bytes_max = PX_FRAME_HEAD_BYTES_MAX;
    in->reader.body_bytes_max = PX_FRAME_BODY_BYTES_MAX;
    p->in[in->class - 1] = in;
    net_lane_hurry(net_peer_lane(p, NET_BULK));
    net_lane_hurry(net_peer_lane(p, NET_URGENT));
}

static int on_hello(struct net_in *in, const struct net_frame_in *frame)
{
    struct net *n = in->net;
    const struct net_hello_ok ok = {.version = NET_PROTOCOL_VERSION,
                                    .from = n->options.id,
                                    .is_empty = n->options.is_empty};
    struct net_hello hello;
    enum net_refusal reason;
    int rc = net_decode_hello(frame, &hello);

    if (rc < 0)
        return rc;
    reason = judge(n, &hello);
    if (reason != 0) {
        n->counters.hellos_refused++;
        note_refused(n, &hello, reason);
        (void)answer(in, net_encode_hello_refused(reason)); /* closed anyway */
        return -ECONNREFUSED;
    }
    rc = answer(in, net_encode_hello_ok(&ok));
    if (rc < 0)
        return rc;
    if (hello.class == NET_ADMIN) {
        leave_strangers(in, NET_ADMIN);
        net_admin_accept(in);
        return 0;
    }
    accept_peer(in, &hello);
    if (n->handler.on_peer_hello != NULL)
        n->handler.on_peer_hello(n->handler.ctx, hello.from, hello.is_empty);
    return 0;
}

/* ---- Frames of a peer: each message must be from whom the hello was ---- */

static int on_raft(struct net_in *in, const struct net_frame_in *frame)
{
    struct net *n = in->net;
    struct raft_msg msg;
    int rc = net_decode_raft(frame, n->entries, &msg);

    if (rc < 0)
        return rc;
    if (msg.from != in->peer->id || msg.to != n->options.id)
        return -EPROTO;
    n->handler.on_raft(n->handler.ctx, &msg);
    return 0;
}

static int on_forward(struct net_in *in, const struct net_frame_in *frame)
{
    struct net *n = in->net;
    struct net_forward f;
    int rc = net_decode_forward(frame, &f);

    if (rc < 0)
        return rc;
    if (f.from != in->peer->id)
        return -EPROTO;
    n->handler.on_forward(n->handler.ctx, &f);
    return 0;
}

static int on_forward_refused(struct net_in *in,
                              const struct net_frame_in *frame)
{
    struct net *n = in->net;
    struct net_forward_refused f;
    int rc = net_decode_forward_refused(frame, &f);

    if (rc < 0)
        return rc;
    if (f.from != in->peer->id)
        return -EPROTO;
    n->handler.on_forward_refused(n->handler.ctx, &f);
    return 0;
}

static int on_snapshot(struct net_in *in, const struct net_frame_in *frame)
{
    struct net *n = in->net;
    struct net_snapshot s;
    int rc = net_decode_snapshot(frame, &s);

    if (rc < 0)
        return rc;
    if (s.from != in->peer->id)
        return -EPROTO;
    n->handler.on_snapshot(n->handler.ctx, &s);
    return 0;
}

static int on_peer_frame(struct net_in *in, const struct net_frame_in *frame)
{
    px_assert(!net_peer_is_over(in->peer)); /* L3 */
    in->peer->frames_in++;
    in->peer->bytes_in += frame->bytes;
    switch (frame->type) {
    case NET_FRAME_RAFT:
        return on_raft(in, frame);
    case NET_FRAME_FORWARD:
        return on_forward(in, frame);
    case NET_FRAME_FORWARD_REFUSED:
        return on_forward_refused(in, frame);
    case NET_FRAME_SNAPSHOT:
        return on_snapshot(in, frame);
    case NET_FRAME_HELLO:
    case NET_FRAME_HELLO_OK:
    case NET_FRAME_HELLO_REFUSED:
    case NET_FRAME_ADMIN:
    case NET_FRAME_ADMIN_REPLY:
        break;
    }
    return -EPROTO;
}

static int on_frame(void *ctx, const struct net_frame_in *frame)
{
    struct net_in *in = ctx;

    if (is_closing(in)) /* by the handler, while it had the frame before */
        return -ECANCELED;
    if (in->peer != NULL)
        return on_peer_frame(in, frame);
    if (in->is_accepted)
        return net_admin_on_frame(in, frame);
    return frame->type == NET_FRAME_HELLO ? on_hello(in, frame) : -EPROTO;
}

/* ---- Reading ---- */

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
    struct net_in *in = handle->data;

    (void)suggested;
    *room = net_reader_room(&in->reader);
}

static void on_bad(struct net_in *in)
{
    in->net->counters.frames_bad++;
    if (in->peer != NULL)
        px_note(PX_NOTE_WARN, "net: bad frame from peer=%s, closing",
                in->peer->name);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *room)
{
    struct net_in *in = stream->data;
    int rc = (int)count;

    (void)room;
    if (count > 0)
        rc = net_reader_advance(&in->reader, (size_t)count);
    if (rc >= 0)
        return;
    if (rc == -EPROTO)
        on_bad(in);
    net_in_close(in);
}

/* ---- Accepting ---- */

static void on_hello_timer(uv_timer_t *timer)
{
    struct net *n = timer->data;

    while (!px_list_empty(&n->strangers)) {
        struct net_in *oldest =
            px_list_entry(n->strangers.next, struct net_in, link);

        if (oldest->deadline_ms > uv_now(n->options.loop))
            break;
        net_in_close(oldest);
    }
    if (n->is_accept_late)
        accept_one(n);
    arm_hello_timer(n);
}

static int in_start(struct net_in *in)
{
    uv_os_fd_t fd;
    int rc = net_reader_init(&in->reader, CHUNK_BYTES, on_frame, in);

    if (rc == 0)
        rc = uv_fileno((uv_handle_t *)&in->tcp, &fd);
    if (rc < 0)
        return rc;
    net_socket_tune(fd, in->net->options.dial_timeout);
    return uv_read_start((uv_stream_t *)&in->tcp, on_room, on_read);
}

static void accept_one(struct net *n)
{
    struct net_in *in = calloc(1, sizeof *in);

    n->is_accept_late = in == NULL;
    if (in == NULL) { /* libuv listens no further until this one is taken */
        arm_hello_timer(n);
        return;
    }
    if (n->stranger_count == NET_CONNECTIONS_IN_MAX)
        net_in_close(px_list_entry(n->strangers.next, struct net_in, link));
    in->net = n;
    in->deadline_ms = uv_now(n->options.loop) + net_ms(n->options.dial_timeout);
    (void)uv_tcp_init(n->options.loop, &in->tcp); /* opens nothing yet */
    in->tcp.data = in;
    net_hold(n);
    px_list_push_back(&n->strangers, &in->link);
    n->stranger_count++;
    if (uv_accept((uv_stream_t *)&n->listener, (uv_stream_t *)&in->tcp) < 0 ||
        in_start(in) < 0)
        net_in_close(in);
    arm_hello_timer(n);
}

static void on_connection(uv_stream_t *listener, int status)
{
    if (status == 0) /* else it was gone before we came to it */
        accept_one(listener->data);
}

int net_listen_open(struct net *n, const char *listen, char *why,
                    size_t why_size)
{
    int fd = -1;
    int rc;

    if (listen != NULL && listen[0] != '\0') {
        rc = net_socket_listen(listen, &fd, why, why_size);
        if (rc < 0)
            return rc;
    }
    (void)uv_timer_init(n->options.loop, &n->hello_timer); /* never fails */
    n->hello_timer.data = n;
    net_hold(n);
    net_admin_open(n);
    if (fd < 0)
        return 0;
    (void)uv_tcp_init(n->options.loop, &n->listener); /* opens nothing yet */
    n->listener.data = n;
    n->is_listening = true;
    net_hold(n);
    rc = uv_tcp_open(&n->listener, fd);
    if (rc < 0) {
        (void)close(fd); /* nothing was written to it */
        return rc;
    }
    n->port = net_socket_port(fd);
    return uv_listen((uv_stream_t *)&n->listener, SOMAXCONN, on_connection);
}

static void on_closed(uv_handle_t *handle)
{
    net_release(handle->data);
}

void net_listen_close(struct net *n)
{
    close_all(&n->strangers);
    close_all(&n->accepted);
    close_all(&n->admins);
    net_admin_close(n);
    if (n->is_listening)
        uv_close((uv_handle_t *)&n->listener, on_closed);
    uv_close((uv_handle_t *)&n->hello_timer, on_closed);
}
