/* store/command.c: what is encoded is decoded, and nothing else is. */
#include "tests/unit/store/state_fixture.h"

#include "base/rand.h"
#include "store/command.pb-c.h"

static struct px_slice encode(const struct command *c)
{
    struct px_slice bytes;

    assert_int_equal(command_encode(c, &bytes), 0);
    return bytes;
}

static void assert_same_name(struct command_name a, struct command_name b)
{
    assert_int_equal(a.size, b.size);
    if (a.size > 0)
        assert_memory_equal(a.data, b.data, a.size);
}

static void assert_same(const struct command *a, const struct command *b)
{
    assert_int_equal(a->op, b->op);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->session, b->session);
    assert_int_equal(a->sequence, b->sequence);
    assert_int_equal(a->floor, b->floor);
    assert_int_equal(a->time, b->time);
    assert_int_equal(a->uid, b->uid);
    assert_int_equal(a->gid, b->gid);
    assert_int_equal(a->inode, b->inode);
    assert_int_equal(a->parent, b->parent);
    assert_same_name(a->name, b->name);
    assert_int_equal(a->new_parent, b->new_parent);
    assert_same_name(a->new_name, b->new_name);
    assert_int_equal(a->mode, b->mode);
    assert_int_equal(a->offset, b->offset);
    assert_int_equal(a->attrs, b->attrs);
    assert_int_equal(a->atime, b->atime);
    assert_int_equal(a->mtime, b->mtime);
    assert_int_equal(a->attr_uid, b->attr_uid);
    assert_int_equal(a->attr_gid, b->attr_gid);
    assert_int_equal(a->incarnation, b->incarnation);
    assert_int_equal(a->hashed_index, b->hashed_index);
    assert_int_equal(a->state_hash, b->state_hash);
    assert_int_equal(a->voter, b->voter);
    assert_int_equal(a->inode_count, b->inode_count);
    for (size_t i = 0; i < a->inode_count; i++)
        assert_int_equal(a->inodes[i], b->inodes[i]);
    assert_int_equal(a->data_size, b->data_size);
    if (a->data_size > 0)
        assert_memory_equal(a->data, b->data, a->data_size);
}

static const uint64_t some_inodes[] = {1u << 20, UINT64_MAX, 7};

/* One sound command of each operation, every field it uses set. */
static const struct command sound[] = {
    {.op = COMMAND_SESSION_OPEN,
     .name = {"node-0", 6},
     .incarnation = UINT64_MAX},
    {.op = COMMAND_CREATE,
     .flags = COMMAND_EXCLUSIVE,
     .session = 3,
     .sequence = 9,
     .floor = 8,
     .time = INT64_MIN,
     .uid = UINT32_MAX,
     .gid = 100,
     .parent = 1,
     .name = {"a", 1},
     .inode = 300,
     .mode = S_IFREG | 07777},
    {.op = COMMAND_MKDIR,
     .session = 1,
     .parent = 1,
     .name = {"...", 3},
     .inode = 300,
     .mode = 0755},
    {.op = COMMAND_SYMLINK,
     .session = 1,
     .parent = 1,
     .name = {"link", 4},
     .inode = 300,
     .data = "../target",
     .data_size = 9},
    {.op = COMMAND_LINK,
     .session = 1,
     .inode = 300,
     .new_parent = 1,
     .new_name = {"b\n\x80", 3}},
    {.op = COMMAND_UNLINK, .session = 1, .parent = 1, .name = {"a", 1}},
    {.op = COMMAND_RMDIR, .session = 1, .parent = 1, .name = {"a", 1}},
    {.op = COMMAND_RENAME,
     .flags = COMMAND_NOREPLACE,
     .session = 1,
     .parent = 1,
     .name = {"a", 1},
     .new_parent = 2,
     .new_name = {"b", 1}},
    {.op = COMMAND_WRITE,
     .flags = COMMAND_CREATES | COMMAND_TRUNCATES | COMMAND_APPENDS,
     .session = 1,
     .parent = 1,
     .name = {"a", 1},
     .inode = 300,
     .offset = UINT64_MAX,
     .data = "\0\1\2",
     .data_size = 3},
    {.op = COMMAND_SETATTR,
     .flags = COMMAND_KEEPS_SETID,
     .session = 1,
     .inode = 300,
     .attrs = COMMAND_MODE | COMMAND_ATIME | COMMAND_MTIME_NOW,
     .mode = 0600,
     .offset = 5,
     .atime = -1,
     .mtime = INT64_MAX,
     .attr_uid = 1,
     .attr_gid = 2},
    {.op = COMMAND_RELEASE,
     .session = (1u << 24) - 1,
     .inodes = some_inodes,
     .inode_count = 3},
    {.op = COMMAND_REAP,
     .flags = COMMAND_FORCE,
     .session = 1,
     .inodes = some_inodes,
     .inode_count = 1},
    {.op = COMMAND_SET_QUOTA,
     .flags = COMMAND_EXCLUSIVE,
     .session = 1,
     .offset = PX_QUOTA_BYTES_MAX},
    {.op = COMMAND_HASH,
     .session = 1,
     .hashed_index = 4096,
     .state_hash = UINT64_MAX,
     .voter = UINT64_MAX - 1},
};
#define SOUND_COUNT (sizeof sound / sizeof sound[0])

