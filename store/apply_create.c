/* CREATE, MKDIR, SYMLINK, LINK: a name that was not there.
 *
 * The number of a new inode comes with the command: its node drew it from its
 * own session, so that no two nodes can draw the same. */
#include <errno.h>

#include "base/assert.h"
#include "base/err.h"
#include "store/apply.h"

int store_dir_load(struct apply *a, uint64_t number, struct inode *dir_out)
{
    if (!store_inode_load(&a->kv, number, dir_out))
        return -ENOENT;
    if (!inode_is_dir(dir_out))
        return -ENOTDIR;
    if (dir_out->rec.links == 0)
        return -ENOENT; /* removed; somebody still has it open */
    return 0;
}

/* -EINVAL for a number that the command's session does not own, or that is in
 * use, as an inode or by its data. */
static int check_number(struct apply *a, const struct command *c)
{
    struct store_key key;
    MDB_val ignored;

    if (c->inode < STORE_INODE_MIN ||
        c->inode >> STORE_INODE_SESSION_SHIFT != c->session)
        return -EINVAL;
    store_key_number(&key, STORE_TAG_INODE, c->inode);
    if (store_kv_get(&a->kv, &key, &ignored))
        return -EINVAL;
    store_key_number(&key, STORE_TAG_GARBAGE, c->inode);
    if (store_kv_get(&a->kv, &key, &ignored))
        return -EINVAL;
    return 0;
}

/* A set-group-id directory hands its group down, and to directories the bit
 * as well. */
static void inode_make(struct apply *a, const struct command *c,
                       const struct inode *dir, uint32_t type,
                       struct inode *made_out)
{
    bool inherits = (dir->rec.mode & S_ISGID) != 0;

    *made_out = (struct inode){
        .number = c->inode,
        .rec = {.mode = type | (c->mode & 07777u),
                .links = 1,
                .uid = c->uid,
                .gid = inherits ? dir->rec.gid : c->gid,
                .atime = a->now,
                .mtime = a->now,
                .ctime = a->now,
                .created = a->index,
                .changed = a->index},
    };
    if (S_ISDIR(type)) {
        made_out->rec.links = 2; /* its name, and its own "." */
        made_out->rec.mode |= inherits ? (uint32_t)S_ISGID : 0;
        made_out->rec.dir.parent = dir->number;
        made_out->rec.dir.next_cookie = STORE_COOKIE_MIN;
    }
    a->meta.inodes++;
}

/* Where a new inode may be made: the parent loaded, the name free, the number
 * good. */
static int check_make(struct apply *a, const struct command *c,
                      struct inode *dir_out)
{
    struct name_record there;
    int rc = store_dir_load(a, c->parent, dir_out);

    if (rc < 0)
        return rc;
    if (store_name_load(&a->kv, c->parent, c->name, &there))
        return -EEXIST;
    return check_number(a, c);
}

static void make_in(struct apply *a, const struct command *c, struct inode *dir,
                    uint32_t type, struct inode *made_out)
{
    inode_make(a, c, dir, type, made_out);
    store_name_add(&a->kv, dir, c->name, made_out);
    inode_modified(a, dir);
    store_inode_save(&a->kv, dir);
}

int store_file_open(struct apply *a, const struct command *c,
                    struct inode *file_out)
{
    struct name_record there;
    struct inode dir;
    int rc = store_dir_load(a, c->parent, &dir);

    if (rc < 0)
        return rc;
    if (!store_name_load(&a->kv, c->parent, c->name, &there)) {
        rc = check_number(a, c);
        if (rc == 0)
            make_in(a, c, &dir, S_IFREG, file_out);
        return rc;
    }
    if ((c->flags & COMMAND_EXCLUSIVE) != 0)
        return -EEXIST;
    if (S_ISDIR(there.type))
        return -EISDIR;
    /* The kernel follows links before it asks to create, so this one is newer
     * than its look: on ESTALE it looks again, and follows. */
    if (!S_ISREG(there.type))
        return -ESTALE;
    if (!store_inode_load(&a->kv, there.inode, file_out) ||
        !S_ISREG(file_out->rec.mode) || file_out->rec.links == 0) {
        store_kv_fail(&a->kv, -PX_ECORRUPT);
        return -ENOENT;
    }
    return 0;
}

int store_apply_create(struct apply *a, const struct command *c,
                       struct store_result *r)
{
    struct inode f;
    int rc = store_file_open(a, c, &f);

    if (rc < 0)
        return rc;
    if (f.rec.created != a->index && (c->flags & COMMAND_TRUNCATES) != 0) {
        store_data_resize(a, &f, 0);
        inode_modified(a, &f);
    }
    store_inode_save(&a->kv, &f);
    r->inode = f.number;
    r->value = f.rec.size;
    return 0;
}

int store_apply_mkdir(struct apply *a, const struct command *c,
                      struct store_result *r)
{
    struct inode dir, made;
    int rc = check_make(a, c, &dir);

    if (rc < 0)
        return rc;
    if (dir.rec.links >= PX_LINKS_MAX)
        return -EMLINK;
    dir.rec.links++; /* the new one's ".." */
    make_in(a, c, &dir, S_IFDIR, &made);
    store_inode_save(&a->kv, &made);
    r->inode = made.number;
    return 0;
}

int store_apply_symlink(struct apply *a, const struct command *c,
                        struct store_result *r)
{
    struct inode dir, made;
    int rc = check_make(a, c, &dir);

    if (rc < 0)
        return rc;
    make_in(a, c, &dir, S_IFLNK, &made);
    made.rec.mode = S_IFLNK | 0777;
    store_data_write(a, &made, 0, c->data, c->data_size);
    store_inode_save(&a->kv, &made);
    r->inode = made.number;
    return 0;
}

int store_apply_link(struct apply *a, const struct command *c,
                     struct store_result *r)
{
    struct name_record there;
    struct inode dir, target;
    int rc = store_dir_load(a, c->new_parent, &dir);

    if (rc < 0)
        return rc;
    if (store_name_load(&a->kv, c->new_parent, c->new_name, &there))
        return -EEXIST;
    if (!store_inode_load(&a->kv, c->inode, &target))
        return -ENOENT;
    if (inode_is_dir(&target))
        return -EPERM;
    if (target.rec.links == 0)
        return -ENOENT; /* an orphan gets no new name */
    if (target.rec.links >= PX_LINKS_MAX)
        return -EMLINK;
    target.rec.links++;
    inode_changed(a, &target);
    store_inode_save(&a->kv, &target);
    store_name_add(&a->kv, &dir, c->new_name, &target);
    inode_modified(a, &dir);
    store_inode_save(&a->kv, &dir);
    r->inode = target.number;
    return 0;
}
