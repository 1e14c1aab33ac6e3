/*
 * token_verb - who may use the HTTP interface over TCP.
 *
 * The file of tokens that admin { tokens } names, or the one beside the queue. The relay
 * need not run; when it does, it looks at the file by itself. A token is printed once, alone
 * on standard output, and is kept nowhere.
 */
#include "relay/admin/tokenfile.h"
#include "relay/main/configuration.h"
#include "relay/main/refresh.h"
#include "relay/net/linefile.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

struct order {
    const struct verb_call *call;
    const char *name; /* NULL: none is wanted */
    const char *role; /* NULL: not given */
    char *path;       /* of the file */
    char *queue_folder, *socket;
    struct tokenfile *file; /* as it is now */
};

typedef int act_fn(struct order *o);

static act_fn do_add, do_list, do_delete;

enum { SUB_ADD, SUB_LIST, SUB_DELETE };
enum { COLUMN_NAME = 24, COLUMN_ROLE = 10 };

static act_fn *const acts[] = {
    [SUB_ADD] = do_add,
    [SUB_LIST] = do_list,
    [SUB_DELETE] = do_delete,
};

/* ------------------------------------------------------------ the acts --- */

static bool is_there(const struct order *o)
{
    for (size_t i = 0; i < tokenfile_count(o->file); i++)
        if (span_is(tokenfile_at(o->file, i)->name, span_of(o->name)))
            return true;
    return false;
}

static int write_token(struct order *o, enum role role, const char *token)
{
    struct buffer rest = { .cap = 256 }, why = { 0 };
    struct span text;
    int rc;

    tokenfile_print(&rest, role, token, time(NULL));
    text = buffer_span(&rest);
    rc = linefile_change_for(o->queue_folder, o->path, span_of(o->name), &text,
                             &why);
    buffer_fini(&rest);
    if (rc < 0)
        return verbs_complain(&why, verbs_code_of_file(rc));
    buffer_fini(&why);
    (void)printf("%s\n", token);
    return EX_OK;
}

static int do_add(struct order *o)
{
    char token[TOKENFILE_TOKEN];
    enum role role;
    int rc;

    if (!o->role || !tokenfile_role_parse(span_of(o->role), &role))
        return verbs_usage(o->call, "add needs --role read or --role operator");
    if (is_there(o)) {
        (void)fprintf(stderr,
                      "waypost: there is a token \"%s\"; delete it first\n",
                      o->name);
        return EX_DATAERR;
    }
    if (tokenfile_make(token) < 0) {
        (void)fputs("waypost: there is no randomness\n", stderr);
        return EX_TEMPFAIL;
    }
    rc = write_token(o, role, token);
    OPENSSL_cleanse(token, sizeof(token));
    return rc;
}

static int do_delete(struct order *o)
{
    struct buffer why = { 0 };
    int rc = linefile_change_for(o->queue_folder, o->path, span_of(o->name),
                                 NULL, &why);

    if (rc < 0)
        return verbs_complain(&why, verbs_code_of_file(rc));
    buffer_fini(&why);
    if (rc == LINEFILE_ABSENT) {
        (void)fprintf(stderr, "waypost: there is no token \"%s\"\n", o->name);
        return EX_NOUSER;
    }
    (void)printf("%s: deleted\n", o->name);
    return EX_OK;
}

static int do_list(struct order *o)
{
    for (size_t i = 0; i < tokenfile_count(o->file); i++) {
        const struct tokenfile_entry *e = tokenfile_at(o->file, i);
        time_t created = (time_t)e->created_s;
        struct tm day = { 0 };
        char text[32] = "";

        (void)localtime_r(&created, &day);
        (void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &day);
        (void)printf("%-*.*s %-*s since %s\n", COLUMN_NAME, SPAN_FMT(e->name),
                     COLUMN_ROLE, tokenfile_role_name(e->role), text);
    }
    return EX_OK;
}

/* ------------------------------------------------------------- the call -- */

