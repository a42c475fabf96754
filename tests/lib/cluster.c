#include "tests/lib/cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/process.h"
#include "tests/lib/worker.h"

#define READY_MS_MAX 30000
#define STOP_MS_MAX 20000
#define LOOK_MS 20
#define ENVIRONMENT_MAX 24
#define TEXT_MAX 1024
#define PAGE_BYTES_MAX 32768

struct node {
    pid_t pid; /* 0: down */
    char name[24];
    char address[NETNS_ADDRESS_BYTES];
    unsigned grpc_port;
    unsigned debug_port;
    char mount[GUARD_PATH_MAX];
    char data[GUARD_PATH_MAX];
    char notes[GUARD_PATH_MAX];
};

struct cluster {
    struct guard *guard;
    char name[40]; /* unlike that of any other on this machine */
    unsigned gossip_port;
    struct cluster_options options;
    char files[GUARD_PATH_MAX];
    char peers[TEXT_MAX];
    bool has_passed;
    struct node nodes[CLUSTER_NODES_MAX];
};

/* One node */

/* Environment: ours for what a sanitizer or a loader reads, and the node's. */
struct environment {
    char text[ENVIRONMENT_MAX][TEXT_MAX + 32];
    char *list[ENVIRONMENT_MAX + 1];
    size_t count;
};

static size_t name_bytes(const char *setting)
{
    return (size_t)(strchr(setting, '=') - setting) + 1;
}

/* "NAME=value"; instead of an earlier one. */
static void env_set(struct environment *e, const char *setting)
{
    size_t i = 0;

    while (i < e->count &&
           strncmp(e->text[i], setting, name_bytes(setting)) != 0)
        i++;
    assert_true(i < ENVIRONMENT_MAX);
    assert_true(strlen(setting) < sizeof e->text[i]);
    (void)snprintf(e->text[i], sizeof e->text[i], "%s", setting);
    e->list[i] = e->text[i];
    if (i == e->count)
        e->list[++e->count] = NULL;
}

static void env_add(struct environment *e, const char *name, const char *value)
{
    char setting[TEXT_MAX + 32];

    (void)snprintf(setting, sizeof setting, "%s=%s", name, value);
    env_set(e, setting);
}

static void env_inherit(struct environment *e, const char *name,
                        const char *fallback)
{
    const char *value = getenv(name);

    if (value == NULL)
        value = fallback;
    if (value != NULL)
        env_add(e, name, value);
}

static void env_fill(struct environment *e, const struct cluster *c, int i)
{
    const char *const *settings = c->options.settings[i];
    const struct node *n = &c->nodes[i];
    char text[64];

    env_inherit(e, "PATH", NULL);
    env_inherit(e, "ASAN_OPTIONS", NULL);
    env_inherit(e, "LSAN_OPTIONS", NULL);
    env_inherit(e, "UBSAN_OPTIONS", NULL);
    env_inherit(e, "PX_MUTANT", NULL);
    env_inherit(e, "TICK_MS", "20");
    env_inherit(e, "ELECTION", "12");
    env_inherit(e, "HEARTBEAT", "3");
    env_inherit(e, "LOG_LEVEL", "info");
    env_add(e, "NODE_ID", n->name);
    env_add(e, "PEERS", c->peers);
    env_add(e, "CLUSTER", c->name);
    (void)snprintf(text, sizeof text, "%u", c->gossip_port);
    env_add(e, "BIND_PORT", text);
    env_add(e, "DATA_DIR", n->data);
    env_add(e, "MOUNT", n->mount);
    (void)snprintf(text, sizeof text, "%s:%u", n->address, n->grpc_port);
    env_add(e, "GRPC_ADDR", text);
    (void)snprintf(text, sizeof text, "127.0.0.1:%u", n->debug_port);
    env_add(e, "DEBUG_ADDR", text);
    (void)snprintf(text, sizeof text, "%u", c->options.request_timeout_ms);
    env_add(e, "REQUEST_TIMEOUT_MS", text);
    (void)snprintf(text, sizeof text, "%u", c->options.snapshot_mib);
    if (c->options.snapshot_mib > 0)
        env_add(e, "SNAPSHOT_MIB", text);
    for (; settings != NULL && *settings != NULL; settings++)
        env_set(e, *settings);
}

