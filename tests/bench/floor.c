/* The physical floor of a replicated write through a mount: FUSE in front, a
 * bare quorum behind, and nothing else.
 *
 *   floor follower LOG PORT
 *   floor front LOG MOUNTPOINT PORT...
 *
 *   front                                     each follower
 *     WRITE from the kernel
 *     record to every follower ───────────▶   recv
 *     pwrite + fdatasync                      pwrite + fdatasync
 *     wait for a majority, itself included ◀─ bytes durable so far
 *     fuse_reply_write
 *
 * There is no term, no checksum, no recovery and no state: a log that decides
 * anything has to do at least this much. WRITEs that the kernel holds ready
 * together travel and are flushed together, as any group commit would. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/disk.h"
#include "tests/bench/front.h"

#define FOLLOWERS_MAX 4
#define BATCH_MAX 64 /* records that travel together */
#define CONNECT_TRIES 500
#define CONNECT_PAUSE_US 10000

struct follower {
    int fd;
    uint64_t durable; /* bytes, as it last said */
    char partial[sizeof(uint64_t)];
    size_t partial_bytes;
};

static struct {
    struct disk_log log;
    struct follower followers[FOLLOWERS_MAX];
    int follower_count;
    uint64_t sent; /* bytes, to each follower */
    fuse_req_t waiting[BATCH_MAX];
    size_t sizes[BATCH_MAX];
    char records[BATCH_MAX][DISK_RECORD_BYTES];
    int batch;
} front;

static void die(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct sockaddr_in loopback(const char *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET};

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    return a;
}

static void no_delay(int fd)
{
    int on = 1;

    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        die("TCP_NODELAY");
}

static void send_all(int fd, const void *data, size_t bytes)
{
    const char *p = data;

    while (bytes > 0) {
        ssize_t n = send(fd, p, bytes, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            die("send");
        p += n;
        bytes -= (size_t)n;
    }
}

static int accept_front(const char *port)
{
    struct sockaddr_in a = loopback(port);
    int on = 1;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd;

    if (listener < 0 ||
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(listener, (struct sockaddr *)&a, sizeof a) < 0 ||
        listen(listener, 1) < 0)
        die("listen");
    fd = accept(listener, NULL, NULL);
    if (fd < 0)
        die("accept");
    close(listener);
    no_delay(fd);
    return fd;
}

static int run_follower(const char *path, const char *port)
{
    static char data[BATCH_MAX * DISK_RECORD_BYTES];
    struct disk_log log;
    uint64_t durable = 0;
    int fd;

    if (disk_log_open(&log, path) < 0)
        die(path);
    fd = accept_front(port);
    for (;;) {
        ssize_t n = recv(fd, data, sizeof data, 0);

        if (n == 0)
            return 0;
        if (n < 0)
            die("recv");
        if (disk_log_append(&log, data, (size_t)n) < 0)
            die(path);
        durable += (uint64_t)n;
        send_all(fd, &durable, sizeof durable);
    }
}

static int dial(const char *port)
{
    struct sockaddr_in a = loopback(port);
    int tries;

    for (tries = 0; tries < CONNECT_TRIES; tries++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
            die("socket");
        if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0) {
            no_delay(fd);
            return fd;
        }
        close(fd);
        usleep(CONNECT_PAUSE_US);
    }
    die("connect");
    return -1;
}

/* Takes what the follower has said so far; a number may arrive in pieces. */
static void hear(struct follower *f)
{
    char data[512];
    ssize_t n = recv(f->fd, data, sizeof data, MSG_DONTWAIT);
    ssize_t i;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        die("a follower is gone");
    for (i = 0; i < n; i++) {
        f->partial[f->partial_bytes++] = data[i];
        if (f->partial_bytes == sizeof f->partial) {
            memcpy(&f->durable, f->partial, sizeof f->durable);
            f->partial_bytes = 0;
        }
    }
}

static bool majority_holds_all(void)
{
    int holders = 1; /* ourselves */
    int i;

    for (i = 0; i < front.follower_count; i++)
        holders += front.followers[i].durable >= front.sent;
    return holders > (front.follower_count + 1) / 2;
}

static void wait_for_majority(void)
{
    struct pollfd p[FOLLOWERS_MAX];
    int i;

    for (i = 0; i < front.follower_count; i++)
        hear(&front.followers[i]);
    while (!majority_holds_all()) {
        for (i = 0; i < front.follower_count; i++)
            p[i] =
                (struct pollfd){.fd = front.followers[i].fd, .events = POLLIN};
        if (poll(p, (nfds_t)front.follower_count, -1) < 0 && errno != EINTR)
            die("poll");
        for (i = 0; i < front.follower_count; i++)
            if (p[i].revents != 0)
                hear(&front.followers[i]);
    }
}

static void commit(void)
{
    size_t bytes = (size_t)front.batch * DISK_RECORD_BYTES;
    int i;

    if (front.batch == 0)
        return;
    for (i = 0; i < front.follower_count; i++)
        send_all(front.followers[i].fd, front.records, bytes);
    front.sent += bytes;
    if (disk_log_append(&front.log, front.records, bytes) < 0)
        die("log");
    wait_for_majority();
    for (i = 0; i < front.batch; i++)
        fuse_reply_write(front.waiting[i], front.sizes[i]);
    front.batch = 0;
}

static void on_write(fuse_req_t req, const char *data, size_t bytes)
{
    if (bytes > DISK_RECORD_BYTES) {
        fuse_reply_err(req, EFBIG);
        return;
    }
    memcpy(front.records[front.batch], data, bytes);
    front.waiting[front.batch] = req;
    front.sizes[front.batch] = bytes;
    if (++front.batch == BATCH_MAX)
        commit();
}

/* Takes requests while there are any; then flushes the WRITEs among them. */
static void serve(struct fuse_session *session)
{
    struct pollfd p = {.fd = fuse_session_fd(session), .events = POLLIN};
    struct fuse_buf buf = {.mem = NULL};

    if (fcntl(p.fd, F_SETFL, O_NONBLOCK) < 0)
        die("O_NONBLOCK");
    while (!fuse_session_exited(session)) {
        int n = fuse_session_receive_buf(session, &buf);

        if (n > 0) {
            fuse_session_process_buf(session, &buf);
        } else if (n == -EAGAIN) {
            if (front.batch > 0)
                commit();
            else
                (void)poll(&p, 1, -1); /* EINTR: look whether to exit */
        } else if (n != -EINTR) {
            break;
        }
    }
    commit();
    free(buf.mem);
}

static int run_front(const char *path, const char *mountpoint, int port_count,
                     char **ports)
{
    struct fuse_session *session;
    int i;

    for (i = 0; i < port_count; i++)
        front.followers[i].fd = dial(ports[i]);
    front.follower_count = port_count;
    if (disk_log_open(&front.log, path) < 0)
        die(path);
    session = front_open(mountpoint, on_write);
    if (session == NULL)
        return 1;
    serve(session);
    front_close(session);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "follower") == 0)
        return run_follower(argv[2], argv[3]);
    if (argc >= 4 && argc <= 4 + FOLLOWERS_MAX && strcmp(argv[1], "front") == 0)
        return run_front(argv[2], argv[3], argc - 4, argv + 4);
    fprintf(stderr, "usage: floor follower LOG PORT\n"
                    "       floor front LOG MOUNTPOINT PORT...\n");
    return 2;
}
