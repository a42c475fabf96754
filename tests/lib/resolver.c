#include "tests/lib/resolver.h"

#include <dlfcn.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define NOBODY ".invalid" /* RFC 6761, 6.4 */

const char *(*resolver_turn)(const char *host);

static bool is_nobody(const char *host)
{
    const size_t size = strlen(host);
    const size_t end = strlen(NOBODY);

    return size >= end && strcmp(host + size - end, NOBODY) == 0;
}

int getaddrinfo(const char *restrict host, const char *restrict service,
                const struct addrinfo *restrict hints,
                struct addrinfo **restrict found)
{
    typedef int lookup_fn(const char *, const char *, const struct addrinfo *,
                          struct addrinfo **);
    lookup_fn *real = (lookup_fn *)(uintptr_t)dlsym(RTLD_NEXT, "getaddrinfo");

    if (host != NULL && resolver_turn != NULL)
        host = resolver_turn(host);
    if (host != NULL && is_nobody(host))
        return EAI_NONAME;
    return real(host, service, hints, found);
}
