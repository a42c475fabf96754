/* Exactly once: (session, sequence) -> result, part of the state.
 *
 *   SESSION_OPEN ─▶ living ─▶ the same node opens with a higher incarnation,
 *                             or is removed from the cluster: ended, its
 *                             results and holds go
 *
 *   same incarnation, same nonce       the same session: the command was sent
 *                                      twice
 *   same incarnation, another nonce    -PX_ESESSION: another process
 *   a lower incarnation                -PX_ESESSION
 *   the node was removed               -PX_ESESSION
 *
 * The nonce is SESSION_OPEN's sequence, drawn at random by each start of a
 * node. A node that came back with an incarnation it had used before (its disk
 * was wiped, or is a copy) counts its sequences from the start again: it must
 * not be given the session whose kept answers belong to another life's
 * commands.
 *
 *   sequence   < floor                    -EALREADY, nobody waits for it
 *              kept                       the kept answer, no effect
 *              <= floor + INFLIGHT_MAX    applied, and the answer kept
 *              beyond                     -EINVAL
 *
 * The floor only rises, by what commands say of the answers their node has
 * seen, and only by commands that are applied: a refusal changes nothing. */
#include <errno.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mutant.h"
#include "store/apply.h"

/* ---- The table ---- */

static bool session_parse(const MDB_val *key, const MDB_val *value,
                          struct session *s)
{
    struct session_record rec;

    if (key->mv_size != STORE_KEY_NUMBER_BYTES ||
        value->mv_size <= sizeof rec ||
        value->mv_size > sizeof rec + sizeof s->node)
        return false;
    memcpy(&rec, value->mv_data, sizeof rec);
    s->number = store_key_first(key->mv_data);
    s->incarnation = rec.incarnation;
    s->nonce = rec.nonce;
    s->floor = rec.floor;
    s->node_size = value->mv_size - sizeof rec;
    memcpy(s->node, (const uint8_t *)value->mv_data + sizeof rec, s->node_size);
    return true;
}

void store_sessions_load(struct store_kv *kv, struct session_table *table)
{
    struct store_key from;
    MDB_val key, value;

    table->count = 0;
    store_key_number(&from, STORE_TAG_SESSION, 0);
    for (bool more = store_kv_first(kv, &from, 1, &key, &value); more;
         more = store_kv_next(kv, &from, 1, &key, &value)) {
        if (table->count == PX_SESSIONS_MAX ||
            !session_parse(&key, &value, &table->list[table->count])) {
            store_kv_fail(kv, -PX_ECORRUPT);
            return;
        }
        table->count++;
    }
}

/* Numbers only grow, so the table is in their order: new ones go last. */
struct session *store_session_find(struct session_table *table, uint64_t number)
{
    size_t low = 0, high = table->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (table->list[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == table->count || table->list[low].number != number)
        return NULL;
    return &table->list[low];
}

static struct session *session_of_node(struct apply *a,
                                       struct command_name node)
{
    for (size_t i = 0; i < a->sessions.count; i++) {
        struct session *s = &a->sessions.list[i];

        if (s->node_size == node.size &&
            memcmp(s->node, node.data, node.size) == 0)
            return s;
    }
    return NULL;
}

static void session_save(struct apply *a, const struct session *s)
{
    struct session_record rec = {
        .incarnation = s->incarnation, .nonce = s->nonce, .floor = s->floor};
    struct store_key key;
    uint8_t value[sizeof rec + sizeof s->node];

    memcpy(value, &rec, sizeof rec);
    memcpy(value + sizeof rec, s->node, s->node_size);
    store_key_number(&key, STORE_TAG_SESSION, s->number);
    store_kv_put(&a->kv, &key, value, sizeof rec + s->node_size);
}

/* ---- One ends when the node opens another, or is removed ---- */

/* Its results go: at most STORE_RESULT_SLOTS. Its holds on orphans count no
 * more, because a holder counts only while its session lives. */
static void session_end(struct apply *a, struct session *s)
{
    struct session *list = a->sessions.list;
    size_t place = (size_t)(s - list);
    struct store_key key;
    MDB_val found, value;

    store_key_number(&key, STORE_TAG_SESSION, s->number);
    store_kv_del(&a->kv, &key);
    store_key_number(&key, STORE_TAG_RESULT, s->number);
    for (bool more = store_kv_first(&a->kv, &key, key.size, &found, &value);
         more; more = store_kv_next(&a->kv, &key, key.size, &found, &value)) {
        store_kv_del_current(&a->kv);
        a->work++;
    }
    a->sessions.count--;
    memmove(s, s + 1, (a->sessions.count - place) * sizeof *s);
}

void store_session_end_node(struct apply *a, struct command_name node)
{
    struct session *s = session_of_node(a, node);

    if (s == NULL)
        return;
    session_end(a, s);
    a->meta.sessions = (uint32_t)a->sessions.count;
}

int store_session_open(struct apply *a, const struct command *c,
                       struct store_result *r)
{
    struct session *s = session_of_node(a, c->name);

