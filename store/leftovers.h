/* What changes that were interrupted have left in a data folder: it may take all
 * the room there is, and a start has to write before it gets to the parts that
 * would find it. So it is known by names alone:
 *
 *   identity.new, peers.new, term.new   files that were not finished
 *   log/ *.new, snapshot/ *.new         likewise
 *   state/new/                          a state likewise
 *   state/N/                            one that another, of a higher number,
 *                                       has replaced
 *
 * Beside log/, snapshot/ and state/ there may be other people's files: of those
 * none is touched, whatever it ends in.
 *
 * Thread: one, which holds the folder's lock. */
#ifndef STORE_LEFTOVERS_H
#define STORE_LEFTOVERS_H

/* The end of the name of what is being made; also the whole name of a state. */
#define STORE_LEFTOVERS_END ".new"

/* Removes them from the data folder @dir, which has an identity: before that
 * there is identity.new at most, which is small, and written over. What can't be
 * removed is left: whoever comes across it, or needs its room, says so. */
void store_leftovers_remove(const char *dir);

#endif
