/* gossip/udp*.c: real sockets on the loopback: ports, seeds, datagrams, and where
 * we are. */
#include "tests/unit/gossip/unit.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/noted.h"
#include "tests/lib/skip.h"
#include "tests/unit/gossip/udp_world.h"

static bool is_whole(struct udp_world *w)
{
    for (size_t i = 0; i < w->count; i++) {
        if (udp_status(w, i).living < w->count)
            return false;
    }
    return true;
}

/* ---- Ports ---- */

static void on_one_machine_no_configuration_is_needed(void **s)
{
    struct udp_world w;
    struct swim_udp_options o;
    uint16_t first;

    (void)s;
    udp_world_open(&w);
    o = udp_options_of(&w, 0);
    first = udp_open_node(&w, &o);
    for (unsigned i = 1; i < 5; i++) { /* all want the same port */
        o = udp_options_of(&w, first);
        assert_in_range(udp_open_node(&w, &o), first + 1,
                        first + SWIM_PORTS - 1);
    }
    udp_run_until(&w, is_whole);
    udp_world_close(&w);
}

/* Who says where it is can't know which port it will get. */
static void an_address_that_is_given_needs_no_port(void **s)
{
    struct swim_member_info self;
    struct swim_udp_options o;
    struct udp_world w;

    (void)s;
    udp_world_open(&w);
    o = udp_options_of(&w, 0);
    assert_int_equal(swim_addr_parse("192.0.2.7", &o.swim.about.gossip), 0);
    (void)udp_open_node(&w, &o);
    assert_true(swim_find(swim_udp_swim(w.nodes[0].udp), "a", &self));
    assert_int_equal(self.gossip.ip[12], 192);
    assert_int_equal(self.gossip.ip[15], 7);
    assert_int_equal(self.gossip.port, swim_udp_port(w.nodes[0].udp));
    udp_world_close(&w);
}

static void where_no_port_is_free_the_start_says_so(void **s)
{
    struct swim_udp_options o;
    struct swim_udp *udp = NULL;
    char why[256] = "";
    struct udp_world w;
    int rc = 0;

    (void)s;
    udp_world_open(&w);
    o = udp_options_of(&w, 65535); /* there is none after it */
    (void)udp_open_node(&w, &o);
    o = udp_options_of(&w, 65535);
    rc = swim_udp_open(&o, &udp, why, sizeof why);
    assert_int_equal(rc, -EADDRINUSE);
    assert_null(udp);
    assert_non_null(strstr(why, udp_ip()));
    o.bind_addr = "nowhere";
    assert_int_equal(swim_udp_open(&o, &udp, why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "nowhere"));
    o.bind_addr = udp_ip();
    o.swim.id = "";
    o.bind_port = 0;
    assert_int_equal(swim_udp_open(&o, &udp, why, sizeof why), -EINVAL);
    udp_world_close(&w);
}

/* ---- Seeds ---- */

static void a_seed_is_found_by_its_name(void **s)
{
    struct swim_seed seeds[2] = {{.host = "no-such-host.invalid", .port = 1},
                                 {.host = "localhost"}};
    struct swim_udp_options o;
    struct udp_world w;

    (void)s;
    udp_world_open(&w);
    o = udp_options_of(&w, 0);
    o.bind_addr = "::";
    seeds[1].port = udp_open_node(&w, &o);
    for (unsigned i = 1; i < 4; i++) {
        o = udp_options_of(&w, 0);
        o.bind_addr = "::";
        o.seeds = seeds;
        o.seed_count = 2;
        (void)udp_open_node(&w, &o);
    }
    udp_run_until(&w, is_whole);
    udp_world_close(&w);
}

static bool is_round_done(struct udp_world *w)
{
    const struct swim_udp *u = w->nodes[0].udp;

    return !u->is_looking && u->seed_next == u->seed_count;
}

/* The fault: what the first one stands for made the core ask for seeds once
 * more; the round began anew, and the second one got the first one's. */
static void each_seed_is_looked_up_in_the_first_round(void **s)
{
    const struct swim_seed seeds[2] = {{.host = "127.0.0.2", .port = 1},
                                       {.host = "127.0.0.3", .port = 1}};
    struct swim_udp_options o;
    struct udp_world w;

    (void)s;
    udp_world_open(&w);
    o = udp_options_of(&w, 0);
    o.seeds = seeds;
    o.seed_count = 2;
    (void)udp_open_node(&w, &o);
    udp_run_until(&w, is_round_done);
    for (size_t i = 0; i < 2; i++) {
        const struct swim_seed_name *seed = &w.nodes[0].udp->seeds[i];

        assert_int_equal(seed->addr_count, 1);
        assert_int_equal(seed->addrs[0].ip[15], 2 + i);
    }
    udp_world_close(&w);
}

