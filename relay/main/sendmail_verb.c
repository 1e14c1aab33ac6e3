/*
 * sendmail_verb - sendmail, as programs that know nothing of us call it.
 *
 *   options -> missive (input, recipients, header) -> the sendmail socket: accepted, or refused
 *                                                  -> nobody there: the drop folder
 *
 * All or nothing: where one recipient is refused, now or for good, nothing is sent, each refusal
 * is a line on standard error, and the exit code says which kind it is. Where the relay does not
 * answer, has a fault in its configuration (451 4.3.5), or went before it had said yes, the message is left in the drop folder; only where it
 * went between the final dot and its answer may that make two of one.
 */
#include "relay/main/sendmail_private.h"

#include "policy/vocabulary/memory.h"
#include "policy/vocabulary/utf8.h"
#include "policy/vocabulary/xtext.h"
#include "relay/main/configuration.h"
#include "relay/main/dropfile.h"
#include "relay/main/submitter.h"
#include "relay/main/unixuser.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

struct letter {
    const struct settings *settings;
    const struct sendmail_options *o;
    struct missive missive;
};

static int fail(int code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int fail(int code, const char *format, ...)
{
    struct buffer b = { 0 }, shown = { 0 };
    va_list args;

    va_start(args, format);
    buffer_vprintf(&b, format, args);
    va_end(args);
    /* it may end in a web server's log, and the address came from a form */
    buffer_put_escaped(&shown, buffer_span(&b));
    (void)fprintf(stderr, "sendmail: %s\n", buffer_string(&shown));
    buffer_fini(&b);
    buffer_fini(&shown);
    return code;
}

/* ------------------------------------------------------------- replies ---- */

/* "550 5.1.1 text" */
static int code_of(struct span reply)
{
    struct status status = { 0 };

    if (reply.len && reply.at[0] == '4')
        return EX_TEMPFAIL;
    if (status_parse(span_skip(reply, 4), &status) == 0)
        return EX_UNAVAILABLE;
    if (status.subject == 7)
        return EX_NOPERM;
    if (status.subject == 1)
        return EX_NOUSER;
    if (status.subject == 5 || status.subject == 6 ||
        (status.subject == 3 && status.detail == 4))
        return EX_DATAERR;
    return EX_UNAVAILABLE;
}

static int say_reply(struct span about, struct span reply)
{
    struct buffer b = { 0 };
    int code = code_of(reply);

    if (about.len) {
        buffer_put_escaped(&b, about);
        buffer_put_string(&b, ": ");
    }
    buffer_put_escaped(&b, reply);
    (void)fail(code, "%s", buffer_string(&b));
    buffer_fini(&b);
    return code;
}

/* 0: nobody was refused. A permanent refusal tells more than a temporary one. */
static int tell_refused(const struct missive *m)
{
    int code = EX_OK;

    for (size_t i = 0; i < m->count; i++) {
        const struct missive_recipient *r = &m->recipients[i];
        int its;

        if (r->fate != MISSIVE_LATER && r->fate != MISSIVE_REFUSED)
            continue;
        its = say_reply(r->path, r->reply);
        if (code == EX_OK || code == EX_TEMPFAIL)
            code = its;
    }
    return code;
}

/* Does the relay refuse for what is wrong with itself alone? Then the message is good, and
 * whoever calls (cron) is often nobody who would send it again. */
static bool is_its_own_trouble(const struct missive *m)
{
    bool yes = false;

    for (size_t i = 0; i < m->count; i++) {
        const struct missive_recipient *r = &m->recipients[i];

        if (r->fate != MISSIVE_LATER && r->fate != MISSIVE_REFUSED)
            continue;
        if (!span_starts_nocase(r->reply, SPAN("451 4.3.5 ")))
            return false;
        yes = true;
    }
    return yes;
}

/* ------------------------------------------------------------ dropping ---- */

static int drop(struct letter *l, const char *why)
{
    const struct sendmail_settings *m = &l->settings->sendmail;
    struct buffer file = { 0 };
    char *folder = span_dup(m->drop);
    int rc = ERROR_GONE, code = EX_OK;

    if (m->drops) {
        missive_put_file(&l->missive, &file);
        rc = dropfile_leave(folder, buffer_span(&file));
    }
    if (rc < 0 && m->drops)
        code = fail(EX_TEMPFAIL, "%s, and the message cannot be left in %s: %s",
                    why, folder, error_text(rc));
    else if (rc < 0)
        code = fail(EX_TEMPFAIL, "%s, and there is no drop folder", why);
    buffer_fini(&file);
    free(folder);
    return code;
}

/* ---------------------------------------------------------- submitting ---- */

/* One transaction; *out_again: some are to be sent in another. */
static int transact(struct letter *l, struct submitter *s, bool *out_again)
{
    struct missive *m = &l->missive;
    bool is_doubtful;
    int said = submitter_envelope(s, m), code;

    *out_again = false;
    if (said < 0 || said == 421)
        return drop(l, "the relay stopped");
    if (said >= 300)
        return say_reply(SPAN(""), m->recipients[0].reply);
    if (l->settings->sendmail.drops && is_its_own_trouble(m))
        return drop(l, "the relay cannot take it now");
    if ((code = tell_refused(m)) != EX_OK)
        return code;
    if (submitter_count(m, MISSIVE_ACCEPTED) == 0)
        return fail(EX_TEMPFAIL, "the relay takes none of the recipients now");
    said = submitter_content(s, m, &is_doubtful);
    if (said < 0 || said == 421)
        return drop(l, "the relay stopped");
    if (said >= 300)
        return say_reply(SPAN(""), buffer_span(&s->reply));
    *out_again = submitter_count(m, MISSIVE_PUT_OFF) > 0;
    return EX_OK;
}

static int submit(struct letter *l)
{
    int fd = l->settings->sendmail.is_on
                 ? submitter_connect(l->settings->sendmail.socket)
                 : ERROR_GONE;
    struct submitter s;
    bool again = true;
    int said, code = EX_OK;

    if (fd < 0)
        return drop(l, "the relay is not running");
    submitter_init(&s, fd);
    said = submitter_greet(&s);
    if (said < 0 || said / 100 == 4)
        code = drop(l, "the relay does not answer");
    else if (said >= 500)
        code = say_reply(SPAN(""), buffer_span(&s.reply));
    else
        while (code == EX_OK && again)
            code = transact(l, &s, &again);
    if (said > 0 && said < 400)
        submitter_quit(&s);
    submitter_fini(&s);
    (void)close(fd);
    return code;
}

/* ----------------------------------------------------------- composing ---- */

/* The parameter of each recipient, or NULL: -N is wrong. */
static bool put_notify(const struct sendmail_options *o, struct buffer *b)
{
    if (!o->notify)
        return true;
    buffer_put_string(b, " NOTIFY=");
    for (const char *at = o->notify; *at; at++) {
        char lower = ascii_lower(*at);

        if (lower != ',' && (lower < 'a' || lower > 'z'))
            return false;
        buffer_put_byte(b, *at);
    }
    return *o->notify != '\0';
}

static int address_it(struct letter *l, char **recipients, int count)
{
    struct missive *m = &l->missive;
    struct buffer notify = { 0 };
    int code = EX_OK;

    if (!put_notify(l->o, &notify))
        code =
            fail(EX_USAGE, "-N is never, or some of success, failure, delay");
    for (int i = 0; code == EX_OK && i < count; i++)
        if (!missive_add(m, span_of(recipients[i]), buffer_span(&notify)))
            code = fail(EX_DATAERR, "\"%s\" is no address", recipients[i]);
    if (code == EX_OK && l->o->gathers &&
        !missive_gather(m, buffer_span(&notify)))
        code = fail(EX_DATAERR, "the recipients in the header cannot be read");
    if (code == EX_OK && m->count == 0)
        code =
            l->o->gathers
                ? fail(EX_DATAERR, "the header names no recipient")
                : fail(EX_USAGE, "recipients follow the options, or -t takes "
                                 "them from the header");
    buffer_fini(&notify);
    return code;
}

static int sign(struct letter *l)
{
    const char *given = l->o->full_name ? l->o->full_name : getenv("NAME");
    struct buffer login = { 0 }, name = { 0 };
    int code = EX_OK;

    unixuser_put_login(&login, getuid());
    if (given)
        buffer_put_string(&name, given);
    else if (!l->o->sender)
        unixuser_put_name(&name, getuid());
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.at[i] < ' ' || name.at[i] == 0x7f)
            name.at[i] = ' ';
    if (!missive_set_sender(&l->missive, l->o->sender ? span_of(l->o->sender)
                                                      : buffer_span(&login)))
        code = fail(EX_DATAERR, "\"%s\" is no sender's address",
                    l->o->sender ? l->o->sender : buffer_string(&login));
    missive_finish(&l->missive, span_trim(buffer_span(&name)));
    buffer_fini(&login);
    buffer_fini(&name);
    return code;
}

