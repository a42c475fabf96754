/* Rules that can be broken on purpose, to see that a test notices.
 *
 *   if (to <= from || (is_of_old_term && !px_mutant(COMMIT_OLD_TERM)))
 *
 * In a normal build px_mutant() is false, and the compiler forgets the line. A
 * build with -Dmutants=true, which is for tests alone, reads PX_MUTANT from the
 * environment at start: the name of the one that is on. tests/mutants.sh runs
 * the tests against each.
 *
 * A site breaks its rule as a programmer who doesn't know the rule would: the
 * asserts nearby stay as they are, and may well be what catches it. */
#ifndef PX_MUTANT_H
#define PX_MUTANT_H

#include <stdbool.h>

/* name, what is broken. The runner reads this table: one line each. */
/* clang-format off */
#define PX_MUTANT_LIST(X) \
    X(ACK_BEFORE_FSYNC, "an acknowledgement leaves before the write is durable") \
    X(VOTE_NOT_DURABLE, "terms and votes count as durable when handed out") \
    X(HELD_MSGS_EARLY, "messages that wait for a write are sent at once") \
    X(ENTRIES_NOT_HELD, "a write does not hold the bytes of its entries") \
    X(OWN_COPY_NOT_DURABLE, "the leader counts its own copy before it is durable") \
    X(APPLY_NOT_DURABLE, "entries are applied before they are durable here") \
    X(TIMEOUT_FIXED, "election timeouts are not random") \
    X(TIMEOUT_SHARED, "election timeouts follow from a seed that two nodes may share") \
    X(PRE_VOTE_SKIPPED, "candidates ask for no pre-vote") \
    X(PRE_VOTE_REFRESHES, "granting a pre-vote defers the own election") \
    X(PRE_VOTE_KEEPS_LEADER, "a pre-candidate goes on believing in its leader") \
    X(VOTE_TWICE, "a second vote is given in one term") \
    X(VOTE_BEHIND_LOG, "a candidate with an older log is voted for") \
    X(QUORUM_UNCHECKED, "a leader that hears from no majority goes on") \
    X(STUCK_LEADER_SPEAKS, "a leader whose disk is stuck goes on sending") \
    X(STICKY_NOT, "a voter that has just heard its leader votes for another") \
    X(STICKY_IN_TRANSFER, "a voter refuses whom its leader has asked to lead") \
    X(STICKY_SAME_TERM, "stickiness holds for equal terms only") \
    X(NOOP_MISSING, "reads do not wait for the leader's own first commit") \
    X(COMMIT_OLD_TERM, "entries of older terms are committed by counting") \
    X(COMMIT_BEYOND_APPEND, "a follower commits what no APPEND has verified") \
    X(COMMIT_BEYOND_HEARTBEAT, "a follower commits what no heartbeat has verified") \
    X(ACK_OWN_TAIL, "an empty APPEND is acknowledged by the own tail") \
    X(CUT_MATCHING, "entries that match are cut, with all behind them") \
    X(CONFLICT_KEPT, "entries that conflict with the leader's are kept") \
    X(CONFLICT_ONE_BY_ONE, "a refusal names neither term nor its first index") \
    X(FLOW_UNBOUNDED, "what is in flight to a peer has no bound") \
    X(LEASE_AT_RECEIPT, "the lease counts from when the echo arrives") \
    X(LEASE_ONE_PEER, "one peer's echo is a majority") \
    X(ECHO_OLD_TERM, "an echo of an earlier term counts for the lease") \
    X(LEASE_ENDLESS, "a lease has no end") \
    X(LEASE_NO_DRIFT, "the lease ignores that clocks differ in rate") \
    X(LEASE_TIME_CACHED, "a read goes by the time of the last step") \
    X(LEASE_AFTER_RESTART, "a restarted node votes at once") \
    X(LEASE_AFTER_TIMEOUT_NOW, "the lease goes on after TimeoutNow was sent") \
    X(CHANGE_BEFORE_COMMIT, "members change before the leader has committed in its term") \
    X(CHANGES_OVERLAP, "a change of members begins before the last is committed") \
    X(CONFIG_WHEN_APPLIED, "members change when their entry is applied") \
    X(CONFIG_OF_SNAPSHOT_STALE, "a snapshot does not bring its members along") \
    X(CONFIG_OF_SNAPSHOT_GIVEN, "a snapshot names the members that its maker began with") \
    X(CONFIG_CUT_FORGOTTEN, "members stay as a cut entry had them") \
    X(OVERWRITTEN_ACKED, "a change that another leader overwrote is answered as done") \
    X(STEP_DOWN_SILENT, "a leader that steps down leaves waiting what waits for it") \
    X(LEARNER_COUNTED, "a learner counts towards the majority") \
    X(LEARNER_AHEAD, "a learner is sent what is not committed") \
    X(PROMOTED_BEHIND, "a learner gets its vote before it has the log") \
    X(CHANGE_UNHEARD, "voters change though those that stay are not heard of") \
    X(FAULTY_PROMOTED, "a learner without a vote to give becomes a voter") \
    X(UNFIT_ASKED, "leadership is handed to who says that it can't lead") \
    X(TRANSFER_BEHIND, "leadership is handed to who lacks entries") \
    X(TRANSFER_UNPAUSED, "proposals go on while leadership is handed over") \
    X(TRANSFER_ENDLESS, "a hand-over that fails is never given up") \
    X(NAME_REUSED, "a node that was removed opens a session again") \
    X(WIPED_TAKEN, "a disk that was emptied is taken under its old name") \
    X(RECOVERED_EARLY, "who is whole says so before a restart would agree") \
    X(READ_OLD_ROUND, "a read is served by a round sent before it came") \
    X(READ_ROUND_JOINED, "a read joins the round that is under way") \
    X(READ_ID_REUSED, "a read asked again keeps its id") \
    X(READ_BEFORE_APPLIED, "a read is answered before its index is applied") \
    X(FAULTY_VOTES, "who has lost entries votes all the same") \
    X(FAULTY_CAMPAIGNS, "who has lost entries campaigns all the same") \
    X(FAULT_MATCH_KEPT, "a leader counts on what a peer says it has lost") \
    X(FAULT_BARRIER_SKIPPED, "who has lost entries is whole as soon as it is answered") \
    X(FAULT_OLD_ANSWER, "an answer to an earlier question says when one is whole") \
    X(SOUND_WITH_ENTRIES, "who has lost entries is whole because the cluster was new") \
    X(FAULT_TERM_KEPT, "the answer of an older term's leader goes on to count") \
    X(LOSS_UNNOTICED, "who lacks what its leader counts on does not say so") \
    X(LOSS_UNNOTED, "who lacks what its leader counts on forgets it in a restart") \
    X(FAULT_NOTED_LATE, "a damaged log is cut before it is noted that it was") \
    X(NOTE_GONE_EARLY, "a damaged log's note goes before what made it whole is written") \
    X(TERM_KEPT_ONCE, "term and vote are in the log alone") \
    X(REPAIR_TERM_UNASKED, "a repair that was cut short goes on without the term") \
    X(TERM_TORN_TOO, "a torn tail's term is taken from the log where term is damaged") \
    X(FOUNDED_UNPROMISED, "a cluster is founded before the promise to is durable") \
    X(RETRY_APPLIED_TWICE, "a command that comes twice is applied twice") \
    X(SESSION_REVIVED, "a command of a session that has ended takes effect") \
    X(SESSION_REOPENED, "a command of a session that has ended opens it again") \
    X(QUOTA_UNCHECKED, "commands are applied whatever the quota says") \
    X(QUOTA_UNASKED, "commands are proposed whatever the quota says") \
    X(QUOTA_STOPS_ALL, "beyond the quota, what grows nothing is refused too") \
    X(TIME_BACKWARDS, "the time of the state follows each command's") \
    X(APPLIED_APART, "the applied index is stored apart from what it tells of") \
    X(REPLAY_LATE, "a start applies the log from one entry too late") \
    X(BOOT_ID_IGNORED, "the state is believed after the machine went down") \
    X(STATE_KEPT_BEHIND, "a state without a note of its boot is believed") \
    X(STATE_AHEAD_OF_LOG, "a state is adopted before the log holds what it has") \
    X(CHUNK_UNCHECKED, "a chunk of a file is believed unchecked") \
    X(META_UNCHECKED, "the record that sums up the state is believed unchecked") \
    X(DISTRUST_IGNORED, "a state is believed that one was told to distrust") \
    X(APPLY_FAILURE_IGNORED, "a node that can't apply an entry goes on") \
    X(LOG_FSYNC_SKIPPED, "the log is not flushed") \
    X(FLUSH_FAILURE_FORGOTTEN, "a flush that fails is tried again") \
    X(LOG_CHAIN_UNCHECKED, "records of the log need not follow each other") \
    X(LOG_BODY_UNCHECKED, "a record of the log is believed by its head") \
    X(LOG_HEAD_UNCHECKED, "a record's head is believed without its checksum") \
    X(LOG_PLACE_UNCHECKED, "a record of the log is believed in another's place") \
    X(SEGMENT_GAP_TAKEN, "a segment of the log that is missing is not missed") \
    X(SHORT_SEGMENT_TAKEN, "a segment that lost its end is cut like a torn one") \
    X(TAIL_UNCUT, "appending goes on behind a torn tail") \
    X(CUT_NOT_SYNCED, "what an open of the log cuts is not flushed") \
    X(TAIL_FROM_CACHE, "the log's tail is read through the page cache") \
    X(FULL_FOR_EVER, "what the log had no room for is not tried again") \
    X(RENAME_NOT_SYNCED, "a rename is not followed by an fsync of its folder") \
    X(FILE_NOT_SYNCED, "a small file is renamed before it is flushed") \
    X(LOG_CUT_EARLY, "the log is cut before its snapshot is durable") \
    X(SNAPSHOT_NOT_SYNCED, "a snapshot that was made is renamed before it is flushed") \
    X(SNAPSHOT_OF_TWO_VIEWS, "a snapshot is of the state at several indexes") \
    X(SNAPSHOT_UNCHECKED, "a snapshot that arrives is believed unchecked") \
    X(SNAPSHOT_TERM_LOST, "a snapshot is durable before its sender's term") \
    X(SNAPSHOT_REPLY_EARLY, "a snapshot is acknowledged before it is durable") \
    X(PIECE_FLUSHED_AGAIN, "a snapshot's flush that failed is tried again")   \
    X(CORRUPTION_CUT, "a corrupt record in the middle is cut like a torn tail") \
    X(DIVERGENCE_SERVED, "a state that differs from a majority's is served") \
    X(DIVERGENCE_BY_ONE, "one other node's hash is enough to differ from") \
    X(GIVEN_STATE_CLAIMED, "a state that another node gave is claimed at once") \
    X(REBUILT_FROM_BEFORE, "a wrong state is replaced by one from before it differed") \
    X(FOLDER_UNLOCKED, "a second process opens the data folder") \
    X(CLUSTER_UNCHECKED, "a data folder of another cluster is taken") \
    X(FORMAT_UNCHECKED, "a newer format is read as if it were known") \
    X(IDENTITY_UNCOPIED, "the copy of the identity is never written")
/* clang-format on */

enum px_mutant {
    PX_MUTANT_NONE,
#define PX_MUTANT_ENUM(name, text) PX_MUTANT_##name,
    PX_MUTANT_LIST(PX_MUTANT_ENUM)
#undef PX_MUTANT_ENUM
};

#ifdef PX_MUTANTS
extern enum px_mutant px_mutant_on; /* set once, before main() */
#define px_mutant(name) (px_mutant_on == PX_MUTANT_##name)
#else
/* The name has to exist here, too. */
#define px_mutant(name) ((void)PX_MUTANT_##name, false)
#endif

#endif
