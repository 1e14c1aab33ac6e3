/*
 * verbs - finding what the user asked for.
 *
 * waypost [-c FILE] VERB [-c FILE] [arguments]. The last -c wins over earlier
 * ones and over WAYPOST_CONFIG. `--version` and `--help` are verbs too. A program
 * that is called by a verb's own name (sendmail) is that verb. Behind "--" all is the verb's.
 */
#include "relay/main/verbs.h"

#include "policy/vocabulary/buffer.h"
#include "relay/main/configuration.h"
#include "relay/main/manual.h"
#include "relay/main/optionwords.h"
#include "relay/main/streams.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static verb_fn run_help, run_version;

enum { NAME_COLUMNS = 18 };

/* clang-format off */
const struct verb_option verb_filters[] = {
    { "--id",       "ID",       "one message", VALUE_ID },
    { "--from",     "PATTERN",  "sender; '<>' is the null sender", VALUE_WORD },
    { "--to",       "PATTERN",  "a recipient", VALUE_WORD },
    { "--domain",   "PATTERN",  "a recipient's domain", VALUE_WORD },
    { "--client",   "PATTERN",  "address it came from", VALUE_WORD },
    { "--login",    "PATTERN",  "who sent it", VALUE_WORD },
    { "--state",    "STATE",    "active, ready, deferred, held, deleted; with commas", VALUE_STATE },
    { "--older",    "TIME",     "received before: 10min, 2h, 3d ago, 2026-11-17, 2026-11-17T08:30", VALUE_WORD },
    { "--newer",    "TIME",     "received after", VALUE_WORD },
    { "--attempts", "N",        "tried at least so often", VALUE_WORD },
    { "--reason",   "PATTERN",  "what the last attempt met", VALUE_WORD },
    { "--via",      "PATTERN",  "a destination, as `waypost dest list` shows it", VALUE_DESTINATION },
    { NULL, NULL, NULL, VALUE_WORD },
};

static const struct verb help_verb = {
    .name = "help", .arguments = "[VERB]", .run = run_help,
    .help = "print this, or more of one verb", .needs_no_config = true, .value = VALUE_VERB,
    .examples = {
        { "waypost help queue", "all that queue can do" },
        { "waypost queue list --help", "the same, without going back to the start of the line" },
    },
};
static const struct verb help_option = {
    .name = "--help", .arguments = "[VERB]", .run = run_help, .needs_no_config = true,
};
static const struct verb help_letter = {
    .name = "-h", .arguments = "[VERB]", .run = run_help, .needs_no_config = true,
};
static const struct verb version_verb = {
    .name = "--version", .arguments = "", .run = run_version, .help = "print the version",
    .needs_no_config = true,
};

const struct verb_heading verb_headings[] = {
    { "Running it",           GROUP_RUNNING },
    { "Looking at it",        GROUP_LOOKING },
    { "Operating it",         GROUP_OPERATING },
    { "Mail of this machine", GROUP_MAIL },
    { "Accounts",             GROUP_ACCOUNTS },
    { "Service",              GROUP_SERVICE },
    { NULL,                   GROUP_SERVICE },
};

const struct verb *const verbs[] = {
    &run_verb, &check_verb, &selftest_verb, &explain_verb, &replay_verb,
    &top_verb, &follow_verb, &history_verb, &mailq_verb,
    &queue_verb, &dest_verb, &fetch_verb,
    &sendmail_verb, &newaliases_verb,
    &user_verb, &token_verb,
    &backup_verb, &restore_verb, &completion_verb,
    &help_verb, &help_option, &help_letter, &version_verb, NULL,
};
/* clang-format on */

const struct verb *verbs_find(const char *name)
{
    for (size_t i = 0; verbs[i]; i++)
        if (strcmp(verbs[i]->name, name) == 0)
            return verbs[i];
    return NULL;
}

/* ------------------------------------------------------------- help ------ */

/* Further lines of it are set in by so many columns. */
static void print_text(FILE *to, const char *text, int columns)
{
    const char *end;

    for (; (end = strchr(text, '\n')); text = end + 1)
        (void)fprintf(to, "%.*s\n%*s", (int)(end - text), text, columns, "");
    (void)fprintf(to, "%s\n", text);
}

static void print_options(FILE *to, const struct verb_option *o, int indent)
{
    struct buffer b = { 0 };

    for (; o && o->name; o++) {
        buffer_clear(&b);
        buffer_printf(&b, "%*s%s%s%s", indent, "", o->name, o->value ? " " : "",
                      o->value ? o->value : "");
        (void)fprintf(to, "  %-*s ", NAME_COLUMNS, buffer_string(&b));
        print_text(to, o->help, NAME_COLUMNS + 3);
    }
    buffer_fini(&b);
}

