/* gossip/udp*.c: real sockets on the loopback. Waited for are conditions alone;
 * a watchdog fails a test that would wait for ever. */
#include "tests/unit/gossip/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gossip/packet_format.h"
#include "gossip/udp_core.h"

#define NODES_MAX 20u
#define WATCHDOG_MS 60000u

struct node {
    struct swim_udp *udp;
    unsigned alive;
    unsigned left;
    unsigned found;
    bool has_left;
    bool is_closed;
};

struct world {
    uv_loop_t loop;
    uv_timer_t tick; /* so that a turn ends although no socket stirs */
    uv_timer_t watchdog;
    struct node nodes[NODES_MAX];
    size_t count;
};

static px_ns now(void *ctx)
{
    struct timespec t;

    (void)ctx;
    assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &t), 0);
    return (px_ns)t.tv_sec * PX_NS_PER_S + (px_ns)t.tv_nsec;
}

static void on_event(void *ctx, const struct swim_event *event)
{
    struct node *n = ctx;

    n->alive += event->type == SWIM_EVENT_ALIVE;
    n->left += event->type == SWIM_EVENT_LEFT;
}

static void on_found(void *ctx, struct swim_about *about)
{
    ((struct node *)ctx)->found++;
    strcpy(about->peer, "found:9000");
}

static void on_reserve(void *ctx, swim_incarnation incarnation)
{
    swim_udp_reserved(((struct node *)ctx)->udp, incarnation);
}

static void on_left(void *ctx)
{
    ((struct node *)ctx)->has_left = true;
}

