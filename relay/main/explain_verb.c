/*
 * explain_verb - waypost explain --client IP --from A --to B ...
 *
 * Asks the running relay; where there is none, or it runs by another file, the file is read
 * and judged here.
 */
#include "policy/config/value.h"
#include "policy/vocabulary/memory.h"
#include "relay/main/ask.h"
#include "relay/main/configuration.h"
#include "relay/main/explain_listing.h"
#include "relay/main/explainer.h"
#include "relay/main/paper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

struct wish {
    const struct verb_call *call;
    json_t *question;
    const char *message, *size;
    bool json, is_alone;
    struct explain_looks looks;
};

/* --- options ---------------------------------------------------------------- */

/* clang-format off */
static const struct {
    const char *option, *key;
} texts[] = {
    { "--client",      "client" },
    { "--from",        "from" },
    { "--to",          "to" },
    { "--login",       "login" },
    { "--helo",        "helo" },
    { "--listener",    "listener" },
    { "--client-name", "client_name" },
    { "--certificate", "certificate" },
    { "--size",        NULL },
    { "--message",     NULL },
};
/* clang-format on */

enum { TEXTS = sizeof texts / sizeof texts[0] };

/* "--from A" or "--from=A"; which one it is, or TEXTS. *out NULL: it has no value. */
static size_t find_text(const struct verb_call *call, int *i, const char **out)
{
    const char *word = call->argv[*i];

    for (size_t n = 0; n < TEXTS; n++) {
        size_t len = strlen(texts[n].option);

        if (strncmp(word, texts[n].option, len) != 0 ||
            (word[len] && word[len] != '='))
            continue;
        if (word[len] == '=')
            *out = word + len + 1;
        else
            *out = *i + 1 < call->argc ? call->argv[++*i] : NULL;
        return n;
    }
    return TEXTS;
}

static bool take_switch(struct wish *w, const char *word)
{
    if (strcmp(word, "--json") == 0)
        w->json = true;
    else if (strcmp(word, "--all") == 0)
        w->looks.is_full = true;
    else if (strcmp(word, "--config-only") == 0)
        w->is_alone = true;
    else if (strcmp(word, "--tls") == 0)
        (void)json_object_set_new(w->question, "tls", json_true());
    else if (strcmp(word, "--ask") == 0)
        (void)json_object_set_new(w->question, "ask", json_true());
    else
        return false;
    return true;
}

static int take_text(struct wish *w, size_t which, const char *value)
{
    const char *option = texts[which].option;

    if (!value)
        return verbs_usage(w->call, "%s needs a value", option);
    if (strcmp(option, "--message") == 0)
        w->message = value;
    else if (strcmp(option, "--size") == 0)
        w->size = value;
    else if (json_object_set_new(w->question, texts[which].key,
                                 json_string(value)) < 0)
        return verbs_usage(w->call, "%s should be UTF-8", option);
    return EX_OK;
}

static int take_size(struct wish *w)
{
    uint64_t bytes;

    if (!w->size)
        return EX_OK;
    if (!value_size(span_of(w->size), &bytes) || bytes > INT64_MAX)
        return verbs_usage(w->call, "--size should be such as 20000 or 10MB");
    (void)json_object_set_new(w->question, "size",
                              json_integer((json_int_t)bytes));
    return EX_OK;
}

static int read_options(struct wish *w)
{
    static const char *const needed[] = { "client", "from", "to" };
    const struct verb_call *call = w->call;
    int rc;

    for (int i = 0; i < call->argc; i++) {
        const char *value = NULL;
        size_t which = find_text(call, &i, &value);

        if (which < TEXTS) {
            if ((rc = take_text(w, which, value)) != EX_OK)
                return rc;
        } else if (!take_switch(w, call->argv[i])) {
            return verbs_usage(call, "there is no option \"%s\"",
                               call->argv[i]);
        }
    }
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (!json_object_get(w->question, needed[i]))
            return verbs_usage(call, "--%s is needed", needed[i]);
    return take_size(w);
}

/* --- the message ------------------------------------------------------------ */

