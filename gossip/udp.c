/* The sockets of one member, its timer, and what each step asks for.
 *
 *   datagram, connection, timer, the caller ─▶ swim_step ─▶ packets: sent now
 *                                                       ─▶ events, seeds
 *                                                       ─▶ on_reserve, on_left
 *
 * Datagrams are sent at once or not at all: a queue would only make them
 * late. */
#include "gossip/udp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"
#include "gossip/packet_format.h"
#include "gossip/udp_core.h"

void swim_udp_hold(struct swim_udp *u)
{
    u->handles++;
}

void swim_udp_release(struct swim_udp *u)
{
    px_assert(u->handles > 0);
    if (--u->handles > 0)
        return;
    px_assert(u->is_closing);
    if (u->closed != NULL)
        u->closed(u->closed_ctx);
    swim_free(u->swim);
    free(u);
}

/* ---- A step ---- */

static void send_datagram(struct swim_udp *u, const struct swim_packet_out *p)
{
    const uv_buf_t buf =
        uv_buf_init((char *)(uintptr_t)p->data, (unsigned)p->size);
    struct sockaddr_storage to;

    if (swim_addr_to(&p->to, u->family, &to)) /* else it is lost */
        (void)uv_udp_try_send(&u->udp, &buf, 1, (struct sockaddr *)&to);
}

static void send_all(struct swim_udp *u, const struct swim_out *out,
                     struct swim_stream *asker)
{
    for (size_t i = 0; i < out->packet_count; i++) {
        const struct swim_packet_out *p = &out->packets[i];

        if (p->via != SWIM_ANSWER && swim_udp_is_lost(u) &&
            !swim_addr_is_loopback(&p->to)) {
            u->kept_from = p->to; /* U4: as if lost */
            continue;
        }
        switch (p->via) {
        case SWIM_UDP:
            send_datagram(u, p);
            break;
        case SWIM_DIAL:
            swim_stream_dial(u, &p->to, p->data, p->size);
            break;
        case SWIM_ANSWER:
            px_assert(asker != NULL); /* only a stream is answered so */
            swim_stream_answer(asker, p->data, p->size);
            break;
        }
    }
}

/* The way to @other, which is elsewhere, shows where it finds us. */
static void look_towards(struct swim_udp *u, const struct swim_addr *other)
{
    struct swim_addr own;

    if (swim_addr_towards(other, &own) == 0 && !swim_addr_is_loopback(&own))
        swim_udp_found_at(u, &own);
}

static void on_timer(uv_timer_t *timer)
{
    struct swim_in in = {.type = SWIM_IN_TICK};

    (void)swim_udp_step(timer->data, &in, NULL); /* nothing can be refused */
}

/* A little late rather than a little early: that would be a turn for nothing.
 * Never at once: libuv would call us again and again, and nobody else. */
static void arm(struct swim_udp *u, px_ns deadline)
{
    const px_ns now = u->handler.now(u->handler.ctx);
    const px_ns wait = deadline > now ? deadline - now : 0;

    if (deadline == PX_NS_NEVER)
        (void)uv_timer_stop(&u->timer); /* never fails */
    else /* fails while closing, when there is nothing to wait for */
        (void)uv_timer_start(&u->timer, on_timer, wait / PX_NS_PER_MS + 1, 0);
}

int swim_udp_step(struct swim_udp *u, struct swim_in *in,
                  struct swim_stream *asker)
{
    struct swim_out out;
    int rc;

    px_assert(!u->is_stepping); /* U1 */
    if (u->is_closing)
        return 0; /* a disk may end after us */
    u->is_stepping = true;
    in->now = u->handler.now(u->handler.ctx);
    rc = swim_step(u->swim, in, &out);
    send_all(u, &out, asker);
    for (size_t i = 0; i < out.event_count; i++)
        u->handler.on_event(u->handler.ctx, &out.events[i]);
    u->is_stepping = false;
    arm(u, out.deadline);
    if (out.wants_seeds)
        swim_seeds_look_up(u);
    if (out.reserve > 0)
        u->handler.on_reserve(u->handler.ctx, out.reserve);
    if (out.is_left && !u->is_left) {
        u->is_left = true;
        u->handler.on_left(u->handler.ctx);
    }
    if (u->kept_from.port != 0 && in->type != SWIM_IN_SELF) { /* no circle */
        const struct swim_addr other = u->kept_from;

        u->kept_from.port = 0;
        look_towards(u, &other);
    }
    return rc;
}

/* ---- What comes ---- */

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
    struct swim_udp *u = handle->data;

    (void)suggested;
    *room = uv_buf_init((char *)u->datagram, sizeof u->datagram);
}

