/* Opening a log that may be damaged: for log.c. */
#ifndef STORE_LOG_REPAIR_H
#define STORE_LOG_REPAIR_H

#include "store/log_core.h"

/* Is there a note that entries were lost? Fills in log->is_faulty and fault. */
int log_note_load(struct store_log *log);

/* Fills @log from its folder, which it puts in order first; damage is repaired
 * where @is_repaired. Errors: as store_log_open. */
int log_recover_or_repair(struct store_log *log, bool is_repaired,
                          struct px_text *why);

#endif
