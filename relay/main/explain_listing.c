/*
 * explain_listing - an explanation as text: one screen for people.
 *
 *   spam list    waypost.conf:14  reject  no   dnsbl = "zen.example.net": not listed
 *   our domains  waypost.conf:16  relay   YES
 *
 *   Verdict      accepted at RCPT by rule "our domains", waypost.conf:16
 *   ...
 */
#include "relay/main/explain_listing.h"

#include "relay/admin/listing.h"

enum { NAME_MOST = 28, PLACE_MOST = 36, FACT_COLUMNS = 13, MANY = 3 };

enum colour { PLAIN, GOOD, BAD, DOUBTFUL, FAINT };

struct paper {
    struct buffer *b;
    const struct explain_looks *looks;
    const json_t *o;
    size_t folder; /* of places; what all have in common is left out */
    int name_columns, place_columns, action_columns;
};

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));

    return text ? text : "";
}

static bool is(const json_t *o, const char *key, const char *value)
{
    return strcmp(text_of(o, key), value) == 0;
}

static bool is_so(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

static int64_t number_of(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static void put(struct paper *p, const char *text)
{
    buffer_put_escaped(p->b, span_of(text));
}

static void quote(struct paper *p, const char *text)
{
    buffer_put_byte(p->b, '"');
    put(p, text);
    buffer_put_byte(p->b, '"');
}

static void begin(struct paper *p, enum colour c)
{
    static const char *const codes[] = { [PLAIN] = "",
                                         [GOOD] = "\033[1;32m",
                                         [BAD] = "\033[1;31m",
                                         [DOUBTFUL] = "\033[1;33m",
                                         [FAINT] = "\033[2m" };

    if (p->looks->is_coloured)
        buffer_put_string(p->b, codes[c]);
}

static void end(struct paper *p, enum colour c)
{
    if (p->looks->is_coloured && c != PLAIN)
        buffer_put_string(p->b, "\033[0m");
}

static const char *place_of(const struct paper *p, const json_t *o)
{
    const char *place = text_of(o, "place");

    return strlen(place) > p->folder ? place + p->folder : place;
}

/* --- who and whom ----------------------------------------------------------- */

static void put_source(struct paper *p)
{
    const char *file = text_of(p->o, "config");
    int64_t read = number_of(p->o, "read");

    if (is(p->o, "source", "relay")) {
        buffer_put_string(p->b, "The running relay says");
        if (*file) {
            buffer_put_string(p->b, " (by ");
            put(p, file);
            if (is_so(p->o, "changed")) {
                buffer_put_string(p->b, " as it was read ");
                listing_put_duration(p->b, number_of(p->o, "now") - read);
                buffer_put_string(p->b, " ago: the file is newer");
            }
            buffer_put_byte(p->b, ')');
        }
        buffer_put_string(p->b, ":\n");
        return;
    }
    buffer_put_string(p->b, "The running relay was not asked (");
    put(p, text_of(p->o, "why"));
    buffer_put_string(p->b, "). ");
    put(p, *file ? file : "The built-in configuration");
    buffer_put_string(p->b, " says:\n");
}

static void put_question(struct paper *p)
{
    const json_t *q = json_object_get(p->o, "question");

    buffer_put_string(p->b, "  client ");
    put(p, text_of(q, "client"));
    buffer_put_string(p->b, ", helo ");
    put(p, text_of(q, "helo"));
    if (*text_of(q, "listener")) {
        buffer_put_string(p->b, ", listener ");
        quote(p, text_of(q, "listener"));
    }
    buffer_put_string(p->b, is_so(q, "tls") ? ", TLS" : ", no TLS");
    if (*text_of(q, "login")) {
        buffer_put_string(p->b, ", login ");
        quote(p, text_of(q, "login"));
    } else {
        buffer_put_string(p->b, ", not logged in");
    }
    buffer_put_string(p->b, "\n  from <");
    put(p, text_of(q, "from"));
    buffer_put_string(p->b, "> to <");
    put(p, text_of(q, "to"));
    buffer_put_byte(p->b, '>');
    if (number_of(q, "size"))
        buffer_printf(p->b, ", %lld bytes", (long long)number_of(q, "size"));
    buffer_put_string(p->b,
                      is_so(q, "message") ? ", with this message\n\n" : "\n\n");
}

/* --- the rules -------------------------------------------------------------- */

static void measure(struct paper *p)
{
    const json_t *rule, *rules = json_object_get(p->o, "rules");
    const char *first = text_of(json_array_get(rules, 0), "place");
    size_t i, common = strlen(first);

    json_array_foreach(rules, i, rule)
    {
        const char *place = text_of(rule, "place");
        int name = (int)strlen(text_of(rule, "name"));
        int action = (int)strlen(text_of(rule, "action")) +
                     (is_so(rule, "shadow") ? (int)strlen(" (shadow)") : 0);
        size_t same = 0;

        while (same < common && place[same] == first[same])
            same++;
        common = same;
        if (name > p->name_columns)
            p->name_columns = name < NAME_MOST ? name : NAME_MOST;
        if (action > p->action_columns)
            p->action_columns = action;
    }
    for (p->folder = 0; common > 0; common--)
        if (first[common - 1] == '/') {
            p->folder = common;
            break;
        }
    json_array_foreach(rules, i, rule)
    {
        int place = (int)strlen(place_of(p, rule));

        if (place > p->place_columns)
            p->place_columns = place < PLACE_MOST ? place : PLACE_MOST;
    }
}

static void put_column(struct paper *p, const char *text, int columns)
{
    struct buffer cell = { 0 };

    buffer_put_escaped(&cell, span_of(text));
    buffer_printf(p->b, "%-*s  ", columns, buffer_string(&cell));
    buffer_fini(&cell);
}

static bool decides(const struct paper *p, const json_t *rule)
{
    const json_t *v = json_object_get(p->o, "verdict");

    return is(v, "by", "rule") && is(rule, "fate", "matched") &&
           is(v, "rule", text_of(rule, "name")) &&
           is(v, "place", text_of(rule, "place"));
}

/* A relay rule that holds and does not grant: see policy/effects.c. */
static bool is_passed_over(const struct paper *p, const json_t *rule)
{
    return is(rule, "action", "relay") && is(rule, "fate", "matched") &&
           !is_so(rule, "shadow") && !decides(p, rule) &&
           is(json_object_get(p->o, "verdict"), "by", "no-rule");
}

static void put_why(struct paper *p, const json_t *rule)
{
    buffer_put_escaped(p->b, span_of(text_of(rule, "condition")));
    if (*text_of(rule, "fact")) {
        buffer_put_string(p->b, ": ");
        put(p, text_of(rule, "fact"));
    }
}

/* Of memory the kind of note is enough. */
static void put_who(struct paper *p, const json_t *e)
{
    struct span q = span_of(text_of(e, "question")), rest;

    buffer_put_escaped(p->b,
                       is(e, "kind", "memory") ? span_split(q, ' ', &rest) : q);
}

/* The texts of its own questions: budgets, memory, servers. */
static bool put_evidence(struct paper *p, const json_t *rule)
{
    const json_t *e, *all = json_object_get(p->o, "evidence");
    const char *between = "";
    size_t i;

    json_array_foreach(all, i, e)
    {
        if (!is(e, "rule", text_of(rule, "name")) || is(e, "kind", "budget") ||
            is(e, "kind", "dns") || is(e, "kind", "reverse-dns") ||
            is(e, "kind", "count"))
            continue;
        buffer_put_string(p->b, between);
        if (is(e, "how", "assumed"))
            buffer_put_string(p->b, "would ask ");
        put_who(p, e);
        buffer_put_string(p->b, ": ");
        put(p, text_of(e, "answer"));
        between = "; ";
    }
    return *between != '\0';
}

/* As a person writes it in a rate. */
static void put_period(struct paper *p, int64_t s)
{
    static const struct {
        int64_t s;
        const char *unit;
    } units[] = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } };
    size_t i = 0;

    while (s % units[i].s)
        i++;
    if (s != units[i].s)
        buffer_printf(p->b, "%lld", (long long)(s / units[i].s));
    buffer_put_string(p->b, units[i].unit);
}

