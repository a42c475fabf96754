/* The small files of a data folder, each of which says something about the rest.
 *
 *   byte 0   which: identity, peers, boot, term, the mark of a wrong state; and
 *            whether the checksum of one of the first two is put right, and
 *            whether the mark is three numbers that are written down first
 *
 * What is read can be written, and reads as the same again. Run as
 *   fuzz_notes -max_len=4096 CORPUS_DIR */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "node/evidence.h"
#include "store/boot.h"
#include "store/identity_file.h"
#include "store/log_term.h"
#include "store/peers_file.h"
#include "store/sealed_json.h"
#include "tests/lib/memdisk.h"

#define STAMP UINT64_C(0x1234)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_identity(struct store_disk *d)
{
    struct store_identity a, b;
    const char *bad;

    if (identity_read(d, &a, &bad) < 0)
        return;
    px_assert(identity_write(d, &a) == 0);
    px_assert(d->remove(d, IDENTITY_NAME) == 0); /* the copy does */
    px_assert(identity_read(d, &b, &bad) == 0);
    px_assert(strcmp(a.node, b.node) == 0);
    px_assert(strcmp(a.cluster_name, b.cluster_name) == 0);
    px_assert(a.cluster == b.cluster && a.incarnation == b.incarnation &&
              a.gossip_reserve == b.gossip_reserve && a.promise == b.promise &&
              a.has_log == b.has_log && a.is_begun == b.is_begun &&
              a.is_removed == b.is_removed && a.voter_count == b.voter_count);
}

static void fuzz_peers(struct store_disk *d)
{
    struct store_peers a, b;

    if (peers_file_read(d, &a) < 0)
        return;
    px_assert(peers_file_write(d, &a) == 0);
    px_assert(peers_file_read(d, &b) == 0);
    px_assert(a.cluster == b.cluster && a.count == b.count);
    for (size_t i = 0; i < a.count; i++) {
        px_assert(strcmp(a.list[i].name, b.list[i].name) == 0);
        px_assert(strcmp(a.list[i].address, b.list[i].address) == 0);
        px_assert(strcmp(a.list[i].gossip, b.list[i].gossip) == 0);
    }
}

static void fuzz_boot(struct store_disk *d)
{
    struct store_boot a, b;

    if (store_boot_read(d, &a) < 0 || store_boot_write(d, &a) < 0)
        return; /* an id that no machine has is another boot's */
    px_assert(store_boot_read(d, &b) == 0);
    px_assert(strcmp(a.id, b.id) == 0);
    px_assert(a.is_clean == b.is_clean && a.is_damaged == b.is_damaged &&
              a.is_closing == b.is_closing && a.is_looking == b.is_looking);
}

static void fuzz_term(struct store_disk *d)
{
    struct raft_hard_state a, b;

    if (log_term_read(d, STAMP, &a) < 0)
        return;
    px_assert(log_term_write(d, STAMP, a) == 0);
    px_assert(log_term_read(d, STAMP, &b) == 0);
    px_assert(a.term == b.term && a.voted_for == b.voted_for);
}

static void put_mark(const char *dir, const uint8_t *data, size_t size)
{
    char path[64];
    FILE *f;

    (void)snprintf(path, sizeof path, "%s/diverged", dir);
    f = fopen(path, "we");
    px_assert(f != NULL && fwrite(data, 1, size, f) == size);
    px_assert(fclose(f) == 0);
}

static void remove_mark(const char *dir)
{
    char path[64];

    (void)snprintf(path, sizeof path, "%s/diverged", dir);
    px_assert(unlink(path) == 0 && rmdir(dir) == 0);
}

static bool is_same_mark(const struct replica_divergence *a,
                         const struct replica_divergence *b)
{
    return a->index == b->index && a->own == b->own && a->others == b->others;
}

/* There is one, whatever it says. */
static void fuzz_mark(const uint8_t *data, size_t size, bool is_numbers)
{
    char dir[] = "/dev/shm/fuzz-notes-XXXXXX";
    struct replica_divergence a = {.index = 0}, b;
    raft_index heir = size, read;

    px_assert(mkdtemp(dir) != NULL);
    if (is_numbers) {
        memcpy(&a, data, size < sizeof a ? size : sizeof a);
        a.index += a.index == 0;
    } else {
        put_mark(dir, data, size);
        px_assert(evidence_read(dir, &a, &heir) == 0 && a.index > 0);
    }
    px_assert(evidence_mark(dir, &a, heir) == 0);
    px_assert(evidence_read(dir, &b, &read) == 0);
    px_assert(is_same_mark(&a, &b) && read == heir);
    remove_mark(dir);
}

/* Of a JSON object; NULL for anything else. */
static char *seal(const uint8_t *data, size_t size)
{
    json_t *root = json_loadb((const char *)data, size, 0, NULL);
    char *text = NULL;

    if (json_is_object(root)) {
        (void)json_object_del(root, "checksum"); /* there may be none */
        text = sealed_encode(root);
    }
    json_decref(root);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        const char *name;
        void (*fuzz)(struct store_disk *d);
    } files[] = {
        {"identity", fuzz_identity},
        {"peers", fuzz_peers},
        {"boot", fuzz_boot},
        {"term", fuzz_term},
    };
    struct memdisk *m;
    size_t which = size > 0 ? data[0] % 5u : 0;
    bool is_mended = size > 0 && data[0] >= 128;
    char *text;

    if (size == 0)
        return 0;
    if (which == 4) {
        fuzz_mark(data + 1, size - 1, is_mended);
        return 0;
    }
    m = memdisk_new();
    text = is_mended ? seal(data + 1, size - 1) : NULL;
    if (text != NULL)
        memdisk_put(m, files[which].name, text, strlen(text));
    else
        memdisk_put(m, files[which].name, data + 1, size - 1);
    files[which].fuzz(memdisk_disk(m));
    free(text);
    memdisk_free(m);
    return 0;
}
