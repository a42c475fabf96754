/* Inodes and names: reading them within any transaction, changing them within
 * one that applies a command.
 *
 * A name is two records that say the same: by name, to look up, and by cookie,
 * to list. Both are written and removed here, together. */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include <sys/stat.h>

#include "store/kv.h"

struct inode {
    uint64_t number;
    struct inode_record rec;
};

static inline bool inode_is_dir(const struct inode *i)
{
    return S_ISDIR(i->rec.mode);
}

bool store_inode_load(struct store_kv *kv, uint64_t number,
                      struct inode *inode_out);
void store_inode_save(struct store_kv *kv, const struct inode *inode);

bool store_name_load(struct store_kv *kv, uint64_t parent,
                     struct command_name name, struct name_record *name_out);
/* Adds a name to @dir and counts it there; @dir is saved by the caller. The
 * name is not there yet. */
void store_name_add(struct store_kv *kv, struct inode *dir,
                    struct command_name name, const struct inode *target);
/* Removes @name, which is @rec. */
void store_name_remove(struct store_kv *kv, struct inode *dir,
                       struct command_name name, const struct name_record *rec);

/* One step of a listing: what a walk over a directory's entries found. False,
 * with a failure noted, if it does not parse. The name points into @value. */
bool store_entry_parse(struct store_kv *kv, const MDB_val *key,
                       const MDB_val *value, struct store_name *name_out);

#endif