static bool put_budgets(struct paper *p, const char *rule)
{
    const json_t *e, *all = json_object_get(p->o, "budgets");
    const char *between = "";
    size_t i;

    json_array_foreach(all, i, e)
    {
        if (!is(e, "rule", rule))
            continue;
        buffer_printf(p->b, "%s%lld of %lld left per ", between,
                      (long long)number_of(e, "left"),
                      (long long)number_of(e, "limit"));
        put_period(p, number_of(e, "period"));
        if (number_of(e, "free") > number_of(p->o, "now")) {
            buffer_put_string(p->b, ", free in ");
            listing_put_duration(p->b,
                                 number_of(e, "free") - number_of(p->o, "now"));
        }
        between = "; ";
    }
    return *between != '\0';
}

static void put_acts(struct paper *p, const json_t *rule)
{
    const json_t *effect, *all = json_object_get(rule, "effects");
    const char *between = "";
    size_t i;

    json_array_foreach(all, i, effect)
    {
        buffer_put_string(p->b, between);
        put(p, json_string_value(effect));
        between = "; ";
    }
    if (*between)
        return;
    if (is_passed_over(p, rule))
        buffer_put_string(p->b, "but the local part leads to another domain");
    else if (!put_budgets(p, text_of(rule, "name")))
        (void)put_evidence(p, rule);
}

