/*
 * What another configuration would have said: a table of pasts and candidates.
 */
#include "relay/main/retrial.h"
#include "tests/unit/settings_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROUTES "route \"*\" { via = {\"smtp://a\"} }\n"
#define OURS                                                                   \
    "rule \"ours\" { client = {\"10.0.0.0/8\"} action = relay }\n"
#define ALSO                                                                   \
    "rule \"also\" { to = {\"ok.test\"} action = relay }\n"
#define LIST                                                                   \
    "rule \"list\" { dnsbl = {\"l.test\"} action = reject }\n"
#define GREY "rule \"grey\" { not-login = {\"*\"} action = greylist }\n"
#define LIMIT(n)                                                               \
    "rule \"limit\" { from = {\"*\"} action = limit per = client rate = "    \
    "{\"" n "/h\"} }\n"
#define VIRUS                                                                  \
    "rule \"virus\" { header = {'Subject: /virus/'} action = reject }\n"
#define NAMED                                                                  \
    "rule \"named\" { client-name = {\"*.bad.test\"} action = reject }\n"
#define TAGGED                                                                 \
    "rule \"tag\" { dnsbl = {\"t.test\"} action = tag set-tag = {\"t\"} }\n"
#define ON_TAG "rule \"on tag\" { tag = {\"t\"} action = reject }\n"
#define HOLD "rule \"hold\" { dnsbl = {\"h.test\"} action = hold }\n"
#define NO_JOE                                                                 \
    "rule \"no joe\" { from = {\"joe@x.test\"} action = reject reply = "       \
    "\"550 5.7.2 no\" }\n"
#define AWAY "rule \"away\" { from = {\"joe@x.test\"} action = route route = "

/* who: accepted by it; "!reply" in front: refused with that. */
enum { PLAIN = 0, TLS = 1, EARLY = 2, OLD = 4, OTHER = 8, NIGHT = 16 };

