/*
 * findings_print - what a replay found, for people and for programs.
 */
#include "relay/main/findings_private.h"

#include "relay/main/paper.h"

#include <jansson.h>
#include <stdio.h>
#include <time.h>

static const char *const fates[FATES] = {
    [FATE_ACCEPTED] = "accepted",   [FATE_HELD] = "held",
    [FATE_DISCARDED] = "discarded", [FATE_REFUSED] = "refused",
    [FATE_DEFERRED] = "deferred",   [FATE_LET_ON] = "let on",
};

static const char *const kinds[] = {
    [FINDING_SAME] = "same",         [FINDING_CHANGED] = "changed",
    [FINDING_REROUTED] = "rerouted", [FINDING_UNKNOWN] = "unknown",
    [FINDING_OTHER] = "other",
};

static const char *const doubts[] = {
    [DOUBT_DNS] = "asks the DNS",
    [DOUBT_MEMORY] = "goes by what was there before",
    [DOUBT_SERVER] = "asks a policy server",
    [DOUBT_MESSAGE] = "needs the message",
    [DOUBT_FACTS] = "cannot be told from the record",
};

static void put_place(struct buffer *b, const struct rule *r)
{
    buffer_printf(b, "%s:%u", r->place.file, r->place.line);
}

/* rule "NAME" (FILE:LINE) */
static void put_rule(struct buffer *b, struct span title, struct span place)
{
    buffer_put_string(b, "rule \"");
    buffer_put_escaped(b, title);
    buffer_put_byte(b, '"');
    if (place.len == 0)
        return;
    buffer_put_string(b, " (");
    buffer_put_escaped(b, place);
    buffer_put_byte(b, ')');
}

static void put_rule_now(struct buffer *b, const struct rule *r)
{
    struct buffer place = { 0 };

    put_place(&place, r);
    put_rule(b, r->title, buffer_span(&place));
    buffer_fini(&place);
}

static void put_time(struct buffer *b, int64_t at_ms)
{
    time_t at = (time_t)(at_ms / 1000);
    char text[32];
    struct tm tm;

    if (localtime_r(&at, &tm) &&
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm))
        buffer_put_string(b, text);
}

/* ------------------------------------------------------- for people ---- */

static const char *headline(const struct finding *f)
{
    static const char *const changed[FATES] = {
        [FATE_ACCEPTED] = "would now be accepted",
        [FATE_HELD] = "would now be held",
        [FATE_DISCARDED] = "would now be discarded",
        [FATE_REFUSED] = "would now be refused",
        [FATE_DEFERRED] = "would now be deferred",
        [FATE_LET_ON] = "would now be let on",
    };

    if (f->kind == FINDING_REROUTED)
        return "by another route";
    return f->kind == FINDING_UNKNOWN ? "cannot be told" : changed[f->now];
}

static void put_then(struct buffer *b, const struct findings_group *g)
{
    buffer_printf(b, "; was %s", fates[g->finding.then]);
    if (g->rule_then.len) {
        buffer_put_string(b, " by ");
        put_rule(b, g->rule_then, g->place_then);
    }
}

static void put_now(struct buffer *b, const struct findings_group *g)
{
    const struct finding *f = &g->finding;
    struct buffer reply = { 0 };

    if (f->kind == FINDING_REROUTED) {
        buffer_put_string(b, "route \"");
        buffer_put_escaped(b, f->route_now);
        buffer_put_string(b, "\" instead of \"");
        buffer_put_escaped(b, f->route_then);
        buffer_put_byte(b, '"');
        return;
    }
    if (f->rule)
        put_rule_now(b, f->rule);
    else if (f->kind == FINDING_UNKNOWN)
        buffer_put_string(b, "it");
    else
        buffer_put_string(b, f->now == FATE_DEFERRED ? "no route"
                             : f->now == FATE_LET_ON ? "no rule"
                                                     : "no rule grants it");
    if (f->kind == FINDING_UNKNOWN)
        buffer_printf(b, " %s", doubts[f->because]);
    if (f->kind == FINDING_CHANGED &&
        (f->now == FATE_REFUSED || f->now == FATE_DEFERRED)) {
        reply_print(&reply, &f->reply);
        buffer_put_string(b, ": ");
        buffer_put_escaped(b, buffer_span(&reply));
        buffer_fini(&reply);
    }
    if (f->unless) {
        buffer_put_string(b, ", unless ");
        put_rule_now(b, f->unless);
        buffer_printf(b, " says no, which %s", doubts[f->because]);
    }
    put_then(b, g);
}

static void print_example(const struct findings_example *e)
{
    struct buffer b = { 0 };

    put_time(&b, e->at_ms);
    buffer_put_string(&b, "  ");
    buffer_put_escaped(&b, e->client);
    if (e->login.len) {
        buffer_put_byte(&b, ' ');
        buffer_put_escaped(&b, e->login);
    }
    buffer_put_string(&b, "  <");
    buffer_put_escaped(&b, e->sender);
    buffer_put_string(&b, "> to <");
    buffer_put_escaped(&b, e->recipient);
    buffer_put_byte(&b, '>');
    (void)printf("              %s\n", buffer_string(&b));
    buffer_fini(&b);
}

static void print_sum(const char *what, uint64_t count)
{
    if (count)
        (void)printf("%10llu  %s\n", (unsigned long long)count, what);
}

