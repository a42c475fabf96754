/* What a node keeps, for the tests of node/storage.c. It holds entries 1 to 10,
 * and gets a snapshot that ends at entry 100, in three pieces. The disks of the
 * log and of the snapshots are in memory and lose what was not made durable;
 * LMDB's files are real. */
#ifndef TESTS_UNIT_NODE_STORAGE_FIXTURE_H
#define TESTS_UNIT_NODE_STORAGE_FIXTURE_H

#include <stdint.h>

#include "node/storage.h"
#include "tests/lib/memdisk.h"

#define TERM 5
#define HELD 10
#define PIECES 3
#define SEGMENT_BYTES (64 * PX_KIB)

/* A data folder. */
struct folder {
    struct memdisk *log;
    struct memdisk *snapshots; /* or the same: then `term` is there, too */
    struct store_disk *real;   /* for the snapshots, instead; or NULL */
    char state[64];
};

extern const struct raft_pos pos;
extern const struct raft_config config;

/* The snapshot at @pos, as bytes. */
extern uint8_t file[];
extern size_t file_bytes;

extern char why[512]; /* an open failed */

/* cmocka setup and teardown: *state is the folder, which was closed as by a
 * crash. setup_one_disk: all is on one disk, as it is on a machine. */
int setup(void **state);
int setup_one_disk(void **state);
int teardown(void **state);

struct folder folder_new(void);
struct folder folder_copy(const struct folder *from);
void folder_free(struct folder *f);
/* Is there a @name among its states? */
bool has_folder(const struct folder *f, const char *name);

void new_state_folder(char path[64]);
void remove_folder(const char *path);

int try_open(struct folder *f, struct storage *s, const char *boot_id,
             bool distrust);
void open_it(struct folder *f, struct storage *s, const char *boot_id);
/* The process is gone; the disks are what its calls have made of them. */
void drop(struct storage *s);

void apply_noops(struct store_state *state, raft_index last); /* of TERM */
/* Entries 1 to HELD: in the log, of @term, and applied. */
void write_and_apply(struct storage *s, raft_term term);
/* @piece: of what is stored. */
int do_job(struct storage *s, enum replica_snapshot_what what, size_t piece);
/* Stops where something fails. @is_kept_out: the last piece was stored. */
int install(struct storage *s, bool *is_kept_out);

/* All that a start must find, whatever has happened: nothing that was durable
 * is missing, and what is there fits together. */
void check_start(struct folder *f, const char *boot_id, bool is_kept);

#endif
