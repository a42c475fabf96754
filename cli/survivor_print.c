/* What a survivor holds, in words: numbers first, by which several are
 * compared, then what they mean. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/time.h"
#include "cli/survivor.h"
#include "raft/config.h"

static void print_pos(FILE *out, const char *what, struct raft_pos pos)
{
    (void)fprintf(out, "%-13s term %" PRIu64 ", index %" PRIu64, what, pos.term,
                  pos.index);
}

static void print_time(FILE *out, int64_t nanoseconds)
{
    time_t seconds = (time_t)(nanoseconds / (int64_t)PX_NS_PER_S);
    char text[64];
    struct tm utc;

    if (nanoseconds <= 0 || gmtime_r(&seconds, &utc) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &utc) == 0)
        return;
    (void)fprintf(out, ", written at %s by its writer's clock", text);
}

static const char *or_dash(const char *text)
{
    return text[0] != '\0' ? text : "-";
}

static void print_members(FILE *out, const struct survivor *s)
{
    const struct store_members *m = &s->members;

    (void)fprintf(out, "members       %zu, %s:\n", m->count,
                  m->index > 0 ? "as of the last committed entry known here"
                               : "as the cluster began");
    for (size_t i = 0; i < m->count; i++)
        (void)fprintf(out, "              %s  %s  %s%s\n",
                      or_dash(m->list[i].name),
                      m->list[i].role == RAFT_VOTER ? "voter" : "learner",
                      or_dash(m->list[i].address),
                      m->list[i].id == s->data.id ? "  (this node)" : "");
}

/* ---- What it means ---- */

static void print_loss(FILE *out, const struct survivor *s)
{
    uint64_t open =
        s->last.index > s->applied.index ? s->last.index - s->applied.index : 0;

    (void)fprintf(out,
                  "\n"
                  "Lost is what the other nodes acknowledged without\n"
                  "this one: all that was written behind its last entry.\n");
    if (open > 0)
        (void)fprintf(
            out,
            "The last %" PRIu64 " of its entries may have been\n"
            "acknowledged, or not: nobody can say. They take effect,\n"
            "also where somebody was told that a write had failed.\n",
            open);
    (void)fprintf(out,
                  "If other nodes are left, compare: take the one whose\n"
                  "last entry has the highest term, and of those with the\n"
                  "same term the highest index. Without --to, phalanx\n"
                  "recover shows it and makes nothing.\n");
}

/* By the newest members in its log; what it has applied may be older. */
static bool is_voter(const struct survivor *s)
{
    const struct store_log_info *log = &s->data.storage.found;

    if (log->config_count > 0) {
        const struct raft_config *newest =
            &log->configs[log->config_count - 1].config;
        int at = raft_config_find(newest, s->data.id);

        return at >= 0 && newest->members[at].role == RAFT_VOTER;
    }
    for (size_t i = 0; i < s->members.count; i++) {
        if (s->members.list[i].id == s->data.id)
            return s->members.list[i].role == RAFT_VOTER;
    }
    return false;
}

/* What speaks against this node. */
static void print_doubts(FILE *out, const struct survivor *s)
{
    static const char advice[] = "Take another node, if one is left.\n";
    const struct storage *kept = &s->data.storage;

    if (kept->found.fault != NULL)
        (void)fprintf(out,
                      "\n"
                      "WARNING: this node's log is damaged, and has lost\n"
                      "entries itself, perhaps acknowledged ones:\n"
                      "%s.\n"
                      "%s",
                      kept->found.fault, advice);
    if (kept->divergence.index > 0)
        (void)fprintf(out,
                      "\n"
                      "WARNING: this node's state was found to differ from\n"
                      "the others' at index %" PRIu64 ": it holds wrong data.\n"
                      "%s",
                      kept->divergence.index, advice);
    if (!s->data.identity.is_begun)
        (void)fprintf(out,
                      "\n"
                      "WARNING: this node began without data, and was still\n"
                      "being given what the cluster holds: it may be far\n"
                      "behind, also of what it had acknowledged itself.\n"
                      "%s",
                      advice);
    if (!is_voter(s))
        (void)fprintf(out,
                      "\n"
                      "WARNING: this node was no voter: it may be far behind.\n"
                      "%s",
                      advice);
}

void survivor_print(FILE *out, const struct survivor *s)
{
    const struct store_identity *id = &s->data.identity;

    (void)fprintf(out, "node          %s\n", id->node);
    (void)fprintf(out, "cluster       %s, id %016" PRIx64 "\n",
                  id->cluster_name, id->cluster);
    print_members(out, s);
    print_pos(out, "committed", s->applied);
    (void)fputs(", or further\n", out);
    print_pos(out, "last entry", s->last);
    print_time(out, s->time);
    (void)fputc('\n', out);
    print_loss(out, s);
    print_doubts(out, s);
}
