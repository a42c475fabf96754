/* The data folder of a node of five that has stopped, in a temporary folder:
 * "node-2", voter. It holds OLD_ENTRIES entries: a session, then a file by each;
 * the first OLD_APPLIED are applied, the rest is in the log alone. */
#ifndef TESTS_UNIT_CLI_OLD_NODE_H
#define TESTS_UNIT_CLI_OLD_NODE_H

#include "cli/data.h"

#define OLD_ENTRIES 40
#define OLD_APPLIED 25
#define OLD_TERM 7 /* its hard state's; of its entries: 5 */
#define OLD_CLUSTER UINT64_C(0x01d)
#define OLD_INCARNATION 3

struct old_node {
    char root[64];
    char data[96];
    char new[96]; /* not there */
};

/* cmocka setup and teardown: *state is the folders. */
int old_node_setup(void **state);
int old_node_teardown(void **state);

/* As a server would open them, the old folder or the new. */
void old_node_open(const char *dir, struct data *d);
/* How many of the files there are in the state, which has no others. */
unsigned old_node_files(struct data *d);

/* A shell command, with @dir for $0; fails the test unless it succeeds. */
void old_node_shell(const char *dir, const char *command);

#endif
