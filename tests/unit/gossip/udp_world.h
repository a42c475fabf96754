/* Members on real sockets, in one loop. Waited for are conditions alone; a
 * watchdog fails a test that would wait for ever.
 *
 * A process has a loopback address and a label for itself: a member without seeds
 * asks the ports of its address, where other tests that run meanwhile would be
 * members, too, or whatever else listens. */
#ifndef TEST_GOSSIP_UDP_WORLD_H
#define TEST_GOSSIP_UDP_WORLD_H

#include "gossip/packet_format.h"
#include "gossip/udp_core.h"

#define NODES_MAX 20u

struct udp_node {
    struct swim_udp *udp;
    unsigned alive;
    unsigned left;
    unsigned found;
    bool has_left;
    bool is_closed;
};

struct udp_world {
    uv_loop_t loop;
    uv_timer_t tick; /* so that a turn ends although no socket stirs */
    uv_timer_t watchdog;
    struct udp_node nodes[NODES_MAX];
    size_t count;
};

void udp_world_open(struct udp_world *w);
/* Fails if anything was left open. */
void udp_world_close(struct udp_world *w);
void udp_run_until(struct udp_world *w, bool (*is_done)(struct udp_world *w));

/* Of this process. */
const char *udp_label(void);
const char *udp_ip(void);
struct sockaddr_in udp_address_of(uint16_t port);

/* Of the next node: "a", then "b" ... at udp_ip. */
struct swim_udp_options udp_options_of(struct udp_world *w, uint16_t port);
/* Returns the port. */
uint16_t udp_open_node(struct udp_world *w, const struct swim_udp_options *o);
struct swim_status udp_status(const struct udp_world *w, size_t i);

#endif