static void print_sums(const struct findings *f)
{
    (void)printf("%10llu  recipients\n", (unsigned long long)f->total);
    if (f->kinds[FINDING_SAME]) {
        (void)printf("%10llu  as before",
                     (unsigned long long)f->kinds[FINDING_SAME]);
        for (int fate = 0, n = 0; fate < FATES; fate++)
            if (f->same[fate])
                (void)printf("%s%llu %s", n++ ? ", " : " (",
                             (unsigned long long)f->same[fate], fates[fate]);
        (void)puts(")");
    }
    for (int fate = FATES - 1; fate >= 0; fate--)
        print_sum(headline(&(struct finding){ .kind = FINDING_CHANGED,
                                              .now = (enum fate)fate }),
                  f->changed[fate]);
    print_sum("by another route", f->kinds[FINDING_REROUTED]);
    print_sum("cannot be told", f->kinds[FINDING_UNKNOWN]);
    print_sum("not by a rule: left out", f->kinds[FINDING_OTHER]);
}

void findings_print(struct findings *f)
{
    size_t count = findings_sort(f);
    const char *under = NULL;
    struct buffer b = { 0 };

    print_sums(f);
    for (size_t i = 0; i < count; i++) {
        const struct findings_group *g = f->sorted[i];
        const char *here = headline(&g->finding);

        if (here != under)
            (void)printf("\n%c%s:\n", here[0] - ('a' - 'A'), here + 1);
        under = here;
        buffer_clear(&b);
        put_now(&b, g);
        (void)printf("%10llu  %s\n", (unsigned long long)g->count,
                     buffer_string(&b));
        for (const struct findings_example *e = g->examples; e; e = e->next)
            print_example(e);
    }
    buffer_fini(&b);
}

/* ----------------------------------------------------- for programs ---- */

static void set_text(json_t *o, const char *key, struct span text)
{
    struct buffer b = { 0 };

    buffer_put_escaped(&b, text);
    (void)json_object_set_new(o, key, json_stringn(b.at ? b.at : "", b.len));
    buffer_fini(&b);
}

static void set_count(json_t *o, const char *key, uint64_t count)
{
    (void)json_object_set_new(o, key, json_integer((json_int_t)count));
}

static void print_line(json_t *take_o)
{
    paper_print_json(take_o);
    json_decref(take_o);
}

static json_t *by_fate(const uint64_t *counts)
{
    json_t *o = json_object();

    for (int i = 0; i < FATES; i++)
        if (counts[i])
            set_count(o, fates[i], counts[i]);
    return o;
}

static json_t *examples_of(const struct findings_group *g)
{
    json_t *all = json_array();

    for (const struct findings_example *e = g->examples; e; e = e->next) {
        json_t *o = json_object();

        set_count(o, "time_ms", (uint64_t)e->at_ms);
        set_text(o, "client", e->client);
        set_text(o, "helo", e->helo);
        set_text(o, "login", e->login);
        set_text(o, "sender", e->sender);
        set_text(o, "recipient", e->recipient);
        set_text(o, "stage", e->stage);
        set_text(o, "reply", e->reply);
        if (e->reply_now.len)
            set_text(o, "reply_now", e->reply_now);
        (void)json_array_append_new(all, o);
    }
    return all;
}

static void set_now(json_t *o, const struct finding *f)
{
    struct buffer b = { 0 };

    if (f->kind == FINDING_CHANGED)
        (void)json_object_set_new(o, "now", json_string(fates[f->now]));
    if (f->rule) {
        set_text(o, "rule", f->rule->title);
        put_place(&b, f->rule);
        set_text(o, "place", buffer_span(&b));
    }
    if (f->unless)
        set_text(o, "unless", f->unless->title);
    if (f->unless || f->kind == FINDING_UNKNOWN)
        (void)json_object_set_new(o, "because",
                                  json_string(doubts[f->because]));
    if (f->kind == FINDING_CHANGED && f->reply.code) {
        buffer_clear(&b);
        reply_print(&b, &f->reply);
        set_text(o, "reply", buffer_span(&b));
    }
    if (f->kind == FINDING_REROUTED) {
        set_text(o, "route", f->route_now);
        set_text(o, "route_then", f->route_then);
    }
    buffer_fini(&b);
}

static void print_group(const struct findings_group *g)
{
    const struct finding *f = &g->finding;
    json_t *o = json_object();

    (void)json_object_set_new(o, "kind", json_string(kinds[f->kind]));
    set_count(o, "count", g->count);
    set_now(o, f);
    (void)json_object_set_new(o, "then", json_string(fates[f->then]));
    if (f->kind != FINDING_REROUTED) {
        set_text(o, "rule_then", g->rule_then);
        set_text(o, "place_then", g->place_then);
    }
    (void)json_object_set_new(o, "examples", examples_of(g));
    print_line(o);
}

void findings_print_json(struct findings *f)
{
    size_t count = findings_sort(f);
    json_t *o = json_object();

    (void)json_object_set_new(o, "kind", json_string("summary"));
    set_count(o, "recipients", f->total);
    (void)json_object_set_new(o, "same", by_fate(f->same));
    (void)json_object_set_new(o, "changed", by_fate(f->changed));
    set_count(o, "rerouted", f->kinds[FINDING_REROUTED]);
    set_count(o, "unknown", f->kinds[FINDING_UNKNOWN]);
    set_count(o, "other", f->kinds[FINDING_OTHER]);
    print_line(o);
    for (size_t i = 0; i < count; i++)
        print_group(f->sorted[i]);
}
