#include "tests/sim/disk_names.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

struct disk_file **names_find(struct names *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->list[i].name, name) == 0)
            return &t->list[i].file;
    }
    return NULL;
}

static void names_set(struct names *t, const char *name, struct disk_file *f)
{
    struct disk_file **at = names_find(t, name);

    if (at != NULL) {
        *at = f;
        return;
    }
    if (t->count == t->capacity) {
        t->capacity = t->capacity == 0 ? 16 : 2 * t->capacity;
        t->list = realloc(t->list, t->capacity * sizeof *t->list);
        px_assert(t->list != NULL);
    }
    px_assert(strlen(name) <= STORE_DISK_NAME_BYTES_MAX);
    (void)strcpy(t->list[t->count].name, name);
    t->list[t->count++].file = f;
}

static void names_remove(struct names *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->list[i].name, name) == 0) {
            t->list[i] = t->list[--t->count];
            return;
        }
    }
}

void names_copy(struct names *to, const struct names *from)
{
    to->count = 0;
    for (size_t i = 0; i < from->count; i++)
        names_set(to, from->list[i].name, from->list[i].file);
}

void names_change(struct names *t, const struct change *c)
{
    if (c->from[0] != '\0') {
        struct disk_file **from = names_find(t, c->from);

        if (from == NULL || *from != c->file)
            return; /* what made it is lost */
        names_remove(t, c->from);
    }
    if (c->to[0] != '\0')
        names_set(t, c->to, c->file);
}

bool names_hold(const struct names *t, const struct disk_file *f)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->list[i].file == f)
            return true;
    }
    return false;
}
