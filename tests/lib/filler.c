#include "tests/lib/filler.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/statvfs.h>
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

void filler_fill_but(const char *dir, uint64_t left)
{
    int fd = open(foreign_path(dir), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    struct statvfs st;
    uint64_t room;

    assert_return_code(fd, errno);
    assert_return_code(fstatvfs(fd, &st), errno);
    room = (uint64_t)st.f_bavail * st.f_frsize;
    assert_true(room > left);
    assert_int_equal(posix_fallocate(fd, 0, (off_t)(room - left)), 0);
    (void)close(fd);
}

void filler_make_room(const char *dir)
{
    assert_return_code(unlink(foreign_path(dir)), errno);
}
