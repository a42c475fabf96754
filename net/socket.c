/* Listening sockets are made here, not by the libraries that use them, so that
 * both faces of a node (peers, HTTP) treat families the same and a port in use
 * is one clear sentence. */
#include "net/socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"
#include "net/addr.h"

#define KEEPALIVE_IDLE_S 2
#define KEEPALIVE_INTERVAL_S 1
#define KEEPALIVE_PROBES 10

static int set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

static int listen_at(const struct sockaddr *address, socklen_t size,
                     int *fd_out)
{
    int fd = socket(address->sa_family,
                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    int rc;

    if (fd < 0)
        return -errno;
    /* A restart must not wait for the old connections' TIME_WAIT. */
    rc = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (rc == 0 && address->sa_family == AF_INET6)
        rc = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    if (rc == 0 && bind(fd, address, size) < 0)
        rc = -errno;
    if (rc == 0 && listen(fd, SOMAXCONN) < 0)
        rc = -errno;
    if (rc < 0) {
        (void)close(fd); /* nothing was written to it */
        return rc;
    }
    *fd_out = fd;
    return 0;
}

static int listen_any(uint16_t port, int *fd_out)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_port = htons(port),
                              .sin6_addr = IN6ADDR_ANY_INIT};
    struct sockaddr_in v4 = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_ANY)};
    int rc = listen_at((const struct sockaddr *)&v6, sizeof v6, fd_out);

    if (rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL) /* no IPv6 here */
        rc = listen_at((const struct sockaddr *)&v4, sizeof v4, fd_out);
    return rc;
}

static int listen_name(const struct net_addr *addr, int *fd_out, char *why,
                       size_t why_size)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    struct px_text text;
    int rc = getaddrinfo(addr->host, NULL, &hints, &found);

    if (rc != 0) {
        px_text_init(&text, why, why_size);
        px_text_add(&text, "cannot listen on \"%s\": %s", addr->host,
                    gai_strerror(rc));
        return -EADDRNOTAVAIL;
    }
    rc = -EADDRNOTAVAIL;
    for (struct addrinfo *it = found; it != NULL && rc < 0; it = it->ai_next) {
        if (it->ai_family == AF_INET)
            ((struct sockaddr_in *)(void *)it->ai_addr)->sin_port =
                htons(addr->port);
        else if (it->ai_family == AF_INET6)
            ((struct sockaddr_in6 *)(void *)it->ai_addr)->sin6_port =
                htons(addr->port);
        else
            continue;
        rc = listen_at(it->ai_addr, it->ai_addrlen, fd_out);
    }
    freeaddrinfo(found);
    return rc;
}

int net_socket_listen(const char *listen, int *fd_out, char *why,
                      size_t why_size)
{
    struct net_addr addr;
    struct px_text text;
    int rc;

    px_text_init(&text, why, why_size);
    rc = net_addr_parse_listen(listen, &addr);
    if (rc < 0) {
        px_text_add(&text,
                    "\"%s\" is not an address to listen on: write host:port, "
                    "[IPv6]:port or :port",
                    listen);
        return rc;
    }
    if (addr.host[0] == '\0' || strcmp(addr.host, "::") == 0)
        rc = listen_any(addr.port, fd_out);
    else
        rc = listen_name(&addr, fd_out, why, why_size);
    if (rc < 0 && why[0] == '\0')
        px_text_add(&text, "cannot listen on \"%s\": %s", listen,
                    px_strerror(rc));
    return rc;
}

uint16_t net_socket_port(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;

    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        return 0;
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)(void *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)(void *)&address)->sin_port);
}

void net_socket_tune(int fd, px_ns timeout)
{
    const px_ns timeout_ms = timeout / PX_NS_PER_MS;

    /* All of these make a connection quicker or end it sooner; without one of
     * them it still works, so their failure is not an error. */
    (void)set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    (void)set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    (void)set(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    (void)set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    (void)set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
    /* Across a partition TCP's retransmissions back off to tens of seconds,
     * and would sleep on after it has healed. Better to break, and dial. */
    (void)set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
              timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms);
}
