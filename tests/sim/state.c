#include "tests/sim/state.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "node/replica_core.h"
#include "store/state_core.h"
#include "tests/sim/check.h"
#include "tests/sim/server_io.h"
#include "tests/sim/server_open.h"
#include "tests/sim/wire.h"

#define MARK "diverged" /* node/evidence.h */

enum what {
    WHAT_VALUE,
    WHAT_SUM,
    WHAT_RECORD,
    WHAT_MARK,
};

static enum what draw_what(struct world *w)
{
    if (world_chance(w, 40))
        return WHAT_VALUE;
    if (world_chance(w, 20))
        return WHAT_MARK;
    return world_chance(w, 30) ? WHAT_SUM : WHAT_RECORD;
}

/* ---- A person ---- */

static void mark_by_hand(struct server *s)
{
    char path[sizeof s->dir + sizeof "/" MARK];
    int fd;

    (void)snprintf(path, sizeof path, "%s/" MARK, s->dir);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    px_assert(fd >= 0);
    (void)close(fd); /* nothing was written */
    s->doubt.is_allowed = true;
    s->world->counts[COUNT_QUARANTINES_BY_HAND]++;
    world_trace(s->world, s, "has its state marked by a person");
    if (server_is_up(s))
        server_die(s, "a person ends it", 0);
}

static void run_mark(struct world *w, struct event *e)
{
    (void)w;
    if (!replica_is_quarantined(e->server->replica))
        mark_by_hand(e->server);
    free(e);
}

/* In an event of its own: then it ends. */
static void mark_later(struct server *s)
{
    struct event *e = event_new(sizeof *e);

    s->doubt.is_allowed = true;
    e->run = run_mark;
    e->drop = event_drop;
    server_plan(s, e, 0);
}

/* ---- Changing it ---- */

static bool nth_chunk(struct store_kv *kv, uint64_t n, MDB_val *key,
                      MDB_val *value)
{
    struct store_key from;
    bool more;

    store_key_start(&from, STORE_TAG_CHUNK);
    more = store_kv_first(kv, &from, from.size, key, value);
    while (more && n-- > 0)
        more = store_kv_next(kv, &from, from.size, key, value);
    return more;
}

static uint64_t count_chunks(struct store_kv *kv)
{
    struct store_key from;
    MDB_val key, value;
    uint64_t count = 0;

    store_key_start(&from, STORE_TAG_CHUNK);
    for (bool more = store_kv_first(kv, &from, from.size, &key, &value); more;
         more = store_kv_next(kv, &from, from.size, &key, &value))
        count++;
    return count;
}

/* Of a state with no file in it nothing changes. */
static bool change_value(struct server *s, struct store_kv *kv)
{
    uint8_t name[STORE_KEY_BYTES_MAX];
    uint8_t bytes[STORE_CHUNK_HASH_BYTES + STORE_CHUNK_BYTES];
    MDB_val key, value;
    uint64_t chunks = count_chunks(kv);
    size_t at;

    if (chunks == 0 ||
        !nth_chunk(kv, world_draw(s->world, 0, chunks), &key, &value))
        return false;
    px_assert(key.mv_size <= sizeof name && value.mv_size <= sizeof bytes);
    memcpy(name, key.mv_data, key.mv_size);
    memcpy(bytes, value.mv_data, value.mv_size);
    key.mv_data = name;
    value.mv_data = bytes;
    at = (size_t)world_draw(s->world, 0, value.mv_size);
    bytes[at] ^= (uint8_t)(1u << world_draw(s->world, 0, 8));
    px_assert(mdb_put(kv->txn, kv->dbi, &key, &value, 0) == 0);
    /* What goes from the sum with the chunk is its checksum. */
    s->doubt.is_allowed |= at < STORE_CHUNK_HASH_BYTES;
    s->doubt.is_unsound = true;
    s->world->counts[COUNT_VALUES_DAMAGED]++;
    return true;
}

static bool change_sum(struct server *s, struct store_kv *kv)
{
    kv->hashes += world_draw(s->world, 1, UINT64_MAX);
    s->doubt.is_allowed = true;
    s->doubt.is_unsound = true;
    s->world->counts[COUNT_SUMS_OFF]++;
    return true;
}

static bool change_record(struct server *s, struct store_kv *kv)
{
    struct inode root;

    px_assert(store_inode_load(kv, STORE_ROOT_INODE, &root));
    root.rec.gid = (uint32_t)world_draw(s->world, 1, UINT32_MAX);
    store_inode_save(kv, &root);
    s->doubt.is_allowed = true;
    s->doubt.is_wrong = true;
    s->world->counts[COUNT_RECORDS_CHANGED]++;
    return true;
}

static bool change(struct server *s, struct store_state *st, enum what what)
{
    static const char *const texts[] = {"a value", "the sum", "a record",
                                        "nothing"};
    bool is_changed = false;

    px_assert(store_apply_begin(st) == 0);
    switch (what) {
    case WHAT_VALUE:
        is_changed = change_value(s, &st->apply.kv);
        break;
    case WHAT_SUM:
        is_changed = change_sum(s, &st->apply.kv);
        break;
    case WHAT_RECORD:
        is_changed = change_record(s, &st->apply.kv);
        break;
    case WHAT_MARK:
        break; /* nothing in it */
    }
    px_assert(store_apply_commit(st) == 0);
    if (is_changed)
        world_trace(s->world, s, "has %s of its state changed", texts[what]);
    return is_changed;
}

