/* What somebody with the command line asks of a node, and what it answers:
 * net_admin, net_admin_reply <-> peer.proto.
 *
 * An answer ends on a terminal, and some of what it shows came from other
 * nodes, by gossip. So both ends see to it that a text holds nothing that a
 * terminal would act on: the sender puts '?' there, the receiver believes no
 * sender. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "net/codec.h"
#include "net/codec_head.h"

/* AdminReply.code: the numbers of errno differ between machines, these don't.
 * Never renumber. The first is also for what isn't in the table. */
static const struct {
    uint32_t code;
    int rc;
} codes[] = {
    {1, -EIO},           {0, 0},
    {2, -PX_ENOTLEADER}, {3, -EAGAIN},
    {4, -EBUSY},         {5, -EEXIST},
    {6, -ENOENT},        {7, -ENOSPC},
    {8, -EINVAL},        {9, -PX_EUNKNOWN},
    {10, -PX_ENOQUORUM}, {11, -ETIMEDOUT},
    {12, -ENOMEM},       {13, -EPERM},
    {14, -EOPNOTSUPP},   {15, -PX_ECLUSTER},
};
#define CODES (sizeof codes / sizeof codes[0])

static uint32_t code_of(int rc)
{
    for (size_t i = 0; i < CODES; i++) {
        if (codes[i].rc == rc)
            return codes[i].code;
    }
    return codes[0].code;
}

static int rc_of(uint32_t code, int *rc_out)
{
    for (size_t i = 0; i < CODES; i++) {
        if (codes[i].code == code) {
            *rc_out = codes[i].rc;
            return 0;
        }
    }
    return -EPROTO;
}

/* ---- Texts: words are printable without spaces, lines may have both ---- */

static bool is_word(char c)
{
    return isgraph((unsigned char)c) != 0;
}

static bool is_line(char c)
{
    return isprint((unsigned char)c) != 0 || c == '\n';
}

static void clean(char *text, bool (*is_fit)(char c))
{
    for (; *text != '\0'; text++) {
        if (!is_fit(*text))
            *text = '?';
    }
}

/* Into @to of @size, which is all zero. */
static int get_text(const char *from, bool (*is_fit)(char c), char *to,
                    size_t size)
{
    const size_t used = strlen(from);

    if (used >= size)
        return -EPROTO;
    for (size_t i = 0; i < used; i++) {
        if (!is_fit(from[i]))
            return -EPROTO;
    }
    memcpy(to, from, used);
    return 0;
}

/* ---- Questions ---- */

struct net_frame *net_encode_admin(const struct net_admin *a)
{
    Net__Admin head = NET__ADMIN__INIT;
    struct net_frame *f;

    head.what = a->what;
    head.name = (char *)(uintptr_t)a->name;       /* only read */
    head.address = (char *)(uintptr_t)a->address; /* only read */
    f = net_head_encode(NET_FRAME_ADMIN, &head.base, 0);
    if (f == NULL)
        return NULL;
    px_assert(f->bytes <= NET_FRAME_HEADER_BYTES + NET_ADMIN_HEAD_BYTES_MAX);
    net_frame_seal(f);
    return f;
}

int net_decode_admin(const struct net_frame_in *frame, struct net_admin *out)
{
    struct net_arena arena;
    const Net__Admin *head =
        net_head_decode(frame, &net__admin__descriptor, &arena);
    struct net_admin a = {0};
    int rc;

    if (head == NULL || frame->body.size > 0)
        return -EPROTO;
    if (head->what < NET_ADMIN_LIST || head->what > NET_ADMIN_TRANSFER)
        return -EPROTO;
    a.what = (enum net_admin_what)head->what;
    rc = get_text(head->name, is_word, a.name, sizeof a.name);
    if (rc == 0)
        rc = get_text(head->address, is_word, a.address, sizeof a.address);
    if (rc == 0)
        *out = a;
    return rc;
}

