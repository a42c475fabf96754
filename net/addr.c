/* Splits host:port. Names are not looked up here: an address that cannot be
 * one is refused at the start, whether it answers is found out by dialling. */
#include "net/addr.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define PORT_DIGITS_MAX 5

static int parse_port(const char *text, uint32_t port_min, uint16_t *port_out)
{
    size_t digits = strspn(text, "0123456789");
    uint32_t port = 0;

    if (digits == 0 || digits > PORT_DIGITS_MAX || text[digits] != '\0')
        return -EINVAL;
    for (size_t i = 0; i < digits; i++)
        port = port * 10 + (uint32_t)(text[i] - '0');
    if (port < port_min || port > UINT16_MAX)
        return -EINVAL;
    *port_out = (uint16_t)port;
    return 0;
}

/* The name of an interface, which may have any letters; but nodes tell each
 * other addresses as words. */
static bool is_zone(const char *zone)
{
    size_t size = 0;

    while (isgraph((unsigned char)zone[size]))
        size++;
    return size > 0 && zone[size] == '\0';
}

/* What stands between brackets: an IPv6 address, perhaps with a zone. */
static bool is_ipv6(const char *host)
{
    char address[INET6_ADDRSTRLEN];
    size_t size = strcspn(host, "%");
    struct in6_addr binary;

    if (size >= sizeof address)
        return false;
    if (host[size] == '%' && !is_zone(host + size + 1))
        return false;
    memcpy(address, host, size);
    address[size] = '\0';
    return inet_pton(AF_INET6, address, &binary) == 1;
}

/* A name or an IPv4 address; empty is "any". Names with other characters
 * exist nowhere but in typing errors. */
static bool is_name(const char *host)
{
    for (; *host != '\0'; host++) {
        if (!isalnum((unsigned char)*host) && strchr(".-_", *host) == NULL)
            return false;
    }
    return true;
}

static int parse(const char *text, uint32_t port_min, struct net_addr *out)
{
    struct net_addr addr = {0};
    const bool is_bracketed = text[0] == '[';
    const char *host = is_bracketed ? text + 1 : text;
    const size_t size = strcspn(host, is_bracketed ? "]" : ":");
    const char *rest = host + size;
    int rc;

    if (size >= sizeof addr.host)
        return -EINVAL;
    memcpy(addr.host, host, size);
    if (is_bracketed && *rest++ != ']')
        return -EINVAL;
    if (*rest++ != ':')
        return -EINVAL;
    if (is_bracketed ? !is_ipv6(addr.host) : !is_name(addr.host))
        return -EINVAL;
    rc = parse_port(rest, port_min, &addr.port);
    if (rc < 0)
        return rc;
    *out = addr;
    return 0;
}

int net_addr_parse(const char *text, struct net_addr *out)
{
    return parse(text, 1, out);
}

int net_addr_parse_listen(const char *text, struct net_addr *out)
{
    return parse(text, 0, out);
}