/* clang-format off */
static const struct {
    const char *running, *candidate;
    const char *rule;    /* that decided then */
    const char *reply;   /* of a refusal; NULL: accepted */
    const char *held_by, *name;
    unsigned what;
    const char *found;
} rows[] = {
    { OURS, OURS, "ours", NULL, "", "", PLAIN, "same" },
    { OURS, ALSO, "ours", NULL, "", "", PLAIN, "same" },
    { OURS, NO_JOE OURS, "ours", NULL, "", "", PLAIN,
      "accepted -> refused by no joe 550" },
    { OURS, OURS NO_JOE, "ours", NULL, "", "", PLAIN, "same" },
    { NO_JOE OURS, OURS, "no joe", "550 5.7.2 no", "", "", PLAIN,
      "refused -> accepted by ours" },
    { NO_JOE OURS, NO_JOE OURS, "no joe", "550 5.7.2 no", "", "", PLAIN, "same" },
    { OURS, OURS, "", "554 5.7.1 <u@ok.test>: Relay access denied", "", "", PLAIN,
      "refused -> accepted by ours" },
    { OURS, "rule \"a\" { client = {\"192.0.2.1\"} action = relay }", "ours", NULL, "",
      "", PLAIN, "accepted -> refused by none 554" },
    /* rules that ask, and which the running configuration has too */
    { LIST OURS, LIST OURS, "ours", NULL, "", "", PLAIN, "same" },
    { LIST OURS, LIST OURS, "list", "554 5.7.1 no", "", "", PLAIN, "same" },
    { LIST OURS, OURS, "list", "554 5.7.1 no", "", "", PLAIN,
      "refused -> accepted by ours" },
    { LIST OURS, LIST NO_JOE OURS, "ours", NULL, "", "", PLAIN,
      "accepted -> refused by no joe 550" },
    { GREY OURS, GREY OURS, "grey", "450 4.7.1 wait", "", "", PLAIN, "same" },
    { GREY OURS, GREY OURS, "ours", NULL, "", "", PLAIN, "same" },
    { LIMIT("5") OURS, LIMIT("5") OURS, "limit", "450 4.7.1 wait", "", "", PLAIN, "same" },
    { LIMIT("5") OURS, LIMIT("5") OURS, "ours", NULL, "", "", PLAIN, "same" },
    { VIRUS OURS, VIRUS OURS, "virus", "554 5.7.1 no", "", "", PLAIN, "same" },
    { VIRUS OURS, VIRUS OURS, "ours", NULL, "", "", PLAIN, "same" },
    /* new ones, or others */
    { OURS, LIST OURS, "ours", NULL, "", "", PLAIN, "cannot tell list: dns" },
    { OURS, GREY OURS, "ours", NULL, "", "", PLAIN, "cannot tell grey: memory" },
    { OURS, VIRUS OURS, "ours", NULL, "", "", PLAIN, "cannot tell virus: message" },
    { LIMIT("5") OURS, LIMIT("4") OURS, "ours", NULL, "", "", PLAIN,
      "cannot tell limit: memory" },
    { GREY OURS, GREY OURS, "away", NULL, "", "", PLAIN, "same" },
    { ALSO GREY, GREY ALSO, "also", NULL, "", "", PLAIN, "same" },
    { ALSO GREY, GREY NO_JOE ALSO, "also", NULL, "", "", PLAIN,
      "cannot tell grey: memory" },
    /* whatever the new one says, he stays outside */
    { OURS, LIST NO_JOE OURS, "no joe", "550 5.7.2 no", "", "", PLAIN, "same" },
    { OURS, LIST NO_JOE OURS, "ours", NULL, "", "", PLAIN,
      "accepted -> refused by no joe 550" },
    { OURS, GREY, "grey", "450 4.7.1 wait", "", "", PLAIN, "cannot tell grey: memory" },
    /* let in, but for a rule further down that was not reached */
    { NO_JOE GREY OURS, GREY OURS, "no joe", "550 5.7.2 no", "", "", PLAIN,
      "refused -> accepted by ours unless grey: memory" },
    /* the client's name was kept */
    { OURS, NAMED OURS, "ours", NULL, "", "a.bad.test", PLAIN,
      "accepted -> refused by named 554" },
    { OURS, NAMED OURS, "ours", NULL, "", "a.good.test", PLAIN, "same" },
    { OURS, NAMED OURS, "ours", NULL, "", "unknown", PLAIN, "cannot tell named: dns" },
    /* tags */
    { TAGGED ON_TAG OURS, TAGGED ON_TAG OURS, "ours", NULL, "", "", PLAIN, "same" },
    { OURS, TAGGED ON_TAG OURS, "ours", NULL, "", "", PLAIN, "cannot tell tag: dns" },
    /* held */
    { HOLD OURS, HOLD OURS, "ours", NULL, "hold", "", PLAIN, "same" },
    { HOLD OURS, HOLD OURS, "ours", NULL, "", "", PLAIN, "same" },
    { HOLD OURS, OURS, "ours", NULL, "hold", "", PLAIN, "held -> accepted by ours" },
    { OURS, HOLD OURS, "ours", NULL, "", "", PLAIN, "cannot tell hold: dns" },
    { OURS, "rule \"k\" { to = {\"ok.test\"} action = hold }" OURS, "ours", NULL, "", "",
      PLAIN, "accepted -> held by k" },
    { OURS, "rule \"d\" { to = {\"ok.test\"} action = discard }" OURS, "ours", NULL, "",
      "", PLAIN, "accepted -> discarded by d" },
    { OURS, OURS, "d", "250 2.0.0 discarded", "", "", PLAIN,
      "discarded -> accepted by ours" },
    /* shadow: nothing happens */
    { OURS, "rule \"s\" { dnsbl = {\"l.test\"} action = reject mode = shadow }" OURS,
      "ours", NULL, "", "", PLAIN, "same" },
    /* facts */
    { OURS, "rule \"t\" { tls = \"TLSv1.3\" action = reject }" OURS, "ours", NULL, "",
      "", TLS, "accepted -> refused by t 554" },
    { OURS, "rule \"t\" { tls = \"TLSv1.3\" action = reject }" OURS, "ours", NULL, "",
      "", PLAIN, "same" },
    { OURS, "rule \"t\" { tls = \"200\" action = reject }" OURS, "ours", NULL, "", "",
      TLS, "accepted -> refused by t 554" },
    { OURS, "rule \"t\" { certificate = {\"joe.test\"} action = reject }" OURS, "ours",
      NULL, "", "", TLS, "accepted -> refused by t 554" },
    { OURS, "rule \"t\" { helo = {\"h.test\"} login = {\"bob\"} listener = {\"edge\"}"
      " size = \"4KB\" action = reject }" OURS, "ours", NULL, "", "", PLAIN,
      "accepted -> refused by t 554" },
    { OURS, "rule \"t\" { size = \"6KB\" action = reject }" OURS, "ours", NULL, "", "",
      PLAIN, "same" },
    { OURS, "rule \"t\" { time = {\"sun 02:00-03:00\"} action = reject }" OURS, "ours",
      NULL, "", "", PLAIN, "same" },
    { OURS, "rule \"t\" { time = {\"sun 02:00-03:00\"} action = reject }" OURS, "ours",
      NULL, "", "", NIGHT, "accepted -> refused by t 554" },
    { OURS, "rule \"t\" { size = \"6KB\" action = reject }" OURS, "t", "552 5.3.4 no",
      "", "", PLAIN, "cannot tell t: message" },
    { OURS, "rule \"t\" { size = \"4KB\" action = hold }" OURS, "ours", NULL, "", "",
      PLAIN, "accepted -> held by t" },
    /* before there was a recipient */
    { NO_JOE OURS, NO_JOE OURS, "no joe", "550 5.7.2 no", "", "", EARLY, "same" },
    { NO_JOE OURS, OURS, "no joe", "550 5.7.2 no", "", "", EARLY,
      "refused -> let on by none" },
    /* what was not decided by rules, and what older versions wrote down */
    { OURS, OURS, "", "501 5.1.3 bad", "", "", OTHER, "left out" },
    { OURS, OURS, "", NULL, "", "", PLAIN, "left out" },
    { OURS, NO_JOE OURS, "", NULL, "", "", OLD, "accepted -> refused by no joe 550" },
    { OURS, OURS, "", "554 5.7.1 <u@ok.test>: Relay access denied", "", "", OLD,
      "refused -> accepted by ours" },
    { OURS, OURS, "", "501 5.1.3 bad", "", "", OLD, "left out" },
    /* routes */
    { OURS, OURS "route \"ok.test\" { via = {\"smtp://b\"} }\n", "ours", NULL, "", "",
      PLAIN, "route ok.test instead of *" },
    { OURS, OURS "route \"ok.test\" { via = {\"smtp://a\"} }\n", "ours", NULL, "", "",
      PLAIN, "same" },
    { OURS, AWAY "\"b\" }\nroute \"b\" { to = {\"b.test\"} via = {\"smtp://b\"} }\n" OURS,
      "ours", NULL, "", "", PLAIN, "route b instead of *" },
    { AWAY "\"b\" }\nroute \"b\" { to = {\"b.test\"} via = {\"smtp://b\"} }\n" OURS,
      OURS, "ours", NULL, "", "", PLAIN, "route * instead of b" },
};
/* clang-format on */