/* Before it is answered with what we say of ourselves. Whoever speaks no gossip
 * may be on a way that none of ours takes. */
static void note_own_address(struct swim_udp *u, const struct swim_in *in)
{
    struct swim_reader r;

    if (swim_udp_is_lost(u) && !swim_addr_is_loopback(&in->packet.from) &&
        swim_read_packet(&r, in->packet.data, in->packet.size) == 0)
        look_towards(u, &in->packet.from);
}

static void on_datagram(uv_udp_t *udp, ssize_t size, const uv_buf_t *room,
                        const struct sockaddr *from, unsigned flags)
{
    struct swim_in in = {.type = SWIM_IN_PACKET};

    (void)room;
    (void)flags; /* one that was cut is longer than any sound one */
    if (size < 0 || from == NULL)
        return; /* an error of an earlier one; or nothing more to read */
    in.packet.data = ((struct swim_udp *)udp->data)->datagram;
    in.packet.size = (size_t)size;
    in.packet.from = swim_addr_of(from);
    note_own_address(udp->data, &in);
    (void)swim_udp_step(udp->data, &in, NULL); /* -ENOMEM: as if lost */
}

static void on_connection(uv_stream_t *listener, int status)
{
    if (status == 0) /* else it was gone before we came to it */
        swim_stream_accept(listener->data);
}

static void on_stream_timer(uv_timer_t *timer)
{
    struct swim_udp *u = timer->data;

    swim_streams_expire(u);
    if (u->is_accept_late)
        swim_stream_accept(u);
}

/* ---- Where others find us ---- */

void swim_udp_found_at(struct swim_udp *u, const struct swim_addr *addr)
{
    struct swim_about about = u->about;

    if (u->is_addr_given || !u->is_any || swim_addr_is_any(addr))
        return;
    memcpy(about.gossip.ip, addr->ip, sizeof about.gossip.ip);
    if (memcmp(&about.gossip, &u->about.gossip, sizeof about.gossip) == 0)
        return;
    u->handler.on_found(u->handler.ctx, &about);
    (void)swim_udp_say(u, &about); /* what it can't use is left out */
}

bool swim_udp_is_lost(const struct swim_udp *u)
{
    return u->is_any && !u->is_addr_given &&
           swim_addr_is_loopback(&u->about.gossip);
}

int swim_udp_say(struct swim_udp *u, const struct swim_about *about)
{
    struct swim_about whole = *about;
    struct swim_in in = {.type = SWIM_IN_SELF, .self = &whole};
    int rc;

    if (about->gossip.port == 0)
        whole.gossip = u->about.gossip;
    rc = swim_udp_step(u, &in, NULL);
    if (rc != -EINVAL)
        u->about = whole;
    return rc;
}

void swim_udp_reserved(struct swim_udp *u, swim_incarnation incarnation)
{
    struct swim_in in = {.type = SWIM_IN_RESERVED, .reserved = incarnation};

    (void)swim_udp_step(u, &in, NULL); /* nothing can be refused */
}

void swim_udp_leave(struct swim_udp *u)
{
    struct swim_in in = {.type = SWIM_IN_LEAVE};

    (void)swim_udp_step(u, &in, NULL); /* nothing can be refused */
}

const struct swim *swim_udp_swim(const struct swim_udp *u)
{
    return u->swim;
}

uint16_t swim_udp_port(const struct swim_udp *u)
{
    return u->bound.port;
}

/* ---- Open and close ---- */

static int copy_seeds(struct swim_udp *u, const struct swim_udp_options *o)
{
    if (o->seed_count > SWIM_SEED_NAMES_MAX || o->known_count > SWIM_KNOWN_MAX)
        return -EINVAL;
    for (size_t i = 0; i < o->known_count; i++)
        u->known[i] = o->known[i];
    u->known_count = o->known_count;
    for (size_t i = 0; i < o->seed_count; i++) {
        if (strlen(o->seeds[i].host) > SEED_HOST_BYTES_MAX)
            return -EINVAL;
        strcpy(u->seeds[i].host, o->seeds[i].host); /* just measured */
        u->seeds[i].port = o->seeds[i].port;
    }
    u->seed_count = o->seed_count;
    return 0;
}

