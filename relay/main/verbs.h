/*
 * verbs - what a user types after `waypost`.
 *
 * Each verb is a table of its own, in its own file: its function, its words and options with
 * what they mean. Usage lines, help, completions and the complaints about wrong calls all come
 * from these tables. Exit codes are sysexits': 64 usage, 69 the relay is not there, 75 try
 * again, 78 configuration.
 */
#ifndef WAYPOST_VERBS_H
#define WAYPOST_VERBS_H

#include <stdbool.h>
#include <stddef.h>

struct buffer;
struct verb;

/* One call of a verb. `-c FILE` has been taken out of the arguments. */
struct verb_call {
    const struct verb *verb;
    const char *config; /* -c, else WAYPOST_CONFIG, else the usual; NULL: no file, the
                           built-in default */
    int argc;           /* what follows the verb */
    char **argv;
};

/* Does it and answers the exit code. */
typedef int verb_fn(const struct verb_call *call);

/* What can be written in a place: for completions. */
enum verb_value {
    VALUE_WORD, /* anything */
    VALUE_FILE,
    VALUE_ID,          /* of a waiting message */
    VALUE_DESTINATION, /* a name of `waypost dest list` */
    VALUE_ROUTE,
    VALUE_STATE,
    VALUE_VERB,
    VALUE_ROLE,
    VALUE_FETCH,    /* the title of a fetch section */
    VALUE_LISTENER, /* of a listener */
};

/* Where the overview lists a verb. */
enum verb_group {
    GROUP_SERVICE, /* also for what says nothing else */
    GROUP_RUNNING,
    GROUP_LOOKING,
    GROUP_OPERATING,
    GROUP_MAIL,
    GROUP_ACCOUNTS,
};

/* A call that does what it says: tests run all of them. */
struct verb_example {
    const char *command; /* "waypost queue count"; NULL ends a list */
    const char *what;
};

/* A word that follows the verb: waypost queue LIST. */
struct verb_sub {
    const char *name;
    const char *arguments; /* of its own: "NAME [--for DURATION]"; "": none */
    const char *help;
    enum verb_value value; /* of its argument, where it takes one */
    const struct verb_option *options; /* of its own, beside those of the verb; or NULL */
};

struct verb_option {
    const char *name;  /* "--from"; NULL ends a list */
    const char *value; /* "PATTERN"; NULL: a switch */
    const char *help;  /* further lines after "\n" */
    enum verb_value kind;
};

struct verb {
    const char *name;
    const char *arguments; /* of the usage line; NULL: made from subs and options */
    verb_fn *run;
    const char *help;                  /* one line; NULL: not in the overview */
    const struct verb_sub *subs;       /* ended by one without name; NULL: none */
    const struct verb_option *options; /* NULL: none */
    bool takes_filters;
    const struct verb_option *own_filters; /* what these mean otherwise than verb_filters says;
                                              no help: not for this verb */
    bool is_program; /* the program may be called by this name, as sendmail is; its arguments
                        are left as they are: no -c is taken out of them */
    bool needs_no_config;
    const char *more; /* prose of its help, with exit codes at its end; or NULL */
    enum verb_group group;
    enum verb_value value;           /* what its arguments are, where it has no subs */
    struct verb_example examples[3]; /* the last has no command */
};

/* A group's name and what is in it, in the order of the overview; ended by one without name. */
struct verb_heading {
    const char *name;
    enum verb_group group;
};
extern const struct verb_heading verb_headings[];

/* The filters, as every verb has them. */
extern const struct verb_option verb_filters[];

/* All of them, in the order of the overview within each group; ended by NULL. */
extern const struct verb *const verbs[];

/* The verb of that name; NULL: none. */
const struct verb *verbs_find(const char *name);

/* The program: finds the verb and runs it. */
int verbs_main(int argc, char **argv);

/* Complains of a wrong call in one line on standard error and answers EX_USAGE.
 */
int verbs_usage(const struct verb_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Says why in one line on standard error and answers the exit code. */
int verbs_complain(struct buffer *take_why, int exit_code);

/* The exit code where a file could not be changed. */
int verbs_code_of_file(int rc);

/* Which of the verb's subs does the first argument name? Its place in the table; -1: none,
 * which has been complained of. */
int verbs_sub(const struct verb_call *call);

/*
 * Is argument *i this option? "--for 2h" or "--for=2h"; *i then stands on its last word.
 * *out: its value; NULL: the call ends before it.
 */
bool verbs_option(const struct verb_call *call, int *i, const char *name,
                  const char **out);

extern const struct verb backup_verb;
extern const struct verb check_verb;
extern const struct verb completion_verb;
extern const struct verb dest_verb;
extern const struct verb explain_verb;
extern const struct verb fetch_verb;
extern const struct verb follow_verb;
extern const struct verb history_verb;
extern const struct verb queue_verb;
extern const struct verb replay_verb;
extern const struct verb restore_verb;
extern const struct verb selftest_verb;
extern const struct verb run_verb;
extern const struct verb token_verb;
extern const struct verb top_verb;
extern const struct verb user_verb;
extern const struct verb mailq_verb;
extern const struct verb newaliases_verb;
extern const struct verb sendmail_verb;

#endif
