/* UNLINK and RMDIR: a name goes, and with the last one the inode, as soon as
 * nobody has it open (orphan.c). */
#include <errno.h>

#include "base/err.h"
#include "store/apply.h"

void store_inode_unlinked(struct apply *a, struct inode *i)
{
    i->rec.links = inode_is_dir(i) ? 0 : i->rec.links - 1;
    inode_changed(a, i);
    store_inode_save(&a->kv, i);
    if (i->rec.links == 0)
        store_orphan_add(a, i);
}

/* The parent, the name in it and the inode behind it. */
static int find(struct apply *a, const struct command *c, struct inode *dir,
                struct name_record *name, struct inode *i)
{
    int rc = store_dir_load(a, c->parent, dir);

    if (rc < 0)
        return rc;
    if (!store_name_load(&a->kv, c->parent, c->name, name))
        return -ENOENT;
    if (!store_inode_load(&a->kv, name->inode, i) || i->rec.links == 0) {
        store_kv_fail(&a->kv, -PX_ECORRUPT);
        return -ENOENT;
    }
    return 0;
}

static void remove_name(struct apply *a, const struct command *c,
                        struct inode *dir, const struct name_record *name)
{
    store_name_remove(&a->kv, dir, c->name, name);
    inode_modified(a, dir);
    store_inode_save(&a->kv, dir);
}

int store_apply_unlink(struct apply *a, const struct command *c,
                       struct store_result *r)
{
    struct name_record name;
    struct inode dir, i;
    int rc = find(a, c, &dir, &name, &i);

    if (rc < 0)
        return rc;
    if (inode_is_dir(&i))
        return -EISDIR;
    remove_name(a, c, &dir, &name);
    store_inode_unlinked(a, &i);
    r->inode = i.number;
    return 0;
}

int store_apply_rmdir(struct apply *a, const struct command *c,
                      struct store_result *r)
{
    struct name_record name;
    struct inode dir, i;
    int rc = find(a, c, &dir, &name, &i);

    if (rc < 0)
        return rc;
    if (!inode_is_dir(&i))
        return -ENOTDIR;
    if (i.rec.size > 0)
        return -ENOTEMPTY;
    dir.rec.links--; /* its ".." */
    remove_name(a, c, &dir, &name);
    store_inode_unlinked(a, &i);
    r->inode = i.number;
    return 0;
}
