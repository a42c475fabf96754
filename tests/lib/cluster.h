/* A cluster of real servers with real mounts on this machine, for one test.
 *
 *   cluster_start ─▶ use the mounts, kill, restart ... ─▶ cluster_stop
 *                └─▶ cluster_teardown, however the test went
 *
 * The server is $PHALANX_SERVER. Timing is for one machine (elections of 240
 * to 480 ms); TICK_MS, ELECTION and HEARTBEAT in the environment change it.
 * Whatever does not work fails the test, and cluster_teardown then prints the last
 * notes of each node.
 *
 * While a server is down, its mount point may for a moment be a plain folder:
 * files made there would be acknowledged by this machine's disk. So tests that
 * kill open their mounts with cluster_open_mount. */
#ifndef TESTS_LIB_CLUSTER_H
#define TESTS_LIB_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/guard.h"
#include "tests/lib/loopback.h"
#include "tests/lib/netns.h"

#define CLUSTER_NODES_MAX GUARD_SERVERS_MAX

struct cluster;

struct cluster_options {
    int nodes;
    unsigned request_timeout_ms; /* 0: 5000, the server's own for this timing */
    unsigned snapshot_mib;       /* 0: the server's own */
    unsigned seconds_max;        /* the whole test; 0: 300 */
    const struct netns *hosts;   /* node i runs in host i; NULL: all in ours */
    /* Of node i: "NAME=value", up to a NULL, instead of what it would be told
     * otherwise; NULL: none. Stays the caller's. */
    const char *const *settings[CLUSTER_NODES_MAX];
};

/* Returns when every node has a leader and answers. */
struct cluster *cluster_start(const struct cluster_options *options);
/* The same with all nodes down: cluster_restart starts one for the first time.*/
struct cluster *cluster_prepare(const struct cluster_options *options);
/* A test's last step: SIGTERM to all; each must unmount and end with status 0.*/
void cluster_stop(struct cluster *c);
/* The teardown for cmocka_unit_test_teardown: ends and removes what is left of
 * the cluster that was started last, if any. One at a time. */
int cluster_teardown(void **state);

int cluster_nodes(const struct cluster *c);
/* Where its peers reach node @i: host:port. */
void cluster_address(const struct cluster *c, int i, char *text, size_t size);
/* A folder for the test's own files; removed with the cluster. */
const char *cluster_dir(const struct cluster *c);
const char *cluster_mount(const struct cluster *c, int i);
const char *cluster_data(const struct cluster *c, int i);
/* For signals and tracers; 0: down. */
pid_t cluster_pid(const struct cluster *c, int i);
/* The file that holds what it has said. */
const char *cluster_notes(const struct cluster *c, int i);
unsigned cluster_request_timeout_ms(const struct cluster *c);

/* The root of a mount, as a descriptor for openat(2); -ENOTCONN: there is only
 * the plain folder. Never waits. */
int cluster_open_mount(const struct cluster *c, int i);
/* The same for any mount point @path. */
int mount_open(const char *path);

/* SIGKILL, and its end. A node that had ended by itself fails the test. */
void cluster_kill(struct cluster *c, int i);
/* The same for all, at one moment. */
void cluster_kill_all(struct cluster *c);
/* Waits for a node to end by itself; its exit status. */
int cluster_wait_end(struct cluster *c, int i);
/* Has a node ended by itself? Its exit status, and it is down; -EAGAIN: no. */
int cluster_has_ended(struct cluster *c, int i);
/* Starts it again; returns at once. */
void cluster_restart(struct cluster *c, int i);
/* The same with one flag: "--distrust-state". */
void cluster_restart_with(struct cluster *c, int i, const char *flag);
/* Of a node that is down: its data goes to a disk of its own, of @mib, an ext4
 * in a file, which is taken off and removed with the cluster. Once for each. */
void cluster_move_data(struct cluster *c, int i, unsigned mib);
/* Is there mkfs.ext4, and can a file be mounted here? Tries it. */
bool cluster_can_move_data(void);
/* Sends @sig to its process. */
void cluster_signal(struct cluster *c, int i, int sig);

/* Fails the test if a node has ended by itself. */
void cluster_check_runs(struct cluster *c);

/* As http_get, from node @i. */
int cluster_get(const struct cluster *c, int i, const char *path, char *text,
                size_t size);
struct json_t;
/* Its status page, to be given to json_decref; NULL: it doesn't answer. */
struct json_t *cluster_status(const struct cluster *c, int i);
/* A number of node @i's status page: @key, in the object @group unless that is
 * NULL. Fails the test if there is none. */
uint64_t cluster_number(const struct cluster *c, int i, const char *group,
                        const char *key);
/* Does it have a leader, and answer? Never waits long. */
bool cluster_is_ready(struct cluster *c, int i);
void cluster_wait_ready(struct cluster *c, int i);
void cluster_wait_all_ready(struct cluster *c);
/* The node that leads, of those that run, once there is one. */
int cluster_leader(struct cluster *c);
/* Waits until all that run have applied the same, and fails the test unless the hashes
 * of their states are equal then. */
void cluster_check_states(struct cluster *c);

#endif