/* Where no port that is tried, and no seed, leads to it. */
static void who_is_elsewhere_is_found_where_it_was(void **s)
{
    const struct swim_seed seed = {.host = "no-such-host.invalid", .port = 1};

    (void)s;
    for (size_t seed_count = 0; seed_count < 2; seed_count++) {
        struct swim_addr known[2];
        struct swim_udp_options o;
        struct udp_world w;

        udp_world_open(&w);
        o = udp_options_of(&w, 0);
        o.bind_addr = "127.0.0.2";
        assert_int_equal(swim_addr_parse("127.0.0.2", &known[1]), 0);
        known[1].port = udp_open_node(&w, &o);
        known[0] = known[1];
        known[0].ip[15] = 3; /* nobody is there any more */
        o = udp_options_of(&w, 0);
        o.seeds = &seed;
        o.seed_count = seed_count;
        o.known = known;
        o.known_count = 2;
        (void)udp_open_node(&w, &o);
        udp_run_until(&w, is_whole);
        udp_world_close(&w);
    }
}

static void more_than_can_be_known_is_refused(void **s)
{
    const struct swim_addr known[SWIM_KNOWN_MAX + 1] = {{.port = 1}};
    struct swim_udp *udp = NULL;
    struct swim_udp_options o;
    char why[256] = "";
    struct udp_world w;

    (void)s;
    udp_world_open(&w);
    o = udp_options_of(&w, 0);
    o.known = known;
    o.known_count = SWIM_KNOWN_MAX + 1;
    assert_int_equal(swim_udp_open(&o, &udp, why, sizeof why), -EINVAL);
    assert_null(udp);
    udp_world_close(&w);
}

/* As a lookup gives them: @sixes of IPv6, then @fours of IPv4. */
#define FOUND_MAX 64u

static const struct addrinfo *found_of(size_t sixes, size_t fours)
{
    static struct addrinfo found[FOUND_MAX];
    static struct sockaddr_storage at[FOUND_MAX];

    for (size_t i = 0; i < sixes + fours; i++) {
        struct swim_addr addr = {.ip = {[0] = 0xfd, [15] = (uint8_t)(i + 1)}};

        if (i >= sixes)
            assert_int_equal(swim_addr_parse("10.0.0.1", &addr), 0);
        assert_true(
            swim_addr_to(&addr, i < sixes ? AF_INET6 : AF_INET, &at[i]));
        found[i] = (struct addrinfo){.ai_addr = (struct sockaddr *)&at[i]};
        if (i > 0)
            found[i - 1].ai_next = &found[i];
    }
    return found;
}

static void of_a_name_is_asked_what_the_socket_can_go_to(void **s)
{
    static struct swim_udp u;
    struct swim_seed_name *seed = &u.seeds[0];

    (void)s;
    seed->port = 7946;
    u.family = AF_INET;
    swim_seed_take(&u, seed, found_of(40, 1));
    assert_int_equal(seed->addr_count, 1);
    assert_int_equal(seed->addrs[0].ip[12], 10);
    assert_int_equal(seed->addrs[0].port, 7946);
    assert_int_equal(seed->left_count, 0);
    u.family = AF_INET6; /* at one address, which is of IPv6 */
    swim_seed_take(&u, seed, found_of(12, 2));
    assert_int_equal(seed->addr_count, 12);
    u.is_any = true; /* both */
    swim_seed_take(&u, seed, found_of(12, 2));
    assert_int_equal(seed->addr_count, 14);
    swim_seed_take(&u, seed, found_of(SWIM_SEEDS_MAX, 3));
    assert_int_equal(seed->addr_count, SWIM_SEEDS_MAX);
    assert_int_equal(seed->left_count, 3);
}

struct next_lookup {
    struct swim_udp *u;
    size_t count;
};

static int look_up(void *ctx)
{
    const struct next_lookup *next = ctx;

    swim_seed_take(next->u, &next->u->seeds[0], found_of(next->count, 0));
    return 0;
}

/* A name's records come and go. */
static void that_a_name_has_too_many_is_noted_when_it_begins(void **s)
{
    static const struct {
        size_t count;
        unsigned noted;
    } lookups[] = {{SWIM_SEEDS_MAX, 0},     {SWIM_SEEDS_MAX + 8, 1},
                   {SWIM_SEEDS_MAX + 7, 0}, {SWIM_SEEDS_MAX + 8, 0},
                   {SWIM_SEEDS_MAX, 0},     {SWIM_SEEDS_MAX + 1, 1}};
    static struct swim_udp u;

    (void)s;
    u.family = AF_INET6;
    for (size_t i = 0; i < sizeof lookups / sizeof *lookups; i++) {
        struct next_lookup next = {&u, lookups[i].count};

        (void)noted_while(look_up, &next); /* 0 */
        assert_int_equal(noted_count("more addresses"), lookups[i].noted);
    }
}

