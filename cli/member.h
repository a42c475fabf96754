/* What phalanx member is made of: arguments to a question, an answer to text.
 */
#ifndef CLI_MEMBER_H
#define CLI_MEMBER_H

#include "cli/ask.h"
#include "cli/cli.h"

struct member_options {
    struct ask_options ask;
    struct net_admin question;
    bool is_json;
    bool is_help;
};

/* CLI_DONE, or CLI_USAGE with the sentence said. @argv[0] is "member"; may be
 * put into another order. */
enum cli_status member_parse(const struct cli *c, int argc, char **argv,
                             struct member_options *out);

/* Lines with columns, below their names. */
void member_print_list(FILE *out, const struct net_admin_reply *r);
/* One JSON object on one line. -ENOMEM. */
int member_print_json(FILE *out, const struct net_admin_reply *r);

#endif