static const struct {
    const char *fate, *word;
    enum colour colour;
} fates[] = {
    { "matched", "yes", GOOD },    { "not-matched", "no", PLAIN },
    { "unknown", "?", DOUBTFUL },  { "set-aside", "later", DOUBTFUL },
    { "not-reached", "-", FAINT },
};

enum { FATES = sizeof fates / sizeof fates[0] };

static enum colour colour_of_verdict(const json_t *v)
{
    if (is(v, "kind", "reject"))
        return BAD;
    if (is(v, "kind", "defer") || is_so(v, "hold"))
        return DOUBTFUL;
    return is(v, "kind", "discard") ? BAD : GOOD;
}

static void put_rule(struct paper *p, const json_t *rule)
{
    const json_t *verdict = json_object_get(p->o, "verdict");
    bool is_it = decides(p, rule);
    struct buffer action = { 0 };
    enum colour c;
    size_t f = 0;

    while (f < FATES - 1 && !is(rule, "fate", fates[f].fate))
        f++;
    c = is_it ? colour_of_verdict(verdict) : fates[f].colour;
    begin(p, c);
    buffer_put_string(p->b, is_it ? "> " : "  ");
    put_column(p, text_of(rule, "name"), p->name_columns);
    put_column(p, place_of(p, rule), p->place_columns);
    buffer_printf(&action, "%s%s", text_of(rule, "action"),
                  is_so(rule, "shadow") ? " (shadow)" : "");
    put_column(p, buffer_string(&action), p->action_columns);
    buffer_printf(p->b, "%-5s  ", is_it ? "YES" : fates[f].word);
    end(p, c);
    if (is(rule, "fate", "not-reached"))
        buffer_put_string(p->b, "not reached");
    else if (*text_of(rule, "condition"))
        put_why(p, rule);
    else
        put_acts(p, rule);
    buffer_fini(&action);
    while (p->b->len && p->b->at[p->b->len - 1] == ' ')
        p->b->len--;
    buffer_put_byte(p->b, '\n');
}

/* How many at the end nobody came to. */
static size_t count_unreached(const json_t *rules)
{
    size_t n = 0, count = json_array_size(rules);

    while (n < count &&
           is(json_array_get(rules, count - n - 1), "fate", "not-reached"))
        n++;
    return n;
}

