#include "tests/unit/cli/fake_node.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
/* cmocka.h wants some of the above before it. */
#include <cmocka.h>

#include "base/assert.h"
#include "net/codec.h"
#include "net/reader.h"

/* Nobody waits longer than a stuck test may. */
#define PATIENCE_MS 20000

struct fake_node {
    int listen;
    int stop; /* readable: end */
    pthread_t thread;
    const struct fake_act *acts;
    size_t count;
    char address[64];
    size_t connections;
    struct net_admin question;
};

/* One frame that came. */
struct heard {
    enum net_frame_type type;
    struct net_hello hello;
    struct net_admin question;
    bool is_there;
};

static int hear(void *ctx, const struct net_frame_in *frame)
{
    struct heard *h = ctx;
    int rc = -EPROTO;

    if (frame->type == NET_FRAME_HELLO)
        rc = net_decode_hello(frame, &h->hello);
    else if (frame->type == NET_FRAME_ADMIN)
        rc = net_decode_admin(frame, &h->question);
    h->type = frame->type;
    h->is_there = rc == 0;
    return rc;
}

/* false: the test ends, or the other side has gone. */
static bool wait_readable(const struct fake_node *n, int fd)
{
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN},
                          {.fd = n->stop, .events = POLLIN}};

    return poll(p, 2, PATIENCE_MS) > 0 && p[1].revents == 0;
}

static bool next_frame(const struct fake_node *n, int fd, struct net_reader *r,
                       struct heard *h)
{
    h->is_there = false;
    while (!h->is_there) {
        uv_buf_t room = net_reader_room(r);
        ssize_t got;

        if (!wait_readable(n, fd))
            return false;
        got = recv(fd, room.base, room.len, 0);
        if (got <= 0 || net_reader_advance(r, (size_t)got) < 0)
            return false;
    }
    return true;
}

static void put(int fd, struct net_frame *f)
{
    px_assert(f != NULL);
    (void)send(fd, f->lead, f->lead_bytes, MSG_NOSIGNAL); /* or it has gone */
    net_frame_free(f);
}

static void wait_for_end(const struct fake_node *n, int fd)
{
    char byte;

    while (wait_readable(n, fd) && recv(fd, &byte, 1, 0) > 0)
        ;
}

static void take_question(struct fake_node *n, const struct fake_act *act,
                          int fd, struct net_reader *r)
{
    const struct net_hello_ok ok = {.version = NET_PROTOCOL_VERSION, .from = 1};
    struct heard h;

    r->ctx = &h;
    put(fd, net_encode_hello_ok(&ok));
    r->head_bytes_max = NET_ADMIN_HEAD_BYTES_MAX;
    if (!next_frame(n, fd, r, &h) || h.type != NET_FRAME_ADMIN)
        return;
    n->question = h.question;
    if (act->step == FAKE_ANSWER)
        put(fd, net_encode_admin_reply(act->reply));
    if (act->step != FAKE_CLOSE_ASKED)
        wait_for_end(n, fd);
}

static void play(struct fake_node *n, const struct fake_act *act, int fd)
{
    struct net_reader r;
    struct heard h;

    px_assert(net_reader_init(&r, 4096, hear, &h) == 0);
    /* What is no admin's hello gets no answer, and the test fails by that. */
    if (!next_frame(n, fd, &r, &h) || h.hello.class != NET_ADMIN ||
        h.hello.from != 0 || h.hello.version != NET_PROTOCOL_VERSION)
        goto out;
    switch (act->step) {
    case FAKE_REFUSE:
        put(fd, net_encode_hello_refused(act->reason));
        wait_for_end(n, fd);
        break;
    case FAKE_CLOSE_HELLO:
        break;
    case FAKE_GARBAGE:
        (void)send(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, MSG_NOSIGNAL);
        wait_for_end(n, fd);
        break;
    case FAKE_ANSWER:
    case FAKE_CLOSE_ASKED:
    case FAKE_SILENT:
        take_question(n, act, fd, &r);
        break;
    }
out:
    net_reader_fini(&r);
}

static void *serve(void *arg)
{
    struct fake_node *n = arg;

    while (wait_readable(n, n->listen)) {
        int fd = accept4(n->listen, NULL, NULL, SOCK_CLOEXEC);
        size_t act = n->connections < n->count ? n->connections : n->count - 1;

        if (fd < 0)
            continue;
        n->connections++;
        play(n, &n->acts[act], fd);
        (void)close(fd); /* all was said */
    }
    return NULL;
}

/* A socket bound to a port of its own. */
static int bind_somewhere(char address[64])
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    (void)snprintf(address, 64, "127.0.0.1:%u", ntohs(at.sin_port));
    return fd;
}

struct fake_node *fake_node_start(const struct fake_act *acts, size_t count)
{
    struct fake_node *n = calloc(1, sizeof *n);

    assert_non_null(n);
    n->acts = acts;
    n->count = count;
    n->listen = bind_somewhere(n->address);
    assert_int_equal(listen(n->listen, 8), 0);
    n->stop = eventfd(0, EFD_CLOEXEC);
    assert_true(n->stop >= 0);
    assert_int_equal(pthread_create(&n->thread, NULL, serve, n), 0);
    return n;
}

const char *fake_node_address(const struct fake_node *n)
{
    return n->address;
}

size_t fake_node_stop(struct fake_node *n, struct net_admin *question_out)
{
    size_t connections;

    assert_int_equal(eventfd_write(n->stop, 1), 0);
    assert_int_equal(pthread_join(n->thread, NULL), 0);
    (void)close(n->listen);
    (void)close(n->stop);
    if (question_out != NULL)
        *question_out = n->question;
    connections = n->connections;
    free(n);
    return connections;
}

/* Bound and not listening: nobody else takes the port while the test runs. */
void fake_nobody(char address[64])
{
    (void)bind_somewhere(address); /* open until the process ends */
}
