#include "raft/config.h"

#include <errno.h>

#include "base/assert.h"

#define MEMBER_BYTES 9u

bool raft_config_is_sound(const struct raft_config *config)
{
    if (config->count > RAFT_MEMBERS_MAX)
        return false;
    for (size_t i = 0; i < config->count; i++) {
        const struct raft_member *m = &config->members[i];

        if (m->id == 0 || (m->role != RAFT_VOTER && m->role != RAFT_LEARNER))
            return false;
        for (size_t k = 0; k < i; k++)
            if (config->members[k].id == m->id)
                return false;
    }
    return true;
}

size_t raft_config_voters(const struct raft_config *config)
{
    size_t count = 0;

    for (size_t i = 0; i < config->count; i++)
        count += config->members[i].role == RAFT_VOTER;
    return count;
}

int raft_config_find(const struct raft_config *config, raft_id id)
{
    for (size_t i = 0; i < config->count; i++)
        if (config->members[i].id == id)
            return (int)i;
    return -1;
}

size_t raft_config_encode(const struct raft_config *config,
                          uint8_t bytes[RAFT_CONFIG_BYTES_MAX])
{
    size_t at = 0;

    px_assert(config->count <= RAFT_MEMBERS_MAX);
    bytes[at++] = (uint8_t)config->count;
    for (size_t i = 0; i < config->count; i++) {
        for (unsigned shift = 0; shift < 64; shift += 8)
            bytes[at++] = (uint8_t)(config->members[i].id >> shift);
        bytes[at++] = (uint8_t)config->members[i].role;
    }
    return at;
}

static struct raft_member decode_member(const uint8_t bytes[MEMBER_BYTES])
{
    struct raft_member m = {.role = (enum raft_member_role)bytes[8]};

    for (unsigned i = 0; i < 8; i++)
        m.id |= (uint64_t)bytes[i] << 8 * i;
    return m;
}

int raft_config_decode(struct px_slice data, struct raft_config *config_out)
{
    struct raft_config config = {0};
    size_t size;

    if (data.size < 1 || data.data[0] > RAFT_MEMBERS_MAX)
        return -EINVAL;
    config.count = data.data[0];
    size = 1 + config.count * MEMBER_BYTES;
    if (data.size < size)
        return -EINVAL;
    for (size_t i = 0; i < config.count; i++)
        config.members[i] = decode_member(data.data + 1 + i * MEMBER_BYTES);
    if (!raft_config_is_sound(&config) || raft_config_voters(&config) == 0)
        return -EINVAL;
    *config_out = config;
    return (int)size;
}
