/* The note beside the database: which boot of the machine wrote to it, and
 * how it was closed.
 *
 *   STATE_DIR/boot:  "phalanx-state 1 dirty <boot id>\n"
 *
 * The number is the format of the database, which a program must know before
 * it judges, removes or opens what a newer one has written. A newer one than it
 * knows is damage where the database itself has one that it knows.
 *
 * Commits are not synced. What the page cache had is right after the process
 * died, and anything at all after the machine did. So the note says "dirty"
 * and the boot id, durably, before the first byte of the database is written,
 * and "clean" only once the whole database has been synced. "damaged" says that
 * records were met that are not what was written, or that could not be written:
 * it is to be built anew.
 *
 * "looking" is said while all of it is read at a start: LMDB may crash on a
 * damaged file. It is believed as "dirty" is, once; the next start that finds it
 * says "damaged" while it looks, for somebody may have ended the first.
 *
 * "closing" is said before that sync. Where it fails, the kernel takes what it
 * could not write for written: the page cache shows what the disk does not
 * hold, until it needs the room, and no later sync says so. Nor may there be
 * anybody left to write another note by then: a process that is killed while
 * its disk fails is gone when the sync returns. So a note that still says so is
 * not believed, by this boot either. */
#ifndef STORE_BOOT_H
#define STORE_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "store/disk.h"

#define STORE_BOOT_ID_BYTES_MAX 63
#define STORE_BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"

/* Which boot of the machine this is, by the kernel. Errors: -errno, -EIO. */
int store_boot_id(char id_out[STORE_BOOT_ID_BYTES_MAX + 1]);

struct store_boot {
    uint32_t format; /* only read: what is written is STORE_STATE_FORMAT */
    bool is_clean;
    bool is_damaged;
    bool is_closing;
    bool is_looking; /* one of the four at most; none: dirty */
    char id[STORE_BOOT_ID_BYTES_MAX + 1];
};

/* @disk: of the state's folder.
 * -ENOENT: there is none. -PX_ECORRUPT: not a note, or of an older program.
 * -PX_EFORMAT: of a newer one. note_out->format says of which, 0 for what is
 * not a note; the rest of it is empty then. */
int store_boot_read(struct store_disk *disk, struct store_boot *note_out);
/* Durable on return. -EINVAL for an id that is empty, too long or has blanks.*/
int store_boot_write(struct store_disk *disk, const struct store_boot *note);

#endif
