/* Nodes that answer admins as a script says, on ports of this machine. */
#ifndef TESTS_UNIT_CLI_FAKE_NODE_H
#define TESTS_UNIT_CLI_FAKE_NODE_H

#include "net/net.h"

/* What is done with one connection. */
enum fake_step {
    FAKE_ANSWER,      /* hello ok, the question is read, @reply is sent */
    FAKE_REFUSE,      /* the hello, for @reason */
    FAKE_CLOSE_HELLO, /* closed instead of an answer to the hello */
    FAKE_CLOSE_ASKED, /* closed instead of an answer to the question */
    FAKE_GARBAGE, /* bytes that are no frame instead of the hello's answer */
    FAKE_SILENT,  /* nothing comes after the hello's answer */
};

struct fake_act {
    enum fake_step step;
    enum net_refusal reason;
    const struct net_admin_reply *reply;
};

#define FAKE_ACTS_MAX 16

struct fake_node;

/* Plays @acts, one a connection, the last again and again. They stay the
 * caller's. */
struct fake_node *fake_node_start(const struct fake_act *acts, size_t count);
/* "127.0.0.1:12345" */
const char *fake_node_address(const struct fake_node *n);
/* Ends it; how many connections there were, and the last question. */
size_t fake_node_stop(struct fake_node *n, struct net_admin *question_out);
/* An address of this machine where nobody listens. */
void fake_nobody(char address[64]);

#endif
