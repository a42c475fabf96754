#include "tests/unit/raft/harness.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raft/text.h"
#include "tests/unit/raft/oracle.h"

/* ---- Messages ---- */

static void parcels_add(struct parcels *p, const struct raft_msg *msg,
                        uint64_t seq)
{
    struct parcel *added;

    if (p->count == p->capacity) {
        p->capacity = p->capacity == 0 ? 64 : 2 * p->capacity;
        p->list = disk_checked(realloc(p->list, p->capacity * sizeof *p->list));
    }
    added = &p->list[p->count++];
    *added = (struct parcel){.msg = *msg, .seq = seq};
    if (msg->type == RAFT_MSG_APPEND)
        added->msg.append.entries =
            disk_copy_entries(msg->append.entries, msg->append.count);
}

static void parcel_free(struct parcel *p)
{
    if (p->msg.type == RAFT_MSG_APPEND)
        disk_free_entries((struct raft_entry *)(uintptr_t)p->msg.append.entries,
                          p->msg.append.count);
}

static void parcels_remove(struct parcels *p, size_t i)
{
    memmove(&p->list[i], &p->list[i + 1], (--p->count - i) * sizeof *p->list);
}

static void parcels_clear(struct parcels *p)
{
    for (size_t i = 0; i < p->count; i++)
        parcel_free(&p->list[i]);
    p->count = 0;
}

/* ---- Clocks ---- */

px_ns cluster_clock(const struct cluster *c, const struct node *n)
{
    int64_t drift = (int64_t)c->now * n->clock_ppm / 1000000;

    return n->clock_base + c->now + (px_ns)drift;
}

/* When @n's clock shows @deadline, in true time: not before. */
static px_ns true_time(const struct cluster *c, const struct node *n,
                       px_ns deadline)
{
    px_ns own = cluster_clock(c, n);

    return deadline <= own ? c->now : c->now + (deadline - own);
}

/* ---- Losses ---- */

/* @p, of which its sender's connection knows that it is lost. */
static void lose(struct cluster *c, struct parcel *p)
{
    if (p->msg.type == RAFT_MSG_APPEND)
        c->nodes[p->msg.from - 1].is_lost[p->msg.to - 1] = true;
    parcel_free(p);
}

static void report_losses(struct cluster *c, struct node *n)
{
    for (unsigned i = 0; i < c->count; i++) {
        struct raft_in in = {.type = RAFT_IN_UNREACHABLE, .unreachable = i + 1};

        if (!n->is_lost[i])
            continue;
        n->is_lost[i] = false;
        (void)cluster_step(c, n, in); /* can't fail */
    }
}

/* ---- Steps ---- */

static void send_all(struct cluster *c, struct node *n)
{
    size_t i = 0;

    while (i < n->held.count) {
        struct parcel p = n->held.list[i];

        if (p.seq > n->disk.durable_seq) {
            i++;
            continue;
        }
        oracle_on_send(c, n, &p.msg);
        parcels_remove(&n->held, i);
        if (c->is_cut[n->id - 1][p.msg.to - 1]) {
            lose(c, &p);
            continue;
        }
        parcels_add(&c->network, &p.msg, 0);
        parcel_free(&p);
    }
}

static void apply(struct cluster *c, struct node *n)
{
    struct raft_entry batch[64];

    while (n->applied < n->commit) {
        size_t count = raft_committed(n->raft, n->applied + 1, batch, 64);

        if (count == 0) { /* not in memory: read from the log */
            px_assert(n->disk.last > n->applied);
            px_assert(n->disk.base.index <= n->applied);
            batch[0] = n->disk.log[n->applied + 1];
            count = 1;
        }
        for (size_t i = 0; i < count; i++)
            oracle_on_apply(c, n, &batch[i]);
        n->applied += count;
    }
}

static void take(struct cluster *c, struct node *n, const struct raft_out *out)
{
    for (size_t i = 0; i < out->now.count; i++)
        parcels_add(&n->held, &out->now.list[i], 0);
    if (out->write.seq > 0)
        disk_add(&n->disk, out);
    for (size_t i = 0; i < out->after.count; i++)
        parcels_add(&n->held, &out->after.list[i], out->after_seq);
    for (size_t i = 0; i < out->fetch_count; i++) {
        px_assert(n->fetch_count < RAFT_MEMBERS_MAX);
        n->fetches[n->fetch_count++] = out->fetches[i];
        c->counts.fetches++;
    }
    for (size_t i = 0; i < out->snapshot_count; i++)
        transfer_ask(c, n, &out->snapshots[i]);
    n->commit = out->commit;
    n->deadline = out->deadline;
}

