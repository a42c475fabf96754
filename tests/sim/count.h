/* How often each fault happened and each interesting state was reached: a run
 * that never saw a torn tail proves nothing of torn tails. */
#ifndef TESTS_SIM_COUNT_H
#define TESTS_SIM_COUNT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define COUNTS(X)                                                  \
    /* what ran */                                                 \
    X(SECONDS, "simulated seconds")                                \
    X(EVENTS, "events")                                            \
    X(MESSAGES, "messages delivered")                              \
    X(ENTRIES, "entries committed")                                \
    X(APPLIED, "entries applied")                                  \
    X(OPERATIONS, "operations of clients")                         \
    X(OK, "  answered")                                            \
    X(NO_EFFECT, "  without effect")                               \
    X(NO_ROOM, "    beyond the quota")                             \
    X(UNKNOWN, "  outcome unknown")                                \
    X(INTERRUPTS, "  interrupted, nothing having been proposed")   \
    X(OBJECTS, "objects checked for linearizability")              \
    X(CONFIGS, "  configurations looked at")                       \
    /* faults */                                                   \
    X(PROCESS_CRASHES, "crashes of a process")                     \
    X(MACHINE_CRASHES, "crashes of a machine")                     \
    X(CLUSTER_CRASHES, "crashes of all machines at once")          \
    X(CLEAN_STOPS, "clean stops")                                  \
    X(CRASH_POINTS, "crashes in a disk call")                      \
    X(CRASH_IN_START, "  while starting")                          \
    X(CRASH_UNSYNCED, "crashes between write and sync")            \
    X(SECTORS_LOST, "unsynced sectors lost")                       \
    X(SECTORS_KEPT, "unsynced sectors kept")                       \
    X(NAMES_LOST, "unsynced names lost")                           \
    X(WRITE_ERRORS, "failed writes, with EIO")                     \
    X(WRITES_NO_ROOM, "  with ENOSPC, once")                       \
    X(READ_ERRORS, "failed reads")                                 \
    X(SYNC_ERRORS, "failed syncs, with EIO")                       \
    X(SYNCS_NO_ROOM, "  with ENOSPC")                              \
    X(BIT_FLIPS, "flipped bits")                                   \
    X(HOME_FLIPS, "flipped bits in identity, its copy or term")    \
    X(HOME_MENDED, "  made good by the start")                     \
    X(HOME_FROM_COPY, "    which took the identity from its copy") \
    X(HOME_RESTORED, "  the start refused, and the file restored") \
    X(VALUES_DAMAGED, "values damaged in a state")                 \
    X(SUMS_OFF, "sums of a state that are off")                    \
    X(VALUES_MET, "  met, and the process ended")                  \
    X(VALUES_FOUND, "  found by the start")                        \
    X(RECORDS_CHANGED, "records of a state changed, sums too")     \
    X(STATES_AT_REST, "states changed so while down")              \
    X(FLUSHES_LOST, "flushes of the log that lied")                \
    X(LOSSES, "  and cost what was durable")                       \
    X(LOSSES_FOUND, "    found by the start")                      \
    X(LOSSES_NOTICED, "    noticed while running")                 \
    X(LOSSES_STRUCK, "      and struck again just then")           \
    X(LOSSES_HEALED, "    made good unnoticed, or harmless")       \
    X(VOTES_WITHHELD, "    votes meanwhile, held back")            \
    X(DISK_FULL, "writes on a full disk")                          \
    X(LOG_WAITS, "  the log waited for room")                      \
    X(DISK_SLOW, "slow spells of a disk")                          \
    X(PAUSES, "pauses")                                            \
    X(PAUSES_WITHIN, "  within a step")                            \
    X(CLOCK_RATES, "changes of a clock's rate")                    \
    X(CLOCK_JUMPS, "jumps of the wall clock")                      \
    X(ISOLATIONS, "isolated nodes")                                \
    X(PARTITIONS, "partitions")                                    \
    X(ONE_WAY, "one-way cuts")                                     \
    X(BRIDGES, "bridging partitions")                              \
    X(BREAKS, "broken connections")                                \
    X(LOST, "messages lost")                                       \
    X(DUPLICATED, "messages duplicated")                           \
    X(REORDERED, "messages reordered")                             \
    X(LINK_SLOW, "slow spells of a connection")                    \
    /* members */                                                  \
    X(MEMBERS, "runs in which the members change")                 \
    X(CHANGES_ASKED, "changes of members asked for")               \
    X(CHANGES_REFUSED, "  refused")                                \
    X(CHANGES_UNKNOWN, "  outcome unknown")                        \
    X(CHANGES_LOST, "  answers lost")                              \
    X(CHANGES_AGAIN, "  asked again as they were")                 \
    X(CHANGES_BEGUN, "  begun")                                    \
    X(CHANGES_PARTITIONED, "    under a partition")                \
    X(CONFIG_CRASHES, "    whose leader ended before the end")     \
    X(CONFIG_CUTS, "    taken back where a log was cut")           \
    X(ADDED, "learners added")                                     \
    X(PROMOTED, "learners promoted")                               \
    X(REMOVED, "members removed")                                  \
    X(EXCHANGES, "clusters of which no member is left")            \
    X(TRANSFERS, "leaders asked to hand over to one")              \
    X(TRANSFERS_DONE, "  and did")                                 \
    X(MEMBERS_LOST, "members whose disks are lost for ever")       \
    X(RETIRED, "removed members stopped")                          \
    X(TOLD_REMOVED, "removed members that were told")              \
    X(CONFIG_SNAPSHOTS, "snapshots with other members than first") \
    X(BEGUN_NEW, "first voters that found the cluster new")        \
    X(BEGUN_LATER, "  that were given its log by a leader")        \
    /* gossip */                                                   \
    X(GOSSIP, "runs with gossip")                                  \
    X(GOSSIP_PACKETS, "packets of gossip delivered")               \
    X(GOSSIP_MISDIRECTED, "  to another server than was meant")    \
    X(GOSSIP_SUSPECTS, "suspects")                                 \
    X(GOSSIP_REFUTATIONS, "  refutations")                         \
    X(GOSSIP_DEATHS, "  deaths found")                             \
    X(GOSSIP_FALSE_DEATHS, "    of one that is up")                \
    X(GOSSIP_LEFT, "goodbyes heard")                               \
    X(GOSSIP_PAUSES, "pauses noticed by gossip")                   \
    X(GOSSIP_MOVES, "servers that come back elsewhere")            \
    X(GOSSIP_ELSEWHERE, "  dialled where they are no more")        \
    X(GOSSIP_FOLLOWED, "  dialled where they are now")             \
    X(POLICY_ADDED, "learners taken in by the leader's policy")    \
    X(POLICY_PROMOTED, "  promoted by it")                         \
    X(GOSSIP_AGREE_MAX, "slowest agreement, in percent of bound")  \
    /* states */                                                   \
    X(STARTS, "starts")                                            \
    X(STATES_WALKED, "  states walked, then and when adopted")     \
    X(STATE_KEPT, "  with the state kept")                         \
    X(STATE_REBUILT, "  with the state distrusted")                \
    X(STATE_FROM_SNAPSHOT, "    from a snapshot")                  \
    X(LOG_BEHIND_SNAPSHOT, "  with a log empty behind a snapshot") \
    X(LOG_FAULTY, "  with a damaged log")                          \
    X(TORN_TAILS, "  with a torn tail cut")                        \
    X(REPLAYS, "batches replayed from the log")                    \
    X(APPLIED_IN_PART, "batches applied in part")                  \
    X(FETCHES, "entries read from the log for a peer")             \
    X(HAND_OVERS, "leaders that were told to hand over")           \
    X(TIMEOUT_NOWS, "  and did")                                   \
    X(LEADERS_SILENT, "leaders that fell silent for their disk")   \
    X(LEADERS_GAVE_WAY, "  and handed over for it")                \
    X(ELECTIONS, "elections won")                                  \
    X(TERMS, "terms")                                              \
    X(LOG_CUTS, "logs cut by a leader")                            \
    X(LOG_REPAIRS, "damaged logs made whole by peers")             \
    X(HEADS_CUT, "log heads cut behind a snapshot")                \
    X(LOG_RESETS, "logs reset to a snapshot")                      \
    X(SNAPSHOTS_SAVED, "snapshots made")                           \
    X(SNAPSHOTS_SENT, "snapshots sent")                            \
    X(PIECES, "pieces received")                                   \
    X(PIECES_LATER, "  not the first of its snapshot")             \
    X(SNAPSHOTS_INSTALLED, "snapshots installed")                  \
    X(INSTALLED_PARTITIONED, "  under a partition")                \
    X(TRANSFERS_RESUMED, "  gone on with by another connection")   \
    X(TRANSFERS_REPLACED, "  begun while another was received")    \
    X(OFFERS_LATE, "  offered while another was installed")        \
    X(TERMS_IN_INSTALL, "  under way at a new term")               \
    X(SNAPSHOT_ERRORS, "work on snapshots that failed")            \
    X(CRASH_IN_SNAPSHOT, "crashes while a snapshot is worked on")  \
    X(SEGMENTS, "log segments, at the end")                        \
    X(FORWARDED, "commands forwarded")                             \
    X(REFUSED, "forwards refused")                                 \
    X(RESENT, "commands sent again")                               \
    X(DUPLICATES, "duplicate commands in the log")                 \
    X(READS_LEASE, "reads by lease")                               \
    X(READS_INDEX, "reads by index")                               \
    X(HASHES_EQUAL, "states found equal, by a majority's claims")  \
    X(HASHES_UNDECIDED, "states found to differ, no majority")     \
    X(QUARANTINES, "quarantines begun, by others' claims")         \
    X(QUARANTINES_BY_HAND, "  begun by a person")                  \
    X(QUARANTINES_RESUMED, "  gone on with by a start")            \
    X(QUARANTINES_CUT, "  while cut off from another")             \
    X(QUARANTINES_ENDED, "  ended by a snapshot")                  \
    X(EXPIRED, "requests that reached their deadline")             \
    X(CORES, "runs with a core only")                              \
    X(TOO_FEW_VOTES, "runs that have to wait for ever")            \
    X(RECOVERY_MS_MAX, "slowest recovery, in ms")

enum count {
#define COUNT_ENUM(name, text) COUNT_##name,
    COUNTS(COUNT_ENUM)
#undef COUNT_ENUM
        COUNT_COUNT
};

/* Adds @from to @to; what ends in _MAX is the larger one. */
void counts_add(uint64_t to[COUNT_COUNT], const uint64_t from[COUNT_COUNT]);
void counts_print(const uint64_t counts[COUNT_COUNT], FILE *out);
/* Names those that are 0, which none may be after so many seeds of any worlds,
 * one to a line; returns how many they are. */
#define COUNTS_SEEDS_MIN 1000u
size_t counts_print_missing(const uint64_t counts[COUNT_COUNT], FILE *out);

#endif
