#include "tests/unit/store/log_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/rand.h"

static void remove_dir(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *d;

    if (dir == NULL)
        return;
    while ((d = readdir(dir)) != NULL) {
        char child[PATH_MAX];
        struct stat st;

        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        assert_true(snprintf(child, sizeof child, "%s/%s", path, d->d_name) <
                    (int)sizeof child);
        assert_int_equal(lstat(child, &st), 0);
        if (S_ISDIR(st.st_mode))
            remove_dir(child);
        else
            assert_int_equal(unlink(child), 0);
    }
    closedir(dir);
    assert_int_equal(rmdir(path), 0);
}

void fixture_new_dir(struct fixture *f)
{
    assert_true(snprintf(f->dir, sizeof f->dir, "%s/%u", f->root, f->dirs++) <
                (int)sizeof f->dir);
    assert_int_equal(mkdir(f->dir, 0700), 0);
}

int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    const char *tmp = getenv("TMPDIR");

    assert_non_null(f);
    (void)snprintf(f->root, sizeof f->root, "%s/phalanx-log-XXXXXX",
                   tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->root));
    f->segment_bytes = 64 * 1024;
    f->stamp = FIXTURE_STAMP;
    fixture_new_dir(f);
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    fixture_close(f);
    remove_dir(f->root);
    free(f);
    return 0;
}

int fixture_try_open(struct fixture *f)
{
    struct store_log_options options = {.dir = f->dir,
                                        .segment_bytes = f->segment_bytes,
                                        .stamp = f->stamp,
                                        .applied = f->applied,
                                        .base = f->snapshot};
    int rc;

    assert_null(f->log);
    if (f->given == NULL)
        assert_int_equal(store_disk_open(f->dir, &f->disk), 0);
    options.disk = f->given != NULL ? f->given : f->disk;
    options.term_disk = f->keeps_term ? options.disk : NULL;
    options.is_begun = f->is_begun;
    options.is_repaired = f->is_repaired;
    options.is_state_whole = f->is_state_whole;
    options.progress = f->progress;
    rc = store_log_open(&options, &f->log, f->why, sizeof f->why);
    if (rc == 0) {
        store_log_info(f->log, &f->info);
    } else {
        assert_true(f->why[0] != '\0');
        fixture_close(f);
    }
    return rc;
}

void fixture_open(struct fixture *f)
{
    int rc = fixture_try_open(f);

    if (rc != 0)
        fail_msg("open: %s (%s)", px_strerror(rc), f->why);
}

void fixture_close(struct fixture *f)
{
    store_log_close(f->log);
    store_disk_close(f->disk);
    f->log = NULL;
    f->disk = NULL;
}

static void copy_file(const char *from, const char *to)
{
    static uint8_t block[1 << 16];
    int in = open(from, O_RDONLY);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0600);
    ssize_t n;

    assert_true(in >= 0 && out >= 0);
    while ((n = read(in, block, sizeof block)) > 0)
        assert_int_equal(write(out, block, (size_t)n), n);
    assert_int_equal(n, 0);
    close(in);
    close(out);
}

void fixture_copy_dir(const char *from, const char *to)
{
    DIR *dir = opendir(from);
    const struct dirent *d;

    assert_non_null(dir);
    while ((d = readdir(dir)) != NULL) {
        char source[PATH_MAX];
        char target[PATH_MAX];

        if (d->d_name[0] == '.')
            continue;
        assert_true(snprintf(source, sizeof source, "%s/%s", from, d->d_name) <
                    (int)sizeof source);
        assert_true(snprintf(target, sizeof target, "%s/%s", to, d->d_name) <
                    (int)sizeof target);
        copy_file(source, target);
    }
    closedir(dir);
}

void fixture_crash(struct fixture *f)
{
    char old[PATH_MAX];

    memcpy(old, f->dir, sizeof old);
    fixture_new_dir(f);
    fixture_copy_dir(old, f->dir);
    fixture_close(f);
    remove_dir(old);
}

/* ---- The model ---- */

void model_reset(struct model *m, struct raft_pos pos)
{
    assert_true(pos.index < MODEL_ENTRIES_MAX);
    m->base = pos;
    m->last = pos.index;
}

/* Of an entry from the base on. */
raft_term model_term(const struct model *m, raft_index index)
{
    if (index == m->base.index)
        return m->base.term;
    assert_true(index > m->base.index && index <= m->last);
    return m->entries[index - 1].term;
}

void model_cut(struct model *m, raft_index from)
{
    assert_true(from > m->base.index && from <= m->last);
    m->last = from - 1;
}

void model_add(struct model *m, raft_term term, uint32_t size)
{
    assert_true(m->last < MODEL_ENTRIES_MAX);
    m->entries[m->last++] = (struct model_entry){term, size, ++m->salts};
}

struct raft_entry model_entry_of(const struct model *m, raft_index index)
{
    const struct model_entry *e = &m->entries[index - 1];
    struct px_buf *buf = px_buf_new(e->size);
    struct px_rand rand;

    assert_non_null(buf);
    px_rand_init(&rand, e->salt);
    for (uint32_t i = 0; i < e->size; i++)
        buf->data[i] = (uint8_t)(px_rand_next(&rand) >> 56);
    return (struct raft_entry){.pos = {e->term, index},
                               .kind = e->size > 0 ? RAFT_ENTRY_COMMAND
                                                   : RAFT_ENTRY_NOOP,
                               .data = px_slice_of(buf, 0, e->size)};
}