static void print_subs(FILE *to, const struct verb_sub *s)
{
    struct buffer b = { 0 };

    for (; s && s->name; s++) {
        buffer_clear(&b);
        buffer_printf(&b, "%s%s%s", s->name, *s->arguments ? " " : "",
                      s->arguments);
        (void)fprintf(to, "  %-*s ", NAME_COLUMNS, buffer_string(&b));
        if (b.len > NAME_COLUMNS)
            (void)fprintf(to, "\n%*s", NAME_COLUMNS + 3, "");
        print_text(to, s->help, NAME_COLUMNS + 3);
        print_options(to, s->options, 2);
    }
    buffer_fini(&b);
}

/* list|show|... [FILTERS] [--json] */
static void print_arguments(FILE *to, const struct verb *v)
{
    for (const struct verb_sub *s = v->subs; s && s->name; s++)
        (void)fprintf(to, "%c%s", s == v->subs ? ' ' : '|', s->name);
    if (v->takes_filters)
        (void)fputs(" [ID] [FILTERS]", to);
    for (const struct verb_option *o = v->options; o && o->name; o++)
        (void)fprintf(to, " [%s%s%s]", o->name, o->value ? " " : "",
                      o->value ? o->value : "");
}

static void print_usage(FILE *to, const struct verb *v)
{
    (void)fprintf(to, "waypost %s%s", v->name,
                  v->needs_no_config || v->is_program ? "" : " [-c FILE]");
    if (v->arguments)
        (void)fprintf(to, "%s%s", *v->arguments ? " " : "", v->arguments);
    else
        print_arguments(to, v);
    (void)fputc('\n', to);
}

static void print_examples(FILE *to, const struct verb *v)
{
    for (const struct verb_example *e = v->examples; e->command; e++)
        (void)fprintf(to, "%s  %s\n      %s\n",
                      e == v->examples ? "\nExamples:\n" : "", e->command,
                      e->what);
}

static void print_filters(FILE *to, const struct verb *v)
{
    (void)fputs("\nFilters (globs; all that are given must match):\n", to);
    for (const struct verb_option *f = verb_filters; f->name; f++) {
        struct verb_option row[2] = { *f, { 0 } };

        for (const struct verb_option *o = v->own_filters; o && o->name; o++)
            if (strcmp(o->name, f->name) == 0)
                row[0] = *o;
        if (row[0].help)
            print_options(to, row, 0);
    }
}

static void print_verb(FILE *to, const struct verb *v)
{
    print_usage(to, v);
    if (v->help)
        (void)fprintf(to, "%s\n", v->help);
    if (v->subs || v->options)
        (void)fputc('\n', to);
    print_subs(to, v->subs);
    print_options(to, v->options, 0);
    if (v->takes_filters)
        print_filters(to, v);
    if (v->more)
        (void)fprintf(to, "\n%s", v->more);
    print_examples(to, v);
}

static bool wants_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static void print_overview(FILE *to)
{
    (void)fputs("Waypost, an SMTP relay. Usage: waypost VERB [-c FILE] ...\n",
                to);
    for (const struct verb_heading *h = verb_headings; h->name; h++) {
        (void)fprintf(to, "\n%s:\n", h->name);
        for (size_t i = 0; verbs[i]; i++)
            if (verbs[i]->help && verbs[i]->group == h->group)
                (void)fprintf(to, "  %-10s %s\n", verbs[i]->name,
                              verbs[i]->help);
    }
    (void)fputs("\nWithout -c FILE the environment's WAYPOST_CONFIG names the "
                "configuration;\nwithout that, it is /etc/waypost/waypost.conf; where "
                "that is not there, built-in\ndefaults serve: mail of this "
                "machine on 127.0.0.1:2525, delivered by MX.\n\n"
                "Exit codes: 0 done; 64 it was called wrongly; 65 what it was "
                "given is wrong;\n66, 67 there is no such thing; 69 no relay "
                "is running; 75 try again later;\n77 you may not; 78 the "
                "configuration is wrong. More: waypost help VERB, man waypost.\n",
                to);
}

static int run_help(const struct verb_call *call)
{
    const struct verb *v;

    if (call->argc == 0) {
        print_overview(stdout);
        return EX_OK;
    }
    if (strcmp(call->argv[0], "--man") == 0) {
        manual_print(stdout);
        return EX_OK;
    }
    v = verbs_find(call->argv[0]);
    if (!v)
        return verbs_usage(call, "there is no verb \"%s\"", call->argv[0]);
    print_verb(stdout, v);
    return EX_OK;
}

