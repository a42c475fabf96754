/* Consensus rounds per second of five replicas in one process: the cost of the
 * core alone, no disk, no network.
 *
 * One round: a proposal, sent to four followers, durable at once on all five,
 * acknowledged, committed, and the commit known to all five. Messages are
 * passed by value in the order they were sent. Rounds are made one at a time,
 * each proposal behind the commit of the one before; then with batches, each of
 * so many proposals in one input.
 *
 *   raft_rounds [ROUNDS]     default 1000000 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "raft/raft.h"

#define NODES 5u
#define QUEUE_MSGS 256u
#define QUEUE_ENTRIES 8192u

struct bench {
    struct raft *nodes[NODES];
    raft_index commits[NODES];
    raft_index applied[NODES];
    /* Entries of messages point into a replica until its next step, so they
     * are copied beside the message. Both start anew when all is delivered. */
    struct raft_msg queue[QUEUE_MSGS];
    struct raft_entry entries[QUEUE_ENTRIES];
    size_t head;
    size_t tail;
    size_t entry_count;
    px_ns now;
};

/* Of this process: others on the machine don't count. */
static px_ns clock_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* can't fail on Linux */
    return (px_ns)t.tv_sec * PX_NS_PER_S + (px_ns)t.tv_nsec;
}

static void post(struct bench *b, struct raft_msgs msgs)
{
    for (size_t i = 0; i < msgs.count; i++) {
        struct raft_msg *m = &b->queue[b->tail++];

        px_assert(b->tail < QUEUE_MSGS);
        *m = msgs.list[i];
        if (m->type != RAFT_MSG_APPEND)
            continue;
        px_assert(b->entry_count + m->append.count <= QUEUE_ENTRIES);
        memcpy(&b->entries[b->entry_count], m->append.entries,
               m->append.count * sizeof *m->append.entries);
        m->append.entries = &b->entries[b->entry_count];
        b->entry_count += m->append.count;
    }
}

/* One input, and what it leads to on this node: its disk takes no time. */
static void step(struct bench *b, unsigned node, struct raft_in in)
{
    struct raft_out out;

    in.now = b->now;
    px_assert(raft_step(b->nodes[node], &in, &out) == 0);
    post(b, out.now);
    post(b, out.after); /* leaves before anything else is stepped */
    b->commits[node] = out.commit;
    if (out.write.seq > 0)
        step(b, node,
             (struct raft_in){.type = RAFT_IN_DURABLE, .durable = out.write});
    if (b->commits[node] >= b->applied[node] + 1024) {
        b->applied[node] = b->commits[node];
        step(b, node,
             (struct raft_in){.type = RAFT_IN_APPLIED,
                              .applied = b->applied[node]});
    }
}

static void deliver_all(struct bench *b)
{
    while (b->head < b->tail) {
        const struct raft_msg *m = &b->queue[b->head++];

        step(b, (unsigned)m->to - 1,
             (struct raft_in){.type = RAFT_IN_MSG, .msg = m});
    }
    b->head = 0;
    b->tail = 0;
    b->entry_count = 0;
}

static void open_nodes(struct bench *b)
{
    struct raft_options o = {
        .election = 1000 * PX_NS_PER_MS,
        .heartbeat = 100 * PX_NS_PER_MS,
        .is_first_boot = true,
        .config = {.count = NODES},
    };

    for (unsigned i = 0; i < NODES; i++)
        o.config.members[i] =
            (struct raft_member){.id = i + 1, .role = RAFT_VOTER};
    for (unsigned i = 0; i < NODES; i++) {
        o.id = i + 1;
        px_assert(raft_new(&o, &b->nodes[i]) == 0);
    }
    b->now = 2 * o.election;
    step(b, 0, (struct raft_in){.type = RAFT_IN_TICK});
    deliver_all(b);
    px_assert(b->commits[0] == 1);
}

static bool is_everywhere(const struct bench *b, raft_index index)
{
    for (unsigned i = 0; i < NODES; i++)
        if (b->commits[i] < index)
            return false;
    return true;
}

/* Followers learn of a commit with the next proposal; of the last one, with a
 * heartbeat. */
static void run(struct bench *b, uint64_t rounds, size_t batch)
{
    static struct raft_proposal list[PX_BATCH_ENTRIES_MAX];
    raft_index last = b->commits[0];
    px_ns start;
    px_ns took;

    for (size_t i = 0; i < batch; i++)
        list[i] = (struct raft_proposal){
            .kind = RAFT_ENTRY_COMMAND,
            .data = {.data = (const uint8_t *)"value", .size = 5},
            .origin = 1,
        };
    start = clock_now();
    for (uint64_t i = 0; i < rounds; i += batch) {
        step(b, 0,
             (struct raft_in){.type = RAFT_IN_PROPOSE,
                              .propose = {.list = list, .count = batch}});
        deliver_all(b);
        last += batch;
        px_assert(b->commits[0] == last);
    }
    b->now += 100 * PX_NS_PER_MS; /* a heartbeat tells all of the last one */
    step(b, 0, (struct raft_in){.type = RAFT_IN_TICK});
    deliver_all(b);
    took = clock_now() - start;
    px_assert(is_everywhere(b, last));
    printf("%8zu %12" PRIu64 " %14.3f %16.0f\n", batch, rounds,
           (double)took / (double)PX_NS_PER_MS,
           (double)rounds * (double)PX_NS_PER_S / (double)took);
}

int main(int argc, char **argv)
{
    uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    static struct bench b;

    open_nodes(&b);
    printf("%8s %12s %14s %16s\n", "batch", "rounds", "CPU ms", "rounds/s");
    run(&b, 1000, 1);
    for (size_t batch = 1; batch <= 512; batch *= 8)
        run(&b, rounds / batch * batch, batch);
    for (unsigned i = 0; i < NODES; i++)
        raft_free(b.nodes[i]);
    return 0;
}
