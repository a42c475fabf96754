/* GET /debug/status and GET /health, on libmicrohttpd, driven by the loop: its
 * epoll descriptor is polled, so that it needs no thread and no lock.
 *
 *   http_open ─▶ the loop runs ─▶ http_close ─▶ the loop runs until `closed`
 *
 * Anything else is 404, which names the two, or 405 when it isn't GET or HEAD; a connection that is
 * idle for HTTP_IDLE_S is closed.
 *
 * Thread: loop. */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define HTTP_CONNECTIONS_MAX 64
#define HTTP_IDLE_S 10

struct http;

struct http_handler {
    void *ctx;
    /* The JSON of /debug/status, malloc-ed; http frees it. NULL: 500. */
    char *(*status)(void *ctx);
    /* The JSON of /health, and whether the node is healthy: 200 or 503. */
    char *(*health)(void *ctx, bool *is_healthy_out);
};

/* @listen as in net.h; port 0: any free one, see http_port. Ignores SIGPIPE for
 * the process.
 * Errors: -EADDRINUSE and the like, one sentence in @why. */
int http_open(uv_loop_t *loop, const char *listen,
              const struct http_handler *handler, struct http **http_out,
              char *why, size_t why_size);
/* The port that is listened on. */
uint16_t http_port(const struct http *h);
/* The handler is not called any more; @closed (or NULL) is called from the
 * loop once @h has been freed. */
void http_close(struct http *h, void (*closed)(void *ctx), void *ctx);

#endif
