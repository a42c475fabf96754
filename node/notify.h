/* Tells the service manager how a start or a stop is going, by the protocol of
 * sd_notify(3): lines of KEY=value in one datagram to the socket that
 * NOTIFY_SOCKET names, "/path" or "@name" for an abstract one. The protocol is
 * documented as stable, so no library is needed. */
#ifndef NODE_NOTIFY_H
#define NODE_NOTIFY_H

/* @socket_name: what NOTIFY_SOCKET holds; NULL or empty: nobody asked, which is no
 * error. Never waits: the mount is there already, and the manager might wait
 * for it.
 *
 * Errors: -EAGAIN  the manager's queue is full. No effect.
 *         -EINVAL  neither a path nor an abstract name, or too long.
 *         -ENOENT, -ECONNREFUSED and the like: nobody listens. No effect.
 * Thread: any. */
int notify_send(const char *socket_name, const char *text);

#endif
