/* The members, for a person and for a program. Texts have been looked at when
 * they were decoded: nothing in them is for a terminal to act on. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/member.h"

#define COLUMNS 6
#define CELL_BYTES (PX_ADDRESS_BYTES_MAX + 1)

struct row {
    char cells[COLUMNS][CELL_BYTES];
};

static const struct row head = {
    {"NAME", "ROLE", "STATE", "ADDRESS", "ZONE", "MATCH"}};

static const char *role_text(uint8_t role)
{
    if (role == RAFT_VOTER)
        return "voter";
    return role == RAFT_LEARNER ? "learner" : "none";
}

static const char *state_text(const struct net_admin_member *m)
{
    if (m->is_leader)
        return "leader";
    return m->is_alive ? "alive" : "dead";
}

static void set_cell(struct row *r, size_t column, const char *text)
{
    (void)snprintf(r->cells[column], CELL_BYTES, "%s",
                   text[0] != '\0' ? text : "-"); /* fits: the longest is an
                                                     address */
}

static struct row row_of(const struct net_admin_member *m)
{
    char match[24] = "";
    struct row r;

    if (m->match > 0)
        (void)snprintf(match, sizeof match, "%" PRIu64, m->match); /* fits */
    set_cell(&r, 0, m->name);
    set_cell(&r, 1, role_text(m->role));
    set_cell(&r, 2, state_text(m));
    set_cell(&r, 3, m->address);
    set_cell(&r, 4, m->zone);
    set_cell(&r, 5, match);
    return r;
}

static void widen(size_t widths[COLUMNS], const struct row *r)
{
    for (size_t i = 0; i < COLUMNS; i++) {
        if (strlen(r->cells[i]) > widths[i])
            widths[i] = strlen(r->cells[i]);
    }
}

/* No blanks at the end of a line. */
static void print_row(FILE *out, const size_t widths[COLUMNS],
                      const struct row *r)
{
    for (size_t i = 0; i < COLUMNS - 1; i++)
        (void)fprintf(out, "%-*s  ", (int)widths[i], r->cells[i]);
    (void)fprintf(out, "%s\n", r->cells[COLUMNS - 1]);
}

void member_print_list(FILE *out, const struct net_admin_reply *r)
{
    size_t widths[COLUMNS] = {0};
    struct row row;

    widen(widths, &head);
    for (size_t i = 0; i < r->count; i++) {
        row = row_of(&r->list[i]);
        widen(widths, &row);
    }
    print_row(out, widths, &head);
    for (size_t i = 0; i < r->count; i++) {
        row = row_of(&r->list[i]);
        print_row(out, widths, &row);
    }
}

/* ---- JSON ---- */

/* What is not known is null. */
static json_t *text_or_null(const char *text)
{
    return text[0] != '\0' ? json_string(text) : json_null();
}

static json_t *json_of(const struct net_admin_member *m)
{
    return json_pack("{s:s, s:s, s:b, s:b, s:o, s:o, s:o}", "name", m->name,
                     "role", role_text(m->role), "leader", m->is_leader,
                     "alive", m->is_alive, "address", text_or_null(m->address),
                     "zone", text_or_null(m->zone), "match",
                     m->match > 0 ? json_integer((json_int_t)m->match)
                                  : json_null());
}

static json_t *json_list(const struct net_admin_reply *r)
{
    json_t *list = json_array();

    for (size_t i = 0; i < r->count; i++) {
        if (json_array_append_new(list, json_of(&r->list[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

int member_print_json(FILE *out, const struct net_admin_reply *r)
{
    char cluster[20];
    json_t *root;
    char *text;

    (void)snprintf(cluster, sizeof cluster, "%016" PRIx64, r->cluster);
    root = json_pack("{s:s, s:o, s:o}", "cluster", cluster, "leader",
                     text_or_null(r->leader), "members", json_list(r));
    text = json_dumps(root, JSON_COMPACT); /* NULL of NULL */
    json_decref(root);
    if (text == NULL)
        return -ENOMEM;
    (void)fprintf(out, "%s\n", text); /* main looks at the stream's end */
    free(text);
    return 0;
}
