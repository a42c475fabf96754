/* One connection to one node, by blocking calls that end at a deadline; no
 * loop. (Looking a name up ends when the resolver gives up.)
 *
 *   dial_open ─▶ dial_send, dial_receive ... ─▶ dial_close
 *
 * Thread: one. */
#ifndef CLI_DIAL_H
#define CLI_DIAL_H

#include "base/text.h"
#include "base/time.h"
#include "net/reader.h"

struct dial {
    int fd; /* -1: none */
    struct net_reader reader;
    px_ns deadline;
    /* The frame that is waited for. */
    bool (*take)(void *ctx, const struct net_frame_in *frame);
    void *ctx;
    bool is_taken;
};

/* Connects to the first address of host:port that answers.
 * Errors: -errno of the last one that was tried, -ETIMEDOUT, -ENOENT: nobody
 *         knows the name. @why has a sentence. */
int dial_open(struct dial *d, const char *address, px_ns deadline,
              struct px_text *why);
/* Takes the frame over. -ENOMEM (@frame is NULL), -errno, -ETIMEDOUT: some of
 * it may have left. */
int dial_send(struct dial *d, struct net_frame *frame);
/* Waits for one frame, with a head of at most @head_bytes_max and no body, and
 * shows it to @take, which says whether it is what was expected.
 * Errors: -EPROTO, -ECONNRESET (the other side has closed), -ETIMEDOUT, -errno.
 */
int dial_receive(struct dial *d, uint32_t head_bytes_max,
                 bool (*take)(void *ctx, const struct net_frame_in *frame),
                 void *ctx);
/* Harmless on one that was not opened, all zero but fd, which is -1. */
void dial_close(struct dial *d);

#endif
