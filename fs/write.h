/* What the handlers that change share. */
#ifndef FS_WRITE_H
#define FS_WRITE_H

#include "fs/core.h"

/* A command in the caller's name. */
void fs_command_of(const struct fs_call *c, enum command_op op,
                   struct command *cmd);
/* One rc for "was not applied" and "was, and refused". */
int fs_outcome(int rc, const struct store_result *result);
/* Answers what no command is needed for: names too long, .phalanx. */
bool fs_change_refused(struct fs_call *c);
/* Replies the entry of what the command made or linked. */
void fs_finish_made(struct fs_call *c, int rc,
                    const struct store_result *result);

#endif
