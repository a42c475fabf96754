/* What comes to a port of a node from anybody: HTTP, gossip's connections, and
 * those of peers and admins. On real sockets, within one loop.
 *
 *   byte 0   bits 0-2: 0 HTTP, 1 gossip, 2 a stranger's connection to the
 *            others' port, 3 a peer's, 4 an admin's, whose hello was accepted;
 *            bit 3: magic and checksum of each frame are put right first
 *            bits 4-7: how much is sent at a time
 *   the rest the stream
 *
 * Whatever comes, the connection ends when its sender has ended it; nobody is
 * heard as another than who said hello; and the next one who comes is served,
 * which fails where connections are kept.
 * Run as
 *   fuzz_socket -max_len=4096 CORPUS_DIR */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/note.h"
#include "gossip/udp.h"
#include "net/codec.h"
#include "net/http.h"
#include "tests/fuzz/frames.h"

#define CLUSTER UINT64_C(0xfeedfacecafebeef)
#define SELF 1u
#define PEER 2u
#define ELECTION (200 * PX_NS_PER_MS)
#define GOSSIP_ADDR (INADDR_LOOPBACK + (UINT32_C(126) << 16))
#define TIMEOUT (60 * PX_NS_PER_S) /* none runs out */
#define TURNS_MAX 100000u
#define TURNS_ENOUGH 8u /* for what is to be said to be said */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uv_loop_t loop;
static struct http *http;
static struct swim_udp *gossip;
static struct net *net;

/* ---- The node ---- */

static char *on_status(void *ctx)
{
    (void)ctx; /* there is one node */
    return strdup("{}");
}

static char *on_health(void *ctx, bool *is_healthy_out)
{
    (void)ctx; /* likewise */
    *is_healthy_out = true;
    return strdup("{}");
}

static void on_raft(void *ctx, const struct raft_msg *msg)
{
    (void)ctx; /* likewise */
    px_assert(msg->from == PEER && msg->to == SELF);
}

static void on_forward(void *ctx, const struct net_forward *f)
{
    (void)ctx; /* likewise */
    px_assert(f->from == PEER);
}

static void on_forward_refused(void *ctx, const struct net_forward_refused *f)
{
    (void)ctx; /* likewise */
    px_assert(f->from == PEER);
}

static void on_snapshot(void *ctx, const struct net_snapshot *s)
{
    (void)ctx; /* likewise */
    px_assert(s->from == PEER);
}

static void on_peer_change(void *ctx, raft_id peer)
{
    (void)ctx; /* likewise */
    px_assert(peer == PEER);
}

/* The longest answer there is. */
static void on_admin(void *ctx, uint64_t token, const struct net_admin *a)
{
    static struct net_admin_reply reply;

    (void)ctx; /* likewise */
    reply = (struct net_admin_reply){.count = NET_ADMIN_MEMBERS_MAX};
    for (size_t i = 0; i < reply.count; i++) {
        (void)strcpy(reply.list[i].name, a->name);       /* of one size */
        (void)strcpy(reply.list[i].address, a->address); /* likewise */
    }
    net_admin_reply(net, token, &reply);
}

static px_ns now(void *ctx)
{
    (void)ctx; /* likewise */
    return px_now();
}

static void on_event(void *ctx, const struct swim_event *event)
{
    (void)ctx; /* likewise */
    (void)event;
}

static void on_found(void *ctx, struct swim_about *about)
{
    (void)ctx; /* likewise */
    (void)about;
}

static void on_reserve(void *ctx, swim_incarnation incarnation)
{
    (void)ctx; /* likewise */
    swim_udp_reserved(gossip, incarnation);
}

static void on_left(void *ctx)
{
    (void)ctx; /* likewise */
}

static void open_gossip(void)
{
    const struct swim_udp_options o = {
        .loop = &loop,
        .bind_addr = "127.126.0.1", /* it asks that one's ports */
        .swim =
            {.id = "node-1",
             .label = "fuzz",
             .about = {.gossip = {.ip = {[10] = 0xff, 0xff, 127, 126, 0, 1}},
                       .peer = "h:1"},
             .settings = swim_settings_of_tick(TIMEOUT),
             .incarnation = 1},
        .handler = {NULL, now, on_event, on_found, on_reserve, on_left},
        .stream_timeout = TIMEOUT,
    };
    char why[256];

    px_assert(swim_udp_open(&o, &gossip, why, sizeof why) == 0);
}

static void open_net(void)
{
    const struct net_options o = {
        .loop = &loop,
        .id = SELF,
        .name = "node-1",
        .cluster = CLUSTER,
        .listen = "127.0.0.1:0",
        .election = ELECTION,
        .dial_timeout = TIMEOUT,
        .redial_min = TIMEOUT,
        .redial_max = TIMEOUT,
        .admin_timeout = TIMEOUT,
    };
    const struct net_handler handler = {
        .on_raft = on_raft,
        .on_forward = on_forward,
        .on_forward_refused = on_forward_refused,
        .on_snapshot = on_snapshot,
        .on_peer_up = on_peer_change,
        .on_peer_down = on_peer_change,
        .on_admin = on_admin,
    };
    char why[256];

    px_assert(net_open(&o, &handler, &net, why, sizeof why) == 0);
    px_assert(net_add_peer(net, PEER, "node-2", NULL) == 0);
}

static void open_http(void)
{
    const struct http_handler handler = {NULL, on_status, on_health};
    char why[256];

    px_assert(
        http_open(&loop, "127.0.0.1:0", &handler, &http, why, sizeof why) == 0);
}

/* ---- Who comes ---- */

