#include "tests/lib/server.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"

#define READY_MS_MAX 20000
#define END_MS_MAX 20000
#define LOOK_MS 20

void server_init(struct server *s, struct guard *g, int slot)
{
    const char *dir = guard_dir(g);
    unsigned ports[2];

    *s = (struct server){.guard = g, .slot = slot};
    free_ports(ports, 2);
    s->grpc_port = ports[0];
    s->debug_port = ports[1];
    (void)snprintf(s->name, sizeof s->name, "solo-%d", slot);
    unique_cluster(s->cluster, sizeof s->cluster);
    (void)snprintf(s->gossip_port, sizeof s->gossip_port, "%u",
                   free_gossip_port());
    (void)snprintf(s->grpc_addr, sizeof s->grpc_addr, "127.0.0.1:%u", ports[0]);
    (void)snprintf(s->debug_addr, sizeof s->debug_addr, "127.0.0.1:%u",
                   ports[1]);
    (void)snprintf(s->mount, sizeof s->mount, "%s/mnt-%d", dir, slot);
    (void)snprintf(s->data, sizeof s->data, "%s/data-%d", dir, slot);
    (void)snprintf(s->notes, sizeof s->notes, "%s/notes-%d", dir, slot);
    assert_return_code(mkdir(s->mount, 0755), errno);
    guard_set_paths(g, slot, s->mount, s->notes);
}

/* @argv has room for SERVER_ARGUMENTS_MAX + 1. */
static void fill_argv(const struct server *s, const char *const *extra,
                      const char **argv)
{
    const char *const flags[] = {
        getenv("PHALANX_SERVER"),
        "--node-id",
        s->name,
        "--data-dir",
        s->data,
        "--mount",
        s->mount,
        "--grpc-addr",
        s->grpc_addr,
        "--debug-addr",
        s->debug_addr,
        "--cluster",
        s->cluster,
        "--bind-port",
        s->gossip_port,
        "--tick-ms",
        "20",
        "--election",
        "12",
        "--heartbeat",
        "3",
    };
    size_t n = sizeof flags / sizeof flags[0];

    if (flags[0] == NULL)
        fail_msg("PHALANX_SERVER does not name the server to test");
    for (size_t i = 0; i < n; i++)
        argv[i] = flags[i];
    for (; extra != NULL && *extra != NULL; extra++) {
        assert_true(n < SERVER_ARGUMENTS_MAX);
        argv[n++] = *extra;
    }
    argv[n] = NULL;
}

static void wait_ready(const struct server *s)
{
    uint64_t deadline = now_ms() + READY_MS_MAX;
    char text[1024];
    int mount;

    while (http_get(s->debug_port, "/health", text, sizeof text) != 200) {
        if (process_wait(s->pid, 0) != -ETIMEDOUT)
            fail_msg("%s ended by itself", s->name);
        if (now_ms() > deadline)
            fail_msg("%s is not ready after %d ms", s->name, READY_MS_MAX);
        pause_ms(LOOK_MS);
    }
    mount = mount_open(s->mount);
    if (mount < 0)
        fail_msg("%s is ready, but not mounted", s->name);
    (void)close(mount);
}

void server_start(struct server *s, const char *const *extra)
{
    const char *argv[SERVER_ARGUMENTS_MAX + 1];
    int notes = open(s->notes, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    assert_return_code(notes, errno);
    fill_argv(s, extra, argv);
    s->pid = process_start(&(struct process_options){
        .argv = argv, .out_fd = notes, .err_fd = notes});
    (void)close(notes);
    assert_true(s->pid > 0);
    guard_set_pid(s->guard, s->slot, s->pid);
    wait_ready(s);
}

int server_wait_end(struct server *s)
{
    int status = process_wait(s->pid, END_MS_MAX);

    if (status == -ETIMEDOUT) {
        if (process_show_stuck(s->pid))
            guard_set_pid(s->guard, s->slot, 0);
        fail_msg("%s still runs after %d ms", s->name, END_MS_MAX);
    }
    guard_set_pid(s->guard, s->slot, 0);
    s->pid = 0;
    return status;
}

int server_stop(struct server *s, int sig)
{
    (void)kill(s->pid, sig);
    return server_wait_end(s);
}

void server_run(const struct server *s, const char *const *extra,
                struct process_result *result_out)
{
    const char *argv[SERVER_ARGUMENTS_MAX + 1];

    fill_argv(s, extra, argv);
    process_run(&(struct process_options){.argv = argv}, END_MS_MAX,
                result_out);
}