static const char *server_path(void)
{
    const char *path = getenv("PHALANX_SERVER");

    if (path == NULL)
        fail_msg("PHALANX_SERVER does not name the server to test");
    return path;
}

/* @flag may be NULL. */
static void start_node(struct cluster *c, int i, const char *flag)
{
    struct node *n = &c->nodes[i];
    struct environment e = {.count = 0};
    const char *const argv[] = {server_path(), flag, NULL};
    int notes = open(n->notes, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    assert_true(notes >= 0);
    env_fill(&e, c, i);
    n->pid = process_start(&(struct process_options){
        .argv = argv,
        .environment = e.list,
        .out_fd = notes,
        .err_fd = notes,
        .net_fd =
            c->options.hosts != NULL ? netns_fd(c->options.hosts, i) : 0});
    (void)close(notes);
    assert_true(n->pid > 0);
    guard_set_pid(c->guard, i, n->pid);
}

static void node_paths(struct cluster *c, int i)
{
    struct node *n = &c->nodes[i];
    const char *dir = guard_dir(c->guard);

    (void)snprintf(n->name, sizeof n->name, "node-%d", i);
    (void)snprintf(n->mount, sizeof n->mount, "%s/mnt-%d", dir, i);
    (void)snprintf(n->data, sizeof n->data, "%s/data-%d", dir, i);
    (void)snprintf(n->notes, sizeof n->notes, "%s/notes-%d", dir, i);
    assert_return_code(mkdir(n->mount, 0755), errno);
    guard_set_paths(c->guard, i, n->mount, n->notes);
}

/* The cluster */

static void node_address(struct cluster *c, int i, const unsigned *ports)
{
    struct node *n = &c->nodes[i];

    n->grpc_port = ports[0];
    n->debug_port = ports[1];
    if (c->options.hosts != NULL)
        netns_address(i, n->address);
    else
        (void)snprintf(n->address, sizeof n->address, "127.0.0.1");
}

static void lay_out(struct cluster *c)
{
    unsigned ports[2 * CLUSTER_NODES_MAX];
    int count = c->options.nodes;
    size_t used = 0;

    (void)snprintf(c->files, sizeof c->files, "%s/files", guard_dir(c->guard));
    assert_return_code(mkdir(c->files, 0755), errno);
    free_ports(ports, 2 * count);
    c->gossip_port = free_gossip_port();
    unique_cluster(c->name, sizeof c->name);
    for (int i = 0; i < count; i++) {
        struct node *n = &c->nodes[i];

        node_paths(c, i);
        node_address(c, i, &ports[2 * i]);
        used += (size_t)snprintf(c->peers + used, sizeof c->peers - used,
                                 "%s%s=%s:%u", i > 0 ? "," : "", n->name,
                                 n->address, n->grpc_port);
        assert_true(used < sizeof c->peers);
    }
}

/* For the teardown: a test that fails has no time to hand it over. */
static struct cluster *live;

struct cluster *cluster_prepare(const struct cluster_options *options)
{
    struct cluster *c = calloc(1, sizeof *c);

    assert_null(live);
    assert_non_null(c);
    live = c;
    c->options = *options;
    if (c->options.request_timeout_ms == 0)
        c->options.request_timeout_ms = 5000;
    if (c->options.seconds_max == 0)
        c->options.seconds_max = 300;
    c->guard = guard_start(c->options.seconds_max);
    assert_non_null(c->guard);
    lay_out(c);
    return c;
}

struct cluster *cluster_start(const struct cluster_options *options)
{
    struct cluster *c = cluster_prepare(options);

    for (int i = 0; i < c->options.nodes; i++)
        start_node(c, i, NULL);
    cluster_wait_all_ready(c);
    return c;
}

int cluster_wait_end(struct cluster *c, int i)
{
    struct node *n = &c->nodes[i];
    int status = process_wait(n->pid, STOP_MS_MAX);

    if (status == -ETIMEDOUT) {
        if (process_show_stuck(n->pid))
            guard_set_pid(c->guard, i, 0);
        fail_msg("%s still runs after %d ms", n->name, STOP_MS_MAX);
    }
    guard_set_pid(c->guard, i, 0);
    n->pid = 0;
    return status;
}

int cluster_has_ended(struct cluster *c, int i)
{
    struct node *n = &c->nodes[i];
    int status = process_wait(n->pid, 0);

    if (status == -ETIMEDOUT)
        return -EAGAIN;
    guard_set_pid(c->guard, i, 0);
    n->pid = 0;
    return status;
}

static void end_node(struct cluster *c, int i, int sig, int expected)
{
    int status = cluster_wait_end(c, i);

    if (status != expected)
        fail_msg("%s ended with %d, not %d, after signal %d", c->nodes[i].name,
                 status, expected, sig);
}

/* /dev/loop-control is there where the devices are not: only a mount tells. */
bool cluster_can_move_data(void)
{
    const char *const argv[] = {
        "sh", "-c",
        "d=$(mktemp -d) || exit 1\n"
        "truncate -s 8M $d/image && mkdir $d/on &&\n"
        "mkfs.ext4 -q $d/image && mount -o loop $d/image $d/on &&\n"
        "umount $d/on\n"
        "rc=$?\n"
        "rm -f $d/image; rmdir $d/on $d\n"
        "exit $rc",
        NULL};
    struct process_result r;

    process_run(&(struct process_options){.argv = argv}, STOP_MS_MAX, &r);
    return r.status == 0;
}

void cluster_move_data(struct cluster *c, int i, unsigned mib)
{
    struct node *n = &c->nodes[i];
    char image[GUARD_PATH_MAX + 16];
    char old[GUARD_PATH_MAX + 16];
    char size[16];

    assert_int_equal(n->pid, 0);
    (void)snprintf(image, sizeof image, "%s.disk", n->data);
    (void)snprintf(old, sizeof old, "%s.old", n->data);
    (void)snprintf(size, sizeof size, "%uM", mib);
    run_ok(STOP_MS_MAX, "truncate", "-s", size, image, NULL);
    run_ok(STOP_MS_MAX, "mkfs.ext4", "-q", "-m", "0", image, NULL);
    assert_return_code(rename(n->data, old), errno);
    assert_return_code(mkdir(n->data, 0700), errno);
    guard_set_paths(c->guard, c->options.nodes + i, n->data, "");
    run_ok(STOP_MS_MAX, "mount", "-o", "loop", image, n->data, NULL);
    /* What was allocated stays allocated. */
    run_ok(STOP_MS_MAX, "sh", "-c", "cp -a --sparse=never $0/. $1", old,
           n->data, NULL);
    run_ok(STOP_MS_MAX, "rm", "-r", old, NULL);
}

void cluster_kill(struct cluster *c, int i)
{
    assert_true(c->nodes[i].pid > 0);
    (void)kill(c->nodes[i].pid, SIGKILL);
    end_node(c, i, SIGKILL, 128 + SIGKILL);
}

void cluster_kill_all(struct cluster *c)
{
    for (int i = 0; i < c->options.nodes; i++) {
        assert_true(c->nodes[i].pid > 0);
        (void)kill(c->nodes[i].pid, SIGKILL);
    }
    for (int i = 0; i < c->options.nodes; i++)
        end_node(c, i, SIGKILL, 128 + SIGKILL);
}

void cluster_stop(struct cluster *c)
{
    int fd;

    for (int i = 0; i < c->options.nodes; i++) {
        if (c->nodes[i].pid > 0)
            (void)kill(c->nodes[i].pid, SIGTERM);
    }
    for (int i = 0; i < c->options.nodes; i++) {
        if (c->nodes[i].pid == 0)
            continue;
        end_node(c, i, SIGTERM, 0);
        fd = cluster_open_mount(c, i);
        if (fd >= 0)
            fail_msg("%s ended, but is still mounted", c->nodes[i].name);
    }
    c->has_passed = true;
}

int cluster_teardown(void **state)
{
    struct cluster *c = live;

    (void)state;
    live = NULL;
    if (c == NULL)
        return 0;
    workers_kill();
    if (!c->has_passed && c->guard != NULL)
        guard_print_notes(c->guard);
    guard_end(c->guard);
    free(c);
    return 0;
}

int cluster_nodes(const struct cluster *c)
{
    return c->options.nodes;
}

void cluster_address(const struct cluster *c, int i, char *text, size_t size)
{
    (void)snprintf(text, size, "%s:%u", c->nodes[i].address,
                   c->nodes[i].grpc_port);
}

const char *cluster_dir(const struct cluster *c)
{
    return c->files;
}

const char *cluster_mount(const struct cluster *c, int i)
{
    return c->nodes[i].mount;
}

const char *cluster_data(const struct cluster *c, int i)
{
    return c->nodes[i].data;
}

pid_t cluster_pid(const struct cluster *c, int i)
{
    return c->nodes[i].pid;
}

const char *cluster_notes(const struct cluster *c, int i)
{
    return c->nodes[i].notes;
}

unsigned cluster_request_timeout_ms(const struct cluster *c)
{
    return c->options.request_timeout_ms;
}

/* A mount has a device number of its own, which the kernel tells without
 * asking the server. */
int mount_open(const char *path)
{
    int parent_size = (int)(strrchr(path, '/') - path);
    char parent[GUARD_PATH_MAX];
    struct statx below;
    struct statx root;
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    (void)snprintf(parent, sizeof parent, "%.*s", parent_size, path);
    if (statx(AT_FDCWD, parent, AT_STATX_DONT_SYNC, 0, &below) == 0 &&
        statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &root) == 0 &&
        (below.stx_dev_major != root.stx_dev_major ||
         below.stx_dev_minor != root.stx_dev_minor))
        return fd;
    (void)close(fd);
    return -ENOTCONN;
}

