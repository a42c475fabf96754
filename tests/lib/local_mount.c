/* local_mount [-s] [-f] [-d] STATE_DIR MOUNTPOINT: the mount on a local port,
 * served until SIGTERM or SIGINT.
 *
 *   -s  trunc=strict        -d  libfuse's trace
 *   -f  reads as a follower's: none at once */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/local_port.h"

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct local_port_options options = {0};
    struct local_port *port;
    bool is_follower = false;
    sigset_t blocked;
    char why[512];
    int option;

    while ((option = getopt(argc, argv, "sfd")) != -1) {
        if (option == 's')
            options.strict_truncate = true;
        else if (option == 'f')
            is_follower = true;
        else if (option == 'd')
            options.debug = true;
        else
            return 2;
    }
    if (argc - optind != 2) {
        (void)fprintf(stderr,
                      "usage: local_mount [-sfd] STATE_DIR MOUNTPOINT\n");
        return 2;
    }
    options.state_dir = argv[optind];
    options.mountpoint = argv[optind + 1];
    (void)sigaction(SIGTERM, &action, NULL); /* valid numbers: can't fail */
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigemptyset(&blocked);
    (void)sigaddset(&blocked, SIGTERM);
    (void)sigaddset(&blocked, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &blocked, NULL); /* but while it polls */
    if (local_port_open(&options, &port, why, sizeof why) < 0) {
        (void)fprintf(stderr, "local_mount: %s\n", why);
        return 1;
    }
    if (is_follower)
        local_port_follow(port);
    (void)puts("ready"); /* for whoever started us */
    (void)fflush(stdout);
    local_port_run(port, &stop);
    local_port_close(port);
    return 0;
}
