#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/http.h"

struct site {
    struct world w;
    struct http *http;
    bool is_healthy;
    bool has_status;
    size_t status_size; /* 0: a short one */
    bool is_closed;
};

static char *on_status(void *ctx)
{
    const struct site *s = ctx;
    char *json;

    if (!s->has_status)
        return NULL;
    if (s->status_size == 0)
        return strdup("{\"node_id\":\"a\"}");
    json = malloc(s->status_size + 1);
    assert_non_null(json);
    memset(json, 's', s->status_size);
    json[s->status_size] = '\0';
    return json;
}

static char *on_health(void *ctx, bool *is_healthy_out)
{
    const struct site *s = ctx;

    *is_healthy_out = s->is_healthy;
    return strdup("{\"ok\":1}");
}

static void site_open(struct site *s)
{
    const struct http_handler handler = {s, on_status, on_health};
    char why[256];

    *s = (struct site){.is_healthy = true, .has_status = true};
    world_open(&s->w);
    if (http_open(&s->w.loop, "127.0.0.1:0", &handler, &s->http, why,
                  sizeof why) < 0)
        fail_msg("%s", why);
}

static void on_closed(void *ctx)
{
    struct site *s = ctx;

    assert_false(s->is_closed);
    s->is_closed = true;
}

static bool is_closed(void *ctx)
{
    return ((const struct site *)ctx)->is_closed;
}

static void site_close(struct site *s)
{
    http_close(s->http, on_closed, s);
    world_run_until(&s->w, is_closed, s);
    world_close(&s->w);
}

/* ---- A client, of one request a connection ---- */

struct client {
    int fd;
    char bytes[1 << 20];
    size_t used;
    bool is_ended;
};

static int connect_to(const struct site *s)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(http_port(s->http)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static bool has_ended(void *ctx)
{
    struct client *c = ctx;
    ssize_t n;

    while (!c->is_ended) {
        assert_true(c->used < sizeof c->bytes - 1);
        n = recv(c->fd, c->bytes + c->used, sizeof c->bytes - 1 - c->used,
                 MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n <= 0)
            c->is_ended = true;
        else
            c->used += (size_t)n;
    }
    c->bytes[c->used] = '\0';
    return true;
}

/* The whole answer to @head, which may be cut into pieces by '|'. */
static const char *ask(struct site *s, const char *head)
{
    static struct client c;

    c = (struct client){.fd = connect_to(s)};
    while (*head != '\0') {
        const size_t size = strcspn(head, "|");

        assert_int_equal(send(c.fd, head, size, MSG_NOSIGNAL), (ssize_t)size);
        head += size;
        if (*head == '|')
            head++;
        (void)uv_run(&s->w.loop, UV_RUN_NOWAIT);
    }
    world_run_until(&s->w, has_ended, &c);
    (void)close(c.fd);
    return c.bytes;
}

#define REQUEST(line) line " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

static void has(const char *answer, const char *part)
{
    if (answer == NULL || strstr(answer, part) == NULL)
        fail_msg("no \"%s\" in: %s", part, answer != NULL ? answer : "");
}

static const char *body_of(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");

    assert_non_null(end);
    return end + 4;
}

static void status_is_shown(void **state)
{
    struct site s;
    const char *answer;

    (void)state;
    site_open(&s);
    answer = ask(&s, REQUEST("GET /debug/status"));
    has(answer, "HTTP/1.1 200 ");
    has(answer, "Content-Type: application/json\r\n");
    assert_string_equal(body_of(answer), "{\"node_id\":\"a\"}");
    site_close(&s);
}

static void a_request_may_come_in_pieces(void **state)
{
    struct site s;

    (void)state;
    site_open(&s);
    has(ask(&s, "GE|T /debug/sta|tus HTTP/1.1\r|\nHost: a\r\n|Connection: "
                "close\r\n\r|\n"),
        "{\"node_id\":\"a\"}");
    site_close(&s);
}

static void a_page_larger_than_a_socket_buffer_is_whole(void **state)
{
    struct site s;
    const char *body;

    (void)state;
    site_open(&s);
    s.status_size = 1000000;
    body = body_of(ask(&s, REQUEST("GET /debug/status")));
    assert_int_equal(strlen(body), 1000000);
    assert_int_equal(strspn(body, "s"), 1000000);
    site_close(&s);
}

static void a_status_that_cannot_be_made_is_500(void **state)
{
    struct site s;

    (void)state;
    site_open(&s);
    s.has_status = false;
    has(ask(&s, REQUEST("GET /debug/status")), "HTTP/1.1 500 ");
    site_close(&s);
}

static void health_is_200_or_503(void **state)
{
    struct site s;

    (void)state;
    site_open(&s);
    has(ask(&s, REQUEST("GET /health")), "HTTP/1.1 200 ");
    s.is_healthy = false;
    has(ask(&s, REQUEST("GET /health")), "HTTP/1.1 503 ");
    has(ask(&s, REQUEST("GET /health")), "{\"ok\":1}");
    site_close(&s);
}

static void head_is_the_same_without_a_body(void **state)
{
    struct site s;
    const char *answer;

    (void)state;
    site_open(&s);
    answer = ask(&s, REQUEST("HEAD /health"));
    has(answer, "HTTP/1.1 200 ");
    has(answer, "Content-Length: 8\r\n");
    assert_string_equal(body_of(answer), "");
    site_close(&s);
}

static void other_pages_are_404_and_name_those_there_are(void **state)
{
    static const char *const requests[] = {
        REQUEST("GET /"), REQUEST("GET /debug/status/"),
        REQUEST("GET /debug/../health"), REQUEST("GET /health2"),
        REQUEST("HEAD /debug")};
    struct site s;

    (void)state;
    site_open(&s);
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
        has(ask(&s, requests[i]), "HTTP/1.1 404 ");
    has(ask(&s, requests[0]), "/health");
    has(ask(&s, requests[0]), "/debug/status");
    site_close(&s);
}

static void other_methods_are_405(void **state)
{
    struct site s;
    const char *answer;

    (void)state;
    site_open(&s);
    answer = ask(&s, "POST /health HTTP/1.1\r\nHost: a\r\n"
                     "Connection: close\r\nContent-Length: 3\r\n\r\nabc");
    has(answer, "HTTP/1.1 405 ");
    has(answer, "Allow: GET, HEAD\r\n");
    has(ask(&s, REQUEST("DELETE /debug/status")), "HTTP/1.1 405 ");
    has(ask(&s, REQUEST("PUT /nowhere")), "HTTP/1.1 405 ");
    site_close(&s);
}

static void garbage_is_survived(void **state)
{
    struct site s;

    (void)state;
    site_open(&s);
    (void)ask(&s, "\x16\x03\x01|\r\n\r\n\r\n\r\n x\r\n\r\n");
    has(ask(&s, REQUEST("GET /health")), "HTTP/1.1 200 ");
    site_close(&s);
}

static void clients_beyond_the_limit_wait_or_are_closed(void **state)
{
    int fds[HTTP_CONNECTIONS_MAX];
    struct site s;

    (void)state;
    site_open(&s);
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++)
        fds[i] = connect_to(&s);
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++)
        (void)uv_run(&s.w.loop, UV_RUN_NOWAIT);
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++)
        (void)close(fds[i]);
    has(ask(&s, REQUEST("GET /health")), "HTTP/1.1 200 ");
    site_close(&s);
}

