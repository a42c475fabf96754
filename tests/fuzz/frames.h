/* What only a sound sender of frames knows. */
#ifndef TESTS_FUZZ_FRAMES_H
#define TESTS_FUZZ_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A copy, to be freed, as long as @data to the byte: who reads on is caught.
 * @mended: each frame in it has its magic and checksum. */
uint8_t *frames_copy(const uint8_t *data, size_t size, bool mended);

#endif
