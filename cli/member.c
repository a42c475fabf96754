/* phalanx member: who belongs to a running cluster, asked of any of its nodes.
 */
#include "cli/member.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "base/err.h"
#include "net/addr.h"
#include "node/config.h"

#define DEFAULT_ADDRESS "127.0.0.1:9000"
#define TIMEOUT_S 30u
#define TIMEOUT_S_MAX 3600u

static const struct verb {
    const char *name;
    enum net_admin_what what;
    int arguments_min;
    int arguments_max;
    const char *usage;
    const char *done; /* behind its name */
} verbs[] = {
    {"list", NET_ADMIN_LIST, 0, 0, "list [--json]", ""},
    {"add", NET_ADMIN_ADD, 1, 2, "add NAME [HOST:PORT]",
     "is a member now, a learner"},
    {"promote", NET_ADMIN_PROMOTE, 1, 1, "promote NAME", "is a voter now"},
    {"remove", NET_ADMIN_REMOVE, 1, 1, "remove NAME", "is removed, for ever"},
    {"transfer", NET_ADMIN_TRANSFER, 0, 1, "transfer [NAME]",
     "leads the cluster now"},
};
#define VERBS (sizeof verbs / sizeof verbs[0])

static const char help[] =
    "phalanx member: who belongs to a cluster. Asks any of its nodes.\n"
    "\n"
    "Usage: phalanx member list [--json]\n"
    "       phalanx member add NAME [HOST:PORT]\n"
    "       phalanx member promote NAME\n"
    "       phalanx member remove NAME\n"
    "       phalanx member transfer [NAME]\n"
    "\n"
    "  list      a line for each: name, role, state, address, zone, and how\n"
    "            far its log is known to match the leader's\n"
    "  add       takes a node in, as a learner: it is sent all data, and does\n"
    "            not vote. Without an address, gossip finds it\n"
    "  promote   makes a voter of a learner that has caught up\n"
    "  remove    lets a member go, alive or dead: its name is never used "
    "again\n"
    "  transfer  has another voter lead: this one, or whoever is best\n"
    "\n"
    "  --address HOST:PORT[,HOST:PORT]..., PHALANX_ADDRESS\n"
    "      default: 127.0.0.1:9000\n"
    "      nodes to ask, in this order; one that does not lead names the\n"
    "      leader, and is followed\n"
    "  --timeout SECONDS\n"
    "      default: 30\n"
    "      how long to try, from 1 to 3600\n"
    "  --json\n"
    "      list: one object, on one line\n"
    "\n"
    "Exit status: 0 done, 1 refused or failed: nothing was changed, 2 wrong\n"
    "usage, 3 outcome unknown: it may take effect, member list shows it.\n";

/* ---- Arguments ---- */

static enum cli_status take_address(const struct cli *c, const char *text,
                                    size_t size, struct ask_options *ask)
{
    char *address = ask->addresses[ask->count];
    struct net_addr addr;

    if (ask->count == ASK_ADDRESSES_MAX)
        return cli_say(c, CLI_USAGE, "write at most %d addresses",
                       ASK_ADDRESSES_MAX);
    if (size <= PX_ADDRESS_BYTES_MAX) {
        memcpy(address, text, size);
        address[size] = '\0';
    }
    if (size > PX_ADDRESS_BYTES_MAX || net_addr_parse(address, &addr) < 0 ||
        addr.host[0] == '\0')
        return cli_say(c, CLI_USAGE,
                       "\"%s\" is no address of a node: write host:port, as "
                       "10.0.0.1:9000 or [::1]:9000, with commas between "
                       "several",
                       cli_quote(text).text);
    ask->count++;
    return CLI_DONE;
}

static enum cli_status take_addresses(const struct cli *c, const char *text,
                                      struct ask_options *ask)
{
    enum cli_status status = CLI_DONE;

    ask->count = 0;
    while (status == CLI_DONE && text != NULL) {
        size_t size = strcspn(text, ",");

        status = take_address(c, text, size, ask);
        text = text[size] == ',' ? text + size + 1 : NULL;
    }
    return status;
}

static enum cli_status take_timeout(const struct cli *c, const char *text,
                                    struct ask_options *ask)
{
    size_t digits = strspn(text, "0123456789");
    unsigned seconds = 0;

    for (size_t i = 0; i < digits && digits <= 4; i++)
        seconds = 10 * seconds + (unsigned)(text[i] - '0');
    if (text[digits] != '\0' || seconds < 1 || seconds > TIMEOUT_S_MAX)
        return cli_say(c, CLI_USAGE,
                       "--timeout is \"%s\": write seconds, from 1 to %u",
                       cli_quote(text).text, TIMEOUT_S_MAX);
    ask->timeout = seconds * PX_NS_PER_S;
    return CLI_DONE;
}

static enum cli_status take_name(const struct cli *c, const char *text,
                                 struct net_admin *question)
{
    if (!config_is_name(text, strlen(text)))
        return cli_say(c, CLI_USAGE,
                       "\"%s\" is no name of a node: write " CONFIG_NAME_ADVICE,
                       cli_quote(text).text);
    (void)strcpy(question->name, text); /* a name fits */
    return CLI_DONE;
}

static enum cli_status take_own_address(const struct cli *c, const char *text,
                                        struct net_admin *question)
{
    struct ask_options one = {.count = 0};
    enum cli_status status = take_address(c, text, strlen(text), &one);

    if (status == CLI_DONE)
        (void)strcpy(question->address, one.addresses[0]); /* of one size */
    return status;
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < VERBS; i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    }
    return NULL;
}

