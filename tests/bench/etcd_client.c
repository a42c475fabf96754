#include "tests/bench/etcd_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/assert.h"

#define CALL_TIMEOUT_S 10
#define REQUEST_BYTES_MAX 4096
#define REPLY_BYTES_MAX 65536
#define GRPC_HEAD_BYTES 5 /* compressed or not, and the length */

struct etcd_client {
    int fd;
    nghttp2_session *h2;
    uint8_t request[REQUEST_BYTES_MAX];
    size_t request_bytes;
    size_t request_sent;
    uint8_t reply[REPLY_BYTES_MAX];
    size_t reply_bytes;
    int32_t stream;
    bool closed; /* the stream of this call is */
    bool good;   /* grpc-status: 0 */
};

/* ---- protobuf: what three messages need of it ---- */

static size_t put_varint(uint8_t *out, uint64_t v)
{
    size_t n = 0;

    for (; v >= 0x80; v >>= 7)
        out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}

static size_t put_bytes(uint8_t *out, unsigned field, const void *data,
                        size_t bytes)
{
    size_t n = put_varint(out, field << 3 | 2);

    n += put_varint(out + n, bytes);
    memcpy(out + n, data, bytes);
    return n + bytes;
}

struct span {
    const uint8_t *at;
    const uint8_t *end;
};

static bool take_varint(struct span *s, uint64_t *v_out)
{
    uint64_t v = 0;
    unsigned shift;

    for (shift = 0; shift < 64 && s->at < s->end; shift += 7) {
        uint8_t b = *s->at++;

        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            *v_out = v;
            return true;
        }
    }
    return false;
}

/* Finds @field in a message of varints and byte strings: its number in @v_out,
 * or its bytes in @sub_out. */
static bool find(struct span s, unsigned field, uint64_t *v_out,
                 struct span *sub_out)
{
    uint64_t tag;
    uint64_t v;

    while (take_varint(&s, &tag) && take_varint(&s, &v)) {
        struct span sub = {s.at, s.at};

        if ((tag & 7) == 2) {
            if (v > (size_t)(s.end - s.at))
                return false;
            sub.end = s.at += v;
        } else if ((tag & 7) != 0) {
            return false;
        }
        if (tag >> 3 == field) {
            *v_out = v;
            *sub_out = sub;
            return true;
        }
    }
    return false;
}

/* ---- HTTP/2 ---- */

static ssize_t give_request(nghttp2_session *h2, int32_t stream, uint8_t *buf,
                            size_t length, uint32_t *flags,
                            nghttp2_data_source *source, void *ctx)
{
    struct etcd_client *c = ctx;
    size_t n = c->request_bytes - c->request_sent;

    (void)h2, (void)stream, (void)source;
    if (n > length)
        n = length;
    memcpy(buf, c->request + c->request_sent, n);
    c->request_sent += n;
    if (c->request_sent == c->request_bytes)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t stream,
                   const uint8_t *data, size_t bytes, void *ctx)
{
    struct etcd_client *c = ctx;

    (void)h2, (void)flags;
    if (stream != c->stream || bytes > sizeof c->reply - c->reply_bytes)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    memcpy(c->reply + c->reply_bytes, data, bytes);
    c->reply_bytes += bytes;
    return 0;
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_bytes,
                     const uint8_t *value, size_t value_bytes, uint8_t flags,
                     void *ctx)
{
    static const char status[] = "grpc-status";
    struct etcd_client *c = ctx;

    (void)h2, (void)frame, (void)flags;
    if (name_bytes == sizeof status - 1 &&
        memcmp(name, status, name_bytes) == 0)
        c->good = value_bytes == 1 && value[0] == '0';
    return 0;
}

static int on_close(nghttp2_session *h2, int32_t stream, uint32_t error,
                    void *ctx)
{
    struct etcd_client *c = ctx;

    (void)h2, (void)error; /* an error leaves grpc-status unsaid */
    if (stream == c->stream)
        c->closed = true;
    return 0;
}

static int session_new(struct etcd_client *c)
{
    nghttp2_session_callbacks *callbacks;
    int rc;

    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return -ENOMEM;
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks,
                                                              on_data);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    rc = nghttp2_session_client_new(&c->h2, callbacks, c);
    nghttp2_session_callbacks_del(callbacks);
    if (rc != 0 || nghttp2_submit_settings(c->h2, NGHTTP2_FLAG_NONE, NULL, 0))
        return -ENOMEM;
    return 0;
}

/* All that is ready to leave, in one segment. */
static int flush(struct etcd_client *c)
{
    uint8_t out[2 * REQUEST_BYTES_MAX];
    size_t used = 0;

    for (;;) {
        const uint8_t *data;
        ssize_t n = nghttp2_session_mem_send(c->h2, &data);

        if (n < 0 || (size_t)n > sizeof out - used)
            return -EPROTO;
        if (n == 0)
            break;
        memcpy(out + used, data, (size_t)n);
        used += (size_t)n;
    }
    if (used > 0 && send(c->fd, out, used, MSG_NOSIGNAL) != (ssize_t)used)
        return -EIO;
    return 0;
}

