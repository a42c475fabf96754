/* What people write: settings, the words of a command, an address, a size.
 *
 *   byte 0   0, 1   the rest are settings of a server, in the environment or as
 *                   flags: texts with a NUL between two, of each the first byte
 *                   says which setting. A flag's may say too that the value is
 *                   part of its word, or that all of it is a word as it is
 *            2      the words of phalanx member, with a NUL between two
 *            3      an address
 *            else   a number of bytes, as at the mount
 *
 * What is taken can be written down, and is taken as the same again; by a node,
 * too, that is told of it. What is not is refused with a sentence on one line.
 * Run as
 *   fuzz_config -max_len=4096 -dict=tests/fuzz/fuzz_config.dict CORPUS_DIR */
#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "cli/member.h"
#include "gossip/udp.h"
#include "net/addr.h"
#include "net/codec.h"
#include "node/config.h"

#define TEXTS_MAX 32
#define TIMEOUT_MS_MAX 3600000 /* a default may be longer */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- Texts ---- */

struct texts {
    size_t count;
    char *list[2 * TEXTS_MAX + 2]; /* NULL behind the last */
};

static char *copy_of(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
static char *copy_of(const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    px_assert(vasprintf(&text, format, args) >= 0);
    va_end(args);
    return text;
}

static void add(struct texts *t, char *text)
{
    px_assert(t->count < sizeof t->list / sizeof t->list[0] - 1);
    t->list[t->count++] = text;
}

static void texts_fini(struct texts *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->list[i]);
}

/* @data ends with a NUL. */
static void split(const char *data, size_t size, struct texts *t,
                  void (*take)(struct texts *t, const char *text))
{
    const char *end = data + size;

    for (size_t i = 0; i < TEXTS_MAX && data < end; i++) {
        take(t, data);
        data += strlen(data) + 1;
    }
}

static void take_word(struct texts *t, const char *text)
{
    add(t, copy_of("%s", text));
}

static const struct config_setting *setting_of(const char *text)
{
    size_t count = 0;

    while (config_setting(count) != NULL)
        count++;
    return config_setting((unsigned char)*text % 32u % count);
}

static void take_variable(struct texts *t, const char *text)
{
    const struct config_setting *s = setting_of(text);

    if (*text != '\0' && s->variable != NULL)
        add(t, copy_of("%s=%s", s->variable, text + 1));
}

static void take_flag(struct texts *t, const char *text)
{
    const struct config_setting *s = setting_of(text);

    if (*text == '\0' || (*text & 0x40) != 0) {
        take_word(t, *text == '\0' ? text : text + 1);
    } else if (s->argument == NULL || (*text & 0x20) != 0) {
        add(t, copy_of("--%s%s%s", s->flag, s->argument == NULL ? "" : "=",
                       s->argument == NULL ? "" : text + 1));
    } else {
        add(t, copy_of("--%s", s->flag));
        take_word(t, text + 1);
    }
}

static void check_sentence(const char *why)
{
    px_assert(why[0] != '\0');
    for (; *why != '\0'; why++)
        px_assert(isprint((unsigned char)*why));
}

static void check_word(const char *text)
{
    for (; *text != '\0'; text++)
        px_assert(isgraph((unsigned char)*text));
}

/* ---- Settings ---- */

static void write_peers(struct texts *t, const struct config *c)
{
    char *list = copy_of("PEERS=");

    for (size_t i = 0; i < c->peer_count; i++) {
        const struct config_peer *p = &c->peers[i];
        char *more = copy_of("%s%s%s%s%s", list, i > 0 ? "," : "", p->name,
                             p->address[0] != '\0' ? "=" : "", p->address);

        free(list);
        list = more;
    }
    add(t, list);
}

static void write_seeds(struct texts *t, const struct config *c)
{
    char *list = copy_of("SEEDS=");

    for (size_t i = 0; i < c->seed_count; i++) {
        const struct config_seed *s = &c->seeds[i];
        bool is_v6 = strchr(s->host, ':') != NULL;
        char *more = copy_of(s->port == 7946 ? "%s%s%s%s%s" : "%s%s%s%s%s:%u",
                             list, i > 0 ? "," : "", is_v6 ? "[" : "", s->host,
                             is_v6 ? "]" : "", s->port);

        free(list);
        list = more;
    }
    add(t, list);
}