static int run_version(const struct verb_call *call)
{
    (void)call;
    (void)puts("waypost " WAYPOST_VERSION);
    return EX_OK;
}

/* -------------------------------------------------- for each verb -------- */

int verbs_usage(const struct verb_call *call, const char *format, ...)
{
    struct buffer b = { 0 }, shown = { 0 };
    va_list args;

    va_start(args, format);
    buffer_vprintf(&b, format, args);
    va_end(args);
    buffer_put_escaped(&shown, buffer_span(&b)); /* words of who called */
    (void)fprintf(stderr, "waypost: %s\nUsage: ", buffer_string(&shown));
    print_usage(stderr, call->verb);
    buffer_fini(&b);
    buffer_fini(&shown);
    return EX_USAGE;
}

int verbs_complain(struct buffer *take_why, int exit_code)
{
    (void)fprintf(stderr, "waypost: %s\n", buffer_string(take_why));
    buffer_fini(take_why);
    return exit_code;
}

int verbs_code_of_file(int rc)
{
    if (rc == -EACCES || rc == -EPERM || rc == -EROFS)
        return EX_NOPERM;
    return rc == -ENOENT || rc == -ENOTDIR ? EX_CANTCREAT : EX_IOERR;
}

int verbs_sub(const struct verb_call *call)
{
    const struct verb *v = call->verb;

    for (int i = 0; call->argc && v->subs[i].name; i++)
        if (strcmp(v->subs[i].name, call->argv[0]) == 0)
            return i;
    if (call->argc)
        (void)verbs_usage(call, "%s cannot \"%s\"", v->name, call->argv[0]);
    else
        (void)verbs_usage(call, "%s needs to be told what to do", v->name);
    return -1;
}

bool verbs_option(const struct verb_call *call, int *i, const char *name,
                  const char **out)
{
    const char *word = call->argv[*i];
    size_t len = strlen(name);

    if (strncmp(word, name, len) != 0 || (word[len] && word[len] != '='))
        return false;
    if (word[len] == '=')
        *out = word + len + 1;
    else
        *out = *i + 1 < call->argc ? call->argv[++*i] : NULL;
    return true;
}

/* ------------------------------------------------------ the program ------ */

/* Moves the arguments that are not -c FILE together; false: -c has no FILE. Behind "--"
 * nothing is touched. */
static bool take_config(int *argc, char **argv, const char **config)
{
    bool is_ours = true;
    int kept = 0;

    for (int i = 0; i < *argc; i++) {
        if (!is_ours || strcmp(argv[i], "-c") != 0) {
            is_ours = is_ours && strcmp(argv[i], "--") != 0;
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

/* Called by the name of a verb, as sendmail is. */
static const struct verb *find_program(const char *path)
{
    const char *slash = strrchr(path, '/');
    const struct verb *v = verbs_find(slash ? slash + 1 : path);

    return v && v->is_program ? v : NULL;
}

static int run(struct verb_call *call)
{
    int rc;

    if (call->verb->is_program)
        return call->verb->run(call);
    /* also behind a word of the verb's own: waypost queue list --help */
    for (int i = 0; i < call->argc && i < 2; i++)
        if (wants_help(call->argv[i])) {
            print_verb(stdout, call->verb);
            return EX_OK;
        }
    rc = optionwords_check(call);
    return rc == EX_OK ? call->verb->run(call) : rc;
}

int verbs_main(int argc, char **argv)
{
    const char *named = getenv("WAYPOST_CONFIG");
    struct verb_call call = { .config = named ? named : configuration_usual() };

    streams_open();
    if (call.config && !*call.config)
        call.config = NULL;
    call.verb = argc ? find_program(argv[0]) : NULL;
    argc = argc ? argc - 1 : 0;
    argv++;
    if (!call.verb) {
        if (!take_config(&argc, argv, &call.config)) {
            (void)fputs("waypost: -c needs a file\n", stderr);
            return EX_USAGE;
        }
        if (argc == 0) {
            print_overview(stderr);
            return EX_USAGE;
        }
        call.verb = verbs_find(argv[0]);
        if (!call.verb) {
            struct buffer name = { 0 };

            buffer_put_escaped(&name, span_of(argv[0]));
            (void)fprintf(
                stderr, "waypost: there is no verb \"%s\"; see waypost help\n",
                buffer_string(&name));
            buffer_fini(&name);
            return EX_USAGE;
        }
        argc--;
        argv++;
    }
    call.argc = argc;
    call.argv = argv;
    return streams_close(run(&call));
}