/* However many one of them has. */
static void each_name_has_its_share_of_those_that_are_asked(void **s)
{
    struct swim_addr list[SWIM_SEEDS_MAX];
    static struct swim_udp u;

    (void)s;
    u.family = AF_INET6;
    u.seed_count = 3;
    for (size_t i = 0; i < 3; i++) {
        u.seeds[i].port = (uint16_t)(i + 1);
        swim_seed_take(&u, &u.seeds[i], found_of(i == 0 ? 32 : i, 0));
    }
    assert_int_equal(swim_seeds_collect(&u, list), SWIM_SEEDS_MAX);
    assert_int_equal(list[0].port, 1);
    assert_int_equal(list[1].port, 2);
    assert_int_equal(list[2].port, 3);
    assert_int_equal(list[3].port, 1);
    assert_int_equal(list[4].port, 3);
    assert_int_equal(list[5].port, 1);
    assert_int_equal(list[SWIM_SEEDS_MAX - 1].port, 1);
    swim_seed_take(&u, &u.seeds[0], found_of(1, 0));
    u.known_count = 1;
    u.known[0].port = 4;
    assert_int_equal(swim_seeds_collect(&u, list), 5);
    assert_int_equal(list[4].port, 4);
}

/* All the names may lead to where nobody is any more. */
static void where_others_were_is_asked_however_many_seeds_there_are(void **s)
{
    struct swim_addr list[SWIM_SEEDS_MAX];
    static struct swim_udp u;

    (void)s;
    u.family = AF_INET6;
    u.seed_count = 2;
    for (size_t i = 0; i < 2; i++) {
        u.seeds[i].port = 1;
        swim_seed_take(&u, &u.seeds[i], found_of(SWIM_SEEDS_MAX, 0));
    }
    for (size_t known = 0; known <= SWIM_KNOWN_MAX; known++) {
        const size_t seeds = SWIM_SEEDS_MAX - known;

        u.known_count = known;
        for (size_t i = 0; i < known; i++)
            u.known[i].port = (uint16_t)(2 + i);
        assert_int_equal(swim_seeds_collect(&u, list), SWIM_SEEDS_MAX);
        for (size_t i = 0; i < seeds; i++)
            assert_int_equal(list[i].port, 1);
        for (size_t i = 0; i < known; i++)
            assert_int_equal(list[seeds + i].port, 2 + i);
    }
}

static void a_close_while_names_are_looked_up_waits_for_that(void **s)
{
    const struct swim_seed seed = {.host = "no-such-host.invalid", .port = 1};
    struct swim_udp_options o;
    struct udp_world w;

    (void)s;
    udp_world_open(&w);
    o = udp_options_of(&w, 0);
    o.seeds = &seed;
    o.seed_count = 1;
    (void)udp_open_node(&w, &o);
    udp_world_close(&w);
}

/* ---- Leaving ---- */

static bool all_but_the_first_saw_it_leave(struct udp_world *w)
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
    struct udp_world w;
    uint16_t port;

    (void)s;
    udp_world_open(&w);
    o = udp_options_of(&w, 0);
    port = udp_open_node(&w, &o);
    for (unsigned i = 1; i < 3; i++) {
        o = udp_options_of(&w, port);
        (void)udp_open_node(&w, &o);
    }
    udp_run_until(&w, is_whole);
    swim_udp_leave(w.nodes[0].udp);
    udp_run_until(&w, all_but_the_first_saw_it_leave);
    udp_world_close(&w);
}

/* ---- What we say ---- */

static bool is_role_known(struct udp_world *w)
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
    struct udp_world w;
    uint16_t port;

    (void)s;
    udp_world_open(&w);
    o = udp_options_of(&w, 0);
    port = udp_open_node(&w, &o);
    o = udp_options_of(&w, port);
    (void)udp_open_node(&w, &o);
    udp_run_until(&w, is_whole);
    assert_int_equal(swim_udp_say(w.nodes[0].udp, &about), 0);
    udp_run_until(&w, is_role_known);
    assert_true(swim_find(swim_udp_swim(w.nodes[1].udp), "a", &m));
    assert_string_equal(m.peer, "other:9000");
    assert_int_equal(m.gossip.port, port); /* as it was */
    memset(about.zone, ' ', 3);
    assert_int_equal(swim_udp_say(w.nodes[0].udp, &about), -EINVAL);
    udp_world_close(&w);
}

/* ---- Strangers ---- */

static bool are_four_malformed(struct udp_world *w)
{
    return udp_status(w, 0).counters.malformed == 4;
}

