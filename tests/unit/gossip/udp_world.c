#include "tests/unit/gossip/udp_world.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/gossip/unit.h"

#define WATCHDOG_MS 60000u

static px_ns now(void *ctx)
{
    (void)ctx; /* there is one clock */
    return px_now();
}

static void on_event(void *ctx, const struct swim_event *event)
{
    struct udp_node *n = ctx;

    n->alive += event->type == SWIM_EVENT_ALIVE;
    n->left += event->type == SWIM_EVENT_LEFT;
}

static void on_found(void *ctx, struct swim_about *about)
{
    ((struct udp_node *)ctx)->found++;
    strcpy(about->peer, "found:9000");
}

static void on_reserve(void *ctx, swim_incarnation incarnation)
{
    swim_udp_reserved(((struct udp_node *)ctx)->udp, incarnation);
}

static void on_left(void *ctx)
{
    ((struct udp_node *)ctx)->has_left = true;
}

static void on_node_closed(void *ctx)
{
    ((struct udp_node *)ctx)->is_closed = true;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("waited too long");
}

void udp_world_open(struct udp_world *w)
{
    memset(w, 0, sizeof *w);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    assert_int_equal(uv_timer_init(&w->loop, &w->tick), 0);
    assert_int_equal(uv_timer_init(&w->loop, &w->watchdog), 0);
    assert_int_equal(uv_timer_start(&w->tick, on_tick, 5, 5), 0);
    assert_int_equal(uv_timer_start(&w->watchdog, on_watchdog, WATCHDOG_MS, 0),
                     0);
}

void udp_run_until(struct udp_world *w, bool (*is_done)(struct udp_world *w))
{
    while (!is_done(w))
        (void)uv_run(&w->loop, UV_RUN_ONCE);
}

static void close_node(struct udp_world *w, size_t i)
{
    struct udp_node *n = &w->nodes[i];

    swim_udp_close(n->udp, on_node_closed, n);
    while (!n->is_closed)
        (void)uv_run(&w->loop, UV_RUN_ONCE);
}

void udp_world_close(struct udp_world *w)
{
    for (size_t i = 0; i < w->count; i++) {
        if (!w->nodes[i].is_closed)
            close_node(w, i);
    }
    uv_close((uv_handle_t *)&w->tick, NULL);
    uv_close((uv_handle_t *)&w->watchdog, NULL);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

const char *udp_label(void)
{
    static char label[16];

    (void)snprintf(label, sizeof label, "udp-%d", (int)getpid());
    return label;
}

/* From 127.128.0.0 on: below it, others are at 127.0.0.1 and its neighbours. */
static struct in_addr own_ip(void)
{
    const uint32_t net = UINT32_C(127) << 24 | UINT32_C(128) << 16;
    const uint32_t pid = (uint32_t)getpid(); /* below 2^22: Linux's largest */

    return (struct in_addr){.s_addr = htonl(net + pid)};
}

const char *udp_ip(void)
{
    static char text[INET_ADDRSTRLEN];
    const struct in_addr ip = own_ip();

    assert_non_null(inet_ntop(AF_INET, &ip, text, sizeof text));
    return text;
}

struct sockaddr_in udp_address_of(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = own_ip()};
}

struct swim_udp_options udp_options_of(struct udp_world *w, uint16_t port)
{
    struct udp_node *n = &w->nodes[w->count];

    static char ids[NODES_MAX][2];

    ids[w->count][0] = (char)('a' + w->count);
    return (struct swim_udp_options){
        .loop = &w->loop,
        .bind_addr = udp_ip(),
        .bind_port = port,
        .swim = {.id = ids[w->count],
                 .label = udp_label(),
                 .about = {.peer = "host:9000"},
                 .settings = swim_settings_of_tick(20 * PX_NS_PER_MS),
                 .seed = w->count + 1,
                 .incarnation = 1},
        .handler = {.ctx = n,
                    .now = now,
                    .on_event = on_event,
                    .on_found = on_found,
                    .on_reserve = on_reserve,
                    .on_left = on_left},
        .stream_timeout = PX_NS_PER_S,
    };
}

uint16_t udp_open_node(struct udp_world *w, const struct swim_udp_options *o)
{
    char why[256] = "";
    struct udp_node *n = &w->nodes[w->count];

    if (swim_udp_open(o, &n->udp, why, sizeof why) < 0)
        fail_msg("%s", why);
    w->count++;
    return swim_udp_port(n->udp);
}

struct swim_status udp_status(const struct udp_world *w, size_t i)
{
    struct swim_status s;

    swim_get_status(swim_udp_swim(w->nodes[i].udp), &s);
    return s;
}
