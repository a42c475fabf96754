/* Entries that change the members, applied, and the state that they leave:
 *
 *   CONFIG         the configuration, as the entry has it, and its index
 *   MEMBER         of each of its members: name and address, as far as known
 *   REMOVED        of each that was one: its name, and when
 *   REMOVED_NAME   the same, found by name
 *
 * The last two are never deleted. They grow by a few bytes with each change
 * that an operator makes, so they need no bound and count for no quota.
 *
 * A session that a removed node would open can't be told to end by anybody: the
 * node is gone. It would hold every inode that is unlinked, for ever. So the
 * end of its session at its removal is its last: its name opens no other, not
 * even by a command that was under way. */
#include "store/members.h"

#include "base/err.h"
#include "raft/config.h"
#include "store/apply.h"
#include "store/change.h"
#include "store/state_core.h"

/* ---- Records ---- */

static void config_key(struct store_key *key)
{
    store_key_start(key, STORE_TAG_CONFIG);
}

bool store_config_parse(const MDB_val *value, struct raft_config_at *at_out)
{
    struct config_record rec;
    struct px_slice bytes; /* nobody owns it: it is only looked at */

    if (value->mv_size < sizeof rec)
        return false;
    memcpy(&rec, value->mv_data, sizeof rec);
    bytes =
        (struct px_slice){.data = (const uint8_t *)value->mv_data + sizeof rec,
                          .size = value->mv_size - sizeof rec};
    if (rec.index == 0 ||
        raft_config_decode(bytes, &at_out->config) != (int)bytes.size)
        return false;
    at_out->index = rec.index;
    return true;
}

bool store_config_load(struct store_kv *kv, struct raft_config_at *at_out)
{
    struct store_key key;
    MDB_val value;

    config_key(&key);
    if (!store_kv_get(kv, &key, &value))
        return false;
    if (store_config_parse(&value, at_out))
        return true;
    store_kv_fail(kv, -PX_ECORRUPT);
    return false;
}

static void config_save(struct store_kv *kv, const struct raft_config_at *at)
{
    struct config_record rec = {.index = at->index};
    uint8_t value[sizeof rec + RAFT_CONFIG_BYTES_MAX];
    struct store_key key;
    size_t size;

    memcpy(value, &rec, sizeof rec);
    size = raft_config_encode(&at->config, value + sizeof rec);
    config_key(&key);
    store_kv_put(kv, &key, value, sizeof rec + size);
}

static bool member_parse(const MDB_val *value, struct store_member *m)
{
    const uint8_t *text = (const uint8_t *)value->mv_data;
    struct member_record rec;

    if (value->mv_size < sizeof rec)
        return false;
    memcpy(&rec, value->mv_data, sizeof rec);
    if (rec.name_size > PX_NODE_ID_BYTES_MAX ||
        rec.address_size > PX_ADDRESS_BYTES_MAX ||
        value->mv_size != sizeof rec + (size_t)rec.name_size + rec.address_size)
        return false;
    memcpy(m->name, text + sizeof rec, rec.name_size);
    m->name[rec.name_size] = '\0';
    memcpy(m->address, text + sizeof rec + rec.name_size, rec.address_size);
    m->address[rec.address_size] = '\0';
    return true;
}

/* What is known of m->id; false: nothing is, and both texts are empty. */
static bool member_load(struct store_kv *kv, struct store_member *m)
{
    struct store_key key;
    MDB_val value;

    m->name[0] = m->address[0] = '\0';
    store_key_number(&key, STORE_TAG_MEMBER, m->id);
    if (!store_kv_get(kv, &key, &value))
        return false;
    if (member_parse(&value, m))
        return true;
    store_kv_fail(kv, -PX_ECORRUPT);
    return false;
}

static void member_save(struct store_kv *kv, const struct store_member *m)
{
    struct member_record rec = {.name_size = (uint16_t)strlen(m->name),
                                .address_size = (uint16_t)strlen(m->address)};
    uint8_t value[sizeof rec + PX_NODE_ID_BYTES_MAX + PX_ADDRESS_BYTES_MAX];
    struct store_key key;

    memcpy(value, &rec, sizeof rec);
    memcpy(value + sizeof rec, m->name, rec.name_size);
    memcpy(value + sizeof rec + rec.name_size, m->address, rec.address_size);
    store_key_number(&key, STORE_TAG_MEMBER, m->id);
    store_kv_put(kv, &key, value,
                 sizeof rec + (size_t)rec.name_size + rec.address_size);
}

static void name_key(struct store_key *key, struct command_name name)
{
    px_assert(name.size <= PX_NODE_ID_BYTES_MAX);
    store_key_start(key, STORE_TAG_REMOVED_NAME);
    memcpy(key->bytes + key->size, name.data, name.size);
    key->size += name.size;
}

static bool exists(struct store_kv *kv, const struct store_key *key)
{
    MDB_val ignored;

    return store_kv_get(kv, key, &ignored);
}

