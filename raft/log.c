/* The part of a write: an entry comes to stand here before anything else is
 * done with it, on the leader (lead.c) as on a follower (follow.c). See log.h
 * for the picture. */
#include "raft/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define ENTRIES_MIN 64u
#define RUNS_MIN 8u

static uint64_t entry_bytes(const struct raft_entry *e)
{
    return e->data.size + sizeof *e;
}

static size_t grown(size_t capacity, size_t needed, size_t least)
{
    if (capacity < least)
        capacity = least;
    while (capacity < needed)
        capacity *= 2;
    return capacity;
}

static int reserve_runs(struct raft_log *log, size_t needed)
{
    size_t capacity = grown(log->run_capacity, needed, RUNS_MIN);
    struct raft_term_run *runs;

    if (needed <= log->run_capacity)
        return 0;
    runs = realloc(log->runs, capacity * sizeof *runs);
    if (runs == NULL)
        return -ENOMEM;
    log->runs = runs;
    log->run_capacity = capacity;
    return 0;
}

/* Slides the tail to the front when half of the array is free: moving n
 * entries is paid for by the n that were trimmed before. */
static int reserve_entries(struct raft_log *log, size_t more)
{
    size_t capacity =
        grown(log->capacity, 2 * (log->count + more), ENTRIES_MIN);
    struct raft_entry *entries;

    if (log->head + log->count + more <= log->capacity)
        return 0;
    if (log->head >= log->count + more) {
        memcpy(log->entries, log->entries + log->head,
               log->count * sizeof *log->entries);
        log->head = 0;
        return 0;
    }
    entries = malloc(capacity * sizeof *entries);
    if (entries == NULL)
        return -ENOMEM;
    if (log->count > 0)
        memcpy(entries, log->entries + log->head, log->count * sizeof *entries);
    free(log->entries);
    log->entries = entries;
    log->capacity = capacity;
    log->head = 0;
    return 0;
}

int raft_log_reserve(struct raft_log *log, size_t count)
{
    int rc = reserve_runs(log, log->run_count + count);

    return rc < 0 ? rc : reserve_entries(log, count);
}

int raft_log_init(struct raft_log *log, const struct raft_options *options)
{
    int rc;

    *log = (struct raft_log){
        .base = options->base,
        .last = options->last,
        .durable = options->last,
        .applied = options->applied,
    };
    rc = reserve_runs(log, options->run_count);
    if (rc < 0)
        return rc;
    log->run_count = options->run_count;
    if (options->run_count > 0)
        memcpy(log->runs, options->runs,
               options->run_count * sizeof *options->runs);
    return 0;
}

void raft_log_fini(struct raft_log *log)
{
    for (size_t i = 0; i < log->count; i++)
        px_slice_unref(&log->entries[log->head + i].data);
    free(log->entries);
    free(log->runs);
    *log = (struct raft_log){0};
}

void raft_log_append(struct raft_log *log, raft_term term,
                     enum raft_entry_kind kind, struct px_slice data)
{
    struct raft_entry *e = &log->entries[log->head + log->count];

    px_assert(log->head + log->count < log->capacity);
    px_assert(term >= raft_log_last(log).term); /* L1 */
    log->last++;
    log->count++;
    *e = (struct raft_entry){
        .pos = {.term = term, .index = log->last},
        .kind = kind,
        .data = px_slice_ref(data),
    };
    log->tail_bytes += entry_bytes(e);
    log->unapplied_bytes += e->data.size;
    if (log->run_count > 0 && log->runs[log->run_count - 1].term == term)
        return;
    px_assert(log->run_count < log->run_capacity);
    log->runs[log->run_count++] =
        (struct raft_term_run){.term = term, .first = log->last};
}

void raft_log_cut(struct raft_log *log, raft_index first, uint64_t seq)
{
    px_assert(first > log->applied);
    px_assert(first <= log->last);
    while (log->last >= first && log->count > 0) {
        struct raft_entry *e = &log->entries[log->head + log->count - 1];

        log->tail_bytes -= entry_bytes(e);
        log->unapplied_bytes -= e->data.size;
        px_slice_unref(&e->data);
        log->count--;
        log->last--;
    }
    log->last = first - 1;
    while (log->run_count > 0 && log->runs[log->run_count - 1].first >= first)
        log->run_count--;
    if (log->durable >= first)
        log->durable = first - 1;
    log->cut_seq = seq;
}

/* Forgets the oldest entry of the tail. */
static void drop_first(struct raft_log *log)
{
    struct raft_entry *e = &log->entries[log->head];

    if (e->pos.index > log->applied)
        log->unapplied_bytes -= e->data.size;
    log->tail_bytes -= entry_bytes(e);
    px_slice_unref(&e->data);
    log->head++;
    log->count--;
}

static bool is_over(const struct raft_log *log)
{
    return log->tail_bytes > RAFT_TAIL_BYTES_MAX ||
           log->count > RAFT_TAIL_ENTRIES_MAX;
}

void raft_log_trim(struct raft_log *log)
{
    while (is_over(log)) {
        /* Applied ones go first, being the oldest. One that is only durable
         * goes where applying is slower than receiving: it is read back from
         * disk when its turn comes, and memory stays bounded. */
        if (log->entries[log->head].pos.index > log->durable)
            break;
        drop_first(log);
    }
}