static void every_operation_comes_back_as_it_was(void **state)
{
    struct command_scratch *scratch = command_scratch_new();

    (void)state;
    for (size_t i = 0; i < SOUND_COUNT; i++) {
        struct px_slice bytes = encode(&sound[i]);
        struct command c;

        assert_int_equal(command_decode(bytes, scratch, &c), 0);
        assert_same(&sound[i], &c);
        px_slice_unref(&bytes);
    }
    command_scratch_free(scratch);
}

static void the_largest_command_fits_in_an_entry(void **state)
{
    struct command_scratch *scratch = command_scratch_new();
    char *data = calloc(1, PX_MIB + 1), name[255];
    uint64_t inodes[PX_RELEASE_INODES_MAX + 1];
    struct command c = {.op = COMMAND_WRITE,
                        .flags = COMMAND_CREATES,
                        .session = 1,
                        .inode = UINT64_MAX,
                        .parent = UINT64_MAX,
                        .data = data,
                        .data_size = PX_MIB},
                   back;
    struct px_slice bytes;

    (void)state;
    memset(name, 'n', sizeof name);
    c.name = (struct command_name){name, sizeof name};
    bytes = encode(&c);
    assert_true(bytes.size <= PX_ENTRY_BYTES_MAX);
    assert_int_equal(command_decode(bytes, scratch, &back), 0);
    assert_ptr_equal((const uint8_t *)back.data,
                     bytes.data + bytes.size - PX_MIB); /* not copied */
    px_slice_unref(&bytes);
    c.data_size++;
    assert_int_equal(command_encode(&c, &bytes), -E2BIG);

    memset(inodes, 0xff, sizeof inodes);
    c = (struct command){.op = COMMAND_RELEASE,
                         .session = 1,
                         .inodes = inodes,
                         .inode_count = PX_RELEASE_INODES_MAX};
    bytes = encode(&c);
    assert_int_equal(command_decode(bytes, scratch, &back), 0);
    assert_int_equal(back.inode_count, PX_RELEASE_INODES_MAX);
    px_slice_unref(&bytes);
    c.inode_count++;
    assert_int_equal(command_encode(&c, &bytes), -EINVAL);
    free(data);
    command_scratch_free(scratch);
}

/* Packs without the checks of command_encode: as a faulty peer might. */
static int decode_raw(Phalanx__Store__Command *head, const char *data)
{
    struct command_scratch *scratch = command_scratch_new();
    uint8_t bytes[20000];
    size_t size = phalanx__store__command__get_packed_size(head);
    uint32_t size_le = htole32((uint32_t)size);
    struct command c;
    int rc;

    assert_true(size < 16000);
    memcpy(bytes, &size_le, 4);
    (void)phalanx__store__command__pack(head, bytes + 4);
    memcpy(bytes + 4 + size, data, strlen(data));
    rc = command_decode((struct px_slice){NULL, bytes, 4 + size + strlen(data)},
                        scratch, &c);
    command_scratch_free(scratch);
    return rc;
}

static Phalanx__Store__Command raw_create(void)
{
    Phalanx__Store__Command head;

    phalanx__store__command__init(&head);
    head.op = COMMAND_CREATE;
    head.session = 1;
    head.inode = 300;
    head.parent = 1;
    head.name = (ProtobufCBinaryData){1, (uint8_t *)(uintptr_t) "a"};
    return head;
}

static void malformed_fields_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } bad_names[] = {{"", 0}, {".", 1}, {"..", 2}, {"a/b", 3}, {"a\0b", 3}};
    uint8_t long_name[256];
    Phalanx__Store__Command head = raw_create();

    (void)state;
    assert_int_equal(decode_raw(&head, ""), 0);
    for (size_t i = 0; i < sizeof bad_names / sizeof bad_names[0]; i++) {
        head = raw_create();
        head.name = (ProtobufCBinaryData){
            bad_names[i].size, (uint8_t *)(uintptr_t)bad_names[i].bytes};
        assert_int_equal(decode_raw(&head, ""), -PX_EFORMAT);
    }
    memset(long_name, 'n', sizeof long_name);
    head.name = (ProtobufCBinaryData){255, long_name};
    assert_int_equal(decode_raw(&head, ""), 0);
    head.name.len = 256;
    assert_int_equal(decode_raw(&head, ""), -PX_EFORMAT);

#define REFUSED(field, wrong)                                 \
    do {                                                      \
        head = raw_create();                                  \
        head.field = (wrong);                                 \
        assert_int_equal(decode_raw(&head, ""), -PX_EFORMAT); \
    } while (0)
    REFUSED(op, 0);
    REFUSED(op, 15);
    REFUSED(op, UINT32_MAX);
    REFUSED(session, 0);
    REFUSED(session, 1u << 24);
    REFUSED(inode, 0);
    REFUSED(parent, 0);
    REFUSED(mode, S_IFDIR | 0755);
    REFUSED(mode, 1u << 20);
    REFUSED(flags, COMMAND_APPENDS);
    REFUSED(flags, 1u << 30);
    REFUSED(attrs, 1u << 8);
