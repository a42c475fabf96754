/* Who is asking: the process that opened a file, or a stranger to it. */
#ifndef FS_CALLER_H
#define FS_CALLER_H

#include <stdbool.h>
#include <sys/types.h>

enum fs_kinship {
    FS_STRANGER,
    FS_CHILD, /* of the opener, or a child's child */
    FS_SAME,  /* the opener, in whichever of its threads */
};

/* What @pid is to @opener, both as FUSE gives them (thread ids; 0 for
 * processes outside our pid namespace, which all count as the same). Reads
 * /proc where the two differ; a process that has ended is a stranger. */
enum fs_kinship fs_kinship(pid_t pid, pid_t opener);

#endif
