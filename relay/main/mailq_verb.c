/*
 * mailq_verb - mailq, and sendmail -bp and -q: what waits, in the columns of Postfix.
 *
 *   -Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------
 *   0NVXS3Z1ZM8G0*    1200 Sun Nov 22 10:00:00  joe@example.org
 *   (450 4.2.0 why it waits, of the recipients below)
 *                                            ann@example.com
 *
 *   -- 2 Kbytes in 1 Request.
 *
 * "*" behind an id: it is being sent; "!": it is held. Unlike Postfix's, it shows the mail of
 * others to nobody but root and the relay's own user: the admin socket lets in no one else.
 */
#include "relay/main/sendmail_private.h"

#include "policy/vocabulary/memory.h"
#include "relay/main/ask.h"
#include "relay/main/configuration.h"
#include "relay/main/paper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { REASON_END = 76 };

struct list {
    uint64_t count, bytes;
};

static char mark_of(const json_t *message)
{
    const char *state = paper_text(message, "state");

    return strcmp(state, "active") == 0 ? '*'
           : strcmp(state, "held") == 0 ? '!'
                                        : ' ';
}

static void put_reason(struct buffer *b, const char *reason)
{
    struct buffer shown = { 0 };

    buffer_put_escaped(&shown, span_of(reason));
    buffer_printf(b, "%*s(%s)\n",
                  shown.len < REASON_END ? (int)(REASON_END - shown.len) : 0,
                  "", buffer_string(&shown));
    buffer_fini(&shown);
}

/* Why they wait stands above those that wait for the same. */
static void put_recipients(struct buffer *b, const json_t *all)
{
    const char *before = "";
    size_t i;
    json_t *r;

    json_array_foreach(all, i, r)
    {
        const char *reason = paper_text(r, "delay_reason");

        if (*reason && strcmp(reason, before) != 0)
            put_reason(b, reason);
        before = reason;
        buffer_printf(b, "%-11s %8s %20s ", "", "", "");
        buffer_put_escaped(b, span_of(paper_text(r, "address")));
        buffer_put_byte(b, '\n');
    }
    buffer_put_byte(b, '\n');
}

static bool print_message(void *user, const json_t *message)
{
    struct list *l = user;
    int64_t size = json_integer_value(json_object_get(message, "message_size"));
    time_t at = json_integer_value(json_object_get(message, "arrival_time"));
    struct buffer b = { 0 }, id = { 0 };
    char when[32] = "";
    struct tm tm;

    if (l->count++ == 0)
        (void)puts("-Queue ID-  --Size-- ----Arrival Time---- "
                   "-Sender/Recipient-------");
    l->bytes += (uint64_t)size;
    if (localtime_r(&at, &tm))
        (void)strftime(when, sizeof when, "%a %b %e %H:%M:%S ", &tm);
    buffer_printf(&id, "%s%c", paper_text(message, "queue_id"),
                  mark_of(message));
    buffer_printf(&b, "%-11s %8lld %20.20s ", buffer_string(&id),
                  (long long)size, when);
    buffer_put_escaped(&b, span_of(paper_text(message, "sender")));
    buffer_put_byte(&b, '\n');
    put_recipients(&b, json_object_get(message, "recipients"));
    (void)fwrite(b.at, 1, b.len, stdout);
    buffer_fini(&b);
    buffer_fini(&id);
    return !ferror(stdout);
}

/* The socket is for root and our own user; the rest would only hear that it cannot be used. */
static int check_rights(const struct settings *s, const char *what)
{
    char *path = span_dup(s->admin.socket);
    int rc = access(path, R_OK | W_OK) < 0 ? errno : 0;

    free(path);
    if (rc != EACCES)
        return EX_OK;
    (void)fprintf(
        stderr, "mailq: only root and the relay's own user may %s the queue\n",
        what);
    return EX_NOPERM;
}

int sendmail_list(const struct settings *s)
{
    int rc = check_rights(s, "look at");
    struct list l = { 0 };
    struct ask *a;

    if (rc != EX_OK)
        return rc;
    a = ask_new(s->admin.socket);
    paper_begin_list();
    rc = ask_stream(a, "/queue", NULL, print_message, &l);
    ask_free(a);
    if (rc != EX_OK)
        return rc;
    if (l.count)
        (void)printf("-- %llu Kbytes in %llu Request%s.\n",
                     (unsigned long long)((l.bytes + 1023) / 1024),
                     (unsigned long long)l.count, l.count == 1 ? "" : "s");
    else
        (void)puts("Mail queue is empty");
    return fflush(stdout) != 0 || ferror(stdout) ? EX_IOERR : EX_OK;
}

int sendmail_flush(const struct settings *s, const struct sendmail_options *o)
{
    int rc = check_rights(s, "change");
    json_t *body, *answer = NULL;
    struct ask *a;

    if (rc != EX_OK)
        return rc;
    body = json_pack("{s:b}", "yes", 1);
    if (o->queue_id)
        (void)json_object_set_new(body, "id", json_string(o->queue_id));
    if (o->site)
        (void)json_object_set_new(body, "domain", json_string(o->site));
    a = ask_new(s->admin.socket);
    rc = ask_one(a, "/queue/retry", body, &answer);
    ask_free(a);
    json_decref(answer);
    json_decref(body);
    return rc;
}

static int run(const struct verb_call *call)
{
    struct sendmail_options o;
    struct buffer why = { 0 };
    struct settings *s;
    int code = sendmail_options_read(&o, call->argc, call->argv, &why);

    if (code != EX_OK) {
        code = verbs_usage(call, "%s", buffer_string(&why));
    } else {
        s = configuration_load_brief(sendmail_config(call, o.config));
        code = !s                           ? EX_CONFIG
               : o.mode == SENDMAIL_FLUSHES ? sendmail_flush(s, &o)
                                            : sendmail_list(s);
        settings_release(s);
    }
    buffer_fini(&why);
    return code;
}

/* clang-format off */
const struct verb mailq_verb = {
    .name = "mailq", .arguments = "[-C FILE] [-q]", .run = run, .is_program = true,
    .help = "what waits, as Postfix's mailq shows it",
    .more =
        "\"*\" behind an id: it is being sent; \"!\": it is held. For root and the relay's own\n"
        "user; waypost queue list shows more.\n"
        "\n"
        "Exit codes: 0 shown; 69 no relay is running; 75 it cannot tell now; 77 you may not\n"
        "look at the queue; 78 configuration.\n",
    .group = GROUP_LOOKING,
    .examples = {
        { "mailq",
          "what waits" },
        { "mailq -q",
          "try it now" },
    },
};
/* clang-format on */
