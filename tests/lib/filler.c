#include "tests/lib/filler.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/guard.h"

static const char *foreign_path(const char *dir)
{
    static char path[GUARD_PATH_MAX + 16];

    (void)snprintf(path, sizeof path, "%s/foreign", dir);
    return path;
}

void filler_fill(const char *dir)
{
    int fd = open(foreign_path(dir), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    off_t end = 0;

    assert_return_code(fd, errno);
    for (off_t size = 256 << 20; size >= 4096;) {
        if (posix_fallocate(fd, end, size) == 0)
            end += size;
        else
            size /= 2;
    }
    (void)close(fd);
    assert_true(end > 0);
}

void filler_make_room(const char *dir)
{
    assert_return_code(unlink(foreign_path(dir)), errno);
}
