/* What the tests of the log share: a folder, a log in it, a model of what the
 * log should hold, and ways to look at and to spoil its files. Everything
 * asserts on failure, so tests read as the story they tell. */
#ifndef LOG_FIXTURE_H
#define LOG_FIXTURE_H

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the four above before it. */
#include <cmocka.h>

#include "store/log.h"

#define MODEL_ENTRIES_MAX 512
#define FIXTURE_STAMP UINT64_C(0x1122334455667788)

/* An entry's bytes follow from its salt, which is never used twice. */
struct model_entry {
    raft_term term;
    uint32_t size;
    uint32_t salt;
};

struct model {
    struct raft_hard_state hard;
    struct raft_pos base; /* since a reset */
    raft_index last;
    struct model_entry entries[MODEL_ENTRIES_MAX]; /* [index - 1] */
    uint32_t salts;
};

struct fixture {
    char root[PATH_MAX];
    char dir[PATH_MAX]; /* the log's */
    unsigned dirs;      /* made so far */
    uint64_t segment_bytes;
    uint64_t stamp;
    struct raft_pos snapshot; /* the newest one, for open */
    raft_index applied;       /* for open */
    bool keeps_term;          /* a second copy of it, in the log's folder */
    bool is_begun;            /* for open, as is the next */
    bool is_repaired;
    bool is_state_whole;
    struct store_progress progress;
    struct store_disk *given; /* instead of the kernel's, of dir */
    struct store_disk *disk;  /* the kernel's, while the log is open */
    struct store_log *log;
    struct store_log_info info; /* of the last open */
    char why[512];
    struct model model;
};

/* cmocka's setup and teardown: *state is a struct fixture. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

int fixture_try_open(struct fixture *f);
void fixture_open(struct fixture *f);
void fixture_close(struct fixture *f);
/* The folder becomes a copy of what the files hold at this moment, and the log
 * in the old one is closed: to its files, the process died here. */
void fixture_crash(struct fixture *f);
/* A fresh folder in place of the one there is. */
void fixture_new_dir(struct fixture *f);
void fixture_copy_dir(const char *from, const char *to);

/* Adds to the model, and writes: @count entries of @size bytes from @first on,
 * of term @term. No sync. */
int fixture_try_write(struct fixture *f, raft_index first, raft_term term,
                      size_t count, uint32_t size);
void fixture_write(struct fixture *f, raft_index first, raft_term term,
                   size_t count, uint32_t size);
void fixture_write_hard(struct fixture *f, raft_term term, raft_id voted_for);
void fixture_sync(struct fixture *f);

/* The log holds exactly what @m says, and the info of the last open too; what
 * the snapshot covers may be gone. */
void fixture_expect(struct fixture *f, const struct model *m);
/* As a question. */
bool fixture_holds(struct fixture *f, const struct model *m);

/* Open says that something is damaged, and what: @words are in its sentence. */
void fixture_expect_damage(struct fixture *f, const char *words);

/* The model alone. */
void model_reset(struct model *m, struct raft_pos pos);
raft_term model_term(const struct model *m, raft_index index);
void model_cut(struct model *m, raft_index from);
void model_add(struct model *m, raft_term term, uint32_t size);
struct raft_entry model_entry_of(const struct model *m, raft_index index);

/* The files. */
struct file {
    char path[PATH_MAX];
    uint8_t *bytes;
    size_t size;
};
struct file file_load(const struct fixture *f, uint32_t sequence);
void file_store(const struct file *file);
void file_free(struct file *file);
void file_remove(const struct fixture *f, uint32_t sequence);
unsigned file_count(const struct fixture *f);
/* The end of the last byte that isn't zero. */
size_t file_end(const struct file *file);

#endif
