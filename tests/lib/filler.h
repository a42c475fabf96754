/* A disk that is full: of a folder on a disk of its own, such as
 * cluster_move_data makes. */
#ifndef TESTS_LIB_FILLER_H
#define TESTS_LIB_FILLER_H

/* A file in @dir that is none of ours takes all the room that there is. Again:
 * what has come back since, too. */
void filler_fill(const char *dir);
/* It goes. */
void filler_make_room(const char *dir);

#endif
