/* The configurations that the log holds, for raft to begin with: gathered while
 * recovery walks the records, cut with the entries that hold them, and not kept
 * up afterwards. They are few, but nothing here counts on that: memory is a
 * small multiple of what the entries take on the disk. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "raft/config.h"
#include "store/log_core.h"

#define LIST_MIN 8u

static int reserve_one(struct log_configs *c)
{
    size_t capacity = c->capacity > 0 ? 2 * c->capacity : LIST_MIN;
    struct raft_config_at *list;

    if (c->count < c->capacity)
        return 0;
    list = realloc(c->list, capacity * sizeof *list);
    if (list == NULL)
        return -ENOMEM;
    c->list = list;
    c->capacity = capacity;
    return 0;
}

static int add(struct log_configs *c, const struct log_record *r,
               const uint8_t *body)
{
    /* Nobody owns it: it is only looked at. */
    struct px_slice data = {.data = body, .size = r->body_size};
    struct raft_config_at at = {.index = r->index};
    int rc = reserve_one(c);

    if (rc < 0)
        return rc;
    if (raft_config_decode(data, &at.config) < 0)
        return -PX_ECORRUPT;
    c->list[c->count++] = at;
    return 0;
}

int log_configs_take(struct log_configs *c, const struct log_record *r,
                     const uint8_t *body)
{
    if (r->type == LOG_CUT && r->index > 0)
        log_configs_limit(c, 0, r->index - 1);
    if (r->type != LOG_ENTRY || r->kind != RAFT_ENTRY_CONFIG)
        return 0;
    return add(c, r, body);
}

void log_configs_limit(struct log_configs *c, raft_index base, raft_index last)
{
    size_t gone = 0;

    while (c->count > 0 && c->list[c->count - 1].index > last)
        c->count--;
    while (gone < c->count && c->list[gone].index <= base)
        gone++;
    if (gone == 0)
        return;
    c->count -= gone;
    memmove(c->list, c->list + gone, c->count * sizeof *c->list);
}