/* Until something better is known: where we listen, or this machine. */
static void set_address(struct swim_udp *u, const struct swim_udp_options *o)
{
    const struct swim_addr loopback = {
        .ip = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
    static const uint8_t none[16];

    u->about = o->swim.about;
    u->is_any = swim_addr_is_any(&u->bound);
    u->is_addr_given = memcmp(u->about.gossip.ip, none, sizeof none) != 0;
    if (!u->is_addr_given)
        u->about.gossip = u->is_any ? loopback : u->bound;
    if (!u->is_addr_given || u->about.gossip.port == 0)
        u->about.gossip.port = u->bound.port;
}

static int new_swim(struct swim_udp *u, const struct swim_udp_options *o)
{
    struct swim_options options = o->swim;

    options.about = u->about;
    options.now = u->handler.now(u->handler.ctx);
    return swim_new(&options, &u->swim);
}

static void on_closed(uv_handle_t *handle)
{
    swim_udp_release(handle->data);
}

/* From here on libuv holds something: what fails has to be closed. */
static int start(struct swim_udp *u, int udp, int tcp)
{
    int rc;

    (void)uv_timer_init(u->loop, &u->timer); /* these open nothing yet */
    (void)uv_timer_init(u->loop, &u->stream_timer);
    (void)uv_udp_init(u->loop, &u->udp);
    (void)uv_tcp_init(u->loop, &u->listener);
    u->timer.data = u->stream_timer.data = u;
    u->udp.data = u->listener.data = u;
    u->handles = 4;
    rc = uv_udp_open(&u->udp, udp);
    if (rc < 0)
        (void)close(udp); /* nothing was written to it */
    if (uv_tcp_open(&u->listener, tcp) < 0) {
        (void)close(tcp); /* likewise */
        rc = -EMFILE;
    }
    if (rc == 0)
        rc = uv_udp_recv_start(&u->udp, on_room, on_datagram);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&u->listener, SOMAXCONN, on_connection);
    if (rc == 0)
        rc = uv_timer_start(&u->stream_timer, on_stream_timer,
                            u->stream_timeout_ms, u->stream_timeout_ms);
    return rc;
}

static void say_why(const struct swim_udp_options *o, int rc, char *why,
                    size_t why_size)
{
    struct px_text text;

    px_text_init(&text, why, why_size);
    if (rc == -EINVAL)
        px_text_add(&text,
                    "gossip can't begin at \"%s\": it has to be an IP address, "
                    "with at most %u seeds",
                    o->bind_addr, SWIM_SEED_NAMES_MAX);
    else
        px_text_add(&text,
                    "gossip can't listen at \"%s\", port %u or the %u "
                    "after it: %s",
                    o->bind_addr, o->bind_port, SWIM_PORTS - 1,
                    px_strerror(rc));
}

/* The first step: the seeds are looked up, or this machine's ports asked. */
static void begin(struct swim_udp *u, uint16_t first_port)
{
    struct swim_in in = {.type = SWIM_IN_TICK};

    if (u->seed_count == 0) {
        swim_seeds_local(u, first_port);
    } else {
        swim_seeds_known(u); /* names may take their time */
        swim_seeds_look_up(u);
    }
    (void)swim_udp_step(u, &in, NULL); /* nothing can be refused */
}

int swim_udp_open(const struct swim_udp_options *options,
                  struct swim_udp **udp_out, char *why, size_t why_size)
{
    struct swim_udp *u = calloc(1, sizeof *u);
    int udp;
    int tcp;
    int rc = -ENOMEM;

    if (u == NULL)
        goto fail;
    u->loop = options->loop;
    u->handler = options->handler;
    u->stream_timeout_ms = options->stream_timeout / PX_NS_PER_MS + 1;
    px_list_init(&u->streams);
    rc = copy_seeds(u, options);
    if (rc == 0)
        rc = swim_addr_parse(options->bind_addr, &u->bound);
    if (rc < 0)
        goto fail;
    u->bound.port = options->bind_port;
    rc = swim_bind(&u->bound, &u->family, &udp, &tcp);
    if (rc < 0)
        goto fail;
    set_address(u, options);
    rc = new_swim(u, options);
    if (rc < 0) {
        (void)close(udp); /* nothing was written to them */
        (void)close(tcp);
        goto fail;
    }
    rc = start(u, udp, tcp);
    if (rc < 0) {
        say_why(options, rc, why, why_size);
        swim_udp_close(u, NULL, NULL);
        return rc;
    }
    *udp_out = u;
    begin(u, options->bind_port != 0 ? options->bind_port : u->bound.port);
    return 0;
fail:
    say_why(options, rc, why, why_size);
    free(u);
    return rc;
}

void swim_udp_close(struct swim_udp *u, void (*closed)(void *ctx), void *ctx)
{
    px_assert(!u->is_closing);
    u->is_closing = true;
    u->closed = closed;
    u->closed_ctx = ctx;
    swim_seeds_cancel(u);
    swim_stream_close_all(u);
    uv_close((uv_handle_t *)&u->timer, on_closed);
    uv_close((uv_handle_t *)&u->stream_timer, on_closed);
    uv_close((uv_handle_t *)&u->udp, on_closed);
    uv_close((uv_handle_t *)&u->listener, on_closed);
}
