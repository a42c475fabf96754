/* Opening, growing and removing the database; and its errors in our words. */
#include "store/env.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/limits.h"

#define MAP_BYTES_DEFAULT (UINT64_C(1) << 40)
#define MAP_BYTES_MIN (UINT64_C(64) * PX_MIB)
#define ENV_FLAGS (MDB_NOSYNC | MDB_NOTLS | MDB_NORDAHEAD)

int store_err(int lmdb_rc)
{
    if (lmdb_rc >= 0)
        return -lmdb_rc; /* LMDB passes errno on as it is */
    switch (lmdb_rc) {
    case MDB_NOTFOUND:
        return -ENOENT;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case MDB_DBS_FULL:
        return -ENOSPC;
    case MDB_READERS_FULL:
        return -EMFILE;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
    case MDB_CURSOR_FULL:
        return -PX_ECORRUPT;
    default:
        return -EIO;
    }
}

static int env_try(struct store_env *env, const char *dir, uint64_t map_bytes,
                   unsigned flags)
{
    MDB_txn *txn = NULL;
    int rc = mdb_env_create(&env->lmdb);

    if (rc != 0)
        return rc;
    rc = mdb_env_set_mapsize(env->lmdb, map_bytes);
    if (rc == 0)
        rc = mdb_env_open(env->lmdb, dir, flags, 0640);
    if (rc == 0)
        rc = mdb_txn_begin(env->lmdb, NULL, MDB_RDONLY, &txn);
    if (rc == 0)
        rc = mdb_dbi_open(txn, NULL, 0, &env->dbi);
    if (txn != NULL)
        mdb_txn_abort(txn);
    if (rc != 0) {
        mdb_env_close(env->lmdb);
        env->lmdb = NULL;
    }
    return rc;
}

/* What was opened. A database that is larger than what was asked for keeps its
 * size. */
static int env_use(struct store_env *env)
{
    MDB_envinfo info;
    int rc = mdb_env_info(env->lmdb, &info);

    if (rc == 0)
        rc = pthread_rwlock_init(&env->guard, NULL);
    if (rc != 0) {
        mdb_env_close(env->lmdb);
        env->lmdb = NULL;
        return store_err(rc);
    }
    env->map_bytes = info.me_mapsize;
    return 0;
}

int store_env_open(struct store_env *env, const char *dir, uint64_t map_bytes)
{
    int rc;

    *env = (struct store_env){.map_bytes = map_bytes == 0 ? MAP_BYTES_DEFAULT
                                                          : map_bytes};
    for (;;) {
        rc = env_try(env, dir, env->map_bytes, ENV_FLAGS);
        if (rc != ENOMEM || env->map_bytes <= MAP_BYTES_MIN)
            break;
        env->map_bytes /= 4;
    }
    return rc != 0 ? store_err(rc) : env_use(env);
}

int store_env_look(struct store_env *env, const char *dir)
{
    int rc;

    *env = (struct store_env){0};
    rc = env_try(env, dir, MAP_BYTES_MIN, ENV_FLAGS | MDB_RDONLY | MDB_NOLOCK);
    return rc != 0 ? store_err(rc) : env_use(env);
}

int store_env_grow(struct store_env *env)
{
    uint64_t larger = env->map_bytes * 2;
    int rc;

    atomic_store(&env->is_growing, true);
    rc = pthread_rwlock_wrlock(&env->guard);
    px_assert(rc == 0);
    rc = mdb_env_set_mapsize(env->lmdb, larger);
    if (rc == 0)
        env->map_bytes = larger;
    (void)pthread_rwlock_unlock(&env->guard); /* held: it can't fail */
    atomic_store(&env->is_growing, false);
    return store_err(rc);
}

bool store_env_is_growing(const struct store_env *env)
{
    return atomic_load(&env->is_growing);
}

int store_env_sync(struct store_env *env)
{
    return store_err(mdb_env_sync(env->lmdb, 1));
}

void store_env_close(struct store_env *env)
{
    if (env->lmdb == NULL)
        return;
    mdb_env_close(env->lmdb);
    (void)pthread_rwlock_destroy(&env->guard); /* no view is left */
    env->lmdb = NULL;
}

int store_env_remove(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;

    if (fd < 0)
        return -errno;
    if (unlinkat(fd, "data.mdb", 0) < 0 && errno != ENOENT)
        rc = -errno;
    if (rc == 0 && unlinkat(fd, "lock.mdb", 0) < 0 && errno != ENOENT)
        rc = -errno;
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    (void)close(fd); /* nothing was written through it */
    return rc;
}
