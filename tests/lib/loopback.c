#include "tests/lib/loopback.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"

#define PORT_MIN 10000u /* below the kernel's range, 32768 to 60999 */
#define PORT_MAX 32000u
#define HTTP_MS_MAX 5000 /* a server whose loop hangs, not one that is slow */

static struct sockaddr_in loopback(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port)};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static bool is_free(unsigned port)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool bound;

    assert_true(fd >= 0);
    bound = bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    (void)close(fd);
    return bound;
}

void free_ports(unsigned *ports_out, int count)
{
    /* Two tests at once look in different places. */
    static unsigned port;

    if (port == 0)
        port = PORT_MIN + (unsigned)getpid() * 37 % (PORT_MAX - PORT_MIN);
    for (int found = 0, tries = 0; found < count; tries++) {
        assert_true(tries < 10000);
        port = port + 1 < PORT_MAX ? port + 1 : PORT_MIN;
        if (is_free(port))
            ports_out[found++] = port;
    }
}

unsigned free_gossip_port(void)
{
    unsigned ports[SWIM_PORTS];

    free_ports(ports, SWIM_PORTS);
    return ports[0];
}

void unique_cluster(char *name, size_t size)
{
    static unsigned count;

    (void)snprintf(name, size, "test-%d-%u", (int)getpid(), ++count);
}

static int send_request(int fd, unsigned port, const char *path)
{
    struct sockaddr_in address = loopback(port);
    struct timeval limit = {.tv_sec = HTTP_MS_MAX / 1000};
    char request[256];
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", path);

    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return -errno;
    return send(fd, request, (size_t)n, MSG_NOSIGNAL) == n ? 0 : -errno;
}

int http_get_by(int fd, unsigned port, const char *path, char *text,
                size_t size)
{
    size_t used = 0;
    ssize_t n = 0;
    char *body;
    int status;
    int rc;

    assert_true(fd >= 0);
    rc = send_request(fd, port, path);
    while (rc == 0 && used < size - 1 &&
           (n = recv(fd, text + used, size - 1 - used, 0)) > 0)
        used += (size_t)n;
    if (rc == 0 && n < 0)
        rc = -errno;
    (void)close(fd);
    text[used] = '\0';
    if (rc < 0)
        return rc;
    body = strstr(text, "\r\n\r\n");
    if (sscanf(text, "HTTP/%*s %d", &status) != 1 || body == NULL)
        return -EPROTO;
    memmove(text, body + 4, strlen(body + 4) + 1);
    return status;
}

int http_get(unsigned port, const char *path, char *text, size_t size)
{
    return http_get_by(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port,
                       path, text, size);
}
