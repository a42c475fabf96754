/* What a run of the benchmark is told. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>

#include "tests/bench/proc.h"

struct settings {
    const char *server;      /* NULL: without phalanx */
    const char *other;       /* a second build of it, to compare; NULL: none */
    const char *parent;      /* of the scratch folder */
    const char *match;       /* only rows whose label holds this; NULL: all */
    char bin[PROC_PATH_MAX]; /* where null_fuse and floor are: beside us */
    unsigned rounds;
    unsigned slot_ms;
    unsigned seq_rounds;
    unsigned seq_mib;
    int only_nodes; /* 0: both numbers */
    bool etcd;
    bool smoke; /* seconds, to see that it runs */
};

/* Ends the process after --help, and with a sentence if something is wrong. */
void options_parse(struct settings *set, int argc, char **argv);

#endif