static bool needs_utf8(const struct missive *m)
{
    bool yes = utf8_has_high(m->sender);

    for (size_t i = 0; i < m->count; i++)
        yes |= utf8_has_high(m->recipients[i].path);
    return yes;
}

static void set_parameters(struct letter *l)
{
    struct missive *m = &l->missive;
    struct buffer b = { 0 };

    if (l->o->says_8bit || (!l->o->says_7bit && missive_has_8bit(m)))
        buffer_put_string(&b, " BODY=8BITMIME");
    if (needs_utf8(m))
        buffer_put_string(&b, " SMTPUTF8");
    if (l->o->ret)
        buffer_printf(&b, " RET=%s", l->o->ret);
    if (l->o->envid) {
        buffer_put_string(&b, " ENVID=");
        xtext_encode(&b, span_of(l->o->envid));
    }
    m->parameters = arena_copy(&m->arena, buffer_span(&b));
    buffer_fini(&b);
}

static int send_letter(struct letter *l, char **recipients, int count)
{
    uint64_t most = l->settings->limits.message_bytes;
    int code, rc;

    if (count == 0 && !l->o->gathers)
        return address_it(l, recipients, count);
    rc = missive_read(&l->missive, STDIN_FILENO, !l->o->ignores_dots, most);
    if (rc == ERROR_TOO_BIG)
        return fail(EX_DATAERR, "the message has more than %llu bytes",
                    (unsigned long long)most);
    if (rc < 0)
        return fail(EX_IOERR, "cannot read the message: %s", error_text(rc));
    if ((code = address_it(l, recipients, count)) != EX_OK ||
        (code = sign(l)) != EX_OK)
        return code;
    set_parameters(l);
    return submit(l);
}

