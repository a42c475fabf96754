#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/socket.h"

#define WATCHDOG_MS 60000

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void on_watchdog(uv_timer_t *timer)
{
    struct world *w = timer->data;

    w->is_late = true;
}

void world_open(struct world *w)
{
    *w = (struct world){0};
    assert_int_equal(uv_loop_init(&w->loop), 0);
    (void)uv_timer_init(&w->loop, &w->tick);
    (void)uv_timer_init(&w->loop, &w->watchdog);
    w->watchdog.data = w;
    (void)uv_timer_start(&w->tick, on_tick, 1, 1);
    (void)uv_timer_start(&w->watchdog, on_watchdog, WATCHDOG_MS, 0);
}

void world_close(struct world *w)
{
    uv_close((uv_handle_t *)&w->tick, NULL);
    uv_close((uv_handle_t *)&w->watchdog, NULL);
    assert_int_equal(uv_run(&w->loop, UV_RUN_NOWAIT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

void world_run_until(struct world *w, bool (*is_done)(void *ctx), void *ctx)
{
    while (!is_done(ctx)) {
        (void)uv_run(&w->loop, UV_RUN_ONCE);
        if (w->is_late)
            fail_msg("it never came to pass");
    }
}

/* ---- Nets ---- */

static void keep(struct node *node, struct px_slice s)
{
    node->entries_bytes += s.size;
    node->sum += sum_of(s.data, s.size);
    if (node->kept.owner == NULL)
        node->kept = px_slice_ref(s);
}

/* Nobody hears of who was removed, nor after the close. */
static struct node *told(void *ctx, raft_id peer)
{
    struct node *node = ctx;

    assert_non_null(node->net);
    assert_true(net_has_peer(node->net, peer));
    return node;
}

static void act_on(struct node *node, enum seen seen)
{
    if (node->acts_on != seen)
        return;
    node->acts_on = SEEN_NOTHING;
    node->act(node);
}

static void on_raft(void *ctx, const struct raft_msg *msg)
{
    struct node *node = told(ctx, msg->from);

    node->raft_count++;
    node->raft_last = *msg;
    if (msg->type == RAFT_MSG_APPEND) {
        for (size_t i = 0; i < msg->append.count; i++)
            keep(node, msg->append.entries[i].data);
        node->raft_last.append.entries = NULL;
    }
    act_on(node, SEEN_RAFT);
}

static void on_forward(void *ctx, const struct net_forward *f)
{
    struct node *node = told(ctx, f->from);

    node->forward_count++;
    node->forward_last = *f;
    keep(node, f->command);
}

static void on_forward_refused(void *ctx, const struct net_forward_refused *f)
{
    struct node *node = told(ctx, f->from);

    node->forward_refused_count++;
    node->forward_refused_last = *f;
}

static void on_snapshot(void *ctx, const struct net_snapshot *s)
{
    struct node *node = told(ctx, s->from);

    node->snapshot_count++;
    node->snapshot_last = *s;
    keep(node, s->data);
}

static void on_peer_up(void *ctx, raft_id peer)
{
    struct node *node = told(ctx, peer);

    node->up_count++;
    act_on(node, SEEN_UP);
}

static void on_peer_down(void *ctx, raft_id peer)
{
    struct node *node = told(ctx, peer);

    node->down_count++;
    act_on(node, SEEN_DOWN);
}

static enum net_refusal judge(void *ctx, const struct net_hello_info *hello)
{
    struct node *node = ctx;

    assert_non_null(node->net);
    node->judged_count++;
    node->judged_last = *hello;
    node->judged_last.name = NULL;
    return node->verdict;
}

static void on_refused(void *ctx, raft_id peer, enum net_refusal reason)
{
    struct node *node = told(ctx, peer);

    node->refused_count++;
    node->refused_last = reason;
    act_on(node, SEEN_REFUSED);
}

static void on_admin(void *ctx, uint64_t token, const struct net_admin *a)
{
    struct node *node = ctx;

    assert_non_null(node->net);
    assert_true(token > node->token_last); /* L6 */
    node->admin_count++;
    node->admin_last = *a;
    node->token_last = token;
    act_on(node, SEEN_ADMIN);
}

static void on_peer_hello(void *ctx, raft_id peer, bool is_empty)
{
    struct node *node = told(ctx, peer);

    node->hello_count++;
    node->hello_last_is_empty = is_empty;
    act_on(node, SEEN_HELLO);
}

struct net_options node_options(struct world *w, raft_id id)
{
    return (struct net_options){.loop = &w->loop,
                                .id = id,
                                .name = "node",
                                .cluster = CLUSTER,
                                .listen = "127.0.0.1:0",
                                .dial_timeout = 10 * PX_NS_PER_S,
                                .redial_min = PX_NS_PER_MS,
                                .redial_max = 4 * PX_NS_PER_MS};
}

void node_open_with(struct node *node, struct world *w,
                    const struct net_options *options)
{
    const struct net_handler handler = {.ctx = node,
                                        .on_raft = on_raft,
                                        .on_forward = on_forward,
                                        .on_forward_refused =
                                            on_forward_refused,
                                        .on_snapshot = on_snapshot,
                                        .on_peer_up = on_peer_up,
                                        .on_peer_down = on_peer_down,
                                        .judge = judge,
                                        .on_refused = on_refused,
                                        .on_peer_hello = on_peer_hello,
                                        .on_admin = on_admin};
    char why[256];

    *node = (struct node){.world = w, .id = options->id};
    if (net_open(options, &handler, &node->net, why, sizeof why) < 0)
        fail_msg("%s", why);
}

void node_open(struct node *node, struct world *w, raft_id id)
{
    const struct net_options options = node_options(w, id);

    node_open_with(node, w, &options);
}

static void on_closed(void *ctx)
{
    struct node *node = ctx;

    assert_false(node->is_closed);
    node->is_closed = true;
}

static bool is_closed(void *ctx)
{
    return ((struct node *)ctx)->is_closed;
}

void node_close_start(struct node *node)
{
    if (node->net != NULL)
        net_close(node->net, on_closed, node);
    node->net = NULL;
}

void node_close(struct node *node)
{
    node_close_start(node);
    world_run_until(node->world, is_closed, node);
    px_slice_unref(&node->kept);
}

void node_add(struct node *node, raft_id peer, uint16_t port)
{
    char address[64];
    char name[32];

    (void)snprintf(address, sizeof address, "127.0.0.1:%u", (unsigned)port);
    (void)snprintf(name, sizeof name, "peer-%" PRIu64, peer);
    assert_int_equal(net_add_peer(node->net, peer, name, address), 0);
}

struct net_peer_info node_peer(const struct node *node, raft_id peer)
{
    struct net_peer_info info[NET_PEERS_MAX];
    const size_t count = net_get_peers(node->net, info, NET_PEERS_MAX);

    for (size_t i = 0; i < count; i++) {
        if (info[i].id == peer)
            return info[i];
    }
    fail_msg("no such peer");
    return (struct net_peer_info){0};
}

struct net_counters node_counters(const struct node *node)
{
    struct net_counters counters;

    net_get_counters(node->net, &counters);
    return counters;
}

struct awaited {
    struct node *node;
    size_t count;
    raft_id peer;
};

static bool is_up(void *ctx)
{
    const struct awaited *a = ctx;

    return a->node->up_count >= a->count;
}

void node_await_up(struct node *node, size_t up_count)
{
    struct awaited a = {.node = node, .count = up_count};

    world_run_until(node->world, is_up, &a);
}

static bool is_down(void *ctx)
{
    const struct awaited *a = ctx;

    return a->node->down_count >= a->count;
}

void node_await_down(struct node *node, size_t down_count)
{
    struct awaited a = {.node = node, .count = down_count};

    world_run_until(node->world, is_down, &a);
}

static bool is_connected(void *ctx)
{
    const struct awaited *a = ctx;

    return node_peer(a->node, a->peer).is_connected;
}

void node_await_connected(struct node *node, raft_id peer)
{
    struct awaited a = {.node = node, .peer = peer};

    world_run_until(node->world, is_connected, &a);
}

static bool has_raft(void *ctx)
{
    const struct awaited *a = ctx;

    return a->node->raft_count >= a->count;
}

void node_await_raft(struct node *node, size_t raft_count)
{
    struct awaited a = {.node = node, .count = raft_count};

    world_run_until(node->world, has_raft, &a);
}

struct raft_msg heartbeat(raft_id from, raft_id to, uint64_t round)
{
    return (struct raft_msg){.type = RAFT_MSG_HEARTBEAT,
                             .from = from,
                             .to = to,
                             .term = 3,
                             .heartbeat = {.round = round}};
}

struct raft_msg append_one(raft_id from, raft_id to, struct raft_entry *entry,
                           struct px_slice data)
{
    *entry = (struct raft_entry){
        .pos = {3, 1}, .kind = RAFT_ENTRY_COMMAND, .data = data};
    return (struct raft_msg){.type = RAFT_MSG_APPEND,
                             .from = from,
                             .to = to,
                             .term = 3,
                             .append = {.count = 1, .entries = entry}};
}

struct px_slice pattern(size_t size, uint8_t seed)
{
    struct px_buf *b = px_buf_new(size);

    assert_non_null(b);
    for (size_t i = 0; i < size; i++)
        b->data[i] = (uint8_t)(seed + i * 7 + (i >> 8));
    return px_slice_of(b, 0, size);
}

uint64_t sum_of(const uint8_t *data, size_t size)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < size; i++)
        sum += (uint64_t)data[i] * (i + 1);
    return sum;
}

/* ---- Raw sockets ---- */

static int on_raw_frame(void *ctx, const struct net_frame_in *frame)
{
    static struct raft_entry entries[PX_BATCH_ENTRIES_MAX];
    struct raw *raw = ctx;

    raw->frame_count++;
    raw->counts[frame->type]++;
    raw->body_bytes += frame->body.size;
    if (frame->type == NET_FRAME_HELLO)
        assert_int_equal(net_decode_hello(frame, &raw->hello), 0);
    if (frame->type == NET_FRAME_HELLO_OK)
        assert_int_equal(net_decode_hello_ok(frame, &raw->ok), 0);
    if (frame->type == NET_FRAME_HELLO_REFUSED)
        assert_int_equal(net_decode_hello_refused(frame, &raw->refusal), 0);
    if (frame->type == NET_FRAME_ADMIN_REPLY && raw->reply != NULL)
        assert_int_equal(net_decode_admin_reply(frame, raw->reply), 0);
    if (frame->type == NET_FRAME_RAFT)
        assert_int_equal(net_decode_raft(frame, entries, &raw->raft_last), 0);
    return 0;
}

static void raw_open(struct raw *raw, struct world *w, int fd)
{
    assert_true(fd >= 0);
    *raw = (struct raw){.world = w, .fd = fd};
    assert_int_equal(net_reader_init(&raw->reader, 1 << 16, on_raw_frame, raw),
                     0);
    raw->reader.head_bytes_max = PX_FRAME_HEAD_BYTES_MAX;
    raw->reader.body_bytes_max = PX_FRAME_BODY_BYTES_MAX;
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int raw_listen(int backlog)
{
    const struct sockaddr_in at = loopback(0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

uint16_t raw_port(int listener)
{
    return net_socket_port(listener);
}

void raw_close_listener(int listener)
{
    (void)close(listener);
}

struct accepting {
    int listener;
    int fd;
};

static bool has_accepted(void *ctx)
{
    struct accepting *a = ctx;

    a->fd = accept4(a->listener, NULL, NULL, SOCK_CLOEXEC);
    return a->fd >= 0;
}

void raw_accept(struct raw *raw, struct world *w, int listener)
{
    struct accepting a = {.listener = listener, .fd = -1};

    world_run_until(w, has_accepted, &a);
    raw_open(raw, w, a.fd);
}

static void connect_fd(struct raw *raw, struct world *w, int fd, uint16_t port)
{
    const struct sockaddr_in to = loopback(port);

    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    raw_open(raw, w, fd);
}

void raw_connect(struct raw *raw, struct world *w, uint16_t port)
{
    connect_fd(raw, w, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port);
}

void raw_connect_narrow(struct raw *raw, struct world *w, uint16_t port)
{
    const int size = 1; /* it takes the least there is instead */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    /* Before the window is told. */
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size),
                     0);
    connect_fd(raw, w, fd, port);
}

void raw_close(struct raw *raw)
{
    net_reader_fini(&raw->reader);
    (void)close(raw->fd);
}

void raw_write(struct raw *raw, const void *data, size_t size)
{
    const uint8_t *at = data;

    while (size > 0) {
        ssize_t n = send(raw->fd, at, size, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0) {
            assert_int_equal(errno, EAGAIN);
            (void)uv_run(&raw->world->loop, UV_RUN_ONCE);
            continue;
        }
        at += n;
        size -= (size_t)n;
    }
}

void raw_write_frame(struct raw *raw, struct net_frame *f)
{
    assert_non_null(f);
    raw_write(raw, f->lead, f->lead_bytes);
    for (size_t i = 0; i < f->slice_count; i++)
        raw_write(raw, f->slices[i].data, f->slices[i].size);
    net_frame_free(f);
}

void raw_hello(struct raw *raw, raft_id from, raft_id to, enum net_class class)
{
    const struct net_hello hello = {.version = NET_PROTOCOL_VERSION,
                                    .cluster = CLUSTER,
                                    .from = from,
                                    .to = to,
                                    .class = class,
                                    .name = "raw"};

    raw_write_frame(raw, net_encode_hello(&hello));
}

void raw_read(struct raw *raw)
{
    while (!raw->is_ended) {
        const uv_buf_t room = net_reader_room(&raw->reader);
        const ssize_t n = recv(raw->fd, room.base, room.len, MSG_DONTWAIT);

        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            raw->is_ended = true;
        else
            assert_int_equal(net_reader_advance(&raw->reader, (size_t)n), 0);
    }
}

struct awaited_type {
    struct raw *raw;
    enum net_frame_type type;
    size_t count;
};

static bool has_type(void *ctx)
{
    struct awaited_type *a = ctx;

    raw_read(a->raw);
    return a->raw->counts[a->type] >= a->count;
}

void raw_await_type(struct raw *raw, enum net_frame_type type, size_t count)
{
    struct awaited_type a = {raw, type, count};

    world_run_until(raw->world, has_type, &a);
}

static bool has_ended(void *ctx)
{
    struct raw *raw = ctx;

    raw_read(raw);
    return raw->is_ended;
}

void raw_await_end(struct raw *raw)
{
    world_run_until(raw->world, has_ended, raw);
}

void lanes_accept(struct lanes *l, struct world *w, int listener, raft_id id)
{
    const struct net_hello_ok ok = {.version = NET_PROTOCOL_VERSION,
                                    .from = id};

    for (int i = 0; i < 2; i++) {
        struct raw raw;
        struct raw *lane;

        raw_accept(&raw, w, listener);
        raw_await_type(&raw, NET_FRAME_HELLO, 1);
        lane = raw.hello.class == NET_BULK ? &l->bulk : &l->urgent;
        *lane = raw;
        lane->reader.ctx = lane;
        raw_write_frame(lane, net_encode_hello_ok(&ok));
    }
}

void lanes_close(struct lanes *l)
{
    raw_close(&l->urgent);
    raw_close(&l->bulk);
}
