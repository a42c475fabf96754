#include "tests/bench/op.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int file_write(const struct op_state *s)
{
    int fd = open(s->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ssize_t n;
    int rc = 0;

    if (fd < 0)
        return -errno;
    n = write(fd, s->value, sizeof s->value);
    if (n != (ssize_t)sizeof s->value)
        rc = n < 0 ? -errno : -EIO;
    if (close(fd) < 0 && rc == 0)
        rc = -errno;
    return rc;
}

static int file_read(const struct op_state *s)
{
    char data[VALUE_BYTES];
    int fd = open(s->path, O_RDONLY | O_CLOEXEC);
    ssize_t n;
    int rc = 0;

    if (fd < 0)
        return -errno;
    n = read(fd, data, sizeof data);
    if (n != (ssize_t)sizeof data)
        rc = n < 0 ? -errno : -EIO;
    else if (memcmp(data, s->value, sizeof data) != 0)
        rc = -EILSEQ; /* not what was written: no figure is worth that */
    if (close(fd) < 0 && rc == 0)
        rc = -errno;
    return rc;
}

int op_once(struct op_state *s)
{
    char record[DISK_RECORD_BYTES];

    switch (s->op->kind) {
    case OP_FILE_WRITE:
        return file_write(s);
    case OP_FILE_READ:
        return file_read(s);
    case OP_DISK:
        memset(record, s->value[0], sizeof record);
        return disk_log_append(&s->log, record, sizeof record);
    case OP_ETCD_PUT:
        return etcd_client_put(s->etcd, s->path, s->value, sizeof s->value);
    case OP_ETCD_GET:
        return etcd_client_get(s->etcd, s->path);
    }
    return -EINVAL;
}

int op_begin(struct op_state *s, const struct op *op, unsigned worker)
{
    int rc = -EINVAL;

    s->op = op;
    memset(s->value, 'a' + (int)(worker % 26), sizeof s->value);
    switch (op->kind) {
    case OP_FILE_WRITE:
    case OP_FILE_READ:
        snprintf(s->path, sizeof s->path, "%s/f%u", op->folder, worker);
        rc = file_write(s);
        break;
    case OP_DISK:
        snprintf(s->path, sizeof s->path, "%s/f%u", op->folder, worker);
        rc = disk_log_open(&s->log, s->path);
        break;
    case OP_ETCD_PUT:
    case OP_ETCD_GET:
        snprintf(s->path, sizeof s->path, "f%u", worker);
        rc = etcd_client_open(op->port, &s->etcd);
        if (rc == 0)
            rc = etcd_client_put(s->etcd, s->path, s->value, sizeof s->value);
        break;
    }
    return rc < 0 ? rc : op_once(s);
}
