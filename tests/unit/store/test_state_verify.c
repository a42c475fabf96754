/* store/state.c: a state that the disk has changed while it was closed is never
 * opened as if it were what was written. Each open is a process of its own, for
 * LMDB may crash on what it finds. */
#include "tests/unit/store/state_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/state_core.h"

/* How far apart the bytes are that are changed. */
#define STEP 53u

struct image {
    uint8_t *bytes;
    size_t size;
};

static struct image load(const char *dir, const char *name)
{
    struct image m = {0};
    struct stat st;
    char path[128];
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    m.size = (size_t)st.st_size;
    m.bytes = malloc(m.size);
    assert_non_null(m.bytes);
    assert_int_equal(read(fd, m.bytes, m.size), st.st_size);
    close(fd);
    return m;
}

static void store(const char *dir, const char *name, const struct image *m)
{
    char path[128];
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, m->bytes, m->size), m->size);
    close(fd);
}

static void remove_all(const char *dir)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "boot"};
    char path[128];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)unlink(path); /* LMDB's lock may not be there */
    }
    assert_int_equal(rmdir(dir), 0);
}

enum outcome {
    KEPT = 10,
    REBUILT,
    WRONG,
};

struct looked {
    char dir[64];
    raft_index last; /* what was written */
    uint64_t hash;
};

/* In the child: opens, looks, and ends. LMDB keeps the transaction before the
 * last one: where the head of the last is changed, that is what there is, and
 * it is whole. */
static void look(const struct looked *l)
{
    struct store_state_options options = {
        .dir = l->dir, .boot_id = "boot-1", .verify = true};
    enum store_state_origin origin;
    struct store_state *s;
    struct raft_pos applied;
    uint64_t hash = 0;
    char why[256];

    if (store_state_open(&options, &s, &origin, why, sizeof why) < 0) {
        (void)fprintf(stderr, "%s\n", why); /* the parent fails */
        _exit(WRONG);
    }
    applied = store_state_hash(s, &hash);
    if (origin == STORE_STATE_DISTRUSTED)
        _exit(applied.index == 0 && why[0] != '\0' ? REBUILT : WRONG);
    if (origin != STORE_STATE_KEPT || applied.index + 1 < l->last ||
        applied.index > l->last)
        _exit(WRONG);
    _exit(applied.index < l->last || hash == l->hash ? KEPT : WRONG);
}

static int open_in_a_child(const struct looked *l)
{
    int status;
    const struct rlimit none = {0, 0};
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        (void)setrlimit(RLIMIT_CORE, &none); /* of a TiB of addresses */
        (void)signal(SIGSEGV, SIG_DFL);      /* cmocka has its own */
        (void)signal(SIGBUS, SIG_DFL);
        (void)signal(SIGFPE, SIG_DFL);
        look(l);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* Files, folders, chunks and sessions, over a few dozen pages. */
static void fill(struct fixture *fx)
{
    static uint8_t bytes[3 * STORE_CHUNK_BYTES];
    char name[16];

    for (unsigned i = 0; i < 30; i++) {
        uint64_t f;

        (void)snprintf(name, sizeof name, "file-%u", i);
        f = do_create(fx, ROOT, name);
        memset(bytes, (int)i + 1, sizeof bytes);
        do_write(fx, f, 0, bytes, 100 + 1000 * (i % 10));
    }
}

/* Changes the byte at @at; how an open ends that follows. */
static enum outcome change(const struct looked *l, struct image *data,
                           const struct image *note, size_t at)
{
    uint8_t mask = (uint8_t)(1u << at / STEP % 8);
    int status;

    data->bytes[at] ^= mask;
    store(l->dir, "data.mdb", data);
    store(l->dir, "boot", note);
    data->bytes[at] ^= mask;
    status = open_in_a_child(l);
    for (int again = 0; again < 2 && WIFSIGNALED(status); again++)
        status = open_in_a_child(l); /* LMDB crashed: the next start but one
                                        knows */
    if (!WIFEXITED(status) || WEXITSTATUS(status) < KEPT ||
        WEXITSTATUS(status) >= WRONG)
        fail_msg("byte %zu: status %d", at, status);
    return (enum outcome)WEXITSTATUS(status);
}

static void any_changed_byte_is_found_at_open(void **state)
{
    struct fixture *fx = *state;
    struct looked l = {.dir = "/tmp/phalanx-verify-XXXXXX"};
    struct image data, note;
    unsigned kept = 0;
    unsigned rebuilt = 0;

    fill(fx);
    l.last = fx->last;
    (void)store_state_hash(fx->s, &l.hash);
    fixture_close(fx);
    if (access("/dev/shm", W_OK) == 0) /* thousands of flushes */
        (void)snprintf(l.dir, sizeof l.dir, "/dev/shm/phalanx-verify-XXXXXX");
    assert_non_null(mkdtemp(l.dir));
    data = load(fx->dir, "data.mdb");
    note = load(fx->dir, "boot");
    for (size_t at = 0; at < data.size; at += STEP) {
        if (change(&l, &data, &note, at) == KEPT)
            kept++;
        else
            rebuilt++;
    }
    print_message("%u kept, %u rebuilt\n", kept, rebuilt);
    assert_true(rebuilt > data.size / STEP / 10);
    assert_true(kept > 0); /* pages that are free */
    free(data.bytes);
    free(note.bytes);
    remove_all(l.dir);
    fixture_reopen(fx, "boot-1", false, STORE_STATE_KEPT);
}

struct told {
    uint64_t done;
    uint64_t all;
};

static void on_told(void *ctx, uint64_t done, uint64_t all)
{
    struct told *t = ctx;

    assert_int_equal(done, t->done + 1);
    assert_true(t->all == 0 || all == t->all);
    *t = (struct told){done, all};
}

static void each_record_that_is_looked_at_tells_how_many_there_are(void **state)
{
    struct fixture *fx = *state;
    struct told told = {0};
    const struct store_state_options options = {.dir = fx->dir,
                                                .boot_id = "boot-1",
                                                .verify = true,
                                                .progress = {on_told, &told}};
    enum store_state_origin origin;
    struct store_state *s;
    char why[256];

    fill(fx);
    fixture_close(fx);
    assert_int_equal(store_state_open(&options, &s, &origin, why, sizeof why),
                     0);
    assert_int_equal(origin, STORE_STATE_KEPT);
    store_state_abandon(s);
    assert_true(told.done > 10);
    assert_int_equal(told.done, told.all);
    fixture_reopen(fx, "boot-1", false, STORE_STATE_KEPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            each_record_that_is_looked_at_tells_how_many_there_are,
            fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(any_changed_byte_is_found_at_open,
                                        fixture_setup, fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
