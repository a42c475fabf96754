/* This machine's loopback address, which tests that run at once share: ports and
 * names that nobody else has, and pages of the servers there. */
#ifndef TESTS_LIB_LOOPBACK_H
#define TESTS_LIB_LOOPBACK_H

#include <stddef.h>

/* TCP ports on the loopback address that were free a moment ago, outside the
 * range from which the kernel picks for outgoing connections: those could take
 * the port of a node that is down. */
void free_ports(unsigned *ports_out, int count);
/* The first of SWIM_PORTS that nobody else is given: a BIND_PORT for all nodes of
 * one cluster, each of which takes the next that is free. */
unsigned free_gossip_port(void);
/* A CLUSTER for each: clusters on one machine that share a name meet. */
void unique_cluster(char *name, size_t size);

/* GET @path from a server: the status, with the body in @text; -errno. */
int http_get(unsigned port, const char *path, char *text, size_t size);
/* The same by a new socket in the right network, which it closes. */
int http_get_by(int fd, unsigned port, const char *path, char *text,
                size_t size);

#endif
