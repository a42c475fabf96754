#include "tests/unit/fs/fixture.h"

#include <dirent.h>
#include <ftw.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/assert.h"
#include "base/note.h"

struct local_port *port;
char mount_dir[128];
char state_dir[128];

static char base_dir[64];

/* ---- The mount ---- */

int folders_setup(void **state)
{
    (void)state;
    px_note_init(PX_NOTE_WARN, "test");
    (void)snprintf(base_dir, sizeof base_dir, "/tmp/phalanx-fs.XXXXXX");
    if (geteuid() != 0 || mkdtemp(base_dir) == NULL ||
        chmod(base_dir, 0755) < 0)
        return -1;
    (void)snprintf(mount_dir, sizeof mount_dir, "%s/mnt", base_dir);
    (void)snprintf(state_dir, sizeof state_dir, "%s/state", base_dir);
    return mkdir(mount_dir, 0755) < 0 || mkdir(state_dir, 0700) < 0 ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

int folders_teardown(void **state)
{
    (void)state;
    (void)umount2(mount_dir, MNT_DETACH); /* after a test that failed */
    return nftw(base_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static int setup(void **state, bool is_strict)
{
    struct local_port_options options = {
        .state_dir = state_dir,
        .mountpoint = mount_dir,
        .strict_truncate = is_strict,
    };
    char why[256];

    if (folders_setup(state) < 0)
        return -1;
    if (local_port_open(&options, &port, why, sizeof why) < 0) {
        print_error("%s\n", why);
        return -1;
    }
    if (local_port_start(port) < 0)
        return -1;
    return chdir(mount_dir);
}

int mount_setup(void **state)
{
    return setup(state, false);
}

int mount_setup_strict(void **state)
{
    return setup(state, true);
}

int mount_teardown(void **state)
{
    int rc = local_port_check(port);

    if (chdir("/") < 0)
        return -1;
    local_port_stop(port);
    local_port_close(port);
    return folders_teardown(state) < 0 ? -1 : rc;
}

/* ---- What is seen ---- */

void assert_trace(const char *expected)
{
    char *trace = local_port_trace(port);

    assert_string_equal(trace, expected);
    free(trace);
}

void exchange_remotely(const char *name, const char *other)
{
    struct command c = {
        .op = COMMAND_RENAME,
        .flags = COMMAND_EXCHANGE,
        .parent = STORE_ROOT_INODE,
        .name = {name, strlen(name)},
        .new_parent = STORE_ROOT_INODE,
        .new_name = {other, strlen(other)},
    };

    assert_int_equal(local_port_apply_remote(port, &c), 0);
}

void write_text(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

int open_to_write(const char *path)
{
    int fd = open(path, TO_WRITE, 0644);

    assert_true(fd >= 0);
    return fd;
}

void close_fd(int fd)
{
    assert_int_equal(close(fd), 0);
}

void assert_text(const char *path, const char *text)
{
    char found[256] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_true(read(fd, found, sizeof found - 1) >= 0);
    assert_int_equal(close(fd), 0);
    assert_string_equal(found, text);
}

void put(const char *path, const char *text)
{
    int fd = open_to_write(path);

    write_text(fd, text);
    close_fd(fd);
    free(local_port_trace(port));
}

int put_remotely(const char *name, const char *text, uint32_t mode)
{
    struct command c = {
        .op = COMMAND_WRITE,
        .flags = COMMAND_CREATES | COMMAND_TRUNCATES,
        .inode = local_port_remote_inode(port),
        .parent = STORE_ROOT_INODE,
        .name = {name, strlen(name)},
        .mode = S_IFREG | mode,
        .data = text,
        .data_size = strlen(text),
    };

    return local_port_apply_remote(port, &c);
}

uint64_t requests_begun(void)
{
    struct fs_counters counters;

    local_port_counters(port, &counters);
    return counters.requests;
}

void await_requests(uint64_t before, uint64_t count)
{
    while (requests_begun() < before + count)
        (void)sched_yield(); /* always 0 */
}

void await_stuck(unsigned count)
{
    while (local_port_stuck(port) < count)
        (void)sched_yield();
}

/* ---- Actors ---- */

#define ACTOR_SOCKET 3 /* behind the standard three */

struct order {
    enum act act;
    int value;
    char path[64];
};

struct actor {
    pid_t pid;
    int socket;
};

static int list(const char *path, int64_t *count)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;

    if (dir == NULL)
        return -1;
    while ((entry = readdir(dir)) != NULL)
        *count += entry->d_name[0] != '.';
    return closedir(dir);
}

static int child_fstat(int fd, int64_t *size)
{
    struct stat st;
    int channel[2];
    pid_t pid;

    if (pipe(channel) < 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        st.st_size = fstat(fd, &st) == 0 ? st.st_size : -1;
        _exit(write(channel[1], &st.st_size, sizeof st.st_size) < 0);
    }
    if (read(channel[0], size, sizeof *size) != sizeof *size)
        return -1;
    (void)close(channel[0]);
    (void)close(channel[1]);
    return waitpid(pid, NULL, 0) < 0 ? -1 : 0;
}

static int read_whole(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY);
    ssize_t got;

    if (fd < 0)
        return -1;
    got = read(fd, text, size - 1);
    (void)close(fd);
    return got < 0 ? -1 : 0;
}

static int rename_both(const char *both)
{
    const char *blank = strchr(both, ' ');
    char old[64] = "";

    px_assert(blank != NULL);
    memcpy(old, both, (size_t)(blank - both));
    return rename(old, blank + 1);
}

static int carry_out(const struct order *o, int *fd, struct act_result *r)
{
    struct stat st = {0};
    int rc = -1;

    switch (o->act) {
    case ACT_OPEN:
        *fd = open(o->path, o->value, 0644);
        return *fd;
    case ACT_CLOSE:
        return close(*fd);
    case ACT_WRITE:
        return write(*fd, o->path, strlen(o->path)) < 0 ? -1 : 0;
    case ACT_READ:
        return read_whole(o->path, r->text, sizeof r->text);
    case ACT_FSTAT:
        rc = fstat(*fd, &st);
        r->value = st.st_size;
        return rc;
    case ACT_STAT:
        rc = stat(o->path, &st);
        r->value = st.st_size;
        return rc;
    case ACT_LIST:
        return list(o->path, &r->value);
    case ACT_CHILD_FSTAT:
        return child_fstat(*fd, &r->value);
    case ACT_MKDIR:
        return mkdir(o->path, 0755);
    case ACT_RMDIR:
        return rmdir(o->path);
    case ACT_RENAME:
        return rename_both(o->path);
    case ACT_FSYNC:
        return fsync(*fd);
    }
    return rc;
}

static void on_signal(int number)
{
    (void)number; /* only to interrupt */
}

static int become(uid_t uid, gid_t group)
{
    if (setgroups(group != 0 ? 1 : 0, &group) < 0 || setgid(uid) < 0)
        return -1;
    return setuid(uid);
}

static _Noreturn void act(int socket, uid_t uid, gid_t group)
{
    struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART */
    struct order order;
    int fd = -1;

    (void)sigaction(SIGINT, &action, NULL); /* a valid number: can't fail */
    if (uid != 0 && become(uid, group) < 0)
        _exit(1);
    while (read(socket, &order, sizeof order) == sizeof order) {
        struct act_result result = {0};

        if (carry_out(&order, &fd, &result) < 0)
            result.error = errno;
        if (write(socket, &result, sizeof result) != sizeof result)
            break;
    }
    _exit(0);
}

struct actor *actor_new(uid_t uid)
{
    return actor_new_in(uid, 0);
}

struct actor *actor_new_in(uid_t uid, gid_t group)
{
    struct actor *a = malloc(sizeof *a);
    int ends[2];

    assert_non_null(a);
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    a->pid = fork();
    assert_true(a->pid >= 0);
    if (a->pid == 0) {
        /* Nothing of the test's: /dev/fuse, held open here, would keep the
         * mount half alive after the test has died. */
        if (dup2(ends[1], ACTOR_SOCKET) < 0 ||
            close_range(ACTOR_SOCKET + 1, ~0u, 0) < 0)
            _exit(1);
        act(ACTOR_SOCKET, uid, group);
    }
    (void)close(ends[1]);
    a->socket = ends[0];
    return a;
}

void actor_free(struct actor *a)
{
    (void)close(a->socket); /* which ends it */
    assert_int_equal(waitpid(a->pid, NULL, 0), a->pid);
    free(a);
}

void actor_tell(struct actor *a, enum act what, const char *path, int value)
{
    struct order order = {.act = what, .value = value};

    (void)snprintf(order.path, sizeof order.path, "%s", path);
    assert_int_equal(write(a->socket, &order, sizeof order), sizeof order);
}

struct act_result actor_answer(struct actor *a)
{
    struct act_result result;

    assert_int_equal(read(a->socket, &result, sizeof result), sizeof result);
    return result;
}

struct act_result actor_do(struct actor *a, enum act what, const char *path,
                           int value)
{
    actor_tell(a, what, path, value);
    return actor_answer(a);
}

void actor_interrupt(struct actor *a)
{
    assert_int_equal(kill(a->pid, SIGINT), 0);
}
