/*
 * verbs - finding what the user asked for.
 *
 * waypost [-c FILE] VERB [-c FILE] [arguments]. The last -c wins over earlier
 * ones and over WAYPOST_CONFIG. `--version` and `--help` are verbs too.
 */
#include "relay/main/verbs.h"

#include "policy/vocabulary/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static verb_fn help_verb, version_verb;

#define FILTERS_HELP                                                           \
    "Filters (globs; all that are given must match):\n"                        \
    "  --id ID            one message\n"                                       \
    "  --from PATTERN     sender; '<>' is the null sender\n"                   \
    "  --to PATTERN       a recipient\n"                                       \
    "  --domain PATTERN   a recipient's domain\n"                              \
    "  --client PATTERN   address it came from\n"                              \
    "  --login PATTERN    who sent it\n"                                       \
    "  --state STATE      active, ready, deferred, held, deleted; with "       \
    "commas\n"                                                                 \
    "  --older, --newer DURATION   received before or after: 10min, 2h, 3d\n"  \
    "  --attempts N       tried at least so often\n"                           \
    "  --reason PATTERN   what the last attempt met\n"

/* clang-format off */
static const struct verb verbs[] = {
    { "run", "", run_verb, "the relay, in the foreground",
      "SIGTERM ends it and awaits deliveries that are past their final dot; SIGHUP\n"
      "reads the configuration again without dropping a session. Certificates and\n"
      "users files that change are read again without it.\n"
      "It leaves no core file behind, and only root can look into it with a debugger.\n"
      "\n"
      "Exit codes: 0 after a signal; 75 the queue or a port cannot be had, or the disk\n"
      "failed; 78 the configuration, or a file that it names, is wrong.\n" },
    { "check", "", check_verb,
      "read the configuration and print every fault as FILE:LINE:COLUMN: text",
      "Reads the files that it names too: certificates with their keys (do they fit, do\n"
      "they end soon?), authorities, users, senders, the passwords and tokens of accounts\n"
      "(are they there, may others read them?), tables, with how many entries each has.\n"
      "Run it as the user that the relay runs as.\n"
      "It asks no network; lines with \"warning:\" are what is seldom meant.\n"
      "\n"
      "Exit codes: 0 good, perhaps with warnings; 78 there was a fault.\n" },
    { "explain", "--client IP --from A --to B [--login U] [--helo H] [--size N] [--tls]\n"
      "                [--message FILE] [--listener NAME] [--client-name NAME]\n"
      "                [--certificate C] [--ask] [--config-only] [--all] [--json]",
      explain_verb,
      "what would be said to a client, sender and recipient, and which rule says so",
      "  --client IP        who connects\n"
      "  --from A, --to B   sender ('<>' is the null sender) and recipient\n"
      "  --login U          logged in as U\n"
      "  --helo H           what it says in EHLO; else its address in brackets\n"
      "  --size N           what it declares: 20000, 10MB\n"
      "  --tls              after STARTTLS\n"
      "  --message FILE     this content, so that rules that look into it are tested too\n"
      "  --listener NAME    else the first (with --login, the first that has logins)\n"
      "  --client-name NAME is believed instead of asking for reverse DNS\n"
      "  --certificate C    it shows this one: sha256:HEX, or a name that it proves\n"
      "  --ask              ask policy servers and next hops too: they may remember it\n"
      "  --config-only      what the file says, without the running relay\n"
      "  --all              also the rules that are not reached, each on a line\n"
      "The running relay is asked: its settings, DNS lists, budgets and memory. Nothing is\n"
      "counted, noted or sent. With -c FILE of another configuration, and where no relay\n"
      "runs, the file is read, and what would have to be asked is assumed and said.\n"
      "\n"
      "Exit codes: 0 explained, whatever the verdict is (--json has it); 65 an address is\n"
      "none, or there is no such listener; 66 FILE cannot be read; 75 the relay cannot\n"
      "answer now; 78 configuration.\n" },
    { "queue", "list|show|count|retry|hold|release|delete|undelete [ID] [FILTERS]\n"
      "              [--json] [--yes]",
      queue_verb,
      "look at waiting mail and change it",
      "  list               one line for each message (--json: one object a line)\n"
      "  show ID            all about one message\n"
      "  count              how many messages, recipients and bytes\n"
      "  retry              due now, and their destinations need not rest\n"
      "  hold, release      keep without trying; try again\n"
      "  delete, undelete   can be undone for a day\n"
      "What would change more than one message is only announced without --yes.\n"
      "\n" FILTERS_HELP
      "\n"
      "Exit codes: 0 done, also when nothing matched; 66 there is no such message (show);\n"
      "69 no relay is running; 75 it cannot do it now; 78 configuration.\n" },
    { "dest", "list [NAME] | show NAME | resume NAME | retry NAME | probe NAME |\n"
      "             suspend NAME [--for DURATION] [--reason TEXT] [--json] [--yes]",
      dest_verb,
      "look at the next hops that mail waits for and change what is tried",
      "  list               one line for each: what waits, since when it was not seen\n"
      "  show NAME          all about one\n"
      "  suspend NAME       nothing is sent there: for so long, or until it is resumed;\n"
      "                     also after a restart\n"
      "  resume NAME        ends a suspension, and mail that waits for pick-up goes\n"
      "  retry NAME         the rest of one that could not be reached is over; mail that\n"
      "                     waits for pick-up goes\n"
      "  probe NAME         one connection; when it succeeds all goes\n"
      "NAME may be a pattern (* ? [...]); what would concern more than one destination is\n"
      "only announced without --yes.\n"
      "\n"
      "Exit codes: 0 done, also when nothing matched; 66 there is no such destination\n"
      "(show); 69 no relay is running; 75 it cannot do it now; 78 configuration.\n" },
    { "fetch", "[NAME] [--json]", fetch_verb,
      "have mail fetched from a provider now, and wait for it",
      "Without a NAME: which providers there are, when each was asked the last time, and\n"
      "what came of it.\n"
      "\n"
      "Exit codes: 0 done, also when there was no mail; 64 there is no such provider;\n"
      "69 no relay is running; 75 it did not succeed, try again later; 78 configuration.\n" },
    { "replay", "--config NEW [--since DURATION] [--limit N] [--json]", replay_verb,
      "what would another configuration have decided of past mail?",
      "Judges the recipients of the past once more, by the rules and routes of NEW, and\n"
      "groups what would be otherwise by rule. Nothing is changed, and the relay may run.\n"
      "  --since DURATION   so far back; 7d when not given, at most what the history keeps\n"
      "  --limit N          so many examples of each change; 3 when not given\n"
      "What only the DNS, greylists, limits, policy servers or the message itself could tell\n"
      "is not asked again: rules that -c FILE has too, word for word, are taken to have said\n"
      "then what became of the mail; others are counted as what cannot be told.\n"
      "\n"
      "Exit codes: 0 done, whatever was found; 66 there is no queue yet; 75 the history cannot\n"
      "be read now; 78 one of both configurations is wrong.\n" },
    { "user", "add LOGIN | list | delete LOGIN [--cram]", user_verb,
      "change who may log in: the files that users { } names",
      "  add LOGIN          reads the password as one line of standard input (a terminal\n"
      "                     is asked twice); the password of one that is there is changed\n"
      "  list               each login and the mechanisms that it can use\n"
      "  delete LOGIN       from the users file and the CRAM-MD5 file\n"
      "  --cram             only the CRAM-MD5 file, which holds passwords as they are\n"
      "The relay need not run; when it does, it sees the change within a second.\n"
      "\n"
      "Exit codes: 0 done; 65 this cannot be a password; 67 there is no such user;\n"
      "73, 74, 77 the file cannot be made, written, or is not ours; 78 configuration, or\n"
      "a fault in the file.\n" },
    { "help", "[VERB]", help_verb, "print this, or more of one verb", NULL },
    { "--help", "[VERB]", help_verb, NULL, NULL },
    { "-h", "[VERB]", help_verb, NULL, NULL },
    { "--version", "", version_verb, "print the version", NULL },
};
/* clang-format on */