/* Its note of the boot stays what it was, or says that it was not closed. */
static void change_at_rest(struct server *s, enum what what)
{
    char path[sizeof s->dir + 16];
    char boot_id[SERVER_BOOT_ID_BYTES];
    char why[256];
    const struct store_state_options options = {.dir = path,
                                                .boot_id = boot_id};
    enum store_state_origin origin;
    struct store_state *st;

    (void)snprintf(path, sizeof path, "%s/%u", s->dir, s->doubt.folder);
    server_name_boot(s, boot_id);
    px_assert(store_state_open(&options, &st, &origin, why, sizeof why) == 0);
    px_assert(origin == STORE_STATE_KEPT);
    s->world->counts[COUNT_STATES_AT_REST] += change(s, st, what);
    store_state_abandon(st);
}

void state_change(struct server *s)
{
    enum what what = draw_what(s->world);

    if (!s->world->is_flaky[s->number] || s->is_gone)
        return;
    if (what == WHAT_MARK && server_is_up(s))
        mark_later(s);
    else if (what == WHAT_MARK)
        mark_by_hand(s);
    else if (server_is_up(s))
        (void)change(s, s->storage.state, what);
    else if (s->doubt.folder != 0)
        change_at_rest(s, what);
}

/* ---- Who must not be given it ---- */

bool state_may_offer(struct server *s)
{
    if (!s->doubt.is_wrong)
        return true;
    if (s->failed == NULL)
        mark_by_hand(s);
    return false;
}

static bool is_hidden(const struct world *w, size_t i)
{
    const struct server *s = w->servers[i];

    return !s->is_gone && check_is_member(w, i) && server_is_up(s) &&
           s->doubt.is_wrong && !replica_is_quarantined(s->replica);
}

void states_give_up(struct world *w)
{
    for (size_t i = 0; i < w->server_count; i++) {
        if (is_hidden(w, i))
            mark_later(w->servers[i]);
    }
}

/* ---- What is known of it ---- */

static bool is_root_wrong(struct server *s)
{
    struct store_inode root;

    px_assert(store_view_begin(s->view) == 0);
    px_assert(store_view_inode(s->view, STORE_ROOT_INODE, &root) == 0);
    store_view_end(s->view);
    return root.gid != 0;
}

/* Another state may have been built, of a snapshot from before or behind the
 * change. */
static void learn(struct server *s)
{
    s->doubt.is_unsound = false;
    s->doubt.is_wrong = is_root_wrong(s);
    s->doubt.is_allowed = s->doubt.is_wrong;
}

void state_on_open(struct server *s)
{
    bool is_marked = s->storage.divergence.index != 0;
    uint64_t *counts = s->world->counts;

    if (is_marked && !s->doubt.is_allowed)
        world_fail(s->world, "%s: its state is marked as wrong", s->name);
    counts[COUNT_VALUES_FOUND] +=
        s->doubt.is_unsound && s->doubt.folder != 0 && s->storage.is_rebuilt;
    counts[COUNT_QUARANTINES_RESUMED] += is_marked;
    learn(s);
    s->doubt.is_allowed |= is_marked;
    s->doubt.folder = 0;
    s->doubt.was_cut_off = false;
}

void state_on_adopt(struct server *s)
{
    s->world->counts[COUNT_QUARANTINES_ENDED] +=
        replica_is_quarantined(s->replica);
    learn(s);
    s->doubt.was_cut_off = false;
    if (s->doubt.is_wrong)
        world_fail(s->world, "%s is given a wrong state", s->name);
}

/* Of one that was not opened as a whole nothing is known; and what is known to be
 * damaged is not believed again. */
void state_on_end(struct server *s, bool is_machine)
{
    bool is_kept = server_is_up(s) && !is_machine &&
                   !store_state_is_damaged(s->storage.state);

    s->doubt.folder = is_kept ? s->storage.generation : 0;
}

static bool is_cut_off(const struct server *s)
{
    const struct world *w = s->world;

    for (size_t i = 0; i < w->server_count; i++) {
        if (wire_is_cut(w, s->number, i) || wire_is_cut(w, i, s->number))
            return true;
    }
    return false;
}

/* Damage that somebody has met: node/node.c ends then, too. */
void state_look(struct server *s)
{
    struct world *w = s->world;

    if (replica_is_quarantined(s->replica)) {
        if (!s->doubt.is_allowed)
            world_fail(w, "%s believes that its state is wrong", s->name);
        px_assert(w->is_flaky[s->number]); /* of a minority */
        if (!s->doubt.was_cut_off && is_cut_off(s)) {
            s->doubt.was_cut_off = true;
            w->counts[COUNT_QUARANTINES_CUT]++;
        }
    }
    if (!store_state_is_damaged(s->storage.state))
        return;
    if (!s->doubt.is_unsound)
        world_fail(w, "%s: its state is damaged", s->name);
    w->counts[COUNT_VALUES_MET]++;
    server_die(s, "the state is damaged", 0);
}

/* ---- At the end ---- */

bool states_have_wrong(const struct world *w)
{
    for (size_t i = 0; i < w->server_count; i++) {
        if (is_hidden(w, i))
            return true;
    }
    return false;
}

/* A majority of the voters is right, and each of it says so: none was given its
 * state while others differ. */
bool states_are_decided(const struct world *w)
{
    bool speak[SERVERS_MAX] = {false};

    for (size_t i = 0; i < w->server_count; i++) {
        const struct server *s = w->servers[i];

        speak[i] = server_is_up(s) && !s->doubt.is_allowed &&
                   !s->replica->hashes.is_silent;
    }
    return check_have_majorities(w, speak);
}
