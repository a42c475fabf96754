/* A small filesystem in memory: what commands must do, written down a second
 * time and differently. Names are single digits, contents plain arrays. */
#ifndef TESTS_MODEL_H
#define TESTS_MODEL_H

#include "tests/unit/store/state_fixture.h"

#define MODEL_NODES 96
#define MODEL_NAMES 5
#define MODEL_BYTES_MAX 30000u /* several chunks */
#define MODEL_SESSIONS 2

struct model_node {
    uint64_t inode; /* 0: the slot is free */
    uint32_t type;  /* S_IFMT bits */
    uint32_t links;
    int parent;             /* of a directory: its node */
    int names[MODEL_NAMES]; /* of a directory: nodes, -1 for none */
    bool held[MODEL_SESSIONS];
    uint64_t size;
    uint8_t bytes[MODEL_BYTES_MAX];
};

struct model {
    struct model_node nodes[MODEL_NODES]; /* 0 is the root */
    uint64_t session[MODEL_SESSIONS];
};

void model_init(struct model *m);
/* -1: none. */
int model_find(const struct model *m, uint64_t inode);
bool model_is_full(const struct model *m);
/* Performs @c, of session number @who, and returns the rc it must have. The
 * inode of the result, where there is one, in *inode_out. */
int model_apply(struct model *m, const struct command *c, int who,
                uint64_t *inode_out);
/* Asserts that @fx shows exactly what the model holds. */
void model_compare(const struct model *m, struct fixture *fx);

#endif
