/* Where a decoder of protobuf messages puts what is small: a fixed arena, so
 * that no entry makes applying ask for memory. */
#ifndef STORE_SCRATCH_H
#define STORE_SCRATCH_H

#include <protobuf-c/protobuf-c.h>

#include "store/command.h"

/* Sound heads need a tenth of it: the message, two names, a list of inodes. A
 * message that needs more is refused as malformed, which it is. */
#define SCRATCH_BYTES (64u * PX_KIB)

/* Empties it: what was decoded before is gone. The allocator is @scratch's. */
ProtobufCAllocator *command_scratch_begin(struct command_scratch *scratch);

#endif