int cluster_step(struct cluster *c, struct node *n, struct raft_in in)
{
    struct raft_out out;
    raft_index applied = n->applied;
    int rc;

    in.now = cluster_clock(c, n);
    rc = raft_step(n->raft, &in, &out);
    raft_check(n->raft);
    oracle_on_step(c, n, &in, &out);
    px_assert(out.lost == 0); /* of all that is lost there is a note */
    if (out.is_recovered) {
        disk_recovered(&n->disk);
        c->counts.recovered++;
    }
    if (out.is_installed)
        n->applied = in.installed.pos.index;
    take(c, n, &out);
    send_all(c, n);
    apply(c, n);
    if (out.is_recovered)
        (void)cluster_step(c, n, (struct raft_in){.type = RAFT_IN_RECOVERED});
    if (n->applied > applied) {
        in = (struct raft_in){.type = RAFT_IN_APPLIED, .applied = n->applied};
        (void)cluster_step(c, n, in); /* can't fail */
    }
    return rc;
}

/* ---- Network ---- */

void cluster_deliver(struct cluster *c, size_t i)
{
    struct parcel p = c->network.list[i];
    struct node *to = &c->nodes[p.msg.to - 1];

    parcels_remove(&c->network, i);
    if (to->raft == NULL || to->is_paused ||
        c->is_cut[p.msg.from - 1][p.msg.to - 1]) {
        lose(c, &p);
        return;
    }
    (void)cluster_step(/* a message has no rc but ENOMEM: lost */
                       c, to,
                       (struct raft_in){.type = RAFT_IN_MSG, .msg = &p.msg});
    parcel_free(&p);
}

void cluster_double(struct cluster *c, size_t i)
{
    struct raft_msg msg = c->network.list[i].msg;

    parcels_add(&c->network, &msg, 0);
}

void cluster_drop(struct cluster *c, size_t i)
{
    parcel_free(&c->network.list[i]);
    parcels_remove(&c->network, i);
}

void cluster_cut(struct cluster *c, unsigned a, unsigned b, bool is_cut)
{
    c->is_cut[a][b] = is_cut;
    c->is_cut[b][a] = is_cut;
}

void cluster_heal(struct cluster *c)
{
    memset(c->is_cut, 0, sizeof c->is_cut);
}

/* ---- Disks, fetches ---- */

void cluster_sync(struct cluster *c, struct node *n, size_t count)
{
    struct raft_write write = {0};

    for (; count > 0 && n->disk.write_count > 0; count--)
        write = disk_do_one(&n->disk);
    if (write.seq == 0)
        return;
    send_all(c, n);
    (void)cluster_step(/* can't fail */
                       c, n,
                       (struct raft_in){.type = RAFT_IN_DURABLE,
                                        .durable = write});
}

void cluster_answer_fetch(struct cluster *c, struct node *n, bool is_readable)
{
    struct raft_fetch f = n->fetches[0];
    struct raft_in in = {.type = RAFT_IN_FETCHED};

    memmove(n->fetches, n->fetches + 1, --n->fetch_count * sizeof f);
    in.fetched.peer = f.peer;
    in.fetched.first = f.first;
    if (is_readable && f.first > n->disk.base.index && f.last <= n->disk.last) {
        in.fetched.entries = &n->disk.log[f.first];
        in.fetched.count = f.last + 1 - f.first;
    }
    (void)cluster_step(c, n, in); /* can't fail */
}

/* ---- Crashes ---- */

void cluster_crash(struct cluster *c, struct node *n, size_t kept,
                   raft_index applied)
{
    struct disk *d = &n->disk;

    px_assert(applied <= n->applied);
    transfer_crash(c, n);
    for (; kept > 0 && d->write_count > 0; kept--)
        (void)disk_do_one(d); /* nobody is left to be told */
    for (size_t i = 0; i < d->write_count; i++)
        disk_free_entries(d->writes[i].entries, d->writes[i].count);
    c->counts.lost_writes += d->write_count;
    c->counts.crashes++;
    d->write_count = 0;
    d->is_note_going = false;
    raft_free(n->raft);
    n->raft = NULL;
    c->now += PX_NS_PER_US; /* two runs never start at the same time */
    parcels_clear(&n->held);
    n->fetch_count = 0;
    memset(n->is_lost, 0, sizeof n->is_lost);
    n->read_count = 0;
    /* A state that is lost is built anew from the snapshot, at least. */
    n->applied = applied > d->snapshot.index ? applied : d->snapshot.index;
}

