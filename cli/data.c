/* See data.h. */
#include "cli/data.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "node/config.h"
#include "store/boot.h"

int data_say(char why[DATA_WHY_BYTES], const char *what, int rc)
{
    (void)snprintf(why, DATA_WHY_BYTES, "%s: %s", what, px_strerror(rc));
    return rc;
}

int data_open_disks(struct data *d, char why[DATA_WHY_BYTES])
{
    const char *log = store_folder_log(d->folder);
    const char *snapshot = store_folder_snapshot(d->folder);
    int rc = store_disk_open(log, &d->log_disk);

    if (rc < 0)
        return data_say(why, log, rc);
    rc = store_disk_open(snapshot, &d->snapshot_disk);
    return rc < 0 ? data_say(why, snapshot, rc) : 0;
}

static void take_initial(const struct store_identity *identity,
                         struct raft_config *out)
{
    out->count = identity->voter_count;
    for (size_t i = 0; i < out->count; i++)
        out->members[i] =
            (struct raft_member){config_id_of(identity->voters[i]), RAFT_VOTER};
}

int data_open(struct data *d, char why[DATA_WHY_BYTES])
{
    char boot_id[STORE_BOOT_ID_BYTES_MAX + 1] = "";
    struct storage_options options = {
        .term_disk = store_folder_disk(d->folder),
        .log_disk = d->log_disk,
        .snapshot_disk = d->snapshot_disk,
        .log_dir = store_folder_log(d->folder),
        .state_dir = store_folder_state(d->folder),
        .boot_id = boot_id,
        .cluster = d->identity.cluster,
        .id = config_id_of(d->identity.node),
        .is_begun = d->identity.has_log,
    };
    int rc = store_boot_id(boot_id);

    if (rc < 0)
        return data_say(why, "can't read " STORE_BOOT_ID_FILE, rc);
    take_initial(&d->identity, &options.initial);
    d->id = options.id;
    return storage_open(&d->storage, &options, why, DATA_WHY_BYTES);
}

void data_close(struct data *d)
{
    storage_close(&d->storage);
    store_disk_close(d->snapshot_disk);
    store_disk_close(d->log_disk);
    store_folder_close(d->folder);
    *d = (struct data){0};
}
