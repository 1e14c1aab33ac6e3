/*
 * explain_listing - an explanation as text: one screen for people.
 *
 * Who asks for whom, the rules (explain_rules.c), the verdict, and what would come of it.
 */
#include "relay/main/explain_listing.h"

#include "relay/admin/listing.h"
#include "relay/main/explain_rules.h"

enum { FACT_COLUMNS = 13 };

/* --- who and whom ----------------------------------------------------------- */

static void put_source(struct paper *p)
{
    const char *file = paper_text(p->o, "config");
    int64_t read = paper_number(p->o, "read");

    if (paper_is(p->o, "source", "relay")) {
        buffer_put_string(p->b, "The running relay says");
        if (*file) {
            buffer_put_string(p->b, " (by ");
            paper_put(p, file);
            if (paper_is_so(p->o, "changed")) {
                buffer_put_string(p->b, " as it was read ");
                listing_put_duration(p->b, paper_number(p->o, "now") - read);
                buffer_put_string(p->b, " ago: the file is newer");
            }
            buffer_put_byte(p->b, ')');
        }
        buffer_put_string(p->b, ":\n");
        return;
    }
    buffer_put_string(p->b, "The running relay was not asked (");
    paper_put(p, paper_text(p->o, "why"));
    buffer_put_string(p->b, "). ");
    paper_put(p, *file ? file : "The built-in configuration");
    buffer_put_string(p->b, " says:\n");
}

static void put_question(struct paper *p)
{
    const json_t *q = json_object_get(p->o, "question");

    buffer_put_string(p->b, "  client ");
    paper_put(p, paper_text(q, "client"));
    buffer_put_string(p->b, ", helo ");
    paper_put(p, paper_text(q, "helo"));
    if (*paper_text(q, "listener")) {
        buffer_put_string(p->b, ", listener ");
        paper_quote(p, paper_text(q, "listener"));
    }
    buffer_put_string(p->b, paper_is_so(q, "tls") ? ", TLS" : ", no TLS");
    if (*paper_text(q, "login")) {
        buffer_put_string(p->b, ", login ");
        paper_quote(p, paper_text(q, "login"));
    } else {
        buffer_put_string(p->b, ", not logged in");
    }
    buffer_put_string(p->b, "\n  from <");
    paper_put(p, paper_text(q, "from"));
    buffer_put_string(p->b, "> to <");
    paper_put(p, paper_text(q, "to"));
    buffer_put_byte(p->b, '>');
    if (paper_number(q, "size"))
        buffer_printf(p->b, ", %lld bytes", (long long)paper_number(q, "size"));
    buffer_put_string(
        p->b, paper_is_so(q, "message") ? ", with this message\n\n" : "\n\n");
}

/* --- what comes of it ------------------------------------------------------- */

static void head(struct paper *p, const char *name)
{
    buffer_printf(p->b, "%-*s", FACT_COLUMNS, name);
}

static const struct {
    const char *key, *words;
} stages[] = {
    { "connect", "on connection" }, { "hello", "at EHLO" },
    { "sender", "at MAIL" },        { "recipient", "at RCPT" },
    { "message", "after the message" },
}, reasons[] = {
    { "no-rule", "no rule grants it" },
    { "postmaster", "our postmaster: no rule is asked" },
    { "listener", "the listener demands TLS or a login (--tls, --login)" },
    { "limits", "limits { message }" },
    { "senders", "users { senders }" },
    { "route", "there is no route" },
    { "quota", "the route's quota" },
    { "verify", "the route's verify" },
};

static void put_verdict(struct paper *p)
{
    static const char *const words[][2] = { { "accept", "accepted" },
                                            { "reject", "REJECTED" },
                                            { "defer", "DEFERRED" },
                                            { "discard", "DISCARDED" } };
    const json_t *v = json_object_get(p->o, "verdict");
    enum paper_colour c = explain_rules_colour(v);

    head(p, "Verdict");
    paper_begin(p, c);
    for (size_t i = 0; i < 4; i++)
        if (paper_is(v, "kind", words[i][0]))
            buffer_put_string(p->b, words[i][1]);
    buffer_put_string(p->b, paper_is_so(v, "hold") ? " and HELD" : "");
    paper_end(p, c);
    for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++)
        if (paper_is(v, "stage", stages[i].key))
            buffer_printf(p->b, " %s", stages[i].words);
    if (*paper_text(v, "rule")) {
        buffer_put_string(p->b, " by rule ");
        paper_quote(p, paper_text(v, "rule"));
        buffer_put_string(p->b, ", ");
        paper_put(p, paper_text(v, "place"));
    }
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (paper_is(v, "by", reasons[i].key))
            buffer_printf(p->b, ": %s", reasons[i].words);
    buffer_put_string(p->b, paper_is_so(v, "conditional")
                                ? ", if what is assumed is so\n"
                                : "\n");
    if (*paper_text(v, "reply")) {
        head(p, "Reply");
        paper_put(p, paper_text(v, "reply"));
        buffer_put_byte(p->b, '\n');
    }
}

