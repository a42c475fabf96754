/* GET /debug/status and GET /health, on libmicrohttpd, driven by the loop: its
 * epoll descriptor is polled, so that it needs no thread and no lock. */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct http;

struct http_handler {
    void *ctx;
    /* The JSON of /debug/status, malloc-ed; http frees it. NULL: 500. */
    char *(*status)(void *ctx);
    /* The JSON of /health, and whether the node is healthy: 200 or 503. */
    char *(*health)(void *ctx, bool *is_healthy_out);
};

/* Errors: -EADDRINUSE and the like, one sentence in @why. */
int http_open(uv_loop_t *loop, const char *listen,
              const struct http_handler *handler, struct http **http_out,
              char *why, size_t why_size);
void http_close(struct http *h, void (*closed)(void *ctx), void *ctx);

#endif