static struct settings *read_settings(const char *rules)
{
    struct buffer text = { 0 }, faults = { 0 }, warnings = { 0 };
    struct settings *s;

    buffer_put_string(&text, "listener \"edge\" { address = \"[::]:25\" }\n");
    buffer_put_string(&text, rules);
    buffer_put_string(&text, ROUTES);
    s = settings_text(buffer_string(&text), &faults, &warnings);
    if (!s)
        fail_msg("%s", buffer_string(&faults));
    buffer_fini(&text);
    buffer_fini(&faults);
    buffer_fini(&warnings);
    return s;
}

static void put_found(struct buffer *b, const struct finding *f)
{
    static const char *const fates[] = { "accepted", "held",     "discarded",
                                         "refused",  "deferred", "let on" };
    static const char *const doubts[] = { "dns", "memory", "server", "message",
                                          "facts" };
    struct span title = f->rule ? f->rule->title : SPAN("none");

    switch (f->kind) {
    case FINDING_SAME:
        buffer_put_string(b, "same");
        break;
    case FINDING_OTHER:
        buffer_put_string(b, "left out");
        break;
    case FINDING_REROUTED:
        buffer_printf(b, "route %.*s instead of %.*s", SPAN_FMT(f->route_now),
                      SPAN_FMT(f->route_then));
        break;
    case FINDING_UNKNOWN:
        buffer_printf(b, "cannot tell %.*s: %s", SPAN_FMT(title),
                      doubts[f->because]);
        break;
    case FINDING_CHANGED:
        buffer_printf(b, "%s -> %s by %.*s", fates[f->then], fates[f->now],
                      SPAN_FMT(title));
        if (f->now == FATE_REFUSED || f->now == FATE_DEFERRED)
            buffer_printf(b, " %u", f->reply.code);
        if (f->unless)
            buffer_printf(b, " unless %.*s: %s", SPAN_FMT(f->unless->title),
                          doubts[f->because]);
        break;
    }
}

