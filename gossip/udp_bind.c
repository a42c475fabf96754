/* Addresses between their three forms (ours, text, the kernel's), and the pair
 * of sockets that a member listens on. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gossip/udp_core.h"

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

/* ---- Addresses ---- */

static bool is_v4(const struct swim_addr *addr)
{
    return memcmp(addr->ip, mapped, sizeof mapped) == 0;
}

int swim_addr_parse(const char *text, struct swim_addr *addr_out)
{
    struct swim_addr addr = {.port = 0};

    if (inet_pton(AF_INET6, text, addr.ip) != 1) {
        memcpy(addr.ip, mapped, sizeof mapped);
        if (inet_pton(AF_INET, text, addr.ip + sizeof mapped) != 1)
            return -EINVAL;
    }
    *addr_out = addr;
    return 0;
}

bool swim_addr_is_any(const struct swim_addr *addr)
{
    static const uint8_t zero[16];
    const size_t lead = is_v4(addr) ? sizeof mapped : 0;

    return memcmp(addr->ip + lead, zero, sizeof zero - lead) == 0;
}

bool swim_addr_is_loopback(const struct swim_addr *addr)
{
    static const uint8_t one[16] = {[15] = 1};

    return is_v4(addr) ? addr->ip[12] == 127
                       : memcmp(addr->ip, one, sizeof one) == 0;
}

struct swim_addr swim_addr_of(const struct sockaddr *sockaddr)
{
    struct swim_addr addr = {.port = 0};

    if (sockaddr->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)sockaddr;

        memcpy(addr.ip, mapped, sizeof mapped);
        memcpy(addr.ip + sizeof mapped, &v4->sin_addr, sizeof v4->sin_addr);
        addr.port = ntohs(v4->sin_port);
    } else if (sockaddr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)sockaddr;

        memcpy(addr.ip, &v6->sin6_addr, sizeof addr.ip);
        addr.port = ntohs(v6->sin6_port);
    }
    return addr;
}

bool swim_addr_to(const struct swim_addr *addr, int family,
                  struct sockaddr_storage *sockaddr_out)
{
    memset(sockaddr_out, 0, sizeof *sockaddr_out);
    if (family == AF_INET) {
        struct sockaddr_in *v4 = (void *)sockaddr_out;

        v4->sin_family = AF_INET;
        v4->sin_port = htons(addr->port);
        memcpy(&v4->sin_addr, addr->ip + sizeof mapped, sizeof v4->sin_addr);
        return is_v4(addr);
    } else {
        struct sockaddr_in6 *v6 = (void *)sockaddr_out;

        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(addr->port);
        memcpy(&v6->sin6_addr, addr->ip, sizeof addr->ip);
        return true;
    }
}

static socklen_t size_of(int family)
{
    return family == AF_INET ? sizeof(struct sockaddr_in)
                             : sizeof(struct sockaddr_in6);
}

int swim_addr_towards(const struct swim_addr *to, struct swim_addr *addr_out)
{
    const int family = is_v4(to) ? AF_INET : AF_INET6;
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    int rc = 0;
    int fd;

    if (!swim_addr_to(to, family, &address))
        return -EINVAL;
    fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address, size_of(family)) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        rc = -errno;
    else
        *addr_out = swim_addr_of((struct sockaddr *)&address);
    (void)close(fd); /* nothing was written to it */
    return rc;
}

/* ---- Sockets ---- */

static int bind_one(int type, const struct swim_addr *addr, int family,
                    int *fd_out)
{
    const int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int zero = 0;
    const int one = 1;
    struct sockaddr_storage address;
    int rc = 0;

    if (fd < 0)
        return -errno;
    (void)swim_addr_to(addr, family, &address); /* its family was chosen so */
    if (family == AF_INET6)
        rc = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (rc == 0 &&
        type == SOCK_STREAM) /* connections of before, in TIME_WAIT */
        rc = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (rc == 0)
        rc = bind(fd, (struct sockaddr *)&address, size_of(family));
    if (rc == 0 && type == SOCK_STREAM) /* or another may bind it as well */
        rc = listen(fd, SOMAXCONN);
    if (rc < 0) {
        rc = -errno;
        (void)close(fd); /* nothing was written to it */
        return rc;
    }
    *fd_out = fd;
    return 0;
}

static int port_of(int fd, uint16_t *port_out)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;

    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        return -errno;
    *port_out = swim_addr_of((struct sockaddr *)&address).port;
    return 0;
}

/* Both, or none. */
static int bind_pair(struct swim_addr *addr, int family, int *udp_out,
                     int *tcp_out)
{
    struct swim_addr at = *addr;
    int udp = -1;
    int rc = bind_one(SOCK_DGRAM, &at, family, &udp);

    if (rc < 0)
        return rc;
    rc = port_of(udp, &at.port);
    if (rc == 0)
        rc = bind_one(SOCK_STREAM, &at, family, tcp_out);
    if (rc < 0) {
        (void)close(udp); /* nothing was written to it */
        return rc;
    }
    *addr = at;
    *udp_out = udp;
    return 0;
}

static int bind_family(struct swim_addr *addr, int family, int *udp_out,
                       int *tcp_out)
{
    struct swim_addr at = *addr;
    int rc = -EADDRINUSE;

    /* Port 0: a free UDP port whose TCP port happens to be busy: again. */
    for (unsigned i = 0; i < SWIM_PORTS && rc == -EADDRINUSE; i++) {
        at.port = addr->port == 0 ? 0 : (uint16_t)(addr->port + i);
        if (addr->port != 0 && at.port < addr->port)
            break; /* beyond the last */
        rc = bind_pair(&at, family, udp_out, tcp_out);
    }
    if (rc == 0)
        *addr = at;
    return rc;
}

int swim_bind(struct swim_addr *addr, int *family_out, int *udp_out,
              int *tcp_out)
{
    int rc;

    *family_out = is_v4(addr) ? AF_INET : AF_INET6;
    rc = bind_family(addr, *family_out, udp_out, tcp_out);
    if (*family_out == AF_INET6 && swim_addr_is_any(addr) &&
        (rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL)) { /* no IPv6 here */
        *family_out = AF_INET;
        memcpy(addr->ip, mapped, sizeof mapped);
        rc = bind_family(addr, AF_INET, udp_out, tcp_out);
    }
    return rc;
}
