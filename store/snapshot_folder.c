/* The folder that snapshots lie in: what is there, and what may go. One name is
 * looked for at a time, so that no list has to be kept: there are few. */
#include "store/snapshot_folder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "store/snapshot_read.h"

/* ---- Names ---- */

#define NAME_FORMAT "%016" PRIu64 ".snap"

void store_snapshot_name(raft_index index, char name[STORE_SNAPSHOT_NAME_BYTES])
{
    (void)snprintf(name, STORE_SNAPSHOT_NAME_BYTES, NAME_FORMAT,
                   index); /* 20 digits fit */
}

bool snapshot_name_parse(const char *name, raft_index *index_out)
{
    char again[STORE_SNAPSHOT_NAME_BYTES];
    raft_index index = 0;

    if (sscanf(name, "%20" SCNu64, &index) != 1)
        return false;
    store_snapshot_name(index, again);
    if (strcmp(name, again) != 0)
        return false;
    *index_out = index;
    return true;
}

/* ---- Looking ---- */

struct search {
    raft_index below; /* indexes from here on have been looked at */
    raft_index best;  /* 0: none */
    char unfinished[STORE_DISK_NAME_BYTES_MAX + 1]; /* "": none */
};

static bool is_unfinished(const char *name)
{
    size_t size = strlen(name), end = strlen(STORE_SNAPSHOT_UNFINISHED);

    return size >= end && size <= STORE_DISK_NAME_BYTES_MAX &&
           strcmp(name + size - end, STORE_SNAPSHOT_UNFINISHED) == 0;
}

static int look(void *ctx, const char *name)
{
    struct search *s = ctx;
    raft_index index;

    if (is_unfinished(name))
        memcpy(s->unfinished, name, strlen(name) + 1);
    else if (snapshot_name_parse(name, &index) && index < s->below &&
             index > s->best)
        s->best = index;
    return 0;
}

static int remove_unfinished(struct store_disk *disk)
{
    for (;;) {
        struct search s = {.below = 0};
        int rc = disk->list(disk, look, &s);

        if (rc == 0 && s.unfinished[0] != '\0')
            rc = disk->remove(disk, s.unfinished);
        if (rc < 0 || s.unfinished[0] == '\0')
            return rc;
    }
}

int store_snapshot_remove_below(struct store_disk *disk, raft_index index)
{
    for (;;) {
        struct search s = {.below = index};
        char name[STORE_SNAPSHOT_NAME_BYTES];
        int rc = disk->list(disk, look, &s);

        if (rc < 0 || s.best == 0)
            return rc;
        store_snapshot_name(s.best, name);
        rc = disk->remove(disk, name);
        if (rc < 0)
            return rc;
    }
}

/* ---- Find ---- */

/* What was wrong with the ones passed over stays in @why, one after the other.
 */
static int try_open(struct store_disk *disk, raft_index index, uint64_t stamp,
                    struct store_snapshot_info *info_out, struct px_text *why)
{
    char name[STORE_SNAPSHOT_NAME_BYTES], sentence[256];
    struct snapshot_reader r;
    struct px_text wrong;
    int rc;

    store_snapshot_name(index, name);
    px_text_init(&wrong, sentence, sizeof sentence);
    rc = snapshot_reader_open(&r, disk, name, stamp, true, &wrong);
    if (rc < 0) {
        px_text_add(why, "%s%s", why->used > 0 ? "; " : "", sentence);
        return rc;
    }
    snapshot_reader_info(&r, info_out);
    snapshot_reader_close(&r);
    return 0;
}

/* Nobody can make a snapshot of it. With another error the file may be good, be
 * it that another program has to read it, and the log rest on it: without it,
 * what is left of the log would count as damaged, and be cut away. */
static bool is_worthless(int rc)
{
    return rc == -PX_ECORRUPT || rc == -PX_ECLUSTER;
}

int store_snapshot_find(struct store_disk *disk, uint64_t stamp,
                        struct store_snapshot_info *info_out, char *why,
                        size_t why_size)
{
    struct search s = {.best = UINT64_MAX};
    struct px_text text;
    int rc;

    px_text_init(&text, why, why_size);
    rc = remove_unfinished(disk);
    while (rc == 0) {
        s = (struct search){.below = s.best};
        rc = disk->list(disk, look, &s);
        if (rc < 0 || s.best == 0)
            break;
        rc = try_open(disk, s.best, stamp, info_out, &text);
        if (rc == 0)
            return disk->sync_dir(disk); /* its maker may have died before it */
        if (!is_worthless(rc))
            return rc;
        rc = 0;
    }
    return rc < 0 ? rc : -ENOENT;
}
