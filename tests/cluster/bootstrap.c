/* Nodes that are told nothing but where to look, and how many they will be,
 * become one cluster, in whatever order they start: by addresses, and by one
 * name that stands for all of them, as AAAA records alone, and as A records
 * beside more AAAA records than there are nodes. And no name server's silence
 * keeps a node from anything else.
 *
 * BOOTSTRAP_ROUNDS: how often, each in an order of its own, 3. SEED: which
 * orders. BOOTSTRAP_ELECTIONS: how many election timeouts (of 240 ms) it may
 * take from the last start until all serve; 0, the default: it is printed. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rand.h"
#include "tests/lib/cluster.h"
#include "tests/lib/netns.h"
#include "tests/lib/process.h"
#include "tests/lib/skip.h"
#include "tests/lib/worker.h"

#define NODES 5
#define NAMES_HOST NODES /* serves names */
#define ELECTION_MS 240u
#define START_MS_MAX 400 /* between two starts */
#define ROUNDS_MAX 1000u
#define READY_MS_MAX 60000
#define LOOK_MS 5
#define ANSWER_MS_MAX 1000
#define SETTINGS 6
#define SETTING_BYTES 256
#define GOSSIP_PORT 7946
#define PEER_PORT 9000
#define NAME "seeds.test"
#define OTHERS 12 /* IPv6 addresses that nobody has */

/* What each node is told. */
struct told {
    char texts[NODES][SETTINGS][SETTING_BYTES];
    const char *lists[NODES][SETTINGS + 1];
};

static struct netns *hosts;
static struct px_rand rand_orders;

/* ---- What they are told ---- */

__attribute__((format(printf, 3, 4))) static void tell(struct told *t, int node,
                                                       const char *format, ...)
{
    va_list args;
    int i = 0;

    while (t->lists[node][i] != NULL)
        i++;
    assert_true(i < SETTINGS);
    va_start(args, format);
    (void)vsnprintf(t->texts[node][i], SETTING_BYTES, format, args);
    va_end(args);
    t->lists[node][i] = t->texts[node][i];
}

static void tell_all(struct told *t, const char *seeds)
{
    for (int i = 0; i < NODES; i++) {
        tell(t, i, "PEERS=");
        tell(t, i, "SEEDS=%s", seeds);
        tell(t, i, "BOOTSTRAP_EXPECT=%d", NODES);
        tell(t, i, "BIND_PORT=%d", GOSSIP_PORT);
    }
}

/* ---- One round ---- */

static void shuffle(int *order)
{
    for (int i = NODES - 1; i > 0; i--) {
        int j = (int)px_rand_below(&rand_orders, (uint64_t)i + 1);
        int node = order[i];

        order[i] = order[j];
        order[j] = node;
    }
}

static void start_in_any_order(struct cluster *c)
{
    int order[NODES] = {0, 1, 2, 3, 4};

    shuffle(order);
    for (int i = 0; i < NODES; i++) {
        cluster_restart(c, order[i]);
        if (i + 1 < NODES && px_rand_below(&rand_orders, 2) == 0)
            pause_ms((unsigned)px_rand_below(&rand_orders, START_MS_MAX));
    }
}

static bool all_are_ready(struct cluster *c)
{
    for (int i = 0; i < cluster_nodes(c); i++) {
        if (!cluster_is_ready(c, i))
            return false;
    }
    return true;
}

/* How long that takes, ms. */
static unsigned wait_all_ready(struct cluster *c)
{
    uint64_t begin = now_ms();

    while (!all_are_ready(c)) {
        cluster_check_runs(c);
        if (now_ms() > begin + READY_MS_MAX)
            fail_msg("no cluster of all after %d ms", READY_MS_MAX);
        pause_ms(LOOK_MS);
    }
    return (unsigned)(now_ms() - begin);
}

/* All say the same of it: its id, and how many vote. */
static void check_is_one(struct cluster *c)
{
    char first[32] = "";

    for (int i = 0; i < cluster_nodes(c); i++) {
        json_t *status = cluster_status(c, i);
        const char *id = json_string_value(json_object_get(status, "cluster"));

        assert_non_null(id);
        if (i == 0)
            (void)snprintf(first, sizeof first, "%s", id);
        assert_string_equal(id, first);
        assert_int_equal(json_array_size(json_object_get(status, "members")),
                         cluster_nodes(c));
        json_decref(status);
    }
}

