/* One text, one value: paths, addresses, numbers, words. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "fs/fs.h"
#include "net/addr.h"
#include "node/config_core.h"

#define TICK_MS_MAX 10000
#define ELECTION_MAX 10000
#define HEARTBEAT_MAX 2500
#define DEFAULT_REQUEST_TIMEOUT_MS_MIN 5000
#define REQUEST_TIMEOUT_MS_MIN \
    ((uint32_t)(FS_REQUEST_TIMEOUT_MIN / PX_NS_PER_MS))
#define REQUEST_TIMEOUT_MS_MAX 3600000
#define SNAPSHOT_MIB_MAX 65536

const char *config_text_of(const struct config_draft *d, enum config_set s)
{
    return d->text[s] != NULL ? d->text[s] : config_setting(s)->fallback;
}

/* The notes and the mount table show whole paths, and nothing depends on where
 * the server was started from then on. */
static int take_path(struct config_draft *d, enum config_set s,
                     const char *text, char out[CONFIG_TEXT_MAX])
{
    char cwd[CONFIG_TEXT_MAX] = "";
    int n;

    if (strncmp(text, "./", 2) == 0)
        text += 2;
    if (text[0] != '/' && getcwd(cwd, sizeof cwd) == NULL)
        return config_refuse(
            d,
            "%s is relative, and the working folder can't be read "
            "(%s): write a path that begins with /",
            config_name_of(d, s).text, strerrordesc_np(errno));
    n = text[0] == '/' ? snprintf(out, CONFIG_TEXT_MAX, "%s", text)
                       : snprintf(out, CONFIG_TEXT_MAX, "%s/%s",
                                  strcmp(cwd, "/") == 0 ? "" : cwd, text);
    if (n < 0 || n >= CONFIG_TEXT_MAX)
        return config_refuse(
            d, "%s is %zu bytes long: write a path of at most %d",
            config_name_of(d, s).text, strlen(text), CONFIG_TEXT_MAX - 1);
    return 0;
}

int config_take_data_dir(struct config_draft *d, enum config_set s)
{
    struct stat st;

    if (d->text[s] != NULL)
        return take_path(d, s, d->text[s], d->config->data_dir);
    if (stat("/data", &st) == 0 && S_ISDIR(st.st_mode))
        return take_path(d, s, "/data", d->config->data_dir);
    return take_path(d, s, "phalanx-data", d->config->data_dir);
}

int config_take_mount(struct config_draft *d, enum config_set s)
{
    return d->text[s] != NULL ? take_path(d, s, d->text[s], d->config->mount)
                              : 0;
}

bool config_next_item(const char **rest, const char **item, size_t *size)
{
    const char *end;

    if (*rest == NULL)
        return false;
    *item = *rest + strspn(*rest, " \t\n");
    end = *item + strcspn(*item, ",");
    *rest = *end == ',' ? end + 1 : NULL;
    while (end > *item && strchr(" \t\n", end[-1]) != NULL)
        end--;
    *size = (size_t)(end - *item);
    return true;
}

static bool is_item(const char *word, const char *item, size_t size)
{
    return strlen(word) == size && memcmp(word, item, size) == 0;
}

int config_take_mount_options(struct config_draft *d, enum config_set s)
{
    const char *rest = config_text_of(d, s);
    const char *item;
    size_t size;

    while (config_next_item(&rest, &item, &size)) {
        if (is_item("trunc=strict", item, size))
            d->config->strict_truncate = true;
        else if (is_item("trunc=staged", item, size))
            d->config->strict_truncate = false;
        else
            return config_refuse_value(d, s, "trunc=strict or trunc=staged");
    }
    return 0;
}

#define ADDRESS_ADVICE "host:port, as 10.0.0.1:9000, [::1]:9000 or :9000"

