/* The inside of the administrator, for members*.c alone. */
#ifndef TESTS_SIM_MEMBERS_CORE_H
#define TESTS_SIM_MEMBERS_CORE_H

#include "tests/sim/members.h"

/* A server is asked for one of these. */
enum step_what {
    STEP_ADD,
    STEP_PROMOTE,
    STEP_REMOVE,
    STEP_TRANSFER,
};

struct step {
    enum step_what what;
    raft_id id;
};

struct members {
    bool is_wanted[SERVERS_MAX]; /* as a member; never again, once not */
    bool has_vote[SERVERS_MAX];  /* and as a voter */
    px_ns pace;                  /* twice as long between two steps, at most */
    unsigned strike_percent;     /* of the leaders that have begun a change */
    bool is_eager;               /* asks leaders as they arise, */
    unsigned corner_percent;     /* and cuts off so many of them just then */
    bool tells;                  /* those who are removed */
    bool loses;                  /* disks, for ever */
    bool has_policy; /* the leader adds and promotes: gossip_policy.c */
    bool is_calm;
};

/* ---- members.c ---- */

/* @s is asked, by its own policy or by him. */
void members_ask(struct server *s, struct step step, bool is_policy);

/* ---- members_plan.c ---- */

/* The members are as he wants them: he wants others. */
void members_choose_goal(struct world *w);
bool members_are_as_wanted(const struct world *w);
/* A new server is to be a member. False: there have been as many as may be. */
bool members_want_new(struct world *w, bool as_voter);
/* A member of those that are wanted is to go, unless it is the last voter. */
void members_unwant(struct world *w, size_t number);
/* Servers that are not lost, and can't lose what they have acknowledged. */
void members_list_strong(const struct world *w, bool strong[SERVERS_MAX]);
/* May it be asked of one who goes by these members? */
bool members_is_careful(const struct world *w, const struct raft_config *config,
                        struct step step);
/* The next step to ask @s for. False: there is none. */
bool members_choose_step(struct server *s, struct step *step);

#endif