#undef REFUSED
    head = raw_create();
    assert_int_equal(decode_raw(&head, "data"), -PX_EFORMAT);
    head.op = COMMAND_SYMLINK;
    assert_int_equal(decode_raw(&head, "data"), 0);
    assert_int_equal(decode_raw(&head, ""), -PX_EFORMAT);
    head = raw_create();
    head.op = COMMAND_HASH;
    head.hashed_index = 1;
    assert_int_equal(decode_raw(&head, ""), -PX_EFORMAT);
    head.voter = 1;
    assert_int_equal(decode_raw(&head, ""), 0);
    head.hashed_index = 0;
    assert_int_equal(decode_raw(&head, ""), -PX_EFORMAT);
}

static void a_quota_is_neither_nothing_nor_beyond_all_disks(void **state)
{
    struct command c = {.op = COMMAND_SET_QUOTA, .session = 1};
    struct px_slice bytes;

    (void)state;
    assert_int_equal(command_encode(&c, &bytes), -EINVAL);
    c.offset = PX_QUOTA_BYTES_MAX + 1;
    assert_int_equal(command_encode(&c, &bytes), -EINVAL);
    c.offset = 1;
    bytes = encode(&c);
    px_slice_unref(&bytes);
}

static void fields_of_a_newer_program_are_refused(void **state)
{
    struct command_scratch *scratch = command_scratch_new();
    struct px_slice bytes = encode(&sound[0]);
    uint8_t longer[64];
    uint32_t head_size, head_size_le;
    struct command c;

    (void)state;
    /* Field 100, varint 1: what a later version might add. */
    memcpy(longer, bytes.data, bytes.size);
    memcpy(&head_size_le, longer, 4);
    head_size = le32toh(head_size_le);
    head_size_le = htole32(head_size + 3);
    memcpy(longer, &head_size_le, 4);
    memcpy(longer + bytes.size, "\xa0\x06\x01", 3);
    assert_int_equal(
        command_decode((struct px_slice){NULL, longer, bytes.size + 3}, scratch,
                       &c),
        -PX_EFORMAT);
    px_slice_unref(&bytes);
    command_scratch_free(scratch);
}

/* Every prefix of a sound command: most are malformed, none harms. */
static void a_cut_command_is_refused_or_shorter(void **state)
{
    struct command_scratch *scratch = command_scratch_new();

    (void)state;
    for (size_t i = 0; i < SOUND_COUNT; i++) {
        struct px_slice bytes = encode(&sound[i]);
        size_t head = bytes.size - sound[i].data_size;

        for (size_t size = 0; size < bytes.size; size++) {
            uint8_t *cut = malloc(size + 1); /* for the sanitizer's eyes */
            struct command c;
            int rc;

            memcpy(cut, bytes.data, size);
            rc =
                command_decode((struct px_slice){NULL, cut, size}, scratch, &c);
            if (size < head)
                assert_int_equal(rc, -PX_EFORMAT);
            free(cut);
        }
        px_slice_unref(&bytes);
    }
    command_scratch_free(scratch);
}

/* What decodes also encodes, whatever was done to the bytes. */
static void mutated_bytes_decode_to_sound_commands_or_not_at_all(void **state)
{
    struct command_scratch *scratch = command_scratch_new();
    struct px_rand rand;
    size_t decoded = 0;

    (void)state;
    px_rand_init(&rand, 42);
    for (int round = 0; round < 40000; round++) {
        struct px_slice bytes =
            encode(&sound[px_rand_below(&rand, SOUND_COUNT)]);
        size_t size = bytes.size;
        uint8_t *copy = malloc(size);
        struct command c;

        memcpy(copy, bytes.data, size);
        for (uint64_t n = 1 + px_rand_below(&rand, 4); n > 0; n--)
            copy[px_rand_below(&rand, size)] = (uint8_t)px_rand_next(&rand);
        if (px_rand_below(&rand, 4) == 0)
            size = px_rand_below(&rand, size);
        if (command_decode((struct px_slice){NULL, copy, size}, scratch, &c) ==
            0) {
            struct px_slice again = encode(&c);

            px_slice_unref(&again);
            decoded++;
        }
        free(copy);
        px_slice_unref(&bytes);
    }
    assert_true(decoded > 100); /* or nothing was tested */
    command_scratch_free(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_comes_back_as_it_was),
        cmocka_unit_test(the_largest_command_fits_in_an_entry),
        cmocka_unit_test(malformed_fields_are_refused),
        cmocka_unit_test(a_quota_is_neither_nothing_nor_beyond_all_disks),
        cmocka_unit_test(fields_of_a_newer_program_are_refused),
        cmocka_unit_test(a_cut_command_is_refused_or_shorter),
        cmocka_unit_test(mutated_bytes_decode_to_sound_commands_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
