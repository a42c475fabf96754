/* What is going to happen, in the order of simulated time; what happens at the
 * same time, in the order in which it was planned. */
#ifndef TESTS_SIM_EVENT_H
#define TESTS_SIM_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/time.h"

struct world;
struct server;

struct event {
    px_ns at;
    uint64_t order;
    /* It happens to this life of this server: not if that has ended, and not
     * while it is stopped. NULL: to the world. */
    struct server *server;
    uint64_t life;
    /* Both free the event; drop: it does not happen any more. */
    void (*run)(struct world *w, struct event *e);
    void (*drop)(struct world *w, struct event *e);
};

struct events {
    struct event **heap;
    size_t count;
    size_t capacity;
    uint64_t planned;
};

/* Memory of @size bytes, whose first member is an event; the others are 0. */
void *event_new(size_t size);
/* For events that hold nothing. */
void event_drop(struct world *w, struct event *e);

void events_add(struct events *q, struct event *e);
/* Back, for a later time, at its old place among those of that time. */
void events_delay(struct events *q, struct event *e, px_ns at);
/* NULL: there is none. */
struct event *events_first(const struct events *q);
struct event *events_take(struct events *q);
void events_fini(struct events *q, struct world *w);

#endif