static int receive(struct etcd_client *c)
{
    uint8_t in[16384];
    ssize_t n = recv(c->fd, in, sizeof in, 0);

    if (n < 0)
        return -errno;
    if (n == 0)
        return -ECONNRESET;
    if (nghttp2_session_mem_recv(c->h2, in, (size_t)n) != n)
        return -EPROTO;
    return 0;
}

#define HEADER(name, value)                                          \
    {                                                                \
        (uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), \
            sizeof(name) - 1, strlen(value), NGHTTP2_NV_FLAG_NONE    \
    }

/* One call; the request's message is in c->request behind the gRPC head. The
 * answer's message goes to @reply_out. */
static int call(struct etcd_client *c, const char *path, size_t message_bytes,
                struct span *reply_out)
{
    const nghttp2_nv headers[] = {
        HEADER(":method", "POST"),
        HEADER(":scheme", "http"),
        HEADER(":path", path),
        HEADER(":authority", "127.0.0.1"),
        HEADER("content-type", "application/grpc"),
        HEADER("te", "trailers"),
    };
    nghttp2_data_provider body = {.read_callback = give_request};
    uint32_t size = htonl((uint32_t)message_bytes);
    int rc;

    c->request[0] = 0; /* not compressed */
    memcpy(c->request + 1, &size, sizeof size);
    c->request_bytes = GRPC_HEAD_BYTES + message_bytes;
    c->request_sent = c->reply_bytes = 0;
    c->closed = c->good = false;
    c->stream = nghttp2_submit_request(
        c->h2, NULL, headers, sizeof headers / sizeof headers[0], &body, NULL);
    if (c->stream < 0)
        return -EPROTO;
    while (!c->closed) {
        if ((rc = flush(c)) < 0 || (rc = receive(c)) < 0)
            return rc;
    }
    if (!c->good || c->reply_bytes < GRPC_HEAD_BYTES)
        return -EPROTO;
    reply_out->at = c->reply + GRPC_HEAD_BYTES;
    reply_out->end = c->reply + c->reply_bytes;
    return 0;
}

/* ---- the door ---- */

int etcd_client_open(uint16_t port, struct etcd_client **client_out)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval timeout = {.tv_sec = CALL_TIMEOUT_S};
    struct etcd_client *c = calloc(1, sizeof *c);
    int on = 1;
    int rc;

    if (c == NULL)
        return -ENOMEM;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 ||
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
        setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) <
            0 ||
        connect(c->fd, (struct sockaddr *)&a, sizeof a) < 0) {
        rc = -errno;
        goto fail;
    }
    rc = session_new(c);
    if (rc < 0)
        goto fail;
    *client_out = c;
    return 0;
fail:
    etcd_client_close(c);
    return rc;
}

void etcd_client_close(struct etcd_client *c)
{
    if (c == NULL)
        return;
    if (c->h2 != NULL)
        nghttp2_session_del(c->h2);
    if (c->fd >= 0)
        close(c->fd);
    free(c);
}

int etcd_client_put(struct etcd_client *c, const char *key, const void *value,
                    size_t bytes)
{
    uint8_t *out = c->request + GRPC_HEAD_BYTES;
    struct span reply;
    size_t n;

    px_assert(strlen(key) + bytes + 64 <= sizeof c->request);
    n = put_bytes(out, 1, key, strlen(key));
    n += put_bytes(out + n, 2, value, bytes);
    return call(c, "/etcdserverpb.KV/Put", n, &reply);
}

int etcd_client_get(struct etcd_client *c, const char *key)
{
    struct span reply;
    struct span kv;
    uint64_t v;
    size_t n;
    int rc;

    px_assert(strlen(key) + 64 <= sizeof c->request);
    n = put_bytes(c->request + GRPC_HEAD_BYTES, 1, key, strlen(key));
    rc = call(c, "/etcdserverpb.KV/Range", n, &reply);
    if (rc < 0)
        return rc;
    return find(reply, 2, &v, &kv) ? 0 : -ENOENT;
}

int etcd_client_is_leader(struct etcd_client *c, bool *leader_out)
{
    struct span reply;
    struct span header;
    struct span none;
    uint64_t leader = 0;
    uint64_t member = 0;
    uint64_t v;
    int rc = call(c, "/etcdserverpb.Maintenance/Status", 0, &reply);

    if (rc < 0)
        return rc;
    if (!find(reply, 1, &v, &header) || !find(header, 2, &member, &none))
        return -EPROTO;
    (void)find(reply, 4, &leader, &none); /* left out while there is none */
    *leader_out = leader != 0 && leader == member;
    return 0;
}
