/* The mount's beginning and end, and its descriptor.
 *
 * What the loop polls is an epoll of two: /dev/fuse, and a timer that ticks
 * while somebody waits at a staged open (stage.c). So the loop need not know
 * that there is a timer.
 *
 * libfuse is used without its loops and threads: one request is read into one
 * buffer, and handled before the next is read. Splice is off: a pipe costs more
 * than it saves for small requests. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/err.h"
#include "base/note.h"
#include "base/text.h"
#include "fs/core.h"
#include "fs/mountpoint.h"
#include "fs/stage.h"

/* libfuse's messages, as notes; its trace, which is asked for, as it is. */
__attribute__((format(printf, 2, 0))) static void
on_libfuse_message(enum fuse_log_level level, const char *format, va_list args)
{
    char line[512];
    size_t size;

    (void)vsnprintf(line, sizeof line, format, args); /* a cut line will do */
    if (level >= FUSE_LOG_DEBUG) {
        (void)fputs(line, stderr); /* a trace has nobody else to tell */
        return;
    }
    size = strcspn(line, "\n");
    line[size] = '\0';
    px_note(level <= FUSE_LOG_ERR ? PX_NOTE_ERROR : PX_NOTE_INFO,
            "fs: libfuse says=\"%s\"", line);
}

static int session_new(struct fs *fs, bool debug)
{
    static const char options[] =
        "fsname=phalanx,subtype=phalanx,default_permissions,allow_other,"
        "nosuid,nodev";
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    int rc = -ENOMEM;

    if (fuse_opt_add_arg(&args, "phalanx") == 0 &&
        fuse_opt_add_arg(&args, "-o") == 0 &&
        fuse_opt_add_arg(&args, options) == 0 &&
        (!debug || fuse_opt_add_arg(&args, "-d") == 0)) {
        fs->session = fuse_session_new(&args, &fs_ops, sizeof fs_ops, fs);
        rc = fs->session == NULL ? -EIO : 0;
    }
    fuse_opt_free_args(&args);
    return rc;
}

static int watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};

    event.data.fd = fd;
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int make_non_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

static int descriptors_open(struct fs *fs)
{
    int fuse = fuse_session_fd(fs->session);
    int rc = make_non_blocking(fuse);

    if (rc < 0)
        return rc;
    fs->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (fs->poll_fd < 0)
        return -errno;
    fs->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fs->timer_fd < 0)
        return -errno;
    rc = watch(fs->poll_fd, fuse);
    return rc < 0 ? rc : watch(fs->poll_fd, fs->timer_fd);
}

static void timer_set(struct fs *fs, long ms)
{
    struct timespec period = {.tv_sec = ms / 1000,
                              .tv_nsec = ms % 1000 * 1000000};
    struct itimerspec timer = {.it_interval = period, .it_value = period};

    /* Can fail only for arguments that these are not. */
    px_assert(timerfd_settime(fs->timer_fd, 0, &timer, NULL) == 0);
    fs->timer_runs = ms > 0;
}

void fs_timer_start(struct fs *fs)
{
    if (!fs->timer_runs)
        timer_set(fs, FS_PATIENCE_TICK_MS);
}

void fs_timer_stop(struct fs *fs)
{
    timer_set(fs, 0);
}

static void take_ticks(struct fs *fs)
{
    uint64_t ticks;

    if (fs->timer_runs && read(fs->timer_fd, &ticks, sizeof ticks) > 0)
        fs_stage_tick(fs); /* one for many: the loop was late, not they */
}

static int mount_now(struct fs *fs, char *why, size_t why_size)
{
    struct px_text text;
    int rc;

    px_text_init(&text, why, why_size);
    errno = 0;
    if (fuse_session_mount(fs->session, fs->mountpoint) < 0) {
        rc = errno != 0 ? -errno : -EIO;
        px_text_add(&text,
                    "cannot mount on %s: %s; is /dev/fuse there, and may this "
                    "process mount?",
                    fs->mountpoint, px_strerror(rc));
        return rc;
    }
    fs->is_mounted = true;
    rc = descriptors_open(fs);
    if (rc < 0)
        px_text_add(&text, "cannot watch the mount on %s: %s", fs->mountpoint,
                    px_strerror(rc));
    return rc;
}

