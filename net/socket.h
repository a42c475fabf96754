/* Sockets before libuv or libmicrohttpd gets them: where to listen, and the
 * options that a connection between nodes needs. */
#ifndef NET_SOCKET_H
#define NET_SOCKET_H

#include <stddef.h>
#include <stdint.h>

#include "base/time.h"

/* A bound and listening, non-blocking socket for @listen (addr.h; port 0: any
 * free one). "" and "::" take both families where the machine has both.
 * Looks a name up, which may block: for the start of a process.
 * Errors: -EINVAL, -EADDRINUSE and the like; one sentence in @why. */
int net_socket_listen(const char *listen, int *fd_out, char *why,
                      size_t why_size);

/* The port that @fd is bound to. */
uint16_t net_socket_port(int fd);

/* No Nagle; and a peer that has gone without a word is found out within about
 * @timeout, be the connection idle or full. */
void net_socket_tune(int fd, px_ns timeout);

#endif