/* ---- Answers ---- */

static void clean_reply(struct net_admin_reply *r)
{
    clean(r->text, is_line);
    clean(r->leader, is_word);
    clean(r->leader_address, is_word);
    for (size_t i = 0; i < r->count; i++) {
        clean(r->list[i].name, is_word);
        clean(r->list[i].address, is_word);
        clean(r->list[i].zone, is_word);
    }
}

/* Points into @m. */
static void put_member(Net__AdminMember *head, struct net_admin_member *m)
{
    net__admin_member__init(head);
    head->name = m->name;
    head->address = m->address;
    head->zone = m->zone;
    head->role = m->role;
    head->is_leader = m->is_leader;
    head->is_alive = m->is_alive;
    head->is_self = m->is_self;
    head->match = m->match;
}

struct net_frame *net_encode_admin_reply(const struct net_admin_reply *r)
{
    struct net_admin_reply shown = *r;
    Net__AdminReply head = NET__ADMIN_REPLY__INIT;
    Net__AdminMember members[NET_ADMIN_MEMBERS_MAX];
    Net__AdminMember *list[NET_ADMIN_MEMBERS_MAX];
    struct net_frame *f;

    px_assert(r->count <= NET_ADMIN_MEMBERS_MAX);
    clean_reply(&shown);
    for (size_t i = 0; i < shown.count; i++) {
        px_assert(shown.list[i].role <= RAFT_LEARNER);
        put_member(&members[i], &shown.list[i]);
        list[i] = &members[i];
    }
    head.code = code_of(shown.rc);
    head.text = shown.text;
    head.leader = shown.leader;
    head.leader_address = shown.leader_address;
    head.cluster = shown.cluster;
    head.n_members = shown.count;
    head.members = list;
    f = net_head_encode(NET_FRAME_ADMIN_REPLY, &head.base, 0);
    if (f != NULL)
        net_frame_seal(f);
    return f;
}

static int get_member(const Net__AdminMember *head, struct net_admin_member *m)
{
    int rc;

    if (head->role > RAFT_LEARNER)
        return -EPROTO;
    rc = get_text(head->name, is_word, m->name, sizeof m->name);
    if (rc == 0)
        rc = get_text(head->address, is_word, m->address, sizeof m->address);
    if (rc == 0)
        rc = get_text(head->zone, is_word, m->zone, sizeof m->zone);
    m->role = (uint8_t)head->role;
    m->is_leader = head->is_leader != 0;
    m->is_alive = head->is_alive != 0;
    m->is_self = head->is_self != 0;
    m->match = head->match;
    return rc;
}

static int get_reply(const Net__AdminReply *head, struct net_admin_reply *r)
{
    int rc;

    if (head->n_members > NET_ADMIN_MEMBERS_MAX)
        return -EPROTO;
    rc = rc_of(head->code, &r->rc);
    if (rc == 0)
        rc = get_text(head->text, is_line, r->text, sizeof r->text);
    if (rc == 0)
        rc = get_text(head->leader, is_word, r->leader, sizeof r->leader);
    if (rc == 0)
        rc = get_text(head->leader_address, is_word, r->leader_address,
                      sizeof r->leader_address);
    for (size_t i = 0; rc == 0 && i < head->n_members; i++)
        rc = get_member(head->members[i], &r->list[i]);
    r->cluster = head->cluster;
    r->count = head->n_members;
    return rc;
}

int net_decode_admin_reply(const struct net_frame_in *frame,
                           struct net_admin_reply *out)
{
    struct net_arena arena;
    const Net__AdminReply *head =
        net_head_decode(frame, &net__admin_reply__descriptor, &arena);
    struct net_admin_reply r = {0};
    int rc;

    if (head == NULL || frame->body.size > 0)
        return -EPROTO;
    rc = get_reply(head, &r);
    if (rc == 0)
        *out = r;
    return rc;
}
