/* phalanx recover: a majority is gone for ever, and one of its nodes becomes a
 * cluster of its own. Shows what that one holds, says what may be lost, asks,
 * and has it done (rebuild.h). */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/note.h"
#include "cli/cli.h"
#include "cli/rebuild.h"
#include "cli/survivor.h"

struct recover_options {
    const char *data_dir;
    const char *to; /* NULL: only look */
    bool is_yes;
    bool is_help;
};

static const char help[] =
    "phalanx recover: the last resort, when a majority of a cluster is gone\n"
    "for ever. Makes a new cluster of one node's data; what the others\n"
    "acknowledged without that node is lost.\n"
    "\n"
    "Usage: phalanx recover --data-dir FOLDER\n"
    "       phalanx recover --data-dir FOLDER --to NEW [--yes]\n"
    "\n"
    "Run it where a node that is left was stopped. Without --to it shows\n"
    "what that node holds, so that several can be compared. With --to it\n"
    "shows the same, asks, and makes NEW, the data folder of a cluster of\n"
    "one with a new id: the same node, and all its data. FOLDER stays as it\n"
    "is, but for the repairs that any start makes. A run that was cut short\n"
    "is run again.\n"
    "\n"
    "  --data-dir FOLDER\n"
    "      the data folder of the node that is left\n"
    "  --to NEW\n"
    "      the folder to make: empty, or not there yet\n"
    "  --yes\n"
    "      does not ask\n"
    "\n"
    "Exit status: 0 done, 1 refused or failed, 2 wrong usage.\n";

/* ---- Arguments ---- */

enum recover_flag { FLAG_DATA_DIR = 256, FLAG_TO, FLAG_YES, FLAG_HELP };

static enum cli_status take_flag(const struct cli *c, int flag, char **argv,
                                 struct recover_options *o)
{
    switch (flag) {
    case FLAG_DATA_DIR:
        o->data_dir = optarg;
        return CLI_DONE;
    case FLAG_TO:
        o->to = optarg;
        return CLI_DONE;
    case FLAG_YES:
        o->is_yes = true;
        return CLI_DONE;
    case FLAG_HELP:
        o->is_help = true;
        return CLI_DONE;
    default:
        return cli_bad_option(c, "recover", flag, argv);
    }
}

static enum cli_status check_options(const struct cli *c,
                                     const struct recover_options *o)
{
    if (o->data_dir == NULL || o->data_dir[0] == '\0')
        return cli_say(c, CLI_USAGE,
                       "write whose data to take: --data-dir FOLDER");
    if (o->to != NULL && o->to[0] == '\0')
        return cli_say(c, CLI_USAGE, "write a folder after --to");
    if (o->to == NULL && o->is_yes)
        return cli_say(c, CLI_USAGE,
                       "--yes goes with --to FOLDER, the folder to make");
    return CLI_DONE;
}

static enum cli_status parse(const struct cli *c, int argc, char **argv,
                             struct recover_options *out)
{
    static const struct option flags[] = {
        {"data-dir", required_argument, NULL, FLAG_DATA_DIR},
        {"to", required_argument, NULL, FLAG_TO},
        {"yes", no_argument, NULL, FLAG_YES},
        {"help", no_argument, NULL, FLAG_HELP},
        {0},
    };
    enum cli_status status = CLI_DONE;
    int flag;

    *out = (struct recover_options){.to = NULL};
    optind = 0; /* glibc: begin anew, whatever was parsed before */
    opterr = 0;
    while (status == CLI_DONE &&
           (flag = getopt_long(argc, argv, ":", flags, NULL)) != -1)
        status = take_flag(c, flag, argv, out);
    if (status != CLI_DONE || out->is_help)
        return status;
    if (optind < argc)
        return cli_say(c, CLI_USAGE,
                       "\"%s\" is left over: see phalanx recover --help",
                       cli_quote(argv[optind]).text);
    return check_options(c, out);
}

/* ---- Doing it ---- */

static enum cli_status fail(const struct cli *c, int rc, const char *why)
{
    return cli_say(c, CLI_FAILED, "%s", why[0] != '\0' ? why : px_strerror(rc));
}

static enum cli_status ask(const struct cli *c, const struct survivor *s,
                           const char *to)
{
    char answer[16] = "";

    if (!c->is_terminal)
        return cli_say(c, CLI_FAILED,
                       "there is no terminal to ask on: nothing was made; "
                       "write --yes to make %s",
                       to);
    (void)fprintf(c->err,
                  "\nType \"yes\" to make a new cluster of %s alone in %s: ",
                  s->data.identity.node, to);
    (void)fflush(c->err);
    if (fgets(answer, sizeof answer, c->in) == NULL ||
        strcmp(answer, "yes\n") != 0)
        return cli_say(c, CLI_FAILED, "nothing was made");
    return CLI_DONE;
}

static void print_next(const struct cli *c, const struct survivor *s,
                       const struct recover_options *o, uint64_t cluster)
{
    const struct store_identity *id = &s->data.identity;
    char *path = realpath(o->to, NULL);

    (void)fprintf(c->out,
                  "\n"
                  "Made: cluster %016" PRIx64 ", of %s alone.\n"
                  "\n"
                  "Start it with\n"
                  "    DATA_DIR=%s NODE_ID=%s CLUSTER=%s\n"
                  "and without PEERS. Then add nodes, with empty folders, and\n"
                  "under names that no node of the old cluster had. Never\n"
                  "start a node of the old cluster again. Keep %s\n"
                  "until all is in order.\n",
                  cluster, id->node, path != NULL ? path : o->to, id->node,
                  id->cluster_name, o->data_dir);
    free(path);
}

static enum cli_status make(const struct cli *c, struct survivor *s,
                            const struct recover_options *o)
{
    enum cli_status status = o->is_yes ? CLI_DONE : ask(c, s, o->to);
    char why[DATA_WHY_BYTES];
    uint64_t cluster = 0;
    int rc;

    if (status != CLI_DONE)
        return status;
    rc = rebuild(s, o->to, &cluster, why);
    if (rc < 0)
        return fail(c, rc, why);
    print_next(c, s, o, cluster);
    return CLI_DONE;
}

enum cli_status cli_recover(const struct cli *c, int argc, char **argv)
{
    struct recover_options options;
    static struct survivor survivor; /* large for a stack */
    char why[DATA_WHY_BYTES] = "";
    enum cli_status status = parse(c, argc, argv, &options);
    int rc = 0;

    if (status != CLI_DONE)
        return status;
    if (options.is_help) {
        (void)fputs(help, c->out);
        return CLI_DONE;
    }
    px_note_init(PX_NOTE_ERROR, "-"); /* what matters is said below */
    if (options.to != NULL)
        rc = rebuild_check(options.to, why);
    if (rc == 0)
        rc = survivor_open(&survivor, options.data_dir, why);
    if (rc < 0)
        return fail(c, rc, why);
    survivor_print(c->out, &survivor);
    if (options.to != NULL)
        status = make(c, &survivor, &options);
    survivor_close(&survivor);
    return status;
}
