/* phalanx: the command line, one file a command. A command looks at its
 * arguments, says what it found in plain words on @out, or in one sentence on
 * @err what is wrong and what to do, and ends with
 *
 *   0  done
 *   1  refused, or failed: nothing was changed
 *   2  wrong usage
 *   3  outcome unknown: it may take effect, or have done so
 *
 *   main.c     the process: streams, terminal, environment
 *   cli.c      the table of commands, help, what they share
 *   member.c   phalanx member: asks a running cluster (ask.h)
 *   recover.c  phalanx recover: works on a data folder (survivor.h, rebuild.h)
 *
 * Thread: one. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>

enum cli_status {
    CLI_DONE = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_UNKNOWN = 3,
};

/* The world of a command; tests give it another. */
struct cli {
    FILE *in;
    FILE *out;
    FILE *err;
    bool is_terminal; /* @in and @err are: a person can be asked */
    char *const *environment;
};

/* @argv[0] is the program's name. The exit status. */
enum cli_status cli_main(const struct cli *c, int argc, char **argv);

/* One sentence, without a newline, behind the program's name; returns @status.*/
enum cli_status cli_say(const struct cli *c, enum cli_status status,
                        const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* What getopt_long has refused, @letter being '?' or ':' (its options begin
 * with ":"). @command is named in the sentence. */
enum cli_status cli_bad_option(const struct cli *c, const char *command,
                               int letter, char **argv);
/* Of the environment; NULL: not set, or empty. */
const char *cli_variable(const struct cli *c, const char *name);

/* Text from outside as it may stand in a sentence: its beginning, on one line.
 */
struct cli_quote {
    char text[84];
};
struct cli_quote cli_quote(const char *text);

/* The commands. @argv[0] is the command's name. */
enum cli_status cli_member(const struct cli *c, int argc, char **argv);
enum cli_status cli_recover(const struct cli *c, int argc, char **argv);

#endif
