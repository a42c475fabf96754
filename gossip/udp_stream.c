/* Connections: one packet there, one back, the end.
 *
 *   dialled    connect ─▶ write ─▶ read the answer ─▶ step ─▶ close
 *   accepted   read ─▶ step ─▶ write the answer, if there is one ─▶ close
 *
 * What goes wrong closes it, too, and so does the time: nobody is kept waiting
 * for long, and no one can hold what a member has. What came till then and is no
 * packet, for its head or because it ends too early, is the core's to count. Not
 * so without memory, or when all are closed, or when a step dials and the oldest
 * that was dialled makes way: the core can't be told in the midst of a step (U1). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gossip/udp_core.h"

static void on_closed(uv_handle_t *handle)
{
    struct swim_stream *t = handle->data;
    struct swim_udp *u = t->udp;

    free(t->out);
    free(t->in);
    free(t);
    swim_udp_release(u);
}

static void stream_close(struct swim_stream *t)
{
    if (uv_is_closing((uv_handle_t *)&t->tcp))
        return;
    px_list_remove(&t->link);
    *(t->is_dialled ? &t->udp->out_count : &t->udp->in_count) -= 1;
    uv_close((uv_handle_t *)&t->tcp, on_closed);
}

void swim_stream_close_all(struct swim_udp *u)
{
    while (!px_list_empty(&u->streams))
        stream_close(px_list_entry(u->streams.next, struct swim_stream, link));
}

/* For the other's doing: what it has sent of a packet, if that is not all of
 * one, goes to the core, which finds it malformed. */
static void stream_fail(struct swim_stream *t)
{
    struct swim_in in = {.type = SWIM_IN_PACKET};
    const bool is_whole = t->in != NULL && t->in_used == t->in_size;

    in.packet.data = t->in != NULL ? t->in : t->length;
    in.packet.size = t->in_used;
    in.packet.is_stream = true;
    stream_close(t); /* freed in a later turn */
    if (t->in_used > 0 && !is_whole)
        (void)swim_udp_step(t->udp, &in, NULL); /* nothing can be refused */
}

void swim_streams_expire(struct swim_udp *u)
{
    while (!px_list_empty(&u->streams)) {
        struct swim_stream *oldest =
            px_list_entry(u->streams.next, struct swim_stream, link);

        if (oldest->deadline_ms > uv_now(u->loop))
            return;
        stream_fail(oldest);
    }
}

/* The oldest of its kind makes way. Who dials is in a step: U1. */
static void make_room(struct swim_udp *u, bool is_dialled)
{
    if ((is_dialled ? u->out_count : u->in_count) < SWIM_STREAMS_MAX)
        return;
    px_list_for_each (it, &u->streams) {
        struct swim_stream *t = px_list_entry(it, struct swim_stream, link);

        if (t->is_dialled != is_dialled)
            continue;
        if (is_dialled)
            stream_close(t);
        else
            stream_fail(t);
        return; /* the walk ends: it was removed */
    }
}

/* NULL without memory. */
static struct swim_stream *stream_new(struct swim_udp *u, bool is_dialled)
{
    struct swim_stream *t = calloc(1, sizeof *t);

    if (t == NULL)
        return NULL;
    make_room(u, is_dialled);
    t->udp = u;
    t->is_dialled = is_dialled;
    t->deadline_ms = uv_now(u->loop) + u->stream_timeout_ms;
    (void)uv_tcp_init(u->loop, &t->tcp); /* opens nothing yet */
    t->tcp.data = t;
    swim_udp_hold(u);
    *(is_dialled ? &u->out_count : &u->in_count) += 1;
    px_list_push_back(&u->streams, &t->link);
    return t;
}

/* ---- Reading ---- */

static void on_whole(struct swim_stream *t)
{
    struct swim_in in = {.type = SWIM_IN_PACKET};

    (void)uv_read_stop((uv_stream_t *)&t->tcp); /* never fails */
    in.packet.data = t->in;
    in.packet.size = t->in_size;
    in.packet.is_stream = true;
    (void)swim_udp_step(t->udp, &in, t); /* -ENOMEM: as if lost */
    if (t->is_dialled || t->out == NULL)
        stream_close(t); /* else once the answer is written */
}

