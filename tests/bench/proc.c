#include "tests/bench/proc.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "tests/bench/clock.h"

#define PROCS_MAX 64
#define FOLDERS_MAX 128
#define ENV_MAX 16
#define PATHS 16
#define MOUNT_WAIT (20 * PX_NS_PER_S)
#define STOP_WAIT (10 * PX_NS_PER_S)
#define POLL_PAUSE (10 * PX_NS_PER_MS)

static char scratch[PROC_PATH_MAX];
static pid_t
    owner; /* forked workers inherit the clean-up, and must not run it */
static pid_t procs[PROCS_MAX];
static int proc_count;
static char *folders[FOLDERS_MAX];
static int folder_count;
static volatile sig_atomic_t interrupted;

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void clean_up(void)
{
    int i;

    if (getpid() != owner)
        return;
    while (proc_count > 0)
        proc_stop(procs[proc_count - 1]);
    for (i = folder_count - 1; i >= 0; i--) {
        struct statfs fs;

        if (statfs(folders[i], &fs) < 0 || fs.f_type == FUSE_SUPER_MAGIC)
            (void)umount2(folders[i], MNT_DETACH); /* gone already: fine */
        free(folders[i]);
    }
    folder_count = 0;
    /* FTW_MOUNT: a mount that would not go is left alone. */
    if (nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
        fprintf(stderr, "bench: %s is left: %s\n", scratch, strerror(errno));
}

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

void proc_begin(const char *parent)
{
    struct sigaction act = {.sa_handler = on_signal};

    snprintf(scratch, sizeof scratch, "%s/phalanx-bench-XXXXXX", parent);
    if (mkdtemp(scratch) == NULL) {
        fprintf(stderr, "bench: %s: %s\n", scratch, strerror(errno));
        exit(1);
    }
    owner = getpid();
    atexit(clean_up);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGHUP, &act, NULL);
}

void proc_die(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, ap);
    fputs("\n", stderr);
    va_end(ap);
    exit(1);
}

bool proc_interrupted(void)
{
    return interrupted != 0;
}

static const char *__attribute__((format(printf, 1, 0)))
path_of(const char *format, va_list ap)
{
    static char paths[PATHS][PROC_PATH_MAX + 256];
    static unsigned next;
    char *path = paths[next++ % PATHS];
    char name[256];

    vsnprintf(name, sizeof name, format, ap);
    snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
    return path;
}

const char *proc_path(const char *format, ...)
{
    va_list ap;
    const char *path;

    va_start(ap, format);
    path = path_of(format, ap);
    va_end(ap);
    return path;
}

const char *proc_folder(const char *format, ...)
{
    va_list ap;
    const char *path;

    va_start(ap, format);
    path = path_of(format, ap);
    va_end(ap);
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        proc_die("%s: %s", path, strerror(errno));
    px_assert(folder_count < FOLDERS_MAX);
    folders[folder_count] = strdup(path);
    px_assert(folders[folder_count] != NULL);
    return folders[folder_count++];
}

static void redirect(const char *name)
{
    int null = open("/dev/null", O_RDONLY);
    int log =
        open(proc_path("%s.log", name), O_WRONLY | O_CREAT | O_APPEND, 0644);

    if (null < 0 || log < 0)
        _exit(127);
    dup2(null, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
}

pid_t proc_start(const char *name, const char *const *argv,
                 const char *const *env)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid < 0)
        proc_die("fork: %s", strerror(errno));
    if (pid == 0) {
        /* A group of its own: Ctrl-C is for us, and we end it in order. */
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(127);
        redirect(name);
        for (; env != NULL && *env != NULL; env++)
            putenv((char *)(uintptr_t)*env);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    px_assert(proc_count < PROCS_MAX);
    procs[proc_count++] = pid;
    return pid;
}

static bool ended(pid_t pid)
{
    return waitpid(pid, NULL, WNOHANG) != 0;
}

void proc_stop(pid_t pid)
{
    px_ns start = clock_now();
    int i;

    kill(pid, SIGTERM);
    while (!ended(pid)) {
        if (clock_now() - start > STOP_WAIT)
            kill(pid, SIGKILL);
        clock_sleep(POLL_PAUSE);
    }
    for (i = 0; i < proc_count; i++)
        if (procs[i] == pid)
            procs[i] = procs[--proc_count];
}

void proc_await_mount(const char *path)
{
    px_ns start = clock_now();
    struct statfs fs;

    while (statfs(path, &fs) < 0 || fs.f_type != FUSE_SUPER_MAGIC) {
        if (proc_interrupted() || clock_now() - start > MOUNT_WAIT)
            proc_die("%s was never mounted", path);
        clock_sleep(POLL_PAUSE);
    }
}

uint16_t proc_free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &size) < 0)
        proc_die("no free port: %s", strerror(errno));
    close(fd);
    return ntohs(a.sin_port);
}

static uint64_t switches_of(const char *path)
{
    static const char key[] = "voluntary_ctxt_switches:";
    char line[256];
    uint64_t n = 0;
    FILE *f = fopen(path, "re");

    if (f == NULL)
        return 0;
    while (fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, key, sizeof key - 1) == 0)
            n = strtoull(line + sizeof key - 1, NULL, 10);
    fclose(f);
    return n;
}

uint64_t proc_switches(pid_t pid)
{
    char path[320];
    struct dirent *e;
    uint64_t sum = 0;
    DIR *tasks;

    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    tasks = opendir(path);
    if (tasks == NULL)
        return 0;
    while ((e = readdir(tasks)) != NULL) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/status", (int)pid,
                 e->d_name);
        sum += switches_of(path);
    }
    closedir(tasks);
    return sum;
}
