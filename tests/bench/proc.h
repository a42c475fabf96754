/* The processes that a run starts, and its scratch folder.
 *
 * Whatever way the run ends, all of it goes: each process by its own pid, each
 * mount, the folder. If the run itself is killed, the kernel kills what it
 * started. */
#ifndef BENCH_PROC_H
#define BENCH_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROC_PATH_MAX 4096

/* Makes the scratch folder below @parent and arranges for the clean-up. Ends
 * the run if it can't. */
void proc_begin(const char *parent);

/* Ends the run with one sentence, and cleans up. */
void proc_die(const char *format, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

/* SIGINT, SIGTERM or SIGHUP has arrived: the run should end soon. */
bool proc_interrupted(void);

/* @name below the scratch folder; in a ring of static strings, each good for
 * the next 15 calls. */
const char *proc_path(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* A folder below the scratch folder; a mount there is undone at the end. */
const char *proc_folder(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* Starts argv[0] with @env added to the environment (NULL: nothing); what it
 * prints goes to NAME.log in the scratch folder. */
pid_t proc_start(const char *name, const char *const *argv,
                 const char *const *env);

/* Asks it to end, and insists after a while. */
void proc_stop(pid_t pid);

/* Waits until a FUSE filesystem is mounted on @path, or dies. */
void proc_await_mount(const char *path);

/* A TCP port of the loopback that is free now. */
uint16_t proc_free_port(void);

/* Voluntary context switches of all threads of @pid so far: how often one of
 * them went to sleep to be woken by somebody. 0 if it is gone. */
uint64_t proc_switches(pid_t pid);

#endif
