#include "tests/bench/systems.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "tests/bench/clock.h"
#include "tests/bench/etcd_client.h"
#include "tests/bench/proc.h"
#include "tests/bench/status.h"

#define LEADER_WAIT (20 * PX_NS_PER_S)
#define LEADER_PAUSE (50 * PX_NS_PER_MS)
#define ARGS_MAX 32
#define TEXT_MAX 512

struct text {
    char s[TEXT_MAX];
};

static struct text port_text(uint16_t port)
{
    struct text t;

    snprintf(t.s, sizeof t.s, "%u", (unsigned)port);
    return t;
}

/* "n0=127.0.0.1:4711,n1=…", with @scheme before the address. */
static struct text members_text(const char *prefix, const char *scheme,
                                const uint16_t *ports, int count)
{
    struct text t = {""};
    int i;

    for (i = 0; i < count; i++) {
        size_t used = strlen(t.s);

        snprintf(t.s + used, sizeof t.s - used, "%s%s%d=%s127.0.0.1:%u",
                 i > 0 ? "," : "", prefix, i, scheme, (unsigned)ports[i]);
    }
    return t;
}

void system_start_null(struct system *s, const char *bin)
{
    char program[PROC_PATH_MAX];
    const char *argv[] = {program, NULL, NULL};

    snprintf(program, sizeof program, "%s/null_fuse", bin);
    *s = (struct system){.name = "null FUSE", .nodes = 1};
    s->mounts[0] = argv[1] = proc_folder("null");
    s->pids[0] = proc_start("null", argv, NULL);
    proc_await_mount(s->mounts[0]);
}

void system_start_floor(struct system *s, const char *bin, int nodes)
{
    char program[PROC_PATH_MAX];
    struct text ports[NODES_MAX];
    const char *front[ARGS_MAX] = {program, "front"};
    int i;

    snprintf(program, sizeof program, "%s/floor", bin);
    *s = (struct system){.name = "floor", .nodes = nodes};
    s->mounts[0] = proc_folder("floor-%d", nodes);
    front[2] = proc_path("floor-%d-0.log", nodes);
    front[3] = s->mounts[0];
    for (i = 1; i < nodes; i++) {
        const char *follower[] = {program, "follower",
                                  proc_path("floor-%d-%d.log", nodes, i),
                                  ports[i].s, NULL};

        ports[i] = port_text(proc_free_port());
        front[3 + i] = ports[i].s;
        s->pids[i] = proc_start("floor-follower", follower, NULL);
    }
    s->pids[0] = proc_start("floor-front", front, NULL);
    proc_await_mount(s->mounts[0]);
}

bool system_has_etcd(void)
{
    return system("command -v etcd >/dev/null 2>&1") == 0;
}

static int etcd_leader(const struct system *s)
{
    int i;

    for (i = 0; i < s->nodes; i++) {
        struct etcd_client *c = NULL;
        bool leads = false;
        int rc = etcd_client_open(s->ports[i], &c);

        if (rc == 0)
            rc = etcd_client_is_leader(c, &leads);
        etcd_client_close(c);
        if (rc == 0 && leads)
            return i;
    }
    return -1;
}

/* "n2" is 2; -1 for what is no name that we gave. */
static int node_number(const char *name, int nodes)
{
    if (name[0] != 'n' || name[1] < '0' || name[1] > '9' || name[2] != '\0')
        return -1;
    return name[1] - '0' < nodes ? name[1] - '0' : -1;
}

/* The one that a majority of the nodes names. */
static int phalanx_leader(const struct system *s)
{
    int votes[NODES_MAX] = {0};
    int i;

    for (i = 0; i < s->nodes; i++) {
        char name[64] = "";
        int n;

        if (status_leader(s->ports[i], name, sizeof name) < 0)
            continue;
        n = node_number(name, s->nodes);
        if (n >= 0 && ++votes[n] > s->nodes / 2)
            return n;
    }
    return -1;
}

void system_await_leader(struct system *s)
{
    px_ns start = clock_now();
    int leader = 0;

    while (s->ask_leader != NULL && (leader = s->ask_leader(s)) < 0) {
        if (proc_interrupted() || clock_now() - start > LEADER_WAIT)
            proc_die("%s elects no leader", s->name);
        clock_sleep(LEADER_PAUSE);
    }
    s->leader_changes += s->leader >= 0 && leader != s->leader;
    s->leader = leader;
}

