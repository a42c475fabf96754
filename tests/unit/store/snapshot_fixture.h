/* A state, a disk in memory, and short ways to save, verify and load. */
#ifndef TESTS_SNAPSHOT_FIXTURE_H
#define TESTS_SNAPSHOT_FIXTURE_H

#include "store/snapshot.h"
#include "tests/unit/store/memory_disk.h"
#include "tests/unit/store/state_fixture.h"

#define STAMP UINT64_C(0x1234)

struct world {
    struct fixture *fx;
    struct memory_disk m;
    char why[512];
};

/* A voter 7 and a learner 9. */
extern const struct raft_config snapshot_config;

/* cmocka setup and teardown: *state is the world. */
int world_setup(void **state);
int world_teardown(void **state);

/* Something of every family of records, and @mib MiB that can't be compressed.
 */
void plant(struct fixture *fx, unsigned mib);

int try_save(struct world *w, struct store_snapshot_info *info);
/* Expects success. */
struct store_snapshot_info save(struct world *w);
struct memory_file *file_of(struct world *w, raft_index index);

/* w->why says what is wrong. */
int verify(struct world *w, const char *name);
int load(struct world *w, const char *name, const char *dir);
/* Loads, and opens what was loaded as another fixture. */
void load_and_open(struct world *w, const char *name, struct fixture *loaded);

#endif
