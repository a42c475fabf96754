/* A state in a temporary folder, and short ways to say what commands do to it.
 * Only the folder is real; boot ids and times are made up. */
#ifndef TESTS_STATE_FIXTURE_H
#define TESTS_STATE_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/err.h"
#include "store/key_format.h"
#include "store/members.h"
#include "store/state.h"

#define ROOT STORE_ROOT_INODE
#define CHUNK ((uint64_t)STORE_CHUNK_BYTES)
#define EXTENT (CHUNK * STORE_EXTENT_CHUNKS)

struct fixture {
    char dir[64];
    struct store_state *s;
    struct store_view *v;
    raft_index last;
    uint64_t session;  /* of commands that name none; opened by fixture_open */
    uint64_t sequence; /* the last used one */
    uint64_t counter;  /* of inode numbers */
    int64_t time;
    struct store_orphans orphans;
};

/* cmocka setup and teardown: *state is the fixture, with an open session. */
int fixture_setup(void **state);
/* Ends with store_view_check, and removes the folder. */
int fixture_teardown(void **state);

/* Without a session, in a new folder. */
void fixture_open(struct fixture *fx);
void fixture_close(struct fixture *fx); /* cleanly, unless it met damage */
void fixture_reopen(struct fixture *fx, const char *boot_id, bool distrust,
                    enum store_state_origin origin);
void fixture_remove(struct fixture *fx); /* the folder and all in it */

/* A number for a new inode, of the fixture's session. */
uint64_t fresh(struct fixture *fx);
struct command_name name_of_text(const char *text);

/* Stamps session, sequence and time where the command has none, and applies
 * it as the next entry. */
struct store_result run(struct fixture *fx, struct command c);
/* The same, without stamps. */
struct store_result run_bare(struct fixture *fx, const struct command *c);
uint64_t open_session(struct fixture *fx, const char *node,
                      uint64_t incarnation);

/* An entry of kind CONFIG, applied as the next one: @bytes are its data. */
struct store_result run_config(struct fixture *fx, const void *bytes,
                               size_t size);
/* The same of @config, and @change behind it; NULL: nothing. */
struct store_result change_members(struct fixture *fx,
                                   const struct raft_config *config,
                                   const struct store_change *change);

struct command make_create(struct fixture *fx, uint64_t parent,
                           const char *name);
struct command make_mkdir(struct fixture *fx, uint64_t parent,
                          const char *name);
struct command make_symlink(struct fixture *fx, uint64_t parent,
                            const char *name, const char *target);
struct command make_link(uint64_t inode, uint64_t parent, const char *name);
struct command make_unlink(uint64_t parent, const char *name);
struct command make_rmdir(uint64_t parent, const char *name);
struct command make_rename(uint64_t parent, const char *name,
                           uint64_t new_parent, const char *new_name,
                           uint32_t flags);
struct command make_write(uint64_t inode, uint64_t offset, const void *data,
                          size_t size, uint32_t flags);
struct command make_truncate(uint64_t inode, uint64_t size);
struct command make_release(const uint64_t *inodes, size_t count);
struct command make_reap(const uint64_t *inodes, size_t count, uint32_t flags);

/* Runs and expects success; the inode of the result. */
uint64_t do_create(struct fixture *fx, uint64_t parent, const char *name);
uint64_t do_mkdir(struct fixture *fx, uint64_t parent, const char *name);
void do_write(struct fixture *fx, uint64_t inode, uint64_t offset,
              const void *data, size_t size);
void do_truncate(struct fixture *fx, uint64_t inode, uint64_t size);

/* Looks, each in a view of its own. */
struct store_inode stat_of(struct fixture *fx, uint64_t inode);
int stat_rc(struct fixture *fx, uint64_t inode);
/* 0 when there is no such name. */
uint64_t lookup(struct fixture *fx, uint64_t parent, const char *name);
struct store_usage usage_of(struct fixture *fx);
uint64_t hash_of(struct fixture *fx);
void check(struct fixture *fx);
size_t reapable(struct fixture *fx, uint64_t *inodes, size_t max);
void assert_bytes(struct fixture *fx, uint64_t inode, uint64_t offset,
                  const void *expected, size_t size);
void assert_zeros(struct fixture *fx, uint64_t inode, uint64_t offset,
                  size_t size);
/* Reaps until nothing is reapable. */
void reap_all(struct fixture *fx);

#endif
