/* Small files that are read whole, and replaced whole:
 *
 *   write name_new ─▶ sync ─▶ rename to name ─▶ sync_dir
 *
 * so that there is the old one or the new one, and never a half. */
#include <errno.h>

#include "base/limits.h"
#include "base/mutant.h"
#include "store/disk.h"

int store_disk_full_err(struct store_disk *d, int rc)
{
    uint64_t room;

    if (rc == -EDQUOT)
        return -ENOSPC;
    if (rc == -EIO && d->room(d, &room) == 0 && room < STORE_DISK_FULL_BYTES)
        return -ENOSPC;
    return rc;
}

uint64_t store_disk_room_beyond(struct store_disk *d, uint64_t reserve)
{
    uint64_t room;

    if (d->room(d, &room) < 0)
        return UINT64_MAX;
    return room > reserve ? room - reserve : 0;
}

ssize_t store_disk_load(struct store_disk *d, const char *name, void *data,
                        size_t size)
{
    int file = d->open(d, name, STORE_DISK_READ);
    ssize_t n;

    if (file < 0)
        return file;
    n = d->read(d, file, data, size, 0);
    d->close(d, file);
    return n;
}

static int write_new(struct store_disk *d, const char *name, const void *data,
                     size_t size)
{
    struct iovec iov = {(void *)(uintptr_t)data, size}; /* only read from */
    int file = d->open(d, name, STORE_DISK_WRITE | STORE_DISK_CREATE);
    int rc;

    if (file < 0)
        return file;
    rc = d->write(d, file, &iov, 1, 0);
    if (rc == 0 && !px_mutant(FILE_NOT_SYNCED))
        rc = d->sync(d, file);
    d->close(d, file);
    return rc;
}

int store_disk_replace(struct store_disk *d, const char *name,
                       const char *name_new, const void *data, size_t size)
{
    int rc = write_new(d, name_new, data, size);

    if (rc == 0)
        rc = d->rename(d, name_new, name);
    if (rc == 0 && !px_mutant(RENAME_NOT_SYNCED))
        rc = d->sync_dir(d);
    if (rc < 0)
        (void)d->remove(d, name_new); /* it does no harm where it stays */
    return rc;
}
