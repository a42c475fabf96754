/* What a member of a cluster of N sends while nothing happens, and how long it
 * takes until all know that one is gone: for N from 5 to 1,000, in a played
 * network (tests/unit/gossip/world.h) with the timing of a LAN, or of a WAN with
 * 5 % loss.
 *
 *   gossip_load [lan|wan] [N...] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tests/unit/gossip/world.h"

#define INTERVALS 40u /* that are measured */
#define WARM_UP 200u  /* until what the start has to tell is told */

struct load {
    double packets; /* of one member in an interval, on average */
    double most;    /* of the busiest */
    double bytes;
    double dials;
    double suspected; /* s after a member stopped */
    double known;     /* to all */
};

static uint64_t packets_of(const struct world *w, size_t node)
{
    return world_status(w, node).counters.packets_out;
}

static void measure_quiet(struct world *w, struct load *load)
{
    const size_t n = w->options.nodes;
    const double shares = (double)n * INTERVALS;
    uint64_t *before = calloc(n, sizeof *before);

    px_assert(before != NULL);
    for (size_t i = 0; i < n; i++)
        before[i] = packets_of(w, i);
    w->counts = (struct world_counts){0};
    world_run(w, INTERVALS * w->options.settings.probe_interval);
    for (size_t i = 0; i < n; i++) {
        const double packets =
            (double)(packets_of(w, i) - before[i]) / INTERVALS;

        load->most = packets > load->most ? packets : load->most;
    }
    load->packets = (double)w->counts.packets / shares;
    load->bytes = (double)w->counts.bytes / shares;
    load->dials = (double)w->counts.dials / shares;
    free(before);
}

static bool is_suspected(struct world *w, void *unused)
{
    (void)unused;
    return w->counts.suspicions > 0;
}

static double seconds(px_ns time)
{
    return (double)time / (double)SECOND;
}

static void measure_death(struct world *w, struct load *load)
{
    const px_ns limit = 600 * SECOND;
    const px_ns killed = w->now;
    size_t victim = w->options.nodes / 2;

    w->counts = (struct world_counts){0};
    world_kill(w, victim);
    px_assert(world_run_until(w, limit, is_suspected, NULL) != PX_NS_NEVER);
    load->suspected = seconds(w->now - killed);
    px_assert(world_run_until(w, limit, world_is_dead, &victim) != PX_NS_NEVER);
    load->known = seconds(w->now - killed);
}

static struct load measure(const struct world_options *options)
{
    struct load load = {0};
    struct world w;

    world_open(&w, options);
    world_start_known(&w);
    world_run(&w, WARM_UP * options->settings.probe_interval);
    measure_quiet(&w, &load);
    measure_death(&w, &load);
    world_close(&w);
    return load;
}

static void print(size_t members, const struct load *l)
{
    printf("| %zu | %.2f | %.2f | %.0f | %.2f | %.1f | %.1f | ", members,
           l->packets, l->most, l->bytes, l->dials, l->suspected, l->known);
    for (unsigned i = 0; i < (unsigned)(l->packets * 5 + 0.5); i++)
        (void)putchar('=');
    printf(" |\n");
    (void)fflush(stdout); /* the large ones take a while */
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {5, 10, 20, 50, 100, 200, 500, 1000};
    const bool is_wan = argc > 1 && strcmp(argv[1], "wan") == 0;
    const int given = argc > 2 ? argc - 2 : 0;
    const int count = given > 0 ? given : (int)(sizeof sizes / sizeof *sizes);

    printf("| members | packets | the busiest | bytes | TCP | suspected, s | "
           "dead to all, s | packets, drawn |\n"
           "| --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for (int i = 0; i < count; i++) {
        const size_t n = given > 0 ? strtoul(argv[2 + i], NULL, 10) : sizes[i];
        struct world_options o = is_wan ? world_wan(n, 1) : world_lan(n, 1);
        struct load load;

        if (n < 2 || n > 2000) {
            (void)fprintf(stderr, "gossip_load: N is 2 to 2000\n");
            return 2;
        }
        o.unchecked = true;
        load = measure(&o);
        print(n, &load);
    }
    return 0;
}
