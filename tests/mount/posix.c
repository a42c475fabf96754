/* mount_posix [-q] DIR: see posix.h. */
#include "tests/mount/posix.h"

#include <ftw.h>
#include <grp.h>
#include <sys/wait.h>

char posix_root[4096];
int posix_many_names = 100000;
size_t posix_big_mib = 256;
static char scratch[4096 + 32];

int assert_ok_at(int rc, const char *call, const char *file, int line)
{
    if (rc < 0) {
        print_error("%s: %s\n", call, strerror(errno));
        _fail(file, line);
    }
    return rc;
}

void assert_fails_at(int rc, int error, const char *call, const char *file,
                     int line)
{
    if (rc >= 0) {
        print_error("%s: succeeded, not: %s\n", call, strerror(error));
        _fail(file, line);
    }
    if (errno != error) {
        print_error("%s: %s, not: %s\n", call, strerror(errno),
                    strerror(error));
        _fail(file, line);
    }
}

int open_file(const char *path, int flags)
{
    return assert_ok(open(path, flags | O_CLOEXEC, 0644));
}

void close_file(int fd)
{
    assert_ok(close(fd));
}

void put(const char *path, const char *text)
{
    int fd = open_file(path, O_WRONLY | O_CREAT | O_TRUNC);

    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close_file(fd);
}

void assert_text(const char *path, const char *text)
{
    char found[4096] = "";
    int fd = open_file(path, O_RDONLY);
    ssize_t size = read(fd, found, sizeof found - 1);

    assert_true(size >= 0);
    close_file(fd);
    assert_string_equal(found, text);
}

struct stat stat_of(const char *path)
{
    struct stat st;

    assert_ok(lstat(path, &st));
    return st;
}

bool exists(const char *path)
{
    struct stat st;

    if (lstat(path, &st) == 0)
        return true;
    assert_int_equal(errno, ENOENT);
    return false;
}

static int status_of(pid_t pid)
{
    int status;

    assert_ok(waitpid(pid, &status, 0));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int as_user(uid_t uid, int (*fn)(void))
{
    pid_t pid = assert_ok(fork());

    if (pid == 0) {
        if (setgroups(0, NULL) < 0 || setgid(uid) < 0 || setuid(uid) < 0)
            _exit(127);
        _exit(fn());
    }
    return status_of(pid);
}

int shell(const char *command)
{
    pid_t pid = assert_ok(fork());

    if (pid == 0) {
        (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    return status_of(pid);
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

int posix_setup(void **state)
{
    (void)state;
    (void)snprintf(scratch, sizeof scratch, "%s/posix.%d", posix_root,
                   (int)getpid());
    (void)umask(022);
    if (mkdir(scratch, 0755) < 0 || chdir(scratch) < 0) {
        print_error("%s: %s\n", scratch, strerror(errno));
        return -1;
    }
    return 0;
}

int posix_teardown(void **state)
{
    (void)state;
    if (chdir("/") < 0)
        return -1;
    return nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(int argc, char **argv)
{
    static int (*const groups[])(void) = {
        posix_names,      posix_lists,    posix_files,
        posix_attributes, posix_programs, posix_status,
    };
    int failed = 0;

    if (argc > 2 && strcmp(argv[1], "-q") == 0) {
        posix_many_names = 3000;
        posix_big_mib = 16;
        argv++;
        argc--;
    }
    if (argc != 2 || realpath(argv[1], posix_root) == NULL) {
        (void)fprintf(stderr, "usage: mount_posix [-q] DIR (in a mount)\n");
        return 2;
    }
    if (geteuid() != 0) {
        (void)fprintf(stderr, "mount_posix: needs root, skipped\n");
        return 77;
    }
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        failed += groups[i]();
    return failed == 0 ? 0 : 1;
}