enum { VERB_COUNT = sizeof(verbs) / sizeof(verbs[0]) };

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < VERB_COUNT; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

static void print_usage(FILE *to, const struct verb *v)
{
    (void)fprintf(to, "waypost %s%s%s%s\n", v->name,
                  v->run == help_verb || v->run == version_verb ? ""
                                                                : " [-c FILE]",
                  *v->arguments ? " " : "", v->arguments);
}

static bool wants_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static void print_overview(FILE *to)
{
    (void)fputs("Waypost, an SMTP relay. Usage: waypost VERB [-c FILE] ...\n\n",
                to);
    for (size_t i = 0; i < VERB_COUNT; i++)
        if (verbs[i].help)
            (void)fprintf(to, "  %-10s %s\n", verbs[i].name, verbs[i].help);
    (void)fputs("\nWithout -c FILE the environment's WAYPOST_CONFIG names the "
                "configuration;\nwithout that either, built-in defaults "
                "serve: mail of this machine on\n127.0.0.1:2525, delivered by "
                "MX. Exit code 64: it was called wrongly; for others\nsee "
                "waypost help VERB.\n",
                to);
}

static int help_verb(const struct verb_call *call)
{
    const struct verb *v;

    if (call->argc == 0) {
        print_overview(stdout);
        return EX_OK;
    }
    v = find_verb(call->argv[0]);
    if (!v)
        return verbs_usage(call, "there is no verb \"%s\"", call->argv[0]);
    print_usage(stdout, v);
    if (v->help)
        (void)printf("%s\n", v->help);
    if (v->more)
        (void)printf("\n%s", v->more);
    return EX_OK;
}

