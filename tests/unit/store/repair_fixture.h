/* A small log on a disk in memory, of which it is known what it held when each
 * of its records had been written: for the tests of its repair. */
#ifndef REPAIR_FIXTURE_H
#define REPAIR_FIXTURE_H

#include "tests/lib/memdisk.h"
#include "tests/unit/store/log_fixture.h"

#define STEPS_MAX 64

/* The log, once the bytes before @end of segment @sequence were written. */
struct step {
    uint32_t sequence;
    uint64_t end;
    struct model model;
};

struct sample {
    struct fixture f;
    struct memdisk *disk;
    struct step steps[STEPS_MAX];
    size_t step_count;
};

/* A log that keeps its term twice, in segments of 8 KiB; nothing in it yet, and
 * not open. */
void sample_init(struct sample *s);
void sample_fini(struct sample *s);
/* Writes a dozen entries over three segments, terms, votes and a cut among
 * them; open, and all flushed. */
void sample_write(struct sample *s);
/* The disk becomes as it was when the process died now. */
void sample_die(struct sample *s);

/* What is left when the byte at @offset of @sequence is damaged, term and vote
 * being the newest. */
struct model sample_before(const struct sample *s, uint32_t sequence,
                           uint64_t offset);
/* All of it. */
const struct model *sample_all(const struct sample *s);

/* Flips a byte that is there. */
void sample_flip(struct sample *s, uint32_t sequence, uint64_t offset);

/* Opens it repaired: it is faulty, and holds @m. */
void sample_repair(struct sample *s, const struct model *m);

#endif
