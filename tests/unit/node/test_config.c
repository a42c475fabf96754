/* node/config*.c: what is accepted, what holds when nothing is said, and the
 * sentence for everything else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/config.h"

#define ARGUMENTS_MAX 16

struct load {
    struct config config;
    char why[512];
};

/* Loads from @words, flags and VARIABLE=value mixed, NULL at the end. */
static enum config_verdict load(struct load *l, const char *const *words)
{
    char *argv[ARGUMENTS_MAX + 1] = {(char *)(uintptr_t) "phalanx-server"};
    char *environment[ARGUMENTS_MAX + 1] = {NULL};
    int argc = 1;
    int variables = 0;

    for (; *words != NULL; words++) {
        char *word = (char *)(uintptr_t)*words; /* getopt_long only reads it */

        assert_true(argc + variables < ARGUMENTS_MAX);
        if (word[0] >= 'A' && word[0] <= 'Z')
            environment[variables++] = word;
        else
            argv[argc++] = word;
    }
    l->why[0] = '\0';
    return config_load(argc, argv, environment, &l->config, l->why,
                       sizeof l->why);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void loads(struct load *l, const char *const *words)
{
    if (load(l, words) != CONFIG_RUN)
        fail_msg("refused: %s", l->why);
}

/* Refused with one sentence, on one line, that holds @part. */
static void refuses(const char *part, const char *const *words)
{
    struct load l;

    assert_int_equal(load(&l, words), CONFIG_BAD);
    if (strstr(l.why, part) == NULL)
        fail_msg("\"%s\" is not in: %s", part, l.why);
    assert_null(strchr(l.why, '\n'));
}

#define THREE "PEERS=a=h1:1001,b=h2:1002,c=h3:1003"

static void defaults_are_a_cluster_of_one_on_the_documented_ports(void **state)
{
    struct load l;

    (void)state;
    loads(&l, WORDS("NODE_ID=a"));
    assert_string_equal(l.config.node, "a");
    assert_int_equal(l.config.peer_count, 1);
    assert_string_equal(l.config.peers[0].name, "a");
    assert_true(l.config.peers[0].id == l.config.id);
    assert_string_equal(l.config.peers[0].address, "");
    assert_string_equal(l.config.cluster_name, "phalanx");
    assert_string_equal(l.config.mount, "");
    assert_false(l.config.strict_truncate);
    assert_string_equal(l.config.grpc_addr, "[::]:9000");
    assert_string_equal(l.config.debug_addr, "[::]:8080");
    assert_int_equal(l.config.tick, 200 * PX_NS_PER_MS);
    assert_int_equal(l.config.election_ticks, 20);
    assert_int_equal(l.config.heartbeat_ticks, 5);
    assert_int_equal(l.config.log_level, PX_NOTE_INFO);
    assert_int_equal(l.config.quota_bytes, UINT64_C(8) << 30);
    assert_false(l.config.distrust_state);
}

static void the_host_name_names_a_node_that_is_not_named(void **state)
{
    char host[256] = "";
    struct load l;

    (void)state;
    assert_return_code(gethostname(host, sizeof host - 1), 0);
    loads(&l, WORDS("CLUSTER=x"));
    assert_string_equal(l.config.node, host);
}

static void every_setting_is_taken_from_the_environment(void **state)
{
    struct load l;

    (void)state;
    loads(&l,
          WORDS("NODE_ID=b", THREE, "CLUSTER=blue", "DATA_DIR=/d", "MOUNT=/m",
                "MOUNT_OPTIONS=trunc=strict", "GRPC_ADDR=127.0.0.1:7000",
                "DEBUG_ADDR=[::1]:7001", "TICK_MS=20", "ELECTION=12",
                "HEARTBEAT=3", "REQUEST_TIMEOUT_MS=1500", "LOG_LEVEL=debug",
                "QUOTA_BYTES=512M"));
    assert_string_equal(l.config.node, "b");
    assert_int_equal(l.config.peer_count, 3);
    assert_string_equal(l.config.cluster_name, "blue");
    assert_string_equal(l.config.data_dir, "/d");
    assert_string_equal(l.config.mount, "/m");
    assert_true(l.config.strict_truncate);
    assert_string_equal(l.config.grpc_addr, "127.0.0.1:7000");
    assert_string_equal(l.config.debug_addr, "[::1]:7001");
    assert_int_equal(l.config.tick, 20 * PX_NS_PER_MS);
    assert_int_equal(l.config.election_ticks, 12);
    assert_int_equal(l.config.heartbeat_ticks, 3);
    assert_int_equal(l.config.request_timeout, 1500 * PX_NS_PER_MS);
    assert_int_equal(l.config.log_level, PX_NOTE_DEBUG);
    assert_int_equal(l.config.quota_bytes, UINT64_C(512) << 20);
}

static void a_flag_wins_over_its_variable(void **state)
{
    struct load l;

    (void)state;
    loads(&l, WORDS("NODE_ID=a", "--node-id", "b", "--mount=/m2", "MOUNT=/m1",
                    "ELECTION=bad", "--election", "40", "--distrust-state"));
    assert_string_equal(l.config.node, "b");
    assert_string_equal(l.config.mount, "/m2");
    assert_int_equal(l.config.election_ticks, 40);
    assert_true(l.config.distrust_state);
}

static void an_empty_value_is_no_value(void **state)
{
    struct load l;

    (void)state;
    loads(&l, WORDS("NODE_ID=a", "PEERS=", "MOUNT=", "GRPC_ADDR=", "TICK_MS=",
                    "SEEDS=", "--election", ""));
    assert_int_equal(l.config.peer_count, 1);
    assert_string_equal(l.config.grpc_addr, "[::]:9000");
    assert_int_equal(l.config.election_ticks, 20);
}

static void paths_are_made_absolute(void **state)
{
    char cwd[CONFIG_TEXT_MAX];
    char expected[CONFIG_TEXT_MAX + 16];
    struct load l;

    (void)state;
    assert_non_null(getcwd(cwd, sizeof cwd));
    loads(&l, WORDS("NODE_ID=a", "MOUNT=./mnt", "DATA_DIR=data"));
    (void)snprintf(expected, sizeof expected, "%s/mnt", cwd);
    assert_string_equal(l.config.mount, expected);
    (void)snprintf(expected, sizeof expected, "%s/data", cwd);
    assert_string_equal(l.config.data_dir, expected);
}

static void data_lies_in_slash_data_or_beside_us(void **state)
{
    char expected[CONFIG_TEXT_MAX + 16] = "/data";
    char cwd[CONFIG_TEXT_MAX];
    struct stat st;
    struct load l;

    (void)state;
    assert_non_null(getcwd(cwd, sizeof cwd));
    if (stat("/data", &st) < 0 || !S_ISDIR(st.st_mode))
        (void)snprintf(expected, sizeof expected, "%s/phalanx-data", cwd);
    loads(&l, WORDS("NODE_ID=a"));
    assert_string_equal(l.config.data_dir, expected);
}

static void our_own_address_in_peers_is_where_we_listen(void **state)
{
    struct load l;

    (void)state;
    loads(&l, WORDS("NODE_ID=b", THREE));
    assert_string_equal(l.config.grpc_addr, "[::]:1002");
    loads(&l, WORDS("NODE_ID=b", THREE, "--grpc-addr", "127.0.0.1:5"));
    assert_string_equal(l.config.grpc_addr, "127.0.0.1:5");
    loads(&l, WORDS("NODE_ID=b", "PEERS=a=h1:1001,b"));
    assert_string_equal(l.config.grpc_addr, "[::]:9000");
}

static void http_can_be_turned_off(void **state)
{
    struct load l;

    (void)state;
    loads(&l, WORDS("NODE_ID=a", "DEBUG_ADDR=off"));
    assert_string_equal(l.config.debug_addr, "");
}

static void peers_may_have_blanks_names_and_ipv6(void **state)
{
    struct load l;

    (void)state;
    loads(&l, WORDS("NODE_ID=n.1", "PEERS= n.1=[fe80::1]:9 , "
                                   "n-2=node-2.local:9,\n n_3=10.0.0.3:9"));
    assert_int_equal(l.config.peer_count, 3);
    assert_string_equal(l.config.peers[0].name, "n-2");
    assert_string_equal(l.config.peers[0].address, "node-2.local:9");
    assert_string_equal(l.config.peers[1].name, "n.1");
    assert_string_equal(l.config.peers[1].address, "[fe80::1]:9");
    assert_string_equal(l.config.peers[2].name, "n_3");
}

/* All nodes must derive the same members and the same cluster id, however
 * their lists are ordered, and whatever addresses they know. */
static void the_order_of_peers_does_not_matter(void **state)
{
    struct load a;
    struct load b;

    (void)state;
    loads(&a, WORDS("NODE_ID=a", THREE));
    loads(&b, WORDS("NODE_ID=b", "PEERS=c=x:3,a=y:1,b"));
    assert_true(a.config.cluster == b.config.cluster);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(a.config.peers[i].name, b.config.peers[i].name);
        assert_true(a.config.peers[i].id == b.config.peers[i].id);
        assert_true(a.config.peers[i].id != 0);
    }
    assert_true(a.config.id != b.config.id);
}

