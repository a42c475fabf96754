/* See leftovers.h. Nothing is synced: what a crash brings back is removed again. */
#include "store/leftovers.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_NEW "new"

struct sweep {
    unsigned long highest; /* of the states' numbers */
    /* What goes of the folder under hand. */
    bool (*is_left)(const struct sweep *s, const char *name);
    bool are_folders;
};

/* Calls @each for every name in @name below @dir. */
static void each_name(int dir, const char *name, struct sweep *s,
                      void (*each)(int at, const char *name, struct sweep *s))
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct dirent *e;
    DIR *d;

    if (fd < 0)
        return;
    d = fdopendir(fd);
    if (d == NULL) {
        (void)close(fd); /* only read */
        return;
    }
    while ((e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            each(dirfd(d), e->d_name, s);
    }
    (void)closedir(d); /* only read */
}

/* 0: not the name of a state. */
static unsigned long number_of(const char *name)
{
    unsigned long number = strtoul(name, NULL, 10);
    char again[24];

    (void)snprintf(again, sizeof again, "%lu", number); /* always fits */
    return strcmp(name, again) == 0 && number < UINT_MAX ? number : 0;
}

static void take_if_higher(int at, const char *name, struct sweep *s)
{
    (void)at;
    if (number_of(name) > s->highest)
        s->highest = number_of(name);
}

/* In the data folder itself; other people's may be called alike. */
static bool is_unfinished_of_ours(const struct sweep *s, const char *name)
{
    static const char *const names[] = {"identity.new", "peers.new",
                                        "term.new"};

    (void)s;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static bool is_unfinished(const struct sweep *s, const char *name)
{
    size_t size = strlen(name), end = strlen(STORE_LEFTOVERS_END);

    (void)s;
    return size > end && strcmp(name + size - end, STORE_LEFTOVERS_END) == 0;
}

static bool is_old_state(const struct sweep *s, const char *name)
{
    unsigned long number = number_of(name);

    return strcmp(name, NAME_NEW) == 0 || (number > 0 && number < s->highest);
}

static void remove_file(int at, const char *name, struct sweep *s)
{
    (void)s;
    (void)unlinkat(at, name, 0); /* left, if it can't be */
}

static void remove_if_left(int at, const char *name, struct sweep *s)
{
    if (!s->is_left(s, name))
        return;
    if (s->are_folders)
        each_name(at, name, s, remove_file);
    (void)unlinkat(at, name, s->are_folders ? AT_REMOVEDIR : 0); /* likewise */
}

void store_leftovers_remove(const char *dir)
{
    struct sweep root = {.is_left = is_unfinished_of_ours};
    struct sweep files = {.is_left = is_unfinished};
    struct sweep states = {.is_left = is_old_state, .are_folders = true};
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return;
    each_name(fd, ".", &root, remove_if_left);
    each_name(fd, "log", &files, remove_if_left);
    each_name(fd, "snapshot", &files, remove_if_left);
    each_name(fd, "state", &states, take_if_higher);
    each_name(fd, "state", &states, remove_if_left);
    (void)close(fd); /* a folder */
}
