/* The inside of the checks, for check*.c alone. */
#ifndef TESTS_SIM_CHECK_CORE_H
#define TESTS_SIM_CHECK_CORE_H

#include "node/replica_core.h"
#include "raft/core.h"
#include "tests/sim/check.h"

/* An entry by the name that log matching gives it. */
struct known {
    raft_term term;
    raft_term prev_term;
    uint64_t sum; /* of kind and data */
};

/* All that was ever in a log at one index, and what was committed there. */
struct place {
    struct known *known;
    size_t known_count;
    raft_term committed; /* its term; 0: not yet */
    raft_term seen_in;   /* the term of who was first seen to commit it */
    uint64_t result;     /* of applying it; 0: not yet applied */
    uint64_t hash;       /* of the state after it; 0: nobody looked */
};

struct image {
    raft_term *terms; /* by index; [0] is 0 */
    size_t capacity;
    raft_index last;
    struct raft_hard_state hard;
};

/* What a flush that lied has cost, until it is known: check_loss.c. */
struct loss {
    struct raft_pos end; /* the log ended here; index 0: nothing is unknown */
    raft_index first;    /* of what is not there any more, once it is known */
    raft_term term;      /* of the server then */
    bool is_fresh;       /* it has not been looked at since */
    unsigned told;       /* heartbeats that said so, and it goes on as before */
};

/* What a server has on its disk: for sure, and perhaps. */
struct record {
    struct image durable;
    struct image written;
    raft_index kept;     /* both hold the same up to here */
    raft_index snapshot; /* a durable one covers all up to here */
    raft_index damaged;  /* entries up to here were durable, and are lost: who
                            was told of them may count them */
    struct loss loss;
    bool was_silent;      /* a leader, for its disk, when last looked at */
    raft_index commit;    /* looked at up to here */
    struct raft_pos seen; /* its configurations were, up to here */
    uint64_t looks;
};

/* One term. */
struct election {
    raft_id leader;
    raft_id votes[SERVERS_MAX];        /* by voter */
    uint16_t pre_votes[SERVERS_MAX];   /* by candidate: a bit for each voter */
    struct raft_pos last[SERVERS_MAX]; /* by candidate: the end of its log */
};

static_assert(SERVERS_MAX <= 16, "a bit for each");

/* Members, as an entry of some log had them; at 0 those of the beginning. */
struct seen_config {
    struct raft_pos pos;
    struct raft_config config;
};

struct check {
    struct world *world;
    struct record records[SERVERS_MAX];
    struct election *elections; /* by term */
    size_t election_capacity;
    struct place *places; /* by index */
    size_t place_capacity;
    raft_index commit;           /* of the cluster */
    struct seen_config *configs; /* ascending by index */
    size_t config_count;
    size_t config_capacity;
    struct raft_pos settled;      /* the newest that is committed */
    struct raft_config exchanged; /* at the last exchange of them all */
};

/* Room for element @want; new ones are 0. */
void *check_grow(void *old, size_t *capacity, size_t want, size_t size);
struct place *check_place(struct check *c, raft_index index);
uint64_t check_sum(const struct raft_entry *e);

static inline struct raft *raft_of(const struct server *s)
{
    return s->replica->raft;
}

static inline struct record *record_of(const struct server *s)
{
    return &s->world->check->records[s->number];
}

/* ---- check_disk.c ---- */

bool check_is_durable(const struct record *r, raft_index index, raft_term term);

/* ---- check_loss.c ---- */

/* A start has found its log: what is missing of it? Before r->durable is what
 * was found. */
void check_loss_on_open(struct server *s);

/* ---- check_members.c ---- */

void check_members_init(struct check *c);
/* In force on @s, by its log. */
const struct raft_config *check_config(const struct server *s);
bool check_is_voter(const struct server *s, size_t number);
/* That were settled at @index. */
const struct raft_config *check_settled_at(const struct world *w,
                                           raft_index index);
/* Is it durable on a majority of those that @s counts? */
bool check_is_on_majority(const struct server *s, raft_index index,
                          raft_term term);
/* Its state's, and the snapshot's that it began with. */
void check_state_members(struct server *s, struct store_view *v);
void check_snapshot_members(const struct server *s,
                            const struct store_snapshot_info *info);
/* Configurations that are new in its log. */
void check_see_configs(struct server *s);
/* The entry at @pos is committed. */
void check_settle(struct check *c, struct raft_pos pos);
void check_members(struct server *s);
void check_count_cut(struct server *s, raft_index index, raft_term term);
void check_count_end(struct server *s);

/* ---- check_lead.c ---- */

struct election *check_election(struct check *c, raft_term term);
void check_vote_sent(struct server *s, const struct raft_msg *msg);
void check_leader(struct server *s);

#endif
