/* The LMDB environment of the state: opened without fsync, grown when full.
 *
 * Flags, and why:
 *   MDB_NOSYNC      a commit costs microseconds; the log is what is durable
 *   MDB_NOTLS       a view's read transaction belongs to the view, not to the
 *                   thread that began it
 *   MDB_NORDAHEAD   lookups jump; reading ahead would push out what is used
 * Not MDB_WRITEMAP: a full disk would be a SIGBUS instead of an error, and a
 * stray pointer of ours could write the database. Not MDB_NOMEMINIT: stale
 * heap would reach the disk. docs/decisions/0003-chunk-size.md has the cost.
 *
 * Thread: open and close, one; the guard lets views run on any. */
#ifndef STORE_ENV_H
#define STORE_ENV_H

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct store_env {
    MDB_env *lmdb;
    MDB_dbi dbi;
    uint64_t map_bytes;
    /* LMDB must have no transaction while its map grows: a view that is begun,
     * or being made, holds it for reading, store_env_grow for writing. */
    pthread_rwlock_t guard;
    atomic_bool is_growing; /* store_env_grow waits, or is at work */
};

/* A negative errno for what LMDB returned; 0 for 0. */
int store_err(int lmdb_rc);

/* @map_bytes is what is tried first: address space can be short (limits,
 * sanitizers), then less is taken, and grown into later.
 * Errors: -PX_ECORRUPT for files that are no database; -errno. Nothing is left
 * open then. */
int store_env_open(struct store_env *env, const char *dir, uint64_t map_bytes);
/* Likewise, to read from it alone: nothing in @dir is changed or made. Nobody
 * else has it open. */
int store_env_look(struct store_env *env, const char *dir);
/* Twice the map, for a transaction that met MDB_MAP_FULL and was aborted. */
int store_env_grow(struct store_env *env);
/* Does the applier wait for views to end? A long one does then, and begins
 * anew. Thread: any. */
bool store_env_is_growing(const struct store_env *env);
/* Everything committed so far, to the disk. */
int store_env_sync(struct store_env *env);
void store_env_close(struct store_env *env);
/* Removes the database's files, durably; none there is fine. */
int store_env_remove(const char *dir);

#endif
