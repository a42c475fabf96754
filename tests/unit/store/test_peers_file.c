/* store/peers_file.c: what is kept of the others is read as it was written, or
 * not at all. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "store/peers_file.h"
#include "store/sealed_json.h"
#include "tests/lib/memdisk.h"

#define CLUSTER UINT64_C(0x00c0ffee00c0ffee)
#define TEXT_BYTES 65536

static struct memdisk *memory;
static struct store_disk *disk;

static int setup(void **state)
{
    (void)state;
    memory = memdisk_new();
    assert_non_null(memory);
    disk = memdisk_disk(memory);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    memdisk_free(memory);
    return 0;
}

static struct store_peers two(void)
{
    return (struct store_peers){
        .cluster = CLUSTER,
        .count = 2,
        .list = {{"b", "10.0.0.2:7947", "10.0.0.2:7946"},
                 {"\xc3\xa9", "", "[fd00::3]:7946"}},
    };
}

static void write_peers(const struct store_peers *p)
{
    assert_int_equal(peers_file_write(disk, p), 0);
}

static void reads_as(const struct store_peers *p)
{
    struct store_peers found;

    assert_int_equal(peers_file_read(disk, &found), 0);
    assert_int_equal(found.cluster, p->cluster);
    assert_int_equal(found.count, p->count);
    for (size_t i = 0; i < p->count; i++) {
        assert_string_equal(found.list[i].name, p->list[i].name);
        assert_string_equal(found.list[i].address, p->list[i].address);
        assert_string_equal(found.list[i].gossip, p->list[i].gossip);
    }
}

static void refused(int error)
{
    struct store_peers out, before;

    memset(&out, 'x', sizeof out);
    before = out;
    assert_int_equal(peers_file_read(disk, &out), error);
    assert_memory_equal(&out, &before, sizeof out);
}

static void store_text(const char *text, size_t size)
{
    assert_int_equal(store_disk_replace(disk, "peers", "peers.new", text, size),
                     0);
}

static void what_is_written_is_read(void **state)
{
    struct store_peers p = two();

    (void)state;
    write_peers(&p);
    reads_as(&p);
    p.count = 1; /* in place of the former */
    write_peers(&p);
    reads_as(&p);
    p.count = 0;
    write_peers(&p);
    reads_as(&p);
}

static void the_longest_of_all_members_fits(void **state)
{
    struct store_peers p = {.cluster = UINT64_MAX, .count = RAFT_MEMBERS_MAX};

    (void)state;
    for (size_t i = 0; i < p.count; i++) {
        memset(p.list[i].name, '"', PX_NODE_ID_BYTES_MAX);
        memset(p.list[i].address, '\\', PX_ADDRESS_BYTES_MAX);
        memset(p.list[i].gossip, '"', PX_ADDRESS_BYTES_MAX);
    }
    write_peers(&p);
    reads_as(&p);
}

static void there_may_be_none(void **state)
{
    (void)state;
    refused(-ENOENT);
}

static void any_damaged_byte_is_noticed(void **state)
{
    const struct store_peers p = two();
    char text[TEXT_BYTES];
    ssize_t size;

    (void)state;
    write_peers(&p);
    size = store_disk_load(disk, "peers", text, sizeof text);
    assert_true(size > 0);
    for (ssize_t i = 0; i < size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            const uint8_t mask = (uint8_t)(1u << bit);
            struct store_peers out;
            int rc;

            assert_true(memdisk_flip(memory, "peers", (uint64_t)i, mask));
            rc = peers_file_read(disk, &out);
            assert_true(rc == -PX_ECORRUPT || rc == -PX_EFORMAT);
            assert_true(memdisk_flip(memory, "peers", (uint64_t)i, mask));
        }
    }
    reads_as(&p);
}

static void a_file_of_any_other_length_is_noticed(void **state)
{
    const struct store_peers p = two();
    static char text[TEXT_BYTES];
    ssize_t size;

    (void)state;
    write_peers(&p);
    size = store_disk_load(disk, "peers", text, sizeof text);
    assert_true(size > 0);
    for (ssize_t cut = 0; cut < size; cut++) {
        store_text(text, (size_t)cut);
        refused(-PX_ECORRUPT);
    }
    text[size] = '}';
    store_text(text, (size_t)size + 1);
    refused(-PX_ECORRUPT);
    memset(text + size, ' ', sizeof text - (size_t)size);
    store_text(text, sizeof text);
    refused(-PX_ECORRUPT);
}

