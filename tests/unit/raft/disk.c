#include "tests/unit/raft/disk.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "raft/config.h"

void *disk_checked(void *p)
{
    px_assert(p != NULL);
    return p;
}

struct raft_entry *disk_copy_entries(const struct raft_entry *entries,
                                     size_t count)
{
    struct raft_entry *copy = disk_checked(malloc((count + 1) * sizeof *copy));

    for (size_t i = 0; i < count; i++) {
        copy[i] = entries[i];
        (void)px_slice_ref(copy[i].data);
    }
    return copy;
}

void disk_free_entries(struct raft_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        px_slice_unref(&entries[i].data);
    free(entries);
}

void disk_add(struct disk *d, const struct raft_out *out)
{
    struct disk_write *w;

    if (d->write_count == d->write_capacity) {
        d->write_capacity = d->write_capacity == 0 ? 16 : 2 * d->write_capacity;
        d->writes = disk_checked(
            realloc(d->writes, d->write_capacity * sizeof *d->writes));
    }
    w = &d->writes[d->write_count++];
    *w = (struct disk_write){
        .write = out->write,
        .has_hard = out->hard != NULL,
        .hard = out->hard != NULL ? *out->hard : (struct raft_hard_state){0},
        .reset = out->reset != NULL ? *out->reset : (struct raft_pos){0},
        .entries = disk_copy_entries(out->append, out->append_count),
        .count = out->append_count,
    };
}

void disk_cut(struct disk *d, raft_index first)
{
    px_assert(first > d->base.index);
    for (raft_index i = first; i <= d->last; i++)
        px_slice_unref(&d->log[i].data);
    if (first <= d->last)
        d->last = first - 1;
}

void disk_compact(struct disk *d, raft_index index)
{
    px_assert(index <= d->snapshot.index);
    px_assert(index <= d->last);
    for (raft_index i = d->base.index + 1; i <= index; i++)
        px_slice_unref(&d->log[i].data);
    if (index > d->base.index)
        d->base = d->log[index].pos;
}

static void reset(struct disk *d, struct raft_pos pos)
{
    disk_cut(d, d->base.index + 1);
    d->base = pos;
    d->last = pos.index;
}

struct raft_write disk_do_one(struct disk *d)
{
    struct disk_write w = d->writes[0];

    memmove(d->writes, d->writes + 1, --d->write_count * sizeof *d->writes);
    if (w.has_hard)
        d->hard = w.hard;
    if (w.reset.index > 0)
        reset(d, w.reset);
    if (w.count > 0)
        disk_cut(d, w.entries[0].pos.index);
    for (size_t i = 0; i < w.count; i++) {
        px_assert(w.entries[i].pos.index == d->last + 1);
        px_assert(d->last + 1 < INDEX_MAX);
        d->log[++d->last] = w.entries[i];
    }
    free(w.entries); /* their references are the log's now */
    px_assert(d->last == w.write.last.index);
    d->durable_seq = w.write.seq;
    d->is_new = false;
    if (d->is_note_going)
        d->is_faulty = d->is_note_going = false;
    return w.write;
}

/* ---- Damage ---- */

static void forget_past(struct disk *d)
{
    disk_free_entries(d->past, d->past_last - d->past_base.index);
    d->past = NULL;
    d->past_base = (struct raft_pos){0};
    d->past_last = 0;
}

void disk_note_past(struct disk *d)
{
    forget_past(d);
    d->past =
        disk_copy_entries(&d->log[d->base.index + 1], d->last - d->base.index);
    d->past_base = d->base;
    d->past_last = d->last;
}

static void note_lost(struct disk *d)
{
    px_assert(d->write_count == 0);
    if (d->lost_base < d->base.index)
        d->lost_base = d->base.index;
    for (raft_index i = d->base.index + 1; i <= d->last; i++)
        d->lost[i] = d->log[i].pos.term;
    if (d->lost_last < d->last)
        d->lost_last = d->last;
    d->is_faulty = true;
    d->is_note_going = false;
}

void disk_damage(struct disk *d, raft_index last)
{
    px_assert(last >= d->base.index);
    note_lost(d);
    disk_cut(d, last + 1);
}

void disk_turn_back(struct disk *d)
{
    px_assert(d->past != NULL);
    note_lost(d);
    disk_cut(d, d->base.index + 1);
    d->base = d->past_base;
    d->last = d->past_last;
    for (raft_index i = d->base.index + 1; i <= d->last; i++) {
        d->log[i] = d->past[i - d->base.index - 1];
        (void)px_slice_ref(d->log[i].data);
    }
}

void disk_recovered(struct disk *d)
{
    d->lost_base = 0;
    for (; d->lost_last > 0; d->lost_last--)
        d->lost[d->lost_last] = 0;
    d->is_note_going = d->is_faulty;
}

bool disk_held(const struct disk *d, struct raft_pos pos)
{
    return disk_holds(d, pos) || pos.index <= d->lost_base ||
           (pos.index <= d->lost_last && d->lost[pos.index] == pos.term);
}

void disk_fini(struct disk *d)
{
    disk_cut(d, d->base.index + 1);
    forget_past(d);
    free(d->writes);
}

static bool holds_in_log(const struct disk *d, struct raft_pos pos)
{
    if (pos.index == d->base.index)
        return pos.term == d->base.term;
    return pos.index > d->base.index && pos.index <= d->last &&
           d->log[pos.index].pos.term == pos.term;
}

bool disk_recover(struct disk *d)
{
    px_assert(d->snapshot.index >= d->base.index);
    if (holds_in_log(d, d->snapshot))
        return false;
    reset(d, d->snapshot);
    return true;
}

bool disk_holds(const struct disk *d, struct raft_pos pos)
{
    return pos.index <= d->snapshot.index || holds_in_log(d, pos);
}

size_t disk_configs(const struct disk *d, struct raft_config_at *configs,
                    size_t max)
{
    size_t count = 0;

    for (raft_index i = d->base.index + 1; i <= d->last; i++) {
        if (d->log[i].kind != RAFT_ENTRY_CONFIG)
            continue;
        px_assert(count < max);
        configs[count].index = i;
        px_assert(raft_config_decode(d->log[i].data, &configs[count].config) >
                  0);
        count++;
    }
    return count;
}

size_t disk_runs(const struct disk *d, struct raft_term_run *runs)
{
    size_t count = 0;

    for (raft_index i = d->base.index + 1; i <= d->last; i++)
        if (count == 0 || runs[count - 1].term != d->log[i].pos.term)
            runs[count++] =
                (struct raft_term_run){.term = d->log[i].pos.term, .first = i};
    return count;
}