/* @words: what is neither an option nor its value. */
static enum cli_status take_words(const struct cli *c, int count, char **words,
                                  struct member_options *o)
{
    const struct verb *verb = count > 0 ? find_verb(words[0]) : NULL;
    enum cli_status status = CLI_DONE;

    if (count == 0)
        return cli_say(c, CLI_USAGE,
                       "write what to do, as phalanx member list: phalanx "
                       "member --help lists it");
    if (verb == NULL)
        return cli_say(c, CLI_USAGE,
                       "\"%s\" is nothing that phalanx member does: write "
                       "list, add, promote, remove or transfer",
                       cli_quote(words[0]).text);
    if (count - 1 < verb->arguments_min || count - 1 > verb->arguments_max)
        return cli_say(c, CLI_USAGE, "write phalanx member %s", verb->usage);
    if (o->is_json && verb->what != NET_ADMIN_LIST)
        return cli_say(c, CLI_USAGE, "--json goes with list alone");
    o->question.what = verb->what;
    if (count > 1)
        status = take_name(c, words[1], &o->question);
    if (status == CLI_DONE && count > 2)
        status = take_own_address(c, words[2], &o->question);
    return status;
}

enum member_flag { FLAG_ADDRESS = 256, FLAG_TIMEOUT, FLAG_JSON, FLAG_HELP };

static enum cli_status take_flag(const struct cli *c, int flag, char **argv,
                                 struct member_options *o)
{
    switch (flag) {
    case FLAG_ADDRESS:
        return take_addresses(c, optarg, &o->ask);
    case FLAG_TIMEOUT:
        return take_timeout(c, optarg, &o->ask);
    case FLAG_JSON:
        o->is_json = true;
        return CLI_DONE;
    case FLAG_HELP:
        o->is_help = true;
        return CLI_DONE;
    default:
        return cli_bad_option(c, "member", flag, argv);
    }
}

enum cli_status member_parse(const struct cli *c, int argc, char **argv,
                             struct member_options *out)
{
    static const struct option flags[] = {
        {"address", required_argument, NULL, FLAG_ADDRESS},
        {"timeout", required_argument, NULL, FLAG_TIMEOUT},
        {"json", no_argument, NULL, FLAG_JSON},
        {"help", no_argument, NULL, FLAG_HELP},
        {0},
    };
    const char *address = cli_variable(c, "PHALANX_ADDRESS");
    enum cli_status status = CLI_DONE;
    int flag;

    memset(out, 0, sizeof *out);
    out->ask.timeout = TIMEOUT_S * PX_NS_PER_S;
    optind = 0; /* glibc: begin anew, whatever was parsed before */
    opterr = 0;
    while (status == CLI_DONE &&
           (flag = getopt_long(argc, argv, ":", flags, NULL)) != -1)
        status = take_flag(c, flag, argv, out);
    if (status != CLI_DONE || out->is_help)
        return status;
    if (out->ask.count == 0)
        status = take_addresses(c, address != NULL ? address : DEFAULT_ADDRESS,
                                &out->ask);
    return status == CLI_DONE ? take_words(c, argc - optind, argv + optind, out)
                              : status;
}

/* ---- Answers ---- */

static enum cli_status say_refused(const struct cli *c,
                                   const struct member_options *o,
                                   const struct net_admin_reply *r)
{
    enum cli_status status = r->rc == -PX_EUNKNOWN ? CLI_UNKNOWN : CLI_FAILED;

    if (r->text[0] != '\0')
        return cli_say(c, status, "%s", r->text);
    if (r->rc == -PX_ENOTLEADER)
        return cli_say(c, status,
                       "no leader was found in %u s: phalanx member list "
                       "shows who is alive",
                       (unsigned)(o->ask.timeout / PX_NS_PER_S));
    return cli_say(c, status, "%s", px_strerror(r->rc));
}

static void print_done(const struct cli *c, const struct member_options *o,
                       const struct net_admin_reply *r)
{
    const char *name =
        o->question.name[0] != '\0' ? o->question.name : "another node";

    if (r->text[0] != '\0') {
        (void)fprintf(c->out, "%s\n", r->text);
        return;
    }
    for (size_t i = 0; i < VERBS; i++) {
        if (verbs[i].what == o->question.what)
            (void)fprintf(c->out, "%s %s\n", name, verbs[i].done);
    }
}

static enum cli_status show(const struct cli *c, const struct member_options *o,
                            const struct net_admin_reply *r)
{
    if (r->rc < 0)
        return say_refused(c, o, r);
    if (o->question.what != NET_ADMIN_LIST) {
        print_done(c, o, r);
    } else if (!o->is_json) {
        member_print_list(c->out, r);
        if (r->text[0] != '\0')
            (void)fprintf(c->out, "(%s)\n", r->text);
    } else if (member_print_json(c->out, r) < 0) {
        return cli_say(c, CLI_FAILED, "out of memory");
    }
    return CLI_DONE;
}

enum cli_status cli_member(const struct cli *c, int argc, char **argv)
{
    static struct member_options options; /* large for a stack */
    static struct net_admin_reply reply;
    char why[ASK_WHY_BYTES];
    enum cli_status status = member_parse(c, argc, argv, &options);
    int rc;

    if (status != CLI_DONE)
        return status;
    if (options.is_help) {
        (void)fputs(help, c->out);
        return CLI_DONE;
    }
    rc = ask_cluster(&options.ask, &options.question, &reply, why);
    if (rc == -PX_EUNKNOWN)
        return cli_say(c, CLI_UNKNOWN,
                       "%s, so the outcome is unknown: phalanx member list "
                       "shows it",
                       why);
    if (rc < 0)
        return cli_say(c, CLI_FAILED, "%s", why);
    return show(c, &options, &reply);
}