static int version_verb(const struct verb_call *call)
{
    (void)call;
    (void)puts("waypost " WAYPOST_VERSION);
    return EX_OK;
}

int verbs_usage(const struct verb_call *call, const char *format, ...)
{
    struct buffer b = { 0 };
    va_list args;

    va_start(args, format);
    buffer_vprintf(&b, format, args);
    va_end(args);
    (void)fprintf(stderr, "waypost: %s\nUsage: ", buffer_string(&b));
    print_usage(stderr, call->verb);
    buffer_fini(&b);
    return EX_USAGE;
}

/* Moves the arguments that are not -c FILE together; false: -c has no FILE. */
static bool take_config(int *argc, char **argv, const char **config)
{
    int kept = 0;

    for (int i = 0; i < *argc; i++) {
        if (strcmp(argv[i], "-c") != 0) {
            argv[kept++] = argv[i];
            continue;
        }
        if (++i == *argc)
            return false;
        *config = argv[i];
    }
    *argc = kept;
    return true;
}

int verbs_main(int argc, char **argv)
{
    struct verb_call call = { .config = getenv("WAYPOST_CONFIG") };

    if (call.config && !*call.config)
        call.config = NULL;
    argc = argc ? argc - 1 : 0;
    argv++;
    if (!take_config(&argc, argv, &call.config)) {
        (void)fputs("waypost: -c needs a file\n", stderr);
        return EX_USAGE;
    }
    if (argc == 0) {
        print_overview(stderr);
        return EX_USAGE;
    }
    call.verb = find_verb(argv[0]);
    if (!call.verb) {
        (void)fprintf(stderr,
                      "waypost: there is no verb \"%s\"; see waypost help\n",
                      argv[0]);
        return EX_USAGE;
    }
    call.argc = argc - 1;
    call.argv = argv + 1;
    /* also behind a word of the verb's own: waypost queue list --help */
    for (int i = 0; i < call.argc && i < 2; i++)
        if (wants_help(call.argv[i])) {
            struct verb_call help = { call.verb, NULL, 1, argv };

            return help_verb(&help);
        }
    return call.verb->run(&call);
}