static int take_address(struct config_draft *d, enum config_set s,
                        char out[PX_ADDRESS_BYTES_MAX + 1])
{
    const char *text = config_text_of(d, s);
    struct net_addr addr;

    if (strlen(text) > PX_ADDRESS_BYTES_MAX || net_addr_parse(text, &addr) < 0)
        return config_refuse_value(d, s, ADDRESS_ADVICE);
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

/* PEERS says where others reach us; listen there on every interface, unless
 * told otherwise. */
int config_take_grpc_addr(struct config_draft *d, enum config_set s)
{
    const struct config_peer *self = config_find_peer(d->config, d->config->id);
    struct net_addr own;
    int rc;

    if (d->text[s] != NULL || self == NULL || self->address[0] == '\0')
        return take_address(d, s, d->config->grpc_addr);
    rc = net_addr_parse(self->address, &own);
    px_assert(rc == 0); /* config_take_peers has parsed it */
    (void)snprintf(d->config->grpc_addr, sizeof d->config->grpc_addr, "[::]:%u",
                   own.port); /* fits: ten bytes and a port */
    return 0;
}

int config_take_debug_addr(struct config_draft *d, enum config_set s)
{
    if (strcmp(config_text_of(d, s), "off") == 0)
        return 0;
    return take_address(d, s, d->config->debug_addr);
}

int config_take_number(struct config_draft *d, enum config_set s, uint32_t min,
                       uint32_t max, uint32_t *out)
{
    const char *text = config_text_of(d, s);
    char advice[64];
    uint64_t n = 0;
    size_t i;

    for (i = 0; text[i] >= '0' && text[i] <= '9' && n <= max; i++)
        n = n * 10 + (uint64_t)(text[i] - '0');
    if (i == 0 || text[i] != '\0' || n < min || n > max) {
        (void)snprintf(advice, sizeof advice,
                       "a whole number from %" PRIu32 " to %" PRIu32, min, max);
        return config_refuse_value(d, s, advice);
    }
    *out = (uint32_t)n;
    return 0;
}

int config_take_tick_ms(struct config_draft *d, enum config_set s)
{
    uint32_t tick_ms = 0;
    int rc = config_take_number(d, s, 1, TICK_MS_MAX, &tick_ms);

    if (rc == 0)
        d->config->tick = tick_ms * PX_NS_PER_MS;
    return rc;
}

int config_take_election(struct config_draft *d, enum config_set s)
{
    return config_take_number(d, s, 1, ELECTION_MAX,
                              &d->config->election_ticks);
}

int config_take_heartbeat(struct config_draft *d, enum config_set s)
{
    return config_take_number(d, s, 1, HEARTBEAT_MAX,
                              &d->config->heartbeat_ticks);
}

/* Long enough for a leader to be lost and another found, with as much time
 * again to do the work. */
int config_take_request_timeout_ms(struct config_draft *d, enum config_set s)
{
    px_ns longest_election = 2 * d->config->election_ticks * d->config->tick;
    px_ns least = DEFAULT_REQUEST_TIMEOUT_MS_MIN * PX_NS_PER_MS;
    uint32_t timeout_ms = 0;
    int rc;

    if (d->text[s] == NULL) {
        d->config->request_timeout =
            2 * longest_election > least ? 2 * longest_election : least;
        return 0;
    }
    rc = config_take_number(d, s, REQUEST_TIMEOUT_MS_MIN,
                            REQUEST_TIMEOUT_MS_MAX, &timeout_ms);
    if (rc == 0)
        d->config->request_timeout = timeout_ms * PX_NS_PER_MS;
    return rc;
}

int config_take_snapshot_mib(struct config_draft *d, enum config_set s)
{
    uint32_t mib = 0;
    int rc = config_take_number(d, s, 1, SNAPSHOT_MIB_MAX, &mib);

    if (rc == 0)
        d->config->snapshot_bytes = (uint64_t)mib * PX_MIB;
    return rc;
}

int config_take_quota_bytes(struct config_draft *d, enum config_set s)
{
    const char *text = config_text_of(d, s);

    if (px_bytes_parse(text, strlen(text), &d->config->quota_bytes) < 0 ||
        d->config->quota_bytes > PX_QUOTA_BYTES_MAX)
        return config_refuse_value(
            d, s, "a number of bytes up to 1024T, as 8G, 512M or 1000000");
    return 0;
}

int config_take_log_level(struct config_draft *d, enum config_set s)
{
    if (px_note_level_parse(config_text_of(d, s), &d->config->log_level) < 0)
        return config_refuse_value(d, s, "error, warn, info or debug");
    return 0;
}

int config_take_distrust_state(struct config_draft *d, enum config_set s)
{
    d->config->distrust_state = d->text[s] != NULL;
    return 0;
}