static struct text url(uint16_t port)
{
    struct text t;

    snprintf(t.s, sizeof t.s, "http://127.0.0.1:%u", (unsigned)port);
    return t;
}

void system_start_etcd(struct system *s, int nodes)
{
    uint16_t peer_ports[NODES_MAX] = {0};
    struct text members;
    int i;

    *s = (struct system){.leader = -1,
                         .name = "etcd",
                         .nodes = nodes,
                         .ask_leader = etcd_leader};
    for (i = 0; i < nodes; i++) {
        s->ports[i] = proc_free_port();
        peer_ports[i] = proc_free_port();
    }
    members = members_text("e", "http://", peer_ports, nodes);
    for (i = 0; i < nodes; i++) {
        const struct text client = url(s->ports[i]);
        const struct text peer = url(peer_ports[i]);
        char name[16];
        const char *argv[] = {"etcd",
                              "--name",
                              name,
                              "--data-dir",
                              proc_path("etcd-%d", i),
                              "--listen-client-urls",
                              client.s,
                              "--advertise-client-urls",
                              client.s,
                              "--listen-peer-urls",
                              peer.s,
                              "--initial-advertise-peer-urls",
                              peer.s,
                              "--initial-cluster",
                              members.s,
                              "--initial-cluster-state",
                              "new",
                              "--logger",
                              "zap",
                              "--log-level",
                              "error",
                              NULL};

        snprintf(name, sizeof name, "e%d", i);
        s->pids[i] = proc_start("etcd", argv, NULL);
    }
    system_await_leader(s);
}

void system_start_phalanx(struct system *s, const char *name,
                          const char *server, int nodes)
{
    uint16_t ports[NODES_MAX] = {0};
    struct text members;
    int i;

    *s = (struct system){.leader = -1,
                         .name = name,
                         .nodes = nodes,
                         .ask_leader = phalanx_leader};
    for (i = 0; i < nodes; i++)
        ports[i] = proc_free_port();
    members = members_text("n", "", ports, nodes);
    for (i = 0; i < nodes; i++) {
        struct text id;
        struct text peers;
        struct text grpc;
        struct text debug;
        char data[PROC_PATH_MAX + 512];
        char mount[PROC_PATH_MAX + 512];
        const char *argv[] = {server, NULL};
        const char *env[] = {
            id.s,  peers.s,      grpc.s,        debug.s,       data,
            mount, "TICK_MS=20", "ELECTION=12", "HEARTBEAT=3", NULL};

        s->ports[i] = proc_free_port();
        s->mounts[i] = proc_folder("%s-%d-%d", name, nodes, i);
        snprintf(id.s, sizeof id.s, "NODE_ID=n%d", i);
        snprintf(peers.s, sizeof peers.s, "PEERS=%.480s", members.s);
        snprintf(grpc.s, sizeof grpc.s, "GRPC_ADDR=127.0.0.1:%u",
                 (unsigned)ports[i]);
        snprintf(debug.s, sizeof debug.s, "DEBUG_ADDR=127.0.0.1:%u",
                 (unsigned)s->ports[i]);
        snprintf(data, sizeof data, "DATA_DIR=%s",
                 proc_path("%s-%d-%d.data", name, nodes, i));
        snprintf(mount, sizeof mount, "MOUNT=%s", s->mounts[i]);
        s->pids[i] = proc_start(name, argv, env);
    }
    for (i = 0; i < nodes; i++)
        proc_await_mount(s->mounts[i]);
    system_await_leader(s);
}

void system_stop(struct system *s)
{
    int i;

    for (i = 0; i < s->nodes; i++)
        proc_stop(s->pids[i]);
    s->nodes = 0;
}

void system_switches(const struct system *s, int front,
                     struct system_switches *out)
{
    int i;

    *out = (struct system_switches){0, 0};
    for (i = 0; i < s->nodes; i++) {
        uint64_t n = proc_switches(s->pids[i]);

        out->all += n;
        if (i == front)
            out->front = n;
    }
}