/* Runs begin behind the base again. */
static void drop_runs(struct raft_log *log)
{
    size_t gone = 0;

    while (gone + 1 < log->run_count &&
           log->runs[gone + 1].first <= log->base.index + 1)
        gone++;
    if (log->last == log->base.index)
        gone = log->run_count;
    if (gone > 0)
        memmove(log->runs, log->runs + gone,
                (log->run_count - gone) * sizeof *log->runs);
    log->run_count -= gone;
    if (log->run_count > 0)
        log->runs[0].first = log->base.index + 1;
}

void raft_log_compact(struct raft_log *log, raft_index index)
{
    px_assert(index <= log->applied);
    if (index <= log->base.index)
        return;
    log->base = raft_log_pos(log, index);
    while (log->count > 0 && log->entries[log->head].pos.index <= index)
        drop_first(log);
    drop_runs(log);
}

void raft_log_install(struct raft_log *log, struct raft_pos pos)
{
    px_assert(raft_log_holds(log, pos));
    px_assert(pos.index > log->applied);
    if (log->durable < pos.index)
        log->durable = pos.index;
    raft_log_on_applied(log, pos.index);
    raft_log_compact(log, pos.index);
}

void raft_log_reset(struct raft_log *log, struct raft_pos pos, uint64_t seq)
{
    px_assert(pos.index > log->applied);
    while (log->count > 0)
        drop_first(log);
    log->run_count = 0;
    log->base = pos;
    log->last = pos.index;
    log->durable = pos.index;
    log->applied = pos.index;
    log->cut_seq = seq;
}

void raft_log_on_durable(struct raft_log *log, struct raft_write write)
{
    /* An older write than the newest cut says nothing: its entries may have
     * been cut, and even if the same ones are back, the cut comes between. */
    if (write.seq < log->cut_seq)
        return;
    if (write.last.index < log->base.index)
        return; /* nor one that the base has overtaken: it is durable */
    px_assert(raft_log_holds(log, write.last));
    if (write.last.index > log->durable)
        log->durable = write.last.index;
}

void raft_log_on_applied(struct raft_log *log, raft_index index)
{
    raft_index tail_first = raft_log_tail_first(log);
    raft_index i = log->applied + 1;

    px_assert(index <= log->durable);
    if (i < tail_first)
        i = tail_first;
    for (; i <= index; i++)
        log->unapplied_bytes -= raft_log_entry(log, i)->data.size;
    if (index > log->applied)
        log->applied = index;
}

/* The number of runs that begin at or before @index. */
static size_t runs_until(const struct raft_log *log, raft_index index)
{
    size_t low = 0;
    size_t high = log->run_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (log->runs[middle].first <= index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

raft_term raft_log_term(const struct raft_log *log, raft_index index)
{
    size_t n = log->run_count;

    px_assert(index <= log->last);
    if (n > 0 && index >= log->runs[n - 1].first)
        return log->runs[n - 1].term;
    px_assert(index >= log->base.index);
    if (index == log->base.index)
        return log->base.term;
    return log->runs[runs_until(log, index) - 1].term;
}

struct raft_pos raft_log_pos(const struct raft_log *log, raft_index index)
{
    return (struct raft_pos){.term = raft_log_term(log, index), .index = index};
}

struct raft_pos raft_log_last(const struct raft_log *log)
{
    size_t n = log->run_count;

    return (struct raft_pos){.term =
                                 n > 0 ? log->runs[n - 1].term : log->base.term,
                             .index = log->last};
}

bool raft_log_holds(const struct raft_log *log, struct raft_pos pos)
{
    return pos.index >= log->base.index && pos.index <= log->last &&
           raft_log_term(log, pos.index) == pos.term;
}

bool raft_log_is_covered(const struct raft_log *log, struct raft_pos last)
{
    struct raft_pos own = raft_log_last(log);

    return last.term > own.term ||
           (last.term == own.term && last.index >= own.index);
}

struct raft_pos raft_log_conflict(const struct raft_log *log, raft_index index)
{
    const struct raft_term_run *run;

    px_assert(index > log->base.index);
    if (index > log->last)
        return (struct raft_pos){.term = 0, .index = log->last + 1};
    run = &log->runs[runs_until(log, index) - 1];
    return (struct raft_pos){.term = run->term, .index = run->first};
}

raft_index raft_log_last_of_term(const struct raft_log *log, raft_term term,
                                 raft_index limit)
{
    size_t n = runs_until(log, limit);

    px_assert(limit >= log->base.index);
    while (n > 0 && log->runs[n - 1].term > term) {
        limit = log->runs[n - 1].first - 1;
        n--;
    }
    return limit;
}

raft_index raft_log_tail_first(const struct raft_log *log)
{
    return log->last + 1 - log->count;
}

const struct raft_entry *raft_log_entry(const struct raft_log *log,
                                        raft_index index)
{
    raft_index first = raft_log_tail_first(log);

    px_assert(index >= first);
    px_assert(index <= log->last);
    return &log->entries[log->head + (index - first)];
}
