/* What only a sound sender of frames knows. */
#ifndef TESTS_FUZZ_FRAMES_H
#define TESTS_FUZZ_FRAMES_H

#include <stddef.h>
#include <stdint.h>

/* Gives each frame that lies in @data its magic and checksum. */
void frames_mend(uint8_t *data, size_t size);

#endif
