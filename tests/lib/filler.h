/* A disk that is full: of a folder on a disk of its own, such as
 * cluster_move_data makes. */
#ifndef TESTS_LIB_FILLER_H
#define TESTS_LIB_FILLER_H

#include <stdint.h>

/* A file in @dir that is none of ours takes all the room that there is. Again:
 * what has come back since, too. */
void filler_fill(const char *dir);
/* The same, but for @left bytes. */
void filler_fill_but(const char *dir, uint64_t left);
/* It goes. */
void filler_make_room(const char *dir);

#endif