static void on_node_closed(void *ctx)
{
    ((struct node *)ctx)->is_closed = true;
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

static void world_open(struct world *w)
{
    memset(w, 0, sizeof *w);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    assert_int_equal(uv_timer_init(&w->loop, &w->tick), 0);
    assert_int_equal(uv_timer_init(&w->loop, &w->watchdog), 0);
    assert_int_equal(uv_timer_start(&w->tick, on_tick, 5, 5), 0);
    assert_int_equal(uv_timer_start(&w->watchdog, on_watchdog, WATCHDOG_MS, 0),
                     0);
}

static void run_until(struct world *w, bool (*is_done)(struct world *w))
{
    while (!is_done(w))
        (void)uv_run(&w->loop, UV_RUN_ONCE);
}

static void close_node(struct world *w, size_t i)
{
    struct node *n = &w->nodes[i];

    swim_udp_close(n->udp, on_node_closed, n);
    while (!n->is_closed)
        (void)uv_run(&w->loop, UV_RUN_ONCE);
}

/* Fails if anything was left open. */
static void world_close(struct world *w)
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

static struct swim_udp_options options_of(struct world *w, uint16_t port)
{
    struct node *n = &w->nodes[w->count];

    static char ids[NODES_MAX][2];

    ids[w->count][0] = (char)('a' + w->count);
    return (struct swim_udp_options){
        .loop = &w->loop,
        .bind_addr = "127.0.0.1",
        .bind_port = port,
        .swim = {.id = ids[w->count],
                 .label = "udp",
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

/* Returns the port. */
static uint16_t open_node(struct world *w, const struct swim_udp_options *o)
{
    char why[256] = "";
    struct node *n = &w->nodes[w->count];

    if (swim_udp_open(o, &n->udp, why, sizeof why) < 0)
        fail_msg("%s", why);
    w->count++;
    return swim_udp_port(n->udp);
}

static struct swim_status status(const struct world *w, size_t i)
{
    struct swim_status s;

    swim_get_status(swim_udp_swim(w->nodes[i].udp), &s);
    return s;
}

static bool is_whole(struct world *w)
{
    for (size_t i = 0; i < w->count; i++) {
        if (status(w, i).living < w->count)
            return false;
    }
    return true;
}

/* ---- Ports ---- */

static void on_one_machine_no_configuration_is_needed(void **s)
{
    struct world w;
    struct swim_udp_options o;
    uint16_t first;

    (void)s;
    world_open(&w);
    o = options_of(&w, 0);
    first = open_node(&w, &o);
    for (unsigned i = 1; i < 5; i++) { /* all want the same port */
        o = options_of(&w, first);
        assert_in_range(open_node(&w, &o), first + 1, first + SWIM_PORTS - 1);
    }
    run_until(&w, is_whole);
    world_close(&w);
}

/* Who says where it is can't know which port it will get. */
static void an_address_that_is_given_needs_no_port(void **s)
{
    struct swim_member_info self;
    struct swim_udp_options o;
    struct world w;

    (void)s;
    world_open(&w);
    o = options_of(&w, 0);
    assert_int_equal(swim_addr_parse("192.0.2.7", &o.swim.about.gossip), 0);
    (void)open_node(&w, &o);
    assert_true(swim_find(swim_udp_swim(w.nodes[0].udp), "a", &self));
    assert_int_equal(self.gossip.ip[12], 192);
    assert_int_equal(self.gossip.ip[15], 7);
    assert_int_equal(self.gossip.port, swim_udp_port(w.nodes[0].udp));
    world_close(&w);
}

static void where_no_port_is_free_the_start_says_so(void **s)
{
    struct swim_udp_options o;
    struct swim_udp *udp = NULL;
    char why[256] = "";
    struct world w;
    int rc = 0;

    (void)s;
    world_open(&w);
    o = options_of(&w, 65535); /* there is none after it */
    (void)open_node(&w, &o);
    o = options_of(&w, 65535);
    rc = swim_udp_open(&o, &udp, why, sizeof why);
    assert_int_equal(rc, -EADDRINUSE);
    assert_null(udp);
    assert_non_null(strstr(why, "127.0.0.1"));
    o.bind_addr = "nowhere";
    assert_int_equal(swim_udp_open(&o, &udp, why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "nowhere"));
    o.bind_addr = "127.0.0.1";
    o.swim.id = "";
    o.bind_port = 0;
    assert_int_equal(swim_udp_open(&o, &udp, why, sizeof why), -EINVAL);
    world_close(&w);
}

/* ---- Seeds ---- */

static void a_seed_is_found_by_its_name(void **s)
{
    struct swim_seed seeds[2] = {{.host = "no-such-host.invalid", .port = 1},
                                 {.host = "localhost"}};
    struct swim_udp_options o;
    struct world w;

    (void)s;
    world_open(&w);
    o = options_of(&w, 0);
    o.bind_addr = "::";
    seeds[1].port = open_node(&w, &o);
    for (unsigned i = 1; i < 4; i++) {
        o = options_of(&w, 0);
        o.bind_addr = "::";
        o.seeds = seeds;
        o.seed_count = 2;
        (void)open_node(&w, &o);
    }
    run_until(&w, is_whole);
    world_close(&w);
}

/* Where no port that is tried, and no seed, leads to it. */
static void who_is_elsewhere_is_found_where_it_was(void **s)
{
    const struct swim_seed seed = {.host = "no-such-host.invalid", .port = 1};

    (void)s;
    for (size_t seed_count = 0; seed_count < 2; seed_count++) {
        struct swim_addr known[2];
        struct swim_udp_options o;
        struct world w;

        world_open(&w);
        o = options_of(&w, 0);
        o.bind_addr = "127.0.0.2";
        assert_int_equal(swim_addr_parse("127.0.0.2", &known[1]), 0);
        known[1].port = open_node(&w, &o);
        known[0] = known[1];
        known[0].ip[15] = 3; /* nobody is there any more */
        o = options_of(&w, 0);
        o.seeds = &seed;
        o.seed_count = seed_count;
        o.known = known;
        o.known_count = 2;
        (void)open_node(&w, &o);
        run_until(&w, is_whole);
        world_close(&w);
    }
}

static void more_than_can_be_known_is_refused(void **s)
{
    const struct swim_addr known[SWIM_KNOWN_MAX + 1] = {{.port = 1}};
    struct swim_udp *udp = NULL;
    struct swim_udp_options o;
    char why[256] = "";
    struct world w;

    (void)s;
    world_open(&w);
    o = options_of(&w, 0);
    o.known = known;
    o.known_count = SWIM_KNOWN_MAX + 1;
    assert_int_equal(swim_udp_open(&o, &udp, why, sizeof why), -EINVAL);
    assert_null(udp);
    world_close(&w);
}

static void a_close_while_names_are_looked_up_waits_for_that(void **s)
{
    const struct swim_seed seed = {.host = "no-such-host.invalid", .port = 1};
    struct swim_udp_options o;
    struct world w;

    (void)s;
    world_open(&w);
    o = options_of(&w, 0);
    o.seeds = &seed;
    o.seed_count = 1;
    (void)open_node(&w, &o);
    world_close(&w);
}

/* ---- Leaving ---- */

static bool all_but_the_first_saw_it_leave(struct world *w)
{
    for (size_t i = 1; i < w->count; i++) {
        if (w->nodes[i].left == 0)
            return false;
    }
    return w->nodes[0].has_left;
}

static void who_leaves_is_told_when_others_know(void **s)
{
    struct swim_udp_options o;
    struct world w;
    uint16_t port;

    (void)s;
    world_open(&w);
    o = options_of(&w, 0);
    port = open_node(&w, &o);
    for (unsigned i = 1; i < 3; i++) {
        o = options_of(&w, port);
        (void)open_node(&w, &o);
    }
    run_until(&w, is_whole);
    swim_udp_leave(w.nodes[0].udp);
    run_until(&w, all_but_the_first_saw_it_leave);
    world_close(&w);
}

/* ---- What we say ---- */

static bool is_role_known(struct world *w)
{
    struct swim_member_info m;

    return swim_find(swim_udp_swim(w->nodes[1].udp), "a", &m) &&
           m.role == SWIM_ROLE_VOTER;
}

static void what_is_said_later_reaches_the_others(void **s)
{
    struct swim_about about = {.peer = "other:9000", .role = SWIM_ROLE_VOTER};
    struct swim_udp_options o;
    struct swim_member_info m;
    struct world w;
    uint16_t port;

    (void)s;
    world_open(&w);
    o = options_of(&w, 0);
    port = open_node(&w, &o);
    o = options_of(&w, port);
    (void)open_node(&w, &o);
    run_until(&w, is_whole);
    assert_int_equal(swim_udp_say(w.nodes[0].udp, &about), 0);
    run_until(&w, is_role_known);
    assert_true(swim_find(swim_udp_swim(w.nodes[1].udp), "a", &m));
    assert_string_equal(m.peer, "other:9000");
    assert_int_equal(m.gossip.port, port); /* as it was */
    memset(about.zone, ' ', 3);
    assert_int_equal(swim_udp_say(w.nodes[0].udp, &about), -EINVAL);
    world_close(&w);
}

/* ---- Strangers ---- */

static struct sockaddr_in address_of(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int tcp_to(uint16_t port)
{
    const struct sockaddr_in to = address_of(port);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static bool are_four_malformed(struct world *w)
{
    return status(w, 0).counters.malformed == 4;
}

static void datagrams_of_any_bytes_are_counted_and_change_nothing(void **s)
{
    static uint8_t bytes[4096];
    static const size_t sizes[] = {1, 100, SWIM_PACKET_BYTES_MAX + 1,
                                   sizeof bytes};
    struct swim_udp_options o;
    struct sockaddr_in to;
    struct world w;
    int fd;

    (void)s;
    world_open(&w);
    o = options_of(&w, 0);
    to = address_of(open_node(&w, &o));
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(sendto(fd, bytes, sizes[i], 0,
                                (const struct sockaddr *)&to, sizeof to),
                         sizes[i]);
    run_until(&w, are_four_malformed);
    assert_int_equal(status(&w, 0).members, 1);
    assert_int_equal(close(fd), 0);
    world_close(&w);
}

static int stranger; /* a connection of ours to the node */

static bool is_closed_by_node(struct world *w)
{
    char byte;

    (void)w;
    return recv(stranger, &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET;
}

static void a_connection_of_any_bytes_is_closed(void **s)
{
    struct swim_udp_options o;
    struct world w;

    (void)s;
    world_open(&w);
    o = options_of(&w, 0);
    stranger = tcp_to(open_node(&w, &o));
    assert_int_equal(send(stranger, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
    run_until(&w, is_closed_by_node);
    assert_int_equal(close(stranger), 0);
    world_close(&w);
}

static void a_connection_that_says_nothing_is_closed_in_time(void **s)
{
    struct swim_udp_options o;
    struct world w;

    (void)s;
    world_open(&w);
    o = options_of(&w, 0);
    o.stream_timeout = 10 * PX_NS_PER_MS;
    stranger = tcp_to(open_node(&w, &o));
    assert_int_equal(send(stranger, "\xf2PHX", 4, 0), 4); /* half a head */
    run_until(&w, is_closed_by_node);
    assert_int_equal(close(stranger), 0);
    world_close(&w);
}

static void of_too_many_connections_the_oldest_makes_way(void **s)
{
    int fds[SWIM_STREAMS_MAX];
    struct swim_udp_options o;
    struct world w;
    uint16_t port;

    (void)s;
    world_open(&w);
    o = options_of(&w, 0);
    o.stream_timeout = 3600 * PX_NS_PER_S;
    port = open_node(&w, &o);
    stranger = tcp_to(port);
    for (unsigned i = 0; i < SWIM_STREAMS_MAX; i++)
        fds[i] = tcp_to(port);
    run_until(&w, is_closed_by_node);
    assert_int_equal(w.nodes[0].udp->in_count, SWIM_STREAMS_MAX);
    for (unsigned i = 0; i < SWIM_STREAMS_MAX; i++)
        assert_int_equal(close(fds[i]), 0);
    assert_int_equal(close(stranger), 0);
    world_close(&w);
}

/* ---- Where we are ---- */

/* An address of this machine that others can use, too, and a socket that is
 * there. The test is skipped on a machine without one. */
static int bind_elsewhere(struct swim_addr *addr_out)
{
    struct ifaddrs *all;
    struct sockaddr_storage at;
    socklen_t size = sizeof at;
    bool is_found = false;
    int fd;

    assert_int_equal(getifaddrs(&all), 0);
    for (const struct ifaddrs *i = all; i != NULL && !is_found;
         i = i->ifa_next) {
        if (i->ifa_addr == NULL || i->ifa_addr->sa_family != AF_INET ||
            (i->ifa_flags & IFF_UP) == 0)
            continue;
        *addr_out = swim_addr_of(i->ifa_addr);
        is_found = !swim_addr_is_loopback(addr_out);
    }
    freeifaddrs(all);
    if (!is_found)
        skip();
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_true(swim_addr_to(addr_out, AF_INET, &at));
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    addr_out->port = swim_addr_of((struct sockaddr *)&at).port;
    return fd;
}

/* From "z" to "a", at @to: what z knows of somebody. */
static void tell_news(int fd, const struct swim_addr *to,
                      const struct swim_news *news)
{
    const struct swim_head head = {.type = SWIM_NEWS,
                                   .run = 1,
                                   .number = 1,
                                   .label = "udp",
                                   .from = "z",
                                   .to = "a",
                                   .target = ""};
    uint8_t bytes[SWIM_PACKET_BYTES_MAX];
    struct sockaddr_storage address;
    struct swim_writer w;
    size_t size;

    assert_true(swim_addr_to(to, AF_INET, &address));
    swim_write_head(&w, &head, bytes, sizeof bytes);
    assert_true(swim_write_news(&w, news));
    size = swim_write_end(&w);
    assert_int_equal(sendto(fd, bytes, size, 0, (struct sockaddr *)&address,
                            sizeof(struct sockaddr_in)),
                     size);
}

static int elsewhere; /* our socket */
static uint8_t heard[SWIM_PACKET_BYTES_MAX];
static ssize_t heard_size;

static bool is_heard_elsewhere(struct world *w)
{
    (void)w;
    heard_size = recv(elsewhere, heard, sizeof heard, MSG_DONTWAIT);
    return heard_size >= 0;
}

/* The first packet that came says that "a" is at @at, and where peers dial it. */
static void is_told(const struct swim_addr *at, uint16_t port)
{
    struct swim_reader r;
    struct swim_news news;
    bool is_said = false;

    assert_int_equal(swim_read_packet(&r, heard, (size_t)heard_size), 0);
    while (swim_read_news(&r, &news)) {
        if (strcmp(news.id, "a") != 0)
            continue;
        is_said = true;
        assert_memory_equal(news.gossip.ip, at->ip, sizeof at->ip);
        assert_int_equal(news.gossip.port, port);
        assert_string_equal(news.peer, "found:9000");
    }
    assert_true(is_said);
}

static struct swim_addr open_anywhere(struct world *w)
{
    struct swim_udp_options o = options_of(w, 0);
    struct swim_addr at;

    assert_int_equal(swim_addr_parse("127.0.0.1", &at), 0);
    o.bind_addr = "::";
    o.swim.about.peer[0] = '\0'; /* not known, either */
    at.port = open_node(w, &o);
    return at;
}

/* It was held for dead, and comes back not knowing where it is. */
static void who_is_told_that_it_is_dead_answers_with_its_address(void **s)
{
    struct swim_news news = {.id = "a",
                             .peer = "",
                             .zone = "",
                             .incarnation = 1,
                             .state = SWIM_DEAD,
                             .accuser_count = 1,
                             .accusers = {1}};
    struct swim_addr own;
    struct world w;

    (void)s;
    elsewhere = bind_elsewhere(&own);
    world_open(&w);
    news.gossip = own;
    own.port = open_anywhere(&w).port;
    tell_news(elsewhere, &own, &news);
    run_until(&w, is_heard_elsewhere);
    is_told(&own, own.port);
    assert_int_equal(w.nodes[0].found, 1);
    assert_int_equal(close(elsewhere), 0);
    world_close(&w);
}

/* Of somebody elsewhere it hears on its own machine. */
static void nobody_elsewhere_is_told_of_the_loopback(void **s)
{
    struct swim_news news = {.id = "z",
                             .peer = "",
                             .zone = "",
                             .incarnation = 1,
                             .state = SWIM_ALIVE};
    struct swim_addr here;
    struct world w;
    int fd;

    (void)s;
    elsewhere = bind_elsewhere(&news.gossip);
    world_open(&w);
    here = open_anywhere(&w);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    tell_news(fd, &here, &news);
    run_until(&w, is_heard_elsewhere);
    is_told(&news.gossip, here.port);
    assert_int_equal(close(fd), 0);
    assert_int_equal(close(elsewhere), 0);
    world_close(&w);
}

static bool is_one_malformed(struct world *w)
{
    return status(w, 0).counters.malformed == 1;
}

/* It may have come on a way that no member takes. */
static void what_is_no_gossip_does_not_show_where_we_are(void **s)
{
    struct sockaddr_storage to;
    struct swim_addr own;
    struct world w;

    (void)s;
    elsewhere = bind_elsewhere(&own);
    world_open(&w);
    own.port = open_anywhere(&w).port;
    assert_true(swim_addr_to(&own, AF_INET, &to));
    assert_int_equal(sendto(elsewhere, "hello", 5, 0, (struct sockaddr *)&to,
                            sizeof(struct sockaddr_in)),
                     5);
    run_until(&w, is_one_malformed);
    assert_int_equal(w.nodes[0].found, 0);
    assert_true(swim_udp_is_lost(w.nodes[0].udp));
    assert_int_equal(close(elsewhere), 0);
    world_close(&w);
}

/* ---- Addresses ---- */

static void addresses_survive_the_way_to_the_kernel_and_back(void **s)
{
    static const char *const texts[] = {"127.0.0.1", "10.1.2.3", "::1",
                                        "fd00::1:2"};
    struct sockaddr_storage kernel;
    struct swim_addr addr;
    struct swim_addr back;

    (void)s;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(swim_addr_parse(texts[i], &addr), 0);
        addr.port = 7946;
        assert_true(swim_addr_to(&addr, AF_INET6, &kernel));
        back = swim_addr_of((struct sockaddr *)&kernel);
        assert_memory_equal(&back, &addr, sizeof addr);
        assert_int_equal(swim_addr_to(&addr, AF_INET, &kernel), i < 2);
        if (i >= 2)
            continue;
        back = swim_addr_of((struct sockaddr *)&kernel);
        assert_memory_equal(&back, &addr, sizeof addr);
    }
    assert_int_equal(swim_addr_parse("localhost", &addr), -EINVAL);
    assert_int_equal(swim_addr_parse("0.0.0.0", &addr), 0);
    assert_true(swim_addr_is_any(&addr));
    assert_int_equal(swim_addr_parse("::", &addr), 0);
    assert_true(swim_addr_is_any(&addr));
    assert_int_equal(swim_addr_parse("127.0.1.1", &addr), 0);
    assert_true(swim_addr_is_loopback(&addr));
    assert_int_equal(swim_addr_towards(&addr, &back), 0);
    assert_true(swim_addr_is_loopback(&back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(on_one_machine_no_configuration_is_needed),
        unit(an_address_that_is_given_needs_no_port),
        unit(where_no_port_is_free_the_start_says_so),
        unit(a_seed_is_found_by_its_name),
        unit(who_is_elsewhere_is_found_where_it_was),
        unit(more_than_can_be_known_is_refused),
        unit(a_close_while_names_are_looked_up_waits_for_that),
        unit(who_leaves_is_told_when_others_know),
        unit(what_is_said_later_reaches_the_others),
        unit(datagrams_of_any_bytes_are_counted_and_change_nothing),
        unit(a_connection_of_any_bytes_is_closed),
        unit(a_connection_that_says_nothing_is_closed_in_time),
        unit(of_too_many_connections_the_oldest_makes_way),
        unit(who_is_told_that_it_is_dead_answers_with_its_address),
        unit(nobody_elsewhere_is_told_of_the_loopback),
        unit(what_is_no_gossip_does_not_show_where_we_are),
        unit(addresses_survive_the_way_to_the_kernel_and_back),
    };

    return cmocka_run_group_tests_name("gossip/udp", tests, NULL, NULL);
}