/* How long it took, ms; more than @allowed fails the test, unless that is 0. */
static unsigned one_round(const struct told *t, unsigned allowed)
{
    struct cluster_options options = {.nodes = NODES, .hosts = hosts};
    struct cluster *c;
    unsigned ms;

    for (int i = 0; i < NODES; i++)
        options.settings[i] = t->lists[i];
    c = cluster_prepare(&options);
    start_in_any_order(c);
    ms = wait_all_ready(c);
    check_is_one(c);
    if (allowed != 0 && ms > allowed)
        fail_msg("one cluster after %u ms, not %u", ms, allowed);
    cluster_stop(c);
    assert_int_equal(cluster_teardown(NULL), 0);
    return ms;
}

static int by_size(const void *a, const void *b)
{
    const unsigned *x = a;
    const unsigned *y = b;

    return (*x > *y) - (*x < *y);
}

static void rounds(const struct told *t, const char *how)
{
    unsigned allowed = env_number("BOOTSTRAP_ELECTIONS", 0) * ELECTION_MS;
    unsigned count = env_number("BOOTSTRAP_ROUNDS", 3);
    unsigned ms[ROUNDS_MAX];

    assert_true(count > 0 && count <= ROUNDS_MAX);
    for (unsigned i = 0; i < count; i++)
        ms[i] = one_round(t, allowed);
    qsort(ms, count, sizeof ms[0], by_size);
    print_message("             %s: one cluster, from the last start: median "
                  "%u ms, worst %u ms, of %u\n",
                  how, ms[count / 2], ms[count - 1], count);
}

/* ---- Addresses ---- */

static void by_addresses_they_become_one_cluster(void **state)
{
    struct told t = {.lists = {{NULL}}};
    char seeds[SETTING_BYTES] = "";
    size_t used = 0;

    (void)state;
    for (int i = 0; i < NODES; i++) {
        char address[NETNS_ADDRESS_BYTES];

        netns_address(i, address);
        used += (size_t)snprintf(seeds + used, sizeof seeds - used, "%s%s:%d",
                                 i > 0 ? "," : "", address, GOSSIP_PORT);
    }
    tell_all(&t, seeds);
    rounds(&t, "addresses");
}

/* ---- Names ---- */

/* Servers are started by a script, so that each finds the server of names: its
 * resolv.conf lies over the machine's in a mount namespace of its own. */
struct names {
    char dir[GUARD_PATH_MAX];
    char hosts_file[GUARD_PATH_MAX + 8];
    char resolv_conf[GUARD_PATH_MAX + 8];
    char script[GUARD_PATH_MAX + 8];
    pid_t pid;
};

static struct names names;
static const char *real_server;

__attribute__((format(printf, 3, 4))) static void
write_file(const char *path, mode_t mode, const char *format, ...)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, mode);
    va_list args;

    assert_return_code(fd, errno);
    va_start(args, format);
    assert_true(vdprintf(fd, format, args) > 0);
    va_end(args);
    (void)close(fd);
}

static void write_files(struct names *n, const char *resolver_options)
{
    const char *tmp = getenv("TMPDIR");
    char address[NETNS_ADDRESS_BYTES];

    (void)snprintf(n->dir, sizeof n->dir, "%s/phalanx-names-XXXXXX",
                   tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(n->dir));
    (void)snprintf(n->hosts_file, sizeof n->hosts_file, "%s/hosts", n->dir);
    (void)snprintf(n->resolv_conf, sizeof n->resolv_conf, "%s/resolv", n->dir);
    (void)snprintf(n->script, sizeof n->script, "%s/server", n->dir);
    netns_address(NAMES_HOST, address);
    write_file(n->resolv_conf, 0644, "nameserver %s\noptions %s\n", address,
               resolver_options);
    write_file(n->script, 0755,
               "#!/bin/sh\n"
               "[ -n \"$INSIDE\" ] || exec env INSIDE=1 unshare --mount "
               "--propagation private \"$0\" \"$@\"\n"
               "mount --bind %s \"$(readlink -f /etc/resolv.conf)\" || exit 1\n"
               "exec %s \"$@\"\n",
               n->resolv_conf, real_server);
}

