/*
 * user_verb - waypost user add|list|delete
 *
 * Changes the files that users { } names; the relay need not run, and goes by the change
 * at the end when it does. A password comes as one line of standard input, never as
 * an argument, which others could read; a terminal is asked twice, without echo.
 */
#include "policy/vocabulary/limits.h"
#include "relay/inbound/userfile.h"
#include "relay/net/linefile.h"
#include "relay/main/configuration.h"
#include "relay/main/refresh.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

struct user_order {
    const struct verb_call *call;
    const char *login;
    bool cram;
    char *file, *cram_file; /* NULL: not set */
    char *socket;
};

typedef int user_verb_fn(struct user_order *o);

static user_verb_fn do_add, do_list, do_delete;

enum { ADD, LIST, DELETE };

/* clang-format off */
static const struct verb_sub subs[] = {
    [ADD]    = { "add", "LOGIN", "reads the password as one line of standard input (a terminal\n"
                 "is asked twice); the password of one that is there is changed", VALUE_WORD, NULL },
    [LIST]   = { "list", "", "each login and the mechanisms that it can use", VALUE_WORD, NULL },
    [DELETE] = { "delete", "LOGIN", "from the users file and the CRAM-MD5 file", VALUE_WORD, NULL },
    { NULL, NULL, NULL, VALUE_WORD, NULL },
};

static const struct act {
    user_verb_fn *run;  bool takes_login;
} acts[] = {
    [ADD]    = { do_add,    true },
    [LIST]   = { do_list,   false },
    [DELETE] = { do_delete, true },
};
/* clang-format on */

/* One line of standard input; NULL: there is none that can be a password. */
static char *read_line(void)
{
    size_t most = LIMIT_PASSWORD + 2, len = 0;
    char *at = calloc(1, most + 1);
    ssize_t n;

    /* Byte by byte, so that nothing of what follows is taken. */
    while (at && len < most && (n = read(STDIN_FILENO, at + len, 1)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || at[len] == '\n')
            break;
        len++;
    }
    if (!at)
        return NULL;
    at[len] = '\0';
    if (len > 0 && at[len - 1] == '\r')
        at[--len] = '\0';
    if (len > 0 && len <= LIMIT_PASSWORD && strlen(at) == len)
        return at;
    password_forget(at);
    return NULL;
}

/* Signals of the terminal are off meanwhile: one of them would leave it without echo. */
static char *ask(const char *prompt)
{
    struct termios before, hidden;
    char *line;

    (void)fputs(prompt, stderr);
    if (tcgetattr(STDIN_FILENO, &before) < 0)
        return NULL;
    hidden = before;
    hidden.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    line = read_line();
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    (void)fputc('\n', stderr);
    return line;
}

/* EX_OK, and a password and its prepared form to be forgotten. */
static int read_password(char **out_password, char **out_prepared)
{
    char *first, *second = NULL;
    const char *fault = NULL;

    if (isatty(STDIN_FILENO)) {
        first = ask("Password: ");
        second = first ? ask("Again: ") : NULL;
        if (first && (!second || strcmp(first, second) != 0))
            fault = "the two are not the same";
    } else {
        first = read_line();
    }
    if (!first)
        fault = "the password should be one line of standard input, of 1 to "
                "1024 bytes";
    else if (!fault && (!password_prepare(first, out_prepared)))
        fault = "the password should be UTF-8 without control characters";
    password_forget(second);
    if (!fault) {
        *out_password = first;
        return EX_OK;
    }
    password_forget(first);
    (void)fprintf(stderr, "waypost: %s\n", fault);
    return EX_DATAERR;
}

static int make_verifiers(struct buffer *b, const char *password,
                          const char *prepared)
{
    struct password_scram v;
    struct buffer hash = { 0 };

    for (enum password_hash h = 0; h < PASSWORD_HASHES; h++) {
        int rc = password_scram_make(h, span_of(prepared), &v);

        if (rc < 0)
            return rc;
        buffer_printf(b, "{%s}", password_hash_name(h));
        password_scram_print(b, h, &v);
        buffer_put_byte(b, ':');
    }
    /* crypt(3) takes 511 bytes; a longer password does without. */
    if (password_crypt_make(password, &hash) == 0)
        buffer_put(b, buffer_span(&hash));
    else
        b->len--;
    buffer_fini(&hash);
    return 0;
}