int cluster_open_mount(const struct cluster *c, int i)
{
    return mount_open(c->nodes[i].mount);
}

void cluster_restart(struct cluster *c, int i)
{
    cluster_restart_with(c, i, NULL);
}

void cluster_restart_with(struct cluster *c, int i, const char *flag)
{
    assert_true(c->nodes[i].pid == 0);
    start_node(c, i, flag);
}

void cluster_signal(struct cluster *c, int i, int sig)
{
    assert_true(c->nodes[i].pid > 0);
    assert_return_code(kill(c->nodes[i].pid, sig), errno);
}

int cluster_get(const struct cluster *c, int i, const char *path, char *text,
                size_t size)
{
    const struct netns *hosts = c->options.hosts;
    unsigned port = c->nodes[i].debug_port;

    if (hosts == NULL)
        return http_get(port, path, text, size);
    return http_get_by(netns_socket(hosts, i, SOCK_STREAM), port, path, text,
                       size);
}

struct json_t *cluster_status(const struct cluster *c, int i)
{
    static char text[PAGE_BYTES_MAX];

    if (c->nodes[i].pid == 0 ||
        cluster_get(c, i, "/debug/status", text, sizeof text) != 200)
        return NULL;
    return json_loads(text, 0, NULL);
}

uint64_t cluster_number(const struct cluster *c, int i, const char *group,
                        const char *key)
{
    json_t *status = cluster_status(c, i);
    const json_t *from =
        group != NULL ? json_object_get(status, group) : status;
    uint64_t value;

    if (json_object_get(from, key) == NULL)
        fail_msg("the status of %s has no \"%s\"", c->nodes[i].name, key);
    value = (uint64_t)json_integer_value(json_object_get(from, key));
    json_decref(status);
    return value;
}