int fs_open(const struct fs_options *options, const struct fs_port *port,
            struct fs **fs_out, char *why, size_t why_size)
{
    struct fs *fs = calloc(1, sizeof *fs);
    struct px_text text;
    int rc = -ENOMEM;

    px_text_init(&text, why, why_size);
    if (fs == NULL)
        goto fail;
    fs->port = *port;
    fs->strict_truncate = options->strict_truncate;
    px_assert(options->request_timeout >= FS_REQUEST_TIMEOUT_MIN);
    fs->request_timeout = options->request_timeout;
    fs->poll_fd = -1;
    fs->timer_fd = -1;
    px_list_init(&fs->handles);
    px_list_init(&fs->staged);
    fuse_set_log_func(on_libfuse_message);
    fs->out = malloc(FS_READ_BYTES_MAX);
    if (fs->out == NULL)
        goto fail;
    rc = fs_mountpoint_prepare(options->mountpoint, &fs->mountpoint, why,
                               why_size);
    if (rc < 0)
        goto fail;
    rc = session_new(fs, options->debug);
    if (rc < 0)
        goto fail;
    rc = mount_now(fs, why, why_size);
    if (rc < 0)
        goto fail;
    px_note(PX_NOTE_INFO, "fs: mounted path=%s", fs->mountpoint);
    *fs_out = fs;
    return 0;
fail:
    if (why_size > 0 && why[0] == '\0')
        px_text_add(&text, "cannot mount: %s", px_strerror(rc));
    fs_close(fs);
    return rc;
}

int fs_fd(const struct fs *fs)
{
    return fs->poll_fd;
}

int fs_receive(struct fs *fs, int max)
{
    int count = 0;
    int rc;

    take_ticks(fs);
    while (count < max) {
        rc = fuse_session_receive_buf(fs->session, &fs->in);
        if (rc == -EINTR)
            continue;
        if (rc == -EAGAIN)
            break;
        if (rc <= 0) /* 0: unmounted, and the session has ended */
            return rc == 0 ? -ENODEV : rc;
        fuse_session_process_buf(fs->session, &fs->in);
        count++;
    }
    return fuse_session_exited(fs->session) ? -ENODEV : count;
}

bool fs_is_open(const struct fs *fs, uint64_t inode)
{
    return fs_inodes_is_open(&fs->inodes, inode);
}

bool fs_is_shown(const struct fs *fs, uint64_t inode)
{
    return fs_shown_has(&fs->shown, inode, fs->port.now(fs->port.ctx));
}

void fs_get_counters(const struct fs *fs, struct fs_counters *out)
{
    *out = fs->counters;
}

/* Files that the kernel will not release any more. */
static void handles_free(struct fs *fs)
{
    struct px_list *link;

    fs->is_mounted = false; /* nobody is told of these closes */
    if (!px_list_empty(&fs->staged))
        px_note(PX_NOTE_WARN, "fs: unmounted before a staged open was written");
    while ((link = px_list_pop_front(&fs->handles)) != NULL)
        fs_handle_free(px_list_entry(link, struct fs_handle, link));
}

static void close_fd(int fd)
{
    if (fd >= 0)
        (void)close(fd); /* nothing was written to it */
}

void fs_close(struct fs *fs)
{
    if (fs == NULL)
        return;
    if (fs->is_mounted) {
        fs_stage_abandon(fs);
        fuse_session_unmount(fs->session); /* lazy, if it is busy */
        px_note(PX_NOTE_INFO, "fs: unmounted path=%s", fs->mountpoint);
    }
    if (fs->handles.next != NULL)
        handles_free(fs);
    if (fs->session != NULL)
        fuse_session_destroy(fs->session);
    close_fd(fs->timer_fd);
    close_fd(fs->poll_fd);
    fs_inodes_fini(&fs->inodes);
    free(fs->in.mem);
    free(fs->out);
    free(fs->mountpoint);
    free(fs);
}