    if (s != NULL && s->incarnation == c->incarnation &&
        s->nonce == c->sequence) {
        r->inode = s->number;
        return 0;
    }
    if (s != NULL && s->incarnation >= c->incarnation)
        return -PX_ESESSION;
    if (store_members_has_removed(&a->kv, c->name) && !px_mutant(NAME_REUSED))
        return -PX_ESESSION;
    if (s == NULL && a->sessions.count == PX_SESSIONS_MAX)
        return -ENOSPC;
    if (a->meta.next_session >= STORE_SESSIONS_EVER)
        return -ENOSPC;
    if (s != NULL)
        session_end(a, s);
    s = &a->sessions.list[a->sessions.count++];
    *s = (struct session){.number = a->meta.next_session++,
                          .incarnation = c->incarnation,
                          .nonce = c->sequence,
                          .node_size = c->name.size};
    memcpy(s->node, c->name.data, c->name.size);
    session_save(a, s);
    a->meta.sessions = (uint32_t)a->sessions.count;
    r->inode = s->number;
    return 0;
}

/* ---- Each command once ---- */

/* What the rule forbids: what has ended is there again, and empty. */
static const struct session *reopen(struct apply *a, uint64_t number)
{
    struct session *s = &a->sessions.list[a->sessions.count++];

    for (; s > a->sessions.list && s[-1].number > number; s--)
        *s = s[-1]; /* the table is in their order */
    *s = (struct session){.number = number, .node = "?", .node_size = 1};
    session_save(a, s);
    a->meta.sessions = (uint32_t)a->sessions.count;
    return s;
}

static uint64_t floor_with(const struct session *s, const struct command *c)
{
    return c->floor > s->floor ? c->floor : s->floor;
}

static bool result_load(struct apply *a, const struct command *c,
                        struct store_result *r)
{
    struct result_record rec;
    struct store_key key;

    store_key_result(&key, c->session, c->sequence);
    if (!store_kv_get_record(&a->kv, &key, &rec, sizeof rec))
        return false;
    if (px_mutant(RETRY_APPLIED_TWICE) || rec.sequence != c->sequence)
        return false; /* an older one in the same slot, below the floor */
    r->index = rec.index;
    r->rc = rec.rc;
    r->inode = rec.inode;
    r->value = rec.value;
    return true;
}

bool store_session_admit(struct apply *a, const struct command *c,
                         struct store_result *r)
{
    const struct session *s = store_session_find(&a->sessions, c->session);
    uint64_t floor;

    if (s == NULL && px_mutant(SESSION_REOPENED) &&
        a->sessions.count < PX_SESSIONS_MAX)
        s = reopen(a, c->session);
    if (s == NULL) {
        r->rc = -PX_ESESSION;
        return false;
    }
    floor = floor_with(s, c);
    if (c->sequence < floor) {
        r->rc = -EALREADY;
        return false;
    }
    if (c->sequence - floor >= STORE_RESULT_SLOTS) {
        r->rc = -EINVAL;
        return false;
    }
    return !result_load(a, c, r);
}

void store_session_keep(struct apply *a, const struct command *c,
                        const struct store_result *r)
{
    struct session *s = store_session_find(&a->sessions, c->session);
    struct result_record rec = {.sequence = r->sequence,
                                .index = r->index,
                                .inode = r->inode,
                                .value = r->value,
                                .rc = r->rc};
    struct store_key key;

    if (px_mutant(SESSION_REVIVED) && s == NULL)
        return;
    px_assert(s != NULL);
    px_assert(r->sequence == c->sequence);
    store_key_result(&key, c->session, c->sequence);
    store_kv_put(&a->kv, &key, &rec, sizeof rec);
    if (c->floor > s->floor) {
        s->floor = c->floor;
        session_save(a, s);
    }
}
