#include "tests/fuzz/frames.h"

#include <stdlib.h>
#include <string.h>

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "base/assert.h"
#include "net/frame.h"

static uint64_t sum_of(const uint8_t *frame, size_t bytes)
{
    XXH3_state_t state;

    (void)XXH3_64bits_reset(&state);
    (void)XXH3_64bits_update(&state, frame, NET_FRAME_AT_CHECKSUM);
    (void)XXH3_64bits_update(&state, frame + NET_FRAME_HEADER_BYTES,
                             bytes - NET_FRAME_HEADER_BYTES);
    return XXH3_64bits_digest(&state);
}

static void mend(uint8_t *data, size_t size)
{
    while (size >= NET_FRAME_HEADER_BYTES) {
        struct net_frame_header h;
        uint64_t checksum;
        size_t bytes;

        memcpy(data, NET_FRAME_MAGIC, NET_FRAME_MAGIC_BYTES);
        if (net_frame_header_decode(data, &h) < 0)
            return;
        bytes = net_frame_header_bytes(&h);
        if (bytes > size)
            return;
        checksum = sum_of(data, bytes);
        for (unsigned i = 0; i < 8; i++)
            data[NET_FRAME_AT_CHECKSUM + i] = (uint8_t)(checksum >> 8 * i);
        data += bytes;
        size -= bytes;
    }
}

uint8_t *frames_copy(const uint8_t *data, size_t size, bool mended)
{
    uint8_t *copy = malloc(size);

    px_assert(copy != NULL);
    memcpy(copy, data, size);
    if (mended)
        mend(copy, size);
    return copy;
}