/* ---------------------------------------------------------------- verb ---- */

const char *sendmail_config(const struct verb_call *call, const char *given)
{
    return given ? given : call->config;
}

static int run_mode(const struct verb_call *call,
                    const struct sendmail_options *o, const struct settings *s)
{
    struct letter l = { .settings = s, .o = o };
    int code = EX_OK;

    switch (o->mode) {
    case SENDMAIL_SPEAKS:
        return sendmail_speak(s);
    case SENDMAIL_LISTS:
        return sendmail_list(s);
    case SENDMAIL_FLUSHES:
        return sendmail_flush(s, o);
    case SENDMAIL_ALIASES:
        return sendmail_aliases(sendmail_config(call, o->config));
    case SENDMAIL_SUBMITS:
        break;
    }
    missive_init(&l.missive);
    code = send_letter(&l, call->argv + o->first, call->argc - o->first);
    missive_fini(&l.missive);
    return code;
}

static int run(const struct verb_call *call)
{
    struct sendmail_options o;
    struct buffer why = { 0 };
    struct settings *s;
    int code = sendmail_options_read(&o, call->argc, call->argv, &why);

    if (code != EX_OK) {
        (void)fail(code, "%s", buffer_string(&why));
    } else {
        s = configuration_load_brief(sendmail_config(call, o.config));
        code = s ? run_mode(call, &o, s) : EX_CONFIG;
        settings_release(s);
    }
    buffer_fini(&why);
    return code;
}

/* clang-format off */
const struct verb sendmail_verb = {
    .name = "sendmail",
    .arguments = "[-t] [-i] [-f SENDER] [-F NAME] [OPTIONS] [RECIPIENT ...]",
    .run = run, .is_program = true,
    .help = "take a message from standard input, as programs call it",
    .more =
        "  -t                 recipients are those of To, Cc and Bcc, too; Bcc is taken out\n"
        "  -i, -oi            a line with a dot alone does not end the message\n"
        "  -f, -r SENDER      the sender; else whoever calls; '' is the null sender\n"
        "  -F NAME            the sender's full name, for a From: that is missing\n"
        "  -B 7BIT|8BITMIME, -N never|success,failure,delay, -R full|hdrs, -V ENVID\n"
        "                     for the envelope; RFC 6152, RFC 3461\n"
        "  -bs                speaks SMTP on standard input and output\n"
        "  -bp                what mailq does; -bi: what newaliases does\n"
        "  -q, -qIID, -qRSITE try waiting mail now\n"
        "  -C FILE            the configuration\n"
        "Other options of sendmail are accepted and ignored, or said to be wrong.\n"
        "It needs no rights: everybody whom sendmail { users } names may send. While no relay\n"
        "runs the message goes to the drop folder, where the relay finds it.\n"
        "\n"
        "Exit codes: 0 taken; 64 called wrongly; 65 the message or an address is wrong; 67 a\n"
        "recipient is refused; 69 refused otherwise; 75 try again later; 77 not allowed; 78\n"
        "configuration. Unless it is 0 nothing was sent.\n",
    .group = GROUP_MAIL,
    .examples = {
        { "echo 'The disk is full' | sendmail -f alarm@example.org joe@example.org",
          "a message of one line" },
        { "sendmail -t -i <message.eml",
          "to those whom its header names" },
    },
};
/* clang-format on */
