#include "tests/lib/members.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define STATUS_UNKNOWN 3 /* docs/cli.md */
#define UNKNOWN_MAX 3

void member_text(struct cluster *c, int at, int i, const char *key,
                 char text[MEMBER_TEXT_BYTES])
{
    json_t *status = cluster_status(c, at);
    char name[16];
    json_t *member;
    size_t n;

    (void)snprintf(text, MEMBER_TEXT_BYTES, "%s", status != NULL ? "" : "?");
    (void)snprintf(name, sizeof name, "node-%d", i);
    json_array_foreach(json_object_get(status, "members"), n, member)
    {
        const char *id = json_string_value(json_object_get(member, "name"));
        const char *value = json_string_value(json_object_get(member, key));

        if (id != NULL && value != NULL && strcmp(id, name) == 0)
            (void)snprintf(text, MEMBER_TEXT_BYTES, "%s", value);
    }
    json_decref(status);
}

static bool is_done_already(const struct process_result *r)
{
    return r->status == 1 && (strstr(r->err, " already\n") != NULL ||
                              strstr(r->err, "no member is called ") != NULL);
}

void member_run(const struct process_options *o, unsigned ms_max,
                struct process_result *r)
{
    process_run(o, ms_max, r);
    for (int i = 0; i < UNKNOWN_MAX && r->status == STATUS_UNKNOWN; i++) {
        process_run(o, ms_max, r);
        if (is_done_already(r))
            r->status = 0;
    }
}

bool member_is(struct cluster *c, int at, int i, const char *key,
               const char *value)
{
    char text[MEMBER_TEXT_BYTES];

    member_text(c, at, i, key, text);
    return strcmp(text, value) == 0;
}
