/* raft/text.c: roles and messages as text. */
#include "tests/unit/raft/unit.h"

#include "raft/text.h"
#include "tests/unit/raft/rig.h"

static void assert_text(struct raft_msg m, const char *expected)
{
    char buffer[200];
    struct px_text text;

    px_text_init(&text, buffer, sizeof buffer);
    raft_msg_text(&m, &text);
    assert_string_equal(buffer, expected);
}

static void every_message_says_what_it_carries(void **s)
{
    struct raft_msg read = {
        .type = RAFT_MSG_READ, .from = 2, .to = 1, .term = 3, .read.id = 9};
    struct raft_msg reply = {.type = RAFT_MSG_READ_REPLY,
                             .from = 2,
                             .to = 1,
                             .term = 3,
                             .read_reply = {.id = 9, .index = 6}};
    struct raft_msg transfer = rig_vote(2, 3, POS(2, 7));
    struct raft_msg unfit = rig_heartbeat_reply(2, 3, 1, 5, 7);

    (void)s;
    transfer.vote.is_transfer = true;
    assert_text(rig_pre_vote(2, 3, POS(2, 7)), "pre-vote 2>1 term=3 last=2/7");
    assert_text(transfer, "vote 2>1 term=3 last=2/7 transfer");
    assert_text(rig_pre_vote_reply(2, 3, true),
                "pre-vote-reply 2>1 term=3 granted");
    assert_text(rig_vote_reply(2, 3, false), "vote-reply 2>1 term=3 refused");
    assert_text(rig_append(2, 3, POS(2, 7), 6, NULL, 0),
                "append 2>1 term=3 prev=2/7 commit=6 count=0");
    assert_text(rig_append_reply(2, 3, 8),
                "append-reply 2>1 term=3 accepted match=8");
    assert_text(rig_refusal(2, 3, 8, POS(1, 4)),
                "append-reply 2>1 term=3 refused prev=8 conflict=1/4");
    assert_text(rig_heartbeat(2, 3, POS(2, 7), 6, 5),
                "heartbeat 2>1 term=3 match=2/7 commit=6 round=5");
    assert_text(rig_heartbeat_reply(2, 3, 1, 5, 7),
                "heartbeat-reply 2>1 term=3 round=5 last=7");
    unfit.heartbeat_reply.is_unfit = true;
    assert_text(unfit, "heartbeat-reply 2>1 term=3 round=5 last=7 unfit");
    assert_text(read, "read 2>1 term=3 id=9");
    assert_text(reply, "read-reply 2>1 term=3 id=9 index=6");
    read.type = RAFT_MSG_TIMEOUT_NOW;
    assert_text(read, "timeout-now 2>1 term=3");
    read.type = RAFT_MSG_LOST;
    read.lost = (struct raft_msg_lost){.id = 9, .match = 4, .last = 7};
    assert_text(read, "lost 2>1 term=3 id=9 match=4 last=7");
    read.type = RAFT_MSG_LOST_REPLY;
    read.lost_reply = (struct raft_msg_lost_reply){.id = 9, .index = 8};
    assert_text(read, "lost-reply 2>1 term=3 id=9 index=8");
}

static void roles_have_names(void **s)
{
    (void)s;
    assert_string_equal(raft_role_text(RAFT_FOLLOWER), "follower");
    assert_string_equal(raft_role_text(RAFT_PRE_CANDIDATE), "pre-candidate");
    assert_string_equal(raft_role_text(RAFT_CANDIDATE), "candidate");
    assert_string_equal(raft_role_text(RAFT_LEADER), "leader");
}

static void numbers_without_a_name_are_unknown(void **s)
{
    (void)s;
    assert_string_equal(raft_role_text((enum raft_role)9), "unknown");
    assert_string_equal(raft_msg_type_text((enum raft_msg_type)99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(every_message_says_what_it_carries),
        unit(roles_have_names),
        unit(numbers_without_a_name_are_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
