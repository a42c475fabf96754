/* WRITE and SETATTR: what an inode holds, and what it says of itself.
 *
 * A WRITE may create or empty its file first, all in one step: that is how
 * `echo new > key` never shows an empty file. */
#include <errno.h>

#include "store/apply.h"

/* What changes a file's bytes or owner takes its set-id bits away, as the
 * kernel does for local files. Without group execution, set-group-id means
 * mandatory locking, and stays. */
static void clear_setid(struct inode *i)
{
    i->rec.mode &= ~(uint32_t)S_ISUID;
    if ((i->rec.mode & S_IXGRP) != 0)
        i->rec.mode &= ~(uint32_t)S_ISGID;
}

static int check_regular(const struct inode *i)
{
    if (S_ISREG(i->rec.mode))
        return 0;
    return inode_is_dir(i) ? -EISDIR : -EINVAL;
}

static int find_file(struct apply *a, const struct command *c, struct inode *f)
{
    if ((c->flags & COMMAND_CREATES) != 0)
        return store_file_open(a, c, f);
    return store_inode_load(&a->kv, c->inode, f) ? check_regular(f) : -ENOENT;
}

static bool is_too_large(uint64_t offset, size_t size)
{
    return size > PX_FILE_BYTES_MAX || offset > PX_FILE_BYTES_MAX - size;
}

/* Empties @f before @size bytes go to @offset. From the start on, only what
 * they don't cover is cut: the rest is overwritten, and never seen between. */
static void empty_file(struct apply *a, struct inode *f, uint64_t offset,
                       size_t size)
{
    uint64_t covered = offset == 0 ? size : 0;

    if (f->rec.size > covered)
        store_data_resize(a, f, covered);
}

int store_apply_write(struct apply *a, const struct command *c,
                      struct store_result *r)
{
    bool appends = (c->flags & COMMAND_APPENDS) != 0;
    bool truncates = (c->flags & COMMAND_TRUNCATES) != 0;
    uint64_t offset = appends ? 0 : c->offset;
    struct inode f;
    int rc;

    if (is_too_large(offset, c->data_size))
        return -EFBIG; /* before a file is made for it */
    rc = find_file(a, c, &f);
    if (rc < 0)
        return rc;
    if (appends && !truncates)
        offset = f.rec.size;
    if (is_too_large(offset, c->data_size))
        return -EFBIG; /* only an old file can be: nothing was changed */
    if (truncates)
        empty_file(a, &f, offset, c->data_size);
    if (c->data_size > 0)
        store_data_write(a, &f, offset, c->data, c->data_size);
    if (c->data_size > 0 || truncates) {
        inode_modified(a, &f);
        if ((c->flags & COMMAND_KEEPS_SETID) == 0)
            clear_setid(&f);
    }
    store_inode_save(&a->kv, &f);
    r->inode = f.number;
    r->value = f.rec.size;
    return 0;
}

static int check_setattr(const struct command *c, const struct inode *i)
{
    if ((c->attrs & COMMAND_SIZE) == 0)
        return 0;
    if (c->offset > PX_FILE_BYTES_MAX)
        return -EFBIG;
    return check_regular(i);
}

static void set_owner(const struct command *c, struct inode *i)
{
    if ((c->attrs & (COMMAND_UID | COMMAND_GID)) == 0)
        return;
    if ((c->attrs & COMMAND_UID) != 0)
        i->rec.uid = c->attr_uid;
    if ((c->attrs & COMMAND_GID) != 0)
        i->rec.gid = c->attr_gid;
    if (!inode_is_dir(i))
        clear_setid(i);
}

static void set_size(struct apply *a, const struct command *c, struct inode *i)
{
    if ((c->attrs & COMMAND_SIZE) == 0)
        return;
    store_data_resize(a, i, c->offset);
    i->rec.mtime = a->now;
    if ((c->flags & COMMAND_KEEPS_SETID) == 0)
        clear_setid(i);
}

static void set_times(const struct apply *a, const struct command *c,
                      struct inode *i)
{
    if ((c->attrs & COMMAND_ATIME) != 0)
        i->rec.atime = c->atime;
    if ((c->attrs & COMMAND_ATIME_NOW) != 0)
        i->rec.atime = a->now;
    if ((c->attrs & COMMAND_MTIME) != 0)
        i->rec.mtime = c->mtime;
    if ((c->attrs & COMMAND_MTIME_NOW) != 0)
        i->rec.mtime = a->now;
}

int store_apply_setattr(struct apply *a, const struct command *c,
                        struct store_result *r)
{
    struct inode i;
    int rc;

    if (!store_inode_load(&a->kv, c->inode, &i))
        return -ENOENT;
    rc = check_setattr(c, &i);
    if (rc < 0)
        return rc;
    /* What is said outright comes last: it wins over what follows from the
     * rest. */
    set_owner(c, &i);
    set_size(a, c, &i);
    if ((c->attrs & COMMAND_MODE) != 0)
        i.rec.mode = (i.rec.mode & S_IFMT) | (c->mode & 07777u);
    set_times(a, c, &i);
    if (c->attrs != 0)
        inode_changed(a, &i);
    store_inode_save(&a->kv, &i);
    r->inode = i.number;
    r->value = i.rec.size;
    return 0;
}
