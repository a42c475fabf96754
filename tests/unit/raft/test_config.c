/* raft/config.c: configurations as bytes. */
#include "tests/unit/raft/unit.h"

#include <errno.h>
#include <string.h>

#include "raft/config.h"

static struct px_slice slice(const uint8_t *bytes, size_t size)
{
    return (struct px_slice){.data = bytes, .size = size};
}

static void the_bytes_are_as_drawn(void **s)
{
    struct raft_config config = {
        .count = 2,
        .members = {{0x0102030405060708, RAFT_VOTER}, {9, RAFT_LEARNER}}};
    const uint8_t drawn[] = {2, 8, 7, 6, 5, 4, 3, 2, 1, 1,
                             9, 0, 0, 0, 0, 0, 0, 0, 2};
    uint8_t bytes[RAFT_CONFIG_BYTES_MAX];

    (void)s;
    assert_int_equal(raft_config_encode(&config, bytes), sizeof drawn);
    assert_memory_equal(bytes, drawn, sizeof drawn);
}

static void what_was_encoded_is_decoded(void **s)
{
    struct raft_config config = {.count = RAFT_MEMBERS_MAX};
    struct raft_config decoded;
    uint8_t bytes[RAFT_CONFIG_BYTES_MAX + 3];
    size_t size;

    (void)s;
    for (size_t i = 0; i < config.count; i++)
        config.members[i] = (struct raft_member){
            UINT64_MAX - i, i % 2 == 0 ? RAFT_VOTER : RAFT_LEARNER};
    size = raft_config_encode(&config, bytes);
    assert_int_equal(size, RAFT_CONFIG_BYTES_MAX);
    memcpy(bytes + size, "abc", 3); /* added: not for raft */
    assert_int_equal(raft_config_decode(slice(bytes, size + 3), &decoded),
                     size);
    assert_int_equal(decoded.count, config.count);
    for (size_t i = 0; i < config.count; i++) {
        assert_true(decoded.members[i].id == config.members[i].id);
        assert_int_equal(decoded.members[i].role, config.members[i].role);
    }
}

static void assert_no_config(const uint8_t *bytes, size_t size)
{
    struct raft_config config;

    assert_int_equal(raft_config_decode(slice(bytes, size), &config), -EINVAL);
}

static void what_is_no_configuration_is_refused(void **s)
{
    const uint8_t nobody[] = {0};
    const uint8_t learner[] = {1, 9, 0, 0, 0, 0, 0, 0, 0, 2};
    const uint8_t no_id[] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    const uint8_t no_role[] = {1, 9, 0, 0, 0, 0, 0, 0, 0, 3};
    const uint8_t twice[] = {2, 9, 0, 0, 0, 0, 0, 0, 0, 1,
                             9, 0, 0, 0, 0, 0, 0, 0, 1};
    uint8_t many[RAFT_CONFIG_BYTES_MAX + 9] = {RAFT_MEMBERS_MAX + 1};

    (void)s;
    assert_no_config(nobody, 0);
    assert_no_config(nobody, sizeof nobody);
    assert_no_config(learner, sizeof learner); /* a voter there must be */
    assert_no_config(no_id, sizeof no_id);
    assert_no_config(no_role, sizeof no_role);
    assert_no_config(twice, sizeof twice);
    for (size_t i = 0; i < RAFT_MEMBERS_MAX + 1u; i++) {
        many[1 + 9 * i] = (uint8_t)(i + 1);
        many[1 + 9 * i + 8] = 1;
    }
    assert_no_config(many, sizeof many);
}

static void a_part_is_refused(void **s)
{
    const uint8_t two[] = {2, 8, 0, 0, 0, 0, 0, 0, 0, 1,
                           9, 0, 0, 0, 0, 0, 0, 0, 1};
    struct raft_config config;

    (void)s;
    for (size_t size = 0; size < sizeof two; size++)
        assert_no_config(two, size);
    assert_int_equal(raft_config_decode(slice(two, sizeof two), &config),
                     sizeof two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(the_bytes_are_as_drawn),
        unit(what_was_encoded_is_decoded),
        unit(what_is_no_configuration_is_refused),
        unit(a_part_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