static void another_format_is_told(void **state)
{
    static const char newer[] = "{\"format\":2,\"anything\":\"else\"}";

    (void)state;
    store_text(newer, strlen(newer));
    refused(-PX_EFORMAT);
}

/* @root, sealed as ours are. */
static void refused_though_sealed(json_t *root)
{
    char *text;

    assert_non_null(root);
    text = sealed_encode(root);
    assert_non_null(text);
    store_text(text, strlen(text));
    refused(-PX_ECORRUPT);
    free(text);
    json_decref(root);
}

static json_t *sealed_with(const char *cluster, json_t *members)
{
    return json_pack("{s:i, s:s, s:o}", "format", STORE_PEERS_FORMAT, "cluster",
                     cluster, "members", members);
}

static json_t *one_member(const char *name, const char *address,
                          const char *gossip)
{
    return json_pack("[{s:s, s:s, s:s}]", "name", name, "address", address,
                     "gossip", gossip);
}

static void what_we_would_not_have_written_is_refused(void **state)
{
    static const char good[] = "00c0ffee00c0ffee";
    char name[PX_NODE_ID_BYTES_MAX + 2] = "";
    char address[PX_ADDRESS_BYTES_MAX + 2] = "";
    json_t *many = json_array();

    (void)state;
    memset(name, 'n', sizeof name - 1);
    memset(address, 'a', sizeof address - 1);
    for (size_t i = 0; i <= RAFT_MEMBERS_MAX; i++)
        assert_int_equal(json_array_append_new(
                             many, json_pack("{s:s, s:s, s:s}", "name", "b",
                                             "address", "", "gossip", "")),
                         0);
    refused_though_sealed(sealed_with("0000000000000000", json_array()));
    refused_though_sealed(sealed_with("c0ffee", json_array()));
    refused_though_sealed(sealed_with(good, json_object()));
    refused_though_sealed(sealed_with(good, many));
    refused_though_sealed(sealed_with(good, one_member("", "", "")));
    refused_though_sealed(sealed_with(good, one_member(name, "", "")));
    refused_though_sealed(sealed_with(good, one_member("b", address, "")));
    refused_though_sealed(sealed_with(good, one_member("b", "", address)));
    refused_though_sealed(sealed_with(
        good, json_pack("[{s:s, s:s}]", "name", "b", "address", "")));
}

static void a_write_that_fails_leaves_the_former(void **state)
{
    const struct store_peers p = two();
    struct store_peers other = two();
    unsigned calls;

    (void)state;
    other.count = 1;
    write_peers(&p);
    memdisk_go_on(memory, &(struct memdisk_plan){.fail_at = 0});
    write_peers(&p);
    calls = memdisk_calls(memory);
    assert_true(calls > 0);
    for (unsigned i = 1; i <= calls; i++) {
        struct store_peers found;

        memdisk_go_on(memory,
                      &(struct memdisk_plan){.fail_at = i, .error = ENOSPC});
        assert_int_equal(peers_file_write(disk, &other), -ENOSPC);
        memdisk_go_on(memory, &(struct memdisk_plan){.fail_at = 0});
        assert_int_equal(peers_file_read(disk, &found), 0);
        assert_true(found.count == p.count || found.count == other.count);
        assert_false(memdisk_has(memory, "peers.new"));
        write_peers(&p);
    }
}

#define file_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        file_test(what_is_written_is_read),
        file_test(the_longest_of_all_members_fits),
        file_test(there_may_be_none),
        file_test(any_damaged_byte_is_noticed),
        file_test(a_file_of_any_other_length_is_noticed),
        file_test(another_format_is_told),
        file_test(what_we_would_not_have_written_is_refused),
        file_test(a_write_that_fails_leaves_the_former),
    };

    return cmocka_run_group_tests_name("store/peers_file", tests, NULL, NULL);
}
