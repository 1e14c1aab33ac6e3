/*
 * verbs - what a user types after `waypost`.
 *
 * One table gives each verb its function, its usage line and its help. Exit
 * codes are sysexits': 64 usage, 69 the relay is not there, 75 try again, 78
 * configuration.
 */
#ifndef WAYPOST_VERBS_H
#define WAYPOST_VERBS_H

struct verb;

/* One call of a verb. `-c FILE` has been taken out of the arguments. */
struct verb_call {
    const struct verb *verb;
    const char *config; /* -c, else WAYPOST_CONFIG; NULL: no file, the
                           built-in default */
    int argc;           /* what follows the verb */
    char **argv;
};

/* Does it and answers the exit code. */
typedef int verb_fn(const struct verb_call *call);

struct verb {
    const char *name;
    const char *arguments;
    verb_fn *run;
    const char *help; /* one line */
    const char *more; /* further lines of its own help, or NULL */
};

/* The program: finds the verb and runs it. */
int verbs_main(int argc, char **argv);

/* Complains of a wrong call in one line on standard error and answers EX_USAGE.
 */
int verbs_usage(const struct verb_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

verb_fn check_verb;
verb_fn dest_verb;
verb_fn explain_verb;
verb_fn fetch_verb;
verb_fn queue_verb;
verb_fn replay_verb;
verb_fn run_verb;
verb_fn user_verb;

#endif
