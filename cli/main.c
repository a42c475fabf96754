/* The process around cli_main. */
#include <signal.h>
#include <unistd.h>

#include "cli/cli.h"

int main(int argc, char **argv)
{
    const struct cli cli = {
        .in = stdin,
        .out = stdout,
        .err = stderr,
        .is_terminal = isatty(STDIN_FILENO) && isatty(STDERR_FILENO),
        .environment = environ,
    };
    enum cli_status status;

    (void)signal(SIGPIPE, SIG_IGN); /* a node may go while we write */
    status = cli_main(&cli, argc, argv);
    /* What could not be shown was not said: a full disk, a closed pipe. */
    if (fflush(stdout) != 0 && status == CLI_DONE)
        status = cli_say(&cli, CLI_FAILED, "can't write what was found");
    return (int)status;
}
