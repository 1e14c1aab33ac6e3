/*
 * explain_rules - a line for each rule: what it is, and why it holds or not.
 *
 *   spam list    waypost.conf:14  reject  no   dnsbl = "zen.example.net": not listed
 *   our domains  waypost.conf:16  relay   YES
 */
#include "relay/main/explain_rules.h"

#include "relay/admin/listing.h"

enum { NAME_MOST = 28, PLACE_MOST = 36, MANY = 3 };

struct columns {
    size_t folder; /* of places; what all have in common is left out */
    int name, place, action;
};

static const char *place_of(const struct columns *c, const json_t *rule)
{
    const char *place = paper_text(rule, "place");

    return strlen(place) > c->folder ? place + c->folder : place;
}

static void measure(struct columns *c, const json_t *rules)
{
    const json_t *rule;
    const char *first = paper_text(json_array_get(rules, 0), "place");
    size_t i, common = strlen(first);

    json_array_foreach(rules, i, rule)
    {
        const char *place = paper_text(rule, "place");
        int name = (int)strlen(paper_text(rule, "name"));
        int action =
            (int)strlen(paper_text(rule, "action")) +
            (paper_is_so(rule, "shadow") ? (int)strlen(" (shadow)") : 0);
        size_t same = 0;

        while (same < common && place[same] == first[same])
            same++;
        common = same;
        if (name > c->name)
            c->name = name < NAME_MOST ? name : NAME_MOST;
        if (action > c->action)
            c->action = action;
    }
    for (c->folder = 0; common > 0; common--)
        if (first[common - 1] == '/') {
            c->folder = common;
            break;
        }
    json_array_foreach(rules, i, rule)
    {
        int place = (int)strlen(place_of(c, rule));

        if (place > c->place)
            c->place = place < PLACE_MOST ? place : PLACE_MOST;
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

    return paper_is(v, "by", "rule") && paper_is(rule, "fate", "matched") &&
           paper_is(v, "rule", paper_text(rule, "name")) &&
           paper_is(v, "place", paper_text(rule, "place"));
}

/* A relay rule that holds and does not grant: see policy/effects.c. */
static bool is_passed_over(const struct paper *p, const json_t *rule)
{
    return paper_is(rule, "action", "relay") &&
           paper_is(rule, "fate", "matched") && !paper_is_so(rule, "shadow") &&
           !decides(p, rule) &&
           paper_is(json_object_get(p->o, "verdict"), "by", "no-rule");
}

static void put_why(struct paper *p, const json_t *rule)
{
    buffer_put_escaped(p->b, span_of(paper_text(rule, "condition")));
    if (*paper_text(rule, "fact")) {
        buffer_put_string(p->b, ": ");
        paper_put(p, paper_text(rule, "fact"));
    }
}

/* Of memory the kind of note is enough. */
static void put_who(struct paper *p, const json_t *e)
{
    struct span q = span_of(paper_text(e, "question")), kind, rest;

    kind = span_split(q, ' ', &rest);
    if (!paper_is(e, "kind", "memory"))
        buffer_put_escaped(p->b, q);
    else if (span_is(kind, SPAN("greyclient")))
        buffer_put_string(p->b, "its network");
    else if (span_is(kind, SPAN("grey")))
        buffer_put_string(p->b, "the three together");
    else
        buffer_put_escaped(p->b, kind);
}

/* What greylisting remembers: "FIRST LAST COUNT" of a pair, "LAST COUNT" of a network, in
 * milliseconds. */
static bool put_note(struct paper *p, struct span note)
{
    int64_t now_s = paper_number(p->o, "now");
    uint64_t n[3];
    size_t count = 0;
    bool is_new;

    while (note.len) {
        if (count == 3 || !span_number(span_split(note, ' ', &note), &n[count]))
            return false;
        count++;
    }
    if (count < 2)
        return false;
    is_new = count == 3 && n[1] == 0;
    buffer_put_string(p->b, is_new ? "first seen " : "let in ");
    listing_put_duration(p->b,
                         now_s - (int64_t)(n[is_new ? 0 : count - 2] / 1000));
    buffer_put_string(p->b, is_new ? " ago, not let in yet" : " ago");
    return true;
}

/* The texts of its own questions: budgets, memory, servers. */
static bool put_evidence(struct paper *p, const json_t *rule)
{
    const json_t *e, *all = json_object_get(p->o, "evidence");
    const char *between = "";
    size_t i;

    json_array_foreach(all, i, e)
    {
        if (!paper_is(e, "rule", paper_text(rule, "name")) ||
            paper_is(e, "kind", "budget") || paper_is(e, "kind", "dns") ||
            paper_is(e, "kind", "reverse-dns") || paper_is(e, "kind", "count"))
            continue;
        buffer_put_string(p->b, between);
        if (paper_is(e, "how", "assumed"))
            buffer_put_string(p->b, "would ask ");
        put_who(p, e);
        buffer_put_string(p->b, ": ");
        if (!paper_is(e, "kind", "memory") ||
            !put_note(p, span_of(paper_text(e, "answer"))))
            paper_put(p, paper_text(e, "answer"));
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

bool explain_rules_put_budgets(struct paper *p, const char *rule)
{
    const json_t *e, *all = json_object_get(p->o, "budgets");
    const char *between = "";
    size_t i;

    json_array_foreach(all, i, e)
    {
        if (!paper_is(e, "rule", rule))
            continue;
        buffer_printf(p->b, "%s%lld of %lld left per ", between,
                      (long long)paper_number(e, "left"),
                      (long long)paper_number(e, "limit"));
        put_period(p, paper_number(e, "period"));
        if (paper_number(e, "free") > paper_number(p->o, "now")) {
            buffer_put_string(p->b, ", free in ");
            listing_put_duration(p->b, paper_number(e, "free") -
                                           paper_number(p->o, "now"));
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
        paper_put(p, json_string_value(effect));
        between = "; ";
    }
    if (*between)
        return;
    if (is_passed_over(p, rule))
        buffer_put_string(p->b, "but the local part leads to another domain");
    else if (!explain_rules_put_budgets(p, paper_text(rule, "name")))
        (void)put_evidence(p, rule);
}

static const struct {
    const char *fate, *word;
    enum paper_colour colour;
} fates[] = {
    { "matched", "yes", PAPER_GOOD },
    { "not-matched", "no", PAPER_PLAIN },
    { "unknown", "?", PAPER_DOUBTFUL },
    { "set-aside", "later", PAPER_DOUBTFUL },
    { "spares", "-", PAPER_FAINT },
    { "not-reached", "-", PAPER_FAINT },
};

enum { FATES = sizeof fates / sizeof fates[0] };

enum paper_colour explain_rules_colour(const json_t *v)
{
    if (paper_is(v, "kind", "reject"))
        return PAPER_BAD;
    if (paper_is(v, "kind", "defer") || paper_is_so(v, "hold"))
        return PAPER_DOUBTFUL;
    return paper_is(v, "kind", "discard") ? PAPER_BAD : PAPER_GOOD;
}

static void put_rule(struct paper *p, const struct columns *c,
                     const json_t *rule)
{
    const json_t *verdict = json_object_get(p->o, "verdict");
    bool is_it = decides(p, rule);
    struct buffer action = { 0 };
    enum paper_colour colour;
    size_t f = 0;

    while (f < FATES - 1 && !paper_is(rule, "fate", fates[f].fate))
        f++;
    colour = is_it ? explain_rules_colour(verdict) : fates[f].colour;
    paper_begin(p, colour);
    buffer_put_string(p->b, is_it ? "> " : "  ");
    put_column(p, paper_text(rule, "name"), c->name);
    put_column(p, place_of(c, rule), c->place);
    buffer_printf(&action, "%s%s", paper_text(rule, "action"),
                  paper_is_so(rule, "shadow") ? " (shadow)" : "");
    put_column(p, buffer_string(&action), c->action);
    buffer_printf(p->b, "%-5s  ", is_it ? "YES" : fates[f].word);
    paper_end(p, colour);
    if (paper_is(rule, "fate", "not-reached"))
        buffer_put_string(p->b, "not reached");
    else if (paper_is(rule, "fate", "spares"))
        buffer_put_string(p->b, "refuses others, but not our postmaster");
    else if (*paper_text(rule, "condition"))
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

    while (n < count && paper_is(json_array_get(rules, count - n - 1), "fate",
                                 "not-reached"))
        n++;
    return n;
}

void explain_rules_put(struct paper *p, bool is_full)
{
    const json_t *rule, *rules = json_object_get(p->o, "rules");
    size_t i, count = json_array_size(rules),
              unreached = count_unreached(rules);
    struct columns columns = { 0 };

    measure(&columns, rules);
    if (is_full || unreached <= MANY)
        unreached = 0;
    json_array_foreach(rules, i, rule)
    {
        if (i < count - unreached)
            put_rule(p, &columns, rule);
    }
    if (unreached)
        buffer_printf(p->b, "  ... and %zu more that are not reached (--all)\n",
                      unreached);
    if (!count)
        buffer_put_string(p->b, "  There are no rules.\n");
    buffer_put_byte(p->b, '\n');
}
