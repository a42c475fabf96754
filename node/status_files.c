/* The files under .phalanx/, and notes of who leads. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "node/status.h"
#include "raft/text.h"

void node_note_changes(struct node *n, const struct raft_status *now)
{
    struct raft_status *seen = &n->noted;

    if (now->term != seen->term)
        px_note_set_term(now->term);
    if (now->role != seen->role || now->leader != seen->leader)
        px_note(PX_NOTE_INFO,
                "raft: %s leader=%s last=%llu/%llu commit=%llu applied=%llu",
                raft_role_text(now->role), peers_name(n, now->leader),
                (unsigned long long)now->last.term,
                (unsigned long long)now->last.index,
                (unsigned long long)now->commit,
                (unsigned long long)now->applied);
    *seen = *now;
}

char *status_line(const char *before, const char *word)
{
    char *text = NULL;

    return asprintf(&text, "%s%s\n", before, word) < 0 ? NULL : text;
}

static char *leader_text(const struct node *n)
{
    struct raft_status s;

    replica_get_status(n->replica, &s);
    return status_line("", peers_name(n, s.leader));
}

/* "name role address zone gossip", one line a member; "-" for what isn't known.
 * Columns may be added at the end. */
static char *members_text(const struct node *n)
{
    struct members m;
    struct px_text text;
    size_t size;
    char *data;

    membership_get(n, &m);
    size = m.config.count * (sizeof m.list[0] + 32) + 1;
    data = malloc(size);
    if (data == NULL)
        return NULL;
    px_text_init(&text, data, size);
    for (size_t i = 0; i < m.config.count; i++) {
        const struct member *one = &m.list[i];

        px_text_add(&text, "%s %s %s %s %s\n", one->name,
                    members_role_text(one->role),
                    one->address[0] != '\0' ? one->address : "-",
                    one->zone[0] != '\0' ? one->zone : "-", one->gossip);
    }
    return data;
}

/* Bytes, or "none": a cluster that was founded just now. */
static char *quota_text(const struct node *n)
{
    struct store_usage usage;
    char *text = NULL;

    if (store_view_begin(n->view) < 0)
        return status_line("none", "");
    store_view_usage(n->view, &usage);
    store_view_end(n->view);
    if (usage.quota == 0)
        return status_line("none", "");
    return asprintf(&text, "%llu\n", (unsigned long long)usage.quota) < 0
               ? NULL
               : text;
}

ssize_t status_file(const struct node *n, enum fs_status_file file,
                    char **text_out)
{
    char *text = NULL;

    switch (file) {
    case FS_STATUS_STATUS:
        text = status_text(n, JSON_INDENT(2));
        break;
    case FS_STATUS_LEADER:
        text = leader_text(n);
        break;
    case FS_STATUS_MEMBERS:
        text = members_text(n);
        break;
    case FS_STATUS_HEALTH:
        text = status_health_text(n);
        break;
    case FS_STATUS_QUOTA:
        text = quota_text(n);
        break;
    case FS_STATUS_FILES:
        return -ENOENT;
    }
    if (text == NULL)
        return -ENOMEM;
    *text_out = text;
    return (ssize_t)strlen(text);
}