static void add_record(const struct names *n, const char *address)
{
    write_file(n->hosts_file, 0644, "%s " NAME "\n", address);
}

/* Asks for the AAAA records of NAME: is there an answer that has some? */
static bool answers(int fd)
{
    static const char query[] = "px\1\0\0\1\0\0\0\0\0\0" /* one question */
                                "\5seeds\4test\0"
                                "\0\34\0\1"; /* AAAA, IN */
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint8_t answer[512];
    ssize_t got;

    if (send(fd, query, sizeof query - 1, 0) < 0)
        return false; /* the last one has been refused */
    if (poll(&p, 1, ANSWER_MS_MAX) != 1)
        return false;
    got = recv(fd, answer, sizeof answer, 0);
    return got > (ssize_t)sizeof query - 1 &&
           (answer[6] != 0 || answer[7] != 0);
}

static void await_names(void)
{
    uint64_t deadline = now_ms() + READY_MS_MAX;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(53)};
    char address[NETNS_ADDRESS_BYTES];
    int fd = netns_socket(hosts, 0, SOCK_DGRAM);

    netns_address(NAMES_HOST, address);
    assert_int_equal(inet_pton(AF_INET, address, &at.sin_addr), 1);
    assert_return_code(connect(fd, (struct sockaddr *)&at, sizeof at), errno);
    while (!answers(fd)) {
        if (now_ms() > deadline)
            fail_msg("the server of names does not answer");
        pause_ms(LOOK_MS);
    }
    (void)close(fd);
}

/* It serves when this returns. */
static void start_names(struct names *n)
{
    char address[NETNS_ADDRESS_BYTES];
    char listen[64];
    char file[GUARD_PATH_MAX + 32];
    const char *const argv[] = {"dnsmasq",
                                "--keep-in-foreground",
                                "--no-hosts",
                                "--no-resolv",
                                "--conf-file=/dev/null",
                                "--pid-file=",
                                "--user=root",
                                "--bind-interfaces",
                                listen,
                                file,
                                NULL};

    netns_address(NAMES_HOST, address);
    (void)snprintf(listen, sizeof listen, "--listen-address=%s", address);
    (void)snprintf(file, sizeof file, "--addn-hosts=%s", n->hosts_file);
    n->pid = process_start(&(struct process_options){
        .argv = argv, .net_fd = netns_fd(hosts, NAMES_HOST)});
    assert_true(n->pid > 0);
    await_names();
}

static int end_names(void **state)
{
    (void)cluster_teardown(state);
    if (names.pid > 0) {
        (void)kill(names.pid, SIGKILL);
        (void)process_wait(names.pid, READY_MS_MAX);
    }
    if (real_server != NULL)
        (void)setenv("PHALANX_SERVER", real_server, 1);
    if (names.dir[0] != '\0') {
        (void)unlink(names.hosts_file);
        (void)unlink(names.resolv_conf);
        (void)unlink(names.script);
        (void)rmdir(names.dir);
    }
    memset(&names, 0, sizeof names);
    return 0;
}

static bool can_serve_names(void)
{
    const char *const argv[] = {"dnsmasq", "--version", NULL};
    struct process_result r;

    process_run(&(struct process_options){.argv = argv}, READY_MS_MAX, &r);
    return r.status == 0;
}

static void need_names(void)
{
    if (can_serve_names() && netns_has_ipv6(hosts))
        return;
    skip_as("it needs dnsmasq (dnsmasq-base), and IPv6");
}

/* Servers are the script's from now on. Mounts made in a mount namespace of its
 * own are not seen outside: these nodes have none. */
static void run_by_script(struct names *n, const char *resolver_options)
{
    real_server = getenv("PHALANX_SERVER");
    assert_non_null(real_server);
    write_files(n, resolver_options);
    assert_int_equal(setenv("PHALANX_SERVER", n->script, 1), 0);
}

static void begin_by_name(struct told *t)
{
    need_names();
    run_by_script(&names, "timeout:1");
    tell_all(t, NAME);
    for (int i = 0; i < NODES; i++)
        tell(t, i, "MOUNT=");
}

