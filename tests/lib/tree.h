/* What a directory tree holds, as one number. */
#ifndef TESTS_LIB_TREE_H
#define TESTS_LIB_TREE_H

#include <stdint.h>

struct tree {
    uint64_t digest; /* of names, types, modes, sizes, mtimes and bytes */
    uint64_t entries;
    uint64_t bytes;
};

/* Reads all that lies under @dir_fd. 0 or -errno. */
int tree_digest(int dir_fd, struct tree *tree_out);

/* The room that the files below @path take on their disk. Files may come and go
 * meanwhile: what is gone is not counted. */
uint64_t tree_disk_bytes(const char *path);

#endif
