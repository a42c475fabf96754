#include "tests/bench/status.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define TIMEOUT_S 2
#define PAGE_BYTES_MAX 65536

/* The whole answer, as HTTP/1.0 ends it: with the connection. */
static ssize_t get_page(uint16_t port, char *page, size_t size)
{
    static const char request[] = "GET /debug/status HTTP/1.0\r\n\r\n";
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval timeout = {.tv_sec = TIMEOUT_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t used = 0;
    ssize_t n = -1;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) < 0 ||
        connect(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
        send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0)
        goto out;
    while (used < size && (n = recv(fd, page + used, size - used, 0)) > 0)
        used += (size_t)n;
out:
    if (n < 0)
        n = -errno;
    close(fd);
    return n < 0 ? n : (ssize_t)used;
}

int status_leader(uint16_t port, char *name, size_t size)
{
    static char page[PAGE_BYTES_MAX];
    ssize_t n = get_page(port, page, sizeof page - 1);
    const char *leader;
    const char *body;
    json_t *json;

    if (n < 0)
        return (int)n;
    page[n] = '\0';
    body = strstr(page, "\r\n\r\n");
    json = body == NULL ? NULL : json_loads(body + 4, 0, NULL);
    if (json == NULL)
        return -EPROTO;
    leader = json_string_value(json_object_get(json, "leader_id"));
    if (leader != NULL)
        snprintf(name, size, "%s", leader);
    json_decref(json);
    return leader != NULL && name[0] != '\0' ? 0 : -EAGAIN;
}
