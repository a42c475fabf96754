/* What the node says of itself: names, numbers and counters; never a value of a
 * key. Texts are malloc-ed and end with a newline; NULL without memory.
 *
 * Thread: loop. */
#ifndef NODE_STATUS_H
#define NODE_STATUS_H

#include <jansson.h>

#include "node/node_core.h"

/* status.c: /debug/status, on one line; or for reading, with JSON_INDENT(2). */
char *status_json(const struct node *n);
char *status_text(const struct node *n, size_t flags);

/* status_gossip.c: what gossip shows and counts, as a part of such a page; null
 * without gossip, NULL without memory. */
json_t *gossip_json(const struct node *n);

/* health.c: what it waits for, at /health and as a line. */
char *status_health_json(const struct node *n, bool *is_healthy_out);
char *status_health_text(const struct node *n);

/* status_files.c: under .phalanx/. */
ssize_t status_file(const struct node *n, enum fs_status_file file,
                    char **text_out);

/* "BEFORE" "WORD" "\n" */
char *status_line(const char *before, const char *word);
/* @root as a page of its own; takes @root, which may be NULL. */
char *status_page(json_t *root, size_t flags);

#endif