static void another_name_or_another_voter_is_another_cluster(void **state)
{
    struct load base;
    struct load other;

    (void)state;
    loads(&base, WORDS("NODE_ID=a", THREE));
    loads(&other, WORDS("NODE_ID=a", THREE, "CLUSTER=blue"));
    assert_true(base.config.cluster != other.config.cluster);
    loads(&other, WORDS("NODE_ID=a", THREE ",d=h4:1"));
    assert_true(base.config.cluster != other.config.cluster);
    loads(&other, WORDS("NODE_ID=a"));
    assert_true(base.config.cluster != other.config.cluster);
}

static void requests_outlast_two_elections(void **state)
{
    struct load l;

    (void)state;
    loads(&l, WORDS("NODE_ID=a")); /* elections of up to 8 s */
    assert_int_equal(l.config.request_timeout, 16 * PX_NS_PER_S);
    loads(&l, WORDS("NODE_ID=a", "TICK_MS=20", "ELECTION=12", "HEARTBEAT=3"));
    assert_int_equal(l.config.request_timeout, 5 * PX_NS_PER_S);
}

static void numbers_are_whole_and_within_bounds(void **state)
{
    static const char *const bad[] = {
        "TICK_MS=0",       "TICK_MS=-1",     "TICK_MS=abc",
        "TICK_MS=20ms",    "TICK_MS=1.5",    "TICK_MS= 20",
        "TICK_MS=+20",     "TICK_MS=0x10",   "TICK_MS=10001",
        "ELECTION=0",      "ELECTION=99999", "ELECTION=18446744073709551617",
        "HEARTBEAT=0",     "HEARTBEAT=2501", "HEARTBEAT=three",
        "ELECTION=20 000",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refuses("write a whole number from 1 to ", WORDS("NODE_ID=a", bad[i]));
    refuses("--tick-ms is \"x\"", WORDS("NODE_ID=a", "--tick-ms", "x"));
    refuses("TICK_MS is \"x\"", WORDS("NODE_ID=a", "TICK_MS=x"));
}

/* Or a stranger's read would end before its patience with a staged open. */
static void requests_have_a_second_at_least(void **state)
{
    static const char *const bad[] = {
        "REQUEST_TIMEOUT_MS=0",
        "REQUEST_TIMEOUT_MS=999",
        "REQUEST_TIMEOUT_MS=3600001",
        "REQUEST_TIMEOUT_MS=1s",
    };
    struct load l;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refuses("write a whole number from 1000 to 3600000",
                WORDS("NODE_ID=a", bad[i]));
    loads(&l, WORDS("NODE_ID=a", "REQUEST_TIMEOUT_MS=1000"));
    assert_int_equal(l.config.request_timeout, PX_NS_PER_S);
}

static void an_election_lasts_at_least_four_heartbeats(void **state)
{
    struct load l;

    (void)state;
    refuses("an ELECTION of at least 20", WORDS("NODE_ID=a", "ELECTION=19"));
    refuses("an ELECTION of at least 24", WORDS("NODE_ID=a", "HEARTBEAT=6"));
    loads(&l, WORDS("NODE_ID=a", "ELECTION=24", "HEARTBEAT=6"));
}

static void a_bad_address_is_refused_with_an_example(void **state)
{
    static const char *const bad[] = {
        "GRPC_ADDR=9000",     "GRPC_ADDR=host",  "GRPC_ADDR=host:",
        "GRPC_ADDR=host:0",   "GRPC_ADDR=::1:9", "GRPC_ADDR=host:65536",
        "DEBUG_ADDR=host:8x", "DEBUG_ADDR=on",   "DEBUG_ADDR=[::1:9",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refuses("write host:port, as 10.0.0.1:9000",
                WORDS("NODE_ID=a", bad[i]));
}

static void two_listeners_need_two_ports(void **state)
{
    struct load l;

    (void)state;
    refuses("both use port 8080", WORDS("NODE_ID=a", "GRPC_ADDR=:8080"));
    refuses("both use port 8", WORDS("NODE_ID=a", "GRPC_ADDR=127.0.0.1:8",
                                     "DEBUG_ADDR=127.0.0.1:8"));
    loads(&l, WORDS("NODE_ID=a", "GRPC_ADDR=127.0.0.1:8",
                    "DEBUG_ADDR=127.0.0.2:8"));
}

static void names_are_short_and_plain(void **state)
{
    static const char long_name[] =
        "NODE_ID=a234567890123456789012345678901234567890123456789012345678901"
        "234";
    struct load l;
    char longest[sizeof long_name];

    (void)state;
    refuses("NODE_ID is \"a b\"", WORDS("NODE_ID=a b"));
    refuses("NODE_ID is \"-a\"", WORDS("NODE_ID=-a"));
    refuses("NODE_ID is \"a/b\"", WORDS("NODE_ID=a/b"));
    refuses("1 to 63 letters", WORDS(long_name));
    refuses("CLUSTER is \"a,b\"", WORDS("NODE_ID=a", "CLUSTER=a,b"));
    refuses("NODE_ID is \"a?b\"", WORDS("NODE_ID=a\nb"));
    memcpy(longest, long_name, sizeof longest);
    longest[sizeof longest - 2] = '\0';
    loads(&l, WORDS(longest));
}

static void peers_are_checked_as_a_whole(void **state)
{
    (void)state;
    refuses("does not name this node, \"d\"", WORDS("NODE_ID=d", THREE));
    refuses("names \"a\" twice", WORDS("NODE_ID=a", "PEERS=a=h:1,a=h:2"));
    refuses("\"a\" and \"b\" the same address",
            WORDS("NODE_ID=a", "PEERS=a=h:1,b=h:1"));
    refuses("\"b\" a bad address", WORDS("NODE_ID=a", "PEERS=a=h:1,b=h"));
    refuses("\"b\" a bad address", WORDS("NODE_ID=a", "PEERS=a=h:1,b=:2"));
    refuses("\"b\" a bad address", WORDS("NODE_ID=a", "PEERS=a=h:1,b="));
    refuses("write name or name=host:port", WORDS("NODE_ID=a", "PEERS=a=h:1,"));
    refuses("write name or name=host:port",
            WORDS("NODE_ID=a", "PEERS=a=h:1,,b=h:2"));
    refuses("\"a\" a bad address", WORDS("NODE_ID=a", "PEERS=a=h:1;b=h:2"));
    refuses("write name or name=host:port",
            WORDS("NODE_ID=a", "--peers", "=h:1"));
    refuses("more than 16 nodes",
            WORDS("NODE_ID=a", "PEERS=a=h:1,b=h:2,c=h:3,d=h:4,e=h:5,f=h:6,"
                               "g=h:7,h=h:8,i=h:9,j=h:10,k=h:11,l=h:12,m=h:13,"
                               "n=h:14,o=h:15,p=h:16,q=h:17"));
}

static void words_are_checked(void **state)
{
    struct load l;

    (void)state;
    refuses("write error, warn, info or debug",
            WORDS("NODE_ID=a", "LOG_LEVEL=verbose"));
    refuses("write trunc=strict or trunc=staged",
            WORDS("NODE_ID=a", "MOUNT_OPTIONS=trunc=strict,rw"));
    loads(&l, WORDS("NODE_ID=a", "MOUNT_OPTIONS=trunc=strict, trunc=staged"));
    assert_false(l.config.strict_truncate);
}

static void a_quota_is_a_number_of_bytes(void **state)
{
    static const char *const bad[] = {"QUOTA_BYTES=0", "QUOTA_BYTES=8Q",
                                      "QUOTA_BYTES=-1", "QUOTA_BYTES=1.5G",
                                      "QUOTA_BYTES=1025T"};
    struct load l;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refuses("write a number of bytes up to 1024T",
                WORDS("NODE_ID=a", bad[i]));
    loads(&l, WORDS("NODE_ID=a", "--quota-bytes", "1024T"));
    assert_true(l.config.quota_bytes == PX_QUOTA_BYTES_MAX);
}

static void a_path_that_is_too_long_is_refused(void **state)
{
    char path[CONFIG_TEXT_MAX + 16];

    (void)state;
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    path[0] = '/';
    refuses("write a path of at most 4095",
            WORDS("NODE_ID=a", "--mount", path));
}

/* Rule by rule, as in config_gossip.c's head. */
static void a_node_is_alone_unless_it_is_told_of_others(void **state)
{
    struct load l;

    (void)state;
    loads(&l, WORDS("NODE_ID=a", "BOOTSTRAP_EXPECT=0"));
    assert_int_equal(l.config.peer_count, 1);
    assert_true(l.config.cluster != 0);
    assert_int_equal(l.config.seed_count, 0);
    loads(&l, WORDS("NODE_ID=a", "SEEDS=h"));
    assert_int_equal(l.config.peer_count, 0);
    assert_true(l.config.cluster == 0);
    loads(&l, WORDS("NODE_ID=a", "SEEDS=h", "BOOTSTRAP_EXPECT=3"));
    assert_int_equal(l.config.peer_count, 0);
    assert_int_equal(l.config.bootstrap_expect, 3);
    loads(&l,
          WORDS("NODE_ID=a", "GRPC_ADDR=127.0.0.1:1", "BOOTSTRAP_EXPECT=3"));
    assert_int_equal(l.config.peer_count, 0);
}

static void gossip_settings_are_taken(void **state)
{
    struct load l;

    (void)state;
    loads(&l, WORDS("NODE_ID=a", "GRPC_ADDR=10.0.0.1:9000"));
    assert_string_equal(l.config.bind_addr, "10.0.0.1");
    assert_int_equal(l.config.bind_port, 7946);
    assert_true(l.config.auto_join);
    assert_int_equal(l.config.max_voters, 5);
    assert_int_equal(l.config.auto_remove_after, 0);
    assert_string_equal(l.config.advertise, "");
    loads(&l, WORDS("NODE_ID=a", "GRPC_ADDR=n1.local:9000"));
    assert_string_equal(l.config.bind_addr, "::");
    loads(&l, WORDS("NODE_ID=a", "BIND_ADDR=::1", "BIND_PORT=1234",
                    "ADVERTISE=fd00::1", "REGION=eu-1", "AUTO_JOIN=off",
                    "MAX_VOTERS=3", "AUTO_REMOVE_AFTER=90"));
    assert_string_equal(l.config.bind_addr, "::1");
    assert_int_equal(l.config.bind_port, 1234);
    assert_string_equal(l.config.advertise, "fd00::1");
    assert_string_equal(l.config.region, "eu-1");
    assert_false(l.config.auto_join);
    assert_int_equal(l.config.max_voters, 3);
    assert_int_equal(l.config.auto_remove_after, 90 * PX_NS_PER_S);
}

static void is_seed(const struct load *l, size_t i, const char *host,
                    unsigned port)
{
    assert_true(i < l->config.seed_count);
    assert_string_equal(l->config.seeds[i].host, host);
    assert_int_equal(l->config.seeds[i].port, port);
}

static void seeds_are_hosts_with_or_without_ports(void **state)
{
    struct load l;

    (void)state;
    loads(&l, WORDS("NODE_ID=a", "SEEDS=h1, h2:5,[fd00::1]:6,[::1],fd00::2"));
    assert_int_equal(l.config.seed_count, 5);
    is_seed(&l, 0, "h1", 7946);
    is_seed(&l, 1, "h2", 5);
    is_seed(&l, 2, "fd00::1", 6);
    is_seed(&l, 3, "::1", 7946);
    is_seed(&l, 4, "fd00::2", 7946);
}

static void without_seeds_the_hosts_of_peers_are_asked(void **state)
{
    struct load l;

    (void)state;
    loads(&l, WORDS("NODE_ID=a", "BIND_PORT=99", "PEERS=a=h1:1,b=h1:2,c=h3:1"));
    assert_int_equal(l.config.seed_count, 2);
    is_seed(&l, 0, "h1", 99);
    is_seed(&l, 1, "h3", 99);
    loads(&l, WORDS("NODE_ID=a", THREE, "SEEDS=x"));
    assert_int_equal(l.config.seed_count, 1);
    is_seed(&l, 0, "x", 7946);
    /* Their ports move: all of them are asked, which no list could say. */
    loads(&l, WORDS("NODE_ID=a", "GRPC_ADDR=127.0.0.1:1",
                    "PEERS=a=127.0.0.1:1,b=localhost:2,c=[::1]:3,d"));
    assert_int_equal(l.config.seed_count, 0);
}

static void peers_without_addresses_need_a_place_to_be_looked_for(void **state)
{
    struct load l;

    (void)state;
    refuses("\"b\" without an address", WORDS("NODE_ID=a", "PEERS=a=h:1,b"));
    refuses("write b=host:port, or SEEDS=", WORDS("NODE_ID=a", "PEERS=a,b"));
    loads(&l, WORDS("NODE_ID=a", "PEERS=a,b", "SEEDS=h"));
    loads(&l, WORDS("NODE_ID=a", "PEERS=a,b,c=h:1"));
    loads(&l, WORDS("NODE_ID=a", "PEERS=a,b", "GRPC_ADDR=127.0.0.2:1"));
    assert_int_equal(l.config.peer_count, 2);
    loads(&l, WORDS("NODE_ID=a", "PEERS=a"));
}

/* Nothing but its own view would be waited for: each node with these seeds would
 * found a cluster. */
static void nobody_is_told_to_found_with_nobody_else(void **state)
{
    struct load l;

    (void)state;
    refuses("BOOTSTRAP_EXPECT is 1",
            WORDS("NODE_ID=a", "SEEDS=h", "BOOTSTRAP_EXPECT=1"));
    refuses("neither it nor SEEDS",
            WORDS("NODE_ID=a", "--bootstrap-expect", "1", "--seeds", "h"));
    refuses("neither it nor SEEDS", /* gossip looks on this machine */
            WORDS("NODE_ID=a", "GRPC_ADDR=127.0.0.1:1", "BOOTSTRAP_EXPECT=1"));
    loads(&l, WORDS("NODE_ID=a", "SEEDS=h", "BOOTSTRAP_EXPECT=2"));
    assert_int_equal(l.config.bootstrap_expect, 2);
}

static void contradictions_about_gossip_are_refused(void **state)
{
    (void)state;
    refuses("PEERS and BOOTSTRAP_EXPECT are both set",
            WORDS("NODE_ID=a", "PEERS=a=h:1,b=h:2", "BOOTSTRAP_EXPECT=2"));
    refuses("write SEEDS=", WORDS("NODE_ID=a", "BOOTSTRAP_EXPECT=3"));
    refuses("a whole number from 0 to 16",
            WORDS("NODE_ID=a", "SEEDS=h", "BOOTSTRAP_EXPECT=17"));
    refuses("a whole number from 1 to 16", WORDS("NODE_ID=a", "MAX_VOTERS=17"));
    refuses("a whole number from 1 to 16", WORDS("NODE_ID=a", "MAX_VOTERS=0"));
    refuses("a whole number from 1 to 65535",
            WORDS("NODE_ID=a", "BIND_PORT=0"));
    refuses("an IP address of this machine",
            WORDS("NODE_ID=a", "BIND_ADDR=localhost"));
    refuses("host or host:port", WORDS("NODE_ID=a", "SEEDS=h1,,h2"));
    refuses("host or host:port", WORDS("NODE_ID=a", "SEEDS=:7946"));
    refuses("host or host:port", WORDS("NODE_ID=a", "SEEDS=h:x"));
    refuses("host or host:port", WORDS("NODE_ID=a", "SEEDS=[h]:1"));
    refuses("more than 16 hosts",
            WORDS("NODE_ID=a", "SEEDS=a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"));
    refuses("without a port", WORDS("NODE_ID=a", "ADVERTISE=h:9000"));
    refuses("without a port", WORDS("NODE_ID=a", "ADVERTISE=[::1]"));
    refuses("which others can dial", WORDS("NODE_ID=a", "ADVERTISE=0.0.0.0"));
    refuses("which others can dial", WORDS("NODE_ID=a", "ADVERTISE=::"));
    refuses("which others can dial", WORDS("NODE_ID=a", "ADVERTISE=224.0.0.1"));
    refuses("which others can dial",
            WORDS("NODE_ID=a", "ADVERTISE=255.255.255.255"));
    refuses("which others can dial", WORDS("NODE_ID=a", "ADVERTISE=ff02::1"));
    refuses("which others can dial", WORDS("NODE_ID=a", "ADVERTISE=fe80::1"));
    refuses("on or off", WORDS("NODE_ID=a", "AUTO_JOIN=yes"));
    refuses("1 to 63 letters", WORDS("NODE_ID=a", "REGION=a b"));
    refuses("a whole number", WORDS("NODE_ID=a", "AUTO_REMOVE_AFTER=1h"));
}

static void arguments_that_are_no_flags_are_refused(void **state)
{
    (void)state;
    refuses("\"/mnt\" is left over", WORDS("/mnt"));
    refuses("\"x\" is left over", WORDS("--mount", "/m", "x"));
    refuses("--bogus is not a flag", WORDS("--bogus"));
    refuses("-h is not a flag", WORDS("-hx"));
    refuses("--distrust-state=yes is not a flag, or takes no value",
            WORDS("--distrust-state=yes"));
    refuses("--mount takes a value", WORDS("--mount"));
}

static char *read_all(FILE *f)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    int c;

    assert_non_null(memory);
    while ((c = getc(f)) != EOF)
        (void)putc(c, memory);
    assert_int_equal(fclose(memory), 0);
    return text;
}

/* What config_load prints for @flag; free() it. */
static char *printed(const char *flag)
{
    int saved = dup(STDOUT_FILENO);
    FILE *catch = tmpfile();
    enum config_verdict verdict;
    struct load l;
    char *text;

    assert_true(saved >= 0);
    assert_non_null(catch);
    (void)fflush(stdout);
    assert_return_code(dup2(fileno(catch), STDOUT_FILENO), 0);
    verdict = load(&l, WORDS(flag));
    (void)fflush(stdout);
    assert_return_code(dup2(saved, STDOUT_FILENO), 0);
    (void)close(saved);
    assert_int_equal(verdict, CONFIG_EXIT_OK);
    rewind(catch);
    text = read_all(catch);
    (void)fclose(catch);
    return text;
}

static void help_names_every_setting_and_its_default(void **state)
{
    char *help = printed("--help");
    const struct config_setting *row;
    char flag[64];

    (void)state;
    for (size_t i = 0; (row = config_setting(i)) != NULL; i++) {
        (void)snprintf(flag, sizeof flag, "--%s", row->flag);
        assert_non_null(strstr(help, flag));
        assert_non_null(strstr(help, row->meaning));
        if (row->variable != NULL) {
            assert_non_null(strstr(help, row->variable));
            assert_non_null(strstr(help, row->fallback));
        }
    }
    free(help);
}

static void the_version_is_printed(void **state)
{
    char *text = printed("--version");

    (void)state;
    assert_string_equal(text, "phalanx-server " PX_VERSION "\n");
    free(text);
}

/* A flag is its variable in lower case with dashes: nobody learns two names. */
static void flags_are_named_as_their_variables(void **state)
{
    const struct config_setting *row;

    (void)state;
    for (size_t i = 0; (row = config_setting(i)) != NULL; i++) {
        for (size_t c = 0; row->variable != NULL && row->variable[c]; c++) {
            char v = row->variable[c];

            assert_int_equal(row->flag[c], v == '_' ? '-' : v - 'A' + 'a');
        }
    }
}

/* docs/deployment.md has a row for each variable, and for nothing else. */
static void the_deployment_page_holds_the_same_table(void **state)
{
    FILE *f = fopen(PX_DEPLOYMENT_MD, "r");
    const struct config_setting *row;
    size_t variables = 0;
    size_t rows = 0;
    char line[512];
    char *page;

    (void)state;
    assert_non_null(f);
    page = read_all(f);
    (void)fclose(f);
    for (size_t i = 0; (row = config_setting(i)) != NULL; i++) {
        if (row->variable == NULL)
            continue;
        variables++;
        (void)snprintf(line, sizeof line, "\n| `%s` | %s | %s |\n",
                       row->variable, row->fallback, row->meaning);
        if (strstr(page, line) == NULL)
            fail_msg("not in the page: %s", line);
    }
    for (const char *at = page; (at = strstr(at, "\n| `")) != NULL; at++)
        rows += at[4] >= 'A' && at[4] <= 'Z';
    assert_int_equal(rows, variables);
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_a_cluster_of_one_on_the_documented_ports),
        cmocka_unit_test(the_host_name_names_a_node_that_is_not_named),
        cmocka_unit_test(every_setting_is_taken_from_the_environment),
        cmocka_unit_test(a_flag_wins_over_its_variable),
        cmocka_unit_test(an_empty_value_is_no_value),
        cmocka_unit_test(paths_are_made_absolute),
        cmocka_unit_test(data_lies_in_slash_data_or_beside_us),
        cmocka_unit_test(our_own_address_in_peers_is_where_we_listen),
        cmocka_unit_test(http_can_be_turned_off),
        cmocka_unit_test(peers_may_have_blanks_names_and_ipv6),
        cmocka_unit_test(the_order_of_peers_does_not_matter),
        cmocka_unit_test(another_name_or_another_voter_is_another_cluster),
        cmocka_unit_test(requests_outlast_two_elections),
        cmocka_unit_test(numbers_are_whole_and_within_bounds),
        cmocka_unit_test(requests_have_a_second_at_least),
        cmocka_unit_test(an_election_lasts_at_least_four_heartbeats),
        cmocka_unit_test(a_bad_address_is_refused_with_an_example),
        cmocka_unit_test(two_listeners_need_two_ports),
        cmocka_unit_test(names_are_short_and_plain),
        cmocka_unit_test(peers_are_checked_as_a_whole),
        cmocka_unit_test(words_are_checked),
        cmocka_unit_test(a_quota_is_a_number_of_bytes),
        cmocka_unit_test(a_path_that_is_too_long_is_refused),
        cmocka_unit_test(a_node_is_alone_unless_it_is_told_of_others),
        cmocka_unit_test(gossip_settings_are_taken),
        cmocka_unit_test(seeds_are_hosts_with_or_without_ports),
        cmocka_unit_test(without_seeds_the_hosts_of_peers_are_asked),
        cmocka_unit_test(peers_without_addresses_need_a_place_to_be_looked_for),
        cmocka_unit_test(nobody_is_told_to_found_with_nobody_else),
        cmocka_unit_test(contradictions_about_gossip_are_refused),
        cmocka_unit_test(arguments_that_are_no_flags_are_refused),
        cmocka_unit_test(help_names_every_setting_and_its_default),
        cmocka_unit_test(the_version_is_printed),
        cmocka_unit_test(flags_are_named_as_their_variables),
        cmocka_unit_test(the_deployment_page_holds_the_same_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
