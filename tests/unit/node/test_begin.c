/* node/begin.c: what others say of a node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/node_core.h"
#include "node/status.h"

/* ---- What the other parts would do ---- */

static unsigned ends;

void fault_on_kept(struct fault *f)
{
    (void)f;
}

void keep_identity(struct node *n)
{
    (void)n;
}

void node_end(struct node *n, const char *why)
{
    (void)n;
    (void)why;
    ends++;
}

/* Of a node that waits, and of pages: not asked here. */
px_ns px_now(void)
{
    return 1;
}

int node_begin(struct node *n, char *why, size_t why_size)
{
    (void)n;
    (void)why;
    (void)why_size;
    return 0;
}

size_t gossip_members(const struct node *n,
                      const struct swim_member_info **list_out)
{
    (void)n;
    *list_out = NULL;
    return 0;
}

json_t *gossip_json(const struct node *n)
{
    (void)n;
    return NULL;
}

char *status_page(json_t *root, size_t flags)
{
    (void)root;
    (void)flags;
    return NULL;
}

/* ---- What others say of it ---- */

static void who_has_lost_its_log_is_not_one_whose_disk_was_emptied(void **state)
{
    static struct node node;

    (void)state;
    node.fault.has_note = true;
    begin_on_refused(&node, NET_REFUSED_WIPED);
    assert_int_equal(ends, 0);
    node.fault.has_note = false;
    node.is_log_empty = true;
    begin_on_refused(&node, NET_REFUSED_WIPED);
    assert_int_equal(ends, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            who_has_lost_its_log_is_not_one_whose_disk_was_emptied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
