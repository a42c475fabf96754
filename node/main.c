/* phalanx-server: arguments, one node, an exit status.
 *   0  --help, --version, or stopped by SIGINT or SIGTERM
 *   1  could not start, or failed while running
 *   2  wrong configuration */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/note.h"
#include "node/config.h"
#include "node/node.h"
#include "node/notify.h"

/* To the service manager, if one asked. */
static void tell_manager(const char *text)
{
    int rc = notify_send(getenv("NOTIFY_SOCKET"), text);

    if (rc < 0)
        px_note(PX_NOTE_WARN, "node: can't tell the service manager \"%s\": %s",
                text, px_strerror(rc));
}

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
    (void)signal(SIGUSR1, SIG_IGN); /* who starts or stops has no snapshot */
    if (node_open(&config, &node, why, sizeof why) < 0) {
        (void)fprintf(stderr, "phalanx-server: %s\n", why); /* likewise */
        node_close(node);
        return 1;
    }
    /* Mounted, and the ports are open: what came in by now is served in a
     * moment. Not "has a leader": the first of three nodes would never be up
     * for those who start the other two after it. */
    tell_manager("READY=1");
    status = node_run(node);
    tell_manager("STOPPING=1");
    node_close(node);
    return status;
}
