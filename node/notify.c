#include "node/notify.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* An abstract name begins with a null byte and has no other: its length says
 * where it ends. */
static int address_of(const char *name, struct sockaddr_un *out,
                      socklen_t *size_out)
{
    size_t size = strlen(name);

    if ((name[0] != '/' && name[0] != '@') || size < 2 ||
        size >= sizeof out->sun_path)
        return -EINVAL;
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(out->sun_path, name, size);
    if (name[0] == '@')
        out->sun_path[0] = '\0';
    *size_out = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    return 0;
}

int notify_send(const char *socket_name, const char *text)
{
    struct sockaddr_un address;
    socklen_t address_size;
    int fd;
    int rc;

    if (socket_name == NULL || socket_name[0] == '\0')
        return 0;
    rc = address_of(socket_name, &address, &address_size);
    if (rc < 0)
        return rc;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* A datagram is sent whole or not at all. */
    if (sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
               (const struct sockaddr *)&address, address_size) < 0)
        rc = -errno;
    (void)close(fd); /* what was sent is with the other side */
    return rc;
}