static int read_file(const char *path, struct buffer *out)
{
    int fd = strcmp(path, "-") == 0 ? 0 : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = -1;

    while (fd >= 0 && out->len <= EXPLAIN_MESSAGE_MOST) {
        char *room = buffer_room(out, 65536);

        n = read(fd, room, 65536);
        if (n <= 0)
            break;
        buffer_grew(out, (size_t)n);
    }
    n = n < 0 ? -errno : 0;
    if (fd > 0)
        (void)close(fd);
    return (int)n;
}

static int read_message(struct wish *w)
{
    struct buffer raw = { 0 }, coded = { 0 };
    int rc, code = EX_OK;

    if (!w->message)
        return EX_OK;
    rc = read_file(w->message, &raw);
    if (rc < 0) {
        (void)fprintf(stderr, "waypost: %s: %s\n", w->message, strerror(-rc));
        code = EX_NOINPUT;
    } else if (raw.len > EXPLAIN_MESSAGE_MOST) {
        (void)fprintf(stderr, "waypost: %s is over %d MB\n", w->message,
                      EXPLAIN_MESSAGE_MOST / 1024 / 1024);
        code = EX_DATAERR;
    } else {
        char *room = buffer_room(&coded, raw.len / 3 * 4 + 5);
        int n = EVP_EncodeBlock((unsigned char *)room,
                                (const unsigned char *)buffer_string(&raw),
                                (int)raw.len);

        (void)json_object_set_new(w->question, "message",
                                  json_stringn(room, (size_t)n));
    }
    buffer_fini(&raw);
    buffer_fini(&coded);
    return code;
}

/* --- who answers ------------------------------------------------------------ */

static void set(json_t *o, const char *key, json_t *value)
{
    ASSERT(json_object_set_new(o, key, value) == 0);
}

/* The file as the relay would name it; "" for the built-in configuration. */
static void put_path(const struct verb_call *call, char path[PATH_MAX])
{
    path[0] = '\0';
    if (call->config && !realpath(call->config, path))
        path[0] = '\0';
}

/* Why nobody can be asked; NULL: somebody listens. */
static const char *why_not(const struct settings *s)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    struct span path = s->admin.socket;
    const char *why = NULL;
    int fd;

    if (path.len == 0 || path.len >= sizeof to.sun_path)
        return "it has no socket";
    memcpy(to.sun_path, path.at, path.len);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        why = errno == EACCES || errno == EPERM ? "you may not ask it"
                                                : "none runs";
    if (fd >= 0)
        (void)close(fd);
    return why;
}

static json_t *answer_alone(const struct wish *w,
                            const struct explain_question *q,
                            struct settings *s, const char *why)
{
    json_t *o = explainer_alone(q, s);

    set(o, "config",
        w->call->config ? json_string(w->call->config) : json_null());
    set(o, "why", json_string(why));
    set(o, "now", json_integer(q->facts.now_ms / 1000));
    return o;
}

/* Is the file newer than what the relay has read of it? */
static bool has_changed(const char *path, int64_t read_s)
{
    struct stat st;

    return *path && stat(path, &st) == 0 && st.st_mtime > read_s;
}

/* *out NULL and EX_OK: it runs by another file. */
static int ask_relay(const struct wish *w, const struct settings *s,
                     json_t **out)
{
    struct ask *a = ask_new(s->admin.socket);
    char path[PATH_MAX];
    json_t *o = NULL;
    const char *its;
    int rc = ask_one(a, "/explain", w->question, &o);

    ask_free(a);
    if (rc != EX_OK)
        return rc;
    put_path(w->call, path);
    its = json_string_value(json_object_get(o, "config"));
    if (strcmp(its ? its : "", path) != 0) {
        json_decref(o);
        *out = NULL;
        return EX_OK;
    }
    set(o, "changed",
        json_boolean(
            has_changed(path, json_integer_value(json_object_get(o, "read")))));
    *out = o;
    return EX_OK;
}

static int find_answer(const struct wish *w, const struct explain_question *q,
                       struct settings *s, json_t **out)
{
    const char *why = w->is_alone ? "as you wish" : why_not(s);
    int rc;

    if (!why) {
        if ((rc = ask_relay(w, s, out)) != EX_OK || *out)
            return rc;
        why = "it runs by another file";
    }
    *out = answer_alone(w, q, s, why);
    return EX_OK;
}

