/*
 * newaliases_verb - newaliases, and sendmail -bi: is the file of aliases good?
 *
 * Nothing is built from it. A running relay reads it again within a second when it changes, so
 * all that is left to do is to say what it would find.
 */
#include "relay/main/sendmail_private.h"

#include "policy/aliases.h"
#include "policy/vocabulary/error.h"
#include "relay/main/configuration.h"
#include "relay/main/sources.h"

#include <stdio.h>
#include <sysexits.h>

struct findings {
    struct sources *sources;
    bool is_faulty;
};

static int read_file(void *user, const char *path, struct buffer *out,
                     struct buffer *out_why)
{
    return sources_read_table(((struct findings *)user)->sources, path, out,
                              out_why);
}

static void say(void *user, bool is_warning, const char *file, struct span line)
{
    struct findings *f = user;
    struct span rest, column, text;

    f->is_faulty |= !is_warning;
    column = span_split(line, ':', &rest); /* LINE:COLUMN: text */
    (void)span_split(rest, ':', &text);
    (void)fprintf(stderr, "%s:%.*s:%.*s:%s%.*s", file, SPAN_FMT(column),
                  (int)(rest.len - text.len - 1), rest.at,
                  is_warning ? " warning:" : "", SPAN_FMT(text));
}

static int check(const char *path)
{
    struct findings f = { .sources = sources_new(NULL, NULL) };
    struct buffer text = { 0 }, why = { 0 };
    struct arena arena = { 0 };
    int code = EX_OK, rc = read_file(&f, path, &text, &why);

    if (rc < 0) {
        (void)fprintf(stderr, "newaliases: %s: %s\n", path,
                      why.len ? buffer_string(&why) : error_text(rc));
        code = EX_NOINPUT;
    } else {
        const struct aliases *a =
            aliases_new(&arena, path, buffer_span(&text),
                        &(struct aliases_world){ read_file, say, &f });

        if (f.is_faulty)
            code = EX_DATAERR;
        else
            (void)printf("%s: %zu aliases\n", path, aliases_size(a));
    }
    arena_reset(&arena);
    buffer_fini(&text);
    buffer_fini(&why);
    sources_free(f.sources);
    return code;
}

int sendmail_aliases(const char *config)
{
    struct settings *s = configuration_load_brief(config);
    int code;

    if (!s)
        return EX_CONFIG;
    if (s->aliases_file.len == 0) {
        (void)puts("There are no aliases: the configuration names no file "
                   "(aliases = \"/etc/aliases\").");
        code = EX_OK;
    } else {
        code = check(s->aliases_file.at);
    }
    settings_release(s);
    return code;
}

static int run(const struct verb_call *call)
{
    struct sendmail_options o;
    struct buffer why = { 0 };
    int code = sendmail_options_read(&o, call->argc, call->argv, &why);

    if (code != EX_OK)
        code = verbs_usage(call, "%s", buffer_string(&why));
    else
        code = sendmail_aliases(sendmail_config(call, o.config));
    buffer_fini(&why);
    return code;
}

/* clang-format off */
const struct verb newaliases_verb = {
    .name = "newaliases", .arguments = "[-C FILE]", .run = run, .is_program = true,
    .help = "is the file of aliases good, and how many are there?",
    .more =
        "A running relay reads the file again by itself, within a second after it changed;\n"
        "while there are faults in it the old aliases stay.\n"
        "\n"
        "Exit codes: 0 good; 65 a fault, as FILE:LINE:COLUMN: text; 66 it cannot be read; 78\n"
        "configuration.\n",
    .group = GROUP_MAIL,
    .examples = {
        { "newaliases",
          "are there faults?" },
        { "newaliases -C new.conf",
          "in the file that another configuration names?" },
    },
};
/* clang-format on */
