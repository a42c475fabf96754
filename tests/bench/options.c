#include "tests/bench/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "tests/bench/stats.h"
#include "tests/bench/systems.h"

static void usage(FILE *f)
{
    fputs(
        "usage: bench [options]\n"
        "  --server PATH     phalanx-server; without it only the others\n"
        "  --other PATH      another build, beside it: what does a change do?\n"
        "  --rounds N        default 12\n"
        "  --slot-ms N       of one row in one round, default 400\n"
        "  --large-rounds N  of the large file, default 3\n"
        "  --large-mib N     default 1024\n"
        "  --nodes 3|5       only this many\n"
        "  --match TEXT      only rows whose label holds TEXT\n"
        "  --no-etcd         leave etcd out\n"
        "  --dir PATH        where the scratch folder goes, default /var/tmp\n"
        "  --smoke           seconds; does it run at all?\n",
        f);
}

static unsigned number(const char *option, const char *text, unsigned min,
                       unsigned max)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (*text == '\0' || *end != '\0' || n < min || n > max) {
        fprintf(stderr, "bench: --%s wants a number from %u to %u\n", option,
                min, max);
        exit(2);
    }
    return (unsigned)n;
}

static void find_bin(struct settings *set)
{
    ssize_t n = readlink("/proc/self/exe", set->bin, sizeof set->bin - 1);
    char *slash;

    px_assert(n > 0);
    set->bin[n] = '\0';
    slash = strrchr(set->bin, '/');
    px_assert(slash != NULL);
    *slash = '\0';
}

static void read_all(struct settings *set, int argc, char **argv)
{
    static const struct option options[] = {
        {"server", required_argument, NULL, 's'},
        {"other", required_argument, NULL, 'o'},
        {"rounds", required_argument, NULL, 'r'},
        {"slot-ms", required_argument, NULL, 't'},
        {"large-rounds", required_argument, NULL, 'l'},
        {"large-mib", required_argument, NULL, 'b'},
        {"nodes", required_argument, NULL, 'n'},
        {"match", required_argument, NULL, 'm'},
        {"no-etcd", no_argument, NULL, 'e'},
        {"dir", required_argument, NULL, 'd'},
        {"smoke", no_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int at = 0;
    int c;

    while ((c = getopt_long(argc, argv, "", options, &at)) != -1) {
        const char *name = options[at].name;

        if (c == 's')
            set->server = optarg;
        else if (c == 'o')
            set->other = optarg;
        else if (c == 'r')
            set->rounds = number(name, optarg, 1, STATS_ROUNDS_MAX);
        else if (c == 't')
            set->slot_ms = number(name, optarg, 10, 60000);
        else if (c == 'l')
            set->seq_rounds = number(name, optarg, 0, STATS_ROUNDS_MAX);
        else if (c == 'b')
            set->seq_mib = number(name, optarg, 1, 65536);
        else if (c == 'n')
            set->only_nodes = (int)number(name, optarg, 3, 5);
        else if (c == 'm')
            set->match = optarg;
        else if (c == 'e')
            set->etcd = false;
        else if (c == 'd')
            set->parent = optarg;
        else if (c == 'k')
            set->smoke = true;
        else {
            usage(c == 'h' ? stdout : stderr);
            exit(c == 'h' ? 0 : 2);
        }
    }
}

void options_parse(struct settings *set, int argc, char **argv)
{
    *set = (struct settings){.parent = "/var/tmp",
                             .rounds = 12,
                             .slot_ms = 400,
                             .seq_rounds = 3,
                             .seq_mib = 1024,
                             .etcd = system_has_etcd()};
    find_bin(set);
    read_all(set, argc, argv);
    if (set->smoke) {
        set->rounds = 1;
        set->slot_ms = 20;
        set->seq_rounds = 1;
        set->seq_mib = 4;
        set->etcd = false;
    }
}