/* A file with faults is not changed: what becomes of them should be seen first. */
static bool is_good(enum userfile_kind kind, const char *path)
{
    struct buffer why = { 0 };
    struct userfile *f;
    struct stat st;

    if (access(path, F_OK) < 0 && errno == ENOENT)
        return true;
    f = userfile_read(kind, path, &st, &why);
    userfile_free(f);
    if (!f)
        (void)verbs_complain(&why, 0);
    return f != NULL;
}

static int do_add(struct user_order *o)
{
    const char *path = o->cram ? o->cram_file : o->file;
    struct buffer rest = { .cap = 65536 }, why = { 0 };
    char *password = NULL, *prepared = NULL;
    struct span text;
    int rc;

    if (!is_good(o->cram ? USERFILE_CRAM : USERFILE_VERIFIERS, path))
        return EX_CONFIG;
    rc = read_password(&password, &prepared);
    if (rc != EX_OK)
        return rc;
    /* CRAM-MD5's clients compute with the prepared form too. */
    text = span_of(prepared);
    if (!o->cram) {
        rc = make_verifiers(&rest, password, prepared);
        text = buffer_span(&rest);
    }
    if (rc == 0)
        rc = linefile_change(path, span_of(o->login), &text, &why);
    else
        buffer_put_string(&why, "the verifiers cannot be computed");
    password_forget(password);
    password_forget(prepared);
    password_forget_buffer(&rest);
    if (rc < 0)
        return verbs_complain(&why, verbs_code_of_file(rc));
    buffer_fini(&why);
    (void)printf("%s: %s\n", o->login,
                 rc == LINEFILE_ADDED ? "added" : "has a new password");
    return EX_OK;
}

static int remove_from(const char *path, const struct user_order *o,
                       bool *is_removed)
{
    struct buffer why = { 0 };
    int rc;

    if (!path)
        return EX_OK;
    rc = linefile_change(path, span_of(o->login), NULL, &why);
    if (rc < 0)
        return verbs_complain(&why, verbs_code_of_file(rc));
    *is_removed = *is_removed || rc == LINEFILE_REMOVED;
    buffer_fini(&why);
    return EX_OK;
}

/* From both files, unless --cram names the one. */
static int do_delete(struct user_order *o)
{
    bool is_removed = false;
    int rc = o->cram ? EX_OK : remove_from(o->file, o, &is_removed);

    if (rc == EX_OK)
        rc = remove_from(o->cram_file, o, &is_removed);
    if (rc != EX_OK)
        return rc;
    if (!is_removed) {
        (void)fprintf(stderr, "waypost: there is no user \"%s\"\n", o->login);
        return EX_NOUSER;
    }
    (void)printf("%s: deleted\n", o->login);
    return EX_OK;
}

static struct userfile *open_list(enum userfile_kind kind, const char *path,
                                  int *rc)
{
    struct buffer why = { 0 };
    struct userfile *f = NULL;
    struct stat st;

    if (path && (access(path, F_OK) == 0 || errno != ENOENT)) {
        f = userfile_read(kind, path, &st, &why);
        if (!f)
            *rc = verbs_complain(&why, EX_CONFIG);
    }
    return f;
}

static void print_user(struct span login, const struct userfile_entry *e,
                       bool has_cram)
{
    unsigned set = has_cram ? MECHANISM_CRAM_MD5 : 0;
    struct buffer b = { 0 };

    if (e && e->scram[PASSWORD_SHA_256].iterations)
        set |= MECHANISM_SCRAM_SHA_256 | MECHANISM_PLAIN | MECHANISM_LOGIN;
    if (e && e->scram[PASSWORD_SHA_1].iterations)
        set |= MECHANISM_SCRAM_SHA_1 | MECHANISM_PLAIN | MECHANISM_LOGIN;
    if (e && e->crypt)
        set |= MECHANISM_PLAIN | MECHANISM_LOGIN;
    if (set)
        mechanisms_print(&b, set);
    else
        buffer_put_string(&b, "locked");
    (void)printf("%-24.*s %s\n", SPAN_FMT(login), buffer_string(&b));
    buffer_fini(&b);
}

