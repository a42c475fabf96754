/* The bytes of an entry, as applying decodes them, and raft.
 *
 *   byte 0   0: the rest is a command
 *            1: the rest is a configuration, and what stands behind it
 *            else: the rest is what is added to a change of the members
 *
 * What decodes is sound, and a configuration could be in force; so it can be
 * encoded, and comes back as it was. Run as
 *   fuzz_command -max_len=20000 CORPUS_DIR */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "raft/config.h"
#include "store/change.h"
#include "store/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct command_scratch *scratch;

static bool is_same_name(struct command_name a, struct command_name b)
{
    return a.size == b.size &&
           (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static void fuzz_command(struct px_slice bytes)
{
    struct command_scratch *other = command_scratch_new();
    struct command c, again;
    struct px_slice encoded;

    px_assert(other != NULL);
    if (command_decode(bytes, scratch, &c) == 0 &&
        command_encode(&c, &encoded) == 0) {
        px_assert(command_decode(encoded, other, &again) == 0);
        px_assert(again.op == c.op);
        px_assert(again.session == c.session);
        px_assert(again.sequence == c.sequence);
        px_assert(is_same_name(again.name, c.name));
        px_assert(is_same_name(again.new_name, c.new_name));
        px_assert(again.inode_count == c.inode_count);
        px_assert(again.data_size == c.data_size);
        px_slice_unref(&encoded);
    }
    command_scratch_free(other);
}

static void fuzz_change(struct px_slice bytes)
{
    struct store_change c, again;
    struct px_slice encoded;

    if (store_change_decode(bytes, scratch, &c) < 0)
        return;
    px_assert(store_change_encode(&c, &encoded) == 0);
    px_assert(store_change_decode(encoded, scratch, &again) == 0);
    px_assert(again.removed == c.removed);
    px_assert(again.count == c.count);
    for (size_t i = 0; i < c.count; i++) {
        px_assert(again.list[i].id == c.list[i].id);
        px_assert(strcmp(again.list[i].name, c.list[i].name) == 0);
        px_assert(strcmp(again.list[i].address, c.list[i].address) == 0);
    }
    px_slice_unref(&encoded);
}

static void fuzz_config(struct px_slice bytes)
{
    uint8_t encoded[RAFT_CONFIG_BYTES_MAX];
    struct raft_config c, again;
    int size = raft_config_decode(bytes, &c);

    if (size < 0)
        return;
    px_assert((size_t)size <= bytes.size);
    px_assert(raft_config_is_sound(&c) && raft_config_voters(&c) > 0);
    px_assert(raft_config_encode(&c, encoded) == (size_t)size);
    bytes = (struct px_slice){.data = encoded, .size = (size_t)size};
    px_assert(raft_config_decode(bytes, &again) == size);
    px_assert(again.count == c.count);
    for (size_t i = 0; i < c.count; i++) {
        px_assert(again.members[i].id == c.members[i].id);
        px_assert(again.members[i].role == c.members[i].role);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct px_slice bytes;

    if (scratch == NULL)
        scratch = command_scratch_new();
    px_assert(scratch != NULL);
    if (size == 0)
        return 0;
    bytes = (struct px_slice){.data = data + 1, .size = size - 1};
    if (data[0] == 0)
        fuzz_command(bytes);
    else if (data[0] == 1)
        fuzz_config(bytes);
    else
        fuzz_change(bytes);
    return 0;
}