static void by_a_name_with_ipv6_addresses_they_become_one_cluster(void **state)
{
    struct told t = {.lists = {{NULL}}};

    (void)state;
    begin_by_name(&t);
    for (int i = 0; i < NODES; i++) {
        char address[NETNS_ADDRESS_BYTES];

        netns_address6(i, address);
        add_record(&names, address);
        tell(&t, i, "GRPC_ADDR=[%s]:%d", address, PEER_PORT);
    }
    start_names(&names);
    rounds(&t, "a name");
}

/* They speak IPv4 alone, and the resolver puts what they can't use first. */
static void by_a_name_with_addresses_of_both_kinds_they_become_one(void **state)
{
    struct told t = {.lists = {{NULL}}};

    (void)state;
    begin_by_name(&t);
    for (int i = 0; i < NODES; i++) {
        char address[NETNS_ADDRESS_BYTES];

        netns_address(i, address);
        add_record(&names, address);
    }
    for (int i = 0; i < OTHERS; i++) {
        char address[NETNS_ADDRESS_BYTES];

        (void)snprintf(address, sizeof address, "fd77::%x", 0x100 + i);
        add_record(&names, address);
    }
    start_names(&names);
    rounds(&t, "a name of both kinds");
}

/* ---- A name server that says nothing ---- */

/* Where queries come to lie. */
static int open_silence(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(53)};
    int fd = netns_socket(hosts, NAMES_HOST, SOCK_DGRAM);

    assert_return_code(bind(fd, (struct sockaddr *)&at, sizeof at), errno);
    return fd;
}

static void await_query(int silence)
{
    struct pollfd p = {.fd = silence, .events = POLLIN};

    assert_int_equal(poll(&p, 1, READY_MS_MAX), 1);
}

/* Gossip, and so the lookup, begins before HTTP listens. */
static void await_health(struct cluster *c, int i, const char *word)
{
    uint64_t deadline = now_ms() + READY_MS_MAX;
    char page[1024] = "";

    while (cluster_get(c, i, "/health", page, sizeof page) < 0 ||
           strstr(page, word) == NULL) {
        cluster_check_runs(c);
        if (now_ms() > deadline)
            fail_msg("node-%d does not say \"%s\", but: %s", i, word, page);
        pause_ms(LOOK_MS);
    }
}

/* The first looks up a name, which takes 150 s here, until it is given up. It
 * says for whom it waits; the other finds it, they found, and serve. */
static void while_a_name_is_looked_up_all_else_goes_on(void **state)
{
    struct told t = {.lists = {{NULL}}};
    struct cluster_options options = {.nodes = 2, .hosts = hosts};
    char first[NETNS_ADDRESS_BYTES];
    struct cluster *c;
    int silence;

    (void)state;
    run_by_script(&names, "timeout:30 attempts:5");
    silence = open_silence();
    netns_address(0, first);
    for (int i = 0; i < 2; i++) {
        tell(&t, i, "PEERS=");
        tell(&t, i, "SEEDS=%s", i == 0 ? NAME : first);
        tell(&t, i, "BOOTSTRAP_EXPECT=2");
        tell(&t, i, "BIND_PORT=%d", GOSSIP_PORT);
        tell(&t, i, "MOUNT=");
        options.settings[i] = t.lists[i];
    }
    c = cluster_prepare(&options);
    cluster_restart(c, 0);
    await_query(silence);
    await_health(c, 0, "waiting for 1 more");
    cluster_restart(c, 1);
    (void)wait_all_ready(c);
    check_is_one(c);
    cluster_kill_all(c); /* an end in order waits for the lookup */
    cluster_stop(c);
    (void)close(silence);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(by_addresses_they_become_one_cluster,
                                  cluster_teardown),
        cmocka_unit_test_teardown(
            by_a_name_with_ipv6_addresses_they_become_one_cluster, end_names),
        cmocka_unit_test_teardown(
            by_a_name_with_addresses_of_both_kinds_they_become_one, end_names),
        cmocka_unit_test_teardown(while_a_name_is_looked_up_all_else_goes_on,
                                  end_names),
    };
    unsigned seed = env_number("SEED", (unsigned)getpid());
    int rc;

    hosts = netns_new(NODES + 1);
    (void)printf("             SEED=%u\n", seed);
    px_rand_init(&rand_orders, seed);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    netns_free(hosts);
    return rc;
}
