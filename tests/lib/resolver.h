/* Names without a name server, which may take seconds to know nothing. Linked
 * into a test, its getaddrinfo is called instead of the C library's, in libuv's
 * threads, too, and says at once that nobody knows a name in .invalid. Others
 * it looks up as ever. */
#ifndef TESTS_LIB_RESOLVER_H
#define TESTS_LIB_RESOLVER_H

/* NULL, or asked first, in the thread that looks up: the name to look up in
 * place of @host, which may be just this. Set it before any lookup. */
extern const char *(*resolver_turn)(const char *host);

#endif
