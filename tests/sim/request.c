#include "tests/sim/request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/err.h"
#include "tests/sim/check.h"

#define VALUE_BYTES_MAX (300u * PX_KIB)
#define NAME_BYTES 32

static size_t name_of(const struct history_op *op, unsigned name,
                      char text[NAME_BYTES])
{
    switch (op->verb) {
    case HISTORY_WRITE:
    case HISTORY_READ:
    case HISTORY_DELETE:
        return (size_t)snprintf(text, NAME_BYTES, "r%" PRIu64, op->object);
    case HISTORY_APPEND:
    case HISTORY_LIST:
        return (size_t)snprintf(text, NAME_BYTES, "l%" PRIu64, op->object);
    case HISTORY_CREATE:
    case HISTORY_MKDIR:
    case HISTORY_UNLINK:
    case HISTORY_RMDIR:
    case HISTORY_RENAME:
    case HISTORY_LOOKUP:
        break;
    }
    return (size_t)snprintf(text, NAME_BYTES, "d%" PRIu64 "-%u", op->object,
                            name);
}

/* ---- A register's bytes follow from its value; they can't be compressed ---- */

static size_t value_bytes(const struct world *w, uint64_t value)
{
    uint64_t mixed = value * UINT64_C(0x9e3779b97f4a7c15) >> 32;

    if (mixed % (w->is_bulky ? 8 : 300) == 0)
        return VALUE_BYTES_MAX - mixed % 1000;
    if (mixed % 20 == 0)
        return 3000 + mixed % 20000;
    return sizeof value + mixed % 50;
}

static uint8_t *value_new(const struct world *w, uint64_t value)
{
    size_t size = value_bytes(w, value);
    uint8_t *data = malloc(size);
    uint64_t word = value;

    px_assert(data != NULL);
    for (size_t at = 0; at < size; at += sizeof word) {
        size_t left = size - at;

        memcpy(data + at, &word, left < sizeof word ? left : sizeof word);
        word = word * UINT64_C(0xd1342543de82ef95) + 1;
    }
    return data;
}

static uint64_t value_parse(const struct world *w, const uint8_t *data,
                            size_t size)
{
    uint64_t value = 0;
    uint8_t *whole;

    if (size >= sizeof value)
        memcpy(&value, data, sizeof value);
    if (value == 0 || size != value_bytes(w, value))
        world_fail(w, "a read of %zu bytes, which nobody wrote", size);
    whole = value_new(w, value);
    if (memcmp(whole, data, size) != 0)
        world_fail(w, "a read of a value in parts: %" PRIu64, value);
    free(whole);
    return value;
}

/* ---- Looking ---- */

static void finish(struct request *q, enum request_outcome outcome, int rc)
{
    q->is_waiting = false;
    q->outcome = outcome;
    q->result.rc = rc;
    q->answer(q);
}

/* NULL: some of it is damaged. */
static uint8_t *read_file(struct server *s, const struct store_inode *inode)
{
    uint8_t *data = malloc((size_t)inode->size + 1);
    ssize_t rc;

    px_assert(data != NULL);
    rc = store_view_read(s->view, inode->inode, 0, data, (size_t)inode->size);
    if (rc == -PX_ECORRUPT && s->doubt.is_unsound) {
        free(data);
        return NULL;
    }
    px_assert(rc == (ssize_t)inode->size);
    return data;
}

/* 0 or -EIO. */
static int look_at(struct request *q, const struct store_inode *inode)
{
    struct server *s = q->server;
    uint8_t *data;

    if (q->op.verb == HISTORY_LOOKUP) {
        q->result.value = inode->uid; /* its creator's mark */
        return 0;
    }
    data = read_file(s, inode);
    if (data == NULL)
        return -EIO;
    if (q->op.verb == HISTORY_READ) {
        q->result.value = value_parse(s->world, data, (size_t)inode->size);
        free(data);
        return 0;
    }
    if (inode->size % sizeof *q->tokens != 0)
        world_fail(s->world, "a list with a part of a token");
    q->tokens = (uint64_t *)(void *)data;
    q->result.tokens = q->tokens;
    q->result.token_count = (size_t)inode->size / sizeof *q->tokens;
    return 0;
}

static void look(struct request *q)
{
    struct server *s = q->server;
    struct store_inode inode;
    char name[NAME_BYTES];
    size_t size = name_of(&q->op, q->op.name, name);
    int rc;

    px_assert(store_view_begin(s->view) == 0);
    if (store_view_index(s->view) < q->commit)
        world_fail(s->world,
                   "%s: a stale read: of %" PRIu64 ", committed was %" PRIu64,
                   s->name, store_view_index(s->view), q->commit);
    rc = store_view_lookup(s->view, STORE_ROOT_INODE,
                           (struct command_name){name, size}, &inode);
    px_assert(rc == 0 || rc == -ENOENT);
    if (rc == 0)
        rc = look_at(q, &inode);
    store_view_end(s->view);
    if (rc == -EIO) {
        finish(q, REQUEST_NO_EFFECT, rc);
        return;
    }
    if (q->op.verb == HISTORY_LIST)
        rc = 0; /* one that is not there is empty */
    finish(q, REQUEST_ANSWERED, rc);
}

