/* The names in the folder of a sim_disk: which file has which, and what has been
 * done to them since they were last synced. */
#ifndef TESTS_SIM_DISK_NAMES_H
#define TESTS_SIM_DISK_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "store/disk.h"

struct disk_file;

struct name {
    char name[STORE_DISK_NAME_BYTES_MAX + 1];
    struct disk_file *file;
};

struct names {
    struct name *list;
    size_t count;
    size_t capacity;
};

/* Since the last sync_dir: @file lost the name @from, unless that is empty, and
 * got the name @to, unless that is: created, renamed or removed. */
struct change {
    char from[STORE_DISK_NAME_BYTES_MAX + 1];
    char to[STORE_DISK_NAME_BYTES_MAX + 1];
    struct disk_file *file;
};

/* NULL: there is none. */
struct disk_file **names_find(struct names *t, const char *name);
bool names_hold(const struct names *t, const struct disk_file *f);
void names_copy(struct names *to, const struct names *from);
/* Carries @c out. Without what it rests on it does nothing: a rename moves a
 * file, and no other that has its name. */
void names_change(struct names *t, const struct change *c);

#endif
