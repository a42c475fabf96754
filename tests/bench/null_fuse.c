/* null_fuse MOUNTPOINT: a FUSE filesystem that does nothing, in one loop on
 * one thread. What an operation costs here is what the kernel and the wake-ups
 * cost; nobody who answers through FUSE can be faster. */
#include "tests/bench/front.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    struct fuse_session *session;
    int rc;

    if (argc != 2) {
        fprintf(stderr, "usage: null_fuse MOUNTPOINT\n");
        return 2;
    }
    session = front_open(argv[1], NULL);
    if (session == NULL)
        return 1;
    rc = fuse_session_loop(session);
    front_close(session);
    return rc < 0 ? 1 : 0;
}
