/* Two small hash maps; see inode.h for what they are for. Entries are removed
 * by moving those behind them forward, so that no probe ever ends too soon. */
#include "fs/inode.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"

#define SLOTS_MIN 64u

static size_t home_of(const struct fs_inode_map *m, uint64_t key)
{
    /* Numbers of one session differ in their low bits: Fibonacci spreads. */
    return (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) &
           (m->capacity - 1);
}

/* The slot of @key, or the free one where it would go. */
static size_t find(const struct fs_inode_map *m, uint64_t key)
{
    size_t at = home_of(m, key);

    while (m->slots[at].key != 0 && m->slots[at].key != key)
        at = (at + 1) & (m->capacity - 1);
    return at;
}

static const struct fs_inode_slot *lookup(const struct fs_inode_map *m,
                                          uint64_t key)
{
    const struct fs_inode_slot *slot;

    if (m->count == 0)
        return NULL;
    slot = &m->slots[find(m, key)];
    return slot->key == 0 ? NULL : slot;
}

static int grow(struct fs_inode_map *m)
{
    struct fs_inode_map wider = {
        .capacity = m->capacity == 0 ? SLOTS_MIN : 2 * m->capacity,
        .count = m->count,
    };

    wider.slots = calloc(wider.capacity, sizeof *wider.slots);
    if (wider.slots == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < m->capacity; i++) {
        if (m->slots[i].key != 0)
            wider.slots[find(&wider, m->slots[i].key)] = m->slots[i];
    }
    free(m->slots);
    *m = wider;
    return 0;
}

/* The slot of @key, made with value 0 if need be; NULL without memory. */
static struct fs_inode_slot *insert(struct fs_inode_map *m, uint64_t key)
{
    struct fs_inode_slot *slot;

    px_assert(key != 0);
    if (2 * (m->count + 1) > m->capacity && grow(m) < 0)
        return NULL;
    slot = &m->slots[find(m, key)];
    if (slot->key == 0) {
        *slot = (struct fs_inode_slot){.key = key};
        m->count++;
    }
    return slot;
}

static void erase(struct fs_inode_map *m, uint64_t key)
{
    size_t mask = m->capacity - 1;
    size_t hole = find(m, key);

    px_assert(m->slots[hole].key == key);
    for (size_t at = (hole + 1) & mask; m->slots[at].key != 0;
         at = (at + 1) & mask) {
        size_t home = home_of(m, m->slots[at].key);

        /* It may move back to the hole if that is not before its home. */
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            m->slots[hole] = m->slots[at];
            hole = at;
        }
    }
    m->slots[hole] = (struct fs_inode_slot){0};
    m->count--;
}

void fs_inodes_fini(struct fs_inodes *t)
{
    free(t->opens.slots);
    free(t->aliases.slots);
    *t = (struct fs_inodes){0};
}

int fs_inodes_open(struct fs_inodes *t, uint64_t inode)
{
    struct fs_inode_slot *slot = insert(&t->opens, inode);

    if (slot == NULL)
        return -ENOMEM;
    slot->value++;
    return 0;
}

bool fs_inodes_close(struct fs_inodes *t, uint64_t inode)
{
    struct fs_inode_slot *slot;

    px_assert(t->opens.count > 0);
    slot = &t->opens.slots[find(&t->opens, inode)];
    px_assert(slot->key == inode && slot->value > 0);
    if (--slot->value > 0)
        return false;
    erase(&t->opens, inode);
    return true;
}

bool fs_inodes_is_open(const struct fs_inodes *t, uint64_t inode)
{
    return lookup(&t->opens, inode) != NULL;
}

int fs_inodes_alias(struct fs_inodes *t, uint64_t node, uint64_t inode)
{
    struct fs_inode_slot *slot = insert(&t->aliases, node);

    if (slot == NULL)
        return -ENOMEM;
    slot->value = inode;
    return 0;
}

void fs_inodes_forget(struct fs_inodes *t, uint64_t node)
{
    if (lookup(&t->aliases, node) != NULL)
        erase(&t->aliases, node);
}

uint64_t fs_inodes_resolve(const struct fs_inodes *t, uint64_t node)
{
    const struct fs_inode_slot *slot = lookup(&t->aliases, node);

    return slot == NULL ? node : slot->value;
}
