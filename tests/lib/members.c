#include "tests/lib/members.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

void member_text(struct cluster *c, int at, int i, const char *key,
                 char text[MEMBER_TEXT_BYTES])
{
    json_t *status = cluster_status(c, at);
    char name[16];
    json_t *member;
    size_t n;

    text[0] = '\0';
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

bool member_is(struct cluster *c, int at, int i, const char *key,
               const char *value)
{
    char text[MEMBER_TEXT_BYTES];

    member_text(c, at, i, key, text);
    return strcmp(text, value) == 0;
}
