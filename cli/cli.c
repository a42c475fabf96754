/* What the commands share, and the table of them. */
#include "cli/cli.h"

#include <ctype.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>

static const struct {
    const char *name;
    const char *meaning;
    enum cli_status (*run)(const struct cli *c, int argc, char **argv);
} commands[] = {
    {"member",
     "who belongs to the cluster: list, add, promote, remove, transfer",
     cli_member},
    {"recover", "the last resort: a new cluster from one node's data",
     cli_recover},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

enum cli_status cli_say(const struct cli *c, enum cli_status status,
                        const char *format, ...)
{
    va_list args;

    (void)fflush(c->out); /* in the order in which things were said */
    (void)fputs("phalanx: ", c->err);
    va_start(args, format);
    (void)vfprintf(c->err, format, args); /* there is nobody else to tell */
    va_end(args);
    (void)fputc('\n', c->err);
    return status;
}

struct cli_quote cli_quote(const char *text)
{
    struct cli_quote q;
    size_t n = 0;

    for (; text[n] != '\0' && n < sizeof q.text - 4; n++)
        q.text[n] = isprint((unsigned char)text[n]) ? text[n] : '?';
    (void)strcpy(q.text + n, text[n] == '\0' ? "" : "..."); /* it fits */
    return q;
}

const char *cli_variable(const struct cli *c, const char *name)
{
    const size_t size = strlen(name);

    for (char *const *at = c->environment; *at != NULL; at++) {
        if (strncmp(*at, name, size) == 0 && (*at)[size] == '=' &&
            (*at)[size + 1] != '\0')
            return *at + size + 1;
    }
    return NULL;
}

enum cli_status cli_bad_option(const struct cli *c, const char *command,
                               int letter, char **argv)
{
    const char word[] = {'-', (char)optopt, '\0'};
    /* A long option leaves optopt 0, or the value of its row, which begin
     * behind the letters. */
    bool is_letter = optopt > 0 && optopt <= CHAR_MAX;

    if (letter == ':')
        return cli_say(c, CLI_USAGE, "%s takes a value: see phalanx %s --help",
                       cli_quote(argv[optind - 1]).text, command);
    return cli_say(c, CLI_USAGE,
                   "%s is not an option of %s, or takes no value: see "
                   "phalanx %s --help",
                   cli_quote(is_letter ? word : argv[optind - 1]).text, command,
                   command);
}

static void print_help(const struct cli *c)
{
    (void)fprintf(c->out, "phalanx: looks after clusters of phalanx-server.\n"
                          "\n"
                          "Usage: phalanx COMMAND [ARGUMENT]...\n"
                          "\n");
    for (size_t i = 0; i < COMMANDS; i++)
        (void)fprintf(c->out, "  %-8s  %s\n", commands[i].name,
                      commands[i].meaning);
    (void)fprintf(c->out,
                  "\n"
                  "phalanx COMMAND --help says more; phalanx --version which "
                  "this is.\n"
                  "\n"
                  "Exit status: 0 done, 1 refused or failed, 2 wrong usage,\n"
                  "3 outcome unknown.\n");
}

enum cli_status cli_main(const struct cli *c, int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;

    if (name == NULL)
        return cli_say(c, CLI_USAGE,
                       "write a command, as phalanx member list: phalanx "
                       "--help lists them");
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(c, argc - 1, argv + 1);
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "--version") == 0) {
        if (argc > 2)
            return cli_say(c, CLI_USAGE, "%s stands alone", name);
        if (strcmp(name, "--help") == 0)
            print_help(c);
        else
            (void)fprintf(c->out, "phalanx %s\n", PX_VERSION);
        return CLI_DONE;
    }
    return cli_say(c, CLI_USAGE,
                   "\"%s\" is not a command: phalanx --help lists them",
                   cli_quote(name).text);
}
