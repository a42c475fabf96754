/* What the mount remembers of inodes: how often each is open here, and the few
 * that the kernel knows under another number than the state does.
 *
 * The kernel's number of an inode (its nodeid) is the state's, so lookups need
 * no counting: inode numbers are never used again. The exception is a staged
 * creation that found the name taken when it was published (stage.c): the
 * kernel was told a number that no inode got. An alias leads from it to the
 * inode that is there, until the kernel forgets it. */
#ifndef FS_INODE_H
#define FS_INODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fs_inode_slot {
    uint64_t key; /* 0: free */
    uint64_t value;
};

/* Open addressing with linear probing, at most half full. */
struct fs_inode_map {
    struct fs_inode_slot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
};

struct fs_inodes {
    struct fs_inode_map opens;   /* inode -> handles */
    struct fs_inode_map aliases; /* nodeid -> inode */
};

void fs_inodes_fini(struct fs_inodes *t);

/* One more handle, one less. -ENOMEM: not counted. */
int fs_inodes_open(struct fs_inodes *t, uint64_t inode);
/* Returns whether it was the last. */
bool fs_inodes_close(struct fs_inodes *t, uint64_t inode);
bool fs_inodes_is_open(const struct fs_inodes *t, uint64_t inode);

/* -ENOMEM. */
int fs_inodes_alias(struct fs_inodes *t, uint64_t node, uint64_t inode);
/* The kernel has forgotten @node. A node has one lookup for its alias: later
 * ones find the inode under its own number. */
void fs_inodes_forget(struct fs_inodes *t, uint64_t node);
/* The state's number of @node. */
uint64_t fs_inodes_resolve(const struct fs_inodes *t, uint64_t node);

#endif