static bool was_removed(struct store_kv *kv, raft_id id)
{
    struct store_key key;

    store_key_number(&key, STORE_TAG_REMOVED, id);
    return exists(kv, &key);
}

bool store_members_has_removed(struct store_kv *kv, struct command_name node)
{
    struct store_key key;

    name_key(&key, node);
    return exists(kv, &key);
}

/* ---- Applying ---- */

static const struct store_member *find_told(const struct store_change *c,
                                            raft_id id)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->list[i].id == id)
            return &c->list[i];
    return NULL;
}

/* What the state knows of @id, with what was told on top; false: nothing. */
static bool learn(struct apply *a, const struct store_change *c, raft_id id,
                  struct store_member *m)
{
    const struct store_member *told = find_told(c, id);

    m->id = id;
    (void)member_load(&a->kv, m); /* perhaps nothing */
    if (told != NULL && told->name[0] != '\0')
        memcpy(m->name, told->name, sizeof m->name);
    if (told != NULL && told->address[0] != '\0')
        memcpy(m->address, told->address, sizeof m->address);
    return m->name[0] != '\0' || m->address[0] != '\0';
}

static void note_removed(struct apply *a, raft_id id, struct command_name name)
{
    struct removed_record rec = {.index = a->index};
    uint8_t value[sizeof rec + PX_NODE_ID_BYTES_MAX];
    struct store_key key;

    memcpy(value, &rec, sizeof rec);
    memcpy(value + sizeof rec, name.data, name.size);
    store_key_number(&key, STORE_TAG_REMOVED, id);
    store_kv_put(&a->kv, &key, value, sizeof rec + name.size);
    if (name.size == 0)
        return;
    name_key(&key, name);
    store_kv_put(&a->kv, &key, &id, sizeof id);
}

static void remove_member(struct apply *a, const struct store_change *c,
                          raft_id id)
{
    struct store_member m;
    struct command_name name;
    struct store_key key;

    (void)learn(a, c, id, &m); /* perhaps not even a name */
    store_key_number(&key, STORE_TAG_MEMBER, id);
    if (exists(&a->kv, &key))
        store_kv_del(&a->kv, &key);
    if (was_removed(&a->kv, id))
        return;
    name = (struct command_name){.data = m.name, .size = strlen(m.name)};
    note_removed(a, id, name);
    store_session_end_node(a, name);
}

int store_apply_config(struct apply *a, struct command_scratch *scratch,
                       struct px_slice data)
{
    struct raft_config_at before = {0};
    struct raft_config_at now = {.index = a->index};
    struct store_change change = {0};
    struct store_member m;
    int size = raft_config_decode(data, &now.config);

    if (size < 0)
        return -PX_EFORMAT;
    data.data += size;
    data.size -= (size_t)size;
    (void)store_change_decode(data, scratch, &change); /* or else nothing */
    (void)store_config_load(&a->kv, &before);          /* perhaps none */
    for (size_t i = 0; i < before.config.count; i++)
        if (raft_config_find(&now.config, before.config.members[i].id) < 0)
            remove_member(a, &change, before.config.members[i].id);
    if (change.removed != 0 &&
        raft_config_find(&now.config, change.removed) < 0)
        remove_member(a, &change, change.removed);
    for (size_t i = 0; i < now.config.count; i++)
        if (learn(a, &change, now.config.members[i].id, &m))
            member_save(&a->kv, &m);
    config_save(&a->kv, &now);
    return 0;
}

/* ---- Views ---- */

int store_view_members(struct store_view *v, struct store_members *out)
{
    struct store_kv *kv = store_view_look(v);
    struct raft_config_at at = {0};
    struct store_members members = {0};

    if (store_config_load(kv, &at)) {
        members.index = at.index;
        members.count = at.config.count;
    }
    for (size_t i = 0; i < members.count; i++) {
        struct store_member *m = &members.list[i];

        m->id = at.config.members[i].id;
        m->role = at.config.members[i].role;
        (void)member_load(kv, m); /* perhaps nothing is known */
    }
    if (kv->rc == 0)
        *out = members;
    return kv->rc;
}

int store_view_was_removed(struct store_view *v, raft_id id)
{
    struct store_kv *kv = store_view_look(v);
    bool was = was_removed(kv, id);

    return kv->rc < 0 ? kv->rc : was;
}

int store_view_knows_node(struct store_view *v, const char *name)
{
    const size_t head = sizeof(struct session_record);
    struct store_kv *kv = store_view_look(v);
    size_t size = strlen(name);
    bool is_found = false;
    struct store_key from;
    MDB_val key, value;

    store_key_number(&from, STORE_TAG_SESSION, 0);
    for (bool more = store_kv_first(kv, &from, 1, &key, &value);
         more && !is_found; more = store_kv_next(kv, &from, 1, &key, &value))
        is_found =
            value.mv_size == head + size &&
            memcmp((const uint8_t *)value.mv_data + head, name, size) == 0;
    return kv->rc < 0 ? kv->rc : is_found;
}
