/* A cluster of one without consensus: an fs_port over a real store_state that
 * applies each command at once, and a mount on it, for tests of fs/.
 *
 *   local_port_open ─▶ local_port_start (a thread serves the mount)
 *                  └─▶ local_port_stop ─▶ local_port_close
 *   or              └─▶ local_port_run  (this thread serves, until a signal)
 *
 * The thread that serves is the only one that touches the state; a test asks
 * it to do something by local_port_call, which waits for it to be done. The
 * knobs below do that themselves, so any thread may turn them.
 *
 * No more than a test's: it keeps no log, so its state is what was applied. */
#ifndef TESTS_LIB_LOCAL_PORT_H
#define TESTS_LIB_LOCAL_PORT_H

#include "fs/fs.h"

struct local_port;

struct local_port_options {
    const char *state_dir;  /* exists */
    const char *mountpoint; /* exists, empty */
    bool strict_truncate;
    bool debug;
};

/* 0, or -errno with a sentence in @why. */
int local_port_open(const struct local_port_options *options,
                    struct local_port **port_out, char *why, size_t why_size);
int local_port_start(struct local_port *p);
void local_port_stop(struct local_port *p);
/* Serves until the mount is gone, or *@stop is set and a signal interrupts. */
void local_port_run(struct local_port *p, const volatile int *stop);
/* Before it runs: reads as LOCAL_READS_WAIT. */
void local_port_follow(struct local_port *p);
void local_port_close(struct local_port *p);

/* Runs @fn on the serving thread, between two requests. */
void local_port_call(struct local_port *p, void (*fn)(void *ctx), void *ctx);

enum local_reads {
    LOCAL_READS_DIRECT,    /* as a leader: at once */
    LOCAL_READS_WAIT,      /* as a follower: in the loop's next turn */
    LOCAL_READS_STUCK,     /* wait, until the knob is turned */
    LOCAL_READS_REFUSED,   /* -EAGAIN: there is no leader */
    LOCAL_READS_TIMED_OUT, /* -EAGAIN, while a leader is thought to be there */
    LOCAL_QUARANTINED,     /* -EIO, and commands too: the state is not shown */
};
void local_port_set_reads(struct local_port *p, enum local_reads reads);

enum local_commands {
    LOCAL_COMMANDS_APPLY,
    LOCAL_COMMANDS_STUCK,           /* queued, until the knob is turned to
                                       APPLY or REFUSED */
    LOCAL_COMMANDS_REFUSED,         /* -EAGAIN; nothing is proposed */
    LOCAL_COMMANDS_NO_ROOM,         /* -ENOSPC; likewise */
    LOCAL_COMMANDS_UNKNOWN,         /* -PX_EUNKNOWN, and not applied */
    LOCAL_COMMANDS_APPLIED_UNKNOWN, /* the same, but applied */
};
void local_port_set_commands(struct local_port *p,
                             enum local_commands commands);
/* Applies the first of those queued; what it leads to is queued. */
void local_port_finish_one(struct local_port *p);
/* How many commands are queued, and how many reads. */
unsigned local_port_stuck(struct local_port *p);

/* The clock of deadlines stands at 0 until it is set; nothing else of the port
 * looks at it. */
#define LOCAL_REQUEST_TIMEOUT (5 * PX_NS_PER_S)
void local_port_set_now(struct local_port *p, px_ns now);
/* The deadline of what was asked of the port last, a read or a command. */
px_ns local_port_asked_deadline(struct local_port *p);

/* Without a session there are no inode numbers to give. */
void local_port_set_session(struct local_port *p, bool has_session);

/* A command of another node. Returns its rc. */
int local_port_apply_remote(struct local_port *p, struct command *c);
/* A number for an inode that the other node makes. */
uint64_t local_port_remote_inode(struct local_port *p);

/* What was proposed since the last call: "write+creates setattr", as one
 * malloc-ed text. */
char *local_port_trace(struct local_port *p);

/* Unlinked inodes that are not open here: */
enum local_orphans {
    LOCAL_ORPHANS_RELEASED, /* at once, and so deleted */
    LOCAL_ORPHANS_HELD,     /* not yet: they may be opened again */
    LOCAL_ORPHANS_LEAVING,  /* the release is on its way: they may not */
};
void local_port_set_orphans(struct local_port *p, enum local_orphans orphans);

void local_port_counters(struct local_port *p, struct fs_counters *out);
/* Calls of fs_port.cancel that ended a request. */
unsigned local_port_cancelled(struct local_port *p);
/* Unlinked inodes that are still kept. */
uint64_t local_port_orphans(struct local_port *p);
/* store_view_check, which asserts what must hold. */
int local_port_check(struct local_port *p);

#endif