static void put_rules(struct paper *p)
{
    const json_t *rule, *rules = json_object_get(p->o, "rules");
    size_t i, count = json_array_size(rules),
              unreached = count_unreached(rules);

    if (p->looks->is_full || unreached <= MANY)
        unreached = 0;
    json_array_foreach(rules, i, rule)
    {
        if (i < count - unreached)
            put_rule(p, rule);
    }
    if (unreached)
        buffer_printf(p->b, "  ... and %zu more that are not reached (--all)\n",
                      unreached);
    if (!count)
        buffer_put_string(p->b, "  There are no rules.\n");
    buffer_put_byte(p->b, '\n');
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
    { "listener", "the listener demands more" },
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
    enum colour c = colour_of_verdict(v);

    head(p, "Verdict");
    begin(p, c);
    for (size_t i = 0; i < 4; i++)
        if (is(v, "kind", words[i][0]))
            buffer_put_string(p->b, words[i][1]);
    buffer_put_string(p->b, is_so(v, "hold") ? " and HELD" : "");
    end(p, c);
    for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++)
        if (is(v, "stage", stages[i].key))
            buffer_printf(p->b, " %s", stages[i].words);
    if (*text_of(v, "rule")) {
        buffer_put_string(p->b, " by rule ");
        quote(p, text_of(v, "rule"));
        buffer_put_string(p->b, ", ");
        put(p, text_of(v, "place"));
    }
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (is(v, "by", reasons[i].key))
            buffer_printf(p->b, ": %s", reasons[i].words);
    buffer_put_string(
        p->b, is_so(v, "conditional") ? ", if what is assumed is so\n" : "\n");
    if (*text_of(v, "reply")) {
        head(p, "Reply");
        put(p, text_of(v, "reply"));
        buffer_put_byte(p->b, '\n');
    }
}

static void put_destination(struct paper *p, const json_t *d)
{
    const json_t *hop, *via = json_object_get(d, "via");
    size_t i;

    head(p, "Mail goes");
    buffer_put_string(p->b, "to <");
    put(p, text_of(d, "address"));
    if (!is(json_object_get(p->o, "question"), "from", text_of(d, "sender"))) {
        buffer_put_string(p->b, "> from <");
        put(p, text_of(d, "sender"));
    }
    if (!*text_of(d, "place") && !*text_of(d, "route")) {
        buffer_put_string(p->b, ">, and no route leads there\n");
        return;
    }
    buffer_put_string(p->b, "> by route ");
    quote(p, text_of(d, "route"));
    if (*text_of(d, "place")) {
        buffer_put_string(p->b, ", ");
        put(p, text_of(d, "place"));
    }
    buffer_put_byte(p->b, '\n');
    head(p, "");
    buffer_put_string(p->b, "via");
    json_array_foreach(via, i, hop)
    {
        buffer_put_string(p->b, i ? ", " : " ");
        put(p, json_string_value(hop));
    }
    buffer_printf(p->b, ", tls = %s", text_of(d, "tls"));
    if (*text_of(d, "state")) {
        buffer_printf(p->b, ": %s", text_of(d, "state"));
        if (number_of(d, "waiting"))
            buffer_printf(p->b, ", %lld waiting",
                          (long long)number_of(d, "waiting"));
        if (*text_of(d, "reason")) {
            buffer_put_string(p->b, ", ");
            put(p, text_of(d, "reason"));
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
        head(p, is(e, "kind", "would") ? "Shadow" : "Also");
        if (!is(e, "kind", "would")) {
            put(p, text_of(e, "kind"));
            buffer_put_string(p->b, *text_of(e, "text") ? " " : "");
        }
        put(p, text_of(e, "text"));
        buffer_put_string(p->b, "  (");
        put(p, text_of(e, "rule"));
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
        if (strcmp(last, text_of(e, "rule")) == 0)
            continue;
        last = text_of(e, "rule");
        head(p, "Budget");
        quote(p, last);
        buffer_put_string(p->b, ": ");
        (void)put_budgets(p, last);
        buffer_put_byte(p->b, '\n');
    }
}

static void put_told(struct paper *p)
{
    const json_t *e, *all = json_object_get(p->o, "evidence");
    size_t i;

    json_array_foreach(all, i, e)
    {
        bool is_assumed = is(e, "how", "assumed");

        if (!is_assumed && !is(e, "how", "failed"))
            continue;
        head(p, is_assumed ? "Assumed" : "Not told");
        buffer_printf(p->b, "%s ", text_of(e, "kind"));
        put(p, text_of(e, "question"));
        buffer_put_string(p->b, ": ");
        put(p, text_of(e, "answer"));
        if (*text_of(e, "rule")) {
            buffer_put_string(p->b, "  (");
            put(p, text_of(e, "rule"));
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
    if (is(verdict, "kind", "reject") || is(verdict, "kind", "defer"))
        return;

    json_array_foreach(rules, i, rule)
    {
        later += is(rule, "fate", "set-aside");
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
    struct paper p = { .b = b, .looks = looks, .o = o };
    size_t i;

    measure(&p);
    put_source(&p);
    put_question(&p);
    put_rules(&p);
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
