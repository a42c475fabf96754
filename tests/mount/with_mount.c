/* with_mount [-OPTIONS] LOCAL_MOUNT PROGRAM [ARGUMENT...]: runs PROGRAM with
 * one argument more, a fresh mount on a local port, and takes it down again.
 * The exit status is the program's, or 77 (skipped) where FUSE can't be used.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char base[] = "/tmp/phalanx-mount.XXXXXX";
static char state_dir[sizeof base + 8];
static char mountpoint[sizeof base + 8];

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* The server says "ready" on a pipe once it has mounted. */
static pid_t server_start(const char *program, const char *option)
{
    char line[16];
    int ready[2];
    pid_t pid;

    if (pipe2(ready, O_CLOEXEC) < 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        if (dup2(ready[1], STDOUT_FILENO) < 0)
            _exit(127);
        (void)execl(program, program, option, state_dir, mountpoint,
                    (char *)NULL);
        _exit(127);
    }
    (void)close(ready[1]);
    if (pid > 0 && read(ready[0], line, sizeof line) <= 0)
        pid = -1; /* it ended instead, and said why */
    (void)close(ready[0]);
    return pid;
}

static int status_of(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return 127;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run(char **argv, int argc)
{
    char *arguments[64];
    pid_t pid;

    if (argc + 2 > 64)
        return 2;
    for (int i = 0; i < argc; i++)
        arguments[i] = argv[i];
    arguments[argc] = mountpoint;
    arguments[argc + 1] = NULL;
    pid = fork();
    if (pid == 0) {
        (void)execv(arguments[0], arguments);
        _exit(127);
    }
    return pid < 0 ? 127 : status_of(pid);
}

static int server_stop(pid_t pid)
{
    if (kill(pid, SIGTERM) < 0)
        return 127;
    return status_of(pid);
}

static int run_with_server(int argc, char **argv, const char *option)
{
    pid_t server = server_start(argv[0], option);
    int server_status;
    int status;

    if (server < 0)
        return 1;
    status = run(argv + 1, argc - 1);
    server_status = server_stop(server);
    if (server_status != 0)
        (void)fprintf(stderr, "with_mount: the server ended with %d\n",
                      server_status);
    return status != 0 ? status : server_status;
}

int main(int argc, char **argv)
{
    const char *option = "--";
    int first = 1;
    int status;

    if (argc > 1 && argv[1][0] == '-')
        option = argv[first++];
    if (argc - first < 2) {
        (void)fprintf(stderr,
                      "usage: with_mount [-OPTIONS] LOCAL_MOUNT PROGRAM "
                      "[ARGUMENT...]\n");
        return 2;
    }
    if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) < 0) {
        (void)fprintf(stderr, "with_mount: needs root and /dev/fuse\n");
        return 77;
    }
    if (mkdtemp(base) == NULL)
        return 1;
    (void)snprintf(state_dir, sizeof state_dir, "%s/state", base);
    (void)snprintf(mountpoint, sizeof mountpoint, "%s/mnt", base);
    if (chmod(base, 0755) < 0 || mkdir(state_dir, 0700) < 0 ||
        mkdir(mountpoint, 0755) < 0)
        return 1;
    status = run_with_server(argc - first, argv + first, option);
    (void)umount2(mountpoint, MNT_DETACH); /* after a crash of the server */
    if (nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) < 0)
        (void)fprintf(stderr, "with_mount: %s is left behind\n", base);
    return status;
}
