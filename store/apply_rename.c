/* RENAME: move a name, over another one or not, or exchange two.
 *
 * A directory of a million files moves by changing two names and one parent.
 * It may not move below itself: the walk from its new place up to the root
 * must not meet it. */
#include <errno.h>

#include "base/err.h"
#include "store/apply.h"

/* Directories above a place, for the walk; -ELOOP for a directory that would
 * move deeper. */
#define DEPTH_MAX 4096

struct rename {
    struct inode parents[2];
    struct inode *from; /* parents[0] */
    struct inode *to;   /* parents[1]; the same as from within a directory */
    struct name_record source;
    struct name_record target; /* if has_target */
    bool has_target;
    struct inode moved; /* behind source */
    struct inode other; /* behind target */
};

static int load_parents(struct apply *a, const struct command *c,
                        struct rename *m)
{
    int rc = store_dir_load(a, c->parent, &m->parents[0]);

    m->from = &m->parents[0];
    m->to = m->from;
    if (rc < 0 || c->new_parent == c->parent)
        return rc;
    m->to = &m->parents[1];
    return store_dir_load(a, c->new_parent, m->to);
}

/* The inode behind a name, which is one of its links. */
static bool load_named(struct store_kv *kv, const struct name_record *name,
                       struct inode *inode_out)
{
    return store_inode_load(kv, name->inode, inode_out) &&
           inode_out->rec.links > 0;
}

static int load(struct apply *a, const struct command *c, struct rename *m)
{
    struct store_kv *kv = &a->kv;
    int rc = load_parents(a, c, m);

    if (rc < 0)
        return rc;
    if (!store_name_load(kv, c->parent, c->name, &m->source))
        return -ENOENT;
    m->has_target = store_name_load(kv, c->new_parent, c->new_name, &m->target);
    if (!m->has_target && (c->flags & COMMAND_EXCHANGE) != 0)
        return -ENOENT;
    if (m->has_target && (c->flags & COMMAND_NOREPLACE) != 0)
        return -EEXIST;
    if (!load_named(kv, &m->source, &m->moved) ||
        (m->has_target && !load_named(kv, &m->target, &m->other))) {
        store_kv_fail(kv, -PX_ECORRUPT);
        return -ENOENT;
    }
    return 0;
}

/* May directory @moved come to lie in @place? */
static int check_above(struct apply *a, const struct inode *place,
                       const struct inode *moved)
{
    struct inode above = *place;

    for (int depth = 0; depth < DEPTH_MAX; depth++) {
        if (above.number == moved->number)
            return -EINVAL;
        if (above.number == STORE_ROOT_INODE)
            return 0;
        a->work++;
        if (!store_inode_load(&a->kv, above.rec.dir.parent, &above)) {
            store_kv_fail(&a->kv, -PX_ECORRUPT);
            return -ENOENT;
        }
    }
    return -ELOOP;
}

/* @i goes to @to, where @leaver (or NULL) makes room. */
static int check_arrival(struct apply *a, const struct inode *i,
                         const struct inode *to, const struct inode *leaver)
{
    bool makes_room = leaver != NULL && inode_is_dir(leaver);

    if (!inode_is_dir(i))
        return 0;
    if (to->rec.links >= PX_LINKS_MAX && !makes_room)
        return -EMLINK;
    return check_above(a, to, i);
}

static int check(struct apply *a, const struct command *c, struct rename *m)
{
    const struct inode *leaver = m->has_target ? &m->other : NULL;
    bool exchanges = (c->flags & COMMAND_EXCHANGE) != 0;
    int rc = 0;

    if (m->from != m->to) {
        rc = check_arrival(a, &m->moved, m->to, leaver);
        if (rc == 0 && exchanges)
            rc = check_arrival(a, &m->other, m->from, &m->moved);
    }
    if (rc < 0 || exchanges || !m->has_target)
        return rc;
    if (inode_is_dir(&m->moved) && !inode_is_dir(&m->other))
        return -ENOTDIR;
    if (!inode_is_dir(&m->moved) && inode_is_dir(&m->other))
        return -EISDIR;
    if (inode_is_dir(&m->other) && m->other.rec.size > 0)
        return -ENOTEMPTY;
    return 0;
}

/* @i, whose name in @from is gone, gets @name in @to. */
static void arrive(struct apply *a, struct inode *i, struct inode *from,
                   struct inode *to, struct command_name name)
{
    store_name_add(&a->kv, to, name, i);
    if (inode_is_dir(i) && from != to) {
        from->rec.links--;
        to->rec.links++;
        i->rec.dir.parent = to->number;
    }
    inode_changed(a, i);
    store_inode_save(&a->kv, i);
}

static void perform(struct apply *a, const struct command *c, struct rename *m)
{
    if (m->has_target)
        store_name_remove(&a->kv, m->to, c->new_name, &m->target);
    store_name_remove(&a->kv, m->from, c->name, &m->source);
    if ((c->flags & COMMAND_EXCHANGE) != 0) {
        arrive(a, &m->other, m->to, m->from, c->name);
    } else if (m->has_target) {
        m->to->rec.links -= inode_is_dir(&m->other) ? 1 : 0;
        store_inode_unlinked(a, &m->other);
    }
    arrive(a, &m->moved, m->from, m->to, c->new_name);
    inode_modified(a, m->from);
    store_inode_save(&a->kv, m->from);
    if (m->to == m->from)
        return;
    inode_modified(a, m->to);
    store_inode_save(&a->kv, m->to);
}

int store_apply_rename(struct apply *a, const struct command *c,
                       struct store_result *r)
{
    struct rename m;
    int rc;

    if ((c->flags & COMMAND_NOREPLACE) != 0 &&
        (c->flags & COMMAND_EXCHANGE) != 0)
        return -EINVAL;
    rc = load(a, c, &m);
    if (rc < 0)
        return rc;
    r->inode = m.moved.number;
    if (m.has_target && m.source.inode == m.target.inode)
        return 0; /* two names of one inode: POSIX leaves both */
    rc = check(a, c, &m);
    if (rc < 0) {
        r->inode = 0;
        return rc;
    }
    perform(a, c, &m);
    return 0;
}
