#include "tests/unit/store/repair_fixture.h"

#include <string.h>

#include "store/log_core.h"
#include "store/segment.h"

void sample_init(struct sample *s)
{
    memset(s, 0, sizeof *s);
    s->disk = memdisk_new();
    s->f = (struct fixture){.dir = "memory",
                            .segment_bytes = 8192,
                            .stamp = FIXTURE_STAMP,
                            .keeps_term = true,
                            .given = memdisk_disk(s->disk)};
}

void sample_fini(struct sample *s)
{
    fixture_close(&s->f);
    memdisk_free(s->disk);
}

static void note_step(struct sample *s)
{
    const struct store_log *log = s->f.log;

    assert_true(s->step_count < STEPS_MAX);
    s->steps[s->step_count++] =
        (struct step){log->sequence, log->end, s->f.model};
}

static void write_hard(struct sample *s, raft_term term, raft_id vote)
{
    fixture_write_hard(&s->f, term, vote);
    note_step(s);
}

static void write_entries(struct sample *s, raft_term term, int count,
                          uint32_t size)
{
    for (int i = 0; i < count; i++) {
        fixture_write(&s->f, s->f.model.last + 1, term, 1, size);
        note_step(s);
    }
    fixture_sync(&s->f);
}

/* Cuts from @index on, and writes an entry there: two records. */
static void write_cut(struct sample *s, raft_index index, raft_term term,
                      uint32_t size)
{
    struct model before = s->f.model;

    model_cut(&before, index);
    fixture_write(&s->f, index, term, 1, size);
    note_step(s);
    s->steps[s->step_count] = s->steps[s->step_count - 1];
    s->steps[s->step_count - 1].end -= log_record_bytes(size);
    s->steps[s->step_count - 1].model = before;
    s->step_count++;
    fixture_sync(&s->f);
}

void sample_write(struct sample *s)
{
    fixture_open(&s->f);
    note_step(s);
    write_hard(s, 1, 5);
    write_entries(s, 1, 5, 900); /* the fifth in the second segment */
    write_hard(s, 2, 0);
    write_entries(s, 2, 2, 13);
    write_cut(s, 6, 3, 100);
    write_hard(s, 3, 7);
    write_entries(s, 3, 3, 800);
    write_entries(s, 3, 3, 400); /* the last ones in the third */
    assert_int_equal(s->f.log->sequence, 3);
}

void sample_die(struct sample *s)
{
    struct memdisk *image = memdisk_clone(s->disk);

    fixture_close(&s->f);
    memdisk_free(s->disk);
    s->disk = image;
    s->f.given = memdisk_disk(image);
}

struct model sample_before(const struct sample *s, uint32_t sequence,
                           uint64_t offset)
{
    struct model m = {0};

    for (size_t i = 0; i < s->step_count; i++) {
        const struct step *step = &s->steps[i];

        if (step->sequence < sequence ||
            (step->sequence == sequence && step->end <= offset))
            m = step->model;
    }
    m.hard = sample_all(s)->hard;
    m.salts = 9000;
    return m;
}

const struct model *sample_all(const struct sample *s)
{
    return &s->steps[s->step_count - 1].model;
}

void sample_flip(struct sample *s, uint32_t sequence, uint64_t offset)
{
    char name[SEGMENT_NAME_BYTES];

    segment_name(sequence, name);
    assert_true(
        memdisk_flip(s->disk, name, offset, (uint8_t)(1u << (offset + 3) % 8)));
}

void sample_repair(struct sample *s, const struct model *m)
{
    s->f.is_repaired = true;
    fixture_open(&s->f);
    assert_non_null(s->f.info.fault);
    fixture_expect(&s->f, m);
}
