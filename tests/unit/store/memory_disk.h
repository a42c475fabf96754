/* A disk in memory: a few files that a test looks into and changes, and calls
 * that fail when it says so. */
#ifndef TESTS_MEMORY_DISK_H
#define TESTS_MEMORY_DISK_H

#include <stdbool.h>

#include "store/disk.h"

#define MEMORY_DISK_FILES_MAX 8

struct memory_file {
    char name[STORE_DISK_NAME_BYTES_MAX + 1]; /* "": the slot is free */
    uint8_t *data;
    size_t size;
};

struct memory_disk {
    struct store_disk disk; /* give this */
    struct memory_file files[MEMORY_DISK_FILES_MAX];
    unsigned open_count;
    uint64_t calls;   /* of those that change something, or read */
    uint64_t fail_at; /* this one fails; 0: none */
    int fail_rc;
    /* A letter for each call that changes something, writes in a row being
     * one: Open, Write, Sync, reName, sync_Dir, reMove. */
    char story[128];
};

void memory_disk_init(struct memory_disk *m);
/* All files are closed: asserted. */
void memory_disk_fini(struct memory_disk *m);
/* NULL: there is none. */
struct memory_file *memory_disk_find(struct memory_disk *m, const char *name);
/* Makes or replaces a file. */
struct memory_file *memory_disk_put(struct memory_disk *m, const char *name,
                                    const void *data, size_t size);

#endif
