/* An inode has one place, which it takes from whoever is there. */
#include "fs/shown.h"

#include <assert.h>

static_assert((FS_SHOWN_MAX & (FS_SHOWN_MAX - 1)) == 0, "a place is a mask");

/* Numbers of one session count up; the sessions are in the upper half. */
static uint64_t place_of(uint64_t inode)
{
    return (inode ^ inode >> 32) & (FS_SHOWN_MAX - 1);
}

void fs_shown_add(struct fs_shown *s, uint64_t inode, px_ns now)
{
    uint64_t i = place_of(inode);

    if (s->slots[i].inode != inode) {
        s->slots[i].inode = inode;
        s->slots[i].count = 0;
    }
    s->slots[i].count++;
    s->slots[i].until = now + FS_SHOWN_FOR;
}

void fs_shown_forget(struct fs_shown *s, uint64_t inode, uint64_t count)
{
    uint64_t i = place_of(inode);

    if (s->slots[i].inode != inode)
        return;
    if (count < s->slots[i].count)
        s->slots[i].count -= count;
    else
        s->slots[i].inode = 0;
}

bool fs_shown_has(const struct fs_shown *s, uint64_t inode, px_ns now)
{
    uint64_t i = place_of(inode);

    return s->slots[i].inode == inode && now < s->slots[i].until;
}
