/* See dial.h. A socket never blocks: what waits is poll, and it knows when to
 * stop. */
#include "cli/dial.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/err.h"
#include "net/addr.h"

#define CHUNK_BYTES 4096u
/* Of the addresses of a name, one that is silent leaves time for the next. */
#define CONNECT_MAX (3 * PX_NS_PER_S)

/* 0: @events, or an error that the next call meets. */
static int wait_until(int fd, short events, px_ns deadline)
{
    struct pollfd p = {.fd = fd, .events = events};

    for (;;) {
        px_ns now = px_now();
        struct timespec left;
        int n;

        if (now >= deadline)
            return -ETIMEDOUT;
        left.tv_sec = (time_t)((deadline - now) / PX_NS_PER_S);
        left.tv_nsec = (long)((deadline - now) % PX_NS_PER_S);
        n = ppoll(&p, 1, &left, NULL);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
}

/* ---- Connecting ---- */

static int finish_connect(int fd, px_ns deadline)
{
    int error = 0;
    socklen_t size = sizeof error;
    int rc = wait_until(fd, POLLOUT, deadline);

    if (rc < 0)
        return rc;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return -errno;
    return -error;
}

/* A socket, or -errno. */
static int connect_one(const struct addrinfo *a, px_ns deadline)
{
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    a->ai_protocol);
    int rc = 0;

    if (fd < 0)
        return -errno;
    if (connect(fd, a->ai_addr, a->ai_addrlen) < 0)
        rc = errno == EINPROGRESS ? finish_connect(fd, deadline) : -errno;
    if (rc == 0)
        return fd;
    (void)close(fd); /* nothing was sent */
    return rc;
}

static int connect_any(const struct addrinfo *list, px_ns deadline)
{
    int rc = -ENOENT;

    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
        px_ns until = px_now() + CONNECT_MAX;

        rc = connect_one(a, until < deadline ? until : deadline);
        if (rc >= 0)
            break;
    }
    return rc;
}

static int lookup(const struct net_addr *addr, struct addrinfo **list_out)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICSERV};
    const char *host = addr->host[0] != '\0' ? addr->host : NULL; /* loopback */
    char port[8];

    (void)snprintf(port, sizeof port, "%u", addr->port); /* it fits */
    return getaddrinfo(host, port, &hints, list_out);
}

int dial_open(struct dial *d, const char *address, px_ns deadline,
              struct px_text *why)
{
    struct addrinfo *list;
    struct net_addr addr;
    int rc = net_addr_parse(address, &addr);

    *d = (struct dial){.fd = -1, .deadline = deadline};
    if (rc < 0) {
        px_text_add(why, "%s is no address", address);
        return rc;
    }
    rc = lookup(&addr, &list);
    if (rc != 0) {
        px_text_add(why, "%s: %s", address, gai_strerror(rc));
        return -ENOENT;
    }
    rc = connect_any(list, deadline);
    freeaddrinfo(list);
    if (rc < 0) {
        px_text_add(why, "no connection with %s: %s", address, px_strerror(rc));
        return rc;
    }
    d->fd = rc;
    return 0;
}

void dial_close(struct dial *d)
{
    if (d->fd >= 0)
        (void)close(d->fd); /* who is asked sees it, or has answered */
    d->fd = -1;
    net_reader_fini(&d->reader);
}

/* ---- Frames ---- */

static int send_all(struct dial *d, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(d->fd, data, size, MSG_NOSIGNAL);
        int rc = 0;

        if (n >= 0) {
            data += n;
            size -= (size_t)n;
        } else if (errno == EAGAIN) {
            rc = wait_until(d->fd, POLLOUT, d->deadline);
        } else if (errno != EINTR) {
            rc = -errno;
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

int dial_send(struct dial *d, struct net_frame *frame)
{
    int rc;

    if (frame == NULL)
        return -ENOMEM;
    px_assert(frame->slice_count == 0); /* what is asked has no body */
    rc = send_all(d, frame->lead, frame->lead_bytes);
    net_frame_free(frame);
    return rc;
}

static int on_frame(void *ctx, const struct net_frame_in *frame)
{
    struct dial *d = ctx;

    if (d->is_taken) /* nobody answers twice */
        return -EPROTO;
    d->is_taken = d->take(d->ctx, frame);
    return d->is_taken ? 0 : -EPROTO;
}

static int receive_some(struct dial *d)
{
    uv_buf_t room = net_reader_room(&d->reader);
    ssize_t n = recv(d->fd, room.base, room.len, 0);

    if (n > 0)
        return net_reader_advance(&d->reader, (size_t)n);
    if (n == 0)
        return -ECONNRESET;
    if (errno == EAGAIN)
        return wait_until(d->fd, POLLIN, d->deadline);
    return errno == EINTR ? 0 : -errno;
}

int dial_receive(struct dial *d, uint32_t head_bytes_max,
                 bool (*take)(void *ctx, const struct net_frame_in *frame),
                 void *ctx)
{
    int rc = 0;

    if (d->reader.chunk == NULL)
        rc = net_reader_init(&d->reader, CHUNK_BYTES, on_frame, d);
    d->reader.head_bytes_max = head_bytes_max;
    d->take = take;
    d->ctx = ctx;
    d->is_taken = false;
    while (rc == 0 && !d->is_taken)
        rc = receive_some(d);
    return rc;
}