static void put_destination(struct paper *p, const json_t *d)
{
    const json_t *hop, *rate, *via = json_object_get(d, "via");
    size_t i;

    head(p, "Mail goes");
    buffer_put_string(p->b, "to <");
    paper_put(p, paper_text(d, "address"));
    if (!paper_is(json_object_get(p->o, "question"), "from",
                  paper_text(d, "sender"))) {
        buffer_put_string(p->b, "> from <");
        paper_put(p, paper_text(d, "sender"));
    }
    if (!*paper_text(d, "place") && !*paper_text(d, "route")) {
        buffer_put_string(p->b, ">, and no route leads there\n");
        return;
    }
    buffer_put_string(p->b, "> by route ");
    paper_quote(p, paper_text(d, "route"));
    if (*paper_text(d, "place")) {
        buffer_put_string(p->b, ", ");
        paper_put(p, paper_text(d, "place"));
    }
    buffer_put_byte(p->b, '\n');
    head(p, "");
    buffer_put_string(p->b, "via");
    json_array_foreach(via, i, hop)
    {
        buffer_put_string(p->b, i ? ", " : " ");
        paper_put(p, json_string_value(hop));
    }
    buffer_printf(p->b, ", tls = %s", paper_text(d, "tls"));
    json_array_foreach(json_object_get(d, "rates"), i, rate)
    {
        buffer_put_string(p->b, i ? " and " : ", at most ");
        paper_put(p, json_string_value(rate));
    }
    if (*paper_text(d, "state")) {
        buffer_printf(p->b, ": %s", paper_text(d, "state"));
        if (paper_number(d, "waiting"))
            buffer_printf(p->b, ", %lld waiting",
                          (long long)paper_number(d, "waiting"));
        if (*paper_text(d, "reason")) {
            buffer_put_string(p->b, ", ");
            paper_put(p, paper_text(d, "reason"));
        }
    }
    buffer_put_byte(p->b, '\n');
}

static void put_effects(struct paper *p)
{
    const json_t *e, *all = json_object_get(p->o, "effects");
    size_t i;

    json_array_foreach(all, i, e)
    {
        head(p, paper_is(e, "kind", "would") ? "Shadow" : "Also");
        if (!paper_is(e, "kind", "would")) {
            paper_put(p, paper_text(e, "kind"));
            buffer_put_string(p->b, *paper_text(e, "text") ? " " : "");
        }
        paper_put(p, paper_text(e, "text"));
        buffer_put_string(p->b, "  (");
        paper_put(p, paper_text(e, "rule"));
        buffer_put_string(p->b, ")\n");
    }
}

static void put_limits(struct paper *p)
{
    const json_t *e, *all = json_object_get(p->o, "budgets");
    const char *last = "";
    size_t i;

    json_array_foreach(all, i, e)
    {
        if (strcmp(last, paper_text(e, "rule")) == 0)
            continue;
        last = paper_text(e, "rule");
        head(p, "Budget");
        paper_quote(p, last);
        buffer_put_string(p->b, ": ");
        (void)explain_rules_put_budgets(p, last);
        buffer_put_byte(p->b, '\n');
    }
}

static void put_told(struct paper *p)
{
    const json_t *e, *all = json_object_get(p->o, "evidence");
    size_t i;

    json_array_foreach(all, i, e)
    {
        bool is_assumed = paper_is(e, "how", "assumed");

        if (!is_assumed && !paper_is(e, "how", "failed"))
            continue;
        head(p, is_assumed ? "Assumed" : "Not told");
        buffer_printf(p->b, "%s ", paper_text(e, "kind"));
        paper_put(p, paper_text(e, "question"));
        buffer_put_string(p->b, ": ");
        paper_put(p, paper_text(e, "answer"));
        if (*paper_text(e, "rule")) {
            buffer_put_string(p->b, "  (");
            paper_put(p, paper_text(e, "rule"));
            buffer_put_byte(p->b, ')');
        }
        buffer_put_byte(p->b, '\n');
    }
}

static void put_hint(struct paper *p)
{
    const json_t *rule, *rules = json_object_get(p->o, "rules");
    const json_t *verdict = json_object_get(p->o, "verdict");
    size_t i, later = 0;

    /* what is refused has no message to come */
    if (paper_is(verdict, "kind", "reject") ||
        paper_is(verdict, "kind", "defer"))
        return;
    json_array_foreach(rules, i, rule)
    {
        later += paper_is(rule, "fate", "set-aside");
    }
    if (!later)
        return;
    head(p, "Later");
    buffer_printf(p->b,
                  "%zu rule%s for the message, and may refuse it: --message "
                  "FILE\n",
                  later, later == 1 ? " waits" : "s wait");
}

void explain_listing_put(struct buffer *b, const json_t *o,
                         const struct explain_looks *looks)
{
    const json_t *d;
    struct paper p = { .b = b, .o = o, .is_coloured = looks->is_coloured };
    size_t i;

    put_source(&p);
    put_question(&p);
    explain_rules_put(&p, looks->is_full);
    put_verdict(&p);
    json_array_foreach(json_object_get(o, "destinations"), i, d)
    {
        put_destination(&p, d);
    }
    put_effects(&p);
    put_limits(&p);
    put_hint(&p);
    put_told(&p);
}