static void write_numbers(struct texts *t, const struct config *c)
{
    const uint64_t timeout_ms = c->request_timeout / PX_NS_PER_MS;

    add(t, copy_of("BIND_PORT=%u", c->bind_port));
    add(t, copy_of("BOOTSTRAP_EXPECT=%" PRIu32, c->bootstrap_expect));
    add(t, copy_of("MAX_VOTERS=%" PRIu32, c->max_voters));
    add(t, copy_of("AUTO_REMOVE_AFTER=%" PRIu64,
                   c->auto_remove_after / PX_NS_PER_S));
    add(t, copy_of("TICK_MS=%" PRIu64, c->tick / PX_NS_PER_MS));
    add(t, copy_of("ELECTION=%" PRIu32, c->election_ticks));
    add(t, copy_of("HEARTBEAT=%" PRIu32, c->heartbeat_ticks));
    if (timeout_ms <= TIMEOUT_MS_MAX)
        add(t, copy_of("REQUEST_TIMEOUT_MS=%" PRIu64, timeout_ms));
    add(t, copy_of("SNAPSHOT_MIB=%" PRIu64, c->snapshot_bytes / PX_MIB));
    add(t, copy_of("QUOTA_BYTES=%" PRIu64, c->quota_bytes));
}

static void write_down(struct texts *t, const struct config *c)
{
    add(t, copy_of("NODE_ID=%s", c->node));
    if (c->has_peers)
        write_peers(t, c);
    if (c->seed_count > 0)
        write_seeds(t, c);
    add(t, copy_of("CLUSTER=%s", c->cluster_name));
    add(t, copy_of("DATA_DIR=%s", c->data_dir));
    add(t, copy_of("MOUNT=%s", c->mount));
    add(t, copy_of("MOUNT_OPTIONS=trunc=%s",
                   c->strict_truncate ? "strict" : "staged"));
    add(t, copy_of("GRPC_ADDR=%s", c->grpc_addr));
    add(t, copy_of("DEBUG_ADDR=%s",
                   c->debug_addr[0] != '\0' ? c->debug_addr : "off"));
    add(t, copy_of("BIND_ADDR=%s", c->bind_addr));
    add(t, copy_of("ADVERTISE=%s", c->advertise));
    add(t, copy_of("REGION=%s", c->region));
    add(t, copy_of("AUTO_JOIN=%s", c->auto_join ? "on" : "off"));
    write_numbers(t, c);
}

static void check_same_nodes(const struct config *a, const struct config *b)
{
    px_assert(a->id == b->id && a->has_peers == b->has_peers);
    px_assert(a->cluster == b->cluster && a->peer_count == b->peer_count);
    for (size_t i = 0; i < a->peer_count; i++) {
        px_assert(a->peers[i].id == b->peers[i].id);
        px_assert(strcmp(a->peers[i].name, b->peers[i].name) == 0);
        px_assert(strcmp(a->peers[i].address, b->peers[i].address) == 0);
    }
    px_assert(a->seed_count == b->seed_count);
    for (size_t i = 0; i < a->seed_count; i++) {
        px_assert(strcmp(a->seeds[i].host, b->seeds[i].host) == 0);
        px_assert(a->seeds[i].port == b->seeds[i].port);
    }
}

static void check_same(const struct config *a, const struct config *b)
{
    px_assert(strcmp(a->node, b->node) == 0);
    px_assert(strcmp(a->cluster_name, b->cluster_name) == 0);
    px_assert(strcmp(a->data_dir, b->data_dir) == 0);
    px_assert(strcmp(a->mount, b->mount) == 0);
    px_assert(a->strict_truncate == b->strict_truncate);
    px_assert(strcmp(a->grpc_addr, b->grpc_addr) == 0);
    px_assert(strcmp(a->debug_addr, b->debug_addr) == 0);
    px_assert(strcmp(a->bind_addr, b->bind_addr) == 0);
    px_assert(a->bind_port == b->bind_port);
    px_assert(a->bootstrap_expect == b->bootstrap_expect);
    px_assert(strcmp(a->advertise, b->advertise) == 0);
    px_assert(strcmp(a->region, b->region) == 0);
    px_assert(a->auto_join == b->auto_join && a->max_voters == b->max_voters);
    px_assert(a->auto_remove_after == b->auto_remove_after);
    px_assert(a->tick == b->tick && a->election_ticks == b->election_ticks);
    px_assert(a->heartbeat_ticks == b->heartbeat_ticks);
    px_assert(a->request_timeout == b->request_timeout);
    px_assert(a->snapshot_bytes == b->snapshot_bytes);
    px_assert(a->quota_bytes == b->quota_bytes);
}

/* Others are told of it, who take nothing but words. */
static void check_fit_for_others(const struct config *c)
{
    check_word(c->grpc_addr);
    check_word(c->advertise);
    for (size_t i = 0; i < c->peer_count; i++)
        check_word(c->peers[i].address);
}

static void load(int argc, char **argv, char *const *environment)
{
    static struct config a, b; /* large for a stack */
    char *bare[] = {argv[0], NULL};
    struct texts again = {.count = 0};
    char why[1024] = "";
    enum config_verdict verdict =
        config_load(argc, argv, environment, &a, why, sizeof why);

    if (verdict == CONFIG_BAD)
        check_sentence(why);
    if (verdict != CONFIG_RUN)
        return;
    check_fit_for_others(&a);
    write_down(&again, &a);
    px_assert(config_load(1, bare, again.list, &b, why, sizeof why) ==
              CONFIG_RUN);
    check_same(&a, &b);
    check_same_nodes(&a, &b);
    texts_fini(&again);
}

