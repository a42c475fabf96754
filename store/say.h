/* One sentence for a person, and the error that it explains. */
#ifndef STORE_SAY_H
#define STORE_SAY_H

#include "base/text.h"

/* Puts the sentence in @why, instead of what was there, and returns @rc. */
int store_say(struct px_text *why, int rc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