static struct queue_past past_of(size_t i);

static void a_reply_is_what_this_client_would_get(void **state)
{
    struct settings *running = read_settings(OURS);
    struct settings *candidate = read_settings(
        "rule \"t\" { from = {\"joe@x.test\"} action = reject reply = "
        "\"550 5.7.2 <%{sender}> to <%{recipient}> at %{client}: %{rule}\" }\n");
    struct retrial *t = retrial_new(running, candidate);
    struct queue_past p = past_of(0);
    struct finding f = retrial_judge(t, &p);

    (void)state;
    assert_int_equal(f.kind, FINDING_CHANGED);
    assert_true(span_is(
        f.reply.text, SPAN("<joe@x.test> to <u@ok.test> at 10.1.2.3: t")));
    retrial_free(t);
    settings_release(running);
    settings_release(candidate);
}

static struct queue_past past_of(size_t i)
{
    unsigned what = rows[i].what;
    struct queue_past p = {
        .at_ms = what & NIGHT ? 1700359200000 : 1700308800000,
        .is_refusal = rows[i].reply != NULL,
        .is_verdict = rows[i].reply && !(what & OTHER),
        .is_recorded = !(what & OLD),
        .ruling = { .rule = span_of(rows[i].rule),
                    .held_by = span_of(rows[i].held_by) },
        .sender = SPAN("joe@x.test"),
        .recipient = what & EARLY ? SPAN("") : SPAN("u@ok.test"),
        .client = SPAN("10.1.2.3"),
        .client_name = span_of(rows[i].name),
        .helo = SPAN("h.test"),
        .listener = SPAN("edge"),
        .tls = what & TLS ? SPAN("TLSv1.3 256 sha256:aa joe.test") : SPAN(""),
        .stage = what & EARLY ? SPAN("MAIL") : SPAN("RCPT"),
        .reply = rows[i].reply ? span_of(rows[i].reply) : SPAN(""),
        .size_bytes = 5000,
    };

    /* greylists are for those who have none */
    if (!strstr(rows[i].candidate, "greylist"))
        p.login = SPAN("bob");
    return p;
}

static void each_past_is_judged_once_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct settings *running = read_settings(rows[i].running);
        struct settings *candidate = read_settings(rows[i].candidate);
        struct retrial *t = retrial_new(running, candidate);
        struct queue_past p = past_of(i);
        struct buffer b = { 0 };

        /* what was concluded for one says nothing of the next */
        for (int again = 0; again < 2; again++) {
            struct finding f = retrial_judge(t, &p);

            buffer_clear(&b);
            put_found(&b, &f);
            if (strcmp(buffer_string(&b), rows[i].found) != 0)
                fail_msg("row %zu: %s, not %s", i, buffer_string(&b),
                         rows[i].found);
        }
        buffer_fini(&b);
        retrial_free(t);
        settings_release(running);
        settings_release(candidate);
    }
}

static void what_cannot_be_read_is_not_judged(void **state)
{
    static const struct {
        const char *client, *sender, *recipient, *stage;
    } bad[] = {
        { "nonsense", "a@b.test", "u@ok.test", "RCPT" },
        { "", "a@b.test", "u@ok.test", "RCPT" },
        { "10.0.0.1", "a@@", "u@ok.test", "RCPT" },
        { "10.0.0.1", "a@b.test", "u@", "RCPT" },
        { "10.0.0.1", "a@b.test", "", "END-OF-DATA" },
    };
    struct settings *s = read_settings(OURS);
    struct retrial *t = retrial_new(s, s);

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct queue_past p = { .is_refusal = true,
                                .is_verdict = true,
                                .is_recorded = true,
                                .client = span_of(bad[i].client),
                                .sender = span_of(bad[i].sender),
                                .recipient = span_of(bad[i].recipient),
                                .stage = span_of(bad[i].stage),
                                .reply = SPAN("554 5.7.1 no") };
        struct finding f = retrial_judge(t, &p);

        assert_int_equal(f.kind, FINDING_UNKNOWN);
        assert_int_equal(f.because, DOUBT_FACTS);
    }
    retrial_free(t);
    settings_release(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_past_is_judged_once_more),
        cmocka_unit_test(what_cannot_be_read_is_not_judged),
        cmocka_unit_test(a_reply_is_what_this_client_would_get),
    };

    (void)setenv("TZ", "UTC", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