static void fuzz_environment(const char *data, size_t size)
{
    char *bare[] = {"fuzz", NULL};
    struct texts t = {.count = 0};

    split(data, size, &t, take_variable);
    add(&t, copy_of("NODE_ID=node-1")); /* not this machine's name */
    load(1, bare, t.list);
    texts_fini(&t);
}

static void fuzz_flags(const char *data, size_t size)
{
    char *environment[] = {"NODE_ID=node-1", NULL};
    struct texts t = {.count = 0};

    add(&t, copy_of("fuzz"));
    split(data, size, &t, take_flag);
    load((int)t.count, t.list, environment);
    texts_fini(&t);
}

/* ---- phalanx member ---- */

static struct net_frame_in arrived(struct net_frame *f)
{
    return (struct net_frame_in){
        .type = NET_FRAME_ADMIN,
        .head = net_frame_head(f),
        .head_bytes = f->lead_bytes - NET_FRAME_HEADER_BYTES,
    };
}

static void check_question(const struct member_options *o)
{
    struct net_frame *f = net_encode_admin(&o->question);
    struct net_frame_in in;
    struct net_admin again;
    struct net_addr addr;

    px_assert(f != NULL);
    in = arrived(f);
    px_assert(net_decode_admin(&in, &again) == 0);
    px_assert(again.what == o->question.what);
    px_assert(strcmp(again.name, o->question.name) == 0);
    px_assert(strcmp(again.address, o->question.address) == 0);
    net_frame_free(f);
    px_assert(o->ask.count > 0 && o->ask.timeout > 0);
    for (size_t i = 0; i < o->ask.count; i++)
        px_assert(net_addr_parse(o->ask.addresses[i], &addr) == 0);
}

static void fuzz_member(const char *data, size_t size)
{
    static struct member_options options;
    char *environment[] = {NULL};
    struct texts t = {.count = 0};
    char *said = NULL;
    size_t said_size = 0;
    struct cli c = {.err = open_memstream(&said, &said_size),
                    .environment = environment};
    enum cli_status status;

    px_assert(c.err != NULL);
    c.out = c.err;
    add(&t, copy_of("member"));
    split(data, size, &t, take_word);
    status = member_parse(&c, (int)t.count, t.list, &options);
    px_assert(fclose(c.err) == 0);
    if (status == CLI_DONE && !options.is_help)
        check_question(&options);
    if (status != CLI_DONE) {
        px_assert(said_size > 0 && said[said_size - 1] == '\n');
        said[said_size - 1] = '\0';
        check_sentence(said);
    }
    free(said);
    texts_fini(&t);
}

/* ---- One value ---- */

static void fuzz_address(const char *text)
{
    struct net_addr a, b;
    struct swim_addr c, d;
    char ip[INET6_ADDRSTRLEN];
    char *again;

    if (net_addr_parse_listen(text, &a) == 0) {
        bool is_v6 = strchr(a.host, ':') != NULL;

        check_word(a.host);
        again = copy_of("%s%s%s:%u", is_v6 ? "[" : "", a.host, is_v6 ? "]" : "",
                        a.port);
        px_assert(net_addr_parse_listen(again, &b) == 0);
        px_assert(strcmp(a.host, b.host) == 0 && a.port == b.port);
        px_assert((net_addr_parse(text, &b) == 0) == (a.port != 0));
        free(again);
    }
    if (swim_addr_parse(text, &c) == 0) {
        px_assert(inet_ntop(AF_INET6, c.ip, ip, sizeof ip) != NULL);
        px_assert(swim_addr_parse(ip, &d) == 0);
        px_assert(memcmp(c.ip, d.ip, sizeof c.ip) == 0);
    }
}

/* Its end is guarded: who writes to the mount ends with no NUL. */
static void fuzz_bytes(const uint8_t *data, size_t size)
{
    uint64_t bytes = 0, again = 0;
    char *text;

    if (px_bytes_parse((const char *)data, size, &bytes) < 0) {
        px_assert(bytes == 0);
        return;
    }
    text = copy_of("%" PRIu64, bytes);
    px_assert(bytes > 0);
    px_assert(px_bytes_parse(text, strlen(text), &again) == 0);
    px_assert(again == bytes);
    free(text);
}

/* Help goes nowhere. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    px_assert(freopen("/dev/null", "w", stdout) != NULL);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;

    if (size == 0)
        return 0;
    text = malloc(size);
    px_assert(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    if (data[0] == 0)
        fuzz_environment(text, size - 1);
    else if (data[0] == 1)
        fuzz_flags(text, size - 1);
    else if (data[0] == 2)
        fuzz_member(text, size - 1);
    else if (data[0] == 3)
        fuzz_address(text);
    else
        fuzz_bytes(data + 1, size - 1);
    free(text);
    return 0;
}