/* A state that the log does not hold any more is not to be believed. */
static void distrust_state(const struct cluster *c, struct node *n)
{
    if (!disk_holds(&n->disk, c->committed[n->applied].pos))
        n->applied = n->disk.snapshot.index;
}

void cluster_damage(struct cluster *c, struct node *n, raft_index last)
{
    px_assert(n->raft == NULL);
    c->counts.damaged++;
    c->counts.again += n->disk.is_faulty;
    disk_damage(&n->disk, last);
    distrust_state(c, n);
}

void cluster_turn_back(struct cluster *c, struct node *n)
{
    px_assert(n->raft == NULL);
    c->counts.damaged++;
    c->counts.turned++;
    c->counts.again += n->disk.is_faulty;
    disk_turn_back(&n->disk);
    distrust_state(c, n);
}

unsigned cluster_faulty(const struct cluster *c)
{
    unsigned count = 0;

    for (unsigned i = 0; i < c->count; i++)
        count += c->nodes[i].disk.is_faulty;
    return count;
}

const struct raft_config *cluster_config_at(const struct cluster *c,
                                            raft_index index)
{
    size_t i = c->config_count - 1;

    while (c->configs[i].index > index)
        i--;
    return &c->configs[i].config;
}

void cluster_restart(struct cluster *c, struct node *n)
{
    struct raft_term_run *runs = disk_checked(calloc(INDEX_MAX, sizeof *runs));
    struct raft_config_at *configs =
        disk_checked(calloc(CONFIGS_MAX, sizeof *configs));
    bool is_reset = disk_recover(&n->disk);
    struct raft_options o = {
        .id = n->id,
        .seed = c->seed * 31 + n->id,
        .config = *cluster_config_at(c, n->disk.base.index),
        .election = CLUSTER_E,
        .heartbeat = CLUSTER_H,
        .clock_drift_ppm = 10000,
        .hard = n->disk.hard,
        .base = n->disk.base,
        .runs = runs,
        .run_count = disk_runs(&n->disk, runs),
        .last = n->disk.last,
        .configs = configs,
        .config_count = disk_configs(&n->disk, configs, CONFIGS_MAX),
        .applied = n->applied,
        .is_first_boot = n->disk.is_new,
        .is_faulty = n->disk.is_faulty,
        .now = cluster_clock(c, n),
    };

    if (n->disk.base.index == 0 && raft_config_find(&o.config, n->id) < 0)
        o.config.count = 0; /* to be added, it knows of nobody */
    c->counts.unswapped += is_reset;
    px_assert(raft_new(&o, &n->raft) == 0);
    free(runs);
    free(configs);
    n->disk.durable_seq = 0;
    n->commit = n->applied;
    n->deadline = 0;
    (void)cluster_step(c, n, (struct raft_in){.type = RAFT_IN_TICK});
}

/* ---- Clients ---- */

int cluster_propose(struct cluster *c, struct node *n, uint64_t value,
                    raft_id origin)
{
    struct raft_proposal p = {
        .kind = RAFT_ENTRY_COMMAND,
        .data = px_slice_copy(&value, sizeof value),
        .origin = origin,
    };
    struct raft_in in = {.type = RAFT_IN_PROPOSE,
                         .propose = {.list = &p, .count = 1}};
    int rc = cluster_step(c, n, in);

    px_slice_unref(&p.data);
    return rc;
}

void cluster_read(struct cluster *c, struct node *n)
{
    struct raft_in in = {.type = RAFT_IN_READ};

    if (n->read_count == sizeof n->reads / sizeof n->reads[0])
        return;
    n->reads[n->read_count++] =
        (struct waiting_read){.id = ++n->read_id, .floor = c->commit};
    in.read_id = n->read_id;
    (void)cluster_step(c, n, in); /* can't fail */
}

void cluster_lease_read(struct cluster *c, struct node *n)
{
    raft_index index;

    if (!raft_lease_read(n->raft, cluster_clock(c, n), &index))
        return;
    c->counts.lease_reads++;
    oracle_on_read(c, n, index, c->commit);
}