static void closing_with_a_request_halfway(void **state)
{
    struct site s;
    int fd;

    (void)state;
    site_open(&s);
    fd = connect_to(&s);
    assert_int_equal(send(fd, "GET /hea", 8, MSG_NOSIGNAL), 8);
    (void)uv_run(&s.w.loop, UV_RUN_NOWAIT);
    site_close(&s);
    (void)close(fd);
}

static void a_port_in_use_is_one_clear_sentence(void **state)
{
    const struct http_handler handler = {0};
    struct http *second = NULL;
    char listen[64];
    char why[256] = "";
    struct site s;

    (void)state;
    site_open(&s);
    (void)snprintf(listen, sizeof listen, "127.0.0.1:%u", http_port(s.http));
    assert_int_equal(
        http_open(&s.w.loop, listen, &handler, &second, why, sizeof why),
        -EADDRINUSE);
    assert_null(second);
    has(why, listen);
    has(why, "in use");
    site_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_is_shown),
        cmocka_unit_test(a_request_may_come_in_pieces),
        cmocka_unit_test(a_page_larger_than_a_socket_buffer_is_whole),
        cmocka_unit_test(a_status_that_cannot_be_made_is_500),
        cmocka_unit_test(health_is_200_or_503),
        cmocka_unit_test(head_is_the_same_without_a_body),
        cmocka_unit_test(other_pages_are_404_and_name_those_there_are),
        cmocka_unit_test(other_methods_are_405),
        cmocka_unit_test(garbage_is_survived),
        cmocka_unit_test(clients_beyond_the_limit_wait_or_are_closed),
        cmocka_unit_test(closing_with_a_request_halfway),
        cmocka_unit_test(a_port_in_use_is_one_clear_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