static int do_list(struct user_order *o)
{
    int rc = EX_OK;
    struct userfile *users = open_list(USERFILE_VERIFIERS, o->file, &rc);
    struct userfile *cram = open_list(USERFILE_CRAM, o->cram_file, &rc);

    for (size_t i = 0; rc == EX_OK && users && i < userfile_count(users); i++) {
        const struct userfile_entry *e = userfile_at(users, i);

        print_user(e->key, e, cram && userfile_find(cram, e->key));
    }
    for (size_t i = 0; rc == EX_OK && cram && i < userfile_count(cram); i++) {
        struct span login = userfile_at(cram, i)->key;

        if (!users || !userfile_find(users, login))
            print_user(login, NULL, true);
    }
    userfile_free(users);
    userfile_free(cram);
    return rc;
}

/* 0 or EX_USAGE. */
static int read_arguments(struct user_order *o, const struct act *v)
{
    for (int i = 1; i < o->call->argc; i++) {
        const char *word = o->call->argv[i];

        if (strcmp(word, "--cram") == 0)
            o->cram = true;
        else if (*word == '-')
            return verbs_usage(o->call, "there is no option \"%s\"", word);
        else if (!v->takes_login || o->login)
            return verbs_usage(o->call, "%s does not take \"%s\"", o->call->argv[0],
                               word);
        else
            o->login = word;
    }
    if (v->takes_login && !o->login)
        return verbs_usage(o->call, "%s needs a login", o->call->argv[0]);
    if (o->login && !userfile_login_is_good(span_of(o->login)))
        return verbs_usage(o->call,
                           "a login is 1 to %d bytes of UTF-8 without colon, "
                           "space or # in front",
                           LIMIT_LOGIN);
    return EX_OK;
}

static char *copy(struct span s)
{
    return s.len ? span_dup(s) : NULL;
}

static int run(struct user_order *o, const struct act *v)
{
    bool is_there = o->cram ? o->cram_file != NULL
                            : o->file || (!v->takes_login && o->cram_file);

    if (is_there)
        return v->run(o);
    (void)fprintf(stderr, "waypost: %s says no %s in users { }\n",
                  o->call->config ? o->call->config : "the configuration",
                  o->cram ? "cram" : "file");
    return EX_CONFIG;
}

static int run_user(const struct verb_call *call)
{
    struct user_order o = { .call = call };
    const struct act *v;
    struct settings *s;
    int sub, rc;

    sub = verbs_sub(call);
    if (sub < 0)
        return EX_USAGE;
    v = &acts[sub];
    rc = read_arguments(&o, v);
    if (rc != EX_OK)
        return rc;
    s = configuration_load_users(call->config);
    if (!s)
        return EX_CONFIG;
    o.file = copy(s->users.file);
    o.cram_file = copy(s->users.cram_file);
    o.socket = span_dup(s->admin.socket);
    settings_release(s);
    rc = run(&o, v);
    if (rc == EX_OK && v->takes_login)
        refresh_logins(span_of(o.socket));
    free(o.socket);
    free(o.file);
    free(o.cram_file);
    if (rc == EX_OK && fflush(stdout) != 0)
        rc = EX_IOERR;
    return rc;
}

/* clang-format off */
static const struct verb_option options[] = {
    { "--cram", NULL, "only the CRAM-MD5 file, which holds passwords as they are", VALUE_WORD },
    { NULL, NULL, NULL, VALUE_WORD },
};

const struct verb user_verb = {
    .name = "user", .run = run_user, .subs = subs, .options = options,
    .arguments = "add LOGIN | list | delete LOGIN [--cram]",
    .help = "change who may log in: the files that users { } names",
    .more =
        "The relay need not run; when it does, it goes by the change when this ends, and ends\n"
        "open sessions of a login that is gone or has another password.\n"
        "\n"
        "Exit codes: 0 done; 65 this cannot be a password; 67 there is no such user;\n"
        "73, 74, 77 the file cannot be made, written, or is not ours; 78 configuration, or\n"
        "a fault in the file.\n",
    .group = GROUP_ACCOUNTS,
    .examples = {
        { "waypost user add printer-3",
          "asks for the password" },
        { "waypost user list",
          "who is there" },
    },
};
/* clang-format on */
