/* What the leader adds to an entry that changes the members, from bytes; to
 * bytes is in members.h. */
#ifndef STORE_CHANGE_H
#define STORE_CHANGE_H

#include "store/members.h"

#define STORE_CHANGE_BYTES_MAX PX_COMMAND_HEAD_BYTES_MAX

/* -PX_EFORMAT, and @change_out is not touched. */
int store_change_decode(struct px_slice bytes, struct command_scratch *scratch,
                        struct store_change *change_out);

#endif