bool cluster_is_ready(struct cluster *c, int i)
{
    char text[TEXT_MAX];

    return cluster_get(c, i, "/health", text, sizeof text) == 200;
}

static void check_runs(struct cluster *c, int i)
{
    int status;

    if (c->nodes[i].pid == 0)
        fail_msg("%s is down", c->nodes[i].name);
    status = cluster_has_ended(c, i);
    if (status == -EAGAIN)
        return;
    fail_msg("%s ended by itself with %d", c->nodes[i].name, status);
}

void cluster_check_runs(struct cluster *c)
{
    for (int i = 0; i < c->options.nodes; i++) {
        if (c->nodes[i].pid > 0)
            check_runs(c, i);
    }
}

void cluster_wait_ready(struct cluster *c, int i)
{
    uint64_t deadline = now_ms() + READY_MS_MAX;

    while (!cluster_is_ready(c, i)) {
        check_runs(c, i); /* it was started */
        cluster_check_runs(c);
        if (now_ms() > deadline)
            fail_msg("%s is not ready after %d ms", c->nodes[i].name,
                     READY_MS_MAX);
        pause_ms(LOOK_MS);
    }
}

void cluster_wait_all_ready(struct cluster *c)
{
    for (int i = 0; i < c->options.nodes; i++)
        cluster_wait_ready(c, i);
}