int fixture_try_write(struct fixture *f, raft_index first, raft_term term,
                      size_t count, uint32_t size)
{
    static struct raft_entry entries[MODEL_ENTRIES_MAX];
    int rc;

    assert_true(count <= MODEL_ENTRIES_MAX);
    if (first <= f->model.last)
        model_cut(&f->model, first);
    for (size_t i = 0; i < count; i++) {
        model_add(&f->model, term, size);
        entries[i] = model_entry_of(&f->model, f->model.last);
    }
    rc = store_log_write(f->log, NULL, entries, count);
    for (size_t i = 0; i < count; i++)
        px_slice_unref(&entries[i].data);
    return rc;
}

void fixture_write(struct fixture *f, raft_index first, raft_term term,
                   size_t count, uint32_t size)
{
    assert_int_equal(fixture_try_write(f, first, term, count, size), 0);
}

void fixture_write_hard(struct fixture *f, raft_term term, raft_id voted_for)
{
    f->model.hard = (struct raft_hard_state){term, voted_for};
    assert_int_equal(store_log_write(f->log, &f->model.hard, NULL, 0), 0);
}

void fixture_sync(struct fixture *f)
{
    assert_int_equal(store_log_sync(f->log), 0);
}

static bool is_same(const struct raft_entry *a, const struct raft_entry *b)
{
    return a->pos.term == b->pos.term && a->pos.index == b->pos.index &&
           a->kind == b->kind && a->data.size == b->data.size &&
           memcmp(a->data.data, b->data.data, a->data.size) == 0;
}

static bool holds_entries(struct fixture *f, const struct model *m)
{
    bool is_good = true;
    raft_index next = f->info.first;

    while (next <= m->last && is_good) {
        struct raft_entry got[64];
        int n = store_log_read(f->log, next, 64, SIZE_MAX, got);

        if (n <= 0)
            return false;
        for (int i = 0; i < n; i++, next++) {
            struct raft_entry want;

            if (next <= m->last) {
                want = model_entry_of(m, next);
                is_good = is_good && is_same(&got[i], &want);
                px_slice_unref(&want.data);
            } else {
                is_good = false; /* more than there should be */
            }
            px_slice_unref(&got[i].data);
        }
    }
    return is_good && store_log_read(f->log, m->last + 1, 1, SIZE_MAX,
                                     &(struct raft_entry){0}) == -ENOENT;
}

static bool holds_runs(const struct fixture *f, const struct model *m)
{
    size_t run = 0;

    for (raft_index i = f->info.first; i <= m->last; i++) {
        raft_term term = m->entries[i - 1].term;

        if (i > f->info.first && term == m->entries[i - 2].term)
            continue;
        if (run >= f->info.run_count || f->info.runs[run].term != term ||
            f->info.runs[run].first != i)
            return false;
        run++;
    }
    return run == f->info.run_count;
}

static bool holds_base(const struct fixture *f, const struct model *m)
{
    struct raft_pos base = f->info.base;

    return base.index >= m->base.index &&
           (base.index <= f->snapshot.index || base.index == m->base.index) &&
           base.index <= m->last && base.term == model_term(m, base.index) &&
           f->info.first == base.index + 1;
}

bool fixture_holds(struct fixture *f, const struct model *m)
{
    return f->info.hard.term == m->hard.term &&
           f->info.hard.voted_for == m->hard.voted_for && holds_base(f, m) &&
           f->info.last == m->last && holds_runs(f, m) && holds_entries(f, m);
}

void fixture_expect(struct fixture *f, const struct model *m)
{
    assert_int_equal(f->info.hard.term, m->hard.term);
    assert_int_equal(f->info.hard.voted_for, m->hard.voted_for);
    assert_true(holds_base(f, m));
    assert_int_equal(f->info.last, m->last);
    assert_true(holds_runs(f, m));
    assert_true(holds_entries(f, m));
}

void fixture_expect_damage(struct fixture *f, const char *words)
{
    assert_int_equal(fixture_try_open(f), -PX_ECORRUPT);
    if (strstr(f->why, words) == NULL)
        fail_msg("\"%s\" does not words %s", f->why, words);
}

/* ---- Files ---- */

static void file_path(const struct fixture *f, uint32_t sequence,
                      char path[PATH_MAX])
{
    assert_true(snprintf(path, PATH_MAX, "%s/%010u.log", f->dir, sequence) <
                PATH_MAX);
}

struct file file_load(const struct fixture *f, uint32_t sequence)
{
    struct file file;
    struct stat st;
    int fd;

    file_path(f, sequence, file.path);
    fd = open(file.path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    file.size = (size_t)st.st_size;
    file.bytes = malloc(file.size);
    assert_non_null(file.bytes);
    assert_int_equal(read(fd, file.bytes, file.size), st.st_size);
    close(fd);
    return file;
}

void file_store(const struct file *file)
{
    int fd = open(file->path, O_WRONLY | O_TRUNC | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, file->bytes, file->size), file->size);
    close(fd);
}

void file_free(struct file *file)
{
    free(file->bytes);
    file->bytes = NULL;
}

void file_remove(const struct fixture *f, uint32_t sequence)
{
    char path[PATH_MAX];

    file_path(f, sequence, path);
    assert_int_equal(unlink(path), 0);
}

unsigned file_count(const struct fixture *f)
{
    DIR *dir = opendir(f->dir);
    const struct dirent *d;
    unsigned count = 0;

    assert_non_null(dir);
    while ((d = readdir(dir)) != NULL)
        count += d->d_name[0] != '.';
    closedir(dir);
    return count;
}

size_t file_end(const struct file *file)
{
    size_t end = file->size;

    while (end > 0 && file->bytes[end - 1] == 0)
        end--;
    return end;
}