static int read_arguments(struct order *o, int sub)
{
    for (int i = 1; i < o->call->argc; i++) {
        const char *word = o->call->argv[i];

        if (sub == SUB_ADD && verbs_option(o->call, &i, "--role", &o->role)) {
            if (!o->role)
                return verbs_usage(o->call, "--role needs read or operator");
        } else if (*word == '-') {
            return verbs_usage(o->call, "there is no option \"%s\"", word);
        } else if (sub == SUB_LIST || o->name) {
            return verbs_usage(o->call, "%s does not take \"%s\"",
                               o->call->argv[0], word);
        } else {
            o->name = word;
        }
    }
    if (sub != SUB_LIST && !o->name)
        return verbs_usage(o->call, "%s needs a name", o->call->argv[0]);
    if (o->name && !tokenfile_name_is_good(span_of(o->name)))
        return verbs_usage(o->call,
                           "a name is 1 to %d letters, digits and . _ - @",
                           TOKENFILE_NAME_MOST);
    return EX_OK;
}

static char *folder_of(struct span path)
{
    size_t slash = span_find_last(path, '/');

    if (slash == path.len)
        return span_dup(SPAN("."));
    return span_dup(span_first(path, slash ? slash : 1));
}

static int run_token(const struct verb_call *call)
{
    struct order o = { .call = call };
    struct buffer why = { 0 };
    struct settings *s;
    struct stat ignored;
    int sub = verbs_sub(call), rc;

    if (sub < 0)
        return EX_USAGE;
    rc = read_arguments(&o, sub);
    if (rc != EX_OK)
        return rc;
    s = configuration_load_brief(call->config);
    if (!s)
        return EX_CONFIG;
    o.path = span_dup(s->admin.tokens);
    o.queue_folder = folder_of(s->queue.path);
    o.socket = span_dup(s->admin.socket);
    settings_release(s);
    /* A file with faults is not changed: what becomes of them should be seen first. */
    o.file = tokenfile_read(o.path, &ignored, &why);
    rc = o.file ? acts[sub](&o) : verbs_complain(&why, EX_CONFIG);
    tokenfile_free(o.file);
    if (rc == EX_OK && sub != SUB_LIST)
        refresh_logins(span_of(o.socket));
    free(o.socket);
    free(o.path);
    free(o.queue_folder);
    if (rc == EX_OK && fflush(stdout) != 0)
        rc = EX_IOERR;
    return rc;
}

/* clang-format off */
static const struct verb_option add_options[] = {
    { "--role", "ROLE", "read: looks at everything; operator: changes it too", VALUE_ROLE },
    { NULL, NULL, NULL, VALUE_WORD },
};

static const struct verb_sub subs[] = {
    [SUB_ADD] = { "add", "NAME --role ROLE", "makes a token and prints it: once, it is kept nowhere",
      VALUE_WORD, add_options },
    [SUB_LIST] = { "list", "", "each token's name and role, and since when it is there",
      VALUE_WORD, NULL },
    [SUB_DELETE] = { "delete", "NAME", "from now on it is worth nothing", VALUE_WORD, NULL },
    { NULL, NULL, NULL, VALUE_WORD, NULL },
};

const struct verb token_verb = {
    .name = "token", .run = run_token, .subs = subs,
    .arguments = "add NAME --role read|operator | list | delete NAME",
    .help = "change who may use the HTTP interface over TCP",
    .more =
        "The relay need not run; when it does, it goes by the change when this ends.\n"
        "\n"
        "Exit codes: 0 done; 64 a wrong call; 65 there is a token of that name; 67 there is none;\n"
        "73, 74, 77 the file cannot be made, written, or is not ours; 78 configuration, or\n"
        "a fault in the file.\n",
    .group = GROUP_ACCOUNTS,
    .examples = {
        { "waypost token add prometheus --role read",
          "for who only looks" },
        { "waypost token list",
          "who has one" },
    },
};
/* clang-format on */
