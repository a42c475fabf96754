/* Inode and name records; see record.h, and key_format.h for their bytes. */
#include "store/record.h"

#include "base/assert.h"
#include "base/err.h"

bool store_inode_load(struct store_kv *kv, uint64_t number,
                      struct inode *inode_out)
{
    struct store_key key;

    store_key_number(&key, STORE_TAG_INODE, number);
    if (!store_kv_get_record(kv, &key, &inode_out->rec, sizeof inode_out->rec))
        return false;
    inode_out->number = number;
    return true;
}

void store_inode_save(struct store_kv *kv, const struct inode *inode)
{
    struct store_key key;

    store_key_number(&key, STORE_TAG_INODE, inode->number);
    store_kv_put(kv, &key, &inode->rec, sizeof inode->rec);
}

bool store_name_load(struct store_kv *kv, uint64_t parent,
                     struct command_name name, struct name_record *name_out)
{
    struct store_key key;

    store_key_name(&key, parent, name);
    return store_kv_get_record(kv, &key, name_out, sizeof *name_out);
}

void store_name_add(struct store_kv *kv, struct inode *dir,
                    struct command_name name, const struct inode *target)
{
    struct name_record rec = {
        .inode = target->number,
        .cookie = dir->rec.dir.next_cookie++,
        .type = target->rec.mode & S_IFMT,
    };
    struct entry_record entry = {.inode = rec.inode, .type = rec.type};
    struct store_key key;
    uint8_t value[sizeof entry + PX_NAME_BYTES_MAX];

    px_assert(inode_is_dir(dir));
    dir->rec.size++;
    store_key_name(&key, dir->number, name);
    store_kv_put(kv, &key, &rec, sizeof rec);
    memcpy(value, &entry, sizeof entry);
    memcpy(value + sizeof entry, name.data, name.size);
    store_key_entry(&key, dir->number, rec.cookie);
    store_kv_put(kv, &key, value, sizeof entry + name.size);
}

void store_name_remove(struct store_kv *kv, struct inode *dir,
                       struct command_name name, const struct name_record *rec)
{
    struct store_key key;

    if (dir->rec.size == 0) {
        store_kv_fail(kv, -PX_ECORRUPT); /* a name that was not counted */
        return;
    }
    dir->rec.size--;
    store_key_name(&key, dir->number, name);
    store_kv_del(kv, &key);
    store_key_entry(&key, dir->number, rec->cookie);
    store_kv_del(kv, &key);
}

bool store_entry_parse(struct store_kv *kv, const MDB_val *key,
                       const MDB_val *value, struct store_name *name_out)
{
    struct entry_record entry;

    if (key->mv_size != STORE_KEY_NUMBER_BYTES + sizeof(uint64_t) ||
        value->mv_size <= sizeof entry ||
        value->mv_size > sizeof entry + PX_NAME_BYTES_MAX) {
        store_kv_fail(kv, -PX_ECORRUPT);
        return false;
    }
    memcpy(&entry, value->mv_data, sizeof entry);
    *name_out = (struct store_name){
        .name = {.data = (const char *)value->mv_data + sizeof entry,
                 .size = value->mv_size - sizeof entry},
        .inode = entry.inode,
        .mode = entry.type,
        .cookie = store_key_second(key->mv_data),
    };
    return true;
}
