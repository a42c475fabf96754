/* Runs seeds, each a world of its own, on several processes; says which failed,
 * and how often everything happened.
 *
 *   sim [--seeds N] [--first S] [--jobs J] [--nodes N] [--seconds N]
 *       [--members] [--gossip] [--until-failure]
 *   sim --seed S [--trace]
 *
 *   --seeds N     how many; 300
 *   --first S     the first one; 1
 *   --seed S      this one alone, in this process: for a debugger
 *   --trace       says who does what, when
 *   --nodes N     servers in each world, at first; drawn from the seed
 *   --members     the members change in every world, not only in a third
 *   --gossip      servers find each other by gossip in every world, not only in
 *                 a quarter
 *   --seconds N   of simulated time until everything heals; 20
 *   --jobs J      processes; as many as there are processors
 *   --until-failure  none is begun after the first that fails: the lowest of
 *                 those that are named is the first of all
 *
 * A failure is one line on standard error that names its seed, and one with the
 * command that repeats the run; the status is 1 then, and where 1,000 seeds or
 * more of any worlds have never reached something that is counted: each such
 * thing has a line. */
#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/note.h"
#include "tests/sim/count.h"
#include "tests/sim/story.h"
#include "tests/sim/world.h"

#define JOBS_MAX 64
#define SECONDS 20u
#define SEED_SECONDS_MAX 300u /* a run that takes longer hangs */

struct options {
    uint64_t first;
    uint64_t seed_count;
    size_t job_count;
    size_t server_count;
    uint64_t seconds;
    bool is_single;
    bool is_traced;
    bool has_members;
    bool has_gossip;
    bool stops_early;
};

/* Shared by the processes. */
struct job {
    pid_t pid;
    uint64_t seed; /* under way */
    uint64_t done;
    uint64_t counts[COUNT_COUNT];
    char dir[96];
};

struct shared {
    _Atomic uint64_t next;
    struct job jobs[JOBS_MAX];
};

static void run_seed(const struct options *o, uint64_t seed, const char *dir,
                     uint64_t counts[COUNT_COUNT])
{
    struct world_options options = {
        .seed = seed,
        .server_count = o->server_count,
        .has_members = o->has_members,
        .has_gossip = o->has_gossip,
        .storm = o->seconds * PX_NS_PER_S,
        .is_traced = o->is_traced,
        .dir = dir,
    };
    struct world *w = world_open(&options);

    story_run(w);
    counts_add(counts, w->counts);
    world_close(w);
}

/* ---- Folders ---- */

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_tree(const char *dir)
{
    (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS); /* a leftover does no
                                                             harm */
}

/* In memory where there is such a place: nothing here tests the kernel. */
static void make_base(char *base, size_t size)
{
    const char *tmp = getenv("TMPDIR");

    if (tmp == NULL || *tmp == '\0')
        tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(base, size, "%s/phalanx-sim-XXXXXX", tmp);
    px_assert(mkdtemp(base) != NULL);
}

/* ---- Many seeds ---- */

static void work(const struct options *o, struct shared *sh, struct job *j)
{
    uint64_t end = o->first + o->seed_count;

    for (;;) {
        uint64_t seed = atomic_fetch_add(&sh->next, 1);

        if (seed >= end)
            _exit(0);
        j->seed = seed;
        (void)alarm(SEED_SECONDS_MAX); /* replaces the one before */
        run_seed(o, seed, j->dir, j->counts);
        j->done++;
    }
}

static void start_job(const struct options *o, struct shared *sh, struct job *j)
{
    pid_t pid;

    remove_tree(j->dir);
    px_assert(mkdir(j->dir, 0700) == 0);
    pid = fork();
    px_assert(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* Linux has it */
        work(o, sh, j);
    }
    j->pid = pid; /* here alone: the child shares it */
}

static struct job *job_of(struct shared *sh, pid_t pid)
{
    for (size_t i = 0; i < JOBS_MAX; i++) {
        if (sh->jobs[i].pid == pid)
            return &sh->jobs[i];
    }
    return NULL;
}

/* All that the run depends on. */
static void print_again(const struct options *o, uint64_t seed)
{
    (void)fprintf(stderr, "seed %" PRIu64 ": again by %s --seed %" PRIu64, seed,
                  program_invocation_name, seed);
    if (o->server_count != 0)
        (void)fprintf(stderr, " --nodes %zu", o->server_count);
    if (o->seconds != SECONDS)
        (void)fprintf(stderr, " --seconds %" PRIu64, o->seconds);
    (void)fprintf(stderr, "%s%s\n", o->has_members ? " --members" : "",
                  o->has_gossip ? " --gossip" : "");
}

/* Waits for all, and starts those anew that a failure has ended. Returns how
 * many failed. */
