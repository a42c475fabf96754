/* See boot.h. The note is replaced by rename, so it is never half written. */
#include "store/boot.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "store/key_format.h"

#define NOTE_NAME "boot"
#define NOTE_NAME_NEW "boot.new"
#define NOTE_BYTES_MAX 128
#define NOTE_START "phalanx-state "

int store_boot_id(char id_out[STORE_BOOT_ID_BYTES_MAX + 1])
{
    FILE *f = fopen(STORE_BOOT_ID_FILE, "re");
    int rc = 0;

    if (f == NULL)
        return -errno;
    if (fgets(id_out, STORE_BOOT_ID_BYTES_MAX + 1, f) == NULL)
        rc = -EIO;
    (void)fclose(f); /* it was only read */
    id_out[strcspn(id_out, "\n")] = '\0';
    return rc;
}

static const char *word_of(const struct store_boot *note)
{
    if (note->is_damaged)
        return "damaged";
    if (note->is_closing)
        return "closing";
    if (note->is_looking)
        return "looking";
    return note->is_clean ? "clean" : "dirty";
}

static int note_print(const struct store_boot *note, char *text, size_t size)
{
    return snprintf(text, size, NOTE_START "%" PRIu32 " %s %s\n",
                    STORE_STATE_FORMAT, word_of(note), note->id);
}

static bool id_is_sound(const char *id)
{
    size_t size = strnlen(id, STORE_BOOT_ID_BYTES_MAX + 1);

    if (size == 0 || size > STORE_BOOT_ID_BYTES_MAX)
        return false;
    for (size_t i = 0; i < size; i++)
        if (!isgraph((unsigned char)id[i]))
            return false;
    return true;
}

/* The number that a note begins with, of whatever version the rest is; 0 for
 * what begins otherwise. */
static uint32_t format_parse(const char *text)
{
    size_t start = sizeof NOTE_START - 1;
    uint32_t format;
    char again[NOTE_BYTES_MAX];

    if (strncmp(text, NOTE_START, start) != 0 ||
        sscanf(text + start, "%9" SCNu32, &format) != 1)
        return 0;
    (void)snprintf(again, sizeof again, NOTE_START "%" PRIu32 " ", format);
    return strncmp(text, again, strlen(again)) == 0 ? format : 0;
}

static int note_parse(const char *text, struct store_boot *note_out)
{
    struct store_boot note = {.format = format_parse(text)};
    char word[8], again[NOTE_BYTES_MAX];

    if (note.format > STORE_STATE_FORMAT) {
        *note_out = note;
        return -PX_EFORMAT;
    }
    if (note.format != STORE_STATE_FORMAT) {
        *note_out = note;
        return -PX_ECORRUPT;
    }
    static_assert(STORE_BOOT_ID_BYTES_MAX == 63, "the width in the format");
    if (sscanf(text, NOTE_START "%*u %7s %63s", word, note.id) != 2)
        return -PX_ECORRUPT;
    note.is_clean = strcmp(word, "clean") == 0;
    note.is_damaged = strcmp(word, "damaged") == 0;
    note.is_closing = strcmp(word, "closing") == 0;
    note.is_looking = strcmp(word, "looking") == 0;
    /* Whatever sscanf is lenient about, a note of ours is not. */
    (void)note_print(&note, again, sizeof again); /* it fits: ids are bounded */
    if (strcmp(text, again) != 0)
        return -PX_ECORRUPT;
    *note_out = note;
    return 0;
}

int store_boot_read(struct store_disk *disk, struct store_boot *note_out)
{
    char text[NOTE_BYTES_MAX];
    ssize_t size = store_disk_load(disk, NOTE_NAME, text, sizeof text - 1);

    if (size < 0)
        return (int)size;
    text[size] = '\0';
    return note_parse(text, note_out);
}

int store_boot_write(struct store_disk *disk, const struct store_boot *note)
{
    char text[NOTE_BYTES_MAX];
    int size;

    if (!id_is_sound(note->id))
        return -EINVAL;
    size = note_print(note, text, sizeof text);
    return store_disk_replace(disk, NOTE_NAME, NOTE_NAME_NEW, text,
                              (size_t)size);
}
