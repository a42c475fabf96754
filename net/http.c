/* The two pages, and libmicrohttpd inside the loop.
 *
 *   epoll readable (uv_poll) ──┐
 *                              ├─▶ MHD_run ─▶ on_request ─▶ reply
 *   its own timeout (uv_timer)─┘      └─▶ arm the timer anew */
#include "net/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/text.h"
#include "net/socket.h"

#define CONNECTION_BYTES_MAX 16384 /* for a request's line and headers */

struct http {
    struct http_handler handler;
    struct MHD_Daemon *daemon;
    uint16_t port;
    uv_poll_t poll;
    uv_timer_t timer;
    unsigned handles; /* not yet closed */
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* ---- Pages ---- */

/* Takes @response. */
static enum MHD_Result reply(struct MHD_Connection *c, unsigned code,
                             struct MHD_Response *response)
{
    enum MHD_Result result;

    if (response == NULL)
        return MHD_NO; /* no memory: closes the connection */
    result = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                     "application/json");
    if (result == MHD_YES)
        result = MHD_add_response_header(
            response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (result == MHD_YES && code == MHD_HTTP_METHOD_NOT_ALLOWED)
        result = MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW,
                                         "GET, HEAD");
    if (result == MHD_YES)
        result = MHD_queue_response(c, code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result reply_error(struct MHD_Connection *c, unsigned code,
                                   const char *json)
{
    return reply(c, code,
                 MHD_create_response_from_buffer(strlen(json),
                                                 (void *)(uintptr_t)json,
                                                 MHD_RESPMEM_PERSISTENT));
}

/* Takes @json, malloc-ed or NULL. */
static enum MHD_Result reply_json(struct MHD_Connection *c, unsigned code,
                                  char *json)
{
    struct MHD_Response *response;

    if (json == NULL)
        return reply_error(c, MHD_HTTP_INTERNAL_SERVER_ERROR,
                           "{\"error\":\"internal error\"}\n");
    response = MHD_create_response_from_buffer(strlen(json), json,
                                               MHD_RESPMEM_MUST_FREE);
    if (response == NULL)
        free(json);
    return reply(c, code, response);
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c,
                                  const char *url, const char *method,
                                  const char *version, const char *upload,
                                  size_t *upload_size, void **request_ctx)
{
    struct http *h = ctx;
    bool is_healthy = false;
    char *json;

    (void)version;
    (void)upload;
    (void)upload_size;
    (void)request_ctx; /* answered at the first call: no body is awaited */
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 &&
        strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return reply_error(c, MHD_HTTP_METHOD_NOT_ALLOWED,
                           "{\"error\":\"only GET and HEAD\"}\n");
    if (strcmp(url, "/debug/status") == 0)
        return reply_json(c, MHD_HTTP_OK, h->handler.status(h->handler.ctx));
    if (strcmp(url, "/health") == 0) {
        json = h->handler.health(h->handler.ctx, &is_healthy);
        return reply_json(
            c, is_healthy ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, json);
    }
    return reply_error(c, MHD_HTTP_NOT_FOUND,
                       "{\"error\":\"no such page: there are /health and "
                       "/debug/status\"}\n");
}

/* ---- The loop ---- */

static void on_timer(uv_timer_t *timer);

static unsigned connection_count(const struct http *h)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

    return info != NULL ? info->num_connections : 0;
}

static void run(struct http *h)
{
    const unsigned before = connection_count(h);
    MHD_UNSIGNED_LONG_LONG wait_ms;

    (void)MHD_run(h->daemon); /* fails on misuse only */
    /* At its limit, or the process's, the daemon stops listening, and looks
     * whether it may begin again only when it is run: with nothing left to wake
     * it, never. */
    if (connection_count(h) < before)
        (void)MHD_run(h->daemon);
    /* Never at once: libuv would call us again and again, and nobody else. */
    if (MHD_get_timeout(h->daemon, &wait_ms) == MHD_YES)
        (void)uv_timer_start(&h->timer, on_timer, wait_ms > 0 ? wait_ms : 1,
                             0); /* is open */
    else
        (void)uv_timer_stop(&h->timer); /* never fails */
}

static void on_timer(uv_timer_t *timer)
{
    run(timer->data);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status; /* MHD looks for itself */
    (void)events;
    run(poll->data);
}

/* ---- First and last ---- */

/* The daemon owns @fd from here on, if it starts. */
static struct MHD_Daemon *daemon_start(struct http *h, int fd)
{
    return MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, on_request, h, MHD_OPTION_LISTEN_SOCKET,
        fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES_MAX,
        MHD_OPTION_END);
}

static int poll_start(struct http *h, uv_loop_t *loop)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    int rc;

    if (info == NULL)
        return -ENOTSUP;
    rc = uv_poll_init(loop, &h->poll, info->epoll_fd);
    if (rc < 0)
        return rc;
    h->poll.data = h;
    (void)uv_timer_init(loop, &h->timer); /* never fails */
    h->timer.data = h;
    h->handles = 2;
    (void)uv_poll_start(&h->poll, UV_READABLE, on_readable); /* is open */
    return 0;
}

int http_open(uv_loop_t *loop, const char *listen,
              const struct http_handler *handler, struct http **http_out,
              char *why, size_t why_size)
{
    struct http *h = calloc(1, sizeof *h);
    struct px_text text;
    int fd = -1;
    int rc;

    px_text_init(&text, why, why_size);
    if (h == NULL)
        return -ENOMEM;
    h->handler = *handler;
    /* A client that leaves in the middle of a page is no reason to die. */
    (void)signal(SIGPIPE, SIG_IGN);
    rc = net_socket_listen(listen, &fd, why, why_size);
    if (rc < 0)
        goto fail;
    h->port = net_socket_port(fd);
    h->daemon = daemon_start(h, fd);
    if (h->daemon == NULL) {
        (void)close(fd); /* nothing was written to it */
        rc = -ENOMEM;
        px_text_add(&text, "cannot start HTTP on \"%s\"", listen);
        goto fail;
    }
    rc = poll_start(h, loop);
    if (rc < 0) {
        px_text_add(&text, "cannot poll HTTP on \"%s\": %s", listen,
                    uv_strerror(rc));
        goto fail;
    }
    *http_out = h;
    return 0;
fail:
    if (h->daemon != NULL)
        MHD_stop_daemon(h->daemon); /* closes fd */
    free(h);
    return rc;
}

uint16_t http_port(const struct http *h)
{
    return h->port;
}

static void on_closed(uv_handle_t *handle)
{
    struct http *h = handle->data;
    void (*closed)(void *ctx) = h->closed;
    void *closed_ctx = h->closed_ctx;

    px_assert(h->handles > 0);
    if (--h->handles > 0)
        return;
    free(h);
    if (closed != NULL)
        closed(closed_ctx);
}

void http_close(struct http *h, void (*closed)(void *ctx), void *ctx)
{
    h->closed = closed;
    h->closed_ctx = ctx;
    /* The loop lets go of the descriptor before the daemon closes it. */
    uv_close((uv_handle_t *)&h->poll, on_closed);
    uv_close((uv_handle_t *)&h->timer, on_closed);
    MHD_stop_daemon(h->daemon);
}