/* The term in which it leads, 0 if it doesn't. */
static json_int_t leading_term(struct cluster *c, int i)
{
    json_t *status = cluster_status(c, i);
    json_int_t term = 0;
    const char *state;

    state = json_string_value(json_object_get(status, "state"));
    if (state != NULL && strcmp(state, "leader") == 0)
        term = json_integer_value(json_object_get(status, "term"));
    json_decref(status);
    return term;
}

int cluster_leader(struct cluster *c)
{
    uint64_t deadline = now_ms() + READY_MS_MAX;
    json_int_t newest = 0;
    int leader = -1;

    for (;;) {
        for (int i = 0; i < c->options.nodes; i++) {
            json_int_t term = leading_term(c, i);

            if (term > newest) { /* an older one has not yet noticed */
                newest = term;
                leader = i;
            }
        }
        if (leader >= 0)
            return leader;
        if (now_ms() > deadline)
            fail_msg("no node leads after %d ms", READY_MS_MAX);
        pause_ms(LOOK_MS);
    }
}

/* A hash of a state, and the index that it is for. */
struct hashed {
    json_int_t index;
    char hash[17];
};

static struct hashed get_hashed(struct cluster *c, int i)
{
    json_t *status = cluster_status(c, i);
    struct hashed h = {.index = -1};
    const char *hash = json_string_value(json_object_get(status, "state_hash"));

    if (hash != NULL) {
        h.index = json_integer_value(json_object_get(status, "state_index"));
        (void)snprintf(h.hash, sizeof h.hash, "%s", hash);
    }
    json_decref(status);
    return h;
}

/* Of those that run. Fails the test where two differ at the same index. */
static bool states_are_equal(struct cluster *c)
{
    struct hashed first = {.index = -1};
    int first_node = -1;

    for (int i = 0; i < c->options.nodes; i++) {
        struct hashed h;

        if (c->nodes[i].pid == 0)
            continue;
        h = get_hashed(c, i);
        if (h.index < 0 || (first_node >= 0 && h.index != first.index))
            return false;
        if (first_node >= 0 && strcmp(h.hash, first.hash) != 0)
            fail_msg("the states of %s and %s differ at index %lld: %s, %s",
                     c->nodes[first_node].name, c->nodes[i].name,
                     (long long)h.index, first.hash, h.hash);
        first = h;
        first_node = i;
    }
    return first_node >= 0;
}

void cluster_check_states(struct cluster *c)
{
    uint64_t deadline = now_ms() + READY_MS_MAX;

    while (!states_are_equal(c)) {
        if (now_ms() > deadline)
            fail_msg("the nodes have not applied the same after %d ms",
                     READY_MS_MAX);
        pause_ms(LOOK_MS);
    }
}