static void datagrams_of_any_bytes_are_counted_and_change_nothing(void **s)
{
    static uint8_t bytes[4096];
    static const size_t sizes[] = {1, 100, SWIM_PACKET_BYTES_MAX + 1,
                                   sizeof bytes};
    struct swim_udp_options o;
    struct sockaddr_in to;
    struct udp_world w;
    int fd;

    (void)s;
    udp_world_open(&w);
    o = udp_options_of(&w, 0);
    to = udp_address_of(udp_open_node(&w, &o));
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(sendto(fd, bytes, sizes[i], 0,
                                (const struct sockaddr *)&to, sizeof to),
                         sizes[i]);
    udp_run_until(&w, are_four_malformed);
    assert_int_equal(udp_status(&w, 0).members, 1);
    assert_int_equal(close(fd), 0);
    udp_world_close(&w);
}

/* ---- Where we are ---- */

static int elsewhere; /* our socket */
static uint8_t heard[SWIM_PACKET_BYTES_MAX];
static ssize_t heard_size;

static bool is_heard_elsewhere(struct udp_world *w)
{
    (void)w;
    heard_size = recv(elsewhere, heard, sizeof heard, MSG_DONTWAIT);
    return heard_size >= 0;
}

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
        skip_as("this host has no address but its own loopback");
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
                                   .label = udp_label(),
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

static struct swim_addr open_anywhere(struct udp_world *w)
{
    struct swim_udp_options o = udp_options_of(w, 0);
    struct swim_addr at;

    assert_int_equal(swim_addr_parse("127.0.0.1", &at), 0);
    o.bind_addr = "::";
    o.swim.about.peer[0] = '\0'; /* not known, either */
    at.port = udp_open_node(w, &o);
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
    struct udp_world w;

    (void)s;
    elsewhere = bind_elsewhere(&own);
    udp_world_open(&w);
    news.gossip = own;
    own.port = open_anywhere(&w).port;
    tell_news(elsewhere, &own, &news);
    udp_run_until(&w, is_heard_elsewhere);
    is_told(&own, own.port);
    assert_int_equal(w.nodes[0].found, 1);
    assert_int_equal(close(elsewhere), 0);
    udp_world_close(&w);
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
    struct udp_world w;
    int fd;

    (void)s;
    elsewhere = bind_elsewhere(&news.gossip);
    udp_world_open(&w);
    here = open_anywhere(&w);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    tell_news(fd, &here, &news);
    udp_run_until(&w, is_heard_elsewhere);
    is_told(&news.gossip, here.port);
    assert_int_equal(close(fd), 0);
    assert_int_equal(close(elsewhere), 0);
    udp_world_close(&w);
}

static bool is_one_malformed(struct udp_world *w)
{
    return udp_status(w, 0).counters.malformed == 1;
}

/* It may have come on a way that no member takes. */
static void what_is_no_gossip_does_not_show_where_we_are(void **s)
{
    struct sockaddr_storage to;
    struct swim_addr own;
    struct udp_world w;

    (void)s;
    elsewhere = bind_elsewhere(&own);
    udp_world_open(&w);
    own.port = open_anywhere(&w).port;
    assert_true(swim_addr_to(&own, AF_INET, &to));
    assert_int_equal(sendto(elsewhere, "hello", 5, 0, (struct sockaddr *)&to,
                            sizeof(struct sockaddr_in)),
                     5);
    udp_run_until(&w, is_one_malformed);
    assert_int_equal(w.nodes[0].found, 0);
    assert_true(swim_udp_is_lost(w.nodes[0].udp));
    assert_int_equal(close(elsewhere), 0);
    udp_world_close(&w);
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
        unit(each_seed_is_looked_up_in_the_first_round),
        unit(who_is_elsewhere_is_found_where_it_was),
        unit(more_than_can_be_known_is_refused),
        unit(of_a_name_is_asked_what_the_socket_can_go_to),
        unit(that_a_name_has_too_many_is_noted_when_it_begins),
        unit(each_name_has_its_share_of_those_that_are_asked),
        unit(where_others_were_is_asked_however_many_seeds_there_are),
        unit(a_close_while_names_are_looked_up_waits_for_that),
        unit(who_leaves_is_told_when_others_know),
        unit(what_is_said_later_reaches_the_others),
        unit(datagrams_of_any_bytes_are_counted_and_change_nothing),
        unit(who_is_told_that_it_is_dead_answers_with_its_address),
        unit(nobody_elsewhere_is_told_of_the_loopback),
        unit(what_is_no_gossip_does_not_show_where_we_are),
        unit(addresses_survive_the_way_to_the_kernel_and_back),
    };

    return cmocka_run_group_tests_name("gossip/udp", tests, NULL, NULL);
}
