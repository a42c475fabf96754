/* phalanx-server: arguments, one node, an exit status.
 *   0  --help, --version, or stopped by SIGINT or SIGTERM
 *   1  could not start, or failed while running
 *   2  wrong configuration */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/note.h"
#include "node/config.h"
#include "node/node.h"

int main(int argc, char **argv)
{
    static struct config config;
    char why[1024] = "";
    struct node *node;
    int status;

    switch (config_load(argc, argv, environ, &config, why, sizeof why)) {
    case CONFIG_EXIT_OK:
        return 0;
    case CONFIG_BAD:
        (void)fprintf(stderr, "phalanx-server: %s\n", why); /* the last word */
        return 2;
    case CONFIG_RUN:
        break;
    }
    px_note_init(config.log_level, config.node);
    (void)signal(SIGPIPE, SIG_IGN); /* a peer may go while we write */
    if (node_open(&config, &node, why, sizeof why) < 0) {
        (void)fprintf(stderr, "phalanx-server: %s\n", why); /* likewise */
        return 1;
    }
    status = node_run(node);
    node_close(node);
    return status;
}
