/* A data folder, the disks of its parts and what is kept there, opened by a
 * tool while no server runs.
 *
 *   store_folder_open_found, or store_folder_open ─▶ data->folder, identity
 *   data_open_disks ─▶ data_open ─▶ data->storage ─▶ data_close
 *
 * Thread: one. */
#ifndef CLI_DATA_H
#define CLI_DATA_H

#include "base/text.h"
#include "node/storage.h"
#include "store/identity.h"

#define DATA_WHY_BYTES 1024

struct data {
    struct store_folder *folder; /* NULL: not open */
    struct store_identity identity;
    raft_id id; /* of the identity's node */
    struct store_disk *log_disk;
    struct store_disk *snapshot_disk;
    struct storage storage;
};

/* The folder and the identity are there. Errors: -errno, with a sentence. */
int data_open_disks(struct data *d, char why[DATA_WHY_BYTES]);
/* The storage as a start of the identity's node, in its cluster, would open it:
 * with the repairs that it makes. Errors: of storage_open, with a sentence. */
int data_open(struct data *d, char why[DATA_WHY_BYTES]);
/* Closes what is open; what is durable stays. Harmless on one all zero. */
void data_close(struct data *d);

/* "WHAT: the error"; returns @rc. */
int data_say(char why[DATA_WHY_BYTES], const char *what, int rc);

#endif