static uint64_t wait_for_jobs(const struct options *o, struct shared *sh)
{
    uint64_t failures = 0;
    int status;
    pid_t pid;

    while ((pid = wait(&status)) > 0) {
        struct job *j = job_of(sh, pid);

        if (j == NULL || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
            continue;
        failures++;
        if (WIFSIGNALED(status))
            (void)fprintf(stderr, "seed %" PRIu64 ": ended by signal %d\n",
                          j->seed, WTERMSIG(status));
        print_again(o, j->seed);
        if (o->stops_early)
            atomic_store(&sh->next, o->first + o->seed_count);
        start_job(o, sh, j);
    }
    return failures;
}

/* Of worlds of one size, or short ones, not all can be asked. */
static bool is_all_reached(const struct options *o,
                           const uint64_t counts[COUNT_COUNT])
{
    if (o->seed_count < COUNTS_SEEDS_MIN || o->server_count != 0 ||
        o->seconds < SECONDS || o->stops_early)
        return true;
    return counts_print_missing(counts, stderr) == 0;
}

static int run_many(const struct options *o, const char *base)
{
    struct shared *sh = mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t counts[COUNT_COUNT] = {0};
    uint64_t done = 0;
    uint64_t failures;
    bool is_reached;

    px_assert(sh != MAP_FAILED);
    atomic_init(&sh->next, o->first);
    (void)fflush(stdout);
    for (size_t i = 0; i < o->job_count; i++) {
        struct job *j = &sh->jobs[i];

        (void)snprintf(j->dir, sizeof j->dir, "%s/%zu", base, i);
        start_job(o, sh, j);
    }
    failures = wait_for_jobs(o, sh);
    for (size_t i = 0; i < o->job_count; i++) {
        counts_add(counts, sh->jobs[i].counts);
        done += sh->jobs[i].done;
    }
    counts_print(counts, stdout);
    (void)fflush(stdout);
    is_reached = is_all_reached(o, counts);
    (void)printf("%" PRIu64 " seeds from %" PRIu64 ": %" PRIu64
                 " passed, %" PRIu64 " failed\n",
                 o->seed_count, o->first, done, failures);
    return failures > 0 || !is_reached ? 1 : 0;
}

static int run_single(const struct options *o, const char *base)
{
    uint64_t counts[COUNT_COUNT] = {0};

    run_seed(o, o->first, base, counts);
    if (!o->is_traced)
        counts_print(counts, stdout);
    (void)printf("seed %" PRIu64 ": passed\n", o->first);
    return 0;
}

/* ---- Options ---- */

static _Noreturn void usage(void)
{
    (void)fprintf(stderr, "usage: sim [--seeds N] [--first S] [--jobs J] "
                          "[--nodes N] [--seconds N] [--members] "
                          "[--gossip] [--until-failure]\n"
                          "       sim --seed S [--trace] [--nodes N] "
                          "[--seconds N] [--members] [--gossip]\n");
    exit(2);
}

static uint64_t number(const char *text, uint64_t max)
{
    char *end;
    unsigned long long value;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-' ||
        value > max)
        usage();
    return value;
}

static void parse(struct options *o, int argc, char **argv)
{
    static const struct option known[] = {
        {"seeds", required_argument, NULL, 'n'},
        {"first", required_argument, NULL, 'f'},
        {"seed", required_argument, NULL, 's'},
        {"trace", no_argument, NULL, 't'},
        {"nodes", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 'd'},
        {"members", no_argument, NULL, 'm'},
        {"gossip", no_argument, NULL, 'g'},
        {"jobs", required_argument, NULL, 'j'},
        {"until-failure", no_argument, NULL, 'u'},
        {0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (c == 'n')
            o->seed_count = number(optarg, UINT64_C(1) << 40);
        else if (c == 'f' || c == 's')
            o->first = number(optarg, UINT64_C(1) << 62);
        else if (c == 'c')
            o->server_count = (size_t)number(optarg, VOTERS_MAX);
        else if (c == 'd')
            o->seconds = number(optarg, 100000);
        else if (c == 'j')
            o->job_count = (size_t)number(optarg, JOBS_MAX);
        else if (c == 't')
            o->is_traced = true;
        else if (c == 'm')
            o->has_members = true;
        else if (c == 'g')
            o->has_gossip = true;
        else if (c == 'u')
            o->stops_early = true;
        else
            usage();
        o->is_single |= c == 's';
    }
    if (optind != argc || o->job_count == 0 || (o->is_traced && !o->is_single))
        usage();
}

int main(int argc, char **argv)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct options o = {
        .first = 1,
        .seed_count = 300,
        .job_count =
            processors > 0 && processors <= JOBS_MAX ? (size_t)processors : 1,
        .seconds = SECONDS,
    };
    const struct rlimit no_core = {0, 0};
    char base[64];
    int status;

    parse(&o, argc, argv);
    /* What else goes wrong is ours; of many seeds, all of it. */
    px_note_init(o.is_single ? PX_NOTE_ERROR : PX_NOTE_NONE, "sim");
    make_base(base, sizeof base);
    if (!o.is_single)
        (void)setrlimit(RLIMIT_CORE, &no_core); /* the seed is enough */
    if (o.is_traced)
        (void)setvbuf(stdout, NULL, _IOLBF, 0); /* up to a crash */
    status = o.is_single ? run_single(&o, base) : run_many(&o, base);
    remove_tree(base);
    return status;
}