struct client {
    int fd;
    uint8_t answer[256]; /* its beginning */
    size_t used;
    bool is_ended;
};

/* From another address each time: a port is not free again at once. */
static void client_open(struct client *c, uint32_t to, uint16_t port)
{
    static uint32_t count;
    const uint32_t from = INADDR_LOOPBACK + 1 + count++ % (UINT32_C(1) << 20);
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(from)};

    *c = (struct client){
        .fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    px_assert(c->fd >= 0);
    px_assert(bind(c->fd, (struct sockaddr *)&addr, sizeof addr) == 0);
    addr.sin_addr.s_addr = htonl(to);
    addr.sin_port = htons(port);
    px_assert(connect(c->fd, (struct sockaddr *)&addr, sizeof addr) == 0 ||
              errno == EINPROGRESS);
}

static void client_turn(struct client *c)
{
    uint8_t bytes[4096];
    ssize_t n;

    (void)uv_run(&loop, UV_RUN_NOWAIT);
    n = recv(c->fd, bytes, sizeof bytes, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    c->is_ended = n <= 0;
    for (ssize_t i = 0; i < n && c->used < sizeof c->answer; i++)
        c->answer[c->used++] = bytes[i];
}

static void client_send(struct client *c, const uint8_t *data, size_t size,
                        size_t step)
{
    while (size > 0 && !c->is_ended) {
        const ssize_t n =
            send(c->fd, data, size < step ? size : step, MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN)
            return; /* it was closed */
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
        client_turn(c);
    }
}

static void client_send_frame(struct client *c, struct net_frame *f)
{
    px_assert(f != NULL);
    client_send(c, f->lead, f->lead_bytes, f->lead_bytes);
    net_frame_free(f);
}

static void client_await(struct client *c, size_t bytes)
{
    for (unsigned i = 0; !c->is_ended && c->used < bytes; i++) {
        px_assert(i < TURNS_MAX);
        client_turn(c);
    }
}

static void client_end(struct client *c)
{
    (void)shutdown(c->fd, SHUT_WR); /* it may be closed by now */
    client_await(c, SIZE_MAX);
    (void)close(c->fd); /* nothing is asked any more */
}

/* Half an end, with bytes before it, is nothing that libmicrohttpd sees before
 * the idle time is over. */
static void client_reset(struct client *c)
{
    const struct linger none = {.l_onoff = 1};

    for (unsigned i = 0; i < TURNS_ENOUGH; i++)
        client_turn(c);
    px_assert(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none) ==
              0);
    (void)close(c->fd); /* nothing is asked any more */
}

static void greet(struct client *c, enum net_class class)
{
    struct net_hello hello = {
        .version = NET_PROTOCOL_VERSION, .class = class, .name = "node-2"};

    if (class != NET_ADMIN) {
        hello.cluster = CLUSTER;
        hello.from = PEER;
        hello.to = SELF;
        hello.election = ELECTION;
    }
    client_send_frame(c, net_encode_hello(&hello));
    client_await(c, NET_FRAME_HEADER_BYTES);
    px_assert(c->used >= NET_FRAME_HEADER_BYTES && !c->is_ended);
}

/* ---- Each port ---- */

static void check_http(void)
{
    static const char question[] = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    static const char answer[] = "HTTP/1.1 200 ";
    struct client c;

    client_open(&c, INADDR_LOOPBACK, http_port(http));
    client_send(&c, (const uint8_t *)question, sizeof question - 1,
                sizeof question);
    client_await(&c, sizeof answer - 1);
    px_assert(memcmp(c.answer, answer, sizeof answer - 1) == 0);
    client_reset(&c);
}

static void fuzz_http(const uint8_t *data, size_t size, size_t step)
{
    struct client c;

    client_open(&c, INADDR_LOOPBACK, http_port(http));
    client_send(&c, data, size, step);
    client_reset(&c);
    px_assert(c.used < 7 || memcmp(c.answer, "HTTP/1.", 7) == 0);
    px_assert(c.used < 12 || memcmp(c.answer + 9, "500", 3) != 0);
    check_http();
}

static void fuzz_gossip(const uint8_t *data, size_t size, size_t step)
{
    struct client c;

    client_open(&c, GOSSIP_ADDR, swim_udp_port(gossip));
    client_send(&c, data, size, step);
    client_end(&c);
    swim_check((void *)(uintptr_t)swim_udp_swim(gossip)); /* remembers */
}

static void check_net(void)
{
    struct client c;

    client_open(&c, INADDR_LOOPBACK, net_port(net));
    greet(&c, NET_ADMIN);
    client_end(&c);
}

static void fuzz_net(unsigned who, const uint8_t *data, size_t size,
                     size_t step)
{
    struct client c;

    client_open(&c, INADDR_LOOPBACK, net_port(net));
    if (who != 2)
        greet(&c, who == 4 ? NET_ADMIN : NET_BULK);
    client_send(&c, data, size, step);
    client_end(&c);
    check_net();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    px_note_init(PX_NOTE_ERROR, "fuzz");
    px_assert(uv_loop_init(&loop) == 0);
    open_http();
    open_gossip();
    open_net();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const unsigned who = size > 0 ? data[0] % 8u : 0;
    const size_t step = size > 0 ? 1 + (data[0] >> 4) * 64u : 1;
    uint8_t *stream;

    if (size < 2)
        return 0;
    stream = frames_copy(data + 1, size - 1, (data[0] & 8u) != 0);
    if (who == 0)
        fuzz_http(stream, size - 1, step);
    else if (who == 1)
        fuzz_gossip(stream, size - 1, step);
    else if (who <= 4)
        fuzz_net(who, stream, size - 1, step);
    free(stream);
    return 0;
}