static void on_read(struct fs_wait *wait, int rc,
                    const struct store_result *result)
{
    struct request *q = (struct request *)wait;

    (void)result; /* a view has none */
    if (rc == 0 && !q->server->has_died)
        look(q);
    else
        finish(q, REQUEST_NO_EFFECT, rc);
}

static void ask_view(struct request *q)
{
    q->wait.done = on_read;
    if (replica_try_read(q->server->replica) == 0)
        look(q);
    else
        replica_read(q->server->replica, &q->wait);
}

/* ---- Commands ---- */

static void on_applied(struct fs_wait *wait, int rc,
                       const struct store_result *result)
{
    struct request *q = (struct request *)wait;

    if (q->server->has_died)
        finish(q, REQUEST_UNKNOWN, 0); /* nobody is there to answer */
    else if (rc == 0 && result->rc == -ENOSPC)
        finish(q, REQUEST_NO_EFFECT, result->rc);
    else if (rc == 0)
        finish(q, REQUEST_ANSWERED, result->rc);
    else
        finish(q, rc == -PX_EUNKNOWN ? REQUEST_UNKNOWN : REQUEST_NO_EFFECT, rc);
}

/* What creates a name marks it by its owner, who is read by a lookup. */
static void fill_command(const struct history_op *op, struct command *c)
{
    c->uid = (uint32_t)op->value;
    c->mode = 0644;
    c->parent = STORE_ROOT_INODE;
    switch (op->verb) {
    case HISTORY_WRITE:
        c->op = COMMAND_WRITE;
        c->flags = COMMAND_CREATES | COMMAND_TRUNCATES;
        return;
    case HISTORY_APPEND:
        c->op = COMMAND_WRITE;
        c->flags = COMMAND_CREATES | COMMAND_APPENDS;
        return;
    case HISTORY_CREATE:
        c->op = COMMAND_CREATE;
        c->flags = COMMAND_CREATES | COMMAND_EXCLUSIVE;
        return;
    case HISTORY_MKDIR:
        c->op = COMMAND_MKDIR;
        return;
    case HISTORY_DELETE:
    case HISTORY_UNLINK:
        c->op = COMMAND_UNLINK;
        return;
    case HISTORY_RMDIR:
        c->op = COMMAND_RMDIR;
        return;
    case HISTORY_RENAME:
        c->op = COMMAND_RENAME;
        c->new_parent = STORE_ROOT_INODE;
        return;
    case HISTORY_READ:
    case HISTORY_LIST:
    case HISTORY_LOOKUP:
        break;
    }
    px_assert(false); /* not a command */
}

static void ask_command(struct request *q)
{
    const struct world *w = q->server->world;
    struct command c = {0};
    char name[NAME_BYTES];
    char to[NAME_BYTES];
    uint8_t *value = NULL;

    fill_command(&q->op, &c);
    c.name = (struct command_name){name, name_of(&q->op, q->op.name, name)};
    if (c.op == COMMAND_RENAME)
        c.new_name = (struct command_name){to, name_of(&q->op, q->op.to, to)};
    if (q->op.verb == HISTORY_WRITE) {
        value = value_new(w, q->op.value);
        c.data = value;
        c.data_size = value_bytes(w, q->op.value);
    } else if (q->op.verb == HISTORY_APPEND) {
        c.data = &q->op.value;
        c.data_size = sizeof q->op.value;
    }
    q->wait.done = on_applied;
    replica_propose(q->server->replica, &q->wait, &c);
    free(value);
}

void request_ask(struct request *q, struct server *s)
{
    q->is_waiting = true;
    q->server = s;
    q->commit = check_commit(s->world);
    q->wait.deadline = server_now(s) + s->world->request_timeout;
    switch (q->op.verb) {
    case HISTORY_READ:
    case HISTORY_LIST:
    case HISTORY_LOOKUP:
        ask_view(q);
        return;
    case HISTORY_WRITE:
    case HISTORY_DELETE:
    case HISTORY_APPEND:
    case HISTORY_CREATE:
    case HISTORY_MKDIR:
    case HISTORY_UNLINK:
    case HISTORY_RMDIR:
    case HISTORY_RENAME:
        ask_command(q);
        return;
    }
}

bool request_interrupt(struct request *q)
{
    return replica_cancel(q->server->replica, &q->wait);
}

void request_fini(struct request *q)
{
    free(q->tokens);
    q->tokens = NULL;
}