/* ---- Time ---- */

static bool advance_transfers(struct cluster *c)
{
    bool is_any = false;

    for (unsigned i = 0; i < c->count; i++)
        for (unsigned k = 0; k < c->count; k++)
            is_any |= transfer_advance(c, &c->transfers[i][k]);
    return is_any;
}

void cluster_settle(struct cluster *c)
{
    bool is_busy = true;

    while (is_busy) {
        is_busy = false;
        for (unsigned i = 0; i < c->count; i++) {
            struct node *n = &c->nodes[i];

            if (n->raft == NULL || n->is_paused)
                continue;
            report_losses(c, n);
            is_busy |= n->disk.write_count > 0 || n->fetch_count > 0;
            cluster_sync(c, n, SIZE_MAX);
            if (n->fetch_count > 0)
                cluster_answer_fetch(c, n, true);
        }
        for (size_t left = c->network.count; left > 0; left--) {
            cluster_deliver(c, 0);
            is_busy = true;
        }
        is_busy |= advance_transfers(c);
    }
}

void cluster_run(struct cluster *c, px_ns duration)
{
    px_ns end = c->now + duration;

    for (;;) {
        struct node *next = NULL;
        px_ns at = end;

        cluster_settle(c);
        for (unsigned i = 0; i < c->count; i++) {
            struct node *n = &c->nodes[i];

            if (n->raft != NULL && !n->is_paused &&
                n->deadline != PX_NS_NEVER &&
                true_time(c, n, n->deadline) < at) {
                next = n;
                at = true_time(c, n, n->deadline);
            }
        }
        if (at > c->now) /* slow clocks may have taken us past the end */
            c->now = at;
        if (next == NULL)
            return;
        while (cluster_clock(c, next) < next->deadline)
            c->now += PX_NS_PER_MS;
        (void)cluster_step(c, next, (struct raft_in){.type = RAFT_IN_TICK});
        if (next->deadline <= cluster_clock(c, next))
            oracle_fail(c, "a deadline that has passed already");
    }
}

struct node *cluster_leader(struct cluster *c)
{
    struct node *leader = NULL;

    for (unsigned i = 0; i < c->count; i++) {
        struct node *n = &c->nodes[i];

        if (n->raft == NULL || n->raft->role != RAFT_LEADER)
            continue;
        if (leader == NULL || leader->raft->hard.term < n->raft->hard.term)
            leader = n;
    }
    return leader;
}

struct node *cluster_run_to_leader(struct cluster *c)
{
    for (int i = 0; i < 300; i++) {
        struct node *leader = cluster_leader(c);

        if (leader != NULL && raft_can_serve(leader->raft))
            return leader;
        cluster_run(c, CLUSTER_H);
    }
    oracle_fail(c, "no leader within 30 s");
}

/* ---- Beginning and end ---- */

struct cluster *cluster_new(unsigned count, uint64_t seed)
{
    return cluster_new_of(count, count, seed);
}

struct cluster *cluster_new_of(unsigned count, unsigned voters, uint64_t seed)
{
    struct cluster *c = disk_checked(calloc(1, sizeof *c));

    c->count = count;
    c->config_count = 1;
    c->configs[0].config.count = voters;
    for (unsigned i = 0; i < voters; i++)
        c->configs[0].config.members[i] =
            (struct raft_member){.id = i + 1, .role = RAFT_VOTER};
    c->seed = seed;
    c->names = disk_checked(calloc(ORACLE_NAMES, sizeof *c->names));
    px_rand_init(&c->rand, seed);
    for (unsigned i = 0; i < count; i++) {
        struct node *n = &c->nodes[i];

        for (unsigned k = 0; k < count; k++)
            c->transfers[i][k] = (struct transfer){.from = i + 1, .to = k + 1};
        n->id = i + 1;
        n->disk.is_new = true;
        n->clock_base = (i + 1) * UINT64_C(1000) * PX_NS_PER_S;
        cluster_restart(c, n);
    }
    return c;
}

void cluster_free(struct cluster *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        struct node *n = &c->nodes[i];

        if (n->raft != NULL)
            cluster_crash(c, n, 0, 0);
        disk_fini(&n->disk);
        free(n->held.list);
    }
    parcels_clear(&c->network);
    free(c->network.list);
    oracle_fini(c);
    free(c->names);
    free(c);
}
