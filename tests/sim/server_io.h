/* The world as a server's replica sees it: struct replica_io. */
#ifndef TESTS_SIM_SERVER_IO_H
#define TESTS_SIM_SERVER_IO_H

#include "tests/sim/server.h"

struct replica_io server_io(struct server *s);

#endif