static int print(const struct wish *w, const json_t *o)
{
    struct buffer b = { 0 };

    if (w->json) {
        paper_print_json(o);
    } else {
        explain_listing_put(&b, o, &w->looks);
        (void)fwrite(b.at, 1, b.len, stdout);
        buffer_fini(&b);
    }
    return fflush(stdout) != 0 || ferror(stdout) ? EX_IOERR : EX_OK;
}

static int explain(const struct wish *w, struct settings *s)
{
    struct explain_question q = { 0 };
    struct buffer why = { 0 };
    json_t *o = NULL;
    int rc = EX_DATAERR;

    if (!explain_question_read(&q, s, w->question, wall_ms(), &why))
        (void)fprintf(stderr, "waypost: %s\n", buffer_string(&why));
    else if ((rc = find_answer(w, &q, s, &o)) == EX_OK)
        rc = print(w, o);
    json_decref(o);
    buffer_fini(&why);
    explain_question_fini(&q);
    return rc;
}

static int run_explain(const struct verb_call *call)
{
    struct wish w = { .call = call, .question = json_object() };
    struct settings *s;
    int rc;

    w.looks.is_coloured = paper_takes_colour();
    if ((rc = read_options(&w)) == EX_OK && (rc = read_message(&w)) == EX_OK) {
        s = configuration_load(call);
        rc = s ? explain(&w, s) : EX_CONFIG;
        settings_release(s);
    }
    json_decref(w.question);
    return rc;
}

/* clang-format off */
static const struct verb_option options[] = {
    { "--client",      "IP",   "who connects", VALUE_WORD },
    { "--from",        "A",    "sender ('<>' is the null sender)", VALUE_WORD },
    { "--to",          "B",    "recipient", VALUE_WORD },
    { "--login",       "U",    "logged in as U", VALUE_WORD },
    { "--helo",        "H",    "what it says in EHLO; else its address in brackets", VALUE_WORD },
    { "--size",        "N",    "what it declares: 20000, 10MB", VALUE_WORD },
    { "--tls",         NULL,   "after STARTTLS", VALUE_WORD },
    { "--message",     "FILE", "this content, so that rules that look into it are tested too", VALUE_FILE },
    { "--listener",    "NAME", "else the first that demands no login (with --login, that has logins)", VALUE_LISTENER },
    { "--client-name", "NAME", "is believed instead of asking for reverse DNS", VALUE_WORD },
    { "--certificate", "C",    "it shows this one: sha256:HEX, or a name that it proves", VALUE_WORD },
    { "--ask",         NULL,   "ask policy servers and next hops too: they may remember it", VALUE_WORD },
    { "--config-only", NULL,   "what the file says, without the running relay", VALUE_WORD },
    { "--all",         NULL,   "also the rules that are not reached, each on a line", VALUE_WORD },
    { "--json",        NULL,   "one object", VALUE_WORD },
    { NULL, NULL, NULL, VALUE_WORD },
};

const struct verb explain_verb = {
    .name = "explain", .run = run_explain, .options = options,
    .arguments = "--client IP --from A --to B [--login U] [--helo H] [--size N] [--tls]\n"
        "                [--message FILE] [--listener NAME] [--client-name NAME]\n"
        "                [--certificate C] [--ask] [--config-only] [--all] [--json]",
    .help = "what would be said to a client, sender and recipient, and which rule says so",
    .more =
        "The running relay is asked: its settings, DNS lists, budgets and memory. Nothing is\n"
        "counted, noted or sent. With -c FILE of another configuration, and where no relay\n"
        "runs, the file is read, and what would have to be asked is assumed and said.\n"
        "\n"
        "Exit codes: 0 explained, whatever the verdict is (--json has it); 65 an address is\n"
        "none, or there is no such listener; 66 FILE cannot be read; 75 the relay cannot\n"
        "answer now; 78 configuration.\n",
    .group = GROUP_RUNNING,
    .examples = {
        { "waypost explain --client 192.0.2.7 --from ann@example.net --to joe@example.org",
          "would this be taken, and where would it go?" },
        { "waypost explain --client 192.0.2.7 --from ann@example.net --to joe@example.org --all",
          "with each rule that was looked at" },
    },
};
/* clang-format on */
