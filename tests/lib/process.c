#include "tests/lib/process.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define ARGUMENTS_MAX 16
#define SHOW_MS_MAX 5000

uint64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* can't fail on Linux */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void pause_ms(unsigned ms)
{
    (void)poll(NULL, 0, (int)ms); /* ended early by a signal: just as good */
}

/* In the child, up to exec; never returns. */
static _Noreturn void become(const struct process_options *o)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
        (o->cwd != NULL && chdir(o->cwd) < 0) ||
        (o->net_fd > 0 && setns(o->net_fd, CLONE_NEWNET) < 0) ||
        (o->out_fd > 0 && dup2(o->out_fd, STDOUT_FILENO) < 0) ||
        (o->err_fd > 0 && dup2(o->err_fd, STDERR_FILENO) < 0))
        _exit(127);
    (void)execvpe(o->argv[0], (char *const *)(uintptr_t)o->argv,
                  o->environment != NULL ? o->environment : environ);
    (void)dprintf(STDERR_FILENO, "%s: %s\n", o->argv[0], strerror(errno));
    _exit(127);
}

pid_t process_start(const struct process_options *options)
{
    pid_t pid;

    (void)fflush(NULL); /* or the child would write it again */
    pid = fork();
    if (pid == 0)
        become(options);
    return pid;
}

static int status_of(int wait_status)
{
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status)
                                    : WEXITSTATUS(wait_status);
}

int process_wait(pid_t pid, unsigned ms)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd ended = {.fd = fd, .events = POLLIN};
    uint64_t deadline = now_ms() + ms;
    uint64_t now;
    int status;
    int n = -1;

    if (fd < 0)
        return -errno;
    while ((now = now_ms()) <= deadline && n <= 0)
        n = poll(&ended, 1, (int)(deadline - now));
    (void)close(fd);
    if (n <= 0)
        return -ETIMEDOUT;
    if (waitpid(pid, &status, 0) != pid)
        return -errno;
    return status_of(status);
}

static void read_back(int fd, char *text, size_t size)
{
    ssize_t n = pread(fd, text, size - 1, 0);

    text[n > 0 ? n : 0] = '\0';
}

void process_run(const struct process_options *options, unsigned ms,
                 struct process_result *result_out)
{
    struct process_options o = *options;
    uint64_t begin = now_ms();
    pid_t pid;

    o.out_fd = memfd_create("out", MFD_CLOEXEC);
    o.err_fd = memfd_create("err", MFD_CLOEXEC);
    assert_true(o.out_fd > 0 && o.err_fd > 0);
    pid = process_start(&o);
    assert_true(pid > 0);
    result_out->status = process_wait(pid, ms);
    if (result_out->status == -ETIMEDOUT) {
        (void)kill(pid, SIGKILL);
        /* One that waits for a filesystem ends when that does. */
        (void)process_wait(pid, 5000);
    }
    result_out->ms = (unsigned)(now_ms() - begin);
    read_back(o.out_fd, result_out->out, sizeof result_out->out);
    read_back(o.err_fd, result_out->err, sizeof result_out->err);
    (void)close(o.out_fd);
    (void)close(o.err_fd);
}

bool process_show_stuck(pid_t pid)
{
    char number[16];
    const char *const argv[] = {"sh", "-c",
                                "cd /proc/$0/task && for t in *; do\n"
                                "    echo \"thread $t: state, ticks: $(cut -d "
                                "' ' -f 3,14,15 $t/stat),\""
                                " \"waits in $(cat $t/wchan)\"\n"
                                "done",
                                number, NULL};
    struct process_result r;

    (void)snprintf(number, sizeof number, "%d", (int)pid);
    process_run(&(struct process_options){.argv = argv}, SHOW_MS_MAX, &r);
    (void)fprintf(stderr, "%s%s", r.out, r.err);
    (void)kill(pid, SIGABRT);
    return process_wait(pid, SHOW_MS_MAX) >= 0; /* or is beyond any signal */
}

void run_ok(unsigned ms, const char *program, ...)
{
    const char *argv[ARGUMENTS_MAX + 1] = {program};
    struct process_options o = {.argv = argv};
    struct process_result r;
    va_list args;
    size_t n = 1;

    va_start(args, program);
    while ((argv[n] = va_arg(args, const char *)) != NULL) {
        n++;
        assert_true(n <= ARGUMENTS_MAX);
    }
    va_end(args);
    process_run(&o, ms, &r);
    if (r.status != 0)
        fail_msg("%s %s ...: status %d after %u ms\n%s%s", program,
                 argv[1] != NULL ? argv[1] : "", r.status, r.ms, r.out, r.err);
}