/* Room for the whole packet, once its length is known. */
static int take_length(struct swim_stream *t)
{
    const int bytes = swim_stream_bytes(t->length, sizeof t->length);

    if (bytes < 0)
        return bytes;
    t->in = malloc((size_t)bytes);
    if (t->in == NULL)
        return -ENOMEM;
    t->in_size = (size_t)bytes;
    memcpy(t->in, t->length, sizeof t->length);
    return 0;
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
    struct swim_stream *t = handle->data;

    (void)suggested;
    if (t->in == NULL)
        *room = uv_buf_init((char *)t->length + t->in_used,
                            (unsigned)(sizeof t->length - t->in_used));
    else
        *room = uv_buf_init((char *)t->in + t->in_used,
                            (unsigned)(t->in_size - t->in_used));
}

static void on_read(uv_stream_t *tcp, ssize_t size, const uv_buf_t *room)
{
    struct swim_stream *t = tcp->data;
    int rc = 0;

    (void)room;
    if (size < 0) {
        stream_fail(t);
        return;
    }
    t->in_used += (size_t)size;
    if (t->in == NULL && t->in_used == sizeof t->length)
        rc = take_length(t);
    if (rc == -EPROTO)
        stream_fail(t);
    else if (rc < 0)
        stream_close(t); /* no memory: as if lost */
    else if (t->in != NULL && t->in_used == t->in_size)
        on_whole(t);
}

/* ---- Writing ---- */

static void on_written(uv_write_t *write, int status)
{
    struct swim_stream *t = write->data;

    if (uv_is_closing((uv_handle_t *)&t->tcp))
        return;
    if (status == 0 && t->is_dialled)
        status = uv_read_start((uv_stream_t *)&t->tcp, on_room, on_read);
    if (status < 0 || !t->is_dialled)
        stream_close(t);
}

static int write_out(struct swim_stream *t)
{
    const uv_buf_t buf = uv_buf_init((char *)t->out, (unsigned)t->out_size);

    t->write.data = t;
    return uv_write(&t->write, (uv_stream_t *)&t->tcp, &buf, 1, on_written);
}

static int copy_out(struct swim_stream *t, const uint8_t *data, size_t size)
{
    t->out = malloc(size);
    if (t->out == NULL)
        return -ENOMEM;
    memcpy(t->out, data, size);
    t->out_size = size;
    return 0;
}

void swim_stream_answer(struct swim_stream *t, const uint8_t *data, size_t size)
{
    if (t->out != NULL || uv_is_closing((uv_handle_t *)&t->tcp))
        return; /* one answer to one question */
    if (copy_out(t, data, size) < 0 || write_out(t) < 0)
        stream_close(t);
}

/* ---- Beginning ---- */

static void on_connected(uv_connect_t *connect, int status)
{
    struct swim_stream *t = connect->data;

    if (uv_is_closing((uv_handle_t *)&t->tcp))
        return;
    if (status < 0 || write_out(t) < 0)
        stream_close(t);
}

void swim_stream_dial(struct swim_udp *u, const struct swim_addr *to,
                      const uint8_t *data, size_t size)
{
    struct sockaddr_storage address;
    struct swim_stream *t;

    if (u->is_closing || !swim_addr_to(to, u->family, &address))
        return;
    t = stream_new(u, true);
    if (t == NULL)
        return;
    t->connect.data = t;
    if (copy_out(t, data, size) < 0 ||
        uv_tcp_connect(&t->connect, &t->tcp, (struct sockaddr *)&address,
                       on_connected) < 0)
        stream_close(t);
}

/* Somebody reached us here: if we don't know our own address, this is one. */
static void note_own_address(struct swim_stream *t)
{
    struct sockaddr_storage address;
    struct swim_addr found;
    int size = sizeof address;

    if (!swim_udp_is_lost(t->udp) ||
        uv_tcp_getsockname(&t->tcp, (struct sockaddr *)&address, &size) < 0)
        return;
    found = swim_addr_of((struct sockaddr *)&address);
    if (!swim_addr_is_loopback(&found))
        swim_udp_found_at(t->udp, &found);
}

void swim_stream_accept(struct swim_udp *u)
{
    struct swim_stream *t = stream_new(u, false);

    u->is_accept_late = t == NULL;
    if (t == NULL)
        return; /* libuv listens no further until this one is taken */
    if (uv_accept((uv_stream_t *)&u->listener, (uv_stream_t *)&t->tcp) < 0) {
        stream_close(t);
        return;
    }
    note_own_address(t);
    if (uv_read_start((uv_stream_t *)&t->tcp, on_room, on_read) < 0)
        stream_close(t);
}
